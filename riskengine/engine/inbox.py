"""What waits for the writer: trades in order and never dropped, prices coalesced to one batch, everything bounded.

Room for trades is reserved before anything is stored and given back when they are answered, so that a trade that was stored is
always applied: there is no place behind the store where it could be refused. Prices wait as one batch at most; their
owner keeps coalescing until the writer has taken it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from riskengine.engine.engine import Engine, Outcome
from riskengine.errors import InboxFull
from riskengine.market.marks import Mark
from riskengine.records.reference import Reference
from riskengine.records.types import Trade


class Receipt(NamedTuple):
    """The answer to trades: an outcome each and the `seq` of the published snapshot that holds them, or what went wrong."""

    outcomes: Sequence[Outcome]
    seq: int
    error: Exception | None = None


class DurableTrades(NamedTuple):
    """Trades that the store has committed. `answer` is called on the writer thread after publication.

    `watermark` is the store_seq up to which every row is in the engine once these are. `kept_apart` are the places of those that
    the store keeps apart as conflicts: another row has their identity and version. `submitted_at` is when they came by
    `perf_counter`, None for rows that others wrote.
    """

    trades: Sequence[Trade]
    watermark: int
    answer: Callable[[Receipt], None]
    kept_apart: frozenset[int] = frozenset()
    submitted_at: float | None = None


class Prices(NamedTuple):
    """Marks that changed since the last beat, by their number in `reference`. The writer owns them from now on."""

    marks: Mapping[int, Mark]
    reference: Reference


class WriterCall(NamedTuple):
    """Something to do on the writer thread between two batches. What it returns is called after the next publication."""

    action: Callable[[Engine], Callable[[], None] | None]


class Stop(NamedTuple):
    """Finish what waits and end."""


Message = DurableTrades | Prices | WriterCall | Stop


class Inbox:
    """The writer's queue. Any thread may put; only the writer takes."""

    def __init__(self, max_trades: int) -> None:
        self.max_trades = max_trades
        self._queue: SimpleQueue[Message] = SimpleQueue()
        self._reserved = 0
        self._lock = threading.Lock()
        self._prices_wait = False

    @property
    def reserved(self) -> int:
        """Trades on their way through store and writer."""
        return self._reserved

    def reserve(self, count: int) -> None:
        """Room for `count` trades. Raises InboxFull, and then nothing is reserved."""
        with self._lock:
            if self._reserved + count > self.max_trades:
                raise InboxFull(f"{self._reserved} trades are waiting, no room for {count} more; the limit is {self.max_trades}")
            self._reserved += count

    def reserve_stored(self, count: int) -> None:
        """Count trades that are in the store already, and so cannot be refused. They do not wait for room."""
        with self._lock:
            self._reserved += count

    def release(self, count: int) -> None:
        """Give back room."""
        with self._lock:
            assert self._reserved >= count, "released more than was reserved"
            self._reserved -= count

    def put_trades(self, trades: DurableTrades) -> None:
        """Committed trades, for which room was reserved before."""
        self._queue.put(trades)

    def put_call(self, action: Callable[[Engine], Callable[[], None] | None]) -> None:
        """Something to do on the writer thread; what it returns is called once a snapshot shows what it did."""
        self._queue.put(WriterCall(action))

    @property
    def takes_prices(self) -> bool:
        """Whether the last batch of prices has been taken. Asked and answered by the one thread that puts them."""
        return not self._prices_wait

    def put_prices(self, marks: Mapping[int, Mark], reference: Reference) -> None:
        """One batch of changed marks, numbered by `reference`; only while `takes_prices`. The writer owns them from now on."""
        assert not self._prices_wait, "prices are put one batch at a time"
        self._prices_wait = True
        self._queue.put(Prices(marks, reference))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits at this moment."""
        return self._queue.empty()

    def put_stop(self) -> None:
        """Ask the writer to finish what waits before this, then end."""
        self._queue.put(Stop())

    def take(self, timeout_s: float) -> list[Message]:
        """Everything that waits, in order; waits up to `timeout_s` for the first. Writer thread only."""
        messages: list[Message] = []
        try:
            messages.append(self._queue.get(timeout=timeout_s))
            while True:
                messages.append(self._queue.get_nowait())
        except Empty:
            pass
        if any(type(message) is Prices for message in messages):
            self._prices_wait = False
        return messages
