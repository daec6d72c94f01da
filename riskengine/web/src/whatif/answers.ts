// What a check and a what-if answer, as lines of grids and as sentences. Pure.

import type { Line } from "../grid/column";
import type { Json, Row } from "../store/messages";
import { numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import { countText } from "../words/numbers";

/** What a what-if says of a node: field, name, and what the numbers are; losses are above 0 and have no colour of a sign. */
export const MEASURES: readonly (readonly [field: string, label: string, kind: "amount" | "loss" | "count"])[] = [
  ["total_pnl", "Total P&L", "amount"],
  ["net_exposure", "Net", "amount"],
  ["gross_exposure", "Gross", "amount"],
  ["long_exposure", "Long", "amount"],
  ["short_exposure", "Short", "amount"],
  ["delta_cash", "Delta cash", "amount"],
  ["gamma_cash", "Gamma 1 %", "amount"],
  ["vega", "Vega", "amount"],
  ["theta", "Theta", "amount"],
  ["var", "VaR", "loss"],
  ["es", "ES", "loss"],
  ["position_count", "Positions", "count"],
  ["unpriced_count", "Unpriced", "count"],
];

/** A line of each node, and below it one of each number before and after. */
export function beforeAfterLines(answer: Row | undefined, isClosed: (key: string) => boolean): Line[] {
  const lines: Line[] = [];
  for (const row of rowsOf(answer, "rows")) {
    const node = textOf(row, "node");
    const key = `node:${node}`;
    const open = !isClosed(key);
    lines.push({ key, kind: "group", row: { name: node }, parent: "", level: 0, open, place: lines.length });
    const [before, after, change] = [rowOf(row, "before"), rowOf(row, "after"), rowOf(row, "change")];
    for (const [field, label, kind] of open ? MEASURES : []) {
      if (!(field in (before ?? {}))) continue; // VaR that was not asked for
      const told = (side: Row | undefined): Json => side?.[field] ?? null;
      const without = { before: numberOf(before, "unpriced_count"), after: numberOf(after, "unpriced_count") };
      lines.push({ key: `${key}/${field}`, kind: "row", row: { name: label, kind, before: told(before), after: told(after), change: told(change), without }, parent: key, level: 1, open: null, place: lines.length });
    }
  }
  return lines;
}

/** Why a number before or after is not there. */
export function sideUnknown(row: Row, side: "before" | "after"): string {
  const without = numberOf(rowOf(row, "without"), side) ?? 0;
  return without > 0 ? `${countText(without, "position")} of the node cannot be valued` : "not known";
}

const OUTCOMES = ["refuse", "unknown", "warn", "pass"];
const MARKS: Readonly<Record<string, string>> = { refuse: "\u2716 refuse", unknown: "? unknown", warn: "! warn", pass: "\u2713 pass" };

export const outcomeText = (outcome: string): string => MARKS[outcome] ?? outcome;
export const outcomeTone = (outcome: string): string => (outcome === "refuse" ? "alarm" : outcome === "pass" ? "quiet" : "fair");

/** The rules of a check, the worst first; `lineOf` says on which line of the text a trade stands. */
export function ruleLines(answer: Row | undefined, lineOf: (trade: number) => number): Line[] {
  const worst = (row: Row): number => OUTCOMES.indexOf(textOf(row, "outcome"));
  return rowsOf(answer, "rules")
    .map((row, at): [Row, string] => {
      const trade = numberOf(row, "trade");
      return [{ ...row, measure: textOf(row, "rule"), on: trade === null ? "all" : `line ${lineOf(trade)}` }, `${textOf(row, "rule")} ${textOf(row, "line")} ${trade ?? ""} ${at}`];
    })
    .toSorted(([one], [other]) => worst(one) - worst(other))
    .map(([row, key], place) => ({ key, kind: "row", row, parent: "", level: 0, open: null, place }));
}

/** `refuse: 1 of 9 rules`. */
export function outcomeWords(answer: Row): string {
  const outcome = textOf(answer, "outcome");
  const rules = rowsOf(answer, "rules");
  const count = rules.filter((row) => textOf(row, "outcome") === outcome).length;
  return `${outcomeText(outcome)}: ${count} of ${countText(rules.length, "rule")}`;
}

/** What the numbers after are without, and what stood still: sentences for the reader. */
export function reservations(answer: Row): string[] {
  const names = (field: string): string => {
    const rows = rowsOf(answer, field);
    const shown = rows.slice(0, 4).map((row) => `${textOf(row, "instrument")} (${textOf(row, "reason")})`);
    return rows.length === 0 ? "" : [...shown, ...(rows.length > shown.length ? [`${rows.length - shown.length} more`] : [])].join(", ");
  };
  const [unvalued, unshifted] = [names("unvalued"), names("unshifted")];
  return [
    ...(unvalued === "" ? [] : [`after is without ${unvalued}`]),
    ...(unshifted === "" ? [] : [`stands still: ${unshifted}`]),
    ...rowsOf(answer, "standing").map((row) => `shift ${(numberOf(row, "index") ?? 0) + 1} found ${countText(numberOf(row, "instruments") ?? 0, "instrument")} without a price or vol`),
  ];
}
