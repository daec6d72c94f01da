"""The marks by which the writer values: which prices moved, which are fresh, which wait to be stored."""

import pytest

from riskengine.config import MarksConfig
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import Mark
from riskengine.market.suspects import SuspectLevel
from tests.world import NOON, REFERENCE, SECOND

EURUSD = REFERENCE.instrument_index["EURUSD"]


def mark(price: float, ts: int = NOON) -> Mark:
    return Mark(price, ts, "feed", "quote")


@pytest.fixture
def table() -> MarkTable:
    return MarkTable(REFERENCE, MarksConfig())


def test_the_table_tells_which_prices_moved(table):
    assert table.take({0: mark(1.0), 1: mark(2.0)}) == [0, 1]
    assert table.take({0: mark(1.0, NOON + 1), 1: mark(2.5, NOON + 1)}) == [1]


def test_staleness_is_judged_by_event_time(table):
    table.take({0: mark(1.0)})
    assert table.fresh(NOON + 60 * SECOND)[0]
    assert not table.fresh(NOON + 60 * SECOND + 1)[0]


def test_a_mark_from_further_ahead_of_the_clock_than_a_tick_may_be_is_not_fresh(table):
    table.take({0: mark(1.0)})
    assert table.fresh(NOON - 60 * SECOND)[0]
    assert not table.fresh(NOON - 60 * SECOND - 1)[0]


def test_an_instrument_never_marked_is_not_fresh(table):
    assert not table.fresh(0).any()


def test_changed_marks_wait_to_be_stored_once(table):
    table.take({1: mark(1.0), 0: mark(2.0)})
    table.take({1: mark(1.5, NOON + 1)})
    assert table.take_unsaved() == [(0, mark(2.0)), (1, mark(1.5, NOON + 1))]
    assert table.take_unsaved() == []


def test_restored_marks_need_not_be_stored_again(table):
    table.restore({"EURUSD": mark(1.5)})
    assert table.price[EURUSD] == 1.5
    assert table.take_unsaved() == []


def test_a_suspect_without_a_good_price_is_no_price(table):
    table.take({0: Mark(0.0, 0, "", "", (SuspectLevel.of("feed", 1.5, NOON, "quote", NOON),))})
    assert not table.priced[0]
    assert table.take_unsaved() == []
