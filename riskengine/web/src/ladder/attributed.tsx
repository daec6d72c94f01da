// A ladder parted by counterparty or strategy, which the stream does not say: read every second, and drawn from one answer with
// the total of the same snapshot, so that what is on the screen adds up.

import type { ComponentChildren, JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { instruments } from "../live/engine";
import type { Query } from "../live/http";
import { paintSoon } from "../live/painting";
import { nameOf } from "../live/place";
import { usePolled } from "../live/polled";
import type { Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import { drawBehind } from "../trades/behind";
import { printable } from "../words/printable";
import { attributeLines, OF_WHOLE } from "./attributes";
import { partColumns } from "./columns";
import { LADDER_DETAIL_HEIGHT, toggleLine } from "./folding";
import { totalLine } from "./lines";
import { PartsAge } from "./parts_age";

const EVERY_MS = 1_000;
/** From more lines on groups start closed: sums first. */
const MANY = 40;

type Props = { place: Place; by: string; children?: ComponentChildren };

export function AttributedLadder({ place, by, children }: Props): JSX.Element {
  const polled = usePolled("v1/groups", { by, ...place }, EVERY_MS);
  const details = useRef(new Set<string>());
  /** Groups that the user opened or closed, against the rule. */
  const flipped = useRef(new Set<string>());
  const shown = useRef("");
  const largest = useRef(0);
  const kept = useRef(new Map<string, Row>());
  const columns = useMemo(() => partColumns(() => largest.current), []);

  const paint = (grid: LiveGrid): void => {
    const { answer, version } = polled;
    const arrangement = JSON.stringify([version, place, by, preferences.value.showFlat, [...details.current], [...flipped.current], instruments.value.size]);
    if (arrangement === shown.current) return;
    shown.current = arrangement;
    const rows = rowsOf(answer, "rows");
    largest.current = rows.reduce((most, row) => Math.max(most, Math.abs(numberOf(row, "delta_cash") ?? 0)), 0);
    const { showFlat } = preferences.value;
    const startsClosed = rows.length > MANY;
    const lines = attributeLines(rows, by, { isClosed: (key) => startsClosed !== flipped.current.has(key), showFlat, details: details.current });
    grid.show(lines.map((line) => lasting(line, kept.current)), "all");
    const whole = rowOf(answer, "whole");
    grid.pin(whole === undefined ? [] : [totalLine({ ...whole, why: OF_WHOLE }, rows)]);
  };

  const toggle = (line: Line): void => {
    toggleLine(line, flipped.current, details.current);
    paintSoon();
  };

  const name = nameOf(place);
  return (
    <GridPanel
      name="parts"
      label={`Ladder of ${printable(name)} by ${by}`}
      columns={columns}
      paint={paint}
      onToggle={toggle}
      onPick={toggle}
      detail={(line, host) => drawBehind(host, place, line.row, () => {
        details.current.delete(line.parent);
        paintSoon();
      }, tradesOf(line.row, by))}
      detailHeight={LADDER_DETAIL_HEIGHT}
    >
      <h2>{printable(name)}</h2>
      <PartsAge polled={polled} />
      {children}
    </GridPanel>
  );
}

/** The line with the row that it had before, written anew: what is open below it goes on to look at that. */
function lasting(line: Line, kept: Map<string, Row>): Line {
  if (line.kind !== "row" && line.kind !== "detail") return line;
  const key = line.kind === "detail" ? line.parent : line.key;
  const row = Object.assign(kept.get(key) ?? {}, line.row);
  kept.set(key, row);
  return { ...line, row };
}

/** Of a part only its own trades stand behind it; of what no trade brought, those of the whole line. */
const tradesOf = (row: Row, by: string): Query => (textOf(row, "kind") === "trades" ? { [by]: textOf(row, "group") } : {});
