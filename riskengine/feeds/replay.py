"""Replays recorded ticks and trades in event-time order, into an engine in this process or into a running one.

In this process the engine's clock follows the messages: it stands at the newest one played. A running engine gets them through
its ingest websocket, like those of any publisher; the replay ends once the engine has published the last. Either way `Played`
says what became of them.
"""

import contextlib
import json
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import orjson
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine_access import engine_headers, engine_opener
from riskengine.errors import EngineUnreachable
from riskengine.files.records import TRADES, ColumnOptions, merge_by_time, read_rows, read_ticks, read_trades
from riskengine.market.quote_book import QuoteBook
from riskengine.records.decode import TradeCheck
from riskengine.records.fields import Rejected, excerpt, timestamp
from riskengine.records.types import Refusal, Tick, Trade, without_attributes

BATCH = 2_000
"""Messages between two beats at full speed, and ticks in one frame to a running engine."""

FRAME_TRADES = 500
"""Trades in one frame: even with names of the greatest length it stays below the engine's limit of one megabyte."""

PACE_S = 0.05
"""Interval between two sends of a paced replay, seconds."""

PUBLISHED_AFTER_US = 2 * MICROS_PER_SECOND
"""A snapshot that is so much younger than the last message holds everything of it."""

SETTLE_TIMEOUT_S = 30.0
"""Longest wait for an answer, and for the last marks."""

NO_MAPPING = ColumnOptions()

OnRefusal = Callable[[str, Refusal], None]
"""Called for each line that is left out, with its file."""


class RawTrade(msgspec.Struct, frozen=True):
    """A line of a trades file, ready to send, and its event time (0 in a cancel without one)."""

    ts: int
    row: dict[str, Any]


class Played:
    """What became of the messages of a replay: counts of ticks, of trades and of lines, and the first reasons."""

    def __init__(self) -> None:
        self.ticks = {"read": 0, "taken": 0, "in_force": 0, "old": 0, "coalesced": 0, "refused": 0, "unknown": 0}
        """`in_force` became the mark, `old` ones are older than it, `unknown` of the refused name an unknown instrument."""
        self.trades: dict[str, int] = {"read": 0}
        """Trades read, and of those by outcome."""
        self.lines_refused = 0
        """Lines that could not be read."""
        self.reasons: dict[str, None] = {}

    def add_reason(self, reason: str) -> None:
        """Keep a reason, if it is one of the first MAX_REASONS different ones."""
        if len(self.reasons) < MAX_REASONS:
            self.reasons[reason] = None

    def add_trade(self, status: str, name: str, reason: str) -> None:
        """Count the outcome of a trade; the reason of one that was kept out is kept."""
        self.trades[status] = self.trades.get(status, 0) + 1
        if reason and status in ("rejected", "quarantined", "conflict"):
            self.add_reason(f"trade {excerpt(name)} {status}: {reason}")

    @property
    def refused(self) -> int:
        """Lines, ticks and trades refused."""
        return self.lines_refused + self.ticks["refused"] + self.trades.get("rejected", 0)

    @property
    def took_effect(self) -> bool:
        """Whether a tick became a mark, or a trade was applied."""
        return bool(self.ticks["in_force"] or self.trades.get("applied"))

    def fields(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "ticks": self.ticks,
            "trades": self.trades,
            "lines_refused": self.lines_refused,
            "took_effect": self.took_effect,
            "reasons": list(self.reasons),
        }


MAX_REASONS = 10
"""Different reasons that are told."""


class Pace:
    """Lets event time pass at `speed` times real time; None means without waits."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first_ts: int | None = None
        self._started = 0.0

    def wait_for(self, ts: int) -> None:
        """Sleep until event time `ts`. 0, as in a cancel without a time, does not wait."""
        if self._speed is None or not ts:
            return
        if self._first_ts is None:
            self._first_ts, self._started = ts, time.monotonic()
        ahead = (ts - self._first_ts) / MICROS_PER_SECOND / self._speed - (time.monotonic() - self._started)
        if ahead > 0:
            time.sleep(ahead)

    def window(self) -> int | None:
        """The longest event time in one step, microseconds; None for no bound."""
        return None if self._speed is None else int(PACE_S * self._speed * MICROS_PER_SECOND)


def steps(messages: Iterator[Any], pace: Pace) -> Iterator[list[Any]]:
    """Messages in steps of at most BATCH, each yielded when it is due."""
    window = pace.window()
    step: list[Any] = []
    for message in messages:
        if step and (len(step) == BATCH or (window is not None and message.ts - step[0].ts >= window)):
            pace.wait_for(max(one.ts for one in step))
            yield step
            step = []
        step.append(message)
    if step:
        pace.wait_for(max(one.ts for one in step))
        yield step


def tick_stream(path: str, options: ColumnOptions, on_refusal: OnRefusal, known: Container[str] | None = None) -> Iterator[Tick]:
    """The ticks of a file. Bad lines go to `on_refusal`, as do ticks of instruments outside `known`, if given."""
    for line, tick in read_ticks(path, options):
        if isinstance(tick, Refusal):
            on_refusal(path, tick)
        elif known is not None and tick.instrument not in known:
            hint = options.near(UNKNOWN, tick.instrument)
            on_refusal(path, Refusal(line, UNKNOWN, f"unknown instrument {excerpt(tick.instrument)}{hint}"))
        else:
            yield tick


UNKNOWN = "instrument"
"""The field of a refused tick of an unknown instrument."""


class Recording(NamedTuple):
    """What to play: files, how to read them, how fast, and whether to move them so that the first tick is at `shift_to`."""

    ticks: Sequence[str]
    trades: str | None
    options: ColumnOptions = NO_MAPPING
    speed: float | None = None
    shift_to: int | None = None

    def steps(self, streams: list[Iterator[Any]]) -> Iterator[list[Any]]:
        """The messages of all files in event-time order, in steps, each when it is due."""
        messages: Iterator[Any] = merge_by_time(streams)
        if self.shift_to is not None:
            messages = shift_to(messages, self.shift_to)
        return steps(messages, Pace(self.speed))


def shift_to(messages: Iterator[Any], ts: int) -> Iterator[Any]:
    """Move the event times of all messages by one distance, so that the first tick (without ticks: trade) is at `ts`.

    Messages before the first tick are held until it comes. Dates without a time stay.
    """
    held: list[Any] = []
    for message in messages:
        held.append(message)
        if type(message) is Tick:
            distance = ts - message.ts
            yield from (_moved(each, distance) for each in held)
            yield from (_moved(each, distance) for each in messages)
            return
    first = next((message.ts for message in held if message.ts), ts)
    yield from (_moved(each, ts - first) for each in held)


def _moved(message: Any, distance: int) -> Any:
    if not message.ts:  # a cancel without a time
        return message
    ts = message.ts + distance
    if type(message) is Tick:
        return Tick(message.instrument, ts, message.bid, message.ask, message.mid, message.source)
    if type(message) is Trade:
        booked = None if message.booked_ts is None else message.booked_ts + distance
        return msgspec.structs.replace(message, ts=ts, booked_ts=booked, received_ts=max(ts, message.received_ts))
    row = message.row | {"ts": ts}
    if "booked_ts" in row:
        with contextlib.suppress(Rejected):  # the engine refuses it
            row["booked_ts"] = timestamp(row["booked_ts"], "booked_ts") + distance
    return RawTrade(ts, row)


def replay_here(
    engine: Engine, source: Recording, config: Config, check: TradeCheck, received_ts: int, on_refusal: OnRefusal
) -> Played:
    """Play files into an engine on this thread; its last snapshot holds all of them. Raises InputError."""
    quotes = QuoteBook(engine.reference, config.marks, config.engine.future_limit_s)
    known = engine.reference.instrument_index
    played = Played()

    def refuse(path: str, refusal: Refusal) -> None:
        if refusal.field == UNKNOWN and path in source.ticks and refusal.reason.startswith("unknown"):
            played.ticks["read"] += 1
            played.ticks["refused"] += 1
            played.ticks["unknown"] += 1
            played.add_reason(refusal.reason)
        else:
            played.lines_refused += 1
        on_refusal(path, refusal)

    streams: list[Iterator[Tick | Trade]] = [tick_stream(path, source.options, refuse, known) for path in source.ticks]
    if source.trades is not None:
        streams.append(_trade_stream(source.trades, check, received_ts, refuse))
    now = 0
    for step in source.steps(streams):
        now = max(now, max(message.ts for message in step))
        _apply_trades(engine, [message for message in step if type(message) is Trade], now, played)
        ticks = [message for message in step if type(message) is Tick]
        played.ticks["read"] += len(ticks)
        for refusal in quotes.offer(ticks, now):
            tick = ticks[refusal.index]
            played.ticks["refused"] += 1
            on_refusal("ticks", Refusal(0, refusal.field, f"{refusal.reason} ({tick.instrument} at {tick.ts})"))
        engine.beat(quotes.take(now), now)
        engine.publish(now)
    played.ticks |= {"taken": quotes.accepted, "in_force": quotes.in_force, "old": quotes.old}
    return played


def _apply_trades(engine: Engine, trades: list[Trade], now: int, played: Played) -> None:
    if trades:
        played.trades["read"] += len(trades)
        for trade, outcome in zip(trades, engine.apply(trades, now), strict=True):
            played.add_trade(outcome.status, trade.trade_id, outcome.reason)


def _trade_stream(path: str, check: TradeCheck, received_ts: int, on_refusal: OnRefusal) -> Iterator[Trade]:
    for _, trade in read_trades(path, NO_MAPPING, check, received_ts):
        if isinstance(trade, Refusal):
            on_refusal(path, trade)
        else:
            yield from without_attributes((trade,))


def replay_to(url: str, source: Recording, on_refusal: OnRefusal) -> Played:
    """Play files into the running engine at `url`; returns once it has published the last message.

    Raises InputError, EngineUnreachable.
    """
    played = Played()

    def refuse(path: str, refusal: Refusal) -> None:
        played.lines_refused += 1
        on_refusal(path, refusal)

    streams: list[Iterator[Any]] = [tick_stream(path, source.options, refuse) for path in source.ticks]
    if source.trades is not None:
        streams.append(_raw_trades(source.trades, refuse))
    newest: dict[str, int] = {}
    try:
        address = _socket_url(url, "/v1/ingest")
        with connect(address, max_size=None, compression=None, proxy=None, additional_headers=engine_headers()) as socket:
            for step in source.steps(streams):
                _send(socket, step, played, newest)
            socket.send('{"counts":true}')
            counts = _take_answer(socket, "counts", played)
        played.ticks |= counts["ticks"]
        arrived = _wait_for_marks(url, newest, counts["ts"]) if played.ticks["taken"] else 0
        if not played.ticks["in_force"] and played.ticks["coalesced"]:  # these come into force with a beat
            played.ticks["in_force"] = arrived
    except (OSError, InvalidHandshake, WebSocketException) as error:
        raise EngineUnreachable(f"{url}: {str(error) or type(error).__name__}") from None
    return played


def _raw_trades(path: str, on_refusal: OnRefusal) -> Iterator[RawTrade]:
    for line, row in read_rows(path, NO_MAPPING, TRADES):
        if isinstance(row, Refusal):
            on_refusal(path, row)
            continue
        sent = {key: value for key, value in row.items() if value not in ("", None)}
        for field in ("leg", "version", "legs", "ts", "booked_ts"):
            value = sent.get(field)
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 25:
                sent[field] = int(value)
        try:
            ts = timestamp(sent["ts"], "ts") if "ts" in sent else 0
        except Rejected as error:
            on_refusal(path, Refusal(line, error.field, error.reason))
            continue
        yield RawTrade(ts, {"source": "file"} | sent)


def _send(socket: ClientConnection, step: Sequence[Any], played: Played, newest: dict[str, int]) -> None:
    trades = [message.row for message in step if type(message) is RawTrade]
    ticks = [message for message in step if type(message) is Tick]
    if ticks:
        for tick in ticks:
            if tick.mid is not None or (tick.bid and tick.ask):  # of others the engine may keep the mark that it has
                newest[tick.instrument] = max(tick.ts, newest.get(tick.instrument, 0))
        socket.send(orjson.dumps({"ticks": [_tick_row(tick) for tick in ticks]}).decode())
        played.ticks["read"] += len(ticks)
    for first in range(0, len(trades), FRAME_TRADES):
        frame = trades[first : first + FRAME_TRADES]
        # NDJSON gives exact Decimals and unbounded integers; the engine takes them as texts.
        socket.send(json.dumps({"trades": frame}, default=str))
        played.trades["read"] += len(frame)
        answer = _take_answer(socket, "trades", played)
        for sent, result in zip(frame, answer["results"], strict=True):
            played.add_trade(result["status"], str(sent.get("trade_id", "")), result["reason"])


def _take_answer(socket: ClientConnection, kind: str, played: Played) -> dict[str, Any]:
    """Wait for the answer to the last frame. Only one frame that is answered is in flight, so the next answer is its own."""
    while True:
        answer: dict[str, Any] = orjson.loads(socket.recv(timeout=SETTLE_TIMEOUT_S))
        if answer.get("type") == "refused":
            for error in answer["errors"]:
                played.add_reason(f"tick refused: {error['field']}: {error['reason']}")
        elif answer.get("type") == kind:
            return answer
        elif answer.get("type") == "error":
            raise EngineUnreachable(f"the engine refused a frame: {answer.get('title')}: {answer.get('detail')}")


def _tick_row(tick: Tick) -> dict[str, Any]:
    row = {"instrument": tick.instrument, "ts": tick.ts, "bid": tick.bid, "ask": tick.ask, "mid": tick.mid}
    return {key: value for key, value in row.items() if value is not None} | ({"source": tick.source} if tick.source else {})


def _wait_for_marks(url: str, newest: dict[str, int], taken_at: int) -> int:
    """Wait until the engine has published what it had taken at `taken_at`, by its clock. Returns the number of marks then set.

    The marks are as new as the sent ticks, or have had two seconds to become so: some ticks do not come into force.
    """
    opener = engine_opener()
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        with opener.open(f"{url.rstrip('/')}/v1/marks?limit=1000000", timeout=10) as answer:
            read = orjson.loads(answer.read())
        # A price that the engine holds back has come, too.
        marks = {row["instrument"]: row["ts"] or 0 for row in read["rows"] if row["suspect"] is None}
        if read["as_of"] > taken_at + PUBLISHED_AFTER_US or all(marks[s] >= ts for s, ts in newest.items() if s in marks):
            return sum(marks.get(symbol) == ts for symbol, ts in newest.items())
        time.sleep(PACE_S)
    raise EngineUnreachable(f"{url}: the engine publishes nothing: the last ticks are not in force")


def _socket_url(url: str, path: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # bad brackets, or a port that is no number
        sound = False
    if not sound:
        raise EngineUnreachable(f"{url}: an address like http://127.0.0.1:8321 is expected")
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"
