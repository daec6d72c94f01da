// Exposure of the place by currency and by sector, as bars: long to the right, short to the left.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { signedColumn } from "../amounts/columns";
import { leftOut, sumUnknown } from "../amounts/reasons";
import type { Column, Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { link, nodes, useTable } from "../live/engine";
import { painted } from "../live/painting";
import { totalsOf } from "../live/place";
import type { Place } from "../settings/address";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import type { Table } from "../store/table";
import { direction, exactText, percentText, sizeText } from "../words/numbers";
import { barLines, countsInShorthand, TOTAL } from "./lines";

const UNNAMED = "(none)";

function nameColumn(id: string, label: string, title: string, width: number): Column {
  return {
    id, label, title, width, left: true, tints: false,
    value: ({ row }) => textOf(row, "name") || textOf(row, id), text: ({ row }) => textOf(row, "name") || textOf(row, id) || UNNAMED, hover: ({ row }) => leftOut(row),
  };
}

/** The bar of a net exposure against the largest; `marked` says whether it is drawn strong. */
function barColumn(largest: () => number, marked: (row: Row) => boolean, title: string): Column {
  return {
    id: "bar", label: "Short \u2502 long", title, width: 88, elastic: 44, tints: false,
    value: ({ row }) => numberOf(row, "net"),
    text: () => "",
    tone: ({ row, kind }) => (kind === "total" ? "" : `net-bar ${marked(row) ? "counted " : ""}${direction(numberOf(row, "net"), exactText(numberOf(row, "net")))} priced`),
    hover: ({ row }) => exactText(numberOf(row, "net")),
    bar: ({ row, kind }) => {
      const [net, most] = [numberOf(row, "net"), largest()];
      return kind === "total" || net === null || most === 0 ? null : net / most;
    },
  };
}

const amount = (id: string, label: string, title: string, more: Partial<Pick<Column, "optional" | "width">> = {}): Column =>
  filled(signedColumn(id, label, title, "priced", (line) => sumUnknown(line.row), leftOut, { width: 126, ...more }));

/** Totals that lack an amount say nothing of it. */
const filled = (column: Column): Column => ({ ...column, text: (line) => (column.id in line.row ? column.text(line) : "") });

function useBars(table: Table): { paint: (grid: LiveGrid, totals: Line[]) => void; largest: () => number } {
  const changes = useMemo(() => table.follow(), [table]);
  useEffect(() => () => table.unfollow(changes), [table, changes]);
  const largest = useRef(0);
  return {
    largest: () => largest.current,
    paint: (grid, totals) => {
      if (!changes.none) {
        largest.current = [...table.rows.values()].reduce((most, row) => Math.max(most, Math.abs(numberOf(row, "net") ?? 0)), 0);
        grid.show(barLines(table.rows), "all");
        grid.refresh(["bar"]); // every bar is drawn against the largest
        changes.clear();
      }
      grid.pin(table.filled ? totals : []);
    },
  };
}

const totalLine = (row: Row): Line => ({ key: TOTAL, kind: "total", row, parent: "", level: 0, open: null, place: 0 });

export function CurrencyBars({ place }: { place: Place }): JSX.Element {
  const table = useTable({ view: "exposure", by: "currency", ...place });
  const latest = useRef(table);
  latest.current = table;
  const bars = useBars(table);
  const largest = useRef(bars.largest);
  largest.current = bars.largest;
  void painted.value;
  const columns = useMemo((): readonly Column[] => [
    nameColumn("currency", "Currency", "Currency; metals and cryptos by their own names", 112),
    barColumn(() => largest.current(), (row) => countsInShorthand(row, latest.current.summary, link.connection.reportingCurrency),
      "Net open position against the largest; strong bars count in the shorthand position: the larger side, and gold on either"),
    amount("net", "Net", "Net open position, reporting currency"),
    amount("net_local", "Net local", "Net open position in the currency itself", { width: 116, optional: 420 }),
    amount("long", "Long", "Of the net, what is long", { optional: true }),
    amount("short", "Short", "Of the net, what is short", { optional: true }),
  ], []);
  const shorthand = numberOf(table.summary ?? undefined, "shorthand");
  return (
    <GridPanel
      name="currencies"
      label="Exposure by currency"
      columns={columns}
      paint={(grid) => bars.paint(grid, [totalLine({ name: "Shorthand", net: shorthand, unpriced_count: table.summary?.["unpriced_count"] ?? null })])}
    >
      <h2>Currencies</h2>
    </GridPanel>
  );
}

export function SectorBars({ place }: { place: Place }): JSX.Element {
  const table = useTable({ view: "exposure", by: "sector", ...place });
  const owners = useTable("dealer" in place ? { view: "dealers" } : { view: "nodes" });
  const bars = useBars(table);
  const largest = useRef(bars.largest);
  largest.current = bars.largest;
  void painted.value;
  const columns = useMemo((): readonly Column[] => [
    nameColumn("sector", "Sector", "Sector; (none) for instruments without one, such as pairs", 156),
    barColumn(() => largest.current(), () => true, "Net exposure against the largest"),
    amount("net", "Net", "Net exposure, reporting currency; the rows add up to that of the node"),
    {
      id: "percent", label: "%", title: "Share of the net in all longs and shorts together", width: 80, optional: 400,
      value: ({ row }) => numberOf(row, "percent"), text: ({ row, kind }) => (kind === "total" ? "" : percentText(numberOf(row, "percent"))),
      tone: ({ row }) => (numberOf(row, "percent") === null ? "unknown" : "priced"), hover: ({ row }) => exactText(numberOf(row, "percent")),
    },
    amount("long", "Long", "Of the net, what is long", { optional: true }),
    amount("short", "Short", "Of the net, what is short", { optional: true }),
  ], []);
  const owner = totalsOf(place, "dealer" in place ? owners : nodes);
  const count = numberOf(table.summary ?? undefined, "sector_count");
  return (
    <GridPanel
      name="sectors"
      label="Exposure by sector"
      columns={columns}
      paint={(grid) => bars.paint(grid, owner === undefined ? [] : [totalLine({ name: "Net exposure", net: owner["net_exposure"] ?? null, unpriced_count: owner["unpriced_count"] ?? null })])}
    >
      <h2>Sectors</h2>
      {count !== null && count > 0 && <span class="quiet">{sizeText(count)}</span>}
    </GridPanel>
  );
}
