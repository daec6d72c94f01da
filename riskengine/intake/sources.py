"""The sources that send trades: whether each is alive, and whether something that it sent is missing.

A source numbers its trades (`source_seq`); its heartbeat says which number it sent last. From then on it promises dense numbers:
each that has not come is missing, and alarms until it comes or a person acknowledges it. What has come is stored with the trades
(`records/numbers.py`); this module keeps the same in memory, with what is on its way to the store, and notes what the store
cannot see by itself: numbers of refused trades, promises, and a numbering that seems to begin anew.

Used on the event loop only.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from riskengine.clock import MICROS_PER_SECOND
from riskengine.engine.inbox import Receipt
from riskengine.errors import RiskEngineError
from riskengine.observe import get_logger
from riskengine.records.fields import json_integer
from riskengine.records.numbers import FeedChange, FeedState, NumberSet, Range, count_of, ranges_text, remove_range, runs_of
from riskengine.records.types import Trade
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.protocol import Store

SILENT_AFTER_US = 5 * MICROS_PER_SECOND

MAX_FEEDS = 1_000
"""Sources that may send heartbeats; senders choose the names, so that their number needs a bound. Retired ones do not count."""

MAX_HEARD = 2 * MAX_FEEDS
"""Sources of which it is kept what their next heartbeat may mean: those that beat, and those of trades while there is room."""

LISTED_HOLES = 10
"""Ranges of missing numbers that a row lists."""

MAX_WAITING = 100
"""Changes of one source that wait for the store."""

FINISH_S = 2.0
"""Longest wait at the end for the store to take the last changes."""

NAMED_SOURCES = 5
"""Sources that a warning names; it counts the others."""

_NEW = ("applied", "superseded", "parked", "quarantined")
"""Outcomes of a trade that had not come before."""

FeedAction = Literal["acknowledge", "restart", "retire"]
"""What a person may say of a source: its gap is known, it numbers anew, it is no more."""

_T = TypeVar("_T")

OnStore = Callable[[Callable[[Store], _T]], Awaitable[_T]]
"""Has something done on the store thread (`EngineProcess.on_store`). Raises EngineNotLive, StoreError."""

log = get_logger("riskengine.publishers")


class Heard:
    """What this engine has heard of a source.

    heard_at  when it last beat; 0: not since the start
    last_seq  the newest that it said
    claim     the highest that it said, and at its first heartbeat what had come by then
    since     what has come since a heartbeat last was in order: if the source numbers anew, that is the new numbering
    repeats, reuses  since then: whether trades came again, and whether new trades came with numbers that had come before
    """

    __slots__ = ("claim", "heard_at", "last_seq", "repeats", "reuses", "since")

    def __init__(self) -> None:
        self.heard_at = self.claim = 0
        self.last_seq: int | None = None
        self.since = NumberSet()
        self.repeats = self.reuses = False

    def begin_order(self) -> None:
        """A heartbeat was in order: forget what would tell a new numbering."""
        self.since, self.repeats, self.reuses = NumberSet(), False, False


class Sources:
    """What has come from each source, in the store and on the way there; which sources beat, and which of these alarm."""

    def __init__(self) -> None:
        self._states: dict[str, FeedState] = {}
        self._heard: dict[str, Heard] = {}
        self._beating: dict[str, Heard] = {}
        self._under_way: dict[str, list[Sequence[Range]]] = {}
        self._read: Callable[[Sequence[str] | None], Mapping[str, FeedState]] | None = None
        self._looking_up: asyncio.Task[None] | None = None
        self._meanwhile: list[tuple[str, Sequence[Range]]] = []
        self._generation = 0
        self._changes: dict[str, list[FeedChange]] = {}
        self._storing: asyncio.Task[None] | None = None
        self._on_store: OnStore[Any] | None = None
        self._started_at = 0
        self.refused = 0
        """Heartbeats refused since the start."""

    # -- the store ---------------------------------------------------------------------------------------------

    async def follow(self, read: Callable[[Sequence[str] | None], Mapping[str, FeedState]], now: int) -> None:
        """Take over what is stored, and ask again whenever a gap shows. `read` is called on the pool."""
        self._started_at = now
        self._states.update(await asyncio.to_thread(read, None))
        for source, state in self._states.items():
            if state.promised is not None and not state.retired:
                self._begin_beating(source)
        self._read = read

    def write_by(self, on_store: OnStore[Any]) -> None:
        """From now on store what the store cannot see by itself. Called once the engine is live."""
        self._on_store = on_store
        self._store_changes()

    def _change(self, source: str, change: FeedChange) -> None:
        """Change a source in memory and soon in the store."""
        state = self._state(source)
        change(state)
        self._generation += 1
        waiting = self._changes.setdefault(source, [])
        waiting.append(change)
        if len(waiting) > MAX_WAITING:  # the store is away: one change that comes to the same
            waiting[:] = [partial(_take, runs=state.came.runs())]
            if state.promised is not None:
                waiting.append(partial(_promise, last_seq=state.promised))
            if state.anew is not None:
                waiting.append(partial(_suspect, last_seq=state.anew_seq, since=state.anew.copy()))
        self._store_changes()

    def _store_changes(self) -> None:
        if self._changes and self._on_store is not None and self._storing is None:
            self._storing = asyncio.get_running_loop().create_task(self._store_them(self._on_store))

    async def _store_them(self, on_store: OnStore[Any]) -> None:
        """Store what has changed, in one transaction, until nothing has. While the store is away it waits for the next call."""
        try:
            while self._changes:
                changes, self._changes = self._changes, {}
                try:
                    await on_store(lambda store, changes=changes: store.update_feeds(changes))  # type: ignore[misc]
                except RiskEngineError:
                    for source, later in self._changes.items():
                        changes.setdefault(source, []).extend(later)
                    self._changes = changes
                    return
        finally:
            self._storing = None

    async def finish(self) -> None:
        """Store what is not stored yet, while the engine is still live. Waits at most FINISH_S."""
        self._store_changes()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await self._stored()

    async def _stored(self) -> None:
        """Wait until what has changed so far is stored, or the store is away."""
        while self._storing is not None:
            await asyncio.shield(self._storing)

    def _begin_beating(self, source: str) -> Heard:
        state, heard = self._states.get(source), self._heard.setdefault(source, Heard())
        heard.claim = 0 if state is None else max(state.came.highest, state.promised or 0)
        self._beating[source] = heard
        return heard

    def _listen(self, source: str) -> Heard | None:
        """What is heard of a source of trades; None where there are too many to listen to."""
        heard = self._heard.get(source)
        if heard is None and len(self._heard) < MAX_HEARD:
            heard = self._heard[source] = Heard()
        return heard

    def _state(self, source: str) -> FeedState:
        state = self._states.get(source)
        if state is None:
            state = self._states[source] = FeedState(source)
        return state

    # -- numbers that come -------------------------------------------------------------------------------------

    def note_sent(self, trades: Sequence[Trade], stored: "asyncio.Future[Receipt] | None" = None) -> None:
        """Note that these have arrived. If `stored` fails, they may not be in the store, and count as missing. O(trades)."""
        numbers: dict[str, list[int]] = {}
        for trade in trades:
            if trade.source_seq > 0:
                numbers.setdefault(trade.source, []).append(trade.source_seq)
        if not numbers:
            return
        runs = {source: runs_of(found) for source, found in numbers.items()}
        if stored is None:
            self._take(runs)
            return
        for source, found in runs.items():
            self._under_way.setdefault(source, []).append(found)
        stored.add_done_callback(partial(self._note_stored, trades, runs))

    def _note_stored(self, trades: Sequence[Trade], runs: Mapping[str, Sequence[Range]], done: "asyncio.Future[Receipt]") -> None:
        for source, found in runs.items():
            waiting = self._under_way[source]
            waiting.remove(found)
            if not waiting:
                del self._under_way[source]
        if done.cancelled() or done.exception() is not None:
            return
        refused: dict[str, list[int]] = {}
        for trade, outcome in zip(trades, done.result().outcomes, strict=False):
            number, source = trade.source_seq, trade.source
            if number > 0 and outcome.status == "rejected":
                refused.setdefault(source, []).append(number)
            elif number > 0 and (heard := self._listen(source)) is not None:
                if outcome.status not in _NEW:
                    heard.repeats = True
                elif not heard.reuses and source in self._states and self._states[source].came.has(number, number):
                    heard.reuses = True
        for source, lost in refused.items():
            self._change(source, partial(_take, runs=runs_of(lost)))
        self._take(runs)

    def note_refused(self, numbers: Iterable[tuple[str, int]]) -> "Awaitable[None] | None":
        """Note that these numbers have come with trades that were refused. Await the result to have them stored too.

        None: nothing is new. A source that nobody knows is noted while there is room.
        """
        found: dict[str, list[int]] = {}
        for source, number in numbers:
            if number > 0 and (source in self._states or len(self._states) < MAX_FEEDS):
                found.setdefault(source, []).append(number)
        new = False
        for source, sent in found.items():
            runs, state = runs_of(sent), self._state(source)
            if state.anew is not None or not all(state.came.has(*run) for run in runs):
                self._change(source, partial(_take, runs=runs))
                new = True
            if (heard := self._listen(source)) is not None:
                heard.since.take(runs)
        return asyncio.shield(self._storing) if new and self._storing is not None else None

    def _take(self, numbers: Mapping[str, Sequence[Range]]) -> None:
        """Numbers that are in the store."""
        for source, runs in numbers.items():
            state = self._state(source)
            had_gap = bool(state.promised is not None and state.missing())
            state.take(runs)
            if self._looking_up is not None:
                self._meanwhile.append((source, runs))
            if (heard := self._listen(source)) is not None:
                heard.since.take(runs)
            if had_gap and not state.missing():
                log.info("feed_gap_filled", source=source, received=state.came.highest)

    # -- heartbeats --------------------------------------------------------------------------------------------

    def heartbeat(self, source: str, last_seq: int | None, now: int) -> str | None:
        """Note that a source is alive and which number it sent last. Returns why not, None where it was taken.

        What it has sent and what has not come alarms. A `last_seq` below what it said before means that it numbers anew, unless
        trades come again: then it delivers them once more. 0 says that it has sent nothing yet. O(1) without a gap.
        """
        heard = self._beating.get(source)
        if heard is None:
            if len(self._beating) >= MAX_FEEDS:
                self.refused += 1
                return f"{MAX_FEEDS} sources send heartbeats already: retire one that is no more (POST /v1/feeds/NAME)"
            heard, known = self._begin_beating(source), self._states.get(source)
            if known is not None and known.retired:
                log.info("feed_is_back", source=source)
                self._change(source, _come_back)
        heard.heard_at = now
        if last_seq is None:
            return None
        heard.last_seq = last_seq
        if last_seq:
            self._compare(source, heard, last_seq)
        elif self._state(source).promised is None:
            self._change(source, partial(_promise, last_seq=0))
        return None

    def _compare(self, source: str, heard: Heard, last_seq: int) -> None:
        state = self._state(source)
        if state.anew is not None:
            if state.anew_seq != last_seq:
                self._change(source, partial(_suspect, last_seq=last_seq, since=heard.since.copy()))
        elif last_seq >= heard.claim:
            heard.claim = last_seq
            heard.begin_order()
            promise = partial(_promise, last_seq=last_seq)
            if state.promised is None or last_seq > self._received_seq(source):
                if state.promised is None or last_seq > state.promised:
                    self._change(source, promise)
            else:
                promise(state)
            gap = self._missing(source)
            if gap:
                self._tell_gap(source, last_seq, gap)
        elif not self._is_redelivery(source, heard, last_seq):
            if state.promised is None:
                self._change(source, partial(_promise, last_seq=0))
            log.warning("feed_numbers_anew", source=source, sent=last_seq, before=heard.claim)
            self._change(source, partial(_suspect, last_seq=last_seq, since=heard.since.copy()))

    def _is_redelivery(self, source: str, heard: Heard, last_seq: int) -> bool:
        """Whether the source sends again what has come: its last trades were repeats, or that is not known yet."""
        under_way = any(first <= last_seq <= last for runs in self._under_way.get(source, ()) for first, last in runs)
        return under_way or (heard.repeats and not heard.reuses)

    def _tell_gap(self, source: str, last_seq: int, gap: Sequence[Range]) -> None:
        log.warning("feed_gap", source=source, sent=last_seq, received=self._received_seq(source), missing=_named(gap))
        self.look_up()

    # -- what is missing ---------------------------------------------------------------------------------------

    def _missing(self, source: str) -> list[Range]:
        """The numbers that alarm: sent, not come, not on their way. O(holes)."""
        state = self._states.get(source)
        missing = [] if state is None else state.missing()
        if missing:
            for runs in self._under_way.get(source, ()):
                for first, last in runs:
                    remove_range(missing, first, last)
        return missing

    def _received_seq(self, source: str) -> int:
        state = self._states.get(source)
        waiting = max((runs[-1][1] for runs in self._under_way.get(source, ())), default=0)
        return max(0 if state is None else state.came.highest, waiting)

    def retry(self) -> None:
        """Store what the store did not take, and look up what is missing. Called now and then."""
        self._store_changes()
        self.look_up()

    def look_up(self) -> None:
        """Ask the store for what is missing, if something is: a file or another program may have filled it."""
        if self._read is None or self._looking_up is not None:
            return
        gapped = [source for source in self._beating if self._missing(source)]
        if gapped:
            self._looking_up = asyncio.get_running_loop().create_task(self._look_up(self._read, gapped))

    async def _look_up(self, read: Callable[[Sequence[str] | None], Mapping[str, FeedState]], sources: Sequence[str]) -> None:
        try:
            await self._stored()
            if self._changes:
                return  # the store is away and does not know yet what this engine does
            generation = self._generation
            found = await asyncio.to_thread(read, sources)
            if generation != self._generation:
                return  # a person or the source has changed it meanwhile: the next look-up sees that
            for source, state in found.items():
                state.promised = max(state.promised or 0, self._state(source).promised or 0)
                for other, runs in self._meanwhile:
                    if other == source:
                        state.take(runs)
                self._states[source] = state
                if not state.missing():
                    log.info("feed_gap_filled", source=source, received=state.came.highest)
        except RiskEngineError:
            return  # the store is away, which the store thread reports; the gap stays
        finally:
            self._looking_up = None
            self._meanwhile.clear()

    # -- people ------------------------------------------------------------------------------------------------

    def knows(self, source: str) -> bool:
        """Whether anything is known of a source."""
        return source in self._states or source in self._beating

    async def decide(self, source: str, action: FeedAction, actor: str, now: int) -> dict[str, Any]:
        """Store and carry out a person's word on a source: acknowledge, restart or retire. Returns its row.

        Raises EngineNotLive, StoreError, and then nothing has changed.
        """
        assert self._on_store is not None, "the engine is live"
        self._store_changes()
        await self._stored()
        said = {"action": action, "missing": ranges_text(self._missing(source)), "last_seq": self._last_seq(source)}
        event = AuditEvent("feed", source, said, actor)
        promised, anew = self._state(source).promised, self._state(source).anew
        since = [] if anew is None else anew.runs()

        def decided(state: FeedState) -> None:
            if promised is not None:  # that a source has sent no more than has come is not stored
                state.promised = max(promised, state.promised or 0)
            if state.anew is not None:
                state.anew.take(since)  # what was stored while the suspicion was on its way
            getattr(state, action)()

        states = await self._on_store(lambda store: store.update_feeds({source: [decided]}, [event]))
        self._generation += 1
        self._states[source] = state = states[source]
        heard = self._beating.get(source)
        if action == "retire":
            self._beating.pop(source, None)
            self._heard.pop(source, None)
        elif heard is not None:
            heard.claim = state.promised or 0 if action == "restart" else max(heard.claim, state.promised or 0)
            heard.begin_order()
        return self._row(source, heard or Heard(), now)

    def _last_seq(self, source: str) -> int | None:
        heard = self._beating.get(source)
        return None if heard is None else heard.last_seq

    # -- what is shown -----------------------------------------------------------------------------------------

    def rows(self, now: int) -> list[dict[str, Any]]:
        """One row for each source that beats or promised to, by name; retired ones are left out."""
        return [self._row(source, heard, now) for source, heard in sorted(self._beating.items())]

    def _row(self, source: str, heard: Heard, now: int) -> dict[str, Any]:
        state, missing = self._states.get(source) or FeedState(source), self._missing(source)
        last = heard.heard_at or self._started_at
        last_seq = heard.last_seq if heard.last_seq is not None else state.promised
        return {
            "source": source,
            "age_ms": (now - heard.heard_at) // 1_000 if heard.heard_at else None,
            "last_seq": None if last_seq is None else json_integer(last_seq),
            "received_seq": json_integer(self._received_seq(source)) or None,
            "gap": bool(missing),
            "missing": [[json_integer(end) for end in hole] for hole in missing[:LISTED_HOLES]],
            "missing_count": count_of(missing),
            "acknowledged_count": count_of(state.acknowledged),
            "anew": state.anew is not None,
            "alive": now - last <= SILENT_AFTER_US,
            "retired": state.retired,
        }

    def warnings(self, now: int) -> dict[str, str]:
        """The sentences that every screen shows, by kind: `feed_gap`, `feed_anew`, `feed_silent`. O(sources)."""
        gaps, anew, silent = [], [], []
        for source, heard in sorted(self._beating.items()):
            missing, state = self._missing(source), self._states.get(source)
            if missing:
                joined = " (too many holes to follow one by one)" if state is not None and state.came.joined else ""
                gaps.append(f"{source} {_named(missing)}{joined}")
            if state is not None and state.anew is not None:
                anew.append(f"{source} (says {state.anew_seq} after {heard.claim})")
            if now - (heard.heard_at or self._started_at) > SILENT_AFTER_US:
                silent.append(source)
        found = {}
        if gaps:
            found["feed_gap"] = (
                f"trades are missing that a source says it has sent: {name_few(gaps)}."
                " Have the source send them again, or acknowledge the gap (POST /v1/feeds/NAME)"
            )
        if anew:
            found["feed_anew"] = (
                f"a source numbers anew: {name_few(anew)}. Lost trades of it stay unnoticed until somebody says restart"
                " (POST /v1/feeds/NAME)"
            )
        if silent:
            found["feed_silent"] = (
                f"{len(silent)} of {len(self._beating)} sources have fallen silent: {name_few(silent)}. Their trades and prices"
                " may be missing; retire a source that is no more (POST /v1/feeds/NAME)"
            )
        return found


def _take(state: FeedState, runs: Sequence[Range]) -> None:
    state.take(runs)


def _promise(state: FeedState, last_seq: int) -> None:
    state.promise(last_seq)


def _suspect(state: FeedState, last_seq: int, since: NumberSet) -> None:
    state.suspect(last_seq, since)


def _come_back(state: FeedState) -> None:
    state.retired = False


def _named(ranges: Sequence[Range]) -> str:
    """The first missing numbers, and how many there are."""
    count = count_of(ranges)
    more = f", ... ({count} in all)" if len(ranges) > NAMED_SOURCES else ""
    return ranges_text(ranges[:NAMED_SOURCES]) + more


def name_few(names: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - NAMED_SOURCES} more" if len(names) > NAMED_SOURCES else ""
    return "; ".join(names[:NAMED_SOURCES]) + more
