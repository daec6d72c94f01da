"""Coalescing vols, rates and Greeks changes nothing: writer and store end where every row one by one would have led."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from riskengine.market.option_input_book import OptionInputBook
from riskengine.market.option_market import OptionMarket, subject_of
from riskengine.records.option_inputs import OptionInput, Vol

NOW = 1_000_000_000_000
BOUNDARY = NOW + 2

Step = OptionInput | str


def day_of(ts: int) -> dt.date:
    return dt.date(2026, 11, 20 if ts < BOUNDARY else 21)


VOLS = st.builds(Vol, st.sampled_from("AB"), st.integers(NOW, NOW + 4), st.sampled_from([0.1, 0.2]))


@given(st.lists(st.one_of(VOLS, st.sampled_from(["beat", "save"]))))
def test_coalesced_rows_lead_to_the_same_market_and_the_same_days(steps: list[Step]) -> None:
    book, writer, plain = OptionInputBook(day_of), OptionMarket(), OptionMarket()
    stored: dict[tuple[str, str], OptionInput] = {}
    expected: dict[tuple[str, str], OptionInput] = {}

    def save() -> None:
        for dated in book.take_unsaved():
            assert isinstance(dated.row, Vol)
            stored[dated.day, dated.row.instrument] = dated.row

    for step in [*steps, "beat", "save"]:
        if step == "beat":
            writer.take(book.take_changed(), NOW)
        elif step == "save":
            save()
        else:
            assert isinstance(step, Vol)
            was_older = bool(plain.take([step], NOW).older)
            assert book.offer([step], NOW) == ([0] if was_older else [])
            if not was_older:
                expected[day_of(step.ts).isoformat(), step.instrument] = step
    assert dict(writer.vols) == dict(plain.vols)
    assert stored == expected


def test_what_the_store_holds_goes_to_the_writer_and_not_back() -> None:
    book = OptionInputBook(day_of)
    assert book.take_stored([Vol("A", NOW, 0.1)], NOW) == 1
    assert (book.take_changed(), book.take_unsaved()) == ((Vol("A", NOW, 0.1),), ())
    assert book.take_stored([Vol("A", NOW, 0.1), Vol("A", NOW - 1, 0.9)], NOW) == 0
    assert book.take_changed() == ()


def test_what_is_known_already_is_taken_and_changes_nothing() -> None:
    book = OptionInputBook(day_of, [Vol("A", NOW, 0.1)], NOW)
    assert book.offer([Vol("A", NOW, 0.1), Vol("A", NOW - 1, 0.1)], NOW) == [1]
    assert (book.take_changed(), book.take_unsaved(), len(book)) == ((), (), 1)


@given(st.lists(st.one_of(VOLS, st.sampled_from(["beat", "save", "start"]))))
def test_the_close_gets_the_newest_row_of_before_the_boundary_however_rows_come_and_whenever_it_starts(steps: list[Step]) -> None:
    book, stored = OptionInputBook(day_of), dict[tuple[str, str], OptionInput]()
    expected: dict[str, Vol] = {}
    book.set_boundary(BOUNDARY)
    for step in steps:
        if isinstance(step, Vol):
            book.offer([step], NOW)
            if step.ts < BOUNDARY and (step.instrument not in expected or step.ts >= expected[step.instrument].ts):
                expected[step.instrument] = step
        if step in ("save", "start"):
            stored |= {(dated.day, subject_of(dated.row)[1]): dated.row for dated in book.take_unsaved()}
        if step == "beat":
            book.take_changed()
        if step == "start":  # after a stop or a kill, from what is stored
            rows = sorted(stored.values(), key=lambda row: row.ts)
            book = OptionInputBook(day_of, rows, NOW)
            book.set_boundary(BOUNDARY, rows)
    assert {subject_of(row)[1]: row for row in book.closing_inputs()} == expected
