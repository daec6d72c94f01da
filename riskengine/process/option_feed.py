"""Vols, rates and Greeks of one live engine: what comes over the network or by a file goes to the writer and the store.

On the event loop. The writer gets the newest of each subject with the prices of a beat, the store at most every
`[marks] store_every_s`. What other programs wrote into the store is read again whole where it has changed.
"""

from collections.abc import Sequence

from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import Config
from riskengine.intake.store_thread import StoreThread
from riskengine.market.option_input_book import OptionInputBook
from riskengine.market.option_market import OptionMarket
from riskengine.market.trading_day import TradingDay
from riskengine.observe import Metrics
from riskengine.records.option_input_checks import OptionInputCheck
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference


class OptionFeed:
    """Takes rows from `offer` and `take_stored`; the beats ask for `take`."""

    def __init__(self, store_thread: StoreThread, config: Config, clock: Clock, metrics: Metrics, market: OptionMarket) -> None:
        """`market` is what the engine was started with."""
        self._store_thread = store_thread
        self._clock = clock
        self._metrics = metrics
        self._future_limit_s = config.engine.future_limit_s
        self._every_us = int(config.marks.store_every_s * MICROS_PER_SECOND)
        self._saved_at = clock.now()
        self._book = OptionInputBook(TradingDay.of(config.engine).date_of, market, self._saved_at)
        self._check: tuple[Reference, OptionInputCheck] | None = None

    def check(self, reference: Reference) -> OptionInputCheck:
        """The check by the instruments in force; made once for each reference data. O(instruments)."""
        if self._check is None or self._check[0] is not reference:
            self._check = reference, OptionInputCheck(reference.by_symbol, self._future_limit_s)
        return self._check[1]

    def offer(self, rows: Sequence[OptionInput]) -> list[int]:
        """Take checked rows in order; returns the places of those without effect, because a newer one is known."""
        older = self._book.offer(rows, self._clock.now())
        self._metrics.option_inputs["taken"].inc(len(rows) - len(older))
        self._metrics.option_inputs["older"].inc(len(older))
        return older

    def take_stored(self, rows: Sequence[OptionInput]) -> int:
        """Take rows that other programs stored; returns how many are new here."""
        return self._book.take_stored(rows, self._clock.now())

    def take(self) -> Sequence[OptionInput]:
        """What has changed since the last beat. Gives the store what it lacks, where that is due."""
        now = self._clock.now()
        if abs(now - self._saved_at) >= self._every_us:  # a clock that was set back must not stop the saves
            self._saved_at = now
            self.save()
        return self._book.take_changed()

    def set_boundary(self, boundary: int, before: Sequence[OptionInput] = ()) -> None:
        """The day that is to be closed ends then (`OptionInputBook.set_boundary`)."""
        self._book.set_boundary(boundary, before)

    def closing_inputs(self) -> tuple[OptionInput, ...]:
        """What the close of the day is struck with. The store gets it all: a later version of the close is made of the same."""
        self.save()
        return self._book.closing_inputs()

    def save(self) -> None:
        """Give the store what it lacks."""
        if unsaved := self._book.take_unsaved():
            self._store_thread.save_option_inputs(unsaved)
