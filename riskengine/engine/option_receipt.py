"""What reproduces the value and the Greeks of an option: the model, its inputs with their sources, the terms of the formula.

Numbers are texts that read back as the same doubles. A reader that works out the formulas as written, in IEEE doubles and with
any good normal distribution, gets value and Greeks to 1e-12 of the spot. Pure; any thread.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import scipy

from riskengine.pricing.black_scholes import DENSITY_AT_0, LEAST_DEVIATION, MOST_DEVIATION
from riskengine.records.option_inputs import RateRow
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.shown_marks import valued_option
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.options.origin import OptionOrigin
from riskengine.valuation.options.terms import OptionTerms
from riskengine.valuation.options.values import (
    DELTA_TYPES,
    EXPIRED,
    FIXED,
    IMPLIED,
    LIVE,
    MODEL,
    PUSHED,
    QUOTED,
    SOURCES,
    STATES,
    TAYLOR,
    OptionValues,
)

EUROPEAN = "Garman-Kohlhagen, Black-Scholes-Merton: the European formula"
AMERICAN = "early exercise by spectral collocation, moved from a point nearby by a second-order Taylor step"
AFTER_CUT = "what exercise gives at the spot of now"
DECIDED = "what the spot of its cut has decided"
OUTSIDE = "value and Greeks from outside, moved by a second-order Taylor step"
ITS_QUOTE = "its own quote; Greeks are unknown"

_DELTAS = {
    "spot": "phi D_base N(phi d1)",
    "forward": "phi N(phi d1)",
    "spot_pa": "phi D_base N(phi d1) - value / S",
    "forward_pa": "(phi D_base N(phi d1) - value / S) / D_base",
}


class _Terms(NamedTuple):
    """The inputs of one option as plain numbers."""

    sign: float
    spot: float
    strike: float
    vol: float
    years: float
    settle: float
    rate_quote: float
    rate_base: float


def option_receipt(snapshot: Snapshot, number: int, quantity: float | None, origin: OptionOrigin | None) -> RowDict | None:
    """The receipt of an option of which `quantity` is held (None: unknown); None of what is no option. 50 us.

    `origin` may be of a later moment than the snapshot: `inputs` then say what has come since.
    """
    option = valued_option(snapshot, number)
    if option is None:
        return None
    marks, place = option
    values, terms = marks.values, marks.terms
    given = _Terms(
        terms.sign.item(place),
        values.spot.item(place),
        terms.strike.item(place),
        values.vol.item(place),
        values.years.item(place),
        values.years_settle.item(place),
        values.rate_quote.item(place),
        values.rate_base.item(place),
    )
    return {
        "model": _model(values, place, origin),
        "source": SOURCES[values.source.item(place)] or None,
        "state": STATES[values.state.item(place)],
        "reason": str(values.reason[place]) or None,
        "stale": bool(values.stale[place]),
        "ts": values.ts.item(place) or None,
        "inputs": _inputs(snapshot, terms, values, place, given),
        "rows": None if origin is None else _rows(origin),
        "terms": list(_formula(values, terms, place, given, origin)),
        "position": list(_position(snapshot, number, place, quantity)),
    }


def _model(values: OptionValues, place: int, origin: OptionOrigin | None) -> str | None:
    source = values.source.item(place)
    if source == MODEL and values.state.item(place) == EXPIRED:
        return AFTER_CUT
    if source in (MODEL, IMPLIED):
        return EUROPEAN if origin is None or origin.point is None else AMERICAN
    return {QUOTED: ITS_QUOTE, PUSHED: OUTSIDE, TAYLOR: OUTSIDE, FIXED: DECIDED}.get(source)


# -- inputs ------------------------------------------------------------------------------------------------------


def _inputs(snapshot: Snapshot, terms: OptionTerms, values: OptionValues, place: int, given: _Terms) -> RowDict:
    """The inputs of the formula, as it had them, and the mark that gives the spot."""
    units, spot = snapshot.units, terms.spot.item(place)
    mark = units.marks[spot] if spot >= 0 else None
    return {
        "phi": "1" if given.sign > 0 else "-1",
        "spot": _text(given.spot),
        "spot_instrument": snapshot.reference.symbols[spot] if spot >= 0 else None,
        "spot_at_cut": _text(values.fixing.item(place)),
        "spot_is_inverse": bool(terms.inverse[place]),
        "spot_source": None if mark is None else mark.source,
        "spot_ts": None if mark is None else mark.ts or None,
        "strike": _text(given.strike) if given.strike else None,
        "vol": _text(given.vol),
        "vol_is": None if values.state.item(place) == EXPIRED else _vol_is(values.source.item(place)),
        "years": _text(given.years),
        "years_settle": _text(given.settle),
        "rate_quote": _text(given.rate_quote),
        "rate_base": _text(given.rate_base),
        "delta_type": DELTA_TYPES[values.delta_type.item(place)],
        "expiry_ts": terms.expiry_ts.item(place) or None,
        "price_unit": repr(terms.factor.item(place)),
        "price_unit_is_in_base": bool(terms.in_base[place]),
    }


def _vol_is(source: int) -> str | None:
    words = {
        MODEL: "given",
        IMPLIED: "implied by its own quote",
        PUSHED: "as pushed",
        TAYLOR: "as pushed, moved by its own since",
    }
    return words.get(source)


def _rows(origin: OptionOrigin) -> RowDict:
    """The rows that the inputs come from, with times and sources."""
    surface = origin.surface
    return {
        "vol": None if origin.vol is None else {"vol": repr(origin.vol.vol), "ts": origin.vol.ts, "source": origin.vol.source},
        "surface": None
        if surface is None
        else {
            "as_of": surface.as_of,
            "quotes": [
                {field: getattr(row, field) for field in ("pair", "expiry", "ts", "source")}
                | {name: None if (vol := getattr(row, name)) is None else repr(vol) for name in _QUOTED}
                for row in surface.rows
            ],
        },
        "rates_from": origin.rates_from,
        "rates_to": origin.rates_to,
        "rate_quote": _rate_rows(origin.quote),
        "rate_base": _rate_rows(origin.base),
        "points": _rate_rows(origin.points),
        "greeks": None
        if origin.greeks is None
        else {"ts": origin.greeks.ts, "source": origin.greeks.source}
        | {name: repr(getattr(origin.greeks, name)) for name in ("spot", "vol", "value", "delta", "gamma", "vega", "theta")},
    }


_QUOTED = ("atm", "rr25", "bf25", "rr10", "bf10")


def _rate_rows(rows: Iterable[RateRow]) -> list[RowDict]:
    return [
        {"subject": row.subject, "kind": row.kind, "date": row.date, "value": repr(row.value), "ts": row.ts, "source": row.source}
        for row in rows
    ]


# -- the formula -------------------------------------------------------------------------------------------------


def _formula(
    values: OptionValues, terms: OptionTerms, place: int, given: _Terms, origin: OptionOrigin | None
) -> Iterator[RowDict]:
    """The terms in their order, and value and Greeks as the engine has them, per unit of base."""
    source = values.source.item(place)
    is_model = source in (MODEL, IMPLIED)
    if is_model and values.state.item(place) == LIVE:
        if origin is not None and origin.point is not None:
            yield from _american_terms(origin, given)
        else:
            yield from _european_terms(given)
    for name, formula in _measured(values, place, given, origin):
        amount = getattr(values, name).item(place)
        yield _step(name, formula, amount if values.has_delta[place] else None)
    in_base = " S" if terms.in_base[place] else ""
    is_priced = bool(values.priced[place])
    yield _step("price", f"value / (price_unit{in_base})", values.price.item(place) if is_priced else None)


def _european_terms(given: _Terms) -> Iterator[RowDict]:
    sign, spot, strike, vol, years, settle, rate_quote, rate_base = given
    d_quote, d_base = math.exp(-rate_quote * settle), math.exp(-rate_base * settle)
    forward = spot * d_base / d_quote
    deviation = vol * math.sqrt(years)
    yield _step("D_quote", "exp(-rate_quote years_settle)", d_quote)
    yield _step("D_base", "exp(-rate_base years_settle)", d_base)
    yield _step("F", "S D_base / D_quote", forward)
    yield _step("deviation", "vol sqrt(years)", deviation)
    if not LEAST_DEVIATION <= deviation <= MOST_DEVIATION:
        return
    d1 = math.log(forward / strike) / deviation + deviation / 2.0
    d2 = d1 - deviation
    yield _step("d1", "ln(F / K) / deviation + deviation / 2", d1)
    yield _step("d2", "d1 - deviation", d2)
    yield _step("N(phi d1)", "the normal distribution", float(scipy.special.ndtr(sign * d1)))
    yield _step("N(phi d2)", "the normal distribution", float(scipy.special.ndtr(sign * d2)))
    yield _step("n(d1)", "exp(-d1^2 / 2) / sqrt(2 pi)", math.exp(-d1 * d1 / 2.0) * float(DENSITY_AT_0))


def _american_terms(origin: OptionOrigin, given: _Terms) -> Iterator[RowDict]:
    """The point nearby, and what the method gives there."""
    assert origin.point is not None, "its caller looked"
    if given.years not in (0.0, given.settle):
        for name in ("rate_quote", "rate_base"):
            rate = getattr(given, name) * (given.settle / given.years)
            yield _step(f"{name} over the vol's time", f"{name} years_settle / years: the input that is meant below", rate)
    for name, column in origin.point.inputs._asdict().items():
        yield _step(f"point {name}", "a grid of points near the market", column.item(0))
    for name in ("value", "delta", "gamma", "vega", "theta", "rho_quote", "rho_base", "vanna", "volga"):
        yield _step(f"{name} at the point", AMERICAN, getattr(origin.point.measures, name).item(0))


_STEP = (
    "value + delta dS + gamma dS^2 / 2 + vega dv + volga dv^2 / 2 + vanna dS dv + theta dt + rho_quote drq + rho_base drb,"
    " of the point, d.. the inputs less those of the point (dt: years of the point less years); at least what exercise gives"
)

_ON_BOTH_CLOCKS = {
    "theta": "that of the point; where the years differ, of its rhos, with pace = years_settle / years and rates as put in, also"
    " (rate_quote rho_quote + rate_base rho_base) (pace - 1) / years",
    "rho_quote": "that of the point, times years_settle / years where they differ",
    "rho_base": "that of the point, times years_settle / years where they differ",
}

_EUROPEAN = {
    "value": "phi (S D_base N(phi d1) - K D_quote N(phi d2)), at least 0",
    "spot_delta": "phi D_base N(phi d1)",
    "gamma": "D_base n(d1) / (S deviation)",
    "vega": "S D_base sqrt(years) n(d1), per 1.00 of vol",
    "theta": "phi (rate_base S D_base N(phi d1) - rate_quote K D_quote N(phi d2)) - S D_base n(d1) vol / (2 sqrt(years)), a year",
    "rho_quote": "phi K years_settle D_quote N(phi d2), per 1.00 of rate",
    "rho_base": "-phi S years_settle D_base N(phi d1), per 1.00 of rate",
    "vanna": "-D_base n(d1) d2 / vol, per 1.00 of vol",
    "volga": "vega d1 d2 / vol, per 1.00 of vol",
}

_CERTAIN = "deviation is 0: phi (S D_base - K D_quote) and its derivatives where that is above 0, else 0"


def _measured(values: OptionValues, place: int, given: _Terms, origin: OptionOrigin | None) -> Iterator[tuple[str, str]]:
    """Value and Greeks by the names of their columns, with the formula of each."""
    source, kind = values.source.item(place), DELTA_TYPES[values.delta_type.item(place)]
    is_live_model = source in (MODEL, IMPLIED) and values.state.item(place) == LIVE
    is_american = origin is not None and origin.point is not None
    for name, formula in _EUROPEAN.items():
        if is_live_model and not is_american:
            if given.vol * math.sqrt(given.years) < LEAST_DEVIATION:
                formula = _CERTAIN
            elif name == "value" and source == IMPLIED:
                formula = f"its quote, which is {formula} with the vol that it implies"
        elif is_live_model:
            moved = {"value": _STEP, "spot_delta": "delta + gamma dS + vanna dv", "vega": "vega + volga dv + vanna dS"}
            formula = moved.get(name, _ON_BOTH_CLOCKS.get(name, "that of the point"))
        elif source in (PUSHED, TAYLOR):
            formula = _PUSHED.get(name, "as pushed, in the units of the formulas")
        else:
            formula = {MODEL: _AFTER, FIXED: _DECIDED}.get(source, {}).get(name, "0" if source in (MODEL, FIXED) else "unknown")
        yield name, formula
    for name in ("delta", "hedge_delta"):
        shown = kind if name == "delta" else "spot_pa" if kind.endswith("_pa") else "spot"
        yield name, (_DELTAS[shown] if is_live_model and not is_american else f"spot_delta by its delta type {shown}")


_PUSHED = {
    "value": "value + delta dS + gamma dS^2 / 2 + vega dv + theta dt, of what was pushed, at least 0",
    "spot_delta": "delta + gamma dS, of what was pushed, as a spot delta",
    "rho_quote": "not pushed",
    "rho_base": "not pushed",
    "vanna": "not pushed",
    "volga": "not pushed",
}
_AFTER = {"value": "phi (S - K)", "spot_delta": "phi"}
_DECIDED = {
    "value": "0, or what cash settlement pays: phi (spot_at_cut - K), or the mark or close that a person set of it",
    "spot_delta": "0; of a payment in base currency that amount of it",
}


# -- the position ------------------------------------------------------------------------------------------------


def _position(snapshot: Snapshot, number: int, place: int, quantity: float | None) -> Iterator[RowDict]:
    """The Greeks of what is held, in published units; null where they are unknown."""
    marks, units = snapshot.units.options, snapshot.units
    assert marks is not None, "an option has a place"
    lot = marks.terms.exposed.lot.item(place)
    is_known = quantity is not None and bool(marks.greeks.has_delta[number])
    yield _step("k", "lot size", lot)
    yield _step("q", "quantity", quantity)
    yield _step("X", "rate of the quote currency", units.rate.item(number) if units.rated.item(number) else None)
    held = quantity or 0.0
    delta_base = held * lot * marks.values.delta.item(place)
    has_delta = quantity is not None and bool(marks.values.has_delta[place])
    yield _step("delta_base", "k q delta", delta_base if has_delta else None)
    for name, formula, unit in (
        ("delta_cash", "k q hedge_delta S X", marks.greeks.delta),
        ("gamma_cash", "k q gamma S^2 X / 100", marks.greeks.gamma),
        ("vega", "k q vega X / 100", marks.greeks.vega),
        ("theta", "k q theta X / 365", marks.greeks.theta),
    ):
        yield _step(name, formula, held * unit.item(number) + 0.0 if is_known else None)


def _step(name: str, formula: str, amount: float | None) -> RowDict:
    return {"name": name, "formula": formula, "result": None if amount is None else _text(amount)}


def _text(amount: float) -> str | None:
    return None if math.isnan(amount) else repr(amount)
