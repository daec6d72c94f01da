"""What needs a person once the engine is live: for the summary of the start."""

from collections.abc import Mapping
from typing import Any

from riskengine.errors import StoreError
from riskengine.market.trading_day import TradingDay
from riskengine.serve.routes.exceptions import KINDS, exception_items
from riskengine.snapshot.rows import node_row
from riskengine.snapshot.snapshot import Snapshot, verdict_on
from riskengine.store.protocol import Store


def needing_a_person(snapshot: Snapshot, trading_day: TradingDay, store: Store) -> Mapping[str, Any]:
    """Counts of what waits for somebody. O(positions + exceptions); any thread.

    exceptions     how many of each kind nobody has decided about, without kinds that have none
    breaks         open breaks of reconciliation; None where the store is away
    unpriced       positions of which something is unknown
    without_close  positions brought forward without a close; None where no close has been struck
    """
    root = node_row(snapshot, 0) if len(snapshot.reference.hierarchy) else None
    return {
        "exceptions": _undecided(snapshot, trading_day),
        "breaks": _open_breaks(store),
        "unpriced": 0 if root is None else root["unpriced_count"],
        "without_close": None if root is None or root["day_start_ts"] is None else root["day_unknown_count"],
    }


def _undecided(snapshot: Snapshot, trading_day: TradingDay) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in exception_items(snapshot, KINDS, trading_day):
        said = verdict_on(item, snapshot.verdicts)
        if said is None or not said.verdict:
            counts[item.kind] = counts.get(item.kind, 0) + 1
    return counts


def _open_breaks(store: Store) -> int | None:
    try:
        return len(store.breaks(status="open"))
    except StoreError:
        return None
