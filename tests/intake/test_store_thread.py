"""The store thread: one transaction for whatever waits, every trade applied exactly once, whatever the store does."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from riskengine.errors import InboxFull, LeaseHeld, StoreUnavailable
from riskengine.records.types import StoredMark, Trade
from riskengine.store.trade_rows import TradeRow
from tests.intake.store_thread import Answer, House, away
from tests.store_book import TS, trade
from tests.waiting import wait_until


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
    assert house.store_thread.error is not None and "locked" in house.store_thread.error
    house.store.before = lambda trades: None
    assert house.submit(trade("a")).statuses() == ["applied"]
    wait_until(lambda: house.store_thread.error is None)
    assert house.trades == 1
    house.check()


def test_a_store_that_can_only_be_read_stays_away(house: House) -> None:
    house.store.before = away
    house.store.writable = False
    house.start()
    assert house.submit(trade("a")).wait().error is not None
    time.sleep(0.7)
    assert house.store_thread.error is not None
    house.store.writable = True
    wait_until(lambda: house.store_thread.error is None)


def test_a_commit_whose_answer_was_lost_is_looked_up_and_applied_exactly_once(house: House) -> None:
    house.start()
    assert house.submit(trade("before")).statuses() == ["applied"]
    house.store.after = away
    lost = house.submit(trade("a"), trade("b"))
    assert isinstance(lost.wait().error, StoreUnavailable)
    house.store.after = lambda trades: None
    wait_until(lambda: house.trades == 3)
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
    house.store_thread._ask_at = time.monotonic() + 1.0  # so that the commit finds the gap, not the poll
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
    wait_until(lambda: house.trades == 6)
    house.check()


def test_an_engine_whose_place_was_taken_does_not_go_on(house: House) -> None:
    def fenced(trades: Sequence[Trade]) -> None:
        raise LeaseHeld("store engine.db has a newer writer")

    house.store.before = fenced
    house.start()
    assert isinstance(house.submit(trade("a")).wait().error, LeaseHeld)
    wait_until(lambda: house.failures)
    assert isinstance(house.failures[0], LeaseHeld)


def test_a_mistake_in_the_store_thread_is_told_and_drain_does_not_wait_for_it(house: House) -> None:
    def wrong(trades: Sequence[Trade]) -> None:
        raise ZeroDivisionError

    house.store.before = wrong
    house.start()
    house.submit(trade("a"))
    wait_until(lambda: house.failures)
    started = time.monotonic()
    house.store_thread.drain()
    assert time.monotonic() - started < 2


# -- marks and the end -------------------------------------------------------------------------------------------


def test_marks_are_stored_soon_the_newest_of_each_and_kept_while_the_store_is_away(house: House) -> None:
    house.start()
    house.store.marking = away
    house.store_thread.save_marks([StoredMark("EURUSD", TS, 1.1), StoredMark("BTCUSD", TS, 60_000.0)])
    wait_until(lambda: house.store_thread.error)
    house.store_thread.save_marks([StoredMark("EURUSD", TS + 1, 1.2)])
    house.store.marking = lambda: None
    wait_until(lambda: len(house.store.marks()) == 2)
    assert [(mark.instrument, mark.price) for mark in house.store.marks()] == [("BTCUSD", 60_000.0), ("EURUSD", 1.2)]
    wait_until(lambda: house.store_thread.error is None)


def test_stop_stores_what_waits_and_the_last_marks(house: House) -> None:
    answers = [house.submit(trade(f"{n}")) for n in range(500)]
    house.start()
    house.store_thread.save_marks([StoredMark("EURUSD", TS, 1.1)])
    house.store_thread.drain()
    assert all(answer.came.is_set() for answer in answers), "drained means answered"
    house.writer.stop()
    house.store_thread.stop()
    assert [mark.price for mark in house.store.marks()] == [1.1]
    house.check()


def test_marks_that_cannot_be_stored_at_the_end_are_no_failure_of_the_engine(house: House) -> None:
    house.store.marking = away
    house.start()
    house.store_thread.save_marks([StoredMark("EURUSD", TS, 1.1)])
    wait_until(lambda: house.store_thread.error)
    house.stop()
    assert house.failures == []


def test_what_else_is_to_be_written_is_answered_while_the_store_is_away_and_not_done_later(house: House) -> None:
    house.start()
    house.store.reading = away
    deadline = time.monotonic() + 5
    while house.store_thread.error is None:
        assert time.monotonic() < deadline, "never looked"
        time.sleep(0.01)
    done: list[object] = []
    answered = threading.Event()

    def answer(result: object, error: object) -> None:
        done.append(error)
        answered.set()

    house.store_thread.write(lambda store: done.append("written"), answer)
    assert answered.wait(5)
    assert [type(each) for each in done] == [StoreUnavailable]
    house.store.reading = lambda: None
    assert house.submit(trade("b")).statuses() == ["applied"]
    assert len(done) == 1
