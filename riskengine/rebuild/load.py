"""From the store to an engine that is equal to it: the phases from reference to compare.

The replay goes through `start_of_day.rebuild`, which is `Engine.apply` in the order of the store, the code that runs all day, on
a thread of the pool. Beside it a child process adds up the same store on its own (a small one is added up here, afterwards), and
what the engine came to is compared with that. A difference counts when it is there twice: others may write while the start reads,
and what becomes visible late is seen by one side first. Before the second look the engine is brought up to date, or, where the
reference data has changed, rebuilt.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from riskengine.config import Config, without_password
from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.errors import ComparisonFailed, StoreError
from riskengine.intake.follow import quarantine_rows
from riskengine.intake.recall import Recall
from riskengine.rebuild.phases import Morning
from riskengine.rebuild.rebuild import NO_LISTENER, Listener, rebuild, settle_memory
from riskengine.reconciliation.comparison import Comparison, Found
from riskengine.reconciliation.store_sums import store_side
from riskengine.records.reference import trade_check
from riskengine.snapshot.compare import HIERARCHY, NODE, Break, compare, hierarchy_breaks, side_of
from riskengine.snapshot.mismatch import Mismatch, disagreements, mismatches_of
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.audit_trail import command_line_actor
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

LOOK_AGAIN_S = 0.5
"""How long what one side cannot see yet may take to be seen by it."""

CATCH_UP_ROWS = 5_000

SMALL = 50_000
"""Stored rows up to which the comparison is made in this process: starting another one takes longer."""


class Loaded(NamedTuple):
    """An engine that is ready to go live, and what speaks against going live.

    `bookmark` and `revision` (of the reference data) are the store's from before it was read.
    """

    engine: Engine
    bookmark: Bookmark
    revision: int
    mismatches: tuple[Mismatch, ...] = ()


async def load(store: Store, config: Config, morning: Morning, *, epoch: int, now: int) -> Loaded:
    """Rebuild the engine and hold it against the store. Raises StoreError, ReferenceDataError, EngineNotLive."""
    comparison = Comparison(config)
    morning.when_abandoned(comparison.close)
    try:
        stored = await asyncio.to_thread(store.counts)
        is_small = stored.trades <= SMALL
        broken = None if is_small else await asyncio.to_thread(_begin, comparison, store)
        morning.note(store=without_password(config.store.url), epoch=epoch, trades_total=stored.trades)
        loaded = await asyncio.to_thread(_load, store, config, epoch, now, morning)
        morning.enter("integrity")
        settle_memory()
        found = await asyncio.to_thread(disagreements, loaded.engine.snapshot)
        morning.enter("compare")
        try:
            if broken is not None:
                raise broken
            snapshot = loaded.engine.snapshot
            first = await asyncio.to_thread(
                partial(compare_here, store, config, snapshot) if is_small else partial(comparison.finish, snapshot, 0.0)
            )
            breaks = first.breaks
            if breaks:
                await asyncio.sleep(LOOK_AGAIN_S)
                loaded = await asyncio.to_thread(_brought_up_to_date, store, config, epoch, now, loaded, first)
                again = await asyncio.to_thread(compare_here, store, config, loaded.engine.snapshot)
                breaks = in_both(breaks, again.breaks)
            morning.note(compared=first.compared)
            found += mismatches_of(breaks)
        except (StoreError, ComparisonFailed) as error:
            found.append(Mismatch("not_compared", f"the engine could not be compared with the store: {error}"))
    finally:
        await asyncio.to_thread(comparison.close)
    return loaded._replace(mismatches=tuple(found))


def _begin(comparison: Comparison, store: Store) -> ComparisonFailed | None:
    """Have the store read beside us; what keeps it from that is said when the time to compare has come."""
    try:
        comparison.start(store.watermark())
    except ComparisonFailed as error:
        return error
    return None


def _load(store: Store, config: Config, epoch: int, now: int, listener: Listener) -> Loaded:
    # Both before anything else is read: what comes meanwhile is looked at again.
    revision, bookmark = store.reference_revision(), store.bookmark()
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
    )
    return Loaded(engine, bookmark, revision)


def _brought_up_to_date(store: Store, config: Config, epoch: int, now: int, loaded: Loaded, first: Found) -> Loaded:
    """The engine brought to what the store says by now."""
    if first.revision == loaded.revision:
        return loaded._replace(bookmark=_catch_up(store, loaded.engine, loaded.bookmark, now))
    return _load(store, config, epoch, now, NO_LISTENER)


def _catch_up(store: Store, engine: Engine, bookmark: Bookmark, now: int) -> Bookmark:
    """Apply what became visible after `bookmark`, as the store thread does all day; the bookmark behind it."""
    check = trade_check(engine.reference)
    rows: list[TradeRow] | None = None
    while rows is None or len(rows) == CATCH_UP_ROWS:
        rows, bookmark = store.trades_beyond(bookmark, CATCH_UP_ROWS)
        read = [trade_from_row(row, check) for row in rows]
        quarantine_rows(engine, [each for each in read if isinstance(each, RefusedRow)])
        trades = [each for each in read if not isinstance(each, RefusedRow)]
        recalled = Recall(store, check, engine).before(trades, {row.store_seq for row in rows}.__contains__)
        if recalled is not None:
            engine.thaw(recalled)
        engine.apply(trades, now, max((row.store_seq for row in rows), default=0))
    engine.publish(now)
    return bookmark


def compare_here(store: Store, config: Config, snapshot: Snapshot) -> Found:
    """A snapshot compared with the store's own sums in this process, not in a child. Raises StoreError. 5 us a row."""
    there = store_side(store, config, snapshot.watermark)
    here, sums = side_of(snapshot), there.side()
    parents = {node.node: node.parent for node in snapshot.reference.hierarchy.nodes}
    moved = sorted(name for name in parents.keys() | there.parents.keys() if parents.get(name) != there.parents.get(name))
    breaks = [
        *compare(here, sums),
        *hierarchy_breaks(snapshot),
        *(Break(HIERARCHY, (NODE, name, ""), None, None) for name in moved),
    ]
    return Found(breaks, len(here.keys() | sums.keys()), there.watermark, there.revision)


def in_both(first: Iterable[Break], again: Iterable[Break]) -> list[Break]:
    """Breaks that were there both times, and by as much. O(breaks)."""
    known = {each.key: each.difference for each in first}
    return [each for each in again if known.get(each.key) == each.difference]


def acceptance(mismatches: Iterable[Mismatch]) -> AuditEvent:
    """For the audit trail: who started the engine said to go live with these."""
    detail = {"mismatches": [mismatch._asdict() for mismatch in mismatches]}
    return AuditEvent("mismatch_accepted", "", detail, command_line_actor())
