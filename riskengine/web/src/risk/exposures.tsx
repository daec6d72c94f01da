// Exposure of the place by currency and by sector, as bars: long to the right, short to the left.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { signedColumn } from "../amounts/columns";
import { type Bound, boundOf, boundText, netTicks, scaleWith } from "../amounts/limit_rows";
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

/** Where the bars of a grid end, and which limit bounds the number of a line. */
type Scale = { readonly most: () => number; readonly boundOf: (line: Line) => Bound | null };

/** The bar of a total: as far as it or its own limit. */
const ownScale = (line: Line, bound: Bound | null): number => Math.max(Math.abs(numberOf(line.row, "net") ?? 0), Math.abs(bound?.low ?? 0), Math.abs(bound?.high ?? 0));

/** The bar of a net exposure against the largest, with ticks where limits stand; `marked` says whether it is drawn strong. */
function barColumn({ most, boundOf }: Scale, marked: (row: Row) => boolean, title: string): Column {
  const scaleOf = (line: Line): number => (line.kind === "total" ? ownScale(line, boundOf(line)) : most());
  const isDrawn = (line: Line): boolean => line.kind !== "total" || boundOf(line) !== null;
  return {
    id: "bar", label: "Short \u2502 long", title, width: 88, elastic: 44, tints: false,
    value: ({ row }) => numberOf(row, "net"),
    text: () => "",
    tone: (line) => (isDrawn(line) ? `net-bar ${marked(line.row) ? "counted " : ""}${direction(numberOf(line.row, "net"), exactText(numberOf(line.row, "net")))} priced` : ""),
    hover: (line) => [exactText(numberOf(line.row, "net")), boundText(boundOf(line))].filter(Boolean).join("; "),
    bar: (line) => {
      const [net, scale] = [numberOf(line.row, "net"), scaleOf(line)];
      return !isDrawn(line) || net === null || scale === 0 ? null : net / scale;
    },
    ticks: (line) => netTicks(boundOf(line), scaleOf(line)),
  };
}

const amount = (id: string, label: string, title: string, more: Partial<Pick<Column, "optional" | "width">> = {}): Column =>
  filled(signedColumn(id, label, title, "priced", (line) => sumUnknown(line.row), leftOut, { width: 126, ...more }));

/** Totals that lack an amount say nothing of it. */
const filled = (column: Column): Column => ({ ...column, text: (line) => (column.id in line.row ? column.text(line) : "") });

type Bars = Scale & { paint: (grid: LiveGrid, totals: Line[]) => void };

/** Bars of a table's rows; `nameOf` says of a line which limit bounds it. */
function useBars(table: Table, place: Place, nameOf: (line: Line) => readonly [measure: string, currency: string] | null): Bars {
  const limits = useTable({ view: "limits" });
  const [changes, bounded] = useMemo(() => [table.follow(), limits.follow()], [table, limits]);
  useEffect(() => () => [() => table.unfollow(changes), () => limits.unfollow(bounded)].forEach((end) => end()), [table, limits, changes, bounded]);
  const most = useRef(0);
  const bounds = useRef(new Map<string, Bound | null>());
  const latest = useRef(place);
  if (JSON.stringify(latest.current) !== JSON.stringify(place)) bounded.noteAll();
  latest.current = place;
  const boundOfLine = (line: Line): Bound | null => {
    if (bounds.current.has(line.key)) return bounds.current.get(line.key) ?? null;
    const named = nameOf(line);
    const bound = named === null ? null : boundOf(limits.rows.values(), latest.current, ...named);
    bounds.current.set(line.key, bound);
    return bound;
  };
  return {
    most: () => most.current,
    boundOf: boundOfLine,
    paint: (grid, totals) => {
      if (!changes.none || !bounded.none) {
        bounds.current.clear();
        const lines = barLines(table.rows);
        const largest = lines.reduce((found, { row }) => Math.max(found, Math.abs(numberOf(row, "net") ?? 0)), 0);
        most.current = scaleWith(largest, lines.map(boundOfLine));
        grid.show(lines, "all");
        grid.refresh(["bar"]); // every bar is drawn against the largest
        changes.clear();
        bounded.clear();
      }
      grid.pin(table.filled ? totals : []);
    },
  };
}

/** The scale of now, for columns that are made once. */
function useScale(bars: Bars): Scale {
  const latest = useRef(bars);
  latest.current = bars;
  return useMemo(() => ({ most: () => latest.current.most(), boundOf: (line: Line) => latest.current.boundOf(line) }), []);
}

const boundOfCurrency = ({ kind, row }: Line): readonly [string, string] => (kind === "total" ? ["shorthand", ""] : ["net_open_position", textOf(row, "currency")]);
const boundOfSector = ({ kind }: Line): readonly [string, string] | null => (kind === "total" ? ["net_exposure", ""] : null);

const totalLine = (row: Row): Line => ({ key: TOTAL, kind: "total", row, parent: "", level: 0, open: null, place: 0 });

export function CurrencyBars({ place }: { place: Place }): JSX.Element {
  const table = useTable({ view: "exposure", by: "currency", ...place });
  const latest = useRef(table);
  latest.current = table;
  const bars = useBars(table, place, boundOfCurrency);
  const scale = useScale(bars);
  void painted.value;
  const columns = useMemo((): readonly Column[] => [
    nameColumn("currency", "Currency", "Currency; metals and cryptos by their own names", 112),
    barColumn(scale, (row) => countsInShorthand(row, latest.current.summary, link.connection.reportingCurrency),
      "Net open position against the largest; strong bars count in the shorthand position: the larger side, and gold on either. Ticks: limits, and where they warn"),
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
  const bars = useBars(table, place, boundOfSector);
  const scale = useScale(bars);
  void painted.value;
  const columns = useMemo((): readonly Column[] => [
    nameColumn("sector", "Sector", "Sector; (none) for instruments without one, such as pairs", 156),
    barColumn(scale, () => true, "Net exposure against the largest; that of the total against its limit"),
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
