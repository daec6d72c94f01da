// The columns of P&L explained by instrument: its lines, and what was held at both ends.

import { decimalsOf } from "../amounts/instruments";
import { words } from "../amounts/plain_columns";
import { type Column, MEDIUM, WIDE } from "../grid/column";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { amountText, direction, exactText, priceText, quantityText } from "../words/numbers";
import { LINES } from "./waterfall";

type More = Partial<Pick<Column, "optional">>;

const why = (row: Row): string => textOf(row, "reason") || "nothing of it is known";

function amount(id: string, label: string, title: string, more: More = {}): Column {
  return {
    id, label, title, width: 96, tints: false,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => amountText(numberOf(row, id), preferences.value.compact),
    tone: ({ row }, text) => `${direction(numberOf(row, id), text)} priced`,
    hover: ({ row }) => exactText(numberOf(row, id)) || why(row),
    ...more,
  };
}

function held(id: string, label: string, title: string, text: (value: number | null, row: Row) => string): Column {
  return {
    id, label, title, width: 96, tints: false, optional: WIDE,
    value: ({ row }) => numberOf(row, id), text: ({ row, kind }) => (kind === "total" ? "" : text(numberOf(row, id), row)),
    tone: ({ row }) => (numberOf(row, id) === null ? "unknown" : ""), hover: ({ row }) => exactText(numberOf(row, id)) || why(row),
  };
}

const price = (value: number | null, row: Row): string => priceText(value, decimalsOf(row));
const quantity = (value: number | null): string => quantityText(value, preferences.value.compact);

/** Lines that few instruments have: where there is room. */
const SELDOM = new Set(["carry", "translation", "corrections", "unpriced"]);

export const EXPLAIN_COLUMNS: readonly Column[] = [
  words("instrument", "Instrument", "What was held or traded, what moved most first", 132, (row) => textOf(row, "instrument")),
  amount("net_pnl", "Net P&L", "Of the span, after fees: the lines sum to it"),
  ...LINES.map(([id, label, title]) => amount(id, label, title, SELDOM.has(id) ? { optional: WIDE } : ["delta", "gamma", "vega", "theta"].includes(id) ? { optional: MEDIUM } : {})),
  held("quantity_from", "Held then", "At the first instant, as it was known then", quantity),
  held("quantity_to", "Held at the end", "At the last instant", quantity),
  held("mark_from", "Mark then", "At the first instant", price),
  held("mark_to", "Mark at the end", "At the last instant", price),
  words("reason", "Why unknown", "What is not known of it", 140, undefined, { optional: MEDIUM, elastic: 80, tone: () => "fair" }),
];
