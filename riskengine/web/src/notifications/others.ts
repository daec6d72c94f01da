// Trades of others in the watched book: what is new since the last look, without one's own.

import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { priceText, sizeText } from "../words/numbers";

export type NewTrades = { readonly count: number; readonly newest: Row | null };

const MOST_DECIMALS = 10;

export class OtherTrades {
  private lastSeq: number | null = null;
  private total = 0;

  /**
   * What is new among the newest stored versions of a place, of `total` in all. The first call says where counting begins. New ones that
   * are not among `rows` (booked late, or too many) are counted as of others.
   */
  look(rows: readonly Row[], total: number, isOwn: (row: Row) => boolean): NewTrades {
    const newestSeq = Math.max(this.lastSeq ?? 0, ...rows.map((row) => numberOf(row, "store_seq") ?? 0));
    const [lastSeq, before] = [this.lastSeq, this.total];
    [this.lastSeq, this.total] = [newestSeq, total];
    if (lastSeq === null || total < before) return { count: 0, newest: null };
    const fresh = rows.filter((row) => (numberOf(row, "store_seq") ?? 0) > lastSeq);
    const own = fresh.filter(isOwn).length;
    const newest = fresh.filter((row) => !isOwn(row)).toSorted((one, other) => (numberOf(other, "store_seq") ?? 0) - (numberOf(one, "store_seq") ?? 0))[0] ?? null;
    return { count: Math.max(fresh.length, total - before) - own, newest };
  }
}

/** `bob buy 1,000,000 EURUSD at 1.0842`; a cancel or an amend says so. */
export function tradeWords(row: Row): string {
  const who = textOf(row, "dealer") || textOf(row, "desk") || textOf(row, "source");
  const action = textOf(row, "action");
  if (action === "cancel") return `${who} cancelled ${textOf(row, "trade_id")}`.trim();
  const price = numberOf(row, "price");
  const decimals = price === null ? 0 : Math.min(MOST_DECIMALS, (String(price).split(".")[1] ?? "").length);
  return `${who} ${action === "amend" ? "amended: " : ""}${textOf(row, "side")} ${sizeText(numberOf(row, "quantity"))} ${textOf(row, "instrument")} at ${priceText(price, decimals)}`;
}
