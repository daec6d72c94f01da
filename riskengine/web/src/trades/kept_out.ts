// Trades with those that are kept out of every number among them, each with its reason.

import type { Place } from "../settings/address";
import type { Row } from "../store/messages";
import { numberOf, rowOf, textOf } from "../store/rows";

export const KEPT_OUT_KINDS: ReadonlySet<string> = new Set(["quarantined", "conflict", "parked", "unmatched"]);

export type TradeQuery = { place: Place; instrument?: string; limit: number };

export const tradeKey = (row: Row): string =>
  JSON.stringify([textOf(row, "source"), textOf(row, "trade_id"), row["leg"] ?? 0, row["version"] ?? 1, textOf(row, "exception")]);

/** Trades and what was kept out of them, newest first. A stored row that is kept out is one line, with its reason. */
export function withKeptOut(trades: readonly Row[], exceptions: readonly Row[], { place, instrument }: TradeQuery): Row[] {
  const kept: Row[] = [];
  const named = new Set<string>();
  const stored = new Set(trades.map(tradeKey));
  for (const exception of exceptions) {
    const trade = rowOf(exception, "trade");
    if (trade === undefined) continue;
    const kind = textOf(exception, "kind");
    const isHere = stored.has(tradeKey(trade));
    // The route cuts to the place; a conflicting version, or one that waits, is not among its rows.
    if (!isHere && !belongs(trade, place, instrument)) continue;
    if (isHere && kind !== "conflict") named.add(tradeKey(trade));
    kept.push({ ...trade, status: kind, reason: textOf(exception, "reason"), exception: textOf(exception, "id") });
  }
  const rest = trades.filter((row) => !named.has(tradeKey(row))).map((row) => ({ ...row, status: statusOf(row), exception: "" }));
  return [...kept, ...rest].toSorted((one, other) => (numberOf(other, "ts") ?? 0) - (numberOf(one, "ts") ?? 0));
}

/** Whether a trade that is in no list is of the place that is shown: of its desk or dealer itself. */
function belongs(trade: Row, place: Place, instrument: string | undefined): boolean {
  if (instrument !== undefined && textOf(trade, "instrument") !== instrument) return false;
  return "dealer" in place ? textOf(trade, "dealer") === place.dealer : textOf(trade, "desk") === place.node;
}

const statusOf = (row: Row): string => (textOf(row, "action") === "cancel" ? "cancelled" : textOf(row, "action") === "amend" ? "amended" : "in force");
