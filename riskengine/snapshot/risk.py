"""The risk of a node or a dealer: its options with their inputs and Greeks, and the hedges beside them (INTERFACE section 10).

A hedge is every other open position in an underlying of the list: the spot pair or the equity itself, futures on it, forwards of
the pair, a pair that is quoted the other way round. `value` and `delta` are as quoted, before the multiplier; all other Greeks
are those of the position, in the units of ACCOUNTING section 6. Pure functions of a snapshot; any thread.
"""

from collections.abc import Collection, Iterable, Sequence
from math import isnan
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.fields import to_text
from riskengine.records.types import FX_KINDS, ONE, OPTION_KINDS, BoolArray, FloatArray, Instrument, IntArray, Kind
from riskengine.snapshot.exposure import owner_of, rows_of
from riskengine.snapshot.risk_sums import Line, expiry_day, summary_of
from riskengine.snapshot.rows import QUANTITY_ONE, RowDict, decimal_texts, is_stale, row_greeks, row_total
from riskengine.snapshot.shown_marks import LOT_ONE, shown_mark
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.options.netting import NOT
from riskengine.valuation.options.terms import OptionTerms
from riskengine.valuation.options.values import DELTA_TYPES, PERCENT, QUOTED, SOURCES, STATES, VOL_POINT
from riskengine.valuation.unit_values import OptionMarks

FIELDS = (
    "instrument",
    "kind",
    "underlying",
    "option_type",
    "strike",
    "expiry",
    "quantity",
    "spot",
    "vol",
    "rate_quote",
    "rate_base",
    "years",
    "years_settle",
    "value",
    "delta_type",
    "delta",
    "delta_base",
    "delta_cash",
    "gamma_cash",
    "vega",
    "theta",
    "rho_quote",
    "rho_base",
    "vanna",
    "volga",
    "total_pnl",
    "source",
    "ts",
    "stale",
    "state",
    "price",
    "expiry_ts",
    "reason",
)
"""The fields of a row, in their order."""

SPOT_KINDS = frozenset({Kind.FX, Kind.EQUITY, Kind.METAL, Kind.CRYPTO})
"""Kinds that no rate touches: their rhos are 0. Those of other hedges are not worked out."""


class Risk(NamedTuple):
    """The rows, by underlying, options before hedges; and what stands beside them (`risk_sums`)."""

    rows: list[RowDict]
    summary: RowDict


class Underlyings:
    """The underlyings of some options, and which of them another instrument is a hedge in."""

    def __init__(self, snapshot: Snapshot, terms: OptionTerms, places: IntArray) -> None:
        reference = snapshot.reference
        self.of_place = {place: _underlying(snapshot, terms, place) for place in places.tolist()}
        self._names = frozenset(self.of_place.values())
        self.spot_place = {name: place for place, name in self.of_place.items()}
        """An option on each underlying, whose spot is that of the underlying."""
        self._pairs: dict[tuple[str, str], str] = {}
        for place, name in self.of_place.items():
            if terms.is_pair[place]:
                option = reference.instruments[terms.number.item(place)]
                self._pairs[option.base_currency, option.quote_currency] = name

    def hedged_by(self, instrument: Instrument) -> tuple[str, bool] | None:
        """The underlying that an instrument is a hedge in, and whether it counts the other way round; None: in none."""
        if instrument.kind in OPTION_KINDS:
            return None
        if instrument.instrument in self._names:
            return instrument.instrument, False
        if instrument.kind in FX_KINDS:
            pair = instrument.base_currency, instrument.quote_currency
            if pair in self._pairs:
                return self._pairs[pair], False
            turned = self._pairs.get(pair[::-1])
            return None if turned is None else (turned, True)
        return (instrument.underlying, False) if instrument.underlying in self._names else None


def _underlying(snapshot: Snapshot, terms: OptionTerms, place: int) -> str:
    """The instrument that gives an option its spot; of a pair that is quoted the other way round, or nowhere, the pair's name."""
    spot = terms.spot.item(place)
    if spot != NOT and not terms.inverse[place]:
        return snapshot.reference.symbols[spot]
    option = snapshot.reference.instruments[terms.number.item(place)]
    return option.base_currency + option.quote_currency if terms.is_pair[place] else option.underlying


def risk(snapshot: Snapshot, *, node: str | None = None, dealer: str | None = None, exact: bool = False) -> Risk:
    """The options of a node or a dealer (default: the root), their hedges and the sums of both. Raises UnknownName.

    Flat positions are left out. `exact` gives all numbers as decimal texts. 15 us a row.
    """
    place = owner_of(snapshot, node, dealer)
    rows, broken = ((), frozenset[int]()) if place is None else rows_of(*place)
    return risk_of(snapshot, rows, broken, exact=exact)


def risk_of(snapshot: Snapshot, rows: Iterable[Row], broken: Collection[int], *, exact: bool = False) -> Risk:
    """The risk of these rows of one owner; those of instruments in `broken` were found wrong, and nothing of them is known."""
    marks = snapshot.units.options
    if marks is None:
        return Risk([], summary_of(snapshot, (), exact=exact))
    is_option = snapshot.units.netting.is_option
    held = [row for row in rows if row.open_count or row.quarantined]
    options = [row for row in held if is_option(row.instrument)]
    places = np.searchsorted(marks.values.number, np.array([row.instrument for row in options], dtype=np.int64))
    underlyings = Underlyings(snapshot, marks.terms, places)
    lines = list(_option_lines(snapshot, marks, options, places, underlyings, broken))
    for row in held:
        hedged = underlyings.hedged_by(snapshot.reference.instruments[row.instrument])
        if hedged is not None:
            spot = marks.values.spot.item(underlyings.spot_place[hedged[0]])
            lines.append(_hedge_line(snapshot, row, *hedged, spot=spot, is_known=_is_known(row, broken)))
    lines.sort(key=lambda line: line.order)
    found = [line.row for line in lines]
    if exact:
        found = [decimal_texts(line.row) | _exact_quantity(line) for line in lines]
    return Risk(found, summary_of(snapshot, lines, exact=exact))


def _is_known(row: Row, broken: Collection[int]) -> bool:
    return row.instrument not in broken and row.quarantined < row.position_count


def _exact_quantity(line: Line) -> RowDict:
    return {} if line.row["quantity"] is None else {"quantity": to_text(line.held.quantity)}


# -- options -----------------------------------------------------------------------------------------------------


def _option_lines(
    snapshot: Snapshot,
    marks: OptionMarks,
    rows: Sequence[Row],
    places: IntArray,
    underlyings: Underlyings,
    broken: Collection[int],
) -> Iterable[Line]:
    """The lines of options, made in columns."""
    values, terms, symbols = marks.values, marks.terms, snapshot.reference.symbols
    instruments = [snapshot.reference.instruments[row.instrument] for row in rows]
    known = np.array([_is_known(row, broken) for row in rows], dtype=np.bool_)
    names = [underlyings.of_place[place] for place in places.tolist()]
    columns: dict[str, Sequence[object]] = {
        "instrument": [symbols[row.instrument] for row in rows],
        "kind": [instrument.kind.value for instrument in instruments],
        "underlying": names,
        "option_type": [instrument.option_type for instrument in instruments],
        "strike": _shown(terms.strike[places], terms.strike[places] > 0.0),
        "expiry": [instrument.expiry for instrument in instruments],
        "delta_type": [DELTA_TYPES[kind] for kind in values.delta_type[places].tolist()],
        "source": [SOURCES[source] or None for source in values.source[places].tolist()],
        "ts": [ts or None for ts in values.ts[places].tolist()],
        "stale": [is_stale(snapshot, row) for row in rows],
        "state": [STATES[state] for state in values.state[places].tolist()],
        "expiry_ts": [ts or None for ts in terms.expiry_ts[places].tolist()],
        "reason": [str(reason) or None for reason in values.reason[places].tolist()],
        **_inputs(marks, places),
        **_measures(snapshot, marks, rows, instruments, places, known),
    }
    made = zip(*(columns[name] for name in FIELDS), strict=True)
    for row, place, name, fields in zip(rows, places.tolist(), names, made, strict=True):
        order = (name, False, terms.expiry_ts.item(place), terms.strike.item(place), symbols[row.instrument])
        yield Line(dict(zip(FIELDS, fields, strict=True)), row, order, terms.expiry_day.item(place), place, False)


def _inputs(marks: OptionMarks, places: IntArray) -> dict[str, Sequence[object]]:
    values, every = marks.values, np.ones(len(places), dtype=np.bool_)
    names = ("spot", "vol", "rate_quote", "rate_base", "years", "years_settle")
    return {name: _shown(getattr(values, name)[places], every) for name in names}


def _measures(
    snapshot: Snapshot,
    marks: OptionMarks,
    rows: Sequence[Row],
    instruments: Sequence[Instrument],
    places: IntArray,
    known: BoolArray,
) -> dict[str, Sequence[object]]:
    """The amounts of options: as quoted, and of the position."""
    values, greeks, terms = marks.values, marks.greeks, marks.terms
    number = values.number[places]
    quantity = np.array([row.quantity / ONE for row in rows])
    size = np.array([row.quantity * each.multiplier / LOT_ONE for row, each in zip(rows, instruments, strict=True)])
    has_delta, in_cash = values.has_delta[places], greeks.has_delta[number] & known
    priced, spot, price = values.priced[places], values.spot[places], values.price[places]
    is_quote = values.source[places] == QUOTED
    unit = np.where(terms.in_base[places], terms.factor[places] * spot, terms.factor[places])
    value = np.where(is_quote, price * unit, values.value[places])
    quote_rate = snapshot.rates.value[terms.exposed.quoted[places]]  # of a premium in base the cash currency is another
    scale = np.where(in_cash, size * quote_rate, 0.0)
    totals = [
        row_total(snapshot, row, row.quantity * each.contract_multiplier / QUANTITY_ONE) if is_known else None
        for row, each, is_known in zip(rows, instruments, known.tolist(), strict=True)
    ]
    return {
        "quantity": _shown(quantity, known),
        "price": _shown(price, priced),
        "value": _shown(value, has_delta | is_quote),
        "delta": _shown(values.delta[places], has_delta),
        "delta_base": _shown(size * values.delta[places], has_delta & known),
        "delta_cash": _shown(quantity * greeks.delta[number], in_cash),
        "gamma_cash": _shown(quantity * greeks.gamma[number], in_cash),
        "vega": _shown(quantity * greeks.vega[number], in_cash),
        "theta": _shown(quantity * greeks.theta[number], in_cash),
        "rho_quote": _shown(scale * values.rho_quote[places] / PERCENT, in_cash),
        "rho_base": _shown(scale * values.rho_base[places] / PERCENT, in_cash),
        "vanna": _shown(scale * spot * values.vanna[places] * VOL_POINT, in_cash),
        "volga": _shown(scale * values.volga[places] * VOL_POINT * VOL_POINT, in_cash),
        "total_pnl": totals,
    }


def _shown(amounts: FloatArray, known: BoolArray) -> list[float | None]:
    """The amounts as fields of rows: None where unknown or not a number, and no minus zero."""
    is_there = known & ~np.isnan(amounts)
    return [amount if shown else None for amount, shown in zip((amounts + 0.0).tolist(), is_there.tolist(), strict=True)]


# -- hedges ------------------------------------------------------------------------------------------------------


def _hedge_line(snapshot: Snapshot, row: Row, underlying: str, is_turned: bool, *, spot: float, is_known: bool) -> Line:
    """The line of a position that hedges options; `is_turned`: its pair is theirs the other way round.

    `spot` is that of the options, nan where it is unknown.
    """
    instrument, number, units = snapshot.reference.instruments[row.instrument], row.instrument, snapshot.units
    mark, size = shown_mark(snapshot, number), row.quantity * instrument.contract_multiplier / QUANTITY_ONE
    priced = units.priced.item(number)
    worth = size * units.price.item(number) * units.rate.item(number) + 0.0 if priced and units.rated.item(number) else None
    rho = 0.0 if instrument.kind in SPOT_KINDS else None
    fields: RowDict = dict.fromkeys(FIELDS)
    fields |= {
        "instrument": instrument.instrument,
        "kind": instrument.kind.value,
        "underlying": underlying,
        "expiry": instrument.expiry or None,
        "spot": None if isnan(spot) else 1.0 / spot if is_turned else spot,
        "value": None if mark is None else mark.price,
        "price": None if mark is None else mark.price,
        "delta": 1.0,
        "source": None if mark is None else mark.source or mark.kind,
        "ts": None if mark is None else mark.ts,
        "stale": is_stale(snapshot, row),
        "state": STATES[0],
        "reason": None if mark is not None else "it has no price",
    }
    if is_known:
        fields |= {"quantity": row.quantity / ONE, **row_greeks(snapshot, row, size, worth)}
        fields |= {"rho_quote": rho, "rho_base": rho, "vanna": 0.0, "volga": 0.0, "total_pnl": row_total(snapshot, row, size)}
    order = (underlying, True, 0, 0.0, instrument.instrument)
    return Line(fields, row, order, expiry_day(instrument.expiry), NOT, is_turned)
