// What the rows of limits say, as the engine sends them: numbers in the unit of their measure, and where they stand on bars. Pure.

import type { Ticks } from "../grid/column";
import type { Place } from "../settings/address";
import type { Row } from "../store/messages";
import { isTrue, numberOf, textOf } from "../store/rows";
import { amountText, exactText, percentText, quantityText, sizeText } from "../words/numbers";

/** What wants somebody first. */
export const STATES = ["breach", "unknown", "warning", "ok", "per_trade"] as const;

/** A state without colour: what stands before its name. */
const MARKS: Readonly<Record<string, string>> = { breach: "\u2716", unknown: "?", warning: "!", ok: "\u2713", per_trade: "\u00b7" };

export const stateText = (row: Row): string => {
  const state = textOf(row, "state");
  return `${MARKS[state] ?? ""} ${state.replaceAll("_", " ")}`.trim();
};

/** Classes of the cells of a state. */
export const stateTone = (row: Row): string => {
  const state = textOf(row, "state");
  return state === "breach" ? "alarm" : state === "warning" ? "fair" : state === "unknown" ? "unknown fair" : "quiet";
};

const PERCENTS = new Set(["largest_name", "largest_sector", "price_band"]);
const COUNTS = new Set(["sector_count"]);
const QUANTITIES = new Set(["quantity", "trade_quantity"]);

/** A number of a limit in the unit of its measure. */
export function measured(measure: string, value: number | null, compact: boolean): string {
  if (PERCENTS.has(measure)) return percentText(value);
  if (COUNTS.has(measure)) return sizeText(value);
  return QUANTITIES.has(measure) ? quantityText(value, compact) : amountText(value, compact);
}

/** A bound or a distance of a limit: without a plus. */
export const boundedText = (measure: string, value: number | null, compact: boolean): string => measured(measure, value, compact).replace(/^\+/, "");

/** `net open position EUR`. */
export const measureText = (row: Row): string =>
  [textOf(row, "measure").replaceAll("_", " "), textOf(row, "currency"), textOf(row, "counterparty"), textOf(row, "instrument")].filter(Boolean).join(" ");

/** The node or dealer that it bounds. */
export const placeText = (row: Row): string => (textOf(row, "node") ? textOf(row, "node") : textOf(row, "dealer") ? `dealer ${textOf(row, "dealer")}` : "");

/** Why the number of a line is not there, or not whole; empty where it is. */
export function unknownReason(row: Row): string {
  if (textOf(row, "state") === "per_trade") return "bounds intended trades: no snapshot has a number of it";
  if (numberOf(row, "value") === null) return "the number is unknown: what it is made of has no price or no rate, or is set aside";
  return isTrue(row, "incomplete") ? "of what is known: parts of it have no price or no rate, or are set aside" : "";
}

/** Why the share that is used cannot be said. */
export const useUnknown = (row: Row): string =>
  unknownReason(row) || "a floor at or above 0 and a ceiling at or below 0 have headroom alone";

/** How much of a limit a whole bar shows, so that what is beyond it is seen. */
const WHOLE_PERCENT = 125;

/** The use of a limit as a part of its bar. */
export function useBar(row: Row): number | null {
  const used = numberOf(row, "use_percent");
  return used === null ? null : Math.min(used / WHOLE_PERCENT, 1);
}

/** Where the limit itself and its warning stand on the bar of its use. */
export function useTicks(row: Row): Ticks | null {
  const [limit, warn] = [numberOf(row, "limit"), numberOf(row, "warn_at")];
  if (numberOf(row, "use_percent") === null || limit === null || limit === 0) return null;
  const at = warn === null ? null : warn / limit;
  return { limit: [100 / WHOLE_PERCENT], warn: at === null || at <= 0 || at >= 1 ? [] : [(100 / WHOLE_PERCENT) * at] };
}

/** A limit on a number that is drawn as a bar of net exposure. */
export type Bound = { readonly low: number | null; readonly high: number | null; readonly warnLow: number | null; readonly warnHigh: number | null; readonly row: Row };

/** The narrowest limit on a measure of a place: of a currency, where it names one. Its numbers have the sign of the bar. */
export function boundOf(rows: Iterable<Row>, place: Place, measure: string, currency = ""): Bound | null {
  let found: Bound | null = null;
  const size = (bound: Bound): number => Math.min(Math.abs(bound.low ?? Infinity), Math.abs(bound.high ?? Infinity));
  for (const row of rows) {
    const here = "node" in place ? textOf(row, "node") === place.node : textOf(row, "dealer") === place.dealer && textOf(row, "node") === "";
    const [limit, warn] = [numberOf(row, "limit"), numberOf(row, "warn_at")];
    if (!here || limit === null || textOf(row, "measure") !== measure || textOf(row, "currency") !== currency) continue;
    const side = textOf(row, "side");
    const [low, high] = [side !== "above", side !== "below"];
    const bound: Bound = {
      low: low ? (side === "absolute" ? -limit : limit) : null,
      high: high ? limit : null,
      warnLow: low && warn !== null ? (side === "absolute" ? -warn : warn) : null,
      warnHigh: high ? warn : null,
      row,
    };
    if (found === null || size(bound) < size(found)) found = bound;
  }
  return found;
}

/** How far beyond the largest bar a limit may lie and still widen the scale. */
export const MOST_WIDENED = 3;

/** The scale of bars: the largest of them, or a limit that is not too far beyond it. */
export function scaleWith(largest: number, bounds: Iterable<Bound | null>): number {
  let scale = largest;
  for (const bound of bounds) {
    for (const limit of [bound?.low, bound?.high]) {
      if (limit != null && Math.abs(limit) <= MOST_WIDENED * largest) scale = Math.max(scale, Math.abs(limit));
    }
  }
  return scale;
}

/** The ticks of a bound on bars that go from -scale to scale; what lies beyond them has no tick. */
export function netTicks(bound: Bound | null, scale: number): Ticks | null {
  if (bound === null || scale <= 0) return null;
  const at = (value: number | null): number[] => (value === null || Math.abs(value) > scale ? [] : [0.5 + value / scale / 2]);
  return { limit: [...at(bound.low), ...at(bound.high)], warn: [...at(bound.warnLow), ...at(bound.warnHigh)] };
}

/** What a bar's limit says when one hovers: `limit 5000000 absolute (fx-eur), used 61.2 %, headroom 1940000`. */
export function boundText(bound: Bound | null): string {
  if (bound === null) return "";
  const { row } = bound;
  const used = numberOf(row, "use_percent");
  const headroom = numberOf(row, "headroom");
  return [
    `limit ${exactText(numberOf(row, "limit"))} ${textOf(row, "side")} (${textOf(row, "limit_id")}): ${textOf(row, "state").replaceAll("_", " ")}`,
    used === null ? unknownReason(row) : `used ${percentText(used)}`,
    headroom === null ? "" : `headroom ${exactText(headroom)}`,
  ].filter(Boolean).join(", ");
}
