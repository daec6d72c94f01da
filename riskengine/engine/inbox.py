"""The writer's queue: trades in order and never dropped, prices coalesced to one batch, everything bounded.

Room for trades is reserved before they are stored and released when they are answered. So nothing behind the store can refuse a
trade: every stored trade is applied. At most one batch of prices waits; their owner keeps coalescing until the writer has taken
it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from riskengine.engine.engine import Engine, Outcome
from riskengine.errors import InboxFull
from riskengine.market.marks import Mark
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference
from riskengine.records.types import Trade


class Receipt(NamedTuple):
    """The answer to trades: one outcome each and the `seq` of the published snapshot that has them, or the error."""

    outcomes: Sequence[Outcome]
    seq: int
    error: Exception | None = None


class DurableTrades(NamedTuple):
    """Trades that the store has committed. The writer thread calls `answer` after publication.

    `watermark` is the store_seq up to which the engine has every row once it has these. `kept_apart` are the places of those
    trades that the store keeps as conflicts, because another row has their identity and version. `submitted_at` is when they
    came in, by `perf_counter`; None for rows that other programs wrote.
    """

    trades: Sequence[Trade]
    watermark: int
    answer: Callable[[Receipt], None]
    kept_apart: frozenset[int] = frozenset()
    submitted_at: float | None = None


class Prices(NamedTuple):
    """Marks that changed since the last beat, by instrument number in `reference`. The writer owns them from then on.

    `inputs` are the vols, rates and Greeks that changed with them, by name.
    """

    marks: Mapping[int, Mark]
    reference: Reference
    inputs: Sequence[OptionInput] = ()


class WriterCall(NamedTuple):
    """A call on the writer thread between two batches. The writer calls what it returns after the next publication."""

    action: Callable[[Engine], Callable[[], None] | None]


class Stop(NamedTuple):
    """Tells the writer to finish what waits and to end."""


Message = DurableTrades | Prices | WriterCall | Stop


class Inbox:
    """The queue. Any thread puts; only the writer takes."""

    def __init__(self, max_trades: int) -> None:
        self.max_trades = max_trades
        self._queue: SimpleQueue[Message] = SimpleQueue()
        self._reserved = 0
        self._lock = threading.Lock()
        self._prices_wait = False

    @property
    def reserved(self) -> int:
        """How many trades are on their way through store and writer."""
        return self._reserved

    def reserve(self, count: int) -> None:
        """Reserve room for `count` trades. Raises InboxFull, and then reserves nothing."""
        with self._lock:
            if self._reserved + count > self.max_trades:
                raise InboxFull(f"{self._reserved} trades are waiting, no room for {count} more; the limit is {self.max_trades}")
            self._reserved += count

    def reserve_stored(self, count: int) -> None:
        """Count trades that are already stored, even beyond the limit: they can no longer be refused."""
        with self._lock:
            self._reserved += count

    def release(self, count: int) -> None:
        """Release the room of `count` trades."""
        with self._lock:
            assert self._reserved >= count, "released more than was reserved"
            self._reserved -= count

    def put_trades(self, trades: DurableTrades) -> None:
        """Put committed trades. The caller has reserved their room."""
        self._queue.put(trades)

    def put_call(self, action: Callable[[Engine], Callable[[], None] | None]) -> None:
        """Put a call for the writer thread. The writer calls what it returns once a snapshot shows the effect."""
        self._queue.put(WriterCall(action))

    @property
    def takes_prices(self) -> bool:
        """Whether the writer has taken the last batch of prices. Only for the one thread that puts prices."""
        return not self._prices_wait

    def put_prices(self, marks: Mapping[int, Mark], reference: Reference, inputs: Sequence[OptionInput] = ()) -> None:
        """Put one batch of changed marks, numbered by `reference`, and inputs of options; only while `takes_prices`.

        The writer then owns them.
        """
        assert not self._prices_wait, "prices are put one batch at a time"
        self._prices_wait = True
        self._queue.put(Prices(marks, reference, inputs))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits right now."""
        return self._queue.empty()

    def put_stop(self) -> None:
        """Tell the writer to finish what waits before this, and to end."""
        self._queue.put(Stop())

    def take(self, timeout_s: float) -> list[Message]:
        """Take everything that waits, in order. Waits up to `timeout_s` for the first message. Writer thread only."""
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
