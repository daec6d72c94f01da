// What an answer about VaR says: figures, why there are none, and the lines of its parts. Pure.

import type { Line } from "../grid/column";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import { countText } from "../words/numbers";

/** Why a figure is null. */
export function varUnknown(answer: Row): string {
  const [have, fewest] = [numberOf(answer, "scenarios") ?? 0, numberOf(answer, "fewest") ?? 0];
  if (have < fewest) return `${countText(have, "scenario")}, and ${fewest} are needed: ${textOf(answer, "method") === "intraday" ? "it takes an hour from the start" : "load more closes"}`;
  return "nothing that is held has a history";
}

/** What is not in the figures, in words; empty where all of it is. */
export function notInIt(answer: Row): string {
  const named = rowsOf(answer, "unknown");
  const shown = named.slice(0, 3).map((row) => `${textOf(row, "instrument")} (${textOf(row, "reason")})`);
  const aside = numberOf(answer, "set_aside") ?? 0;
  return [...shown, ...(named.length > shown.length ? [`${named.length - shown.length} more`] : []), ...(aside > 0 ? [`${countText(aside, "position")} set aside`] : [])].join(", ");
}

/** What ends with older closes, in words. */
export function carriedText(answer: Row): string {
  const carried = rowsOf(answer, "carried");
  return carried.length === 0 ? "" : `${countText(carried.length, "instrument")} carried over days without a close: ${carried.slice(0, 3).map((row) => `${textOf(row, "instrument")} in ${numberOf(row, "scenarios")}`).join(", ")}${carried.length > 3 ? ", .." : ""}`;
}

/** Its parts, with the share of each in the figure, the largest first and what is unknown last. */
export function partLines(answer: Row | undefined): Line[] {
  const whole = numberOf(answer, "var");
  const size = (row: Row): number => {
    const part = numberOf(row, "var_contribution");
    return part === null ? -1 : Math.abs(part);
  };
  return rowsOf(answer, "rows")
    .toSorted((one, other) => size(other) - size(one))
    .map((row, place) => {
      const [name, part] = [textOf(row, "node") || textOf(row, "instrument"), numberOf(row, "var_contribution")];
      const share = part === null || whole === null || whole === 0 ? null : (100 * part) / whole;
      return { key: `=${name}`, kind: "row", row: { ...row, name, share }, parent: "", level: 0, open: null, place };
    });
}

/** The scenarios, the worst first. */
export function scenarioLines(answer: Row | undefined): Line[] {
  return rowsOf(answer, "rows")
    .toSorted((one, other) => (numberOf(one, "pnl") ?? Infinity) - (numberOf(other, "pnl") ?? Infinity))
    .map((row, place) => ({ key: `=${textOf(row, "scenario")}`, kind: "row", row, parent: "", level: 0, open: null, place }));
}

/** `2 exceptions in 43 days, 4.3 expected; Kupiec 1.21, p 27.1 %`. */
export function backtestText(answer: Row): string {
  const [days, exceptions, expected, kupiec, chance] = ["days", "exceptions", "expected", "kupiec", "p_value"].map((name) => numberOf(answer, name));
  if (!days) return "no day has both VaR and P&L yet";
  const parts = [`${countText(exceptions ?? 0, "exception")} in ${countText(days, "day")}, ${(expected ?? 0).toFixed(1)} expected`];
  if (kupiec != null && chance != null) parts.push(`Kupiec ${kupiec.toFixed(2)}, p ${(100 * chance).toFixed(1)} %`);
  return parts.join("; ");
}

/** The traffic light in words: none is no green one. */
export const lightText = (answer: Row): string => textOf(answer, "light") || "no light: too few days to say";

/** Days of a backtest, the newest first. */
export function dayLines(answer: Row | undefined): Line[] {
  return rowsOf(answer, "rows")
    .toReversed()
    .map((row, place) => ({ key: `=${textOf(row, "date")}`, kind: "row", row, parent: "", level: 0, open: null, place }));
}
