"""What reference data and calendars say of each option, in columns: strike, spot, currencies, cut, delivery, delta type.

A place is the rank of an option among the options by instrument number. Made at a start, after a corporate action and when a
calendar changes. Immutable.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from riskengine.market.calendars import Calendars
from riskengine.market.option_cuts import LAST_CUT, Cut, cut_at, stated_cut
from riskengine.market.sessions import SEARCH_DAYS, session_end
from riskengine.market.spot_dates import spot_date
from riskengine.market.vol_surfaces import pair_convention
from riskengine.positions.adjustments import Adjustments
from riskengine.pricing.deltas import is_adjusted, is_spot
from riskengine.records.reference import Reference
from riskengine.records.types import MULTIPLIER_DECIMALS, BoolArray, FloatArray, Instrument, IntArray, Kind, ObjectArray
from riskengine.valuation.options.netting import NOT, NettingTerms
from riskengine.valuation.options.values import DELTA_TYPES, FORWARD, SPOT, SPOT_PA, Exposed

ONE_YEAR = 372 / 365
"""The longest time, in years, at which a delta is by spot: the date of a one-year quote may lie a few days after 365."""


class OptionTerms(NamedTuple):
    """An entry for each option. Numbers are NOT where there is none.

    number      of the instrument              symbols     names
    sign        +1 call, -1 put                strike      as splits have adjusted it
    factor      quote currency of one unit of the base at a price of 1; `in_base`: base currency
    spot        instrument that gives the spot, of which `inverse` means 1 / price
    base, quote   numbers of the two currencies of an option on a pair; `crossed` where its spot is the cross of their rates
    is_pair, is_american, is_pushed, on_future, is_cash
    expiry_ts   the cut, microseconds          delivery    ordinal of the day of settlement
    expiry_day  ordinal of the day of expiry
    pair        index of `pairs`, by which its spot date is counted
    subject     the name under which its surface and its yield or points are
    named_delta   its own delta type, NOT where it names none; `adjusted`, `by_spot`: that of its pair, up to one year
    fault       why it cannot be valued at all, else ""
    """

    number: IntArray
    symbols: tuple[str, ...]
    sign: FloatArray
    strike: FloatArray
    factor: FloatArray
    in_base: BoolArray
    spot: IntArray
    inverse: BoolArray
    base: IntArray
    quote: IntArray
    crossed: BoolArray
    is_pair: BoolArray
    is_american: BoolArray
    is_pushed: BoolArray
    on_future: BoolArray
    is_cash: BoolArray
    expiry_ts: IntArray
    expiry_day: IntArray
    delivery: IntArray
    pair: IntArray
    pairs: tuple[tuple[str, str], ...]
    subject: tuple[str, ...]
    named_delta: IntArray
    adjusted: BoolArray
    by_spot: BoolArray
    fault: ObjectArray
    exposed: Exposed

    @property
    def place(self) -> dict[str, int]:
        """The place of each option by name. O(options)."""
        return {symbol: place for place, symbol in enumerate(self.symbols)}

    def delta_types(self, years: FloatArray) -> IntArray:
        """The delta type of each option with so long to its cut, an index of DELTA_TYPES. ACCOUNTING section 6."""
        by_pair = np.where(self.by_spot & (years <= ONE_YEAR), SPOT, FORWARD) + np.where(self.adjusted, SPOT_PA, SPOT)
        return np.where(self.named_delta == NOT, by_pair, self.named_delta)

    @classmethod
    def of(
        cls, reference: Reference, calendars: Calendars, cuts: "Cuts", adjustments: Adjustments | None = None
    ) -> "OptionTerms":
        """The terms of all options. 20 us an option."""
        netting = NettingTerms.of(reference)
        numbers = reference.options.astype(np.int64)
        options = [reference.instruments[number] for number in numbers.tolist()]
        moments = [cuts.of(option) for option in options]
        spot = _spots(reference, options, netting.spot[numbers], adjustments)
        strikes = [_strike(option, adjustments) for option in options]
        is_pair = _flags(option.kind is Kind.FX_OPTION for option in options)
        base, quote = _ends(options, reference)
        pairs = sorted({(option.base_currency, option.quote_currency) for option in options if option.kind is Kind.FX_OPTION})
        index = {pair: at for at, pair in enumerate(pairs)}
        conventions = [pair_convention(option.base_currency, option.quote_currency) for option in options]
        return cls(
            number=numbers,
            symbols=tuple(option.instrument for option in options),
            sign=np.array([1.0 if option.option_type == "call" else -1.0 for option in options]),
            strike=np.array([strike or 0.0 for strike in strikes]),
            factor=np.array([option.contract_multiplier / option.multiplier for option in options]),
            in_base=_flags(bool(option.exercise) and option.premium_style == "pct_base" for option in options),
            spot=spot,
            inverse=netting.inverse[numbers],
            base=base,
            quote=quote,
            crossed=is_pair & (spot == NOT),
            is_pair=is_pair,
            is_american=_flags(option.exercise == "american" for option in options),
            is_pushed=_flags(option.greeks == "pushed" for option in options),
            on_future=_flags(number != NOT and reference.instruments[number].kind is Kind.FUTURE for number in spot.tolist()),
            is_cash=_flags(option.settlement == "cash" for option in options),
            expiry_ts=_numbers(moment.ts for moment in moments),
            expiry_day=_numbers(moment.date.toordinal() for moment in moments),
            delivery=_numbers(_delivery(option, cut, calendars) for option, cut in zip(options, moments, strict=True)),
            pair=_numbers(index.get((option.base_currency, option.quote_currency), NOT) for option in options),
            pairs=tuple(pairs),
            subject=tuple(_subject(option, at, reference) for option, at in zip(options, spot.tolist(), strict=True)),
            named_delta=_numbers(DELTA_TYPES.index(each.delta_type) if each.delta_type else NOT for each in options),
            adjusted=is_pair & _flags(is_adjusted(convention.near) for convention in conventions),
            by_spot=~is_pair | _flags(is_spot(convention.near) for convention in conventions),
            fault=_faults(options, moments, strikes, spot, adjustments),
            exposed=_exposed(options, numbers, netting, reference),
        )


def _ends(options: Sequence[Instrument], reference: Reference) -> tuple[IntArray, IntArray]:
    """The numbers of base and quote currency of options on two currencies."""
    codes = reference.currency_index
    is_pair = [option.kind is Kind.FX_OPTION for option in options]
    base = (codes[option.base_currency] if pair else NOT for option, pair in zip(options, is_pair, strict=True))
    quote = (codes[option.quote_currency] if pair else NOT for option, pair in zip(options, is_pair, strict=True))
    return _numbers(base), _numbers(quote)


def _exposed(options: Sequence[Instrument], numbers: IntArray, netting: NettingTerms, reference: Reference) -> Exposed:
    lots = np.array([option.multiplier / 10**MULTIPLIER_DECIMALS for option in options])
    quoted = _numbers(reference.currency_index[option.quote_currency] for option in options)
    return Exposed(lots, netting.base[numbers], netting.quote[numbers], quoted)


class Cuts:
    """Works out when options expire; remembers the sessions of markets."""

    def __init__(self, reference: Reference, calendars: Calendars) -> None:
        self._reference = reference
        self._calendars = calendars
        self._sessions: dict[tuple[str, str], int | None] = {}

    def of(self, option: Instrument) -> Cut:
        """The cut of an option: a moment as it is, a date at its `cut`, else at that of its kind."""
        stated = stated_cut(option)
        if stated is not None:
            return stated
        date = dt.date.fromisoformat(option.expiry[:10])
        ends = self._session_end(option, date)
        return cut_at(date, LAST_CUT) if ends is None else Cut(ends, date)

    def _session_end(self, option: Instrument, date: dt.date) -> int | None:
        """The end of the last session on the date or before it, by the option's market, else by that of its underlying."""
        below = self._reference.by_symbol.get(option.underlying)
        for market in (option, below):
            if market is None or not self._calendars.has_sessions(market.calendar):
                continue
            key = market.calendar, date.isoformat()
            if key not in self._sessions:
                days = (date - dt.timedelta(days=back) for back in range(SEARCH_DAYS))
                ends = (session_end(market, day, self._calendars) for day in days)
                self._sessions[key] = next((moment for moment in ends if moment is not None), None)
            return self._sessions[key]
        return None


def _delivery(option: Instrument, cut: Cut, calendars: Calendars) -> int:
    """The ordinal of the day on which an option settles: of a pair the spot date of its expiry, else the day of expiry."""
    if option.kind is not Kind.FX_OPTION or cut.fault:
        return cut.date.toordinal()
    return spot_date(cut.date, option.base_currency, option.quote_currency, calendars).toordinal()


def _spots(reference: Reference, options: Sequence[Instrument], spot: IntArray, adjustments: Adjustments | None) -> IntArray:
    """The instruments that give spots: a renamed underlying under its name of now."""
    found = spot.copy()
    for place, option in enumerate(options):
        if adjustments is not None and option.kind is Kind.EQUITY_OPTION and found[place] != NOT:
            now = adjustments.symbol_of(option.underlying)
            found[place] = reference.instrument_index.get(now, found[place])
    return found


def _subject(option: Instrument, spot: int, reference: Reference) -> str:
    """The name of its surface: its underlying, or the instrument that gives its spot, else base and quote currency."""
    if option.kind is Kind.EQUITY_OPTION or option.underlying:
        return option.underlying
    pair = option.base_currency + option.quote_currency
    return reference.symbols[spot] if spot != NOT and reference.symbols[spot] != pair else pair


def _strike(option: Instrument, adjustments: Adjustments | None) -> float | None:
    """The strike as splits have adjusted it; None where it is no number above 0."""
    try:
        strike = float(adjustments.strike(option) if adjustments is not None else option.strike)
    except ValueError:
        return None
    return strike if 0.0 < strike < np.inf else None


def _faults(
    options: Sequence[Instrument],
    moments: Sequence[Cut],
    strikes: Sequence[float | None],
    spot: IntArray,
    adjustments: Adjustments | None,
) -> ObjectArray:
    left = {} if adjustments is None else adjustments.unadjusted
    found = np.full(len(options), "", dtype=np.object_)
    for place, (option, moment, strike) in enumerate(zip(options, moments, strikes, strict=True)):
        reason = moment.fault or left.get(option.instrument, "")
        if strike is None:
            reason = f"its strike {option.strike!r} is no number above 0"
        elif option.kind is Kind.EQUITY_OPTION and spot[place] == NOT:
            reason = f"its underlying {option.underlying!r} is not known" if option.underlying else "it names no underlying"
        found[place] = reason
    return found


def _flags(values: Iterable[bool]) -> BoolArray:
    return np.array([*values], dtype=np.bool_)


def _numbers(values: Iterable[int]) -> IntArray:
    return np.array([*values], dtype=np.int64)
