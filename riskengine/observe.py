"""The log and the metrics of the engine, for the people who run it.

The log records events of the process (started, lease taken, store lost); the metrics count the flow. Call once per batch:
a log line or a label lookup per tick or trade is too slow.
"""

import atexit
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any, Literal, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from structlog.types import EventDict, ExcInfo, Processor, WrappedLogger

from riskengine.log_output import FLUSH_AT_EXIT_S, LogOutput
from riskengine.printable import printable, printable_json, printable_lines

METRICS_CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

EVICTIONS = ("reads nothing", "no pong", "too many mistakes", "text that is no UTF-8", "session ended", "stream failed")
"""Reasons for dropping a client of the stream."""

STATES = ("starting", "loading", "live", "degraded", "stopping", "failed")
"""The states of an engine, as `/v1/status` names them."""

MAX_WARNING_KINDS = 64
"""Most kinds of warning with a series of their own; the code has far fewer, and no sender names one."""

MAX_SOURCES = 64
"""Most sources with an age series of their own. Senders choose the names, so that their number needs a bound."""

TRADE_OUTCOMES = ("applied", "duplicate", "conflict", "superseded", "parked", "quarantined", "rejected")

NOTICE_KINDS = ("late", "off_market", "possible_duplicate")
"""Why a trade that counts is listed."""

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

    No thread waits for whatever reads it: lines that find no room are dropped and counted (`log_output`). What comes from names,
    comments and strangers is written with its control characters escaped. At the end of the process what waits is written, for
    `FLUSH_AT_EXIT_S` at most.
    The last call counts. `level` applies to the engine. Libraries stay at `info` or above, because at `debug` they write a
    line per frame; the access log stays off, because it writes a line per request.
    """
    handler = _LineHandler(LogOutput(sys.stderr, _lost_json if format == "json" else _lost_text))
    handler.name = _HANDLER
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(format)],
        )
    )
    root = logging.getLogger()
    for old in _handlers():
        root.removeHandler(old)
    root.addHandler(handler)
    atexit.unregister(flush_log)
    atexit.register(flush_log)
    own = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(own, logging.INFO))
    logging.getLogger("riskengine").setLevel(own)
    for library in ("uvicorn", "uvicorn.error"):
        logging.getLogger(library).setLevel(logging.NOTSET)  # an earlier server in this process may have set it
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


class _LineHandler(logging.Handler):
    """Formats a record on the thread that logs it, and queues the line."""

    def __init__(self, output: LogOutput) -> None:
        super().__init__()
        self.output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Called by the logger."""
        try:
            self.output.put(f"{self.format(record)}\n")
        except Exception:  # as logging itself does: a line that cannot be made must not end what it tells of
            self.handleError(record)


def _handlers() -> list[_LineHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _LineHandler)]


def flush_log(timeout_s: float = FLUSH_AT_EXIT_S) -> bool:
    """Wait until the lines so far are written, at most so long; returns whether they are."""
    return all(handler.output.flush(timeout_s) for handler in _handlers())


def lost_log_lines() -> tuple[int, bool]:
    """The number of lines of the log that were dropped, and whether they still are. Any thread."""
    outputs = [handler.output for handler in _handlers()]
    return sum(output.dropped for output in outputs), any(output.is_losing for output in outputs)


def write_beside_log(text: str) -> None:
    """Write `text` to stderr in order with the lines of the log, and like them without waiting for whatever reads it."""
    outputs = [handler.output for handler in _handlers() if handler.output.stream is sys.stderr]
    (outputs[0] if outputs else LogOutput(sys.stderr, _lost_text)).put(text, 0)


def _lost_json(count: int) -> str:
    return json.dumps({"event": "log_lines_lost", "count": count, "level": "warning", "logger": __name__}) + "\n"


def _lost_text(count: int) -> str:
    return f"riskengine: {count:,} lines of the log were lost here: nothing read them\n"


@contextmanager
def before_each_line(action: Callable[[], None]) -> Iterator[None]:
    """Inside the block, call `action` before each line of the log, on the thread that logs it."""

    def act(record: logging.LogRecord) -> bool:
        action()
        return True

    handlers = _handlers()
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
        return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_printable_json))
    return (
        _escape_texts,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr is not None and sys.stderr.isatty(), exception_formatter=_plain_traceback
        ),
    )


def _printable_json(value: object, **options: Any) -> str:
    return printable_json(json.dumps(value, **options))


def _escape_texts(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Make every text of a line printable: names, comments and messages of libraries hold what strangers wrote."""
    return {
        key: printable(value.rstrip("\n")) if isinstance(value, str) and key != "exception" else value
        for key, value in event.items()
    }


def _plain_traceback(file: TextIO, error: ExcInfo) -> None:
    """Write a traceback; of its control characters only the line ends stay."""
    text = StringIO()
    structlog.dev.plain_traceback(text, error)
    file.write(printable_lines(text.getvalue()))


ALERT_CHANNELS = ("webhook", "email")
ALERT_OUTCOMES = ("sent", "failed", "dropped")
"""What becomes of a message: `failed` counts tries, `dropped` messages that were too many to wait."""

OPTION_INPUT_OUTCOMES = ("taken", "older", "refused")
"""What becomes of a vol, a rate or Greeks: `older` ones have no effect, because a newer one is in force."""


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
        self.ticks_in_force = self._counter(
            "riskengine_ticks_in_force",
            "Accepted ticks that became the mark: neither too old, nor held back, nor conflated. Their rate is the news.",
        )
        self.ticks_coalesced = self._counter(
            "riskengine_ticks_coalesced",
            "Ticks beyond a source's limit; the newest of each instrument is applied, the others are dropped.",
        )
        self.ticks_refused = self._counter("riskengine_ticks_refused", "Ticks refused with a reason.")
        inputs = Counter(
            "riskengine_option_inputs", "Vols, rates and Greeks received, by outcome.", ["outcome"], registry=self.registry
        )
        self.option_inputs: dict[str, Counter] = {outcome: inputs.labels(outcome) for outcome in OPTION_INPUT_OUTCOMES}
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
        self._add_store_metrics()
        self._add_state_metrics()
        notices = Counter("riskengine_notices", "Trades that count and were noticed, by kind.", ["kind"], registry=self.registry)
        self.notices: dict[str, Counter] = {kind: notices.labels(kind) for kind in NOTICE_KINDS}
        self._add_engine_metrics()
        self._add_stream_metrics()

    def _add_store_metrics(self) -> None:
        self.breaks_open = self._gauge("riskengine_breaks_open", "Positions that differ from the store and are not repaired yet.")
        self.breaks_open_by_kind = Gauge(
            "riskengine_breaks_open_by_kind", "The same by kind of break.", ["kind"], registry=self.registry
        )
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

    def _add_state_metrics(self) -> None:
        self._roll_waits = False
        self.roll_waiting = self._gauge(
            "riskengine_roll_waiting",
            "1 while a close is due and not struck, because the sources of prices contradict the clock.",
        )
        self.closes_struck = self._counter("riskengine_closes_struck", "Closes struck, superseding versions among them.")
        states = Gauge("riskengine_state", "1 for the engine's state, 0 for the others.", ["state"], registry=self.registry)
        self.states = {state: states.labels(state) for state in STATES}
        self.warnings = Gauge(
            "riskengine_warnings",
            "1 while a kind of warning stands on every screen, 0 once it is over.",
            ["kind"],
            registry=self.registry,
        )
        self.limits = Gauge("riskengine_limits", "Limits in force, by state.", ["state"], registry=self.registry)
        self.limit_breaches = Counter(
            "riskengine_limit_breaches", "Breaches of limits that began, by severity.", ["severity"], registry=self.registry
        )
        self.limit_snapshots_skipped = self._counter(
            "riskengine_limit_snapshots_skipped",
            "Snapshots by which no limit was judged: they were gone before their turn.",
        )
        alerts = Counter(
            "riskengine_alerts", "Messages of alerts, by channel and outcome.", ["channel", "outcome"], registry=self.registry
        )
        self.alerts = {
            (channel, outcome): alerts.labels(channel, outcome) for channel in ALERT_CHANNELS for outcome in ALERT_OUTCOMES
        }
        self._warned: set[str] = set()
        self.exceptions = Gauge(
            "riskengine_exceptions",
            "Exceptions that wait for a person, by kind: listed, and without a verdict.",
            ["kind"],
            registry=self.registry,
        )
        self.unpriced = self._gauge("riskengine_unpriced", "Positions that the root counts as unpriced: its sums lack them.")
        self.stale = self._gauge("riskengine_stale", "Positions that are valued with a stale mark.")

    def _add_engine_metrics(self) -> None:
        self.publish_age = self._gauge("riskengine_publish_age_seconds", "Age of the newest snapshot.")
        self.writer_lag = self._gauge(
            "riskengine_writer_lag_seconds",
            "Duration of the writer's last batch, or of the current one so far if that is longer.",
        )
        self.tick_age = self._gauge("riskengine_last_tick_age_seconds", "Time since the newest tick, by the tick's own time.")
        self.feed_age = Gauge(
            "riskengine_feed_age_seconds",
            f"Time since the last sign of life of a source; at most {MAX_SOURCES} sources.",
            ["source"],
            registry=self.registry,
        )
        self.feed_missing = Gauge(
            "riskengine_feed_missing_trades",
            f"Trades that a source says it has sent and that have not come; at most {MAX_SOURCES} sources, those that miss most.",
            ["source"],
            registry=self.registry,
        )
        self.clock_skew = Gauge(
            "riskengine_clock_skew_seconds",
            f"How far a source's clock runs ahead of ours; at most {MAX_SOURCES} sources, the worst.",
            ["source"],
            registry=self.registry,
        )
        self.feeds_gapped = self._gauge("riskengine_feeds_gapped", "Sources of which trades are missing.")
        self.feeds_anew = self._gauge("riskengine_feeds_anew", "Sources that number anew and wait for a person to say so.")
        self.clocks_ahead = self._gauge("riskengine_clocks_ahead", "Sources whose clock runs ahead by more than a second.")
        self.heartbeats_refused = self._counter("riskengine_heartbeats_refused", "Heartbeats refused: too many sources.")
        self.feeds_silent = self._gauge("riskengine_feeds_silent", "Sources that have fallen silent.")
        self.log_lines_lost = self._counter(
            "riskengine_log_lines_lost", "Lines of the log that were dropped because nothing read them."
        )
        self.inbox_depth = self._gauge("riskengine_inbox_depth", "Trades waiting for the store or the writer.")
        self.inbox_limit = self._gauge("riskengine_inbox_limit", "Trades for which the inbox has room: [inbox] max_trades.")
        self.suspects = self._gauge("riskengine_suspects", "Instruments of which a price too far from the mark is held back.")
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
        self.tasks = self._gauge("riskengine_tasks", "Tasks of the event loop: one for each connection, and those of the engine.")
        self.sent_messages = self._counter("riskengine_sent_messages", "Messages written to clients of the stream.")
        self.sent_bytes = self._counter("riskengine_sent_bytes", "Bytes written to clients of the stream.")
        self.conflated_snapshots = self._counter(
            "riskengine_conflated_snapshots", "Snapshots skipped by updates, summed over all clients."
        )
        evictions = Counter(
            "riskengine_evictions", "Clients of the stream dropped, by reason.", ["reason"], registry=self.registry
        )
        self.evictions = {reason: evictions.labels(reason) for reason in EVICTIONS}

    def set_feeds(self, rows: Sequence[Mapping[str, Any]], clocks_ahead: Mapping[str, int]) -> None:
        """Set the gauges of sources by the rows of `/v1/status`, and by those whose clocks run ahead (ms). Drops other series."""
        heard = [row for row in rows if row["age_ms"] is not None]
        _set_series(self.feed_age, {row["source"]: row["age_ms"] / 1_000 for row in heard})
        gapped = sorted((row for row in rows if row["gap"]), key=lambda row: -row["missing_count"])
        _set_series(self.feed_missing, {row["source"]: row["missing_count"] for row in gapped})
        skews = sorted((row for row in rows if row["clock_skew_ms"] is not None), key=lambda row: -row["clock_skew_ms"])
        _set_series(self.clock_skew, {row["source"]: row["clock_skew_ms"] / 1_000 for row in skews})
        self.feeds_gapped.set(len(gapped))
        self.feeds_anew.set(sum(row["anew"] for row in rows))
        self.feeds_silent.set(sum(row["alive"] is False for row in rows))
        self.clocks_ahead.set(len(clocks_ahead))

    def set_state(self, state: str) -> None:
        """Set the engine's state, one of STATES."""
        for name, gauge in self.states.items():
            gauge.set(name == state)

    def set_warnings(self, kinds: Iterable[str]) -> None:
        """Set which kinds of warning stand now. A kind that stood before stays, at 0, so that its end can be seen."""
        standing = set(kinds)
        self._warned |= set(sorted(standing - self._warned)[: MAX_WARNING_KINDS - len(self._warned)])
        for kind in self._warned:
            self.warnings.labels(kind).set(kind in standing)

    def set_exceptions(self, counts: Mapping[str, int]) -> None:
        """Set how many exceptions of each kind are listed; a kind that is not in `counts` has none."""
        self.exceptions.clear()
        for kind, count in counts.items():
            self.exceptions.labels(kind).set(count)

    def count_ticks(self, sent: int, refused: int, coalesced: int, in_force: int) -> None:
        """Count the ticks of one call, and those that came into force with it."""
        self.ticks_accepted.inc(sent - refused)
        if in_force:
            self.ticks_in_force.inc(in_force)
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
        lost, _ = lost_log_lines()
        self.log_lines_lost.inc(max(0.0, lost - self.value(self.log_lines_lost)))
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


def _set_series(gauge: Gauge, values: Mapping[str, float]) -> None:
    """Set the series of a gauge by source, the first MAX_SOURCES, and drop the others."""
    gauge.clear()
    for source, value in list(values.items())[:MAX_SOURCES]:
        gauge.labels(source).set(value)
