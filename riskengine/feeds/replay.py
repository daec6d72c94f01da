"""Replays recorded ticks and trades in event-time order, into an engine in this process or into a running one.

In this process the engine's clock follows the messages: it stands at the newest one played. A running engine gets them through
its ingest websocket, like those of any publisher; the replay ends once the engine has published the last.
"""

import json
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import orjson
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine_access import engine_headers, engine_opener
from riskengine.errors import EngineUnreachable, InputError
from riskengine.files.records import ColumnOptions, merge_by_time, read_rows, read_ticks, read_trades
from riskengine.market.marks import QuoteBook
from riskengine.records.decode import TradeCheck
from riskengine.records.fields import Rejected, excerpt, timestamp
from riskengine.records.types import Refusal, Tick, Trade

BATCH = 2_000
"""Messages between two beats at full speed, and ticks in one frame to a running engine."""

FRAME_TRADES = 500
"""Trades in one frame: even with names of the greatest length it stays below the engine's limit of one megabyte."""

PACE_S = 0.05
"""Interval between two sends of a paced replay, seconds."""

SETTLE_TIMEOUT_S = 30.0
"""Longest wait for an answer, and for the last marks."""

OnRefusal = Callable[[str, Refusal], None]
"""Called for each line that is left out, with its file."""


class RawTrade(msgspec.Struct, frozen=True):
    """A line of a trades file, ready to send, and its event time (0 in a cancel without one)."""

    ts: int
    row: dict[str, Any]


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
            on_refusal(path, Refusal(line, "instrument", f"unknown instrument {excerpt(tick.instrument)}"))
        else:
            yield tick


def replay_here(
    engine: Engine,
    ticks: Sequence[str],
    trades: str | None,
    options: ColumnOptions,
    config: Config,
    check: TradeCheck,
    speed: float | None,
    received_ts: int,
    on_refusal: OnRefusal,
) -> None:
    """Play files into an engine on this thread; its last snapshot holds all of them. Raises InputError."""
    quotes = QuoteBook(engine.reference, config.marks, config.engine.future_limit_s)
    known = engine.reference.instrument_index
    streams: list[Iterator[Tick | Trade]] = [tick_stream(path, options, on_refusal, known) for path in ticks]
    if trades is not None:
        streams.append(_trade_stream(trades, check, received_ts, on_refusal))
    now = 0
    for step in steps(merge_by_time(streams), Pace(speed)):
        now = max(now, max(message.ts for message in step))
        due = [message for message in step if type(message) is Trade]
        if due:
            engine.apply(due, now)
        played = [message for message in step if type(message) is Tick]
        for refusal in quotes.offer(played, now):
            tick = played[refusal.index]
            on_refusal("ticks", Refusal(0, refusal.field, f"{refusal.reason} ({tick.instrument} at {tick.ts})"))
        engine.beat(quotes.take(now), now)
        engine.publish(now)


def _trade_stream(path: str, check: TradeCheck, received_ts: int, on_refusal: OnRefusal) -> Iterator[Trade]:
    for _, trade in read_trades(path, NO_MAPPING, check, received_ts):
        if isinstance(trade, Refusal):
            on_refusal(path, trade)
        else:
            yield trade


NO_MAPPING = ColumnOptions()


def replay_to(
    url: str, ticks: Sequence[str], trades: str | None, options: ColumnOptions, speed: float | None, on_refusal: OnRefusal
) -> dict[str, int]:
    """Play files into the running engine at `url`; returns once it has published the last message.

    Returns the count of each outcome. Raises InputError, EngineUnreachable.
    """
    streams: list[Iterator[Any]] = [tick_stream(path, options, on_refusal) for path in ticks]
    if trades is not None:
        streams.append(_raw_trades(trades, on_refusal))
    counts: dict[str, int] = {"ticks": 0, "trades": 0}
    newest: dict[str, int] = {}
    try:
        address = _socket_url(url, "/v1/ingest")
        with connect(address, max_size=None, compression=None, proxy=None, additional_headers=engine_headers()) as socket:
            for step in steps(merge_by_time(streams), Pace(speed)):
                _send(socket, step, counts, newest)
            _send(socket, [], counts, newest)
        _wait_for_marks(url, newest)
    except (OSError, InvalidHandshake, WebSocketException) as error:
        raise EngineUnreachable(f"{url}: {str(error) or type(error).__name__}") from None
    return counts


def _raw_trades(path: str, on_refusal: OnRefusal) -> Iterator[RawTrade]:
    for line, row in read_rows(path, NO_MAPPING):
        if isinstance(row, Refusal):
            on_refusal(path, row)
            continue
        sent = {key: value for key, value in row.items() if value not in ("", None)}
        for field in ("leg", "version", "source_seq", "legs", "ts", "booked_ts"):
            value = sent.get(field)
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 25:
                sent[field] = int(value)
        try:
            ts = timestamp(sent["ts"], "ts") if "ts" in sent else 0
        except Rejected as error:
            on_refusal(path, Refusal(line, error.field, error.reason))
            continue
        yield RawTrade(ts, {"source": "file"} | sent)


def _send(socket: ClientConnection, step: Sequence[Any], counts: dict[str, int], newest: dict[str, int]) -> None:
    trades = [message.row for message in step if type(message) is RawTrade]
    ticks = [message for message in step if type(message) is Tick]
    if ticks:
        for tick in ticks:
            if tick.mid or (tick.bid and tick.ask):  # of others the engine may keep the mark that it has
                newest[tick.instrument] = max(tick.ts, newest.get(tick.instrument, 0))
        socket.send(orjson.dumps({"ticks": [_tick_row(tick) for tick in ticks]}).decode())
        counts["ticks"] += len(ticks)
    for first in range(0, len(trades), FRAME_TRADES):
        frame = trades[first : first + FRAME_TRADES]
        # NDJSON gives exact Decimals and unbounded integers; the engine takes them as texts.
        socket.send(json.dumps({"trades": frame}, default=str))
        counts["trades"] += len(frame)
        _take_answer(socket, counts)


def _take_answer(socket: ClientConnection, counts: dict[str, int]) -> None:
    """Wait for the answer to a frame of trades. Only one such frame is in flight, so the next answer is its own."""
    while True:
        answer = orjson.loads(socket.recv(timeout=SETTLE_TIMEOUT_S))
        if answer.get("type") == "refused":
            counts["ticks_refused"] = counts.get("ticks_refused", 0) + int(answer["count"])
        elif answer.get("type") == "trades":
            for status, count in answer["counts"].items():
                if count:
                    counts[status] = counts.get(status, 0) + count
            return
        elif answer.get("type") == "error":
            raise EngineUnreachable(f"the engine refused a frame: {answer.get('title')}: {answer.get('detail')}")


def _tick_row(tick: Tick) -> dict[str, Any]:
    row = {"instrument": tick.instrument, "ts": tick.ts, "bid": tick.bid, "ask": tick.ask, "mid": tick.mid}
    return {key: value for key, value in row.items() if value is not None} | ({"source": tick.source} if tick.source else {})


def _wait_for_marks(url: str, newest: dict[str, int]) -> None:
    """Poll until the engine's marks are as new as the sent ticks; instruments unknown to the engine do not count."""
    opener = engine_opener()
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while newest and time.monotonic() < deadline:
        with opener.open(f"{url.rstrip('/')}/v1/marks?limit=1000000", timeout=10) as answer:
            rows = orjson.loads(answer.read())["rows"]
        # A price that the engine holds back has come, too.
        marks = {row["instrument"]: row["ts"] or 0 for row in rows if row["suspect"] is None}
        if all(marks[symbol] >= ts for symbol, ts in newest.items() if symbol in marks):
            return
        time.sleep(PACE_S)
    if newest:
        raise InputError("the engine did not publish the last ticks in time; were they refused?")


def _socket_url(url: str, path: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # bad brackets, or a port that is no number
        sound = False
    if not sound:
        raise EngineUnreachable(f"{url}: an address like http://127.0.0.1:8321 is expected")
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"
