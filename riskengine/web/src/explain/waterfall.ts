// From the P&L of one instant to that of another, step by step: what a waterfall draws. Pure.

import type { Line } from "../grid/column";
import type { Row } from "../store/messages";
import { isTrue, numberOf, rowOf, rowsOf, textOf, textsOf } from "../store/rows";
import { amountText, countText } from "../words/numbers";
import { asOfText, readTime } from "../words/moments";

/** The lines in the order of the engine's answer: name, label, and what it is. */
export const LINES: readonly (readonly [name: string, label: string, title: string])[] = [
  ["price", "Price", "Price changes of what was held; of options their move stands in the next four"],
  ["delta", "Delta", "Of options: the move of spot times delta"],
  ["gamma", "Gamma", "Of options: half the square of the move times gamma"],
  ["vega", "Vega", "Of options: the move of vol times vega"],
  ["theta", "Theta", "Of options: the time that went by"],
  ["trades", "Trades", "Trades since, from their price to the mark at the end"],
  ["carry", "Carry", "Dividends and financing since"],
  ["translation", "Translation", "Rate changes on what was brought forward"],
  ["corrections", "Corrections", "What was corrected since about trades from before"],
  ["unpriced", "Unpriced", "The whole change of what has no price or rate at one end"],
  ["unexplained", "Unexplained", "Of options: what the Greeks leave over; exactly 0 of all else"],
  ["fees", "Fees", "Fees since; a cost is negative"],
];

export type Step = {
  readonly id: string;
  readonly label: string;
  readonly title: string;
  readonly kind: "end" | "line";
  /** null is unknown: it has no bar, and moves nothing. */
  readonly value: number | null;
  /** Where its bar begins and ends, as fractions from the left. */
  readonly from: number;
  readonly to: number;
};

/** A part of the width that stays free on both sides. */
const PAD = 0.04;

/** The steps from `from.net_pnl` over each line to `to.net_pnl`. The scale holds all of them; it need not begin at 0. */
export function waterfall(answer: Row | undefined): Step[] {
  if (answer === undefined) return [];
  const lines = rowOf(answer, "lines");
  const ends = [numberOf(rowOf(answer, "from"), "net_pnl"), numberOf(rowOf(answer, "to"), "net_pnl")] as const;
  let reached = ends[0] ?? 0;
  const steps = LINES.map(([id, label, title]) => {
    const value = numberOf(lines, id);
    const from = reached;
    reached += value ?? 0;
    return { id, label, title, kind: "line" as const, value, from, to: reached };
  });
  const places = [ends[0] ?? 0, ends[1] ?? reached, ...steps.map(({ to }) => to)];
  const [low, high] = [Math.min(...places), Math.max(...places)];
  const at = (value: number): number => (high === low ? 0.5 : PAD + ((1 - 2 * PAD) * (value - low)) / (high - low));
  const end = (id: string, label: string, value: number | null): Step => ({ id, label, title: "Net P&L then, after fees", kind: "end", value, from: at(value ?? 0), to: at(value ?? 0) });
  return [
    end("from", instantText(rowOf(answer, "from"), "Began"), ends[0]),
    ...steps.map((step) => ({ ...step, from: at(step.from), to: at(step.to) })),
    end("to", instantText(rowOf(answer, "to"), "Ended"), ends[1]),
  ];
}

/** `Close of 2026-11-30`, or the word and the time stands elsewhere. */
export const instantText = (end: Row | undefined, word: string): string => (textOf(end, "close") ? `Close of ${textOf(end, "close")}` : word);

/** What must be known before one believes it: what is beyond the tolerance, what lacks, what could not be restored. */
export function reservations(answer: Row): string[] {
  const said: string[] = [];
  const unexplained = numberOf(rowOf(answer, "lines"), "unexplained");
  if (isTrue(answer, "alarmed")) said.push(`${amountText(unexplained)} is unexplained, more than the tolerance of ${amountText(numberOf(answer, "tolerance")).replace(/^\+/, "")}`);
  for (const end of ["from", "to"] as const) {
    const row = rowOf(answer, end);
    const unpriced = numberOf(row, "unpriced_count") ?? 0;
    if (unpriced > 0) said.push(`${end === "from" ? "at the beginning" : "at the end"} ${countText(unpriced, "position")} of unknown worth`);
    for (const text of textsOf(row, "unknown") ?? []) said.push(`${end === "from" ? "at the beginning" : "at the end"}: ${text}`);
  }
  return said;
}

/** Whether nothing of an instrument is known: its sums are 0 only because they are of what is. */
const isUnknown = (row: Row): boolean => textOf(row, "reason") !== "" && numberOf(row, "net_pnl") === 0 && LINES.every(([name]) => !numberOf(row, name));

/** The instruments, what moved most first and what is unknown last. */
export function instrumentLines(answer: Row | undefined): Line[] {
  const size = (row: Row): number => {
    const value = numberOf(row, "net_pnl");
    return value === null ? -1 : Math.abs(value);
  };
  return rowsOf(answer, "rows")
    .map((row) => (isUnknown(row) ? { ...row, net_pnl: null, unpriced: null } : row))
    .toSorted((one, other) => size(other) - size(one))
    .map((row, place) => ({ key: `=${textOf(row, "instrument")}`, kind: "row", row, parent: "", level: 0, open: null, place }));
}

/** An instant as it is typed: empty is the engine's own, a date its close, a time a moment. null cannot be read. */
export function readInstant(text: string, now: number): string | null {
  const typed = text.trim();
  if (typed === "" || /^\d{4}-\d{2}-\d{2}$/.test(typed)) return typed;
  const ts = readTime(typed, now);
  return ts === null ? null : asOfText(ts);
}
