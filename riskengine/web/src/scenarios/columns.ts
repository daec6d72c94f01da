// The columns of VaR: what contributes to it, its scenarios, and the days of its backtest.

import { netTicks } from "../amounts/limit_rows";
import { whole, words } from "../amounts/plain_columns";
import type { Column } from "../grid/column";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { amountText, direction, exactText, percentText, UNKNOWN } from "../words/numbers";

type More = Partial<Pick<Column, "optional" | "width" | "tone">>;

/** An amount of VaR; `loss` are losses where positive. */
function amount(id: string, label: string, title: string, unknown: (row: Row) => string, loss: boolean, more: More = {}): Column {
  return {
    id, label, title, width: 92, tints: false,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => (loss ? amountText(numberOf(row, id), preferences.value.compact).replace(/^\+/, "") : amountText(numberOf(row, id), preferences.value.compact)),
    tone: ({ row }, text) => (numberOf(row, id) === null ? "unknown" : loss ? "" : direction(numberOf(row, id), text)),
    hover: ({ row }) => exactText(numberOf(row, id)) || unknown(row),
    ...more,
  };
}

const why = (row: Row): string => textOf(row, "reason") || "not known: too few scenarios, or nothing of it has a history";

/** A bar of a number against the largest of its grid; of losses (`flip`) what lies right has the colour of a loss. */
function bar(id: string, label: string, title: string, most: () => number, flip: boolean): Column {
  return {
    id: "bar", label, title, width: 80, elastic: 56, left: true, tints: false,
    value: ({ row }) => numberOf(row, id), text: () => "",
    tone: ({ row }) => `net-bar counted ${direction(numberOf(row, id) === null ? null : (flip ? -1 : 1) * (numberOf(row, id) ?? 0), exactText(numberOf(row, id)))}`,
    hover: ({ row }) => exactText(numberOf(row, id)) || why(row),
    bar: ({ row }) => {
      const value = numberOf(row, id);
      return value === null || most() === 0 ? null : value / most();
    },
  };
}

export const partColumns = (most: () => number): readonly Column[] => [
  words("name", "Part", "A child of the node, or an instrument that it holds", 124, (row) => textOf(row, "name")),
  amount("var_contribution", "Of VaR", "What it loses in the scenario of the VaR: these sum to it; below 0 it takes risk away", why, true),
  bar("var_contribution", "Takes \u2502 adds", "What it adds to VaR (right) or takes away", most, true),
  { id: "share", label: "Share", title: "Of the VaR", width: 80, tints: false, value: ({ row }) => numberOf(row, "share"), text: ({ row }) => percentText(numberOf(row, "share")), tone: ({ row }) => (numberOf(row, "share") === null ? "unknown" : ""), hover: ({ row }) => exactText(numberOf(row, "share")) || why(row) },
  amount("es_contribution", "Of ES", "Its share of expected shortfall: these sum to it", why, true),
  amount("var", "VaR alone", "Its own VaR, as if nothing else were held: these do not sum", why, true),
  amount("es", "ES alone", "Its own expected shortfall", why, true, { optional: 640 }),
  words("lacks", "Not in it", "How many instruments are not in it, or why this one is not", 100, (row) => textOf(row, "reason") || ((numberOf(row, "unknown_count") ?? 0) > 0 ? `${numberOf(row, "unknown_count")} without` : ""), { elastic: 76, tone: () => "fair" }),
];

export const scenarioColumns = (most: () => number): readonly Column[] => [
  words("scenario", "Scenario", "The day or minute that it ends with, the worst first", 136),
  amount("pnl", "P&L", "Of the place in this scenario", () => "not known", false),
  bar("pnl", "Loss \u2502 gain", "Against the largest", most, false),
  { id: "tail_weight", label: "In the tail", title: "Its weight in expected shortfall; 0 outside of the tail", width: 88, tints: false, value: ({ row }) => numberOf(row, "tail_weight"), text: ({ row }) => { const weight = numberOf(row, "tail_weight"); return weight === null ? UNKNOWN : weight === 0 ? "" : percentText(100 * weight); }, hover: ({ row }) => exactText(numberOf(row, "tail_weight")) },
];

/** P&L against VaR: as far as the larger of both. */
const scaleOf = (row: Row): number => Math.max(Math.abs(numberOf(row, "pnl") ?? 0), Math.abs(numberOf(row, "var") ?? 0)) * 1.05;

const dayUnknown = (row: Row): string => (numberOf(row, "var") === null ? "too few scenarios before this day" : "what was held has no closes of both days");

export const DAY_COLUMNS: readonly Column[] = [
  words("date", "Close of", "The day whose close is tested, the newest first", 116),
  words("next_date", "To", "The next day with closes", 92, undefined, { optional: 560 }),
  amount("var", "VaR", "Of what was held at the close, by the scenarios known by then", dayUnknown, true),
  amount("pnl", "P&L", "What that came to by the next close, without trades and fees", dayUnknown, false),
  {
    id: "bar", label: "P&L to \u2212VaR", title: "P&L as a bar, with a tick where the loss is VaR: beyond it is an exception", width: 120, elastic: 80, left: true, tints: false,
    value: ({ row }) => numberOf(row, "pnl"), text: () => "",
    tone: ({ row }) => `net-bar counted ${direction(numberOf(row, "pnl"), exactText(numberOf(row, "pnl")))}`,
    hover: ({ row }) => exactText(numberOf(row, "pnl")) || dayUnknown(row),
    bar: ({ row }) => (numberOf(row, "pnl") === null || scaleOf(row) === 0 ? null : (numberOf(row, "pnl") ?? 0) / scaleOf(row)),
    ticks: ({ row }) => { const loss = numberOf(row, "var"); return loss === null ? null : netTicks({ low: -loss, high: null, warnLow: null, warnHigh: null, row }, scaleOf(row)); },
  },
  words("said", "Exception", "Whether the loss was larger than VaR", 84, (row) => (row["exception"] === null ? UNKNOWN : row["exception"] === true ? "\u2716 yes" : "no"), {
    tone: ({ row }) => (row["exception"] === true ? "alarm" : row["exception"] === null ? "unknown" : "quiet"), hover: ({ row }) => (row["exception"] === null ? dayUnknown(row) : ""),
  }),
  whole("left_out", "Left out", "Positions that are in neither: options, forwards, and what lacks closes", 76, "not known", "fair"),
];
