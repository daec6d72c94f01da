// The paragraph of the manual behind each column, by its id; `grid.id` where a grid means something else by it.

import type { Paragraph } from "../words/manual";

const POSITION: Paragraph = "accounting#position";
const DAY: Paragraph = "accounting#the-day";
const DEALINGS: Paragraph = "accounting#bought-and-sold";
const MARKS: Paragraph = "accounting#marks";
const EXPOSURE: Paragraph = "accounting#exposure";
const CASH: Paragraph = "accounting#external-cash-nav-and-available-cash";
const COUNTS: Paragraph = "accounting#which-trades-count";
const UNITS: Paragraph = "options#greeks-and-their-units";
const QUOTES: Paragraph = "options#what-marks-an-option";
const RISK: Paragraph = "screens#the-risk";
const INSTRUMENTS: Paragraph = "files_and_columns#instruments";
const TRADES: Paragraph = "files_and_columns#trades";

const of = (paragraph: Paragraph, ...ids: string[]): Record<string, Paragraph> => Object.fromEntries(ids.map((id) => [id, paragraph]));

/** Columns that are rows of a table of the manual, under their own names. */
const named = (paragraph: Paragraph, grid: string, ...ids: string[]): Record<string, Paragraph> =>
  Object.fromEntries(ids.map((id) => [grid + id, `${paragraph}.${id}` satisfies Paragraph]));

const PARAGRAPHS: Readonly<Record<string, Paragraph>> = {
  ...of(POSITION, "quantity", "average_price", "breakeven_price", "unrealised_pnl", "realised_pnl", "total_pnl", "total_pnl_local", "net_cash"),
  ...of("accounting#reporting-currency", "currency", "fees"),
  ...named(DAY, "", "day_position_pnl", "day_trading_pnl", "day_translation_pnl", "day_carry_pnl", "correction_pnl"),
  ...of(DAY, "day_pnl", "net_day_pnl", "month_pnl", "year_pnl"),
  ...of(MARKS, "bid", "ask", "mark", "age", "stale_count", "market_value", "unpriced_count"),
  ...of(EXPOSURE, "net_exposure", "gross_exposure", "long_exposure", "short_exposure", "ladder.delta_cash", "parts.delta_cash", "bar", "net", "long", "short", "percent"),
  ...of("reading#exposure", "sector"),
  ...of("accounting#by-currency", "currencies.currency", "currencies.bar", "net_local"),
  ...of(CASH, "nav", "available_cash"),
  ...of(COUNTS, "trade_count", "last_trade_ts", "trades.status"),
  ...of("accounting#two-roll-ups", "name", "position_count"),
  ...of("screens#the-ladder", "instrument", "distance"),
  ...of("reading#groups", "parts.instrument", "parts.unrealised_pnl", "parts.realised_pnl", "parts.trade_count"),
  ...of(DEALINGS, "bought_quantity", "bought_price", "sold_quantity", "sold_price"),
  ...named(UNITS, "", "value", "delta", "delta_base", "delta_cash", "gamma_cash", "vega", "theta", "rho_quote", "rho_base", "vanna", "volga"),
  ...of(UNITS, "delta_type", "spot"),
  ...of(RISK, "underlying", "hedge_delta_cash", "risk.instrument", "risk.quantity", "expiries.instrument", "until", "distance_percent", "size"),
  ...of(QUOTES, "vol", "source", "risk.age", "state"),
  ...of("options#rates-yields-and-points", "rate_quote", "rate_base"),
  ...named(INSTRUMENTS, "", "strike", "expiry", "cut"),
  ...named(TRADES, "trades.", "instrument", "ts", "quantity", "price", "desk", "dealer", "counterparty", "source", "trade_id", "version", "fees",
    "value_date", "strategy", "account", "broker", "order_id", "comment", "booked_ts", "received_ts"),
};

/** Grids of which all columns are described in one place. */
const GRIDS: Readonly<Record<string, Paragraph>> = {
  cases: "reading#exceptions",
  feeds: "publishing#heartbeats-and-gaps",
  cash: "reading#the-cash-ladder",
  "hand-marks": "publishing#marks-by-hand",
  closes: "closes#versions",
  calendars: "files_and_columns#calendars",
  audit: "audit#kinds-of-entry",
  limits: "limits#how-a-limit-stands",
  breaches: "limits#breaches",
  rules: "limits#before-a-trade",
  whatif: "whatif#the-answer",
  var: "var#figures",
  "var-scenarios": "var#scenarios",
  backtest: "var#backtest",
  explain: "explain#lines",
};

/** The paragraph of a column of a grid; undefined for one that nobody has described. */
export const paragraphOf = (grid: string, id: string): Paragraph | undefined => PARAGRAPHS[`${grid}.${id}`] ?? GRIDS[grid] ?? PARAGRAPHS[id];
