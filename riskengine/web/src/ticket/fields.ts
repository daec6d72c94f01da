// The fields of a ticket: those of a trade that a person fills in, as texts.

export type FieldId =
  | "instrument" | "side" | "quantity" | "price" | "dealer" | "desk" | "value_date" | "counterparty" | "comment"
  | "ts" | "fees" | "fees_currency" | "trade_date" | "account" | "broker" | "order_id" | "strategy";

export type Draft = Readonly<Record<FieldId, string>>;

export type TicketField = {
  readonly id: FieldId;
  readonly label: string;
  readonly title: string;
  readonly width: number;
  /** Behind More: what few deals need. */
  readonly more?: true;
  /** A trade without it is refused. */
  readonly required?: true;
  /** Other words for it in the headers of spreadsheets, in small letters without spaces and marks. */
  readonly headers?: readonly string[];
};

/** In the order of the line, which is that of pasted rows without headers. */
export const FIELDS: readonly TicketField[] = [
  { id: "instrument", label: "Instrument", title: "What was dealt", width: 86, required: true, headers: ["symbol", "pair", "ccypair", "currencypair", "security", "product", "ticker", "contract"] },
  { id: "side", label: "Side", title: "Buy or sell, of the base: b and s will do", width: 58, required: true, headers: ["bs", "buysell", "direction", "way"] },
  { id: "quantity", label: "Quantity", title: "In units of the base; 5m is 5,000,000", width: 92, required: true, headers: ["qty", "amount", "size", "nominal", "notional", "volume"] },
  { id: "price", label: "Price", title: "In the cash currency of the instrument, up to 10 decimals", width: 78, required: true, headers: ["px", "rate", "dealrate", "tradeprice", "fillprice"] },
  { id: "dealer", label: "Dealer", title: "Who dealt it", width: 66, headers: ["trader"] },
  { id: "desk", label: "Desk", title: "The leaf node that it is booked to", width: 66, required: true, headers: ["book", "portfolio", "node"] },
  { id: "value_date", label: "Value date", title: "When it settles, as 2026-12-01; empty: spot. Another date than spot is a forward", width: 84, headers: ["value", "settlement", "settlementdate", "settledate", "valuedt"] },
  { id: "counterparty", label: "Counterparty", title: "With whom it was dealt", width: 90, headers: ["cpty", "client", "counterpart", "bank"] },
  { id: "comment", label: "Comment", title: "A remark; it is outside the economics", width: 88, headers: ["remark", "remarks", "note", "notes", "comments"] },
  { id: "ts", label: "Time", title: "When it was dealt; empty: now. 10:31 is today, in your zone", width: 132, more: true, headers: ["time", "timestamp", "executiontime", "tradetime", "datetime", "executed"] },
  { id: "fees", label: "Fees", title: "A cost where positive", width: 80, more: true, headers: ["fee", "commission", "brokerage"] },
  { id: "fees_currency", label: "Fees in", title: "Empty: the cash currency of the instrument", width: 64, more: true, headers: ["feecurrency", "feeccy", "feesccy"] },
  { id: "trade_date", label: "Trade date", title: "The trading day that it belongs to; empty: that of its time", width: 92, more: true, headers: ["tradedt", "dealdate"] },
  { id: "account", label: "Account", title: "For which account", width: 96, more: true },
  { id: "broker", label: "Broker", title: "Through whom", width: 96, more: true },
  { id: "order_id", label: "Order", title: "By which order", width: 96, more: true, headers: ["order"] },
  { id: "strategy", label: "Strategy", title: "By which strategy", width: 96, more: true },
];

export const EMPTY: Draft = Object.fromEntries(FIELDS.map(({ id }) => [id, ""])) as Record<FieldId, string>;

const BUY = new Set(["b", "buy", "bot", "bought", "long", "+", "bid"]);
const SELL = new Set(["s", "sell", "sld", "sold", "short", "-", "\u2212", "ask", "offer"]);

/** `buy`, `sell`, or null for other words. */
export function readSide(text: string): "buy" | "sell" | null {
  const word = text.trim().toLowerCase();
  return BUY.has(word) ? "buy" : SELL.has(word) ? "sell" : null;
}
