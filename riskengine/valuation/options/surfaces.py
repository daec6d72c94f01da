"""The surfaces that give options their vols: solved when their quotes or rates change, and again as time passes.

A surface stands as of a moment: a whole multiple of `[options] surface_every_s` after an offset of its own, so that a hundred of
them are not solved in one beat. It is a function of the quotes, the rates and that moment alone. Writer thread.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

import numpy as np
from msgspec import structs

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.calendars import Calendars
from riskengine.market.overtaken import LEFT_BEHIND_US
from riskengine.market.rate_curves import RateCurves
from riskengine.market.spot_dates import spot_date
from riskengine.market.vol_surfaces import (
    EQUITY,
    MARKET,
    NO_SURFACE,
    Places,
    SurfaceQuotes,
    VolSurface,
    VolSurfaces,
    make_surfaces,
    pair_convention,
)
from riskengine.records.option_inputs import SurfaceRow
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, FloatArray, Instrument, IntArray, Kind, ObjectArray
from riskengine.valuation.options.origin import SurfaceOrigin
from riskengine.valuation.options.terms import Cuts, OptionTerms

DISCOUNT_DIGITS = 6
"""A surface is solved again once a discount factor has moved in this decimal: one that points imply moves with every spot."""


class SurfaceVols(NamedTuple):
    """The vols of options by their surfaces: 0 where `why` says why there is none; `ts` of the oldest quote behind it.

    is_left_behind   that quote is far older than the newest of its surface (`overtaken`)
    """

    vol: FloatArray
    why: ObjectArray
    ts: IntArray
    is_left_behind: BoolArray


class _Made(NamedTuple):
    """A surface and what it was made of."""

    rows: tuple[SurfaceRow, ...]
    discounts: tuple[float | None, ...]
    as_of: int
    surface: VolSurface


class OptionSurfaces:
    """The surfaces of all subjects that options have, and where the options stand on them."""

    def __init__(self, terms: OptionTerms, reference: Reference, cuts: Cuts, calendars: Calendars, every_s: float) -> None:
        self._terms = terms
        self._reference = reference
        self._cuts = cuts
        self._calendars = calendars
        self._every = int(every_s * MICROS_PER_SECOND)
        self._first = {subject: place for place, subject in reversed([*enumerate(terms.subject)])}
        self._rows: dict[str, tuple[SurfaceRow, ...]] = {}
        self._made: dict[str, _Made] = {}
        self._none = np.array(
            [f"no vol: neither its own nor a surface of {subject}" for subject in terms.subject], dtype=np.object_
        )
        self._surfaces = VolSurfaces([])
        self._place()
        self._moneyness: FloatArray | None = None
        self._due = 0
        self._follows_spot = False
        self._curves: RateCurves | None = None
        self._start: IntArray | None = None

    def take(self, rows: Iterable[SurfaceRow]) -> None:
        """Replace the quotes; those of other subjects than options have are left out. O(rows)."""
        by_subject: dict[str, list[SurfaceRow]] = {}
        for row in rows:
            if row.pair in self._first:
                by_subject.setdefault(row.pair, []).append(row)
        self._rows = {subject: tuple(each) for subject, each in sorted(by_subject.items())}
        self._due = 0

    def vols(self, moneyness: FloatArray) -> SurfaceVols:
        """The vols of options at K/F `moneyness`, 1 where that is unknown. 1 ms for 10,000; O(1) where nothing has changed."""
        if self._moneyness is None or not np.array_equal(moneyness, self._moneyness):
            self._moneyness = moneyness
            vol = self._surfaces.vols(self._places, moneyness) if len(self._surfaces.surfaces) else np.zeros(len(moneyness))
            self._vols = SurfaceVols(np.where(self._has_none, 0.0, vol), self._why, self._places.oldest_ts, self._is_left_behind)
        return self._vols

    def bring(self, now: int, curves: RateCurves, start: IntArray, spot: FloatArray) -> None:
        """Solve the surfaces that are due. O(1) where none is, O(subjects) where points imply a base's rate.

        `start` has the ordinals of the spot dates, `spot` the spots of options, by place.
        """
        if now < self._due and curves is self._curves and start is self._start and not self._follows_spot:
            return
        self._curves, self._start = curves, start
        made = {subject: self._make(subject, rows, now, start, spot) for subject, rows in self._rows.items()}
        ends = [self._as_of(subject, now) + self._every for subject in made]
        self._due = min(ends, default=np.iinfo(np.int64).max)
        if any(self._made.get(subject) is not each for subject, each in made.items()) or len(made) != len(self._made):
            self._made = made
            self._surfaces = VolSurfaces([each.surface for each in made.values()])
            self._place()

    def origin(self, place: int) -> SurfaceOrigin | None:
        """The quotes that the vol of an option lies between; None where it has no surface. O(expiries), 10 us each."""
        made = self._made.get(self._terms.subject[place])
        if made is None:
            return None
        option = self._reference.instruments[self._terms.number.item(place)]
        cuts = {self._cut_of(option, row): row for row in made.rows}
        used = [ts for ts in made.surface.expiries.tolist() if ts in cuts]
        cut = self._terms.expiry_ts.item(place)
        low, high = [ts for ts in used if ts <= cut][-1:], [ts for ts in used if ts >= cut][:1]
        return SurfaceOrigin(tuple(cuts[ts] for ts in dict.fromkeys(low + high)), made.as_of)

    def _cut_of(self, option: Instrument, row: SurfaceRow) -> int:
        return self._cuts.of(structs.replace(option, expiry=row.expiry, cut="")).ts

    def _as_of(self, subject: str, now: int) -> int:
        offset = crc32(subject.encode()) % self._every
        return now - (now - offset) % self._every

    def _make(self, subject: str, rows: tuple[SurfaceRow, ...], now: int, start: IntArray, spot: FloatArray) -> _Made:
        place, as_of = self._first[subject], self._as_of(subject, now)
        option = self._reference.instruments[self._terms.number.item(place)]
        discounts, missing = self._discounts(option, subject, rows, start.item(place), spot.item(place))
        known = self._made.get(subject)
        if known is not None and (known.rows, known.discounts, known.as_of) == (rows, discounts, as_of):
            return known
        cuts = [self._cut_of(option, row) for row in rows]
        is_pair = option.kind is Kind.FX_OPTION
        convention = pair_convention(option.base_currency, option.quote_currency) if is_pair else EQUITY
        pair = self._reference.by_symbol.get(subject)
        style = (pair.bf_style if pair is not None else "") or option.bf_style or MARKET
        quotes = SurfaceQuotes(subject, rows, cuts, convention, style, discounts, missing)
        return _Made(rows, discounts, as_of, make_surfaces([quotes], as_of)[0])

    def _discounts(
        self, option: Instrument, subject: str, rows: tuple[SurfaceRow, ...], start: int, spot: float
    ) -> tuple[tuple[float | None, ...], str]:
        """The base's discount factors from the spot date to the deliveries of the quotes, or why there are none."""
        if option.kind is not Kind.FX_OPTION:
            return (None,) * len(rows), ""
        base, quote, curves = option.base_currency, option.quote_currency, self._curves
        assert curves is not None, "given with the moment"
        legs = curves.option_legs(subject, base, quote)
        if legs.reason:
            return (None,) * len(rows), legs.reason
        ends = [spot_date(dt.date.fromisoformat(row.expiry), base, quote, self._calendars).toordinal() for row in rows]
        days = np.array(ends, dtype=np.int64)
        carry = curves.terms([legs] * len(rows), np.full(len(rows), start, dtype=np.int64), days)
        if carry.is_implied.any():
            self._follows_spot = True
        rate, follows = carry.base_rates(np.full(len(rows), spot))
        found = np.round(np.exp(-rate * carry.years), DISCOUNT_DIGITS)
        return tuple(each if known else None for each, known in zip(found.tolist(), follows.tolist(), strict=True)), ""

    def _place(self) -> None:
        """Find where the options stand on the surfaces."""
        numbers = np.array([self._surfaces.numbers.get(subject, NO_SURFACE) for subject in self._terms.subject], dtype=np.int64)
        self._places: Places = self._surfaces.locate(numbers, self._terms.expiry_ts)
        self._has_none: BoolArray = self._places.codes != 0
        newest = np.array([each.ts.max(initial=0) for each in self._surfaces.surfaces] + [0], dtype=np.int64)[numbers]
        self._is_left_behind: BoolArray = self._places.oldest_ts < newest - LEFT_BEHIND_US
        texts = np.array(self._surfaces.texts, dtype=np.object_)
        self._why: ObjectArray = np.where(numbers == NO_SURFACE, self._none, texts[self._places.codes])
        self._moneyness = None
