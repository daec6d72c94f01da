"""What `/v1/status` says of a process beyond its snapshot, and the gauges of `/metrics` that nothing sets in between."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from riskengine.config import Config, without_password
from riskengine.observe import Metrics
from riskengine.process.live import LiveEngine
from riskengine.snapshot.snapshot import Snapshot, verdict_on
from riskengine.valuation.number_pages import STALE, UNPRICED


class Health(NamedTuple):
    """The state of one process at a moment. `live` is None before the engine is live, `tick_age_us` before the first tick."""

    config: Config
    store_id: str | None
    trades_loaded: int
    tick_age_us: int | None
    feeds: Sequence[Mapping[str, Any]]
    clocks_ahead: Mapping[str, int]
    start: Mapping[str, Any] | None
    live: LiveEngine | None

    @property
    def trades_waiting(self) -> int:
        """Trades that have room reserved and are not applied yet."""
        return 0 if self.live is None else self.live.inbox.reserved

    def fields(self) -> dict[str, Any]:
        """The fields of the answer."""
        live = self.live
        return {
            "pid": os.getpid(),
            "store": without_password(self.config.store.url),
            "store_id": self.store_id,
            "store_error": None if live is None else live.store_thread.trouble,
            "trades_loaded": self.trades_loaded,
            "trades_waiting": self.trades_waiting,
            "writer_lag_ms": None if live is None else _milliseconds(live.writer.lag_s),
            "publish_age_ms": None if live is None else int(live.writer.publish_age_s * 1_000),
            "last_beat_ms": None if live is None else _milliseconds(live.writer.beat_seconds),
            "last_tick_age_ms": None if self.tick_age_us is None else self.tick_age_us // 1_000,
            "ticks": None if live is None else _tick_counts(live),
            "feeds": self.feeds,
            "last_reconciliation": None if live is None else _without_breaks(live.reconciler.last),
            "journal": None if live is None else live.journal.span(),
            "start": self.start,
        }

    def measure(self, metrics: Metrics) -> None:
        """Set the gauges."""
        metrics.inbox_depth.set(self.trades_waiting)
        metrics.inbox_limit.set(self.config.inbox.max_trades)
        if self.live is not None:
            metrics.writer_lag.set(self.live.writer.lag_s)
            metrics.suspects.set(len(self.live.quotes.suspects))
            metrics.publish_age.set(self.live.writer.publish_age_s)
        if self.tick_age_us is not None:
            metrics.tick_age.set(self.tick_age_us / 1e6)
        metrics.set_feeds(self.feeds, self.clocks_ahead)
        if self.live is not None:
            _measure_snapshot(self.live.newest(), metrics)


def _measure_snapshot(snapshot: Snapshot, metrics: Metrics) -> None:
    """Set the gauges of what needs a person. O(1), with verdicts O(exceptions)."""
    counts = {kind: len(items) for kind, items in snapshot.exceptions.items()}
    if snapshot.verdicts:
        counts = {
            kind: sum((said := verdict_on(item, snapshot.verdicts)) is None or not said.verdict for item in items)
            for kind, items in snapshot.exceptions.items()
        }
    metrics.set_exceptions(counts)
    if len(snapshot.reference.hierarchy):
        measures = snapshot.nodes.measures(0)
        metrics.unpriced.set(measures[UNPRICED] + snapshot.nodes.state(0).quarantined_count)
        metrics.stale.set(measures[STALE])


def _tick_counts(live: LiveEngine) -> dict[str, int]:
    quotes = live.quotes
    return {
        "accepted": quotes.accepted,
        "refused": quotes.refused,
        "in_force": quotes.in_force,
        "crossed": quotes.crossed,
        "old": quotes.old,
        "coalesced": quotes.coalesced,
        "held_back": quotes.held_back,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 3)


def _without_breaks(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A reconciliation with the number of its breaks, which are at `/v1/breaks`."""
    if report is None:
        return None
    return {key: value for key, value in report.items() if key != "breaks"} | {"found": len(report["breaks"])}
