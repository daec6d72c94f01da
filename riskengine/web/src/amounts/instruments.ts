// What an instrument's own row says of a position, and cells that only a position has.

import type { Line } from "../grid/column";
import { instruments } from "../live/engine";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";

const USUAL_DECIMALS = 5;

export const instrumentOf = (row: Row, field = "instrument"): Row | undefined => instruments.value.get(textOf(row, field));

/** The decimals in which the instrument named in a field is quoted. */
export const decimalsOf = (row: Row, field = "instrument"): number => numberOf(instrumentOf(row, field), "price_decimals") ?? USUAL_DECIMALS;

/** Whether a line stands for one position, and not for a sum. */
export const isPosition = (line: Line): boolean => line.kind === "row" && "instrument" in line.row;

/** A cell that only a position has: empty in sums. */
export const only = <Value>(of: (row: Row) => Value, none: Value) => (line: Line): Value => (isPosition(line) ? of(line.row) : none);
