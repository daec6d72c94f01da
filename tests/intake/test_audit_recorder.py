"""Rows that other programs wrote get into the audit trail, beside a live engine and without holding it up."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskengine.errors import StoreUnavailable
from riskengine.intake import audit_recorder as module
from riskengine.intake.audit_recorder import Recorder
from riskengine.records.reference import trade_check
from riskengine.store.audit_chain import AuditEvent, AuditFilter, rows_detail
from riskengine.store.protocol import Store
from tests.intake.store_thread import REFERENCE, Answer, House
from tests.store_book import TS, Outside, new_store, trade
from tests.waiting import wait_until


def covered(store: Store) -> list[list[int]]:
    """The rows of each entry about trades."""
    return [rows_detail(entry.detail).store_seqs for entry in store.audit_entries(AuditFilter(kind="trades"), 1_000_000)]


def clean(store: Store) -> None:
    report = store.verify_audit()
    assert (report.findings, report.unrecorded) == ([], 0)


def work(recorder: Recorder, store: Store) -> int:
    """All that there is to do. In how many slices."""
    slices = 0
    while recorder.due_s() < 1:
        time.sleep(recorder.due_s())
        recorder.work(store)
        slices += 1
        assert slices < 1_000
    return slices


def book(outside: Outside, count: int, start: int = 0) -> None:
    outside.execute("BEGIN")
    for number in range(start, start + count):
        outside.book(trade_id=f"B{number}")
    outside.execute("COMMIT")


def caught_up(store: Store) -> int:
    return len(store.audit_entries(AuditFilter(kind="caught_up"), 100))


def test_what_was_written_while_no_engine_ran_is_recorded_after_the_start(store: Store, outside: Outside) -> None:
    store.append_trades([trade("A")])
    book(outside, 3)
    store.append_trades([trade("B")])
    work(Recorder(), store)
    assert covered(store) == [[1], [5], [2, 3, 4]]
    assert caught_up(store) == 1
    clean(store)


def test_rows_are_recorded_in_small_slices(store: Store, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_ROWS", 40)
    monkeypatch.setattr(module, "RECORD_ROWS", 15)
    book(outside, 100)
    assert work(Recorder(), store) >= 7
    assert max(map(len, covered(store))) <= 15
    assert sorted(number for rows in covered(store) for number in rows) == list(range(1, 101))
    clean(store)


def test_rows_handed_to_the_writer_are_recorded_before_the_old_ones(store: Store, outside: Outside) -> None:
    book(outside, 3)
    recorder = Recorder()
    recorder.note_followed([3])
    work(recorder, store)
    assert covered(store) == [[3], [1, 2]]
    clean(store)


def test_rows_that_a_loader_recorded_itself_are_not_recorded_again(store: Store, outside: Outside) -> None:
    recorder = Recorder()
    work(recorder, store)
    store.append_trades([trade("A"), trade("B")])
    recorder.note_followed([1, 2])
    work(recorder, store)
    assert covered(store) == [[1, 2]]


def test_after_the_engine_was_rebuilt_everything_is_gone_through_again(store: Store, outside: Outside) -> None:
    recorder = Recorder()
    work(recorder, store)
    book(outside, 2)
    assert recorder.due_s() > 1e9
    recorder.sweep()
    work(recorder, store)
    assert covered(store) == [[1, 2]]
    assert caught_up(store) == 2


def test_more_rows_than_can_be_remembered_are_found_in_the_store(
    store: Store, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    recorder = Recorder()
    work(recorder, store)
    book(outside, 5)
    for number in range(1, 6):
        recorder.note_followed([number])
    work(recorder, store)
    assert sorted(number for rows in covered(store) for number in rows) == [1, 2, 3, 4, 5]
    clean(store)


def test_what_the_store_refuses_is_tried_again(store: Store, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    book(outside, 2)
    recorder = Recorder()
    recorder.record([AuditEvent("start", "1", {}, "engine")])

    def away(*_: object) -> None:
        raise StoreUnavailable("store is away")

    for name in ("record", "audit_horizon", "record_followed"):
        with monkeypatch.context() as patched:
            patched.setattr(store, name, away)
            with pytest.raises(StoreUnavailable):
                work(recorder, store)
    work(recorder, store)
    assert covered(store) == [[1, 2]]
    assert len(store.audit_entries(AuditFilter(kind="start"))) == 1
    clean(store)


def test_a_row_that_commits_late_waits_and_is_recorded_when_it_is_handed_over(postgres_url: str) -> None:
    """It took its number before the trail caught up, with a higher one: no finding while no engine has had the chance."""
    store, late, early = new_store(postgres_url), Outside(postgres_url), Outside(postgres_url)
    late.execute("BEGIN")
    late.book(trade_id="late")
    early.book(trade_id="early")
    recorder = Recorder()
    work(recorder, store)
    late.execute("COMMIT")
    report = store.verify_audit()
    assert (report.unrecorded, report.findings, covered(store)) == (1, [], [[2]])
    recorder.note_followed([1])
    work(recorder, store)
    assert covered(store) == [[2], [1]]
    clean(store)
    for each in (store, late, early):
        each.close()


# -- on the store thread -------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    opened = House(tmp_path / "engine.db")
    yield opened
    opened.stop()


def test_rows_that_the_engine_follows_are_recorded_soon(house: House) -> None:
    house.start()
    house.submit(trade("A")).wait()
    house.book(trade_id="B1")
    house.book(trade_id="B2")
    wait_until(lambda: sum(map(len, covered(house.store.store))) == 3, 2.0)
    assert covered(house.store.store)[0] == [1]
    clean(house.store.store)


def test_rows_from_before_are_recorded_while_trades_are_taken(house: House) -> None:
    house.outside.execute("BEGIN")
    for number in range(3_000):
        house.book(trade_id=f"B{number}")
    house.outside.execute("COMMIT")
    house.start()
    for number in range(100):
        house.submit(trade(f"A{number}", ts=TS + number)).wait()
    wait_until(lambda: caught_up(house.store.store) == 1)
    actors = [entry.actor for entry in house.store.store.audit_entries(AuditFilter(kind="trades"), 1_000)]
    first_of_ours = next(place for place, actor in enumerate(actors) if actor != "followed")
    assert "followed" in actors[first_of_ours:], "trades do not wait until all is recorded"
    assert sum(map(len, covered(house.store.store))) == 3_100
    clean(house.store.store)


def test_rows_that_a_new_engine_read_for_itself_are_recorded(house: House) -> None:
    """It follows from a later position: those before it were never handed over here."""
    house.start()
    wait_until(lambda: caught_up(house.store.store) == 1)

    def change_over(store: Store) -> None:
        house.book(trade_id="B1")
        house.store_thread.take_over(trade_check(REFERENCE), store.bookmark(), store.watermark())

    done = Answer()
    house.store_thread.write(change_over, lambda result, error: done.came.set())
    assert done.came.wait(10)
    wait_until(lambda: caught_up(house.store.store) == 2)
    assert covered(house.store.store) == [[1]]
    clean(house.store.store)


def test_what_is_left_is_recorded_at_the_end(house: House) -> None:
    house.start()
    wait_until(lambda: caught_up(house.store.store) == 1)
    house.book(trade_id="B1")
    wait_until(lambda: house.trades == 1)
    house.store_thread.drain()
    house.writer.stop()
    house.store_thread.stop()
    clean(house.store.store)
