"""Answers questions about scenarios beside the live engine: one thread, one question at a time, so many may wait.

Everything is worked out from snapshots; the writer never waits for it. The thread hands the interpreter over often, and its
long products run outside it. Closes are read again when somebody has written some, and when a day has been struck.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from riskengine.background import BackgroundThread, Rests, short_switch_interval
from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import ScenariosConfig
from riskengine.errors import EngineNotLive, RiskEngineError, TooBusy
from riskengine.loop import Failed, start_task
from riskengine.market.trading_day import TradingDay
from riskengine.observe import get_logger
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import Close
from riskengine.scenarios.close_history import unbroken
from riskengine.scenarios.shocks import shock_dates
from riskengine.scenarios.workbench import StoredCloses, Workbench
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store

T = TypeVar("T")

MINUTE_US = 60 * MICROS_PER_SECOND

READ_AT_ONCE = 5_000
"""Closes that one read of the store returns: 5 ms."""

FIRST_DAYS = 3
"""Calendar days that are read for each scenario asked for, at most: with weekends and holidays there are fewer than two."""

log = get_logger("riskengine.scenarios")


class ScenarioDesk:
    """One live engine's questions about scenarios. On the event loop; the work is on a thread of its own."""

    def __init__(
        self,
        store: Store,
        config: ScenariosConfig,
        clock: Clock,
        newest: Callable[[], Snapshot],
        trading_day: Callable[[], TradingDay],
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._newest = newest
        self._trading_day = trading_day
        self._thread = BackgroundThread("scenarios")
        self._rests = Rests()
        self._bench = Workbench(config, self._rest)
        self._waiting = 0
        self._is_stale = True
        self._struck_on = ""
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self, failed: Failed | None = None) -> None:
        """Begin to keep the prices of each minute, and read the closes, so that the first question finds them."""
        self._thread.submit(self._prepare)
        self._task = start_task(self._keep_minutes(), log, "intraday_scenarios_failed", failed)

    def stop(self) -> None:
        """Take no more questions; a history that is being read is given up."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    def note_closes_changed(self) -> None:
        """Somebody has written closes or scenarios: read them again for the next question. O(1)."""
        self._is_stale = True

    async def ask(self, work: Callable[[Workbench], T], *, is_ours: bool = False) -> T:
        """What `work` returns or raises, on the thread. Raises TooBusy where too many wait, StoreError.

        A question of the engine's own (`is_ours`) waits however many do: there is one at a time.
        """
        if self._waiting > self._config.max_waiting and not is_ours:
            raise TooBusy(f"{self._waiting} questions about scenarios wait already: ask again later")
        self._waiting += 1
        try:
            return await self._thread.run(partial(self._work, work))
        finally:
            self._waiting -= 1

    def _prepare(self) -> None:
        """Own thread."""
        try:
            self._work(lambda bench: bench.history(self._newest()))
        except RiskEngineError as error:  # the first question tries again, and answers its error
            log.warning("scenario_closes_not_read", error=str(error))

    def _rest(self) -> None:
        """Own thread. Raises EngineNotLive once the engine stops: the store is about to be closed."""
        if self._stopping:
            raise EngineNotLive("the engine is stopping")
        self._rests.rest_if_due()

    def _work(self, work: Callable[[Workbench], T]) -> T:
        """Own thread."""
        with short_switch_interval():
            self._read_closes()
            return work(self._bench)

    # -- closes ------------------------------------------------------------------------------------------------

    def _read_closes(self) -> None:
        """Read the closes again where others may be stored. Own thread. Raises StoreError."""
        day = self._newest().current_day
        if not self._is_stale and day == self._struck_on:
            return
        self._is_stale = False  # what is written from here on is noted again
        try:
            stored = read_closes(self._store, self._trading_day(), day, self._config.days, self._rest)
        except RiskEngineError:
            self._is_stale = True
            raise
        self._struck_on = day
        self._bench.take_closes(stored)
        log.info("scenario_closes_read", closes=len(stored.closes), dates=len(stored.ends))

    # -- minutes -----------------------------------------------------------------------------------------------

    async def _keep_minutes(self) -> None:
        """Hand the snapshot of each full minute of the engine's clock to the thread."""
        while True:
            now = self._clock.now()
            await asyncio.sleep((MINUTE_US - now % MINUTE_US) / MICROS_PER_SECOND / self._clock.speed)
            at = (self._clock.now() + MICROS_PER_SECOND) // MINUTE_US * MINUTE_US
            name = dt.datetime.fromtimestamp(at / MICROS_PER_SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%MZ")
            self._thread.submit(partial(self._bench.take_minute, name, self._newest()))


def read_closes(store: Store, trading_day: TradingDay, day: str, days: int, rest: Callable[[], None]) -> StoredCloses:
    """The closes of the last business days before `day` ("": of all that there are), as many as scenarios ask for.

    A loaded close counts before the price that the day was struck with; that counts where it is of that day itself, and not an
    older mark that was still in force. 2 us a close. Raises StoreError.
    """
    first = _first_date(store, day, days)
    struck = {date: version for date, version in store.struck_close_dates().items() if date >= first and (not day or date < day)}
    found = [close for close in _struck(store, struck, trading_day, rest) if close.date >= first]
    found += (close for close in _loaded(store, first, rest) if not day or close.date < day)
    dates = {close.date for close in found}
    business = sorted(date for date in dates if trading_day.is_business_day(dt.date.fromisoformat(date)))
    business = unbroken(business)[-days - 1 :]
    ends = {date: trading_day.close_of(dt.date.fromisoformat(date)) for date in business}
    shocks = {date: store.closes(date) for date in sorted(shock_dates())}
    shock_ends = {date: trading_day.close_of(dt.date.fromisoformat(date)) for date in shocks}
    return StoredCloses([close for close in found if close.date in ends], ends, shocks, shock_ends, _loaded_scenarios(store))


def _loaded_scenarios(store: Store) -> dict[str, list[ScenarioShift]]:
    """The shifts in force by scenario; those without a size were taken out."""
    found: dict[str, list[ScenarioShift]] = {}
    for shift in store.scenario_shifts():
        if shift.relative is not None or shift.absolute is not None:
            found.setdefault(shift.scenario, []).append(shift)
    return found


def _first_date(store: Store, day: str, days: int) -> str:
    """The date from which enough closes are stored, or all are."""
    newest = max((close.date for close in store.latest_closes(day or "9999-12-31")), default="")
    newest = max([newest, *(date for date in store.struck_close_dates() if not day or date < day)])
    if not newest:
        return ""
    return (dt.date.fromisoformat(newest) - dt.timedelta(days=FIRST_DAYS * (days + 1))).isoformat()


def _loaded(store: Store, first: str, rest: Callable[[], None]) -> Iterator[Close]:
    """The loaded closes from a date on, in parts that end with a date."""
    after = (dt.date.fromisoformat(first) - dt.timedelta(days=1)).isoformat() if first else ""
    limit = READ_AT_ONCE
    while some := store.closes_after(after, limit):
        last = some[-1].date
        if len(some) < limit:
            yield from some
            return
        whole = [close for close in some if close.date < last]
        if not whole:  # more of one date than are read at once
            limit *= 2
            continue
        yield from whole
        after = whole[-1].date
        rest()


def _struck(store: Store, versions: dict[str, int], trading_day: TradingDay, rest: Callable[[], None]) -> Iterator[Close]:
    """The prices that days were struck with, where they are of that day."""
    for date, version in versions.items():
        if not trading_day.is_business_day(dt.date.fromisoformat(date)):
            continue  # a calendar was loaded since
        header = store.struck_close_header(date, version)
        if header is None:
            continue
        first, end = trading_day.window(dt.date.fromisoformat(date))
        for symbol, price in header.prices.items():
            if price.official or first <= price.ts <= end:
                yield Close(date, symbol, price.price)
        rest()
