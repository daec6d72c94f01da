"""The forwards of one engine: what curves and fixings say of them today, and their marks and rates at each beat.

Writer thread only. The `market` that it keeps is immutable: snapshots and closes share it.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from riskengine.config import OptionsConfig
from riskengine.market.currencies import Rates
from riskengine.market.fixings import Fixing
from riskengine.market.mark_table import MarkTable
from riskengine.market.rate_curves import RateCurves, day_of
from riskengine.market.spot_dates import SpotDates
from riskengine.records.option_inputs import RateRow
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, Instrument
from riskengine.valuation.forward_values import ForwardMarket, ForwardTerms, ForwardValues


class Marked(NamedTuple):
    """What forwards come to at a beat: the numbers of those that moved, and which instruments are fresh."""

    moved: list[int]
    fresh: BoolArray


class ForwardBook:
    """See the module. `day` is the trading day by which spot dates count, YYYY-MM-DD; "": that of the clock."""

    def __init__(self, reference: Reference, config: OptionsConfig, spot_dates: SpotDates, day: str) -> None:
        self._reference = reference
        self._config = config
        self._spot_dates = spot_dates
        self._day = day
        self._rows: tuple[RateRow, ...] = ()
        self._fixings: Mapping[str, Fixing] = {}
        self._terms = ForwardTerms.of(reference)
        self._values: ForwardValues | None = None
        self._curves = RateCurves((), self._today(0))
        self._is_changed = False
        self.market = self._make()

    def grow(self, reference: Reference) -> None:
        """Know the forwards that a reference has beyond this one's. O(forwards)."""
        self._reference = reference
        self._terms = self._terms.grown(reference)
        self._make_again()

    def take_rates(self, rows: Iterable[RateRow]) -> None:
        """Value by these rates and points, all that there are, from the next beat on. O(rows + forwards)."""
        self._rows = tuple(rows)
        self._curves = RateCurves(self._rows, self._today(0))
        self._make_again()

    def take_fixings(self, fixings: Mapping[str, Fixing]) -> None:
        """The forwards that are fixed, all of them, by name. O(forwards) if one is another."""
        if fixings != self._fixings:
            self._fixings = dict(fixings)
            self._make_again()

    def begin_day(self, day: str) -> None:
        """Count spot dates and years from a trading day. O(rows + forwards) if it is another one."""
        if day and day != self._day:
            self._day = day
            self._curves = RateCurves(self._rows, self._today(0))
            self._make_again()

    def _today(self, now: int) -> int:
        return dt.date.fromisoformat(self._day).toordinal() if self._day else day_of(now)

    def _make_again(self) -> None:
        self.market = self._make()
        self._is_changed = True

    def market_by(self, rows: Iterable[RateRow]) -> ForwardMarket:
        """What other rates and points say of the forwards today. O(rows + forwards), O(rows) where they are those in force."""
        rows = tuple(rows)
        return self.market if rows == self._rows else self._make(RateCurves(rows, self._today(0)))

    def _make(self, curves: RateCurves | None = None) -> ForwardMarket:
        curves = self._curves if curves is None else curves
        known: dict[tuple[str, str], int] = {}

        def spot_day(pair: Instrument) -> int:
            key = (pair.base_currency, pair.quote_currency)
            if key not in known:
                day = self._day or dt.date.fromordinal(curves.today).isoformat()
                known[key] = dt.date.fromisoformat(self._spot_dates.spot_of_day(pair, day)).toordinal()
            return known[key]

        return ForwardMarket(
            self._reference,
            self._terms,
            curves,
            spot_day,
            self._fixings,
            discounted=self._config.forward_discounting,
            stale_after_s=self._config.rate_stale_after_s,
        )

    # -- at each beat --------------------------------------------------------------------------------------------

    @property
    def has_any(self) -> bool:
        """Whether there are forwards: the rates of their buckets move with prices of pairs and with time."""
        return len(self.market) > 0

    @property
    def is_changed(self) -> bool:
        """Whether curves, fixings or the day say otherwise since the last `mark`."""
        return self._is_changed

    def mark(self, marks: MarkTable, fresh: BoolArray, now: int) -> Marked:
        """Put outrights in force at the marks of now. O(forwards)."""
        self._is_changed = False
        if not len(self.market):
            return Marked([], fresh)
        market = self.market
        values = self._values = market.values(marks.price, marks.priced, marks.ts, fresh, now)
        moved = market.put_marks(marks, values)
        fresh, number = fresh.copy(), market.terms.number
        fresh[number] = np.where(values.known, values.fresh, fresh[number])
        return Marked(moved, fresh)

    def with_buckets(self, rates: Rates, marks: MarkTable) -> Rates:
        """Rates with those of the buckets, after `mark`."""
        if not len(self.market) or self._values is None:
            return rates
        return self.market.with_buckets(rates, self._values, marks.price, marks.priced)
