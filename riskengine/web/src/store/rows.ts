// Fields of a row by what they are. What is absent, null or of another type is unknown: null, never 0.

import type { Json, Row } from "./messages";

export function numberOf(row: Row | undefined, field: string): number | null {
  const value = row?.[field];
  return typeof value === "number" ? value : null;
}

/** Empty for what is no text. */
export function textOf(row: Row | undefined, field: string): string {
  const value = row?.[field];
  return typeof value === "string" ? value : "";
}

/** A list of texts; null for what is none. */
export function textsOf(row: Row | undefined, field: string): string[] | null {
  const value = row?.[field];
  return Array.isArray(value) ? value.filter((text): text is string => typeof text === "string") : null;
}

export function isTrue(row: Row | undefined, field: string): boolean {
  return row?.[field] === true;
}

/** The rows in a field that holds a list of them, such as `warnings` of the status. */
export function rowsOf(row: Row | undefined, field: string): Row[] {
  const value = row?.[field];
  return Array.isArray(value) ? value.filter(isRow) : [];
}

export function rowOf(row: Row | undefined, field: string): Row | undefined {
  const value = row?.[field];
  return value !== undefined && isRow(value) ? value : undefined;
}

export function isRow(value: Json): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
