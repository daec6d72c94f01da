// A grid that shows the rows of an answer: painted once each time it is read.

import { useRef } from "preact/hooks";
import type { LiveGrid } from "../grid/live_grid";
import type { Polled } from "../live/polled";
import type { Row } from "../store/messages";
import { linesOf } from "./plain_columns";

/** Paints the rows of an answer once each time it is read. */
export function usePainter(polled: Polled, rows: (answer: Row | undefined) => readonly Row[], keyOf: (row: Row, at: number) => string): (grid: LiveGrid) => void {
  const seen = useRef<{ polled: Polled; version: number } | null>(null);
  const latest = useRef({ polled, rows, keyOf });
  latest.current = { polled, rows, keyOf };
  return (grid) => {
    const { polled: now, rows: of, keyOf: key } = latest.current;
    if (seen.current?.polled === now && seen.current.version === now.version) return;
    seen.current = { polled: now, version: now.version };
    grid.show(linesOf(of(now.answer), key), "all");
  };
}
