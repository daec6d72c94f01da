// Prices in the decimals of an underlying.

import { decimalsOf, instrumentOf } from "../amounts/instruments";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { priceText } from "../words/numbers";

/** From which price on a pair that is quoted nowhere, such as GBPJPY, is shown in fewer decimals. */
const LARGE = 20;
const LARGE_DECIMALS = 3;

export function atUnderlying(value: number | null, row: Row): string {
  const isUnlisted = instrumentOf(row, "underlying") === undefined && value !== null && value >= LARGE;
  return priceText(value, isUnlisted ? LARGE_DECIMALS : decimalsOf(row, "underlying"));
}

/** 1.10000 C */
export const strikeText = (row: Row): string => `${atUnderlying(numberOf(row, "strike"), row)} ${textOf(row, "option_type") === "put" ? "P" : "C"}`;
