// The columns of rules before a trade, and of numbers before and after.

import { boundedText, measured, measureText, placeText, stateText } from "../amounts/limit_rows";
import { words } from "../amounts/plain_columns";
import { type Column, MEDIUM } from "../grid/column";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { amountText, direction, exactText, quantityText, sizeText } from "../words/numbers";
import { outcomeText, outcomeTone, sideUnknown } from "./answers";

const NO_NUMBER = "this rule has no number";

const unknownOf = (row: Row): string => textOf(row, "reason") || (row["limit"] === null ? NO_NUMBER : "not known");
const hasNumber = (row: Row): boolean => row["limit"] !== null;

function number(id: string, label: string, title: string, text: (measure: string, value: number | null, compact: boolean) => string, more: Partial<Pick<Column, "optional" | "tone">> = {}): Column {
  return {
    id, label, title, width: 106, tints: false,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => (hasNumber(row) ? text(textOf(row, "rule"), numberOf(row, id), preferences.value.compact) : ""),
    tone: ({ row }) => (numberOf(row, id) === null ? "unknown" : ""),
    hover: ({ row }) => exactText(numberOf(row, id)) || unknownOf(row),
    ...more,
  };
}

export const RULE_COLUMNS: readonly Column[] = [
  words("measure", "Rule", "instrument: it could be booked; market: it is open; everything else is a limit", 152, measureText),
  { ...words("outcome", "Outcome", "refuse: a hard limit would break; warn; unknown: a number that it needs is; pass", 96, (row) => outcomeText(textOf(row, "outcome"))), tone: ({ row }) => outcomeTone(textOf(row, "outcome")) },
  words("place", "Of", "The node or dealer that it bounds", 68, placeText),
  words("on", "On", "The line of the trade that it bounds, or all of them together", 60, undefined, { optional: 520 }),
  number("before", "Before", "The number of the snapshot", measured, { optional: MEDIUM }),
  number("after", "After", "The number after all intended trades, at the prices of the snapshot", measured, { optional: 520 }),
  number("limit", "Bound", "The limit, in the unit of its measure", boundedText, { optional: MEDIUM }),
  number("headroom", "Headroom", "How much further the number could go after the trades; below 0 how far it is beyond", boundedText, { tone: ({ row }) => (numberOf(row, "headroom") === null ? "unknown" : (numberOf(row, "headroom") ?? 0) < 0 ? "alarm" : "") }),
  words("reason", "Why", "What keeps it from passing, in the engine's words", 180, undefined, { optional: 640, elastic: 96 }),
  words("severity", "Is", "hard refuses, soft warns", 56, undefined, { optional: true }),
  words("state", "Would be", "How the limit would stand once the trades are booked", 96, (row) => (row["state"] === null ? "" : stateText(row)), { optional: true }),
  words("limit_id", "Limit", "The name of the limit", 120, undefined, { optional: true }),
];

function side(id: "before" | "after", label: string, title: string, more: Partial<Pick<Column, "optional">> = {}): Column {
  return {
    ...more, id, label, title, width: 106, tints: false,
    value: ({ row }) => numberOf(row, id),
    text: ({ row, kind }) => (kind === "group" ? "" : textOf(row, "kind") === "amount" ? amountText(numberOf(row, id), preferences.value.compact) : sizeText(numberOf(row, id), preferences.value.compact && textOf(row, "kind") === "loss")),
    tone: ({ row, kind }, text) => (kind === "group" ? "" : numberOf(row, id) === null ? "unknown" : textOf(row, "kind") === "amount" ? direction(numberOf(row, id), text) : ""),
    hover: ({ row, kind }) => (kind === "group" ? "" : exactText(numberOf(row, id)) || sideUnknown(row, id)),
  };
}

export const BEFORE_AFTER_COLUMNS: readonly Column[] = [
  { ...words("name", "Number", "Of each node that you asked about, in the reporting currency", 112, (row) => textOf(row, "name"), { elastic: 96 }) },
  side("before", "Before", "At this snapshot, as on the screen", { optional: 400 }),
  side("after", "After", "After the intended trades, at the shifted prices"),
  {
    id: "change", label: "Change", title: "After less before; unknown where one of both is", width: 106, tints: false,
    value: ({ row }) => numberOf(row, "change"),
    text: ({ row, kind }) => (kind === "group" ? "" : textOf(row, "kind") === "count" ? quantityText(numberOf(row, "change")) : amountText(numberOf(row, "change"), preferences.value.compact)),
    tone: ({ row, kind }, text) => (kind === "group" ? "" : textOf(row, "kind") === "loss" ? "" : direction(numberOf(row, "change"), text)),
    hover: ({ row, kind }) => (kind === "group" ? "" : exactText(numberOf(row, "change")) || "unknown before or after"),
  },
];
