// The columns of trades.

import type { Column } from "../grid/column";
import { instruments, link } from "../live/engine";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { exactText, priceText, quantityText, UNKNOWN } from "../words/numbers";
import { fullTimeText, momentText } from "../words/times";
import { KEPT_OUT_KINDS } from "./kept_out";

const USUAL_DECIMALS = 5;

const isKeptOut = (row: Row): boolean => KEPT_OUT_KINDS.has(textOf(row, "status"));
const toneOf = (row: Row): string => (isKeptOut(row) ? "alarm" : textOf(row, "status") === "cancelled" ? "quiet" : "");

function words(id: string, label: string, title: string, width = 96, optional?: true): Column {
  return {
    id,
    label,
    title,
    width,
    left: true,
    tints: false,
    ...(optional !== undefined && { optional }),
    value: ({ row }) => textOf(row, id),
    text: ({ row }) => textOf(row, id),
    tone: ({ row }) => toneOf(row),
    hover: ({ row }) => textOf(row, id),
  };
}

function moment(id: string, label: string, title: string, optional?: true): Column {
  return {
    id,
    label,
    title,
    width: 128,
    left: true,
    tints: false,
    ...(optional !== undefined && { optional }),
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => momentText(numberOf(row, id), link.engineNow()),
    tone: ({ row }) => toneOf(row),
    hover: ({ row }) => fullTimeText(numberOf(row, id)),
    exact: ({ row }) => exactText(numberOf(row, id)),
  };
}

/** Signed: bought is positive. */
export function signedQuantity(row: Row): number | null {
  const quantity = numberOf(row, "quantity");
  return quantity === null ? null : textOf(row, "side") === "sell" ? -quantity : quantity;
}

export function tradePrice(row: Row): string {
  const decimals = numberOf(instruments.value.get(textOf(row, "instrument")), "price_decimals") ?? USUAL_DECIMALS;
  const price = numberOf(row, "price");
  if (price === null) return UNKNOWN;
  const written = exactText(price).split(".")[1]?.length ?? 0; // averaged prices of blocks have more
  return priceText(price, Math.max(decimals, Math.min(written, 10)));
}

export const TRADE_COLUMNS: readonly Column[] = [
  moment("ts", "Time", "Execution time, in your zone"),
  words("instrument", "Instrument", "What was dealt"),
  {
    id: "quantity",
    label: "Quantity",
    title: "Bought is positive, sold negative",
    width: 112,
    tints: false,
    value: ({ row }) => signedQuantity(row),
    text: ({ row }) => quantityText(signedQuantity(row)),
    tone: ({ row }) => toneOf(row) || (textOf(row, "side") === "sell" ? "down" : "up"),
  },
  {
    id: "price",
    label: "Price",
    title: "In the cash currency of the instrument",
    width: 96,
    tints: false,
    value: ({ row }) => numberOf(row, "price"),
    text: ({ row }) => tradePrice(row),
    tone: ({ row }) => toneOf(row),
  },
  words("desk", "Desk", "The leaf node that it is booked to", 80),
  words("dealer", "Dealer", "Who dealt it; empty where nobody is named", 88),
  words("counterparty", "Counterparty", "With whom it was dealt", 120),
  {
    ...words("status", "Status", "In force, amended, cancelled, or kept out and why: kept-out trades are in no number", 108),
    hover: ({ row }) => (isKeptOut(row) ? `kept out: ${textOf(row, "reason")}` : ""),
  },
  words("source", "Source", "Who sent it", 88),
  words("trade_id", "Trade", "The source's name of the deal", 120),
  {
    id: "version",
    label: "Version",
    title: "The highest one counts",
    width: 64,
    optional: true,
    tints: false,
    value: ({ row }) => numberOf(row, "version"),
    text: ({ row }) => exactText(numberOf(row, "version")),
    tone: () => "quiet",
  },
  {
    id: "fees",
    label: "Fees",
    title: "A cost where positive, in the currency beside it",
    width: 96,
    optional: true,
    tints: false,
    value: ({ row }) => numberOf(row, "fees"),
    text: ({ row }) => `${exactText(numberOf(row, "fees"))} ${textOf(row, "fees_currency")}`,
  },
  words("value_date", "Value date", "When it settles", 88, true),
  words("strategy", "Strategy", "By which strategy", 96, true),
  words("account", "Account", "For which account", 96, true),
  words("broker", "Broker", "Through whom", 96, true),
  words("order_id", "Order", "By which order", 96, true),
  words("comment", "Comment", "A remark", 160, true),
  moment("booked_ts", "Booked", "When this version was booked", true),
  moment("received_ts", "Received", "When the engine took it", true),
];
