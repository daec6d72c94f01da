"""What `/v1/status` says of a process beyond its snapshot."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from riskengine.config import Config, without_password
from riskengine.marks import QuoteBook
from riskengine.observe import Metrics


class Health(NamedTuple):
    """The state of the parts of one engine at a moment. None: that part is not there yet."""

    config: Config
    store_id: str | None
    store_error: str | None
    trades_loaded: int
    trades_waiting: int
    lag_s: float | None
    publish_age_s: float | None
    beat_s: float | None
    tick_age_us: int | None
    quotes: QuoteBook | None
    feeds: Sequence[Mapping[str, Any]]
    last_reconciliation: Mapping[str, Any] | None
    start: Mapping[str, Any] | None

    def told(self) -> dict[str, Any]:
        """As the answer has it."""
        quotes = self.quotes
        return {
            "pid": os.getpid(),
            "store": without_password(self.config.store.url),
            "store_id": self.store_id,
            "store_error": self.store_error,
            "trades_loaded": self.trades_loaded,
            "trades_waiting": self.trades_waiting,
            "writer_lag_ms": _milliseconds(self.lag_s),
            "publish_age_ms": None if self.publish_age_s is None else int(self.publish_age_s * 1_000),
            "last_beat_ms": _milliseconds(self.beat_s),
            "last_tick_age_ms": None if self.tick_age_us is None else self.tick_age_us // 1_000,
            "ticks": None if quotes is None else {
                "accepted": quotes.accepted, "refused": quotes.refused, "crossed": quotes.crossed, "old": quotes.old,
            },
            "feeds": self.feeds,
            "last_reconciliation": _short(self.last_reconciliation),
            "start": self.start,
        }  # fmt: skip


    def measure(self, metrics: Metrics) -> None:
        """Set the gauges that nobody sets in between."""
        metrics.inbox_depth.set(self.trades_waiting)
        for gauge, value in (
            (metrics.writer_lag, self.lag_s), (metrics.publish_age, self.publish_age_s),
            (metrics.tick_age, None if self.tick_age_us is None else self.tick_age_us / 1e6),
        ):  # fmt: skip
            if value is not None:
                gauge.set(value)
        ages = {feed["source"]: feed["age_ms"] / 1_000 for feed in self.feeds}
        metrics.show_feeds(ages, sum(not feed["alive"] for feed in self.feeds))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 3)


def _short(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A reconciliation without its breaks: those are at `/v1/breaks`."""
    return None if report is None else {key: value for key, value in report.items() if key != "breaks"} | {
        "found": len(report["breaks"]),
    }  # fmt: skip
