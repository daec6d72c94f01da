"""Rows that others write into `trades`, between and beside our own: applied once, within a second."""

import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from riskengine.records.types import Trade
from tests.intake.store_thread import House
from tests.store_book import trade
from tests.waiting import wait_until


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "engine.db")
    yield made
    made.stop()


def test_a_row_of_another_program_is_applied_within_a_second(house: House) -> None:
    house.start()
    for number in range(3):
        time.sleep(0.11 * number)
        house.book(trade_id=f"B{number}", quantity="1000000")
        wait_until(partial(house.holds, number + 1), 1.0)
    assert house.newest.watermark == 3
    house.check()


def test_rows_of_others_are_seen_while_nothing_but_repeats_is_sent(house: House) -> None:
    house.start()
    house.submit(trade("a")).wait()
    house.store.before = lambda trades: time.sleep(0.005)  # so that something always waits
    stopping = threading.Event()

    def repeat() -> None:
        while not stopping.is_set():
            house.submit(trade("a"))
            time.sleep(0.0005)

    sender = threading.Thread(target=repeat)
    sender.start()
    house.book(trade_id="B1")
    try:
        wait_until(lambda: house.trades == 2, 1.0)
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
    wait_until(lambda: house.trades == 60 + booked, 1.5)
    for snapshot in house.snapshots:
        assert snapshot.nodes.state(0).trade_count == snapshot.watermark
    assert house.newest.counts.duplicates == 0
    house.check()


def test_the_version_that_stands_first_in_the_store_wins_over_ours_in_memory_too(house: House) -> None:
    """Others stored it before the poll saw it: ours is a conflict, theirs must be the one that is applied."""
    house.store_thread._ask_at = time.monotonic() + 1.0
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
    wait_until(lambda: house.newest.counts.quarantined and house.trades == 1, 1.0)
    [item] = house.newest.exceptions["quarantined"]
    assert "NOWHERE" in item.reason and item.detail == {"store_seq": seq}
    house.check()


def test_only_a_refused_row_moves_the_watermark_too(house: House) -> None:
    house.start()
    house.book(desk="NOWHERE")
    wait_until(lambda: house.newest.watermark == 1, 1.0)
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
    wait_until(lambda: house.trades == 6_001)
    house.check()
    house.stop()
