"""From the store to an engine that is equal to it: the phases from reference to compare.

The replay goes through `rebuild`, which is `Engine.apply` in the order of the store, the code that runs all day, on a thread of
the pool. Beside it a child process adds up the same store on its own (a small store is added up here, afterwards), and the engine
is compared with those sums. A difference counts if it is found twice: other programs may write during the start, and one side
sees a late row first. Before the second comparison the engine is brought up to date or, if the reference data has changed,
rebuilt.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from riskengine.config import Config, without_password
from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.errors import ComparisonFailed, StoreError
from riskengine.intake.follow import StoreFollower
from riskengine.intake.recall import Recall
from riskengine.market.settled_spot_dates import settle
from riskengine.market.spot_dates import SpotDates, described
from riskengine.market.trading_day import current_day
from riskengine.observe import get_logger
from riskengine.rebuild.phases import Morning
from riskengine.rebuild.rebuild import NO_LISTENER, Listener, rebuild, settle_memory
from riskengine.reconciliation.comparison import Comparison, Found
from riskengine.reconciliation.store_sums import store_side
from riskengine.snapshot.compare import HIERARCHY, NODE, Break, compare, hierarchy_breaks, side_of
from riskengine.snapshot.mismatch import Mismatch, disagreements, mismatches_of
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.audit_trail import command_line_actor
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark, Changes
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades

log = get_logger("riskengine.start")

LOOK_AGAIN_S = 0.5
"""How long a row that one side cannot see yet may take to become visible there."""

SMALL = 50_000
"""Largest number of stored rows that is compared in this process: starting another one would take longer."""


class Loaded(NamedTuple):
    """An engine that is ready to go live, and mismatches that speak against it.

    `bookmark`, `revision` (of the reference data) and `seen` (what others changed) are the store's from before it was read.
    """

    engine: Engine
    bookmark: Bookmark
    revision: int
    mismatches: tuple[Mismatch, ...] = ()
    seen: Changes | None = None


async def load(store: Store, config: Config, morning: Morning, *, epoch: int, now: int) -> Loaded:
    """Rebuild the engine and compare it with the store. Raises StoreError, ReferenceDataError, EngineNotLive."""
    comparison = Comparison(config)
    morning.on_abandon(comparison.close)
    try:
        stored = await asyncio.to_thread(store.counts)
        is_small = stored.trades <= SMALL
        spot_dates = await asyncio.to_thread(_spot_dates, store, config)
        day = current_day(spot_dates.calendars.trading_day(config.engine), config.engine.tolerance_s, now)
        not_begun = None if is_small else await asyncio.to_thread(_begin, comparison, store, day)
        morning.note(store=without_password(config.store.url), epoch=epoch, trades_total=stored.trades)
        _settle(store, spot_dates, now)
        loaded = await asyncio.to_thread(_load, store, config, epoch, now, morning, spot_dates)
        morning.enter("integrity")
        settle_memory()
        found = await asyncio.to_thread(disagreements, loaded.engine.snapshot)
        morning.enter("compare")
        try:
            if not_begun is not None:
                raise not_begun
            snapshot = loaded.engine.snapshot
            first = await asyncio.to_thread(
                partial(compare_here, store, config, snapshot) if is_small else partial(comparison.finish, snapshot, 0.0)
            )
            breaks = first.breaks
            if breaks:
                await asyncio.sleep(LOOK_AGAIN_S)
                loaded = await asyncio.to_thread(_bring_up_to_date, store, config, epoch, now, loaded, first)
                again = await asyncio.to_thread(compare_here, store, config, loaded.engine.snapshot)
                breaks = in_both(breaks, again.breaks)
            morning.note(compared=first.compared)
            found += mismatches_of(breaks)
        except (StoreError, ComparisonFailed) as error:
            found.append(Mismatch("not_compared", f"the engine could not be compared with the store: {error}"))
    finally:
        await asyncio.to_thread(comparison.close)
    spot_dates.adopt(store.save_spot_facts(spot_dates.unsaved()))  # what this start was the first to judge
    return loaded._replace(mismatches=tuple(found))


def _begin(comparison: Comparison, store: Store, day: str) -> ComparisonFailed | None:
    """Have a child process read the store. Returns its error, which counts only when the time to compare has come."""
    try:
        comparison.start(store.watermark(), day)
    except ComparisonFailed as error:
        return error
    return None


def _spot_dates(store: Store, config: Config) -> SpotDates:
    return SpotDates.of(store.calendar_state(), config.engine)


def _settle(store: Store, spot_dates: SpotDates, now: int) -> None:
    """Have calendars that say otherwise than before judge from now on, before anything is judged. On the thread that writes."""
    changed = settle(store, spot_dates, store.calendar_state().compared_with, now)
    if changed:
        log.warning("spot_dates_changed", spot_dates=len(changed), first=described(changed))


def _load(store: Store, config: Config, epoch: int, now: int, listener: Listener, spot_dates: SpotDates) -> Loaded:
    # All before anything else is read: what arrives meanwhile is read again.
    revision, bookmark, (_, seen) = store.reference_revision(), store.bookmark(), store.changes_beyond(None)
    conflicts = read_conflicts(store, MAX_NOTICES)
    engine = rebuild(
        store,
        read_trades(store),
        config,
        epoch=epoch,
        now=now,
        read_conflicts=conflicts,
        listener=listener,
        past=partial(Recall, store),
        spot_dates=spot_dates,
    )
    return Loaded(engine, bookmark, revision, seen=seen)


def _bring_up_to_date(store: Store, config: Config, epoch: int, now: int, loaded: Loaded, first: Found) -> Loaded:
    """The engine with everything that the store holds now."""
    if first.revision != loaded.revision:
        return _load(store, config, epoch, now, NO_LISTENER, loaded.engine.quarantine.spot_dates)
    follower = StoreFollower(store, loaded.engine, loaded.bookmark, loaded.revision)
    follower.catch_up(lambda: now)
    if loaded.engine.take_cash(store.cash_beyond(None).rows, now, is_all=True).changed:
        loaded.engine.publish(now)
    return loaded._replace(bookmark=follower.bookmark)


def compare_here(store: Store, config: Config, snapshot: Snapshot) -> Found:
    """Compare a snapshot with the store's own sums in this process, not in a child. Raises StoreError. 5 us a row."""
    there = store_side(store, config, snapshot.watermark, snapshot.current_day, snapshot.actions_day)
    here, sums = side_of(snapshot), there.side()
    parents = {node.node: node.parent for node in snapshot.reference.hierarchy.nodes}
    misplaced = sorted(name for name in parents.keys() | there.parents.keys() if parents.get(name) != there.parents.get(name))
    breaks = [
        *compare(here, sums),
        *hierarchy_breaks(snapshot),
        *(Break(HIERARCHY, (NODE, name, ""), None, None) for name in misplaced),
    ]
    return Found(breaks, len(here.keys() | sums.keys()), there.watermark, there.revision)


def in_both(first: Iterable[Break], again: Iterable[Break]) -> list[Break]:
    """Breaks that were found both times, with the same difference. O(breaks)."""
    known = {each.key: each.difference for each in first}
    return [each for each in again if known.get(each.key) == each.difference]


def acceptance(mismatches: Iterable[Mismatch], reason: str) -> AuditEvent:
    """For the audit trail: the person who started the engine accepted these mismatches, and why."""
    detail = {"mismatches": [mismatch._asdict() for mismatch in mismatches], "because": reason}
    return AuditEvent("mismatch_accepted", "", detail, command_line_actor())
