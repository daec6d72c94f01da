"""The roll of a live engine: strikes the close of each trading day once, and a later version where an official close comes late.

On the event loop; the store is read on the pool. The closing marks of the quote book are stored when their cutoff comes, and
whenever they change after it. At the boundary and the tolerance window behind it the close is struck from them and from the
official closes of the date. Where most sources of prices say that the boundary has not come, this machine's clock is wrong: the
roll waits, and a warning says so.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from msgspec import structs

from riskengine.alerts import Warnings
from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import Config
from riskengine.errors import EngineNotLive, RiskEngineError
from riskengine.loop import start_task
from riskengine.market.clock_skew import ClockSkews
from riskengine.market.closing_book import ClosingMarks, ClosingQuoteBook
from riskengine.market.closing_prices import CloseTimes, ClosingRules, closing_prices, cutoffs_of, superseding_prices
from riskengine.market.marks import Mark
from riskengine.observe import Metrics, get_logger
from riskengine.process.sampling import OnStore
from riskengine.process.strikes import Struck, beside
from riskengine.rebuild.load import Loaded
from riskengine.rebuild.missed_days import make_up, stored_closing_marks
from riskengine.rebuild.restrike import restrike
from riskengine.records.closes import ClosePrice, StruckClose
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference
from riskengine.store.protocol import Store
from riskengine.store.results import ChangedDate

LOOK_EVERY_S = 0.25
"""Longest time between two looks at the clock."""

RETRY_S = 2.0
"""Pause after an error."""

JUMP_US = 60 * MICROS_PER_SECOND
"""A clock that goes ahead of its usual pace by more between two looks was set."""

SETTLE_S = 5.0
"""How long after that the sources of prices are given to say what time it is."""

MAX_NAMED = 5
"""Sources or instruments that a message names."""

KIND = "roll"
"""The kind of the warnings about the roll."""

log = get_logger("riskengine.roll")


class StrikesCloses(Protocol):
    """What strikes closes of the engine (`strikes.Strikes`)."""

    async def strike(self, date: dt.date, prices: Mapping[str, ClosePrice], inputs: Iterable[OptionInput]) -> Struck:
        """Strike and store the close of a day that has ended, with its vols, rates and Greeks, and begin the next."""
        ...

    async def save(self, close: StruckClose) -> None:
        """Store a close."""
        ...

    async def begin_stored(self) -> None:
        """Begin the day after the newest stored close again."""
        ...


class KeepsInputs(Protocol):
    """What keeps the vols, rates and Greeks of a day that is to be closed (`option_feed.OptionFeed`)."""

    def set_boundary(self, boundary: int, before: Sequence[OptionInput] = ()) -> None:
        """The day ends then; `before` are rows of it from before a start."""
        ...

    def closing_inputs(self) -> tuple[OptionInput, ...]:
        """The newest of each subject of before the boundary; the store has them, or gets them next."""
        ...


class RollStart(NamedTuple):
    """Where a live engine begins: the trading day that is not struck yet, its closing marks so far.

    `closed` is the date of the newest close, `made_up` are the dates of those that this start has struck. `inputs` are the stored
    vols, rates and Greeks, where the day has ended already.
    """

    day: dt.date
    closing: Mapping[str, Mark]
    closed: str = ""
    made_up: tuple[str, ...] = ()
    inputs: tuple[OptionInput, ...] = ()


def start_roll(
    store: Store, config: Config, rules: ClosingRules, loaded: Loaded, now: int, rest: Callable[[], None] = lambda: None
) -> RollStart:
    """Make up the closes that are due, and read what the roll of the current day begins with.

    On the thread that owns engine and store until the engine goes live; `rest` is called after each day. Raises StoreError.
    """
    made_up = make_up(loaded.engine, store, config, rules, now, rest)
    struck = store.struck_close_dates()
    assert struck, "a store without closes has had one struck"
    closed = max(struck)
    day = rules.trading_day.next(dt.date.fromisoformat(closed))
    instruments = loaded.engine.reference.instruments
    cutoffs, times = cutoffs_of(instruments, day, rules), CloseTimes(instruments, rules)
    inputs = tuple(store.option_inputs()) if now >= rules.trading_day.close_of(day) else ()
    return RollStart(day, stored_closing_marks(store, day, cutoffs, times, {}), closed, made_up, inputs)


class RollParts(NamedTuple):
    """What the roll works with. `rules` are asked for at each step: calendars change.

    `save_closing` has closing marks stored, before any mark from their cutoff on.
    """

    store: Store
    config: Config
    clock: Clock
    quotes: ClosingQuoteBook
    skews: ClockSkews
    warnings: Warnings
    metrics: Metrics
    on_store: OnStore
    strikes: StrikesCloses
    save_closing: Callable[[ClosingMarks], None]
    rules: Callable[[], ClosingRules]
    inputs: KeepsInputs


class Roll:
    """Rolls one live engine, from `start` to `stop`."""

    def __init__(self, parts: RollParts, begin: RollStart) -> None:
        self._parts = parts
        self._tolerance = int(parts.config.engine.tolerance_s * MICROS_PER_SECOND)
        self._day = begin.day
        self._closed = parts.rules().trading_day.previous(begin.day)
        self._ends = 0
        self._reference: Reference | None = None
        self._cutoffs: list[int] = []
        self._stored_cutoffs: set[int] = set()
        self._priced: dict[str, ClosePrice] | None = None
        self._clock_check = ClockCheck(parts.skews, parts.clock)
        self._wake = asyncio.Event()
        self._is_changed = True  # what came while no engine ran
        self._is_put_off = self._waits = False
        self._task: asyncio.Task[None] | None = None
        self._begin(begin.day, begin.closing, begin.inputs)

    def start(self) -> None:
        """Begin, once the engine is live."""
        self._task = start_task(self._run(), log, "roll_failed", self._warn_of_failure)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    def note_closes_changed(self) -> None:
        """Somebody wrote official closes: compare them with the closes that are struck, at once."""
        self._is_changed = True
        self._wake.set()

    def _warn_of_failure(self, error: BaseException) -> None:
        self._parts.warnings[KIND] = f"the roll has ended with an error, and no close is struck until the next start: {error!r}"

    # -- one look after another --------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            pause_s = LOOK_EVERY_S
            try:
                await self.look()
            except EngineNotLive:
                return
            except RiskEngineError as error:
                self._is_put_off, pause_s = True, RETRY_S
                self._parts.warnings[KIND] = f"no close is struck or superseded at the moment; it is tried again: {error}"
            else:
                self._end_put_off()
            try:
                async with asyncio.timeout(min(pause_s, self._until_boundary_s(pause_s))):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    def _end_put_off(self) -> None:
        if self._is_put_off:
            self._is_put_off = False
            self._parts.warnings.pop(KIND, None)

    def _until_boundary_s(self, otherwise: float) -> float:
        """The time until the next cutoff if that comes soon: its closing marks are stored at once."""
        now = self._parts.clock.now()
        left = min((cutoff - now for cutoff in self._cutoffs if cutoff > now), default=0) / MICROS_PER_SECOND
        left /= self._parts.clock.speed
        return left if 0.0 < left < otherwise else otherwise

    async def look(self) -> None:
        """Do what is due: store closing marks, strike the close of the day, supersede closes. O(1) where nothing is.

        Raises EngineNotLive, StoreError.
        """
        parts = self._parts
        now = parts.clock.now()
        if (day := parts.rules().trading_day.next(self._closed)) != self._day:  # a calendar was loaded
            self._begin(day, parts.quotes.closing_marks().marks, parts.inputs.closing_inputs())
        doubt = self._clock_check.doubt(self._ends, now)
        if parts.quotes.reference is not self._reference:
            self._give_cutoffs({})
        self._store_at_cutoffs(now)
        if now >= self._ends + self._tolerance:
            if doubt:
                self._waits = True
                parts.metrics.roll_waiting.set(1)
                parts.warnings[KIND] = f"the roll of {self._day} waits: {doubt}"
            else:
                await self._strike()
        elif self._waits:
            self._end_wait()
        if self._is_changed:
            self._is_changed = False
            try:
                await self._supersede_changed()
            except RiskEngineError:
                self._is_changed = True
                raise

    def _end_wait(self) -> None:
        self._waits = False
        self._parts.metrics.roll_waiting.set(0)
        self._parts.warnings.pop(KIND, None)

    # -- the current day ---------------------------------------------------------------------------------------

    def _begin(self, day: dt.date, closing: Mapping[str, Mark], inputs: Sequence[OptionInput] = ()) -> None:
        """Keep the closing marks, vols, rates and Greeks of a trading day from now on."""
        self._day = day
        self._ends = self._parts.rules().trading_day.close_of(day)
        self._priced = None
        self._stored_cutoffs = set()
        self._parts.quotes.set_cutoffs(day.isoformat(), {})
        self._parts.inputs.set_boundary(self._ends, inputs)
        self._give_cutoffs(closing)

    def _give_cutoffs(self, closing: Mapping[str, Mark]) -> None:
        parts = self._parts
        self._reference = parts.quotes.reference
        cutoffs = cutoffs_of(self._reference.instruments, self._day, parts.rules())
        parts.quotes.add_cutoffs(cutoffs, closing)
        self._cutoffs = sorted({*cutoffs.values(), self._ends})

    def _store_at_cutoffs(self, now: int) -> None:
        """Have the closing marks stored whose cutoff has come: a kill before the strike then loses none. O(instruments) then."""
        passed = {cutoff for cutoff in self._cutoffs if cutoff <= now}
        new, self._stored_cutoffs = passed - self._stored_cutoffs, passed  # again, after a clock that was set back
        if not new:
            return
        quotes = self._parts.quotes
        date, marks = quotes.closing_marks()
        self._parts.save_closing(
            ClosingMarks(date, {symbol: mark for symbol, mark in marks.items() if quotes.cutoff_of(symbol) in new})
        )

    async def _strike(self) -> None:
        """Strike the close of the day, unless it is there, and begin the next day."""
        parts, date = self._parts, self._day.isoformat()
        if date in await asyncio.to_thread(parts.store.struck_close_dates):
            await parts.strikes.begin_stored()
        else:
            if self._priced is None:
                official = await asyncio.to_thread(parts.store.closes, date)
                marks = parts.quotes.closing_marks().marks
                instruments = parts.quotes.reference.instruments
                self._priced = closing_prices(instruments, self._day, marks, official, parts.rules())
            struck = await parts.strikes.strike(self._day, self._priced, parts.inputs.closing_inputs())
            parts.metrics.closes_struck.inc()
            log.info("close_struck", date=date, prices=struck.prices, positions=struck.positions)
        self._end_wait()
        self._closed = self._day
        # An instrument that is quoted no more keeps its mark, whatever comes for the days after.
        self._begin(parts.rules().trading_day.next(self._day), parts.quotes.closing_marks().marks)
        self._is_changed = True  # an official close may have come while it was struck

    # -- official closes that come late ------------------------------------------------------------------------

    async def _supersede_changed(self) -> None:
        """Strike anew every close whose official prices have changed since."""
        parts = self._parts
        changed: list[ChangedDate] = await asyncio.to_thread(parts.store.closes_changed)
        if not changed:
            return
        struck = await asyncio.to_thread(parts.store.struck_close_dates)
        again = False
        for date in sorted({each.date for each in changed} & struck.keys()):
            if await self._supersede(date):
                again = again or date == max(struck)
        await parts.on_store(lambda store: store.forget_closes_changed(changed))
        if again:
            await parts.strikes.begin_stored()

    async def _supersede(self, date: str) -> bool:
        """Store the next version of a close if its official prices say otherwise. Whether they do."""
        parts = self._parts
        rules, reference = parts.rules(), parts.quotes.reference
        header = await asyncio.to_thread(parts.store.struck_close_header, date)
        official = await asyncio.to_thread(parts.store.closes, date)
        assert header is not None, "a date that is listed has a close"
        day = dt.date.fromisoformat(date)
        if not rules.trading_day.is_business_day(day):
            log.warning("close_not_superseded", date=date)
            return False  # a calendar that was loaded since says that there was no such day
        prices = superseding_prices(reference.instruments, day, header.prices, official, rules)
        if prices is None:
            return False
        close = await asyncio.to_thread(parts.store.struck_close, date)
        assert close is not None, "a date that is listed has a close"
        following = structs.replace(close, version=close.version + 1, struck_ts=parts.clock.now())
        superseding = await beside(partial(restrike, parts.store, parts.config, rules, reference, following, prices))
        await parts.strikes.save(superseding)
        parts.metrics.closes_struck.inc()
        moved = [symbol for symbol, price in prices.items() if header.prices.get(symbol) != price]
        log.info("close_superseded", date=date, version=superseding.version, official=moved[:MAX_NAMED])
        return True


class ClockCheck:
    """Whether the sources of prices say that this machine's clock is right."""

    def __init__(self, skews: ClockSkews, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._skews = skews
        self._clock = clock
        self._monotonic = monotonic
        self._looked_at = clock.now()
        self._looked = monotonic()
        self._set_at: float | None = None

    def doubt(self, boundary: int, now: int) -> str:
        """Why the boundary may not have come although the clock says so; empty if nothing speaks against it. O(sources).

        Call it at every look: it notices that the clock was set in between.
        """
        monotonic = self._monotonic()
        passed, went = now - self._looked_at, monotonic - self._looked
        self._looked_at, self._looked = now, monotonic
        if passed > JUMP_US + 2 * self._clock.speed * went * MICROS_PER_SECOND and self._skews.any_known:
            self._set_at = monotonic
        behind, fresh = self._skews.behind(boundary, now)
        if 2 * len(behind) > fresh:
            named = ", ".join(source or "(no name)" for source in behind[:MAX_NAMED])
            return (
                f"{len(behind)} of {fresh} sources of prices ({named}) send ticks from more than a minute before the boundary,"
                " so this machine's clock seems to run ahead: set it right"
            )
        if self._set_at is not None and not fresh:
            if monotonic - self._set_at < SETTLE_S:
                return "this machine's clock was set, and no source of prices has said yet what time it is"
            self._set_at = None
        return ""
