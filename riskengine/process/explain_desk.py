"""Answers why P&L moved, beside the live engine: one thread, one question at a time, so many may wait.

From the last close to now takes one snapshot. Any other span takes engines of its two ends, made from the store (`moments`), and
where something that came in between may say otherwise of the first, a third one (`rebuild.restated`); the last ones are kept. The
writer never waits. Once a minute the desk explains the day of the root, and warns while too much of it is unexplained.
"""

import asyncio
from collections import ChainMap, OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import NamedTuple

from riskengine.alerts import Warnings
from riskengine.background import BackgroundThread, Rests, short_switch_interval
from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.moment import THEN, Moment
from riskengine.errors import EngineNotLive, InputError, RiskEngineError, TooBusy
from riskengine.loop import Failed, start_task
from riskengine.observe import get_logger
from riskengine.positions.adjustments import NO_CHANGES, CloseChanges
from riskengine.process.moments import MomentDesk
from riskengine.rebuild.moment import recorded_at
from riskengine.rebuild.restated import Knowledge, Then, after_close, carry_in, known_later, may_be_restated
from riskengine.records.types import OPTION_KINDS
from riskengine.snapshot.explain import HeldSide, HeldThen, OptionPoint, SpanBegin, SpanEnd, explain
from riskengine.snapshot.explain_sides import (
    SnapshotOptions,
    SnapshotPrices,
    carry_of_the_day,
    option_points,
    side_now,
    sides_at_close,
)
from riskengine.snapshot.explanation import Explanation, ToldInstant, When, unexplained_warning
from riskengine.snapshot.snapshot import Snapshot, UnknownName
from riskengine.store.protocol import Store

KEPT = 4
"""Engines of earlier moments that are kept, each with its positions and trades."""

UNEXPLAINED = "unexplained"
"""The warning."""

GREEKS_OF_A_CLOSE = "Greeks at the close are of its prices and of the newest vols and rates that the store has of before it"

log = get_logger("riskengine.explain")


class _Point(NamedTuple):
    """One end, before it is compared: a close by its date, or a snapshot with its engine, which is None of the live one."""

    close: str | None
    ts: int
    snapshot: Snapshot | None = None
    moment: Moment | None = None

    @property
    def engine(self) -> Engine | None:
        return None if self.moment is None else self.moment.engine

    def told(self) -> ToldInstant:
        """What the answer says of it."""
        if self.moment is None:
            return ToldInstant(self.ts, self.close, None, ())
        return ToldInstant(self.ts, None, self.moment.exact_at, self.moment.unknown)


class ExplainDesk:
    """One live engine's questions about its P&L. On the event loop; the work is on a thread of its own."""

    def __init__(
        self,
        store: Store,
        config: Config,
        clock: Clock,
        newest: Callable[[], Snapshot],
        moments: MomentDesk,
        warnings: Warnings,
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._newest = newest
        self._moments = moments
        self._warnings = warnings
        self._thread = BackgroundThread("explain")
        self._rests = Rests()
        self._kept: OrderedDict[Hashable, Engine] = OrderedDict()
        self._restated: OrderedDict[Knowledge, tuple[Knowledge, Engine]] = OrderedDict()
        """By what was known at a moment: its engine by what was known later, and when that was."""
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self, failed: Failed | None = None) -> None:
        """Begin to watch what is unexplained of the day. `failed` is called if an error ends that."""
        if self._config.explain.watch_s:
            self._task = start_task(self._watch(), log, "explain_failed", failed)

    def stop(self) -> None:
        """Take no more questions; engines that are being made are given up."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    # -- questions ---------------------------------------------------------------------------------------------

    async def explain(self, node: str, first: When, last: When) -> Explanation:
        """Why the P&L of a node moved. Raises UnknownName (no such close), InputError (backwards), and as `MomentDesk.at`.

        Some milliseconds for a day until now without options, else 9 us a trade for each engine that is not kept.
        """
        if self._waiting > self._config.explain.max_waiting:
            raise TooBusy(f"{self._waiting} questions about P&L wait already: ask again later")
        self._waiting += 1
        try:
            live = self._newest()
            begin = await self._point(self._last_close(live) if first is None else first)
            end = _Point(None, live.as_of, live) if last is None else await self._point(last)
            if last is None and not _takes_live(begin, live):
                end = await self._point(live.as_of)
            if begin.ts > end.ts:
                raise InputError(f"from ({begin.ts}) is after to ({end.ts})")
            return await self._thread.run(partial(self._work, node, begin, end))
        finally:
            self._waiting -= 1

    def _last_close(self, live: Snapshot) -> str:
        if live.day is None:
            raise UnknownName("no close is struck yet: say from= when to begin")
        return live.day.window.closed

    async def _point(self, when: int | str) -> _Point:
        if isinstance(when, str):
            return await self._thread.run(partial(self._close_point, when))
        moment = await self._moments.at(when, THEN)
        snapshot = moment.engine.snapshot
        return _Point(None, snapshot.as_of, snapshot, moment)

    def _close_point(self, date: str) -> _Point:
        """Own thread. Raises UnknownName, StoreError."""
        header = self._store.struck_close_header(date, 1)
        if header is None:
            raise UnknownName(f"no close of {date} is struck")
        return _Point(date, header.ts)

    def _work(self, node: str, begin: _Point, end: _Point) -> Explanation:
        """Own thread."""
        self.rest()
        with short_switch_interval():
            return _Comparison(self, node, begin, end).answer()

    def rest(self) -> None:
        """Own thread. Raises EngineNotLive once the engine stops: the store is about to be closed."""
        if self._stopping:
            raise EngineNotLive("the engine is stopping")
        self._rests.rest_if_due()

    # -- engines of earlier moments, on the own thread -----------------------------------------------------------

    def kept(self, key: Hashable, make: Callable[[], Engine]) -> Engine:
        """An engine that was made before, or a new one. Own thread."""
        found = self._kept.pop(key, None)
        engine = make() if found is None else found
        self._kept[key] = engine
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return engine

    def after_close(self, date: str, later: Knowledge) -> Engine:
        """The engine of the day after a close, by what was known at a moment. Own thread. Raises StoreError, EngineNotLive."""
        return self.kept((date, later), partial(after_close, self._store, self._config, date, later, self.rest))

    def known_at(self, date: str) -> Knowledge:
        """What was known when a close was struck. Own thread. Raises StoreError."""
        header = self._store.struck_close_header(date, 1)
        assert header is not None, "only closes that are struck come here"
        return Knowledge(header.struck_ts)

    def struck(self, date: str) -> Engine:
        """The engine of the day after a close as it was struck. Own thread."""
        return self.after_close(date, self.known_at(date))

    def restated(self, moment: Moment, later: Knowledge) -> Engine:
        """The engine of a moment by what was known later; its own where nothing may say otherwise of it. Own thread."""
        snapshot = moment.engine.snapshot
        recorded, _ = recorded_at(self._store, snapshot.as_of, self.rest)
        if recorded is not None and recorded.instant.ts != snapshot.as_of:
            recorded = None
        then = Then(snapshot.as_of, snapshot.watermark, recorded)
        first = Knowledge(then.ts, then.watermark)
        since, engine = self._restated.get(first, (first, moment.engine))
        if not _is_up_to(since, later):
            since, engine = first, moment.engine
        tolerance = int(self._config.engine.tolerance_s * MICROS_PER_SECOND)
        if not may_be_restated(self._store, then, since, later, tolerance):
            return engine
        engine = known_later(self._store, self._config, then, later, self.rest)
        if later.watermark is not None:
            self._restated[first] = later, engine
            self._restated.move_to_end(first)
            while len(self._restated) > KEPT:
                self._restated.popitem(last=False)
        return engine

    # -- the watch ---------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Explain the day of the root again and again, where it holds options, and warn while too much is unexplained."""
        while True:
            await asyncio.sleep(self._config.explain.watch_s / self._clock.speed)
            live = self._newest()
            root = next(iter(live.reference.hierarchy.names), None)
            if live.day is None or root is None or not len(live.reference.options):
                self._warnings.pop(UNEXPLAINED, None)
                continue
            try:
                answer = await self.explain(root, None, None)
            except (TooBusy, UnknownName):
                continue
            except RiskEngineError as error:
                log.warning("day_not_explained", error=str(error))
                continue
            text = unexplained_warning(answer, self._config.explain.tolerance, self._config.engine.reporting_currency)
            if text:
                self._warnings[UNEXPLAINED] = text
            else:
                self._warnings.pop(UNEXPLAINED, None)


def _is_up_to(since: Knowledge, later: Knowledge) -> bool:
    """Whether all that was known at one time was known at another."""
    if since.watermark is None:
        return False
    return since.ts <= later.ts and (later.watermark is None or since.watermark <= later.watermark)


def _takes_live(begin: _Point, live: Snapshot) -> bool:
    """Whether a span from `begin` can end in a live snapshot: it begins in the same day, so that the snapshot knows the carry."""
    if live.day is None:
        return False
    if begin.snapshot is None:
        return begin.close == live.day.window.closed
    day = begin.snapshot.day
    return day is not None and day.window.closed == live.day.window.closed


class _Comparison:
    """One question on the desk's thread: what its two ends hold. Raises StoreError, EngineNotLive."""

    def __init__(self, desk: ExplainDesk, node: str, begin: _Point, end: _Point) -> None:
        self._desk = desk
        self._node = node
        self._begin = begin
        self._end = end

    def answer(self) -> Explanation:
        """Explain it."""
        begin, end = self._begin, self._end
        ending = self._desk.struck(end.close) if end.close is not None else end.engine
        snapshot = end.snapshot if ending is None else ending.snapshot
        assert snapshot is not None, "an end is a close or a snapshot"
        first, start, is_of_day = self._first(snapshot)
        last = SpanEnd(self._last(snapshot, ending, is_of_day), SnapshotOptions(snapshot), self._changes(start, snapshot))
        instruments = ChainMap(dict(snapshot.reference.by_symbol), dict(start.reference.by_symbol))
        told = begin.told()
        if begin.close is not None and first.options:
            told = told._replace(unknown=(*told.unknown, GREEKS_OF_A_CLOSE))
        return Explanation(self._node, told, end.told(), snapshot, explain(first, last, instruments, self._desk.rest))

    def _knowledge(self, snapshot: Snapshot) -> Knowledge:
        """What was known where the span ends."""
        if self._end.close is None:
            return Knowledge(snapshot.as_of, snapshot.watermark)
        return self._desk.known_at(self._end.close)

    def _first(self, end: Snapshot) -> tuple[SpanBegin, Snapshot, bool]:
        """Where the span begins; a snapshot that has its names and units; whether carry counts from the close of its day."""
        begin = self._begin
        same_day = end.day is not None and self._end.close is None
        if begin.close is not None:
            if same_day and end.day is not None and end.day.window.closed == begin.close:
                known, restated = self._at_close(end, {})
                return SpanBegin(known, restated, self._close_points(begin.close, restated)), end, True
            engine = self._desk.after_close(begin.close, self._knowledge(end))
            snapshot = engine.snapshot
            assert snapshot.day is not None, "the day after a close is known"
            carry = carry_in(engine, self._node, snapshot.day.window.start_ts)
            known, restated = self._at_close(snapshot, carry)
            points = option_points(snapshot, restated.held, begin.ts)
            return SpanBegin(known, restated, points), snapshot, False
        assert begin.snapshot is not None and begin.moment is not None, "an instant of the past has an engine"
        then = begin.snapshot
        engine = self._desk.restated(begin.moment, self._knowledge(end))
        is_of_day = same_day and all(
            each.day is not None and end.day is not None and each.day.window.closed == end.day.window.closed
            for each in (then, engine.snapshot)
        )
        restated = self._now(engine.snapshot, engine, is_of_day)
        known = restated if engine is begin.moment.engine else self._now(then, begin.moment.engine, is_of_day)
        return SpanBegin(known, restated, option_points(then, restated.held, then.as_of)), engine.snapshot, is_of_day

    def _close_points(self, date: str, restated: HeldSide) -> dict[str, OptionPoint]:
        """The Greeks of options at a close; an engine is made for them only where some were held."""
        options = [symbol for symbol, held in restated.held.items() if held.quantity and self._is_option(symbol)]
        if not options:
            return {}
        engine = self._desk.struck(date)
        return option_points(engine.snapshot, options, self._begin.ts)

    def _is_option(self, symbol: str) -> bool:
        snapshot = self._end.snapshot
        instrument = None if snapshot is None else snapshot.reference.by_symbol.get(symbol)
        return instrument is not None and instrument.kind in OPTION_KINDS

    def _last(self, snapshot: Snapshot, engine: Engine | None, is_of_day: bool) -> HeldSide:
        """What was held where the span ends, with its carry."""
        if self._end.close is None:
            return self._now(snapshot, engine, is_of_day)
        assert engine is not None and snapshot.day is not None, "the day after a close is known"
        carry = carry_in(engine, self._node, snapshot.day.window.start_ts)
        published, _ = self._at_close(snapshot, {})
        return published._replace(held=_with_carry(published, carry))

    def _now(self, snapshot: Snapshot, engine: Engine | None, is_of_day: bool) -> HeldSide:
        owner = snapshot.reference.hierarchy.index.get(self._node)
        if owner is None:
            return HeldSide({}, SnapshotPrices(snapshot))
        if engine is None or is_of_day:
            return side_now(snapshot, snapshot.nodes, owner, carry_of_the_day(snapshot, snapshot.nodes, owner))
        carry = carry_in(engine, self._node)
        return side_now(snapshot, snapshot.nodes, owner, carry)

    def _at_close(self, snapshot: Snapshot, carry: dict[str, int]) -> tuple[HeldSide, HeldSide]:
        """As published, and as restated with the carry that is in it."""
        owner = snapshot.reference.hierarchy.index.get(self._node)
        assert snapshot.day is not None, "the day after a close is known"
        if owner is None:
            nothing = HeldSide({}, SnapshotPrices(snapshot))
            return nothing, nothing
        published, restated = sides_at_close(snapshot, snapshot.nodes, owner)
        return published, restated._replace(held=_with_carry(restated, carry))

    def _changes(self, start: Snapshot, end: Snapshot) -> CloseChanges:
        """What corporate actions that came into force on the way make of names and units."""
        if end.adjustments is None or start.actions_day >= end.actions_day:
            return NO_CHANGES
        return end.adjustments.since(start.actions_day)


def _with_carry(side: HeldSide, carry: dict[str, int]) -> dict[str, HeldThen]:
    return {symbol: held._replace(carry=carry.get(symbol, 0)) for symbol, held in side.held.items()}
