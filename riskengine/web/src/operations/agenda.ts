// What /v1/today says, put together for the top of the page.

import type { Row } from "../store/messages";
import { textOf } from "../store/rows";

export type Dues = { readonly due: string; readonly pairs: readonly string[]; readonly reasons: readonly string[] };

/** Spot pairs by when they settle, the nearest first; with them the holidays that make a date later than usual. */
export function duesOf(rows: readonly Row[]): Dues[] {
  const found = new Map<string, { pairs: string[]; reasons: Set<string> }>();
  for (const row of rows) {
    if (textOf(row, "kind") !== "value_date") continue;
    const due = textOf(row, "due");
    const group = found.get(due) ?? { pairs: [], reasons: new Set<string>() };
    group.pairs.push(textOf(row, "name"));
    const what = textOf(row, "what");
    if (what !== "") group.reasons.add(what.replace("later than usual: ", ""));
    found.set(due, group);
  }
  return [...found].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([due, { pairs, reasons }]) => ({ due, pairs, reasons: [...reasons] }));
}

/** Rows of these kinds, in the engine's order. */
export const ofKinds = (rows: readonly Row[], ...kinds: string[]): Row[] => rows.filter((row) => kinds.includes(textOf(row, "kind")));

const weekday = new Intl.DateTimeFormat(typeof navigator === "undefined" ? "en-US" : navigator.language, { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });

const short = new Intl.DateTimeFormat(typeof navigator === "undefined" ? "en-US" : navigator.language, { day: "numeric", month: "short", timeZone: "UTC" });

/** Dec 3 */
export const shortDate = (date: string): string => (Number.isNaN(Date.parse(`${date}T00:00:00Z`)) ? date : short.format(Date.parse(`${date}T00:00:00Z`)));

/** A date as people say it: Thu, Dec 3. What is no date is shown as it is. */
export function dateText(date: string): string {
  const ms = Date.parse(`${date}T00:00:00Z`);
  return Number.isNaN(ms) ? date : weekday.format(ms);
}
