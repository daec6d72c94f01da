// The lines of a risk: options and their hedges below their underlying or their bucket of expiries, which carry the engine's own
// sums. Pure.

import type { Line } from "../grid/column";
import type { Row } from "../store/messages";
import { isTrue, numberOf, rowsOf, textOf } from "../store/rows";
import { countText } from "../words/numbers";

/** What stands beside the rows, as the engine sends it. */
export type Sums = Row | null;

/** Amounts that add up, all in the reporting currency. */
export const ADDED = [
  "delta_cash", "gamma_cash", "vega", "theta", "rho_quote", "rho_base", "vanna", "volga", "total_pnl",
] as const;

export const TOTAL = "total";
export const LISTED = "listed";
const DETAIL = "/detail";

const BUCKETS: readonly (readonly [name: string, mostDays: number])[] = [
  ["1W", 7], ["1M", 31], ["3M", 92], ["6M", 184], ["1Y", 366], ["2Y", 731], ["later", Infinity],
];
const DAY_MS = 86_400_000;

/** The bucket of an expiry, as the engine counts: days from today in UTC; what has no expiry is in the first. */
export function bucketOf(expiry: string, asOf: number | null): string {
  const day = Date.parse(`${expiry.slice(0, 10)}T00:00:00Z`);
  const today = asOf === null ? Number.NaN : Math.floor(asOf / 1000 / DAY_MS) * DAY_MS;
  const ahead = Number.isNaN(day) || Number.isNaN(today) ? 0 : Math.round((day - today) / DAY_MS);
  return (BUCKETS.find(([, most]) => ahead <= most) ?? BUCKETS[0] ?? ["1W", 0])[0];
}

export const isOption = (row: Row): boolean => textOf(row, "option_type") !== "";

export type Arrangement = {
  readonly byExpiry: boolean;
  readonly isClosed: (key: string) => boolean;
  readonly asOf: number | null;
  /** Positions that show what is behind them. */
  readonly details: ReadonlySet<string>;
};

/** The lines of rows by their keys. */
export function riskLines(rows: ReadonlyMap<string, Row>, sums: Sums, how: Arrangement): Line[] {
  const lines: Line[] = [];
  const field = how.byExpiry ? "bucket" : "underlying";
  const groupOf = (row: Row): string => (how.byExpiry ? bucketOf(textOf(row, "expiry"), how.asOf) : textOf(row, "underlying"));
  const members = grouped([...rows].toSorted(([, one], [, other]) => compareRows(one, other, how.byExpiry)), groupOf);
  const known = new Map(rowsOf(sums ?? undefined, how.byExpiry ? "by_expiry" : "by_underlying").map((row) => [textOf(row, field), row]));
  const names = [...known.keys()].filter((name) => members.has(name));
  for (const name of [...names, ...[...members.keys()].filter((name) => !known.has(name))]) {
    const key = `group:${name}`;
    const open = !how.isClosed(key);
    const label = how.byExpiry ? `${name === "later" ? "Later" : `Within ${name}`}` : name;
    lines.push({ key, kind: "group", row: { ...known.get(name), name: label }, parent: "", level: 0, open, place: lines.length });
    if (open) addMembers(lines, members.get(name) ?? [], key, how);
  }
  return lines;
}

/** Below an underlying, options of one date stand under a line of that date; a date with a single option needs none. */
function addMembers(lines: Line[], members: readonly [string, Row][], parent: string, how: Arrangement): void {
  const dateOf = (row: Row): string => (isOption(row) && !how.byExpiry ? textOf(row, "expiry") : "");
  const dates = grouped(members, dateOf);
  const opened = new Set<string>();
  for (const [key, row] of members) {
    const date = dateOf(row);
    const together = date === "" ? [] : (dates.get(date) ?? []);
    if (together.length < 2) {
      addRow(lines, key, row, parent, 1, how);
      continue;
    }
    const dateKey = `${parent}/${date}`;
    if (opened.has(dateKey)) continue;
    opened.add(dateKey);
    const open = !how.isClosed(dateKey);
    const sum = sumOf(together.map(([, each]) => each));
    lines.push({ key: dateKey, kind: "group", row: { ...sum, name: countText(together.length, "option"), expiry: date }, parent, level: 1, open, place: lines.length });
    if (open) for (const [each, below] of together) addRow(lines, each, below, dateKey, 2, how);
  }
}

function grouped(entries: readonly [string, Row][], groupOf: (row: Row) => string): Map<string, [string, Row][]> {
  const found = new Map<string, [string, Row][]>();
  for (const entry of entries) {
    const name = groupOf(entry[1]);
    const members = found.get(name);
    if (members === undefined) found.set(name, [entry]);
    else members.push(entry);
  }
  return found;
}

function addRow(lines: Line[], key: string, row: Row, parent: string, level: number, how: Arrangement): void {
  const open = how.details.has(key);
  lines.push({ key, kind: "row", row, parent, level, open, place: lines.length });
  if (open) lines.push({ key: key + DETAIL, kind: "detail", row, parent: key, level: level + 1, open: null, place: lines.length });
}

/** Options by expiry, strike and name, then hedges by name; among several underlyings these first within a date. */
function compareRows(one: Row, other: Row, byExpiry: boolean): number {
  const order = (row: Row): (string | number)[] => {
    const when = isOption(row) ? textOf(row, "expiry") : byExpiry ? textOf(row, "expiry") || "9999" : "9999";
    return [...(byExpiry ? [when, textOf(row, "underlying")] : [textOf(row, "underlying"), isOption(row) ? 0 : 1, when]),
      isOption(row) ? 0 : 1, numberOf(row, "strike") ?? 0, textOf(row, "instrument")];
  };
  const [left, right] = [order(one), order(other)];
  for (const [at, value] of left.entries()) {
    const against = right[at] ?? "";
    if (value !== against) return value < against ? -1 : 1;
  }
  return 0;
}

/** What is known of each amount, added up; unknown where nothing is. `unknown` has by amount how many rows it lacks. */
export function sumOf(rows: readonly Row[]): Row {
  const sum: Row = {};
  const unknown: Row = {};
  for (const field of ADDED) {
    const known = rows.flatMap((row) => numberOf(row, field) ?? []);
    sum[field] = known.length === 0 && rows.length > 0 ? null : known.reduce((all, value) => all + value, 0);
    if (known.length < rows.length) unknown[field] = rows.length - known.length;
  }
  sum["unknown"] = unknown;
  sum["option_count"] = rows.filter(isOption).length;
  sum["stale_count"] = rows.filter((row) => isTrue(row, "stale")).length;
  return sum;
}

/** The sum of the engine's sums by underlying: everything that is listed. */
export function listedOf(sums: Sums): Row {
  const groups = rowsOf(sums ?? undefined, "by_underlying");
  const listed: Row = {};
  const unknown: Row = {};
  for (const field of [...ADDED, "hedge_delta_cash"]) {
    const known = groups.flatMap((row) => numberOf(row, field) ?? []);
    listed[field] = known.length === 0 && groups.length > 0 ? null : known.reduce((all, value) => all + value, 0);
    const lacking = groups.reduce((all, row) => all + (numberOf(rowIn(row), field) ?? 0), 0);
    if (lacking > 0) unknown[field] = lacking;
  }
  for (const field of ["option_count", "hedge_count", "stale_count"]) listed[field] = groups.reduce((all, row) => all + (numberOf(row, field) ?? 0), 0);
  return { ...listed, unknown, name: "Listed below" };
}

const rowIn = (row: Row): Row => {
  const unknown = row["unknown"];
  return typeof unknown === "object" && unknown !== null && !Array.isArray(unknown) ? unknown : {};
};

/** How many rows a sum lacks of an amount. */
export const lacking = (row: Row, field: string): number => numberOf(rowIn(row), field) ?? 0;

/** Exposures with their bars: the largest first, what is not known last. */
export function barLines(rows: ReadonlyMap<string, Row>): Line[] {
  const size = (row: Row): number => {
    const net = numberOf(row, "net");
    return net === null ? -1 : Math.abs(net);
  };
  return [...rows]
    .toSorted(([, one], [, other]) => size(other) - size(one))
    .map(([key, row], place) => ({ key, kind: "row", row, parent: "", level: 0, open: null, place }));
}

/** Whether a currency counts in the shorthand position: it lies on the larger of the two sides, or is gold. */
export function countsInShorthand(row: Row, figures: Row | null, reportingCurrency: string): boolean {
  const [net, long, short] = [numberOf(row, "net"), numberOf(figures ?? undefined, "long"), numberOf(figures ?? undefined, "short")];
  const currency = textOf(row, "currency");
  if (net === null || net === 0 || long === null || short === null || currency === reportingCurrency) return false;
  return currency === "XAU" || (long >= -short ? net > 0 : net < 0);
}
