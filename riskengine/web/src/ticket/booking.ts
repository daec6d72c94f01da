// From a ticket to what is posted: a trade of the source `manual` under a name of its own, an amend or a cancel of one that is
// stored. What is posted is made once and kept, so that sending it again is the same trade and cannot count twice.

import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { type DecimalMark, readDecimal, unsigned } from "./decimals";
import { type Draft, FIELDS, type FieldId, readSide } from "./fields";
import { readDate, readMoment } from "./moments";

export const MANUAL = "manual";

/** A trade as it is posted. */
export type Item = Readonly<Record<string, string | number>>;

export type Problem = { readonly field: FieldId; readonly reason: string };
export type Made = { readonly item: Item } | { readonly problems: readonly Problem[] };

export type Reading = {
  readonly mark: DecimalMark;
  /** The engine's time, microseconds. */
  readonly nowTs: number;
  readonly now: Date;
};

const TEXTS = ["counterparty", "comment", "account", "broker", "order_id", "strategy", "fees_currency"] as const;

/** A new trade, or what keeps it from being sent. */
export function newTrade(draft: Draft, reading: Reading, tradeId: string): Made {
  const read = economicsOf(draft, reading);
  if ("problems" in read) return read;
  return { item: { source: MANUAL, trade_id: tradeId, ts: reading.nowTs, ...read.item } };
}

/** The fields of a draft that say something, read. A quantity below zero without a side is a sale. */
function economicsOf(draft: Draft, { mark, now }: Reading): Made {
  const problems: Problem[] = [];
  const item: Record<string, string | number> = {};
  const miss = (field: FieldId, reason: string): void => void problems.push({ field, reason });
  const take = (field: FieldId, read: { value: string } | { problem: string }): string | null => {
    if ("value" in read) return read.value;
    miss(field, read.problem);
    return null;
  };

  const instrument = draft.instrument.trim();
  if (instrument === "") miss("instrument", "is missing");
  item["instrument"] = instrument;
  const quantity = take("quantity", readDecimal(draft.quantity, mark, "quantity"));
  const side = draft.side.trim() === "" && quantity !== null && unsigned(quantity).negative ? "sell" : readSide(draft.side);
  if (side === null) miss("side", draft.side.trim() === "" ? "is missing" : `\u201c${draft.side.trim()}\u201d is neither buy nor sell`);
  else item["side"] = side;
  if (quantity !== null) {
    const { size, negative } = unsigned(quantity);
    if (negative && side === "buy") miss("quantity", "is below zero, and the side is buy");
    item["quantity"] = size;
  }
  const price = take("price", readDecimal(draft.price, mark, "price"));
  if (price !== null) item["price"] = price;
  if (draft.desk.trim() === "") miss("desk", "is missing");
  item["desk"] = draft.desk.trim();
  if (draft.dealer.trim() !== "") item["dealer"] = draft.dealer.trim();
  for (const field of ["value_date", "trade_date"] as const) {
    const date = draft[field].trim() === "" ? null : take(field, readDate(draft[field]));
    if (date !== null) item[field] = date;
  }
  const fees = draft.fees.trim() === "" ? null : take("fees", readDecimal(draft.fees, mark, "amount"));
  if (fees !== null) item["fees"] = fees;
  if (draft.ts.trim() !== "") {
    const moment = readMoment(draft.ts, now);
    if ("ts" in moment) item["ts"] = moment.ts;
    else miss("ts", moment.problem);
  }
  for (const field of TEXTS) if (draft[field].trim() !== "") item[field] = draft[field].trim();
  return problems.length > 0 ? { problems } : { item };
}

const KEPT = ["leg", "legs"] as const;

/** The next version of a stored trade, whose row was read with `exact=true`. An exact cash amount goes where its factors change. */
export function amendOf(row: Row, draft: Draft, reading: Reading): Made {
  const read = economicsOf({ ...draft, ts: "" }, reading);
  if ("problems" in read) return read;
  const kept: Record<string, string | number> = {};
  for (const field of KEPT) {
    const value = numberOf(row, field);
    if (value !== null) kept[field] = value;
  }
  const contra = textOf(row, "contra_amount");
  if (contra !== "" && !dropsContra(row, read.item)) kept["contra_amount"] = contra;
  return { item: { ...identityOf(row), ...kept, action: "amend", ts: numberOf(row, "ts") ?? reading.nowTs, booked_ts: reading.nowTs, ...read.item } };
}

/** Whether an amend leaves out the exact cash of the row, because it is of another quantity or price. */
export function dropsContra(row: Row, item: Item): boolean {
  return textOf(row, "contra_amount") !== "" && ["quantity", "price", "instrument", "side"].some((field) => item[field] !== textOf(row, field));
}

/** What takes a stored trade out. It names what it takes out, for who reads the list. */
export function cancelOf(row: Row, { nowTs }: Reading): Item {
  const named = ["instrument", "desk", "dealer", "counterparty"].map((field): [string, string] => [field, textOf(row, field)]);
  const kept = Object.fromEntries(named.filter(([, value]) => value !== ""));
  const ts = numberOf(row, "ts");
  return { ...identityOf(row), leg: numberOf(row, "leg") ?? 0, action: "cancel", ...(ts !== null && { ts }), ...kept, booked_ts: nowTs };
}

const identityOf = (row: Row): Item => ({ source: textOf(row, "source"), trade_id: textOf(row, "trade_id"), version: (numberOf(row, "version") ?? 1) + 1 });

/** A stored row as a ticket shows it: its numbers as they are written here. */
export function draftOf(row: Row, mark: DecimalMark): Draft {
  const written = (field: FieldId): string => (mark === "." ? textOf(row, field) : textOf(row, field).replace(".", ","));
  const decimals = new Set<FieldId>(["quantity", "price", "fees"]);
  const entries = FIELDS.map(({ id }) => [id, id === "ts" ? "" : decimals.has(id) ? written(id) : textOf(row, id)]);
  const draft = Object.fromEntries(entries) as Record<FieldId, string>;
  return draft.fees === "0" ? { ...draft, fees: "", fees_currency: "" } : draft;
}

const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A name that no other ticket makes: the day, and 60 random bits. */
export function ownTradeId(now: Date, random: Uint8Array): string {
  const day = now.toISOString().slice(0, 10).replaceAll("-", "");
  return `T-${day}-${Array.from(random.subarray(0, 12), (byte) => LETTERS[byte & 31]).join("")}`;
}

/** In words: `buy 1,000,000 EURUSD at 1.0842`. Numbers as they are sent. */
export function itemWords(item: Item): string {
  if (item["action"] === "cancel") return `cancel ${item["trade_id"]}, version ${item["version"]}`;
  const amended = item["action"] === "amend" ? `amend ${item["trade_id"]}, version ${item["version"]}: ` : "";
  return `${amended}${item["side"]} ${grouped(String(item["quantity"]))} ${item["instrument"]} at ${item["price"]}, ${item["desk"]}${item["dealer"] === undefined ? "" : ` ${item["dealer"]}`}`;
}

/** Digits in threes, without a JavaScript number. */
function grouped(value: string): string {
  const [whole = "", decimals] = value.split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (decimals === undefined ? "" : `.${decimals}`);
}
