"""Compares an engine with its store in a child process, so that readers and trades of this process feel nothing.

The child reads the store's own account of everything (`store_side`) as soon as it starts, at low priority. `finish` sends it what
a snapshot holds, in slices that keep the interpreter for a fraction of a millisecond each, and returns what it found. The child
is a fresh interpreter and ends when this process does, in whatever way. It gets the store's URL, which may hold a password,
through its pipe only.

A comparison takes both sides at one watermark. A difference is not yet a break: on PostgreSQL a transaction with lower numbers
may become visible to the child before it has reached the engine, so the caller compares again.
"""

import marshal
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from riskengine import errors
from riskengine.config import Config
from riskengine.errors import ComparisonFailed, RiskEngineError
from riskengine.positions.ledger import Row
from riskengine.snapshot.compare import DEALER, NO_FEES, NODE, Break, Holding
from riskengine.snapshot.snapshot import Snapshot, Table

CHILD = "riskengine.reconciliation.comparison_child"

SLICE_ROWS = 128
"""Rows in one message: about an eighth of a millisecond."""

REST_S = 0.000_4
"""Pause between two messages, so that every other thread gets its turn."""

END_S = 2.0
"""How long a killed child may take to end."""

_amounts = attrgetter("quantity", "cash", "trade_count", "identities", "fees", "beside")


class Found(NamedTuple):
    """What one comparison of both sides found, by key.

    breaks    where they differ; a node with another parent in the other tree is a `hierarchy` break without an instrument
    compared  positions of either side
    watermark of both sides; `revision` is of the reference data by which the store's rows were read
    """

    breaks: list[Break]
    compared: int
    watermark: int
    revision: int


class Comparison:
    """One comparison. `start` and `finish` once each, by any thread; `close` by any thread at any time, and at the end."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def start(self, watermark: int, current_day: str = "", actions_day: str = "") -> None:
        """Have the child read the store up to number `watermark`, on a trading day. Returns at once. Raises ComparisonFailed.

        `actions_day` is the one by which corporate actions are in force.
        """
        with self._lock:
            if self._closed:
                raise ComparisonFailed("the comparison was given up")
            try:
                self._child = subprocess.Popen(  # noqa: S603 - our own interpreter
                    [sys.executable, "-m", CHILD],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=_environment(),
                    start_new_session=True,  # signals from a terminal to this program are not for the child
                )
            except OSError as error:
                raise ComparisonFailed(f"cannot start a process to compare in: {error.strerror or error}") from None
        config = msgspec.json.encode(self._config)
        days = {"day": current_day, "actions_day": actions_day}
        self._send({"url": self._config.store.url, "config": config, "watermark": watermark} | days)

    def finish(self, snapshot: Snapshot, rest_s: float = REST_S) -> Found:
        """Compare a snapshot with the store at its watermark. Blocks, for seconds on a large book, but delays no other thread.

        It sleeps `rest_s` between two messages; without a rest it ends sooner, at the cost of whatever else runs here. If the
        snapshot is of another watermark or day than `start`, the child reads the store again.

        Raises StoreError, ComparisonFailed.
        """
        with suppress(ComparisonFailed):  # a child that has ended may have sent the reason
            days = {"day": snapshot.current_day, "actions_day": snapshot.actions_day}
            self._send({"watermark": snapshot.watermark} | days)
            for message in _messages(snapshot):
                self._send(message)
                if rest_s:
                    time.sleep(rest_s)
            self._send({})
        try:
            answer = read_frame(self._pipes().stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, ValueError):
            raise ComparisonFailed("the process that compares has ended before it was done") from None
        if "error" in answer:
            raise _error(*answer["error"])
        breaks = [Break(kind, key, _holding(here), _holding(there)) for kind, key, here, there in answer["breaks"]]
        return Found(breaks, answer["compared"], answer["watermark"], answer["revision"])

    def close(self) -> None:
        """Kill the child, whatever it does. Idempotent."""
        with self._lock:
            self._closed, child, self._child = True, self._child, None
        if child is None:
            return
        child.kill()
        with suppress(subprocess.TimeoutExpired):
            child.wait(END_S)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError, ValueError):
                    pipe.close()

    def __enter__(self) -> "Comparison":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pipes(self) -> "subprocess.Popen[bytes]":
        child = self._child
        if child is None:
            raise ComparisonFailed("the comparison was given up")
        return child

    def _send(self, message: Any) -> None:
        pipe = self._pipes().stdin
        assert pipe is not None
        try:
            pipe.write(frame(message))
            pipe.flush()
        except (OSError, ValueError):
            raise ComparisonFailed("the process that compares has ended before it was done") from None


def compare_now(config: Config, snapshot: Snapshot) -> Found:
    """Compare a snapshot with the store from beginning to end. Blocks. Raises StoreError, ComparisonFailed."""
    with Comparison(config) as comparison:
        comparison.start(snapshot.watermark, snapshot.current_day, snapshot.actions_day)
        return comparison.finish(snapshot)


# -- what is sent ------------------------------------------------------------------------------------------------


def _messages(snapshot: Snapshot) -> Iterator[Any]:
    """The contents of a snapshot, in messages of about SLICE_ROWS rows or names at most."""
    hierarchy, symbols = snapshot.reference.hierarchy, snapshot.reference.symbols
    nodes = iter(hierarchy.nodes)
    while some := [(node.node, node.parent) for node in islice(nodes, SLICE_ROWS)]:
        yield {"parents": some}
    yield from _rows(NODE, hierarchy.names, snapshot.nodes, symbols)
    yield from _rows(DEALER, snapshot.dealer_names, snapshot.dealers, symbols)


def _figures(row: Row) -> tuple[Any, ...]:
    """The figures of a `Holding`. 0.2 us."""
    figures: tuple[Any, ...] = _amounts(row)
    return figures if figures[-1] is not None else (*figures[:-1], NO_FEES)


def _rows(rollup: str, names: tuple[str, ...], table: Table, symbols: tuple[str, ...]) -> Iterator[Any]:
    waiting: list[tuple[str, dict[str, Any]]] = []
    count = 0
    for owner, name in enumerate(names):
        rows = filter(None, chain.from_iterable(table.state(owner).pages))
        while part := {symbols[row.instrument]: _figures(row) for row in islice(rows, SLICE_ROWS)}:
            waiting.append((name, part))
            count += len(part) + 1
            if count >= SLICE_ROWS:
                yield {rollup: waiting}
                waiting, count = [], 0
    if waiting:
        yield {rollup: waiting}


# -- what comes back ---------------------------------------------------------------------------------------------


def _holding(figures: Sequence[Any] | None) -> Holding | None:
    return None if figures is None else Holding(*figures)


def _error(name: str, text: str) -> RiskEngineError:
    """The child's error as an exception of this process."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, RiskEngineError):
        return kind(text)
    return ComparisonFailed(f"the process that compares failed: {text}")


def _environment() -> dict[str, str]:
    """This process's environment, and this very program on the child's path."""
    package = str(Path(errors.__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": package if not known else f"{package}{os.pathsep}{known}"}


_LENGTH = 8


def frame(value: Any) -> bytes:
    """A value of plain types, encoded as one message."""
    body = marshal.dumps(value)
    return len(body).to_bytes(_LENGTH, "little") + body


def read_frame(stream: BinaryIO) -> Any:
    """The value of the next message. Raises EOFError if there is none, or not all of it."""
    return decode_body(read_body(stream))


def read_body(stream: BinaryIO) -> bytes:
    """The next message as it came, for `decode_body`. Raises EOFError."""
    return _read_exactly(stream, int.from_bytes(_read_exactly(stream, _LENGTH), "little"))


def decode_body(body: bytes) -> Any:
    """The value of a message from `read_body`."""
    return marshal.loads(body)  # noqa: S302 - written by our own parent or child


def _read_exactly(stream: BinaryIO, length: int) -> bytes:
    found = stream.read(length)
    if len(found) < length:
        raise EOFError("the other process has ended")
    return found
