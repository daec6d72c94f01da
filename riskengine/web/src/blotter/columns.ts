// The columns of the desk blotter: one line a node or dealer.

import { amount, count, DAY_COLUMNS, FEES, GREEKS, PERIOD_COLUMNS, REALISED, size, TOTAL, UNREALISED } from "../amounts/columns";
import type { Column } from "../grid/column";
import { link } from "../live/engine";
import { numberOf, textOf } from "../store/rows";
import { fullTimeText, momentText } from "../words/times";

export const BLOTTER_COLUMNS: readonly Column[] = [
  {
    id: "name",
    label: "Node",
    title: "Place in the organisation, or dealer; Enter opens its ladder",
    width: 168,
    left: true,
    tints: false,
    value: ({ row }) => textOf(row, "node") || textOf(row, "dealer"),
    text: ({ row }) => textOf(row, "node") || textOf(row, "dealer") || "(no dealer)",
    hover: ({ row }) => textOf(row, "level"),
  },
  ...DAY_COLUMNS,
  UNREALISED,
  REALISED,
  TOTAL,
  amount("net_exposure", "Net", "Net exposure, reporting currency: foreign currency legs and products at current marks", "priced", { width: 120 }),
  size("gross_exposure", "Gross", "Long less short after netting by currency and instrument; does not add up over nodes", { width: 120 }),
  size("long_exposure", "Long", "The positive part after netting; does not add up over nodes", { optional: true }),
  amount("short_exposure", "Short", "The negative part after netting; does not add up over nodes", "priced", { optional: true }),
  amount("nav", "NAV", "External cash, plus total P&L, less fees"),
  ...PERIOD_COLUMNS,
  FEES,
  ...GREEKS,
  amount("available_cash", "Cash", "External cash, net cash of what is paid for, settled P&L of FX and futures, less fees", "priced", { optional: true }),
  count("unpriced_count", "Unpriced", "Positions of which an amount is unknown: the amounts of this line are without them", "alarm", { width: 76 }),
  count("stale_count", "Stale", "Positions valued with an old price or rate", "stale", { width: 60 }),
  count("position_count", "Positions", "Positions below, flat ones too", "", { optional: true }),
  count("trade_count", "Trades", "Trades in force: the newest version of each, without cancelled ones"),
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
