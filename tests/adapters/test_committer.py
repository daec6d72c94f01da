"""The store thread: one transaction for whatever waits, every trade applied exactly once, whatever the store does."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from riskengine.adapters.committer import Committer
from riskengine.adapters.store import Store, Stored, TradeRow
from riskengine.clock import SystemClock
from riskengine.digest import digest
from riskengine.engine import Engine
from riskengine.errors import InboxFull, LeaseHeld, StoreUnavailable
from riskengine.hierarchy import Reference
from riskengine.inbox import Inbox, Receipt
from riskengine.messages import StoredMark, Trade
from riskengine.observe import Metrics
from riskengine.process import read_trades
from riskengine.snapshot import Snapshot, SnapshotHistory
from riskengine.start_of_day import rebuild, trade_check
from riskengine.writer import Writer
from tests.adapters.store_book import INSTRUMENTS, NODES, TS, new_store, trade
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

    def watermark(self) -> int:
        self.reading()
        return self.store.watermark()

    def trades_after(self, store_seq: int, limit: int | None = None) -> Iterator[TradeRow]:
        return iter(self.rows(self.store.trades_after(store_seq, limit)))

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
        self.committer = Committer(
            self.store, self.inbox, trade_check(REFERENCE), self.metrics, batch_trades=batch_trades, watermark=0,
            failed=self.failures.append,
        )  # fmt: skip
        self.writer = Writer(
            self.engine, self.inbox, self.history, SystemClock(), self.metrics, beat_us=10_000, store_marks_us=10**9,
            published=self.snapshots.append, save_marks=lambda marks: None, failed=self.failures.append,
        )  # fmt: skip
        self.outside = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def start(self) -> "House":
        self.committer.start()
        self.writer.start()
        return self

    def stop(self) -> None:
        if self.committer._thread.is_alive():
            self.committer.drain()
        if self.writer.alive:
            self.writer.stop()
        if self.committer._thread.is_alive():
            self.committer.stop()
        self.outside.close()
        self.store.store.close()

    def submit(self, *trades: Trade) -> "Answer":
        answer = Answer()
        self.committer.submit(trades, answer)
        return answer

    def book(self, **columns: Any) -> int:
        """Insert a trade as a booking system would."""
        usual = {"trade_id": "B1", "ts": TS, "instrument": "EURUSD", "desk": "FX1", "side": "buy"}
        values = usual | {"quantity": "1", "price": "2"} | columns
        statement = f"INSERT INTO trades ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
        return int(self.outside.execute(statement, list(values.values())).lastrowid or 0)

    def wait_until(self, holds: Callable[[], object], seconds: float = WAIT_S) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.005)

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
        time.sleep(0)
        [receipt] = self.receipts
        return receipt

    def statuses(self) -> list[str]:
        receipt = self.wait()
        assert receipt.error is None, receipt.error
        return [outcome.status for outcome in receipt.outcomes]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "engine.db")
    yield made
    made.stop()


# -- group commit ------------------------------------------------------------------------------------------------


def test_many_submitters_share_transactions_keep_their_order_and_get_one_answer_each(house: House) -> None:
    house.store.before = lambda trades: time.sleep(0.005)  # what a disk takes
    house.start()
    answers: dict[tuple[int, int], Answer] = {}

    def work(sender: int) -> None:
        for number in range(40):
            versions = [trade(f"{sender}-{number}", quantity=1, version=version) for version in (1, 2)]
            answers[sender, number] = house.submit(*versions)

    threads = [threading.Thread(target=work, args=(sender,)) for sender in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers.values():
        assert answer.statuses() == ["applied", "applied"]
    for sender in range(8):
        seqs = [answers[sender, number].wait().seq for number in range(40)]
        assert seqs == sorted(seqs)
    assert sum(house.store.batches) == 640
    assert max(house.store.batches) <= 256
    assert len(house.store.batches) < 80, "whatever waits goes into one transaction"
    rows = [(row.trade_id, row.version) for row in house.store.trades_after(0)]
    for sender in range(8):
        sent = [(f"{sender}-{number}", version) for number in range(40) for version in (1, 2)]
        assert [row for row in rows if row[0].startswith(f"{sender}-")] == sent
    house.check()


def test_a_submission_is_never_divided_even_above_the_size_of_a_batch(tmp_path: Path) -> None:
    house = House(tmp_path / "engine.db", batch_trades=4)
    sizes = (1, 3, 1, 9, 2)
    answers = [house.submit(*(trade(f"{place}-{n}") for n in range(size))) for place, size in enumerate(sizes)]
    house.start()
    for answer, size in zip(answers, sizes, strict=True):
        assert answer.statuses() == ["applied"] * size
    assert house.store.batches == [4, 1, 9, 2]
    house.check()
    house.stop()


def test_an_answer_s_snapshot_holds_its_trades_and_lists_no_later_ones(tmp_path: Path) -> None:
    house = House(tmp_path / "engine.db", batch_trades=3_000)
    answers = [house.submit(*(trade(f"{part}-{n:03}") for n in range(600))) for part in range(4)]
    house.start()
    for part, answer in enumerate(answers, start=1):
        snapshot = house.history.at(answer.wait().seq)
        assert snapshot.nodes.state(0).trade_count == snapshot.watermark >= 600 * part
    for snapshot in house.snapshots:
        assert snapshot.watermark == snapshot.nodes.state(0).trade_count
    house.stop()


def test_a_full_inbox_refuses_and_stores_nothing_and_room_comes_back(tmp_path: Path) -> None:
    house = House(tmp_path / "engine.db", max_trades=3)
    waiting = house.submit(trade("a"), trade("b"))
    with pytest.raises(InboxFull):
        house.submit(trade("c"), trade("d"))
    house.start()
    assert waiting.statuses() == ["applied", "applied"]
    assert [row.trade_id for row in house.store.trades_after(0)] == ["a", "b"]
    assert house.submit(trade("c"), trade("d"), trade("e")).statuses() == ["applied"] * 3
    house.check()
    house.stop()


def test_repeats_and_conflicts_are_answered_and_change_nothing(house: House) -> None:
    house.start()
    assert house.submit(trade("a"), trade("a"), trade("a", quantity=2)).statuses() == ["applied", "duplicate", "conflict"]
    assert house.submit(trade("a"), trade("a", quantity=3)).statuses() == ["duplicate", "conflict"]
    house.check()


# -- a store that fails --------------------------------------------------------------------------------------------


def test_a_store_that_is_away_answers_with_the_error_gives_the_room_back_and_recovers(house: House) -> None:
    house.start()
    house.store.before = away
    failed = [house.submit(trade("a")), house.submit(trade("b"), trade("c"))]
    for answer in failed:
        assert isinstance(answer.wait().error, StoreUnavailable)
        assert answer.wait().outcomes == ()
    assert house.inbox.reserved == 0
    assert house.committer.error is not None and "locked" in house.committer.error
    house.store.before = lambda trades: None
    assert house.submit(trade("a")).statuses() == ["applied"]
    house.wait_until(lambda: house.committer.error is None)
    assert house.trades == 1
    house.check()


def test_a_store_that_can_only_be_read_stays_away(house: House) -> None:
    house.store.before = away
    house.store.writable = False
    house.start()
    assert house.submit(trade("a")).wait().error is not None
    time.sleep(0.7)
    assert house.committer.error is not None
    house.store.writable = True
    house.wait_until(lambda: house.committer.error is None)


def test_a_commit_whose_answer_was_lost_is_looked_up_and_applied_exactly_once(house: House) -> None:
    house.start()
    assert house.submit(trade("before")).statuses() == ["applied"]
    house.store.after = away
    lost = house.submit(trade("a"), trade("b"))
    assert isinstance(lost.wait().error, StoreUnavailable)
    house.store.after = lambda trades: None
    house.wait_until(lambda: house.trades == 3)
    assert house.submit(trade("a"), trade("b")).statuses() == ["duplicate", "duplicate"]
    assert house.trades == 3
    house.check()


def test_a_lost_answer_and_a_retry_at_once_apply_once(house: House) -> None:
    house.start()
    house.store.after = away
    assert house.submit(trade("a")).wait().error is not None
    house.store.after = lambda trades: None
    assert house.submit(trade("a"), trade("b")).statuses() == ["duplicate", "applied"]
    house.check()


def test_a_failure_while_reading_the_rows_before_ours_loses_neither(house: House) -> None:
    """Ours are committed, others' stand before them, and reading those breaks in the middle."""
    house.committer._ask_at = time.monotonic() + 1.0  # so that the commit finds the gap, not the poll
    for number in range(5):
        house.book(trade_id=f"B{number}")

    def broken(rows: Iterable[TradeRow]) -> Iterator[TradeRow]:
        for row in rows:
            yield row
            if row.store_seq == 3:
                away()

    house.store.rows = broken
    answer = house.submit(trade("a"))
    house.start()
    assert answer.wait().error is not None
    house.store.rows = lambda rows: rows
    house.wait_until(lambda: house.trades == 6)
    house.check()


def test_an_engine_whose_place_was_taken_does_not_go_on(house: House) -> None:
    def fenced(trades: Sequence[Trade]) -> None:
        raise LeaseHeld("store engine.db has a newer writer")

    house.store.before = fenced
    house.start()
    assert isinstance(house.submit(trade("a")).wait().error, LeaseHeld)
    house.wait_until(lambda: house.failures)
    assert isinstance(house.failures[0], LeaseHeld)


def test_a_mistake_in_the_store_thread_is_told_and_drain_does_not_wait_for_it(house: House) -> None:
    def wrong(trades: Sequence[Trade]) -> None:
        raise ZeroDivisionError

    house.store.before = wrong
    house.start()
    house.submit(trade("a"))
    house.wait_until(lambda: house.failures)
    started = time.monotonic()
    house.committer.drain()
    assert time.monotonic() - started < 2


# -- rows of others ----------------------------------------------------------------------------------------------


def test_a_row_of_another_program_is_applied_within_a_second(house: House) -> None:
    house.start()
    for number in range(3):
        time.sleep(0.11 * number)
        house.book(trade_id=f"B{number}", quantity="1000000")
        house.wait_until(lambda number=number: house.trades == number + 1, 1.0)
    assert house.newest.watermark == 3
    house.check()


def test_rows_of_others_are_seen_while_nothing_but_repeats_is_sent(house: House) -> None:
    house.start()
    house.submit(trade("a")).wait()
    stopping = threading.Event()

    def repeat() -> None:
        while not stopping.is_set():
            house.submit(trade("a"))
            time.sleep(0.001)

    sender = threading.Thread(target=repeat)
    sender.start()
    house.book(trade_id="B1")
    try:
        house.wait_until(lambda: house.trades == 2, 1.0)
    finally:
        stopping.set()
        sender.join()


def test_rows_between_and_beside_our_batches_are_applied_once(house: House) -> None:
    house.start()
    booked = 0

    def between(trades: Sequence[Trade]) -> None:
        nonlocal booked
        house.book(trade_id=f"B{booked}")
        booked += 1

    house.store.before = between
    house.store.after = between
    answers = [house.submit(trade(f"{n}")) for n in range(60)]
    for answer in answers:
        assert answer.statuses() == ["applied"]
    house.wait_until(lambda: house.trades == 60 + booked, 1.5)
    for snapshot in house.snapshots:
        assert snapshot.nodes.state(0).trade_count == snapshot.watermark
    assert house.newest.counts.duplicates == 0
    house.check()


def test_the_version_that_stands_first_in_the_store_wins_over_ours_in_memory_too(house: House) -> None:
    """Others stored it before the poll saw it: ours is a conflict, theirs must be the one that is applied."""
    house.committer._ask_at = time.monotonic() + 1.0
    house.book(source="api", trade_id="T1", quantity="7", price="1.5")
    house.book(source="api", trade_id="T2")
    answers = house.submit(trade("T1")), house.submit(trade("T2", quantity=1, price=2))
    house.start()
    assert answers[0].statuses() == ["conflict"]
    assert answers[1].statuses() == ["duplicate"]
    house.check()


def test_a_row_that_names_an_unknown_desk_is_listed_as_quarantined_within_a_second(house: House) -> None:
    house.start()
    seq = house.book(trade_id="B1", desk="NOWHERE")
    house.book(trade_id="B2")
    house.wait_until(lambda: house.newest.counts.quarantined and house.trades == 1, 1.0)
    [item] = house.newest.exceptions["quarantined"]
    assert "NOWHERE" in item.reason and item.detail == {"store_seq": seq}
    house.check()


def test_only_a_refused_row_moves_the_watermark_too(house: House) -> None:
    house.start()
    house.book(desk="NOWHERE")
    house.wait_until(lambda: house.newest.watermark == 1, 1.0)
    house.check()


def test_a_trade_whose_identity_is_taken_by_an_unreadable_row_is_a_conflict_and_not_applied(house: House) -> None:
    house.start()
    house.book(source="api", trade_id="T1", desk="NOWHERE")
    assert house.submit(trade("T1")).statuses() == ["conflict"]
    assert house.trades == 0
    house.check()


def test_a_bulk_load_of_another_program_comes_in_whole_beside_our_own_trades(tmp_path: Path) -> None:
    house = House(tmp_path / "engine.db", batch_trades=16)
    house.start()
    house.outside.execute("BEGIN")
    for number in range(6_000):
        house.book(trade_id=f"B{number:04}")
    house.outside.execute("COMMIT")
    assert house.submit(trade("a")).statuses() == ["applied"]
    house.wait_until(lambda: house.trades == 6_001)
    house.check()
    house.stop()


# -- marks and the end -------------------------------------------------------------------------------------------


def test_marks_are_stored_soon_the_newest_of_each_and_kept_while_the_store_is_away(house: House) -> None:
    house.start()
    house.store.marking = away
    house.committer.save_marks([StoredMark("EURUSD", TS, 1.1), StoredMark("BTCUSD", TS, 60_000.0)])
    house.wait_until(lambda: house.committer.error)
    house.committer.save_marks([StoredMark("EURUSD", TS + 1, 1.2)])
    house.store.marking = lambda: None
    house.wait_until(lambda: len(house.store.marks()) == 2)
    assert [(mark.instrument, mark.price) for mark in house.store.marks()] == [("BTCUSD", 60_000.0), ("EURUSD", 1.2)]
    house.wait_until(lambda: house.committer.error is None)


def test_stop_stores_what_waits_and_the_last_marks(house: House) -> None:
    answers = [house.submit(trade(f"{n}")) for n in range(500)]
    house.start()
    house.committer.save_marks([StoredMark("EURUSD", TS, 1.1)])
    house.committer.drain()
    assert all(answer.came.is_set() for answer in answers), "drained means answered"
    house.writer.stop()
    house.committer.stop()
    assert [mark.price for mark in house.store.marks()] == [1.1]
    house.check()


def test_marks_that_cannot_be_stored_at_the_end_are_no_failure_of_the_engine(house: House) -> None:
    house.store.marking = away
    house.start()
    house.committer.save_marks([StoredMark("EURUSD", TS, 1.1)])
    house.wait_until(lambda: house.committer.error)
    house.stop()
    assert house.failures == []
