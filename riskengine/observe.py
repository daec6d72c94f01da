"""What the people who run the engine see of it from outside: its log and its metrics.

The log tells of events of the process (started, lease taken, store lost), the metrics count what flows. Nothing
here is called once per tick or trade with a line or a label lookup as the result: count batches.
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
"""Why a client of the stream was dropped."""

MAX_SOURCES = 64
"""Sources whose age is a series of its own: they are named by whoever sends."""

TRADE_OUTCOMES = ("applied", "duplicate", "conflict", "superseded", "parked", "quarantined", "rejected")

REFUSALS = ("host", "origin", "token", "role", "grant", "rate", "connections")
"""Why somebody was refused: what `Host` or `Origin` said, no good token, not the role, not the grants, too often, too many."""

_HANDLER = "riskengine"

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of the module called `name` (pass `__name__`): `log.info("store_opened", url=...)`.

    Works from any thread. Before `configure_logging` only warnings and errors come out, on stderr; stdout is
    never written to, it belongs to a command's result.
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
    """Send the log of this process, the libraries' too, to stderr: one JSON object a line, or lines for people.

    May be called again; the last call counts. `level` is the engine's own: libraries stay at `info` or above
    whatever it says, for at `debug` they write a line for every frame, and the access log stays silent, for it
    writes one for every request.
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
        logging.getLogger(library).setLevel(logging.NOTSET)  # whoever ran a server in this process may have set it
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


@contextmanager
def before_each_line(action: Callable[[], None]) -> Iterator[None]:
    """While this is open, `action` is called before each line of the log, on the thread that writes it."""

    def note(record: logging.LogRecord) -> bool:
        action()
        return True

    handlers = [handler for handler in logging.getLogger().handlers if handler.name == _HANDLER]
    for handler in handlers:
        handler.addFilter(note)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(note)


def _renderers(format: Literal["json", "console"]) -> Sequence[Processor]:
    if format == "json":
        # Tracebacks as text: the structured form would carry local variables, passwords among them.
        return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    return (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        ),
    )


class Metrics:
    """The engine's counters and gauges in a registry of their own, so that two engines fit in one process.

    Every attribute is thread-safe; an increment takes a lock and about a microsecond, so the writer adds a
    batch's count once: `metrics.trades["applied"].inc(n)`. Durations are seconds, as Prometheus has it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refresh: Callable[[], None] = lambda: None
        """Called before each rendering: sets the gauges that stand for what somebody else keeps."""
        trades = Counter("riskengine_trades", "Trades received, by what became of them.", ["outcome"], registry=self.registry)
        # Every outcome exists from the start, at 0, for a rate over a series that appears later misses its first step.
        self.trades: dict[str, Counter] = {outcome: trades.labels(outcome) for outcome in TRADE_OUTCOMES}
        self.ticks_accepted = self._counter("riskengine_ticks_accepted", "Ticks taken, before coalescing.")
        self.ticks_coalesced = self._counter(
            "riskengine_ticks_coalesced", "Ticks beyond a source's limit: of these only the newest of an instrument counts."
        )
        self.ticks_refused = self._counter("riskengine_ticks_refused", "Ticks refused with a reason.")
        self.beats = self._counter("riskengine_beats", "Revaluation beats run.")
        self.publish_seconds = self._histogram(
            "riskengine_publish_duration_seconds",
            "From the start of a batch or beat to its snapshot being readable.",
            (0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
        )
        self.trade_to_publish_seconds = self._histogram(
            "riskengine_trade_to_publish_seconds",
            "From trades being submitted, checked, to the snapshot that holds them: store and writer.",
            (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
        )
        self.beat_seconds = self._histogram(
            "riskengine_beat_duration_seconds",
            "A revaluation: new prices put in force, everything valued, and published.",
            (0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
        )
        self.commit_seconds = self._histogram(
            "riskengine_store_commit_duration_seconds",
            "One transaction of the store, until it is durable.",
            (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
        )
        self.breaks_open = self._gauge("riskengine_breaks_open", "Positions found to differ from the store, not repaired yet.")
        reconciliations = Counter(
            "riskengine_reconciliations", "Comparisons with the store, by how they ended.", ["result"], registry=self.registry
        )
        self.reconciliations = {result: reconciliations.labels(result) for result in ("clean", "breaks", "failed")}
        renewals = Counter(
            "riskengine_renewals", "Rebuilds beside the live engine, by how they ended.", ["result"], registry=self.registry
        )
        self.renewals = {result: renewals.labels(result) for result in ("done", "refused")}
        self._measure_the_engine()
        self._measure_the_stream()

    def _measure_the_engine(self) -> None:
        self.publish_age = self._gauge("riskengine_publish_age_seconds", "Since the newest snapshot was published.")
        self.writer_lag = self._gauge(
            "riskengine_writer_lag_seconds", "What the writer's last batch took, or the one at work has taken if that is more."
        )
        self.tick_age = self._gauge("riskengine_last_tick_age_seconds", "Since a tick was taken.")
        self.feed_age = Gauge(
            "riskengine_feed_age_seconds",
            f"Since a source said that it is alive; of {MAX_SOURCES} sources at most.",
            ["source"],
            registry=self.registry,
        )
        self.feeds_silent = self._gauge("riskengine_feeds_silent", "Sources that have said so once and do not any more.")
        self.inbox_depth = self._gauge("riskengine_inbox_depth", "Trades waiting for the store or the writer.")
        self.quarantined = self._gauge(
            "riskengine_quarantined", "What is kept out of the positions until reference data or a person lets it in."
        )
        self.self_audit_passes = self._counter("riskengine_self_audit_passes", "Times that everything in memory was looked over.")
        self.self_audit_faults = self._counter("riskengine_self_audit_faults", "Broken invariants found; 0 on every good day.")
        self.self_audit_seconds = self._counter("riskengine_self_audit_seconds", "Spent by the writer on looking itself over.")
        refusals = Counter("riskengine_refusals", "Requests refused, by why.", ["reason"], registry=self.registry)
        self.refusals: dict[str, Counter] = {reason: refusals.labels(reason) for reason in REFUSALS}
        self.snapshot_seq = self._gauge("riskengine_snapshot_seq", "Number of the newest snapshot.")
        self.last_publish = self._gauge(
            "riskengine_last_publish_timestamp_seconds", "When the newest snapshot was published, Unix time."
        )

    def _measure_the_stream(self) -> None:
        self.publish_to_send_seconds = self._histogram(
            "riskengine_publish_to_send_seconds",
            "From a snapshot being published to an update with it being written to a client.",
            (0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        )
        self.clients = self._gauge("riskengine_clients", "Websocket connections of the stream.")
        self.sent_messages = self._counter("riskengine_sent_messages", "Messages written to clients of the stream.")
        self.sent_bytes = self._counter("riskengine_sent_bytes", "Bytes of these messages.")
        self.conflated_snapshots = self._counter(
            "riskengine_conflated_snapshots", "Snapshots that updates have skipped, added up over all clients."
        )
        evictions = Counter(
            "riskengine_evictions", "Clients of the stream that were dropped, by why.", ["reason"], registry=self.registry
        )
        self.evictions = {reason: evictions.labels(reason) for reason in EVICTIONS}

    def show_feeds(self, ages: Mapping[str, float], silent: int) -> None:
        """Seconds since each source was heard of, and how many are silent. Sources that are gone are shown no more."""
        self.feed_age.clear()
        for source, age in list(ages.items())[:MAX_SOURCES]:
            self.feed_age.labels(source).set(age)
        self.feeds_silent.set(silent)

    def took_ticks(self, sent: int, refused: int, coalesced: int) -> None:
        """Count ticks of one call."""
        self.ticks_accepted.inc(sent - refused)
        if refused:
            self.ticks_refused.inc(refused)
        if coalesced:
            self.ticks_coalesced.inc(coalesced)

    def published(self, seq: int, ts: int, seconds: float) -> None:
        """Record one snapshot: its number, when it was published (microseconds) and what it took (seconds)."""
        self.snapshot_seq.set(seq)
        self.last_publish.set(ts / 1e6)
        self.publish_seconds.observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format, to be sent as `METRICS_CONTENT_TYPE`. 1 ms."""
        self.refresh()
        return generate_latest(self.registry)

    @staticmethod
    def value(metric: Counter | Gauge) -> float:
        """What one of them, without labels or of one label, stands at. 5 us."""
        return next(iter(metric.collect())).samples[0].value

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, registry=self.registry, buckets=bounds)
