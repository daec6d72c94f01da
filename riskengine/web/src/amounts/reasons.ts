// Why a number is not there, or not whole: shown wherever an em dash stands.

import type { Row } from "../store/messages";
import { isTrue, numberOf, textOf } from "../store/rows";
import { countText } from "../words/numbers";

export const SET_ASIDE = "quarantined: it broke an invariant; unknown until it has been compared with the store";
export const NO_DAY = "no close is struck yet: the trading day is not known";
const NOT_KNOWN = "not known yet";

/** Of a node, a dealer or a group: what its sums leave out; empty where they are whole. */
export function leftOut(row: Row): string {
  const unpriced = numberOf(row, "unpriced_count") ?? 0;
  if (unpriced === 0) return "";
  const broken = numberOf(row, "quarantined_count") ?? 0;
  return `without ${countText(unpriced, "position")} of which an amount is unknown${broken > 0 ? ` (${broken} quarantined)` : ""}`;
}

/** What a part of a position, or a sum of parts, says of all that it lacks; empty for everything else. */
const partWhy = (row: Row): string => textOf(row, "why");

export const sumUnknown = (row: Row): string => leftOut(row) || partWhy(row) || NOT_KNOWN;

export function dayUnknown(row: Row): string {
  if (partWhy(row) !== "") return partWhy(row);
  if (numberOf(row, "day_start_ts") === null) return NO_DAY;
  const without = numberOf(row, "day_unknown_count") ?? 0;
  if (without > 0) return `${countText(without, "position")} brought forward without a close: load it`;
  return numberOf(row, "total_pnl") === null ? sumUnknown(row) : "brought forward without a close: load it";
}

export function dayLeftOut(row: Row): string {
  const without = numberOf(row, "day_unknown_count") ?? 0;
  return without > 0 ? `without ${countText(without, "position")} that lack a close` : "";
}

const isFlat = (row: Row): boolean => numberOf(row, "quantity") === 0;

export function markUnknown(row: Row): string {
  return isFlat(row) ? "flat: needs no mark" : "unpriced: there is no quote and no close";
}

/** Why a side of the quote behind the mark is not there. */
export function sideUnknown(row: Row, side: "bid" | "ask"): string {
  if (partWhy(row) !== "") return partWhy(row);
  const other = side === "bid" ? "ask" : "bid";
  if (numberOf(row, other) !== null) return `the quote has no ${side}`;
  if (numberOf(row, "mark") === null) return markUnknown(row);
  return `the mark is a price alone: from ${textOf(row, "mark_source") || "the store"}, without bid and ask`;
}

export function priceUnknown(row: Row, field: string): string {
  if (isTrue(row, "quarantined")) return SET_ASIDE;
  if (isFlat(row)) return "flat: nothing is open";
  if (partWhy(row) !== "") return partWhy(row);
  if (field === "average_price") return "nets long and short positions, each with an average price of its own";
  return NOT_KNOWN;
}

export function pnlUnknown(row: Row, field: string): string {
  if (isTrue(row, "quarantined")) return SET_ASIDE;
  if (partWhy(row) !== "" && numberOf(row, "total_pnl") !== null) return partWhy(row);
  if (field === "fees") return "fees in a currency without a rate";
  if (field === "realised_pnl" || numberOf(row, "mark") !== null) return `unpriced: no rate from ${textOf(row, "currency")}`;
  return markUnknown(row);
}
