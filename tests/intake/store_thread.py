"""The store thread with a writer behind it, on a real store that fails where a test says so."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from riskengine.clock import SystemClock
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox, Receipt
from riskengine.engine.writer import Writer
from riskengine.errors import StoreUnavailable
from riskengine.intake.store_thread import StoreThread
from riskengine.observe import Metrics
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import StoredMark, Trade
from riskengine.snapshot.digest import digest
from riskengine.snapshot.snapshot import Snapshot, SnapshotHistory
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark, Stored
from riskengine.store.tables.bulk_trades import read_trades
from riskengine.store.trade_rows import TradeRow
from tests.store_book import INSTRUMENTS, NODES, TS, new_store
from tests.world import config

WAIT_S = 10
REFERENCE = Reference(NODES, INSTRUMENTS, "USD")


class Moody:
    """A store that fails where a test says so; otherwise the real one behind it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.batches: list[int] = []
        self.before: Callable[[Sequence[Trade]], None] = lambda trades: None
        self.after: Callable[[Sequence[Trade]], None] = lambda trades: None
        self.reading: Callable[[], None] = lambda: None
        self.rows: Callable[[Iterable[TradeRow]], Iterable[TradeRow]] = lambda rows: rows
        self.marking: Callable[[], None] = lambda: None
        self.writable = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def append_trades(self, trades: Sequence[Trade]) -> list[Stored]:
        self.before(trades)
        stored = self.store.append_trades(trades)
        self.batches.append(len(trades))
        self.after(trades)
        return stored

    def trades_beyond(self, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        self.reading()
        rows, reached = self.store.trades_beyond(bookmark, limit)
        return list(self.rows(rows)), reached

    def save_marks(self, marks: Sequence[StoredMark]) -> Any:
        self.marking()
        return self.store.save_marks(marks)

    def is_writable(self) -> bool:
        return self.writable and self.store.is_writable()


def away(*_: Any) -> None:
    raise StoreUnavailable("store engine.db is locked by another program")


class House:
    """A store, its thread, and a writer behind it."""

    def __init__(self, path: Path, max_trades: int = 100_000, batch_trades: int = 256) -> None:
        self.store = Moody(new_store(path))
        self.inbox = Inbox(max_trades)
        self.engine = Engine(REFERENCE, now=TS)
        self.history = SnapshotHistory(self.engine.snapshot, 60_000_000)
        self.snapshots: list[Snapshot] = []
        self.failures: list[BaseException] = []
        self.metrics = Metrics()
        self.store_thread = StoreThread(
            self.store,
            self.inbox,
            trade_check(REFERENCE),
            self.metrics,
            batch_trades=batch_trades,
            watermark=0,
            bookmark=Bookmark(),
            failed=self.failures.append,
        )
        self.writer = Writer(
            self.engine,
            self.inbox,
            self.history,
            SystemClock(),
            self.metrics,
            beat_us=10_000,
            store_marks_us=10**9,
            published=self.snapshots.append,
            save_marks=lambda marks: None,
            save_notices=lambda notices, up_to: None,
            failed=self.failures.append,
        )
        self.outside = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def start(self) -> "House":
        self.store_thread.start()
        self.writer.start()
        return self

    def stop(self) -> None:
        if self.store_thread._thread.is_alive():
            self.store_thread.drain()
        if self.writer.alive:
            self.writer.stop()
        if self.store_thread._thread.is_alive():
            self.store_thread.stop()
        self.outside.close()
        self.store.store.close()

    def submit(self, *trades: Trade) -> "Answer":
        answer = Answer()
        self.store_thread.submit(trades, answer)
        return answer

    def book(self, **columns: Any) -> int:
        """Insert a trade as a booking system would."""
        usual = {"trade_id": "B1", "ts": TS, "instrument": "EURUSD", "desk": "FX1", "side": "buy"}
        values = usual | {"quantity": "1", "price": "2"} | columns
        statement = f"INSERT INTO trades ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
        return int(self.outside.execute(statement, list(values.values())).lastrowid or 0)

    def holds(self, trades: int) -> bool:
        """Whether so many trades are effective in the newest snapshot."""
        return self.trades == trades

    @property
    def newest(self) -> Snapshot:
        return self.history.newest

    @property
    def trades(self) -> int:
        """Effective trades in the newest snapshot."""
        return self.newest.nodes.state(0).trade_count

    def check(self) -> None:
        """The engine is what a start from the store would be, and every room was given back once."""
        assert self.failures == []
        assert self.inbox.reserved == 0
        again = rebuild(self.store, read_trades(self.store), config(), epoch=0, now=TS)
        assert digest(self.newest) == digest(again.snapshot)
        assert self.newest.watermark == again.snapshot.watermark
        counts, expected = self.newest.counts, again.snapshot.counts
        assert (counts.applied, counts.quarantined, counts.parked) == (expected.applied, expected.quarantined, expected.parked)


class Answer:
    """Takes the receipts of one submission."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.came = threading.Event()

    def __call__(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)
        self.came.set()

    def wait(self) -> Receipt:
        assert self.came.wait(WAIT_S)
        [receipt] = self.receipts
        return receipt

    def statuses(self) -> list[str]:
        receipt = self.wait()
        assert receipt.error is None, receipt.error
        return [outcome.status for outcome in receipt.outcomes]
