"""Compares engine and store until a difference is known to be a break and not a trade in flight.

One comparison takes a snapshot and the store at its watermark. What another program commits meanwhile under lower numbers
(PostgreSQL lets transactions overtake each other) is in the store before it is in the engine. So before the second comparison the
engine gets everything that was visible at the first: what still differs in the same way, to the fingerprints of the trades behind
it, is a break. If a key differs both times but not in the same way, trades are in flight there again, perhaps beside a break:
then the trades themselves are compared, twice, and the key is a break if both times one of them stands on one side only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from typing import NamedTuple, Protocol

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.errors import Frozen, ReferenceDataError
from riskengine.intake.store_thread import StoreThread
from riskengine.loop import pending_answer
from riskengine.observe import Metrics
from riskengine.positions.freezing import frozen_place
from riskengine.positions.places import trades_under
from riskengine.reconciliation.comparison import Comparison
from riskengine.reconciliation.stored_keys import stored_keys
from riskengine.records.types import Key, Trade, economics
from riskengine.snapshot.compare import HIERARCHY, Break
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store

MAX_UNSETTLED = 1_000
"""Most keys whose trades are compared because they kept changing; of more, the first ones."""


class Compared(NamedTuple):
    """What one comparison found: breaks by key, and how many keys it compared.

    `revision` is of the reference data by which the store's rows were read.
    """

    breaks: Mapping[Key, Break]
    compared: int
    snapshot: Snapshot
    revision: int


class Compare(Protocol):
    """Compares a snapshot with the store at its watermark. Raises RiskEngineError if it cannot."""

    def __call__(self, newest: Callable[[], Snapshot]) -> Awaitable[Compared]: ...


async def nothing_to_follow() -> None:
    """Of an engine beside whose store nobody writes."""


class ReconcilerParts(NamedTuple):
    """What a reconciler works on.

    standing  the engine's trades that stand under keys
    revision  of the reference data that the engine was made from
    renew     rebuilds everything, but not while `alone` is held
    follow_cash  has the engine take what others wrote into cash and carry
    """

    store: Store
    config: Config
    clock: Clock
    metrics: Metrics
    inbox: Inbox
    store_thread: StoreThread
    warnings: MutableMapping[str, str]
    newest: Callable[[], Snapshot]
    standing: Callable[[Collection[Key]], Awaitable[Mapping[Key, list[Trade]]]]
    revision: Callable[[], int | None]
    renew: Callable[[str], Awaitable[None]]
    alone: asyncio.Lock
    compare: Compare
    follow_cash: Callable[[], Awaitable[None]] = nothing_to_follow


async def confirmed_breaks(parts: ReconcilerParts) -> Compared:
    """The breaks, as the last comparison found them. Event loop. Raises StoreError, EngineNotLive, and what `compare` raises."""
    first = await parts.compare(parts.newest)
    if not first.breaks:
        return first
    if first.revision != parts.revision():
        with suppress(
            ReferenceDataError
        ):  # the engine cannot follow, which has its own warning; trades are compared all the same
            await parts.renew("reference data changed")  # the engine was about to follow
    await catch_up(parts)
    again = await parts.compare(parts.newest)
    in_both = {key: each for key, each in again.breaks.items() if key in first.breaks}
    unsettled = [
        key for key, each in in_both.items() if each.difference != first.breaks[key].difference and each.kind != HIERARCHY
    ]
    broken = await _keys_with_differing_trades(parts, unsettled[:MAX_UNSETTLED]) if unsettled else frozenset()
    left_out = set(unsettled) - broken
    return again._replace(breaks={key: each for key, each in in_both.items() if key not in left_out})


async def catch_up(parts: ReconcilerParts) -> None:
    """Wait until a snapshot shows everything committed before this call. Raises StoreError, EngineNotLive."""
    published, answer_published = pending_answer()

    def hand_over(store: Store) -> bool:
        """On the store thread."""
        if not parts.store_thread.hand_over_all():
            return False
        parts.inbox.put_call(lambda engine: lambda: answer_published(None, None))
        return True

    while True:
        done, answer = pending_answer()
        parts.store_thread.write(hand_over, answer)
        if await done:
            break
    await published
    await parts.follow_cash()


async def _keys_with_differing_trades(parts: ReconcilerParts, keys: Collection[Key]) -> frozenset[Key]:
    """Keys under which the same trade stands on one side only, or has other columns there, both times."""
    first = await differing_trades(parts, keys)
    await catch_up(parts)
    again = await differing_trades(parts, keys)
    return frozenset(key for key in keys if any(one in first[key] for one in again[key]))


async def differing_trades(parts: ReconcilerParts, keys: Collection[Key]) -> dict[Key, list[RowDict]]:
    """Trades under each key that only one side has, or has with other columns."""
    here = await parts.standing(keys)
    newest = parts.newest()
    days = (newest.current_day, newest.actions_day)
    there = await asyncio.to_thread(stored_keys, parts.store, parts.config, keys, (), *days)
    return {key: _one_sided_trades(here.get(key, []), there.standing[key]) for key in keys}


def _one_sided_trades(here: list[Trade], there: list[Trade]) -> list[RowDict]:
    """Trades that stand on one side only, or with other columns on the other side."""
    sides = [{(*trade.identity, trade.version): economics(trade) for trade in side} for side in (here, there)]
    found = []
    for side, (own, other) in (("here", sides), ("there", sides[::-1])):
        for (source, trade_id, leg, version), columns in sorted(own.items()):
            if other.get((source, trade_id, leg, version)) != columns:
                found.append({"side": side, "source": source, "trade_id": trade_id, "leg": leg, "version": version})
    return found


def compare_beside(config: Config) -> Compare:
    """Compares in a child process and waits on a thread beside the loop. Cancelling ends the child."""

    async def compare(newest: Callable[[], Snapshot]) -> Compared:
        snapshot = newest()
        with Comparison(config) as comparison:
            await asyncio.to_thread(comparison.start, snapshot.watermark, snapshot.current_day, snapshot.actions_day)
            found = await asyncio.to_thread(comparison.finish, snapshot)
        return Compared({each.key: each for each in found.breaks}, found.compared, snapshot, found.revision)

    return compare


def trades_standing(engine: Engine, keys: Collection[Key]) -> dict[Key, list[Trade]]:
    """The trades that stand in the engine's positions of some keys. Writer thread. Raises Frozen."""
    frozen = [key for key in keys if frozen_place(engine.ledger, key) is not None]
    if frozen:
        raise Frozen(frozen)
    return {key: list(trades_under(engine.ledger, [key])) for key in keys}
