// Trades with those that are kept out of every number among them, each with its reason.

import type { Row } from "../store/messages";
import { numberOf, rowOf, textOf } from "../store/rows";
import type { TradeFilters } from "./query";

export const KEPT_OUT_KINDS: ReadonlySet<string> = new Set(["quarantined", "conflict", "parked", "unmatched", "waiting"]);

export const tradeKey = (row: Row): string =>
  JSON.stringify([textOf(row, "source"), textOf(row, "trade_id"), row["leg"] ?? 0, row["version"] ?? 1, textOf(row, "exception")]);

/**
 * Trades and what was kept out of them, newest first. A stored row that is kept out is one line, with its reason. A version that is
 * not stored as a trade (a conflict) has no counterparty: a filter by that leaves it out.
 */
export function withKeptOut(trades: readonly Row[], exceptions: readonly Row[], { counterparty }: TradeFilters): Row[] {
  const kept: Row[] = [];
  const named = new Set<string>();
  const stored = new Map(trades.map((row) => [tradeKey(row), row]));
  for (const exception of exceptions) {
    const trade = rowOf(exception, "trade");
    if (trade === undefined) continue;
    const kind = textOf(exception, "kind");
    const key = tradeKey(trade);
    const row = stored.get(key);
    if (row === undefined && (kind !== "conflict" || counterparty !== "")) continue; // older than the list, or of another filter
    if (row !== undefined && kind !== "conflict") named.add(key);
    kept.push({ ...(kind === "conflict" ? {} : row), ...trade, status: kind, reason: textOf(exception, "reason"), exception: textOf(exception, "id") });
  }
  const rest = trades.filter((row) => !named.has(tradeKey(row))).map((row) => ({ ...row, status: statusOf(row), exception: "" }));
  return [...kept, ...rest].toSorted((one, other) => (numberOf(other, "ts") ?? 0) - (numberOf(one, "ts") ?? 0));
}

const statusOf = (row: Row): string => (textOf(row, "action") === "cancel" ? "cancelled" : textOf(row, "action") === "amend" ? "amended" : "in force");
