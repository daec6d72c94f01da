// Columns that rows of nodes, dealers, groups and positions share: amounts, counts and times.

import { type Column, type Line, MEDIUM, WIDE } from "../grid/column";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf } from "../store/rows";
import { amountText, direction, exactText, MINUS, sizeText } from "../words/numbers";
import { isPosition } from "./instruments";
import { dayLeftOut, dayUnknown, leftOut, pnlUnknown, sumUnknown } from "./reasons";

type More = Partial<Pick<Column, "optional" | "width">>;

const exactOf = (value: number): string => exactText(value).replace("-", MINUS);

const note = (text: string): string => (text === "" ? "" : `; ${text}`);

/** A signed amount in the reporting currency. `depends` is what its mark depends on: prices, or rates alone. */
export function amount(id: string, label: string, title: string, depends: "priced" | "rated" = "priced", more: More = {}): Column {
  const reasonOf = (line: Line): string =>
    isPosition(line) ? pnlUnknown(line.row, id) : id in line.row ? sumUnknown(line.row) : "kept of nodes, not of dealers";
  return signedColumn(id, label, title, depends, reasonOf, (row) => leftOut(row), more);
}

/** An amount of the trading day. */
export function dayAmount(id: string, label: string, title: string, more: More = {}): Column {
  return signedColumn(id, label, title, "priced", (line) => dayUnknown(line.row), dayLeftOut, more);
}

/** A signed amount with words of its own for what is unknown, and for what a sum is without. */
export function signedColumn(
  id: string,
  label: string,
  title: string,
  depends: "priced" | "rated",
  unknown: (line: Line) => string,
  without: (row: Row) => string,
  more: More,
): Column {
  return {
    id,
    label,
    title,
    width: 112,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => amountText(numberOf(row, id), preferences.value.compact),
    tone: (line, text) => `${direction(numberOf(line.row, id), text)} ${depends}${isStale(line) ? " stale" : ""}`,
    hover: (line) => {
      const value = numberOf(line.row, id);
      return value === null ? unknown(line) : exactOf(value) + note(isPosition(line) ? "" : without(line.row)) + staleNote(line, depends);
    },
    ...more,
  };
}

/** An amount without direction. */
export function size(id: string, label: string, title: string, more: More = {}): Column {
  return {
    id,
    label,
    title,
    width: 112,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => sizeText(numberOf(row, id), preferences.value.compact),
    tone: ({ row }, text) => `${numberOf(row, id) === null ? "unknown" : /[1-9]/.test(text) ? "" : "zero"} priced`,
    hover: ({ row }) => {
      const value = numberOf(row, id);
      return value === null ? sumUnknown(row) : exactOf(value) + note(leftOut(row));
    },
    ...more,
  };
}

/** A count; `tone` where it is not 0. */
export function count(id: string, label: string, title: string, tone = "", more: More = {}): Column {
  return {
    id,
    label,
    title,
    width: 68,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => sizeText(numberOf(row, id)),
    tone: ({ row }) => ((numberOf(row, id) ?? 0) > 0 ? tone : "zero"),
    ...more,
  };
}

const isStale = (line: Line): boolean => line.row["stale"] === true && isPosition(line);

function staleNote(line: Line, depends: "priced" | "rated"): string {
  return isStale(line) && depends === "priced" ? "; from an old price or rate" : "";
}

export const DAY = dayAmount("day_pnl", "Day", "P&L of the trading day before fees, reporting currency: total now less total at the last close");

export const DAY_LINES: readonly Column[] = [
  dayAmount("day_position_pnl", "Position", "Of the day: price changes of what was held at the last close", { optional: WIDE }),
  dayAmount("day_trading_pnl", "Trading", "Of the day: the day's trades, from their price to the mark", { optional: WIDE }),
  dayAmount("day_translation_pnl", "Translation", "Of the day: rate changes on the P&L brought forward", { optional: WIDE }),
  dayAmount("day_carry_pnl", "Carry", "Of the day: cash dividends and financing", { optional: WIDE }),
  dayAmount("correction_pnl", "Corrections", "Of the day: corrections of earlier days", { optional: WIDE }),
  dayAmount("net_day_pnl", "Net day", "The day after its fees", { optional: WIDE }),
];

export const DAY_COLUMNS: readonly Column[] = [DAY, ...DAY_LINES];

export const PERIOD_COLUMNS: readonly Column[] = [
  dayAmount("month_pnl", "Month", "P&L of the month to date: of its closes, and of the day", { optional: WIDE }),
  dayAmount("year_pnl", "Year", "P&L of the year to date: of its closes, and of the day", { optional: WIDE }),
];

export const UNREALISED = amount("unrealised_pnl", "Unrealised", "P&L of open positions, reporting currency: multiplier \u00d7 quantity \u00d7 (mark \u2212 average)", "priced", { optional: MEDIUM });
export const REALISED = amount("realised_pnl", "Realised", "P&L of closed positions since the opening balance, at the rate of now", "rated", { optional: MEDIUM });
export const TOTAL = amount("total_pnl", "Total", "Realised + unrealised since the opening balance, before fees");
const COST = amount("fees", "Fees", "A cost where positive, reporting currency; inside no P&L but Net day", "rated", { width: 80, optional: MEDIUM });
export const FEES: Column = {
  ...COST,
  text: ({ row }) => sizeText(numberOf(row, "fees"), preferences.value.compact),
  tone: ({ row }, text) => (numberOf(row, "fees") === null ? "unknown" : /[1-9]/.test(text) ? "rated" : "zero"),
};

export const GREEKS: readonly Column[] = [
  amount("delta_cash", "Delta", "Value of the deltas at spot, reporting currency", "priced", { optional: true }),
  amount("gamma_cash", "Gamma", "Change of Delta for a 1 % move of spot", "priced", { optional: true }),
  amount("vega", "Vega", "For one vol point", "priced", { optional: true }),
  amount("theta", "Theta", "For one calendar day", "priced", { optional: true }),
];
