// Columns that lists share: words, times and counts.

import type { Column, Line } from "../grid/column";
import { link } from "../live/engine";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { exactText, sizeText, UNKNOWN } from "../words/numbers";
import { fullTimeText, momentText } from "../words/times";

type More = Partial<Pick<Column, "optional" | "elastic" | "tone" | "hover">>;

export function words(id: string, label: string, title: string, width: number, of: (row: Row) => string = (row) => textOf(row, id), more: More = {}): Column {
  return { id, label, title, width, left: true, tints: false, value: ({ row }) => of(row), text: ({ row }) => of(row), hover: ({ row }) => of(row), ...more };
}

export function moment(id: string, label: string, title: string, none = "not known", more: More = {}): Column {
  return {
    id, label, title, width: 128, left: true, tints: false,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => momentText(numberOf(row, id), link.engineNow()),
    tone: ({ row }) => (numberOf(row, id) === null ? "unknown" : ""),
    hover: ({ row }) => (numberOf(row, id) === null ? none : fullTimeText(numberOf(row, id))),
    exact: ({ row }) => exactText(numberOf(row, id)),
    ...more,
  };
}

/** A whole number; `tone` where it is above 0, `none` says why there is none. */
export function whole(id: string, label: string, title: string, width: number, none: string, tone = "", more: More = {}): Column {
  return {
    id, label, title, width, tints: false,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => (numberOf(row, id) === null ? UNKNOWN : sizeText(numberOf(row, id))),
    tone: ({ row }) => (numberOf(row, id) === null ? "unknown" : (numberOf(row, id) ?? 0) > 0 ? tone : "zero"),
    hover: ({ row }) => (numberOf(row, id) === null ? none : exactText(numberOf(row, id))),
    ...more,
  };
}

/** Rows as lines, in their order. */
export const linesOf = (rows: readonly Row[], keyOf: (row: Row, at: number) => string): Line[] =>
  rows.map((row, at) => ({ key: keyOf(row, at), kind: "row", row, parent: "", level: 0, open: null, place: at }));
