"""The log and the metrics of the engine, for the people who run it.

The log records events of the process (started, lease taken, store lost); the metrics count the flow. Call once per batch:
a log line or a label lookup per tick or trade is too slow.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from structlog.types import Processor

METRICS_CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

EVICTIONS = ("reads nothing", "no pong", "too many mistakes", "text that is no UTF-8", "session ended", "stream failed")
"""Reasons for dropping a client of the stream."""

MAX_SOURCES = 64
"""Most sources with an age series of their own. Senders choose the names, so that their number needs a bound."""

TRADE_OUTCOMES = ("applied", "duplicate", "conflict", "superseded", "parked", "quarantined", "rejected")

REFUSALS = ("host", "origin", "token", "role", "grant", "rate", "connections")
"""Reasons for refusing a request: bad `Host` or `Origin`, no valid token, missing role or grant, too many requests or sockets."""

_HANDLER = "riskengine"

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of the module called `name` (pass `__name__`): `log.info("store_opened", url=...)`.

    Safe on any thread. Before `configure_logging` it writes warnings and errors only, to stderr. It never writes to
    stdout, which belongs to the result of a command.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def configure_logging(
    format: Literal["json", "console"] = "json",
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> None:
    """Send the log of this process, with that of its libraries, to stderr: one JSON object a line, or lines for people.

    The last call counts. `level` applies to the engine. Libraries stay at `info` or above, because at `debug` they write a
    line per frame; the access log stays off, because it writes a line per request.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _HANDLER
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(format)],
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if known.name == _HANDLER]:
        root.removeHandler(old)
    root.addHandler(handler)
    own = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(own, logging.INFO))
    logging.getLogger("riskengine").setLevel(own)
    for library in ("uvicorn", "uvicorn.error"):
        logging.getLogger(library).setLevel(logging.NOTSET)  # an earlier server in this process may have set it
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


@contextmanager
def before_each_line(action: Callable[[], None]) -> Iterator[None]:
    """Inside the block, call `action` before each line of the log, on the thread that writes the line."""

    def act(record: logging.LogRecord) -> bool:
        action()
        return True

    handlers = [handler for handler in logging.getLogger().handlers if handler.name == _HANDLER]
    for handler in handlers:
        handler.addFilter(act)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(act)


def _renderers(format: Literal["json", "console"]) -> Sequence[Processor]:
    if format == "json":
        # Tracebacks as text: the structured form would print local variables, passwords among them.
        return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    return (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        ),
    )


class Metrics:
    """The engine's counters, gauges and histograms, in a registry of their own: one process can run two engines.

    Every attribute is thread-safe. An increment takes a lock and about a microsecond, so add a batch's count once:
    `metrics.trades["applied"].inc(n)`. Durations are in seconds, as is usual in Prometheus.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refresh: Callable[[], None] = lambda: None
        """Called before each rendering, to set the gauges whose values other parts of the engine hold."""
        trades = Counter("riskengine_trades", "Trades received, by outcome.", ["outcome"], registry=self.registry)
        # Every outcome starts at 0: a rate over a series that appears later misses its first step.
        self.trades: dict[str, Counter] = {outcome: trades.labels(outcome) for outcome in TRADE_OUTCOMES}
        self.ticks_accepted = self._counter("riskengine_ticks_accepted", "Ticks accepted, before coalescing.")
        self.ticks_coalesced = self._counter(
            "riskengine_ticks_coalesced",
            "Ticks beyond a source's limit; the newest of each instrument is applied, the others are dropped.",
        )
        self.ticks_refused = self._counter("riskengine_ticks_refused", "Ticks refused with a reason.")
        self.beats = self._counter("riskengine_beats", "Revaluation beats run.")
        self.publish_seconds = self._histogram(
            "riskengine_publish_duration_seconds",
            "From the start of a batch or beat until its snapshot can be read.",
            (0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
        )
        self.trade_to_publish_seconds = self._histogram(
            "riskengine_trade_to_publish_seconds",
            "From the submission of checked trades to the snapshot that holds them: store and writer.",
            (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
        )
        self.beat_seconds = self._histogram(
            "riskengine_beat_duration_seconds",
            "A beat: apply new prices, value everything, publish.",
            (0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
        )
        self.commit_seconds = self._histogram(
            "riskengine_store_commit_duration_seconds",
            "One transaction of the store, until durable.",
            (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
        )
        self.breaks_open = self._gauge("riskengine_breaks_open", "Positions that differ from the store and are not repaired yet.")
        self.store_went_back = self._gauge(
            "riskengine_store_went_back", "1 while the store is behind what this engine acknowledged: no trade is taken."
        )
        reconciliations = Counter(
            "riskengine_reconciliations", "Comparisons with the store, by result.", ["result"], registry=self.registry
        )
        self.reconciliations = {result: reconciliations.labels(result) for result in ("clean", "breaks", "failed")}
        renewals = Counter(
            "riskengine_renewals", "Rebuilds beside the live engine, by result.", ["result"], registry=self.registry
        )
        self.renewals = {result: renewals.labels(result) for result in ("done", "refused")}
        self._add_engine_metrics()
        self._add_stream_metrics()

    def _add_engine_metrics(self) -> None:
        self.publish_age = self._gauge("riskengine_publish_age_seconds", "Age of the newest snapshot.")
        self.writer_lag = self._gauge(
            "riskengine_writer_lag_seconds",
            "Duration of the writer's last batch, or of the current one so far if that is longer.",
        )
        self.tick_age = self._gauge("riskengine_last_tick_age_seconds", "Time since the last accepted tick.")
        self.feed_age = Gauge(
            "riskengine_feed_age_seconds",
            f"Time since the last sign of life of a source; at most {MAX_SOURCES} sources.",
            ["source"],
            registry=self.registry,
        )
        self.feeds_silent = self._gauge("riskengine_feeds_silent", "Sources that have fallen silent.")
        self.inbox_depth = self._gauge("riskengine_inbox_depth", "Trades waiting for the store or the writer.")
        self.quarantined = self._gauge(
            "riskengine_quarantined", "Trades kept out of the positions until reference data or a person admits them."
        )
        self.self_audit_passes = self._counter("riskengine_self_audit_passes", "Complete passes of the self-audit over memory.")
        self.self_audit_faults = self._counter("riskengine_self_audit_faults", "Broken invariants found; 0 in normal operation.")
        self.self_audit_seconds = self._counter("riskengine_self_audit_seconds", "Writer time spent on the self-audit.")
        refusals = Counter("riskengine_refusals", "Requests refused, by reason.", ["reason"], registry=self.registry)
        self.refusals: dict[str, Counter] = {reason: refusals.labels(reason) for reason in REFUSALS}
        self.snapshot_seq = self._gauge("riskengine_snapshot_seq", "Number of the newest snapshot.")
        self.last_publish = self._gauge(
            "riskengine_last_publish_timestamp_seconds", "When the newest snapshot was published, Unix time."
        )

    def _add_stream_metrics(self) -> None:
        self.publish_to_send_seconds = self._histogram(
            "riskengine_publish_to_send_seconds",
            "From the publication of a snapshot until an update with it is written to a client.",
            (0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        )
        self.clients = self._gauge("riskengine_clients", "Websocket connections of the stream.")
        self.sent_messages = self._counter("riskengine_sent_messages", "Messages written to clients of the stream.")
        self.sent_bytes = self._counter("riskengine_sent_bytes", "Bytes written to clients of the stream.")
        self.conflated_snapshots = self._counter(
            "riskengine_conflated_snapshots", "Snapshots skipped by updates, summed over all clients."
        )
        evictions = Counter(
            "riskengine_evictions", "Clients of the stream dropped, by reason.", ["reason"], registry=self.registry
        )
        self.evictions = {reason: evictions.labels(reason) for reason in EVICTIONS}

    def set_feeds(self, ages: Mapping[str, float], silent: int) -> None:
        """Set the age of each source in seconds, and how many are silent. Drops the series of sources not in `ages`."""
        self.feed_age.clear()
        for source, age in list(ages.items())[:MAX_SOURCES]:
            self.feed_age.labels(source).set(age)
        self.feeds_silent.set(silent)

    def count_ticks(self, sent: int, refused: int, coalesced: int) -> None:
        """Count the ticks of one call."""
        self.ticks_accepted.inc(sent - refused)
        if refused:
            self.ticks_refused.inc(refused)
        if coalesced:
            self.ticks_coalesced.inc(coalesced)

    def record_publish(self, seq: int, ts: int, seconds: float) -> None:
        """Record one snapshot: its number, the time of publication (microseconds) and how long it took (seconds)."""
        self.snapshot_seq.set(seq)
        self.last_publish.set(ts / 1e6)
        self.publish_seconds.observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format; send them as `METRICS_CONTENT_TYPE`. 1 ms."""
        self.refresh()
        return generate_latest(self.registry)

    @staticmethod
    def value(metric: Counter | Gauge) -> float:
        """The value of a metric without labels, or of one label. 5 us."""
        return next(iter(metric.collect())).samples[0].value

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, registry=self.registry, buckets=bounds)
