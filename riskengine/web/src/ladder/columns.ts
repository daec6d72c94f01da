// The columns of a ladder: one line an instrument.

import { amount, count, DAY, DAY_LINES, FEES, GREEKS, PERIOD_COLUMNS, REALISED, TOTAL, UNREALISED } from "../amounts/columns";
import { decimalsOf, instrumentOf, isPosition, only } from "../amounts/instruments";
import { markUnknown, NO_DAY, priceUnknown, SET_ASIDE, sideUnknown } from "../amounts/reasons";
import { type Column, MEDIUM, WIDE } from "../grid/column";
import { link } from "../live/engine";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { isTrue, numberOf, textOf } from "../store/rows";
import { countText, direction, distanceText, exactText, priceText, quantityText } from "../words/numbers";
import { ageText, fullTimeText, momentText } from "../words/times";
import { pipOf } from "./pips";

const STALE_BAR_S = 60;

/** Pixels of a ladder from which on it shows more of what dealers ask for, so that no total is out of sight. */
const FROM = { mark: 440, distance: 1_200, sides: 1_500, dealt: 2_000, periods: 2_200, lines: 2_700 } as const;

function distance(row: Row): number | null {
  const [mark, average] = [numberOf(row, "mark"), numberOf(row, "average_price")];
  if (mark === null || average === null) return null;
  return (mark - average) / pipOf(textOf(instrumentOf(row), "kind"), decimalsOf(row));
}

function ageOf(row: Row): number | null {
  const [ts, now] = [numberOf(row, "mark_ts"), link.engineNow()];
  return ts === null || now === null ? null : Math.max(0, now - ts);
}

function price(id: string, label: string, title: string, more: Partial<Column> = {}): Column {
  return {
    id,
    label,
    title,
    width: 104,
    value: only((row) => numberOf(row, id), null),
    text: only((row) => priceText(numberOf(row, id), decimalsOf(row)), ""),
    tone: only((row) => (numberOf(row, id) === null ? "unknown" : ""), ""),
    hover: only((row) => {
      const value = numberOf(row, id);
      return value === null ? priceUnknown(row, id) : `${exactText(value)} ${textOf(row, "currency")}`;
    }, ""),
    ...more,
  };
}

/** A side of the quote that the mark came from. */
function side(id: "bid" | "ask", label: string): Column {
  return price(id, label, `The ${id} of the quote that the mark came from`, {
    width: 104,
    optional: FROM.sides,
    tone: only((row) => (numberOf(row, id) === null ? "unknown" : isTrue(row, "stale") ? "stale priced" : "priced"), ""),
    hover: only((row) => {
      const value = numberOf(row, id);
      return value === null ? sideUnknown(row, id) : `${exactText(value)} ${textOf(row, "currency")}; ${fullTimeText(numberOf(row, "mark_ts"))}`;
    }, ""),
  });
}

const dealtUnknown = (row: Row): string => (isTrue(row, "quarantined") ? SET_ASIDE : textOf(row, "why") || NO_DAY);

/** What was bought or sold in the trading day: a size. */
function dealtSize(id: string, label: string, tone: "up" | "down"): Column {
  return {
    id,
    label,
    title: `${label} in the trading day, in units of the instrument, as dealt`,
    width: 100,
    optional: FROM.dealt,
    value: only((row) => numberOf(row, id), null),
    text: only((row) => quantityText(numberOf(row, id), preferences.value.compact).replace("+", ""), ""),
    tone: only((row) => {
      const value = numberOf(row, id);
      return value === null ? "unknown" : value === 0 ? "zero" : tone;
    }, ""),
    hover: only((row) => {
      const value = numberOf(row, id);
      return value === null ? dealtUnknown(row) : exactText(value);
    }, ""),
  };
}

/** The average price of that: empty where nothing was dealt. */
function dealtPrice(id: string, label: string, how: string): Column {
  const isNothing = (row: Row): boolean => numberOf(row, `${how}_quantity`) === 0;
  return price(id, label, `The average price of what was ${how} in the trading day, in the row's currency`, {
    width: 104,
    optional: FROM.dealt,
    text: only((row) => (isNothing(row) ? "" : priceText(numberOf(row, id), decimalsOf(row))), ""),
    tone: only((row) => (numberOf(row, id) !== null ? "quiet" : isNothing(row) ? "" : "unknown"), ""),
    hover: only((row) => {
      const value = numberOf(row, id);
      if (value !== null) return `${exactText(value)} ${textOf(row, "currency")}`;
      return isNothing(row) ? `nothing was ${how} in the trading day` : dealtUnknown(row);
    }, ""),
  });
}

function markHover(row: Row): string {
  const mark = numberOf(row, "mark");
  if (mark === null) return markUnknown(row);
  const source = textOf(row, "mark_source");
  const flags = [isTrue(row, "stale") && "old", isTrue(row, "closed") && "market shut"].filter(Boolean).join(", ");
  return [
    `${exactText(mark)} ${textOf(row, "currency")}`,
    source && `from ${source}`,
    fullTimeText(numberOf(row, "mark_ts")),
    flags,
  ].filter(Boolean).join("; ");
}

const markTone = (row: Row): string =>
  numberOf(row, "mark") === null ? "unknown" : isTrue(row, "stale") ? "stale priced" : "priced";

/** What a part of a line has (`GET /v1/groups`), in the order in which it is shown. */
const PARTS = [
  "instrument", "quantity", "breakeven_price", "mark", "age", "total_pnl", "delta_cash", "market_value", "unrealised_pnl", "realised_pnl", "fees",
  "net_cash", "trade_count", "total_pnl_local", "currency", "gamma_cash", "vega", "theta",
];
/** Of them, those that narrow ladders of parts show as well. */
const PARTS_SHOWN: Readonly<Record<string, Column["optional"]>> = {
  breakeven_price: MEDIUM, market_value: MEDIUM, net_cash: 1_000, trade_count: MEDIUM, fees: MEDIUM, unrealised_pnl: 1_100, realised_pnl: 1_100,
};

/** Names of groups are longer than those of instruments, and their cash is more. */
const PARTS_WIDER: Readonly<Record<string, number>> = { instrument: 232, net_cash: 132 };

/** The columns of a ladder that is parted by counterparty or strategy. */
export function partColumns(largest: () => number): readonly Column[] {
  const columns = new Map(ladderColumns(largest).map((column) => [column.id, column]));
  return PARTS.flatMap((id) => {
    const column = columns.get(id);
    if (column === undefined) return [];
    const [optional, width] = [PARTS_SHOWN[id], PARTS_WIDER[id]];
    return [{ ...column, ...(optional !== undefined && { optional }), ...(width !== undefined && { width }) }];
  });
}

/** `largest` gives the largest exposure on the screen, for the bars. */
export function ladderColumns(largest: () => number): readonly Column[] {
  return [
    {
      id: "instrument",
      label: "Instrument",
      title: "Instrument; a line opens to the trades behind it",
      width: 168,
      left: true,
      tints: false,
      value: ({ row }) => textOf(row, "name") || textOf(row, "instrument"),
      text: ({ row }) => textOf(row, "name") || textOf(row, "instrument"),
      tone: ({ row }) => (isTrue(row, "quarantined") ? "alarm" : ""),
      hover: (line) => {
        if (!isPosition(line)) return "";
        const { row } = line;
        if (isTrue(row, "quarantined")) return SET_ASIDE;
        const trades = countText(numberOf(row, "trade_count") ?? 0, "trade");
        return `${textOf(instrumentOf(row), "kind")}, quoted in ${textOf(row, "currency")}, ${trades}`;
      },
    },
    {
      id: "quantity",
      label: "Position",
      title: "Signed quantity in units of the instrument, long is positive; the bar is its exposure against the largest",
      width: 116,
      value: only((row) => numberOf(row, "quantity"), null),
      text: only((row) => quantityText(numberOf(row, "quantity"), preferences.value.compact), ""),
      tone: (line, text) => (isPosition(line) ? `bar ${direction(numberOf(line.row, "quantity"), text)}` : ""),
      hover: only((row) => {
        const value = numberOf(row, "quantity");
        return value === null ? SET_ASIDE : exactText(value);
      }, ""),
      bar: only((row) => {
        const [exposure, most] = [numberOf(row, "delta_cash"), largest()];
        return exposure === null || most === 0 ? null : exposure / most;
      }, null),
    },
    price("average_price", "Average", "Average price of the open position, in the row's currency", { optional: MEDIUM }),
    price("breakeven_price", "Break-even", "The mark at which total P&L is 0: \u2212net cash / (multiplier \u00d7 quantity)", { optional: FROM.distance }),
    side("bid", "Bid"),
    side("ask", "Ask"),
    price("mark", "Mark", "The price that the position is valued with, and where it came from", {
      optional: FROM.mark,
      tone: only(markTone, ""),
      hover: only(markHover, ""),
    }),
    {
      id: "age",
      label: "Age",
      title: "Age of the mark by its own time, on the engine's clock; the line fades over a minute",
      width: 60,
      optional: MEDIUM,
      tints: false,
      value: only((row) => ageOf(row), null),
      text: only((row) => (numberOf(row, "mark_ts") === null ? "" : ageText(ageOf(row))), ""),
      tone: only((row) => (isTrue(row, "stale") ? "age stale" : "age quiet"), ""),
      hover: only((row) => fullTimeText(numberOf(row, "mark_ts")), ""),
      exact: only((row) => momentText(numberOf(row, "mark_ts"), null), ""),
      bar: only((row) => {
        const age = ageOf(row);
        return age === null ? null : Math.max(0, 1 - age / (STALE_BAR_S * 1e6));
      }, null),
    },
    {
      id: "distance",
      label: "From avg",
      title: "Mark less average price, in pips for pairs of currencies and in ticks (the last decimal, at most the fourth) for everything else",
      width: 92,
      optional: FROM.distance,
      value: only(distance, null),
      text: only((row) => distanceText(distance(row)), ""),
      tone: (line, text) => (isPosition(line) ? `${direction(distance(line.row), text)} priced` : ""),
      hover: only((row) => (distance(row) === null ? priceUnknown(row, "average_price") : ""), ""),
    },
    dealtSize("bought_quantity", "Bought", "up"),
    dealtPrice("bought_price", "Bought at", "bought"),
    dealtSize("sold_quantity", "Sold", "down"),
    dealtPrice("sold_price", "Sold at", "sold"),
    UNREALISED,
    REALISED,
    DAY,
    TOTAL,
    amount("delta_cash", "Exposure", "Value of the delta at spot, reporting currency", "priced", { width: 120, optional: MEDIUM }),
    amount("market_value", "Equivalent", "What the position is worth at its mark, in the reporting currency", "priced", { width: 120, optional: WIDE }),
    { ...FEES, optional: FROM.distance },
    ...DAY_LINES.map((column) => ({ ...column, optional: FROM.lines })),
    ...PERIOD_COLUMNS.map((column) => ({ ...column, optional: FROM.periods })),
    ...GREEKS.filter(({ id }) => id !== "delta_cash"),
    {
      id: "currency",
      label: "Currency",
      title: "Of the prices and of what ends in local",
      width: 72,
      left: true,
      optional: true,
      value: only((row) => textOf(row, "currency"), null),
      text: only((row) => textOf(row, "currency"), ""),
    },
    local("total_pnl_local", "Total local", "Total P&L in the row's currency"),
    local("net_cash", "Net cash", "Received less paid, in the row's currency, fees apart"),
    count("trade_count", "Trades", "Trades in force: the newest version of each, without cancelled ones", "", { optional: true }),
    {
      id: "last_trade_ts",
      label: "Last trade",
      title: "Execution time of the newest trade, in your zone",
      width: 128,
      optional: true,
      tints: false,
      value: ({ row }) => numberOf(row, "last_trade_ts"),
      text: ({ row }) => (numberOf(row, "last_trade_ts") === null ? "" : momentText(numberOf(row, "last_trade_ts"), link.engineNow())),
      hover: ({ row }) => fullTimeText(numberOf(row, "last_trade_ts")),
    },
  ];
}

function local(id: string, label: string, title: string): Column {
  const column = amount(id, label, title, "priced", { optional: true });
  return { ...column, value: only((row) => numberOf(row, id), null), text: (line) => (isPosition(line) ? column.text(line) : "") };
}
