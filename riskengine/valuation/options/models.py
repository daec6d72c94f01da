"""Values options from what the market says of them: by our model, by their own quote, or by Greeks from outside.

Which of them an option's mark is, in this order (the first that there is):

    fixing    after the cut: what that has decided (`option_cuts`)
    pushed    of options whose Greeks come from outside: their value, moved by a second-order Taylor step to the spot of now
    model     with the option's own vol, else that of its surface
    implied   its own quote, and the Greeks of the vol that this implies
    quote     its own quote, without Greeks

Every entry that lacks value or Greeks says why. No entry is NaN but for inputs that are unknown. Pure; any thread.
"""

from typing import NamedTuple

import numpy as np

from riskengine.pricing.black_scholes import Inputs, Measures, measure
from riskengine.records.option_inputs import PushedGreeks, Vol
from riskengine.records.types import BoolArray, FloatArray, IntArray, ObjectArray
from riskengine.valuation.options.americans import Americans
from riskengine.valuation.options.cuts import held_prices, is_in_the_money
from riskengine.valuation.options.terms import OptionTerms
from riskengine.valuation.options.values import (
    DAYS_A_YEAR,
    EXPIRED,
    FIXED,
    FORWARD,
    FORWARD_PA,
    IMPLIED,
    LIVE,
    MODEL,
    NO_SOURCE,
    PUSHED,
    QUOTED,
    SPOT_PA,
    TAYLOR,
    VOL_POINT,
)

_MICROS_A_YEAR = DAYS_A_YEAR * 86_400 * 1_000_000


NO_SPOT = "its underlying has no price"
NO_CUT_SPOT = "it is settled in cash, and no price of its underlying at its cut is known: set a mark of it"
NO_GREEKS = "its Greeks come from outside, and none have come"


class PushedColumns(NamedTuple):
    """Greeks from outside as they were sent; 0 where there are none. `moved_vol`: how far the option's own vol moved since."""

    is_there: BoolArray
    ts: IntArray
    spot: FloatArray
    vol: FloatArray
    value: FloatArray
    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    moved_vol: FloatArray

    @classmethod
    def none(cls, size: int) -> "PushedColumns":
        """Those of so many options of which nothing has come."""
        is_there, ts = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.int64)
        return cls(is_there, ts, *(np.zeros(size) for _ in range(8)))

    def copied(self) -> "PushedColumns":
        """The same in arrays of its own."""
        return PushedColumns._make(column.copy() for column in self)

    def put(self, place: int, sent: PushedGreeks, vol: Vol | None) -> None:
        """Write what came for one option, in place; `vol` is its own. Where that is later, the step knows how far vol moved."""
        moved_vol = vol.vol - sent.vol if vol is not None and vol.ts > sent.ts else 0.0
        self.is_there[place], self.ts[place] = True, sent.ts
        amounts = (sent.spot, sent.vol, sent.value, sent.delta, sent.gamma, sent.vega, sent.theta, moved_vol)
        for column, amount in zip(self[2:], amounts, strict=True):
            column[place] = amount


class MarketColumns(NamedTuple):
    """What the market says of each option at one moment. A number is 0 where its `has_` is false.

    spot, vol, rate_quote, rate_base   fractions; the spot in the option's quote currency
    quote     its own quote, in the unit of its price
    years     to the cut, of the vol        years_settle   from spot date to delivery
    ts        the moment that `years` were counted at, microseconds
    fixing    what the underlying was worth at the cut, 0 where that is not known (`is_fixed`)
    is_set    its own quote is what a person says of it after the cut
    implied   the vol that its own quote implies, 0 where there is none
    why_no_vol, why_no_rates, why_not_implied   reasons, "" where they are known
    """

    spot: FloatArray
    has_spot: BoolArray
    vol: FloatArray
    has_vol: BoolArray
    rate_quote: FloatArray
    rate_base: FloatArray
    has_rates: BoolArray
    quote: FloatArray
    has_quote: BoolArray
    years: FloatArray
    years_settle: FloatArray
    ts: IntArray
    is_expired: BoolArray
    fixing: FloatArray
    is_fixed: BoolArray
    is_set: BoolArray
    pushed: PushedColumns
    implied: FloatArray
    why_no_vol: ObjectArray
    why_no_rates: ObjectArray
    why_not_implied: ObjectArray


class Valued(NamedTuple):
    """What valuing gives; the other columns of `OptionValues` are inputs. As there."""

    price: FloatArray
    priced: BoolArray
    value: FloatArray
    has_delta: BoolArray
    delta: FloatArray
    spot_delta: FloatArray
    hedge_delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho_quote: FloatArray
    rho_base: FloatArray
    vanna: FloatArray
    volga: FloatArray
    vol: FloatArray
    delta_type: IntArray
    in_money: BoolArray
    source: IntArray
    state: IntArray
    reason: ObjectArray


MEASURED = ("value", "spot_delta", "gamma", "vega", "theta", "rho_quote", "rho_base", "vanna", "volga")


class _Work:
    """The columns of some options while they are valued: nothing is known of any yet."""

    def __init__(self, terms: OptionTerms, market: MarketColumns, places: IntArray, americans: Americans) -> None:
        self.terms = terms
        self.market = market
        self.places = places
        self.americans = americans
        size = len(terms.sign)
        self.columns = {name: np.zeros(size) for name in (*MEASURED, "vol", "price")}
        self.priced = np.zeros(size, dtype=np.bool_)
        self.has_delta = np.zeros(size, dtype=np.bool_)
        self.source = np.full(size, NO_SOURCE, dtype=np.int64)
        self.in_money = np.zeros(size, dtype=np.bool_)
        self.reason = terms.fault.copy()
        self.unit = np.where(terms.in_base, terms.factor * market.spot, terms.factor)
        """Quote currency of one unit of the price."""

    def put(self, where: BoolArray, source: int, **columns: FloatArray) -> None:
        """Take what is known of some options, and say where it comes from."""
        for name, column in columns.items():
            self.columns[name][where] = column
        self.source[where] = source
        self.priced[where] = self.has_delta[where] = True

    def put_all(self, source: int, columns: dict[str, FloatArray]) -> None:
        """The same for all options at once, without a copy."""
        self.columns |= columns
        self.source[:] = source
        self.priced[:] = self.has_delta[:] = True


def value_options(terms: OptionTerms, market: MarketColumns, places: IntArray, americans: Americans) -> Valued:
    """Value options; `places` are theirs among the `americans`. 2 ms for 10,000 European ones with a vol."""
    work = _Work(terms, market, places, americans)
    sound = terms.fault == ""
    alive = sound & ~market.is_expired
    _put_expired(work, sound & market.is_expired)
    pushed = alive & terms.is_pushed
    if pushed.any():
        _put_pushed(work, pushed & market.pushed.is_there & market.has_spot)
    ours = alive & ~terms.is_pushed & market.has_spot & market.has_rates
    _put_model(work, ours & market.has_vol)
    _put_implied(work, ours & ~market.has_vol & market.has_quote & (market.implied > 0.0))
    _put_quoted(work, alive & ~work.priced & market.has_quote)
    _say_why(work, sound)
    return _valued(work)


def _put_expired(work: _Work, where: BoolArray) -> None:
    """After the cut: exercise at the spot of now, what cash settlement comes to, or nothing."""
    if not where.any():
        return
    terms, market = work.terms, work.market
    deciding = np.where(market.is_fixed, market.fixing, market.spot)
    is_known = market.is_fixed | market.has_spot
    work.in_money[where] = (is_known & is_in_the_money(terms.sign, terms.strike, deciding, terms.is_pair))[where]
    _put_exercised(work, where & work.in_money & ~terms.is_cash & market.has_spot)
    _put_settled(work, where & terms.is_cash)
    ended = where & ~work.in_money & ~terms.is_cash & is_known
    work.put(ended, FIXED, value=np.zeros(int(ended.sum())))


def _put_exercised(work: _Work, where: BoolArray) -> None:
    sign, spot = work.terms.sign[where], work.market.spot[where]
    value = sign * (spot - work.terms.strike[where])
    work.put(where, MODEL, value=value, spot_delta=sign, price=value / work.unit[where])


def _put_settled(work: _Work, where: BoolArray) -> None:
    """Options that are settled in cash: an amount of the currency of their price, whatever spot does."""
    terms, market = work.terms, work.market
    fixed = where & (market.is_fixed | (market.is_set & market.has_quote)) & (market.has_spot | ~terms.in_base)
    if not fixed.any():
        return
    factor = np.where(terms.in_base, terms.factor * np.where(market.is_fixed, market.fixing, 1.0), terms.factor)
    price = np.where(market.is_set & market.has_quote, market.quote, held_prices(terms.sign, terms.strike, market.fixing, factor))
    work.in_money[fixed] = price[fixed] > 0.0
    delta = np.where(terms.in_base, price * terms.factor, 0.0)  # what is owed is an amount of base
    work.put(fixed, FIXED, value=(price * work.unit)[fixed], spot_delta=delta[fixed], price=price[fixed])


def _put_model(work: _Work, where: BoolArray) -> None:
    european = where & ~work.terms.is_american
    if european.all():
        found = measure(inputs_of(work.terms, work.market))
        work.put_all(MODEL, _columns(found) | {"vol": work.market.vol, "price": found.value / work.unit})
    elif european.any():
        found = measure(inputs_of(work.terms, work.market, european))
        work.put(european, MODEL, **_columns(found), vol=work.market.vol[european], price=found.value / work.unit[european])
    _put_american(work, where & work.terms.is_american, work.market.vol, MODEL)


def _put_implied(work: _Work, where: BoolArray) -> None:
    """The Greeks of options with the vol that their own quote implies; their value is that quote."""
    if not where.any():
        return
    market, vol = work.market, work.market.implied
    european = where & ~work.terms.is_american
    found = measure(inputs_of(work.terms, market, european)._replace(vol=vol[european]))
    work.put(european, IMPLIED, **_columns(found), vol=vol[european])
    _put_american(work, where & work.terms.is_american, vol, IMPLIED)
    own = work.source == IMPLIED
    work.columns["price"][own] = market.quote[own]
    work.columns["value"][own] = market.quote[own] * work.unit[own]


def _put_american(work: _Work, where: BoolArray, vol: FloatArray, source: int) -> None:
    """Options of American exercise; those that no method values say so."""
    if not where.any():
        return
    inputs = inputs_of(work.terms, work.market, where)._replace(vol=vol[where])
    found, reasons = work.americans.measures(work.places[where], inputs)
    work.reason[where] = reasons
    valued = reasons == ""
    rows = np.zeros(len(where), dtype=np.bool_)
    rows[np.flatnonzero(where)[valued]] = True
    columns = {name: column[valued] for name, column in _columns(found).items()}
    work.put(rows, source, **columns, vol=vol[rows], price=columns["value"] / work.unit[rows])


def inputs_of(terms: OptionTerms, market: MarketColumns, where: BoolArray | slice = slice(None)) -> Inputs:
    """The inputs of some options as the formulas take them."""
    return Inputs(
        terms.sign[where],
        market.spot[where],
        terms.strike[where],
        market.years[where],
        market.years_settle[where],
        market.vol[where],
        market.rate_quote[where],
        market.rate_base[where],
    )


def _columns(found: Measures) -> dict[str, FloatArray]:
    return {
        "value": found.value,
        "spot_delta": found.delta,
        "gamma": found.gamma,
        "vega": found.vega,
        "theta": found.theta,
        "rho_quote": found.rho_quote,
        "rho_base": found.rho_base,
        "vanna": found.vanna,
        "volga": found.volga,
    }


def _put_pushed(work: _Work, where: BoolArray) -> None:
    """The value and the Greeks from outside, moved to the spot, vol and time of now."""
    terms, market, sent = work.terms, work.market, work.market.pushed
    spot, then, years = market.spot[where], sent.spot[where], market.years_settle[where]
    unit = np.where(terms.in_base, terms.factor * sent.spot, terms.factor)[where]
    value = sent.value[where] * unit
    carry = np.where(market.has_rates[where], np.exp(-market.rate_base[where] * years), 1.0)
    kind = terms.delta_types(market.years)[where]
    adjusted, forward = kind >= SPOT_PA, (kind == FORWARD) | (kind == FORWARD_PA)
    delta = sent.delta[where] * np.where(forward, carry, 1.0) + np.where(adjusted, value / then, 0.0)
    gamma = sent.gamma[where]
    vega, theta = sent.vega[where] / VOL_POINT * unit, sent.theta[where] * DAYS_A_YEAR * unit
    moved, moved_vol = spot - then, sent.moved_vol[where]
    passed = np.maximum(market.ts[where] - sent.ts[where], 0) / _MICROS_A_YEAR
    value = value + delta * moved + 0.5 * gamma * moved * moved + vega * moved_vol + theta * passed
    value = np.maximum(value, 0.0)
    unknown = np.full(len(value), np.nan)
    work.put(
        where,
        PUSHED,
        value=value,
        spot_delta=delta + gamma * moved,
        gamma=gamma,
        vega=vega,
        theta=theta,
        rho_quote=unknown,
        rho_base=unknown,
        vanna=unknown,
        volga=unknown,
        vol=sent.vol[where] + moved_vol,
        price=value / work.unit[where],
    )
    stepped = (moved != 0.0) | (moved_vol != 0.0) | (passed != 0.0)
    work.source[np.flatnonzero(where)[stepped]] = TAYLOR


def _put_quoted(work: _Work, where: BoolArray) -> None:
    """The quotes of options of which nothing more is known."""
    if not where.any():
        return
    work.columns["price"][where] = work.market.quote[where]
    work.priced[where] = True
    work.source[where] = QUOTED


def _say_why(work: _Work, sound: BoolArray) -> None:
    """Name what is missing of options without Greeks."""
    terms, market = work.terms, work.market
    lacks = np.flatnonzero(~work.has_delta & sound)
    lacks = lacks[work.reason[lacks] == ""]
    if not len(lacks):
        return
    why, why_no_rates, quoted = market.why_no_vol[lacks], market.why_no_rates[lacks], market.has_quote[lacks]
    if quoted.any():
        implied = np.where(quoted, market.why_not_implied[lacks], "")
        why = np.where(implied != "", implied, why)
    for is_so, reasons in (
        (why_no_rates != "", why_no_rates),
        (terms.is_pushed[lacks], NO_GREEKS),
        (~market.has_spot[lacks], NO_SPOT),
        ((market.is_expired & terms.is_cash & ~market.is_fixed)[lacks], NO_CUT_SPOT),
    ):
        if is_so.any():
            why = np.where(is_so, reasons, why)
    work.reason[lacks] = why


def _valued(work: _Work) -> Valued:
    terms, market, columns = work.terms, work.market, work.columns
    kind = terms.delta_types(market.years)
    value, spot_delta = columns["value"], columns["spot_delta"]
    adjusted, forward = kind >= SPOT_PA, (kind == FORWARD) | (kind == FORWARD_PA)
    spot = np.where(market.has_spot, market.spot, 1.0)
    hedge = spot_delta - np.where(adjusted & ~market.is_expired, value / spot, 0.0)
    hedge = np.where(market.is_expired & terms.is_cash, 0.0, hedge)
    growth = np.exp(np.where(forward & market.has_rates & ~market.is_expired, market.rate_base * market.years_settle, 0.0))
    return Valued(
        price=columns["price"],
        priced=work.priced,
        value=value,
        has_delta=work.has_delta,
        delta=hedge * growth,
        spot_delta=spot_delta,
        hedge_delta=hedge,
        gamma=columns["gamma"],
        vega=columns["vega"],
        theta=columns["theta"],
        rho_quote=columns["rho_quote"],
        rho_base=columns["rho_base"],
        vanna=columns["vanna"],
        volga=columns["volga"],
        vol=columns["vol"],
        delta_type=kind,
        in_money=work.in_money,
        source=work.source,
        state=np.where(market.is_expired, EXPIRED, LIVE),
        reason=work.reason,
    )
