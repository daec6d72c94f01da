"""Vols, rates and Greeks in the store, on both databases: the newest of each subject and day, told apart by who wrote it."""

from collections.abc import Iterator

import pytest

from riskengine.errors import StoreCorrupt, StoreError
from riskengine.records.option_inputs import CutSpot, DatedInput, OptionInput, PushedGreeks, RateRow, SurfaceRow, Vol
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store_book import TS, Outside, new_store

DAY, BEFORE = "2026-11-20", "2026-11-19"
ROWS: list[OptionInput] = [
    Vol("ESZ6", TS, 0.1875, "desk"),
    SurfaceRow("EURUSD", "2027-06-18", TS, 0.08, -0.01, 0.002, None, None, "broker"),
    RateRow("EURUSD", "points", "2027-06-18", TS, 0.0123, "broker"),
    RateRow("USD", "df", "2027-06-18", TS, 0.975, "treasury"),
    PushedGreeks("ESZ6", TS, 1.1, 0.08, 0.02, 0.5, 3.0, 0.002, -0.0001, "vendor"),
    CutSpot("ESZ6", TS, 5_012.25, "mark"),
]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = new_store(store_url)
    yield made
    made.close()


def save(store: Store, *rows: OptionInput, day: str = DAY) -> None:
    store.save_option_inputs([DatedInput(day, row) for row in rows])


def by_text(rows: list[OptionInput]) -> list[str]:
    return sorted(map(repr, rows))


def test_what_is_saved_is_read_to_the_last_bit(store: Store) -> None:
    save(store, *ROWS)
    assert by_text(store.option_inputs()) == by_text(ROWS)


def test_of_a_subject_and_day_the_newest_is_kept(store: Store) -> None:
    save(store, Vol("ESZ6", TS, 0.2), Vol("ESZ6", TS - 1, 0.3))
    save(store, Vol("ESZ6", TS - 1, 0.4))
    assert store.option_inputs() == [Vol("ESZ6", TS, 0.2)]
    save(store, Vol("ESZ6", TS, 0.5))
    assert store.option_inputs() == [Vol("ESZ6", TS, 0.5)], "of equal times the later arrival"


def test_a_day_keeps_its_newest_when_the_next_one_has_begun(store: Store) -> None:
    save(store, Vol("ESZ6", TS, 0.3))
    save(store, Vol("ESZ6", TS - 9, 0.2), day=BEFORE)
    assert store.option_inputs() == [Vol("ESZ6", TS - 9, 0.2), Vol("ESZ6", TS, 0.3)], "earlier days first"


def test_a_rate_and_a_discount_factor_are_one_subject_and_a_pair_s_points_another(store: Store) -> None:
    save(store, RateRow("USD", "rate", "2027-06-18", TS, 0.04))
    save(store, RateRow("USD", "df", "2027-06-18", TS + 1, 0.97), RateRow("USD", "points", "2027-06-18", TS, 0.1))
    kinds = [row.kind for row in store.option_inputs() if isinstance(row, RateRow)]
    assert sorted(kinds) == ["df", "points"]


def test_old_days_go_but_for_the_newest_row_of_a_subject(store: Store) -> None:
    save(store, Vol("ESZ6", TS - 30, 0.1), Vol("OLD", TS - 30, 0.4), day="2026-10-01")
    save(store, Vol("ESZ6", TS - 20, 0.2), day="2026-11-10")
    save(store, Vol("ESZ6", TS, 0.3))
    assert [row.vol for row in store.option_inputs() if isinstance(row, Vol)] == [0.4, 0.2, 0.3]


def test_a_follower_hears_of_rows_of_others_and_not_of_the_engine_s_own(store_url: str) -> None:
    new_store(store_url).close()
    engine = open_store(store_url)
    try:
        engine.acquire_writer("a test")
        engine.next_epoch()
        _, seen = engine.changes_beyond(None)
        save(engine, *ROWS)
        kinds, seen = engine.changes_beyond(seen)
        assert (sorted(kinds), engine.option_inputs_of_others()) == ([], [])
        other = open_store(store_url)
        save(other, Vol("ESZ6", TS + 1, 0.25))
        other.close()
        kinds, seen = engine.changes_beyond(seen)
        assert (sorted(kinds), engine.option_inputs_of_others()) == (["option_inputs"], [Vol("ESZ6", TS + 1, 0.25)])
    finally:
        engine.close()


def test_a_row_that_another_program_corrects_is_no_longer_the_engine_s(store_url: str) -> None:
    new_store(store_url).close()
    engine = open_store(store_url)
    try:
        engine.acquire_writer("a test")
        engine.next_epoch()
        save(engine, *ROWS)
        program = Outside(store_url)
        program.execute("UPDATE vols SET vol = 0.5")
        program.close()
        assert engine.option_inputs_of_others() == [Vol("ESZ6", TS, 0.5, "desk")]
    finally:
        engine.close()


@pytest.mark.parametrize("vol", [0, -0.1, 30])
def test_no_program_can_write_a_vol_that_is_none(store: Store, store_url: str, vol: float) -> None:
    program = Outside(store_url)
    with pytest.raises(program.refused):
        program.execute(f"INSERT INTO vols (instrument, ts, vol) VALUES ('ESZ6', {TS}, {float(vol)})")
    program.close()


def test_a_date_of_another_program_that_is_none_is_named(store: Store, store_url: str) -> None:
    program = Outside(store_url)
    program.execute(
        f"INSERT INTO rates (subject_kind, subject, date, ts, kind, value) VALUES ('currency', 'USD', 'soon', {TS}, 'rate', 0.04)"
    )
    program.close()
    with pytest.raises(StoreCorrupt, match=r"the table rates has a row whose date: is not a date: 'soon': correct it"):
        store.option_inputs()


def test_rows_about_a_removed_instrument_go_with_it(store: Store) -> None:
    save(store, *ROWS)
    assert store.remove_instruments(["ESZ6", "EURUSD"]).removed == ("ESZ6", "EURUSD")
    assert store.option_inputs() == [ROWS[3]]


def test_a_store_that_is_away_keeps_nothing_half(store: Store) -> None:
    with pytest.raises(StoreError):
        save(store, Vol("ESZ6", TS, 0.2), Vol("ESZ6", TS + 1, 7.0))
    assert store.option_inputs() == []
