// The lines of a ladder: open positions, grouped if wished, the flat ones folded into one line, and sums that add up to the
// total.

import type { Line } from "../grid/column";
import type { Row } from "../store/messages";
import { numberOf } from "../store/rows";

/** Fields of a position that add up. */
export const ADDITIVE = [
  "total_pnl", "realised_pnl", "unrealised_pnl", "fees", "market_value", "delta_cash", "gamma_cash", "vega", "theta",
  "day_pnl", "day_position_pnl", "day_carry_pnl", "day_trading_pnl", "day_translation_pnl", "correction_pnl", "net_day_pnl",
  "month_pnl", "year_pnl",
] as const;

export type Arrangement = {
  /** The group of a position, or null where nothing is grouped. */
  readonly groupOf: ((row: Row) => string) | null;
  readonly isClosed: (key: string) => boolean;
  readonly showFlat: boolean;
  /** Positions that show what is behind them. */
  readonly details: ReadonlySet<string>;
};

export const FLAT = "flat";
export const DETAIL = "/detail";

export const isFlat = (row: Row): boolean => numberOf(row, "quantity") === 0;

/** Lines of a table's rows by their keys, groups and instruments by name. */
export function ladderLines(rows: ReadonlyMap<string, Row>, how: Arrangement): Line[] {
  const named = [...rows].toSorted(([, one], [, other]) => (String(one["instrument"]) < String(other["instrument"]) ? -1 : 1));
  const open = named.filter(([, row]) => !isFlat(row));
  const flat = named.filter(([, row]) => isFlat(row));
  const lines: Line[] = [];
  if (how.groupOf === null) {
    for (const [key, row] of open) addPosition(lines, key, row, "", 0, how);
  } else {
    for (const [name, members] of grouped(open, how.groupOf)) {
      const key = `group:${name}`;
      const isOpen = !how.isClosed(key);
      lines.push({ key, kind: "group", row: { ...sumOf(members.map(([, row]) => row)), name }, parent: "", level: 0, open: isOpen, place: lines.length });
      if (isOpen) for (const [member, row] of members) addPosition(lines, member, row, key, 1, how);
    }
  }
  if (flat.length > 0) {
    const sum = sumOf(flat.map(([, row]) => row));
    lines.push({ key: FLAT, kind: "fold", row: { ...sum, name: `${flat.length} flat` }, parent: "", level: 0, open: how.showFlat, place: lines.length });
    if (how.showFlat) for (const [key, row] of flat) addPosition(lines, key, row, FLAT, 1, how);
  }
  return lines;
}

/** A position, and below it what is behind it where that is open. */
export function addPosition(lines: Line[], key: string, row: Row, parent: string, level: number, how: Arrangement): void {
  const isOpen = how.details.has(key);
  lines.push({ key, kind: "row", row, parent, level, open: isOpen, place: lines.length });
  if (isOpen) lines.push({ key: key + DETAIL, kind: "detail", row, parent: key, level: level + 1, open: null, place: lines.length });
}

function grouped(rows: [string, Row][], groupOf: (row: Row) => string): [string, [string, Row][]][] {
  const found = new Map<string, [string, Row][]>();
  for (const entry of rows) {
    const name = groupOf(entry[1]);
    const members = found.get(name);
    if (members === undefined) found.set(name, [entry]);
    else members.push(entry);
  }
  return [...found].toSorted(([one], [other]) => (one < other ? -1 : 1));
}

/** The line on top: the engine's own row of what the rows add up to, with the market value that it does not have. */
export function totalLine(owner: Row, rows: readonly Row[]): Line {
  const { market_value = null } = sumOf(rows);
  return { key: "total", kind: "total", row: { ...owner, market_value, name: "Total" }, parent: "", level: 0, open: null, place: 0 };
}

/** What is known of each field, added up; unknown where nothing is. `unpriced_count` says how many rows are left out. */
export function sumOf(rows: readonly Row[]): Row {
  const sum: Row = {};
  for (const field of ADDITIVE) {
    let total: number | null = rows.length === 0 ? 0 : null;
    for (const row of rows) {
      const value = numberOf(row, field);
      if (value !== null) total = (total ?? 0) + value;
    }
    sum[field] = total;
  }
  sum["unpriced_count"] = rows.filter((row) => numberOf(row, "total_pnl") === null).length;
  sum["stale_count"] = rows.filter((row) => row["stale"] === true).length;
  sum["day_unknown_count"] = rows.filter((row) => numberOf(row, "day_pnl") === null).length;
  sum["day_start_ts"] = rows[0]?.["day_start_ts"] ?? null;
  sum["trade_count"] = rows.reduce((all, row) => all + (numberOf(row, "trade_count") ?? 0), 0);
  return sum;
}
