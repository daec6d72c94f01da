"""The fields of every row: name, type and meaning, in the order in which they are sent.

OpenAPI document, CSV header line and sort parameter come from this one table. A test compares it with real rows.
"""

from typing import Any, NamedTuple

from riskengine.snapshot.risk_sums import SUMMED

TEXT, NUMBER, INTEGER, SEQUENCE, TIME, FLAG, OBJECT = "text", "number", "integer", "sequence", "time", "flag", "object"
ANY = "any"

_SCHEMAS: dict[str, dict[str, Any]] = {
    TEXT: {"type": ["string", "null"]},
    NUMBER: {"type": ["number", "string", "null"]},
    INTEGER: {"type": ["integer", "null"]},
    SEQUENCE: {"type": ["integer", "string", "null"], "description": "a text above 2^53"},
    TIME: {"type": ["integer", "null"]},
    FLAG: {"type": ["boolean", "null"]},
    OBJECT: {"type": ["object", "null"]},
    ANY: {"type": ["number", "string", "boolean", "null"]},
}
"""A number is a string with `exact=true`; null is unknown."""


class Field(NamedTuple):
    """One field of a row. `kind` is one of the constants above; a time is microseconds since the epoch, UTC."""

    name: str
    kind: str
    text: str

    def schema(self) -> dict[str, Any]:
        """The field as JSON Schema."""
        return _SCHEMAS[self.kind] | {"description": self.text}


Fields = tuple[Field, ...]

DAY: Fields = (
    Field("day_pnl", NUMBER, "P&L of the trading day before fees: the sum of the five lines"),
    Field("day_position_pnl", NUMBER, "of it, from price changes of what was held at the last close"),
    Field("day_carry_pnl", NUMBER, "of it, cash dividends and financing"),
    Field("day_trading_pnl", NUMBER, "of it, from the day's trades"),
    Field("day_translation_pnl", NUMBER, "of it, from rate changes on the P&L brought forward"),
    Field("correction_pnl", NUMBER, "of it, corrections of earlier days"),
    Field("net_day_pnl", NUMBER, "day_pnl after the fees of the day"),
    Field("month_pnl", NUMBER, "P&L of the month to date: of its closes, and of the day"),
    Field("year_pnl", NUMBER, "the same of the year"),
    Field("day_start_ts", TIME, "when the trading day began"),
)
AMOUNTS: Fields = (
    Field("total_pnl", NUMBER, "net cash plus value at the mark, before fees"),
    Field("realised_pnl", NUMBER, "since the opening balance"),
    Field("unrealised_pnl", NUMBER, "of the open positions against their average prices"),
    Field("fees", NUMBER, "a cost where positive; inside no P&L but net_day_pnl"),
    Field("net_exposure", NUMBER, "net currency legs and products, without the reporting currency"),
    Field("gross_exposure", NUMBER, "long less short, after netting by currency and instrument; not additive"),
    Field("long_exposure", NUMBER, "the positive part after netting; not additive"),
    Field("short_exposure", NUMBER, "the negative part after netting; not additive"),
    Field("delta_cash", NUMBER, "value of the deltas at spot, of linear positions too; the Greeks sum what is known"),
    Field("gamma_cash", NUMBER, "change of delta_cash for a 1 % move of spot"),
    Field("vega", NUMBER, "change of value for one vol point (0.01)"),
    Field("theta", NUMBER, "change of value for one calendar day that passes (1/365)"),
    Field("position_count", INTEGER, "positions below, flat ones too"),
    Field("trade_count", INTEGER, "effective trades below"),
    Field(
        "unpriced_count",
        INTEGER,
        "positions below of which an amount is unknown: value, fees or exposure; that amount is without them; of a node also"
        " balances of external cash without a rate",
    ),
    Field("quarantined_count", INTEGER, "of them, those set aside because they broke an invariant"),
    Field("stale_count", INTEGER, "positions below that are valued with a stale price or rate"),
    Field("last_trade_ts", TIME, "execution time of the newest trade"),
    Field("oldest_mark_ts", TIME, "event time of the oldest mark of an open position"),
    *DAY,
    Field("day_unknown_count", INTEGER, "positions brought forward without a close: the lines of the day are without them"),
)
CASH: Fields = (
    Field("nav", NUMBER, "external cash, plus total P&L, less fees"),
    Field("available_cash", NUMBER, "external cash, net cash of what is paid for, settled P&L of FX and futures, less fees"),
    Field("cash_translation_pnl", NUMBER, "of the day's NAV, from rate changes on the cash and fees brought forward"),
)
CASH_FLOW: Fields = (
    Field("currency", TEXT, "of the flow"),
    Field("value_date", TEXT, "when it flows; null for what is due"),
    Field("bucket", TEXT, "due (its date is over: settled), today, tom, spot, or the date"),
    Field("amount", NUMBER, "in the currency; comes in where positive"),
    Field("amount_reporting", NUMBER, "what that is worth; null without a rate"),
)
AWAITING_FIXING: Fields = (
    Field("instrument", TEXT, "a non-deliverable forward that nobody has fixed yet: it is in no row"),
    Field("quantity", NUMBER, "signed, long is positive"),
    Field("fixing_date", TEXT, "when it is fixed"),
    Field("value_date", TEXT, "when it pays"),
    Field("currency", TEXT, "in which it pays"),
    Field("amount_expected", NUMBER, "an estimate: what it would pay if it were fixed at the mark; null without one"),
    Field("mark", NUMBER, "its outright now"),
)
UNPRICED_HERE = Field("unpriced_count", INTEGER, "positions that the row lacks, because a part of them in it is unknown")
NODE: Fields = (
    Field("node", TEXT, "its name"),
    Field("level", TEXT, "what kind of place it is"),
    Field("parent", TEXT, "the node above; null for the root"),
    *AMOUNTS,
    *CASH,
)
DEALER: Fields = (Field("dealer", TEXT, "the name; empty for trades without one"), *AMOUNTS)
HOLDING: Fields = (
    Field("instrument", TEXT, "its symbol"),
    Field("quantity", NUMBER, "signed, long is positive"),
    Field("net_cash", NUMBER, "in currency: received less paid, fees apart"),
    Field("average_price", NUMBER, "average open price; null when flat and where long and short positions are netted"),
    Field("breakeven_price", NUMBER, "the price at which total P&L is zero; null when flat"),
    Field("bid", NUMBER, "of the quote that its mark came from; null where it had none, and for a mark of before the start"),
    Field("ask", NUMBER, "of the same quote"),
    Field("mark", NUMBER, "the price it is valued with"),
    Field("mark_source", TEXT, "who quoted it; of an option model, implied, pushed, taylor or fixing where that is its value"),
    Field("mark_ts", TIME, "its event time; of an option that of its oldest input"),
    Field("currency", TEXT, "of prices, net_cash and all amounts ending in _local"),
    Field("total_pnl", NUMBER, "net cash plus value at the mark, before fees"),
    Field("realised_pnl", NUMBER, "since the opening balance"),
    Field("unrealised_pnl", NUMBER, "against the average price"),
    Field("total_pnl_local", NUMBER, "the same in currency"),
    Field("realised_pnl_local", NUMBER, "the same in currency"),
    Field("unrealised_pnl_local", NUMBER, "the same in currency"),
    Field("fees", NUMBER, "a cost where positive"),
    Field("beside", NUMBER, "carry in other currencies, beside net_cash; in total and realised P&L, in no _local amount"),
    Field("market_value", NUMBER, "value at the mark"),
    Field("delta_base", NUMBER, "k q delta, in units of base; of an option the delta of its delta type"),
    Field("delta_cash", NUMBER, "k q delta S X: of an option the spot delta, premium-adjusted where its delta type is"),
    Field("gamma_cash", NUMBER, "change of delta_cash for a 1 % move of spot"),
    Field("vega", NUMBER, "change of value for one vol point (0.01)"),
    Field("theta", NUMBER, "change of value for one calendar day that passes (1/365)"),
    Field("stale", FLAG, "valued with a stale price or rate"),
    Field("closed", FLAG, "the market of the instrument is shut: a mark that was fresh when it shut is not stale"),
    Field("quarantined", FLAG, "it, or a position in it, broke an invariant and is left out until compared with the store"),
    Field("trade_count", INTEGER, "effective trades"),
    Field("last_trade_ts", TIME, "execution time of the newest trade"),
    Field("bought_quantity", NUMBER, "bought in the trading day, as dealt; null while no day is known"),
    Field("bought_price", NUMBER, "the average price of that; null where nothing was bought"),
    Field("sold_quantity", NUMBER, "sold in the trading day, a size"),
    Field("sold_price", NUMBER, "the average price of that; null where nothing was sold"),
    *DAY,
)
OF_NODE: Fields = (Field("node", TEXT, "whose position it is"), *HOLDING)
OF_DEALER: Fields = (Field("dealer", TEXT, "whose position it is"), *HOLDING)
POSITION: Fields = (
    Field("node", TEXT, "whose position it is; not in rows of a dealer"),
    Field("dealer", TEXT, "whose position it is; only in rows of a dealer"),
    *HOLDING,
)
CLOSED: Fields = (
    Field("date", TEXT, "the trading day"),
    Field("version", INTEGER, "of that close: above 1 it supersedes what was published"),
)
CLOSED_HOLDING: Fields = (
    Field("instrument", TEXT, "its symbol"),
    Field("quantity", NUMBER, "signed, long is positive"),
    Field("net_cash", NUMBER, "in the cash currency: received less paid, fees apart"),
    Field("average_price", NUMBER, "average open price; null when flat"),
    Field("price", NUMBER, "the mark of the close; null where the instrument has none"),
    Field("rate", NUMBER, "of the cash currency into the reporting one at the close; null where it has none"),
    Field("total_pnl", NUMBER, "net cash plus value at the mark of the close, before fees"),
    Field("official", FLAG, "a loaded close or settlement of the date, not a mark of the feeds; null without a price"),
)
OF_CLOSED_NODE: Fields = (*CLOSED, Field("node", TEXT, "the leaf that holds it"), *CLOSED_HOLDING)
OF_CLOSED_DEALER: Fields = (*CLOSED, Field("dealer", TEXT, "who holds it"), *CLOSED_HOLDING)
CLOSE: Fields = (
    *CLOSED,
    Field("node", TEXT, "the leaf that holds it; not in rows of a dealer"),
    Field("dealer", TEXT, "who holds it; only in rows of a dealer"),
    *CLOSED_HOLDING,
)
GROUP: Fields = (
    Field("instrument", TEXT, "of the line of the ladder"),
    Field("group", TEXT, "the counterparty or strategy; empty of trades without one, null where kind is not trades"),
    Field("kind", TEXT, "trades; rest: what no trade brought; unattributed: the whole line, whose trades are not proved"),
    *(
        next(field for field in HOLDING if field.name == name)._replace(**({"text": text} if text else {}))
        for name, text in {
            "quantity": "",
            "net_cash": "",
            "breakeven_price": "the price at which its total P&L is zero; null when flat",
            "mark": "",
            "mark_ts": "",
            "currency": "",
            "total_pnl": "",
            "realised_pnl": "null where its average price is another one's as well",
            "unrealised_pnl": "likewise",
            "total_pnl_local": "",
            "fees": "",
            "market_value": "",
            "delta_base": "",
            "delta_cash": "",
            "gamma_cash": "",
            "vega": "",
            "theta": "",
            "stale": "",
            "trade_count": "",
        }.items()
    ),
)
"""The fields of `snapshot.groups.FIELDS`."""
OWNERS = ("node", "dealer", "instrument")

DIFFERENCE: Fields = (
    Field("list", TEXT, "nodes, dealers or positions"),
    Field("node", TEXT, "whose cell it is"),
    Field("dealer", TEXT, "whose cell it is, or who holds the position"),
    Field("instrument", TEXT, "of a position"),
    Field("field", TEXT, "the field that differs"),
    Field("kind", TEXT, "changed; appeared: only the later moment has the row; gone: only the earlier one has it"),
    Field("from", ANY, "at the earlier moment; null is unknown, or the row was not there"),
    Field("to", ANY, "at the later moment"),
    Field("change", NUMBER, "the later less the earlier; null unless both are numbers"),
)

MARK: Fields = (
    Field("instrument", TEXT, "its symbol"),
    Field("price", NUMBER, "the mark; null where there is none"),
    Field("ts", TIME, "its event time"),
    Field("source", TEXT, "who quoted it"),
    Field(
        "kind",
        TEXT,
        "quote, one_sided, close; of options also model, implied, pushed, taylor, fixing; their quote is beside",
    ),
    Field("age_ms", INTEGER, "at the snapshot's as_of"),
    Field("stale", FLAG, "older than the limit; of a market that is shut, when it shut"),
    Field("closed", FLAG, "the market of the instrument is shut"),
    Field("suspect", NUMBER, "a level held back by the mark policy"),
    Field("suspect_ts", TIME, "since when"),
    Field("currency", TEXT, "of the price"),
    Field("rate", NUMBER, "of that currency into the reporting one"),
    Field("quoted_price", NUMBER, "of an option: its own quote"),
    Field("quoted_ts", TIME, "the time of that quote"),
    Field("quoted_source", TEXT, "who quoted it"),
    Field("unvalued", TEXT, "why the value or the Greeks of an option are unknown"),
    Field("author", TEXT, "who set it, where a person did"),
    Field("reason", TEXT, "why"),
    Field("expires_ts", TIME, "until when it holds against the feeds; null: a newer price replaces it"),
)
INSTRUMENT: Fields = (
    Field("instrument", TEXT, "its symbol"),
    Field("kind", TEXT, "fx, equity, future, fx_option and so on"),
    Field("base_currency", TEXT, "of the fx kinds and metals"),
    Field("quote_currency", TEXT, "of its prices"),
    Field("currency", TEXT, "of its net cash, marks and amounts ending in _local"),
    Field("price_decimals", INTEGER, "with which its prices are shown"),
    Field("quantity_decimals", INTEGER, "that its quantities have at most"),
    Field("multiplier", NUMBER, "what one unit counts"),
    Field("sector", TEXT, "empty where it has none"),
    Field("underlying", TEXT, "of options, futures and forwards"),
    Field("option_type", TEXT, "call or put"),
    Field("strike", NUMBER, "null where it has none"),
    Field("expiry", TEXT, "of options and futures; of forwards the value date"),
)
TRADE: Fields = (
    Field("source", TEXT, "who sent it; with trade_id and leg its identity"),
    Field("trade_id", TEXT, "the source's name of the deal"),
    Field("leg", INTEGER, "of several legs under one trade_id"),
    Field("version", INTEGER, "the highest one counts"),
    Field("action", TEXT, "new, amend or cancel"),
    Field("ts", TIME, "execution time"),
    Field("source_seq", SEQUENCE, "the source's own number, orders trades of equal time"),
    Field("instrument", TEXT, "its symbol"),
    Field("desk", TEXT, "a leaf node"),
    Field("dealer", TEXT, "empty where there is none"),
    Field("side", TEXT, "buy or sell, of the base"),
    Field("quantity", NUMBER, "above 0"),
    Field("price", NUMBER, "in the cash currency"),
    Field("fees", NUMBER, "a cost where positive"),
    Field("fees_currency", TEXT, "of the fees"),
    Field("value_date", TEXT, "when it settles"),
    Field("trade_date", TEXT, "the day it counts to, where the source says so"),
    Field("booked_ts", TIME, "when this version was booked"),
    Field("contra_amount", NUMBER, "the exact cash, in place of quantity x price; it has the sign of the price"),
    Field("legs", INTEGER, "how many legs there should be"),
    Field("counterparty", TEXT, "with whom it was dealt; this and what follows up to comment is outside the economics"),
    Field("account", TEXT, "for which account"),
    Field("broker", TEXT, "through whom"),
    Field("order_id", TEXT, "by which order"),
    Field("strategy", TEXT, "by which strategy"),
    Field("comment", TEXT, "a remark"),
    Field("store_seq", INTEGER, "the store's number"),
    Field("received_ts", TIME, "when the engine took it"),
)
EXCEPTION: Fields = (
    Field("id", TEXT, "names it for good"),
    Field(
        "kind",
        TEXT,
        "conflict, parked, unmatched, quarantined, late, off_market, possible_duplicate, unpriced, suspect, older_rule, waiting,"
        " expired",
    ),
    Field("ts", TIME, "when it was first seen; null where that is not known"),
    Field("age_s", NUMBER, "how long ago that was, seconds"),
    Field("reason", TEXT, "what is wrong"),
    Field("instrument", TEXT, "what it is about"),
    Field("trade", OBJECT, "the trade that it is about, as columns"),
    Field("detail", OBJECT, "what else is known"),
    Field("verdict", TEXT, "accept or reject, where a person said so"),
    Field("comment", TEXT, "what a person wrote"),
    Field("verdict_by", TEXT, "who decided or commented last"),
    Field("verdict_ts", TIME, "when"),
)
LIMIT_LINE: Fields = (
    Field("line", TEXT, "names it: the limit, and the node or dealer that it bounds"),
    Field("limit_id", TEXT, "the limit"),
    Field("version", INTEGER, "of it: the highest that has begun"),
    Field("node", TEXT, "whose number it bounds; null: a dealer's"),
    Field("dealer", TEXT, "whose number it bounds; null: a node's"),
    Field("level", TEXT, "where it bounds every node of a level"),
    Field("measure", TEXT, "which number"),
    Field("currency", TEXT, "of a net open position, or of cash on a value date"),
    Field("instrument", TEXT, "of a position or a trade"),
    Field("counterparty", TEXT, "of an exposure to one"),
    Field("side", TEXT, "above, below or absolute: where the number breaks the limit"),
    Field("limit", NUMBER, "in the unit of the measure"),
    Field("warn_at", NUMBER, "from where it warns"),
    Field("severity", TEXT, "hard or soft"),
    Field("owner", TEXT, "who answers for it"),
    Field("from", TEXT, "the first trading day in which it holds"),
    Field("to", TEXT, "the last one"),
    Field("state", TEXT, "ok, warning, breach, unknown (the number, or a part of it), or per_trade: it bounds intended trades"),
    Field("value", NUMBER, "the number, or what is known of it"),
    Field("use_percent", NUMBER, "how much of the limit is used; null for floors from 0 and ceilings up to 0"),
    Field("headroom", NUMBER, "how much further the number may go; below 0: how far it is beyond"),
    Field("subject", TEXT, "the instrument, sector, value date or counterparty that decides the number"),
    Field("incomplete", FLAG, "the number lacks parts that are unknown"),
    Field("breach_id", TEXT, "names the breach that lasts"),
    Field("first_seen_ts", TIME, "when it began"),
    Field("worst", NUMBER, "the number furthest beyond the limit since then"),
    Field("worst_ts", TIME, "when that was"),
    Field("acknowledged_by", TEXT, "who knows of it"),
    Field("acknowledged_ts", TIME, "since when"),
    Field("reason", TEXT, "why it may stand"),
)
MARGIN: Fields = (
    Field("rule_id", TEXT, "the rule"),
    Field("version", INTEGER, "of it: the highest that has begun"),
    Field("kind", TEXT, "reg_t, scenario or day_trading (data only)"),
    Field("node", TEXT, "the account"),
    Field("from", TEXT, "the first trading day in which it holds"),
    Field("to", TEXT, "the last one"),
    Field("available_cash", NUMBER, "of the account, before margin"),
    Field("market_value", NUMBER, "of reg_t: what its long shares are worth"),
    Field("cost", NUMBER, "of reg_t: what they cost; null where a row nets positions of both sides"),
    Field("debit", NUMBER, "of reg_t: what the account owes"),
    Field("equity", NUMBER, "of reg_t: market value less debit, or with its cash"),
    Field("maintenance", NUMBER, "of reg_t: the share of market value that equity must not fall below"),
    Field("call", NUMBER, "of reg_t: what equity lacks to that, 0 or more"),
    Field("trigger_value", NUMBER, "of reg_t: the market value below which there is a call"),
    Field("buying_power", NUMBER, "of reg_t: what more can be bought"),
    Field("not_covered_count", INTEGER, "open positions that the rule does not cover: short shares, options on shares"),
    Field("unknown_count", INTEGER, "open positions without a value: what is asked is unknown"),
    Field("worst_price_shift", NUMBER, "of scenario: the shift of prices in the worst cell, per cent"),
    Field("worst_vol_shift", NUMBER, "of scenario: the shift of vols there, per cent"),
    Field("minimum_equity", NUMBER, "of day_trading"),
    Field("day_trades", INTEGER, "of day_trading"),
    Field("days", INTEGER, "of day_trading"),
    Field("requirement", NUMBER, "the initial margin: of reg_t the share of cost, of scenario the worst loss"),
    Field("available_after_margin", NUMBER, "available cash less the requirement"),
)
RULE: Fields = (
    Field("rule", TEXT, "instrument (the trade could be booked), market (it is open), or the measure of a limit"),
    Field("outcome", TEXT, "pass, warn, unknown or refuse"),
    Field("trade", INTEGER, "the place of the trade that it bounds; null: it bounds what all of them come to"),
    Field("limit_id", TEXT, "the limit"),
    Field("line", TEXT, "the limit, and the node or dealer that it bounds"),
    Field("node", TEXT, "whose number it bounds"),
    Field("dealer", TEXT, "whose number it bounds"),
    Field("currency", TEXT, "of a net open position"),
    Field("instrument", TEXT, "of a position or a trade"),
    Field("severity", TEXT, "hard or soft"),
    Field("limit", NUMBER, "in the unit of the measure"),
    Field("before", NUMBER, "the number now"),
    Field("after", NUMBER, "the number after the trades, at the prices of now"),
    Field("headroom", NUMBER, "how much further it could go after them; below 0: how far it would be beyond"),
    Field("state", TEXT, "how the limit would stand"),
    Field("reason", TEXT, "why it does not pass, where that is not plain"),
)
BREACH: Fields = (
    Field("breach_id", TEXT, "names it for good"),
    Field("limit_id", TEXT, "the limit"),
    Field("version", INTEGER, "of it, as it began"),
    Field("node", TEXT, "whose number was beyond it; null: a dealer's"),
    Field("dealer", TEXT, "whose number was beyond it; null: a node's"),
    Field("measure", TEXT, "which number"),
    Field("severity", TEXT, "hard or soft"),
    Field("limit", NUMBER, "what the limit was as it began"),
    Field("first_seen_ts", TIME, "when it began"),
    Field("last_seen_ts", TIME, "when it last got worse, or ended"),
    Field("ended_ts", TIME, "when the number was back; null: it lasts"),
    Field("worst", NUMBER, "the number furthest beyond the limit"),
    Field("worst_ts", TIME, "when that was"),
    Field("acknowledged_by", TEXT, "who knows of it"),
    Field("acknowledged_ts", TIME, "since when"),
    Field("reason", TEXT, "why it may stand"),
)
AGENDA: Fields = (
    Field("date", TEXT, "the day that brings it"),
    Field(
        "kind", TEXT, "value_date, fixing, expiry, ex_date, holiday, early_close or unchanged (a price that is that of the close)"
    ),
    Field("name", TEXT, "the pair, the instrument, or the calendar (a currency or an exchange)"),
    Field("what", TEXT, "in words; empty for a value date on its usual day"),
    Field("due", TEXT, "of value_date: when the pair settles that is dealt spot on that day"),
    Field("ts", TIME, "the moment: of a cut, of an early close, or of the price that has not moved"),
    Field("positions", INTEGER, "open positions in it that the token shows; null where it is about none"),
)
AUDIT: Fields = (
    Field("audit_seq", INTEGER, "its number in the chain"),
    Field("ts", TIME, "when it was written"),
    Field("actor", TEXT, "who answers for it: the name of a token, engine, followed, or the user of a command"),
    Field("kind", TEXT, "what it is about"),
    Field("subject", TEXT, "which one"),
    Field("row_count", INTEGER, "rows of trades that it covers; 0 where it is about something else"),
    Field("first_store_seq", INTEGER, "the first of them"),
    Field("last_store_seq", INTEGER, "the last of them"),
    Field("detail", OBJECT, "what else it says, without the hashes of rows"),
    Field("hash", TEXT, "of the entry, which the next one names"),
)
EXPOSURE: Fields = (
    Field("net", NUMBER, "long less short; null where none of it is known"),
    Field("long", NUMBER, "the positive part, after netting"),
    Field("short", NUMBER, "the negative part, after netting"),
    Field("percent", NUMBER, "net as a share of the longs less the shorts of all rows"),
)
BY_CURRENCY: Fields = (
    Field("currency", TEXT, "the currency, or the asset of a metal or a crypto"),
    *EXPOSURE,
    Field("net_local", NUMBER, "net in the currency itself"),
    UNPRICED_HERE,
)
BY_SECTOR: Fields = (Field("sector", TEXT, "of the instruments; empty for those without one"), *EXPOSURE, UNPRICED_HERE)
BY_INSTRUMENT: Fields = (Field("instrument", TEXT, "its symbol"), *EXPOSURE, UNPRICED_HERE)
BY_KIND: Fields = (Field("kind", TEXT, "of the instruments"), *EXPOSURE, UNPRICED_HERE)
EXPOSED_BY: dict[str, Fields] = {
    "currency": BY_CURRENCY,
    "sector": BY_SECTOR,
    "instrument": BY_INSTRUMENT,
    "kind": BY_KIND,
}
EVERY_EXPOSURE: Fields = (
    *(fields[0]._replace(text=f"{fields[0].text}; only with by={by}") for by, fields in EXPOSED_BY.items()),
    *EXPOSURE,
    BY_CURRENCY[-2]._replace(text="net in the currency itself; only with by=currency"),
    UNPRICED_HERE,
)
NAME: Fields = (
    Field("instrument", TEXT, "its symbol"),
    Field("net", NUMBER, "what is held of it"),
    Field("percent", NUMBER, "of the longs less the shorts of all instruments"),
)
BESIDE_EXPOSURE: Fields = (
    Field("shorthand", NUMBER, "the larger of long and |short|, plus |gold|"),
    Field("long", NUMBER, "longs by currency, without the reporting currency and gold"),
    Field("short", NUMBER, "shorts by currency, likewise"),
    Field("gold", NUMBER, "net of XAU"),
    Field("quoted_apart", NUMBER, "what pairs are marked beyond the rates of their currencies; in the reporting currency's row"),
    Field("unpriced_count", INTEGER, "positions that the rows lack"),
    Field("sector_count", INTEGER, "sectors of which an open position is held"),
    Field("largest", OBJECT, "the instrument with the largest net, pairs of currencies apart; null where none is held"),
    Field("top_five", OBJECT, "a list: the five largest of them"),
    Field("top_five_percent", NUMBER, "the sizes of their shares, added up"),
)
"""What stands beside the rows of an exposure."""
RISK: Fields = (
    Field("instrument", TEXT, "its symbol"),
    Field("kind", TEXT, "fx_option or equity_option; that of a hedge, such as fx, equity, future or fx_forward"),
    Field("underlying", TEXT, "what gives an option its spot; of a hedge that of the options it hedges"),
    Field("option_type", TEXT, "call or put; null of a hedge, as all that a hedge has not"),
    Field("strike", NUMBER, "in the quote currency per unit of base, as splits have adjusted it"),
    Field("expiry", TEXT, "its date, or the moment; of a forward its value date"),
    Field("quantity", NUMBER, "signed, long is positive"),
    Field("spot", NUMBER, "that the Greeks were computed with, in the quote currency per unit of base"),
    Field("vol", NUMBER, "that they were computed with, a fraction: 0.0825 is 8.25 %"),
    Field("rate_quote", NUMBER, "of the quote currency from spot date to delivery, continuously compounded, a fraction"),
    Field("rate_base", NUMBER, "of the base, or the dividend yield, likewise"),
    Field("years", NUMBER, "to the cut, in years of 365 days: the time of the vol; counted at the last step of the clock"),
    Field("years_settle", NUMBER, "from spot date to delivery, in years of 365 days: the time of rates and discounting"),
    Field("value", NUMBER, "of one unit of base, in the quote currency; of a hedge its mark"),
    Field("delta_type", TEXT, "spot, forward, spot_pa or forward_pa (premium-adjusted): which delta the next two are"),
    Field("delta", NUMBER, "of one unit of base, before the multiplier; a call's is above 0; of a hedge 1"),
    Field("delta_base", NUMBER, "k q delta of the position, in units of base"),
    Field("delta_cash", NUMBER, "k q delta S X: of an option the spot delta, premium-adjusted where its delta type is"),
    Field("gamma_cash", NUMBER, "change of delta_cash for a 1 % rise of spot"),
    Field("vega", NUMBER, "change of value for one vol point (0.01) more"),
    Field("theta", NUMBER, "change of value for one calendar day that passes (1/365); a long option's is mostly below 0"),
    Field("rho_quote", NUMBER, "change of value for 1 % (0.01) more on the quote currency's rate; null of forwards and futures"),
    Field("rho_base", NUMBER, "change of value for 1 % (0.01) more on the base's rate or the yield; likewise"),
    Field("vanna", NUMBER, "change of delta_cash (of the unadjusted spot delta) for one vol point (0.01) more"),
    Field("volga", NUMBER, "change of vega for one vol point (0.01) more"),
    Field("total_pnl", NUMBER, "net cash plus value at the mark, before fees"),
    Field("source", TEXT, "model, implied, pushed, taylor or quote (a value without Greeks); of a hedge who quoted its mark"),
    Field("ts", TIME, "of the oldest input of value and Greeks; of a hedge of its mark"),
    Field("stale", FLAG, "one of the inputs is stale"),
    Field("state", TEXT, "live, or expired where the cut is past"),
    Field("price", NUMBER, "the mark, in the unit of the option's premium_style and in its cash currency"),
    Field("expiry_ts", TIME, "the moment of the cut"),
    Field("reason", TEXT, "why value or Greeks are unknown; null where they are known"),
)
_RISK_SUMS: Fields = (
    Field("option_count", INTEGER, "options in it"),
    Field("hedge_count", INTEGER, "hedges in it"),
    *(field._replace(text=f"{field.text}: the sum of what is known") for field in RISK if field.name in SUMMED),
    Field("hedge_delta_cash", NUMBER, "of delta_cash, what hedges have"),
    Field("unpriced_count", INTEGER, "rows of which delta_cash or total_pnl is unknown: no sum has them"),
    Field("stale_count", INTEGER, "rows with a stale input"),
    Field("unknown", OBJECT, "by the name of a sum, how many rows it lacks; empty where none lacks any"),
)
BY_UNDERLYING: Fields = (
    Field("underlying", TEXT, "of options and hedges"),
    Field("spot", NUMBER, "in the quote currency per unit of base"),
    Field("delta_base", NUMBER, "k q delta in units of base, of all delta types: the sum of what is known"),
    *_RISK_SUMS,
)
BY_EXPIRY: Fields = (
    Field("bucket", TEXT, "days ahead, UTC: 1W (7), 1M (31), 3M (92), 6M (184), 1Y (366), 2Y (731), later; no expiry: 1W"),
    *_RISK_SUMS,
)
EXPIRING: Fields = (
    Field("instrument", TEXT, "an option that expires today (UTC) or in the next five days"),
    Field("underlying", TEXT, "what gives it its spot"),
    Field("option_type", TEXT, "call or put"),
    Field("strike", NUMBER, "in the quote currency per unit of base"),
    Field("expiry", TEXT, "its date, or the moment"),
    Field("cut", TEXT, "the time of day and the zone; null: the close of its session, or the moment that expiry names"),
    Field("expiry_ts", TIME, "the moment of the cut"),
    Field("quantity", NUMBER, "signed, long is positive"),
    Field("size", NUMBER, "k q: units of base, signed"),
    Field("spot", NUMBER, "in the quote currency per unit of base"),
    Field("distance_percent", NUMBER, "how far the strike lies above spot, in percent of spot; below 0: under it"),
    Field("in_pin_band", FLAG, "spot is at most pin_band_percent from the strike"),
    Field("delta_cash", NUMBER, "of the position"),
    Field("gamma_cash", NUMBER, "of the position: change of delta_cash for a 1 % rise of spot"),
)
BESIDE_RISK: Fields = (
    Field("pin_band_percent", NUMBER, "the setting options.pin_band, in percent; null where there is no option at all"),
    Field("left_out_count", INTEGER, "rows of vols and rates that take no part: newer ones lie around their date"),
    Field("left_out", OBJECT, "a list: the first hundred of them, as kind, name and date"),
)
"""What stands beside the rows of a risk and its three lists."""
POINT: Fields = (
    Field("ts", TIME, "of the snapshot, or the boundary of the close; with bucket= the beginning of the stretch"),
    Field("value", NUMBER, "the amount; the last one of a stretch; null where that was unknown"),
    Field("min", NUMBER, "the least of those known in the stretch"),
    Field("max", NUMBER, "the largest of those known in the stretch"),
    Field("samples", INTEGER, "how many there are in the stretch, closes too; one without any is not listed"),
)
DRAWDOWN: Fields = (
    Field("amount", NUMBER, "the greatest fall below the highest value before it, 0 or more; null where nothing is known"),
    Field("peak_ts", TIME, "when it stood highest before that; null where it never fell"),
    Field("trough_ts", TIME, "when it stood lowest after that; null where it never fell"),
)
"""Beside the points of a history, of every sample and close in it, before they are put into stretches."""
COMPARED: tuple[str, ...] = tuple(dict.fromkeys(field.name for field in (*NODE, *DEALER, *POSITION) if field.name not in OWNERS))
"""The fields whose cells can differ between two moments."""

NUMBERS = frozenset(
    field.name
    for fields in (
        NODE,
        DEALER,
        POSITION,
        GROUP,
        CLOSE,
        MARK,
        DIFFERENCE,
        INSTRUMENT,
        TRADE,
        EXCEPTION,
        LIMIT_LINE,
        BREACH,
        MARGIN,
        POINT,
        EVERY_EXPOSURE,
        RISK,
        BY_UNDERLYING,
        EXPIRING,
    )
    for field in fields
    if field.kind == NUMBER
)
"""Fields that are numbers in every list, and decimal texts with `exact=true`."""

SESSION: Fields = (
    Field("name", TEXT, "of the token; local where the engine has no tokens"),
    Field("roles", OBJECT, "a list: viewer, dealer, feed, ops"),
    Field("sees_everything", FLAG, "whether every node and dealer is shown"),
    Field("may_book", FLAG, "whether trades of the source manual may be posted, of the nodes and dealers below"),
    Field("nodes", OBJECT, "a list: the nodes at and below which everything is shown; null: all"),
    Field("dealers", OBJECT, "a list: the dealers that are shown; null: all"),
    Field("login", FLAG, "whether the engine has tokens, so that one can log out"),
    Field("expires_ts", TIME, "when the token ends; null: never"),
)
FEED: Fields = (
    Field("source", TEXT, "the source of trades or ticks"),
    Field(
        "age_ms", INTEGER, "since its last heartbeat, or its last tick where it sends none; null: not heard of since the start"
    ),
    Field("alive", FLAG, "false: no heartbeat for five seconds; null: it sends none"),
    Field("last_seq", SEQUENCE, "the number that it says it sent last"),
    Field("received_seq", SEQUENCE, "the highest number that has come"),
    Field("gap", FLAG, "numbers are missing that it has sent"),
    Field("missing_count", INTEGER, "how many"),
    Field("missing", OBJECT, "a list: the first ten ranges of them, each first and last number"),
    Field("acknowledged_count", INTEGER, "missing numbers that a person knows of"),
    Field("anew", FLAG, "it seems to number anew, and waits for a person to say restart"),
    Field("retired", FLAG, "a person said that it is no more"),
    Field("clock_skew_ms", INTEGER, "how far its clock runs ahead of the engine's; null where it has sent no tick"),
)
STATUS: Fields = (
    Field("state", TEXT, "starting, loading, live, degraded (the store is away), stopping or failed"),
    Field("progress", NUMBER, "of the start, 0 to 1"),
    Field("version", TEXT, "of the program"),
    Field("ts", TIME, "the engine's clock"),
    Field("epoch", INTEGER, "of the writer's lease; null until live"),
    Field("seq", INTEGER, "of the snapshot; null until live"),
    Field("as_of", TIME, "when the snapshot was published"),
    Field("reporting_currency", TEXT, "of amounts without a suffix"),
    Field("policies", OBJECT, "the settings that decide visible numbers"),
    Field("counts", OBJECT, "applied, duplicates, conflicts, superseded, late, parked, quarantined, unmatched, waiting"),
    Field("node_count", INTEGER, "nodes of the organisation"),
    Field("instrument_count", INTEGER, "instruments known"),
    Field("dealer_count", INTEGER, "dealers with positions"),
    Field("position_count", INTEGER, "positions of the organisation, flat ones too"),
    Field("unpriced_count", INTEGER, "of them, those of which an amount is unknown: value, fees or exposure"),
    Field("quarantined_count", INTEGER, "of them, those set aside because they broke an invariant"),
    Field("watermark", INTEGER, "the highest store_seq in the snapshot"),
    Field("last_trade_at", TIME, "when the engine last applied a trade"),
    Field("last_trade_age_ms", INTEGER, "since then"),
    Field("clients", INTEGER, "websocket connections of the stream"),
    Field("conflated", INTEGER, "snapshots that updates have skipped, added up over all clients since the start"),
    Field("evictions", OBJECT, "clients of the stream that were dropped since the start, by why"),
    Field(
        "feeds", OBJECT, "a list: each source that beats or sends ticks, whether it is alive, what is missing of it, its clock"
    ),
    Field("publish_age_ms", INTEGER, "since the newest snapshot was published; above two seconds the writer hangs"),
    Field("writer_lag_ms", NUMBER, "what the writer's last batch took, or the one at work has taken if that is more"),
    Field("last_beat_ms", NUMBER, "what the last revaluation took, publication included"),
    Field("last_reconciliation", OBJECT, "null before the first"),
    Field(
        "journal",
        OBJECT,
        "what as_of= can be asked: first_ts, last_ts and every_s of the recorded instants; null where there are none",
    ),
    Field("warnings", OBJECT, "a list: what readers must know of the numbers, each with kind, text and since when"),
    Field("start", OBJECT, "the morning: phases with their times, and the summary as far as it is known"),
)

POLICIES: dict[str, dict[str, Any]] = {
    "reporting_currency": {"type": "string", "description": "of every amount without a suffix"},
    "day_boundary": {"type": "string", "description": "when one trading day ends and the next begins"},
    "day_zone": {"type": "string", "description": "where that clock hangs"},
    "tolerance_s": {"type": "number", "description": "how late a trade is without a notice"},
    "future_limit_s": {"type": "number", "description": "how far ahead of the clock a time may be"},
    "beat_ms": {"type": "integer", "description": "how often prices move the totals"},
    "stale_after_s": {"type": "number", "description": "from which age on a mark is flagged"},
    "max_cross_bp": {"type": ["number", "null"], "description": "beyond it a crossed quote is suspect; null: off"},
    "max_move": {"type": ["number", "object"], "description": "beyond it a move is suspect; of all kinds or by kind; 0: off"},
    "off_market": {"type": ["number", "object"], "description": "beyond it a trade is listed; of all kinds or by kind; 0: off"},
    "suspect_release_s": {"type": "number", "description": "how long a suspect level holds until it is believed"},
    "price_units": {"type": "object", "description": "by source and currency, the other unit in which that source quotes"},
}


def names(fields: Fields) -> tuple[str, ...]:
    """The field names, in the order of the row."""
    return tuple(field.name for field in fields)
