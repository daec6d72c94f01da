"""Strikes closes of a live engine, and begins the day after: most of it beside the writer, which never waits.

On the event loop. What positions were at the boundary is fixed on the writer thread, right after a publication; the close is made
on the pool, stored, and the start of the next day is made from it on the pool again; the writer then puts that in force.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeVar

from riskengine.background import pause_collection, short_switch_interval
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.closing import ClosingDay, ClosingRows, make_close
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.loop import pending_answer
from riskengine.positions.day_window import DayWindow
from riskengine.process.sampling import OnStore
from riskengine.process.verdicts import OnWriter
from riskengine.records.closes import ClosedPosition, ClosePrice, StruckClose
from riskengine.records.option_inputs import OptionInput
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store
from riskengine.store.tables.struck_closes import CHUNKS_AT_ONCE, pack_close
from riskengine.valuation.day_start import DayStart

T = TypeVar("T")

LET_GO_AT_ONCE = 1_024
"""Positions of a close that is no longer needed, released in a fraction of a millisecond."""


class StrikeParts(NamedTuple):
    """What strikes need of a live engine. `alone` keeps renewals waiting: a strike is of one engine."""

    store: Store
    config: Config
    clock: Clock
    inbox: Inbox
    on_store: OnStore
    on_writer: OnWriter
    newest: Callable[[], Snapshot]
    alone: asyncio.Lock


class Struck(NamedTuple):
    """A close that was struck, stored and followed: how many prices and positions of leaf nodes it has."""

    prices: int
    positions: int


class Strikes:
    """Strikes and begins, one at a time."""

    def __init__(self, parts: StrikeParts) -> None:
        self._parts = parts
        self._made: StruckClose | None = None

    async def strike(self, date: dt.date, prices: Mapping[str, ClosePrice], inputs: Iterable[OptionInput]) -> Struck:
        """Strike, store and follow the close of a day that has ended. Raises EngineNotLive, StoreError.

        `inputs` are the vols, rates and Greeks of before its end. O(positions) beside the writer; none of its batches takes
        longer. A close that could not be stored is not made again: the next call stores it.
        """
        parts = self._parts
        async with parts.alone:
            if self._made is None or self._made.date != date.isoformat():
                rows, window = await self._rows_after_publication(date, inputs)
                day = ClosingDay(date.isoformat(), window.end_ts, parts.clock.now())
                self._made = await beside(partial(make_close, rows, prices, day, parts.config))
            await self.save(self._made)
            await self._begin(self._made, [])
            struck, going = Struck(len(self._made.prices), len(self._made.nodes)), _positions_of([self._made])
            self._made = None
            await beside(partial(let_go, going))
            return struck

    async def save(self, close: StruckClose) -> None:
        """Store a close: packed beside the writer, and stored in parts, so that no trade waits for long."""
        packed = await beside(partial(pack_close, close))
        for first in range(0, len(packed.chunks), CHUNKS_AT_ONCE):
            chunks = packed.chunks[first : first + CHUNKS_AT_ONCE]
            await self._parts.on_store(lambda store, chunks=chunks: store.save_close_chunks(chunks))  # type: ignore[misc]
        await self._parts.on_store(lambda store: store.save_struck_close(packed))

    async def begin_stored(self) -> None:
        """Begin the day after the newest stored close again: a later version of it has come. Raises EngineNotLive, StoreError."""
        parts = self._parts
        async with parts.alone:
            date = max(await asyncio.to_thread(parts.store.struck_close_dates))
            close = await asyncio.to_thread(parts.store.struck_close, date)
            assert close is not None, "a date that is listed has a close"
            read = [await asyncio.to_thread(parts.store.struck_close, date, version) for version in range(1, close.version)]
            published = [one for one in read if one is not None]
            await self._begin(close, published)
            going = _positions_of([close, *published])
            del close, read, published
            await beside(partial(let_go, going))

    async def _rows_after_publication(self, date: dt.date, inputs: Iterable[OptionInput]) -> tuple[ClosingRows, DayWindow]:
        done, answer = pending_answer()

        def after_publication(engine: Engine) -> Callable[[], None]:
            trading_day = engine.trading_day
            window = DayWindow.after(trading_day.previous(date), trading_day)
            following = DayWindow.after(date, trading_day)
            return lambda: answer((engine.close_rows(window, following, inputs), window), None)

        self._parts.inbox.put_call(after_publication)
        found: tuple[ClosingRows, DayWindow] = await done
        return found

    async def _begin(self, close: StruckClose, published: list[StruckClose]) -> None:
        parts = self._parts
        openings = await asyncio.to_thread(parts.store.openings)
        first = published[0] if published else close
        owners = [*(each.owner for each in first.dealers), *(each.dealer for each in openings)]
        engine, dealers = await parts.on_writer(lambda engine: (engine, engine.number_dealers(owners)))
        window = DayWindow.after(dt.date.fromisoformat(close.date), engine.trading_day)
        changes = engine.close_changes(window)
        of = partial(DayStart.of, engine.reference, window, close, published)
        made = partial(of, dealers=dealers, openings=openings, changes=changes)
        start = await beside(made)
        values = await beside(partial(engine.day_values, start))
        await parts.on_writer(lambda engine: engine.begin_day(start, values))


def _positions_of(closes: Iterable[StruckClose]) -> list[ClosedPosition]:
    return [*chain.from_iterable((*close.nodes, *close.dealers) for close in closes)]


def let_go(going: list[ClosedPosition]) -> None:
    """Release positions a few at a time, once nothing else holds them: all at once would stop every thread for 0.1 s."""
    while going:
        del going[-LET_GO_AT_ONCE:]


async def beside(work: Callable[[], T]) -> T:
    """What `work` returns, done on the pool with short turns between threads: the writer gets its turn."""

    def run() -> T:
        with short_switch_interval(), pause_collection():
            return work()

    return await asyncio.to_thread(run)
