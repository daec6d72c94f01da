"""What the store thread writes beside trades: marks, inputs of options, notices of trades, single writes."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from riskengine.errors import StoreError
from riskengine.market.option_market import Subject, subject_of
from riskengine.observe import get_logger
from riskengine.records.option_inputs import DatedInput
from riskengine.records.types import Notice, StoredMark
from riskengine.snapshot.snapshot import ExceptionItem
from riskengine.store.protocol import Store

MAX_PENDING_NOTICES = 30_000
"""Notices kept while the store is away: more than a list shows."""

SAVE_NOTICES = 1_000
"""Notices stored in one transaction, 10 ms: those of a first start keep no trade waiting for longer."""

NOTHING = -1
"""The number of no row: nobody has noticed anything."""

SAVE_EVERY_S = 1.0
"""Longest time for which rows count as not noticed that were, and had nothing about them."""

log = get_logger("riskengine.store")

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

WriteAnswer = Callable[[Any, StoreError | None], None]
"""Called on the store thread with what a write returned, or with None and the error that it raised."""


class Write(NamedTuple):
    """One write and its answer."""

    action: Callable[[Store], Any]
    answer: WriteAnswer


class SideWrites:
    """Writes that wait for their turn between two batches. Any thread may call `put`; the rest belongs to the store thread."""

    def __init__(self) -> None:
        self._writes: SimpleQueue[Write] = SimpleQueue()

    def put(self, write: Write) -> None:
        """Add a write."""
        self._writes.put(write)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self._writes.empty()

    def run(self, store: Store) -> None:
        """Do what waits. Each error goes to its answer; one about the store itself is raised as well."""
        while not self._writes.empty():
            write = self._writes.get()
            try:
                result = write.action(store)
            except StoreError as error:
                write.answer(None, error)
                if type(error) is not StoreError:  # it is about the store, not about the request
                    raise
            else:
                write.answer(result, None)

    def refuse(self, error: StoreError) -> None:
        """Answer what waits with `error`; it is not done later."""
        while not self._writes.empty():
            self._writes.get().answer(None, error)


class Newest(Generic[_Key, _Value]):
    """The newest value of each key, until it is stored. Any thread may call `put`; the rest is the store thread's."""

    def __init__(self) -> None:
        self._waiting: dict[_Key, _Value] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, pairs: Iterable[tuple[_Key, _Value]]) -> None:
        """Add values in place of older ones."""
        with self._lock:
            self._waiting.update(pairs)

    @contextmanager
    def taken(self) -> Iterator[Mapping[_Key, _Value]]:
        """What waits. A StoreError inside keeps it, but for values that newer ones have replaced meanwhile."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        try:
            yield waiting
        except StoreError:
            with self._lock:
                self._waiting = waiting | self._waiting
            raise


class PendingClosingMarks:
    """Closing marks that are to be stored before any mark from their cutoff on. Any thread may call `put`."""

    def __init__(self) -> None:
        self._marks = Newest[tuple[str, str], StoredMark]()

    def put(self, date: str, marks: Iterable[StoredMark]) -> None:
        """Add closing marks of a trading day in place of earlier ones."""
        self._marks.put(((date, mark.instrument), mark) for mark in marks)

    def save(self, store: Store) -> None:
        """Store them. Raises StoreError, and then keeps them: nothing that came later is stored before them."""
        with self._marks.taken() as waiting:
            by_date: dict[str, list[StoredMark]] = {}
            for (date, _), mark in waiting.items():
                by_date.setdefault(date, []).append(mark)
            for date, marks in by_date.items():
                store.save_closing_marks(date, marks)


class PendingMarks:
    """The newest mark of each instrument, kept until it is stored.

    Closing marks that were put before a mark are stored before it. Any thread may call `put`, `note_stored` and `stored`; the
    rest is the store thread's.
    """

    def __init__(self) -> None:
        self._marks = Newest[str, StoredMark]()
        self._stored: dict[str, int] = {}
        self._lock = threading.Lock()
        self.closing = PendingClosingMarks()

    def note_stored(self, marks: Iterable[tuple[str, int]]) -> None:
        """The store holds, or has held, marks of these instruments and event times."""
        with self._lock:
            for instrument, ts in marks:
                self._stored[instrument] = max(ts, self._stored.get(instrument, ts))

    def stored(self) -> dict[str, int]:
        """The newest event time of each instrument that the store holds, unless somebody took it back. O(instruments)."""
        with self._lock:
            return dict(self._stored)

    def put(self, marks: Iterable[StoredMark]) -> None:
        """Add marks in place of older ones."""
        self._marks.put((mark.instrument, mark) for mark in marks)

    def save(self, store: Store) -> None:
        """Store them. Raises StoreError, and then keeps them."""
        with self._marks.taken() as marks:
            self.closing.save(store)  # now that the marks are fixed: what comes meanwhile has its turn next time
            if marks:
                store.save_marks(list(marks.values()))
                self.note_stored((mark.instrument, mark.ts) for mark in marks.values())

    def save_last(self, store: Store) -> None:
        """Store them at the end; where that fails, log it."""
        try:
            self.save(store)
        except StoreError as error:
            log.error("marks_not_stored", error=str(error), marks=len(self._marks))


class PendingOptionInputs:
    """The newest vol, rate or Greeks of each subject and day, kept until they are stored.

    Any thread may call `put`; the rest is the store thread's.
    """

    def __init__(self) -> None:
        self._rows = Newest[tuple[str, Subject], DatedInput]()

    def put(self, rows: Iterable[DatedInput]) -> None:
        """Add rows in place of older ones."""
        self._rows.put(((dated.day, subject_of(dated.row)), dated) for dated in rows)

    def save(self, store: Store) -> None:
        """Store them. Raises StoreError, and then keeps them."""
        with self._rows.taken() as rows:
            if rows:
                store.save_option_inputs(list(rows.values()))

    def save_last(self, store: Store) -> None:
        """Store them at the end; where that fails, log it."""
        try:
            self.save(store)
        except StoreError as error:
            log.error("option_inputs_not_stored", error=str(error), rows=len(self._rows))


class PendingNotices:
    """What was noticed of trades, kept until it is stored, and up to which row that is all.

    Any thread may call `put`; the rest is the store thread's. A notice is stored at once; the number of the row without one at
    least every SAVE_EVERY_S: what is beyond it is worked out again by the next start.
    """

    def __init__(self) -> None:
        self._notices: list[Notice] = []
        self._up_to = self._saved_up_to = NOTHING
        self._save_at = 0.0
        self._lock = threading.Lock()

    def put(self, notices: Iterable[Notice], up_to: int) -> bool:
        """Add notices; with those put before they are all there is about rows up to `up_to`. Whether there are any."""
        with self._lock:
            self._notices += notices
            self._up_to = max(self._up_to, up_to)
            return bool(self._notices)

    def save(self, store: Store, *, at_once: bool = False) -> None:
        """Store what waits, of many SAVE_NOTICES; `at_once` all of it. Raises StoreError, and then keeps the newest."""
        now = time.monotonic()
        with self._lock:
            size = len(self._notices) if at_once else SAVE_NOTICES
            notices, self._notices = self._notices[:size], self._notices[size:]
            up_to = self._saved_up_to if self._notices else self._up_to
        if not notices and (up_to == self._saved_up_to or (now < self._save_at and not at_once)):
            return
        try:
            store.save_notices(notices, up_to)
        except StoreError:
            with self._lock:
                self._notices = [*notices, *self._notices][-MAX_PENDING_NOTICES:]
            raise
        self._saved_up_to, self._save_at = up_to, now + SAVE_EVERY_S

    def save_last(self, store: Store) -> None:
        """Store them at the end; where that fails, log it."""
        try:
            self.save(store, at_once=True)
        except StoreError as error:
            log.error("notices_not_stored", error=str(error), notices=len(self._notices))


def notice_of(item: ExceptionItem) -> Notice:
    """The record of what was noticed of a trade."""
    trade = item.trade
    assert trade is not None, "a notice is about a trade"
    detail = msgspec.json.encode(item.detail).decode()
    return Notice(item.id, item.kind, item.ts, item.reason, detail, *trade.identity, trade.version)
