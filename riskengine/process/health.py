"""What `/v1/status` says of a process beyond its snapshot."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from riskengine.config import Config, without_password
from riskengine.engine.writer import Writer
from riskengine.market.tick_limits import LimitedQuoteBook
from riskengine.observe import Metrics


class Health(NamedTuple):
    """The state of the parts of one engine at a moment. None: that part is not there yet."""

    config: Config
    store_id: str | None
    store_error: str | None
    trades_loaded: int
    trades_waiting: int
    writer: Writer | None
    tick_age_us: int | None
    quotes: LimitedQuoteBook | None
    feeds: Sequence[Mapping[str, Any]]
    last_reconciliation: Mapping[str, Any] | None
    start: Mapping[str, Any] | None

    def told(self) -> dict[str, Any]:
        """As the answer has it."""
        quotes, writer = self.quotes, self.writer
        return {
            "pid": os.getpid(),
            "store": without_password(self.config.store.url),
            "store_id": self.store_id,
            "store_error": self.store_error,
            "trades_loaded": self.trades_loaded,
            "trades_waiting": self.trades_waiting,
            "writer_lag_ms": None if writer is None else _milliseconds(writer.lag_s),
            "publish_age_ms": None if writer is None else int(writer.publish_age_s * 1_000),
            "last_beat_ms": None if writer is None else _milliseconds(writer.beat_seconds),
            "last_tick_age_ms": None if self.tick_age_us is None else self.tick_age_us // 1_000,
            "ticks": None
            if quotes is None
            else {
                "accepted": quotes.accepted,
                "refused": quotes.refused,
                "crossed": quotes.crossed,
                "old": quotes.old,
                "coalesced": quotes.coalesced,
            },
            "feeds": self.feeds,
            "last_reconciliation": _short(self.last_reconciliation),
            "start": self.start,
        }

    def measure(self, metrics: Metrics) -> None:
        """Set the gauges that nobody sets in between."""
        metrics.inbox_depth.set(self.trades_waiting)
        if self.writer is not None:
            metrics.writer_lag.set(self.writer.lag_s)
            metrics.publish_age.set(self.writer.publish_age_s)
        if self.tick_age_us is not None:
            metrics.tick_age.set(self.tick_age_us / 1e6)
        ages = {feed["source"]: feed["age_ms"] / 1_000 for feed in self.feeds}
        metrics.set_feeds(ages, sum(not feed["alive"] for feed in self.feeds))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 3)


def _short(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A reconciliation without its breaks: those are at `/v1/breaks`."""
    return (
        None
        if report is None
        else {key: value for key, value in report.items() if key != "breaks"}
        | {
            "found": len(report["breaks"]),
        }
    )
