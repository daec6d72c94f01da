"""A snapshot that also knows forwards which nobody holds yet, so that trades to come can be valued in them. Pure; any thread."""

from copy import copy
from typing import Any

import numpy as np

from riskengine.market.currencies import Rates
from riskengine.records.reference import Reference
from riskengine.records.types import MULTIPLIER_DECIMALS
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.forward_values import SpotDay
from riskengine.valuation.options.netting import LEGS
from riskengine.valuation.unit_values import OptionMarks, Units


def with_forwards(snapshot: Snapshot, reference: Reference, spot_day: SpotDay) -> Snapshot:
    """The same moment by a reference that was grown from its own: the new forwards have outrights, rates and no position.

    Holdings, and the values of all that was known, stay as they are. `spot_day`: see `ForwardMarket`. 1 ms.
    """
    assert reference.is_kin(snapshot.reference), "grown from that of the snapshot"
    if reference is snapshot.reference or snapshot.forwards is None:
        return snapshot
    market = snapshot.forwards.grown(reference, spot_day)
    size = len(reference.instruments)
    units = snapshot.units
    price, priced = _padded(units.price, size), _padded(units.priced, size)
    mark_ts, stale = _padded(units.mark_ts, size), _padded(units.stale_mark, size)
    values = market.values(price, priced, mark_ts, priced & ~stale, snapshot.as_of)
    is_new = market.terms.number >= len(units.price)
    number = market.terms.number[is_new]
    price[number], priced[number] = values.price[is_new], values.known[is_new]
    mark_ts[number] = np.where(values.known, values.ts, 0)[is_new]
    stale[number] = values.known[is_new] & ~values.fresh[is_new]
    rates = market.with_buckets(_grown_rates(snapshot.rates, reference), values, price, priced)
    closed = _padded(units.closed, size)
    closed[number] = closed[np.maximum(market.terms.pair[is_new], 0)] & (market.terms.pair[is_new] >= 0)
    other = copy(snapshot)
    other.reference, other.rates, other.forwards = reference, rates, market
    other.units = _units(units, reference, rates, (price, priced, mark_ts, stale, closed))
    return other


def _padded(column: Any, size: int) -> Any:
    """The column, a copy, with zeros behind it."""
    longer = np.zeros(size, dtype=column.dtype)
    longer[: len(column)] = column
    return longer


def _grown_rates(rates: Rates, reference: Reference) -> Rates:
    """The rates with room for the buckets that a reference has more."""
    size = len(reference.currencies)
    columns = (
        _padded(each, size) for each in (rates.value, rates.known, rates.stale, rates.fee_value, rates.fee_known, rates.legs)
    )
    value, known, stale, fee_value, fee_known, legs = columns
    majors = np.array(reference.majors, dtype=np.int64)
    majors[: len(rates.majors)] = rates.majors
    paths = (*rates.paths, *([None] * (size - len(rates.paths))))
    return Rates(value, known, stale, paths, fee_value, fee_known, majors, legs)


def _units(units: Units, reference: Reference, rates: Rates, columns: tuple[Any, ...]) -> Units:
    price, priced, mark_ts, stale, closed = columns
    size = len(reference.instruments)
    currency = np.array(reference.cash_currency, dtype=np.int64)
    rate, rated, value = _padded(units.rate, size), _padded(units.rated, size), _padded(units.value, size)
    new = slice(len(units.price), size)
    rate[new], rated[new] = rates.value[currency[new]], rates.known[currency[new]]
    multiplier = np.array([each.contract_multiplier / 10**MULTIPLIER_DECIMALS for each in reference.instruments[new]])
    value[new] = multiplier * price[new] * rate[new]
    stale_rate = _padded(units.stale_rate, size)
    stale_rate[new] = rates.stale[currency[new]]
    return units._replace(
        price=price,
        priced=priced,
        value=value,
        rate=rate,
        rated=rated,
        mark_ts=mark_ts,
        stale_mark=stale,
        stale_rate=stale_rate,
        closed=closed,
        no_delta=_padded(units.no_delta, size),
        netting=units.netting.grown(size),
        marks=(*units.marks, *([None] * (size - len(units.marks)))),
        options=None if units.options is None else _grown_options(units.options, size),
    )


def _grown_options(options: OptionMarks, size: int) -> OptionMarks:
    greeks = options.greeks
    legs = _padded(greeks.legs, LEGS * size)
    has_delta = _padded(greeks.has_delta, size)
    has_delta[len(greeks.has_delta) :] = True
    plain = {name: _padded(getattr(greeks, name), size) for name in ("delta", "gamma", "vega", "theta", "net")}
    return options._replace(greeks=greeks._replace(**plain, legs=legs, has_delta=has_delta))
