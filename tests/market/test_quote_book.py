"""Marks from ticks (ACCOUNTING section 8): tick by tick and a beat at once give the same."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import MarksConfig
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.records.decode import TickInput
from riskengine.records.types import Tick
from tests.model import Model, Quote
from tests.world import NOON, REFERENCE, SECOND, book, mark_settings, quote

EURUSD = REFERENCE.instrument_index["EURUSD"]


def marked(*ticks: Tick, now: int = NOON, **settings: Any) -> Mark | None:
    """The mark of EURUSD after these ticks, all accepted."""
    quotes = book(**settings)
    assert quotes.offer(ticks, now) == []
    return quotes.take().get(EURUSD)


def good(mark: Mark | None) -> tuple[float, int, str]:
    assert mark is not None
    return mark.price, mark.ts, mark.kind


def two_sided(price: float, ts: int = NOON) -> Tick:
    return quote("EURUSD", price, price, ts)


# Which price


def test_a_two_sided_quote_is_marked_at_its_mid_unrounded():
    assert good(marked(quote("EURUSD", 1.08421, 1.08424))) == ((1.08421 + 1.08424) / 2, NOON, "quote")


def test_a_mid_stands_for_both_sides():
    assert good(marked(quote("EURUSD", None, None, mid=1.5))) == (1.5, NOON, "quote")


def test_a_mark_carries_its_source():
    mark = marked(Tick("EURUSD", NOON, 1.0, 1.0, None, "venue"))
    assert mark is not None
    assert mark.source == "venue"


def sides(mark: Mark | None) -> tuple[float | None, float | None]:
    assert mark is not None
    return mark.bid, mark.ask


def test_a_mark_has_the_sides_of_the_quote_that_it_came_from():
    first = quote("EURUSD", 1.1, 1.2)
    assert sides(marked(first)) == (1.1, 1.2)
    assert sides(marked(first, quote("EURUSD", 1.1, 1.3, NOON - 1))) == (1.1, 1.2), "an old quote moves neither"
    assert sides(marked(first, quote("EURUSD", 1.15, None, NOON + 1))) == (1.1, 1.2), "the mid stays, and so does its quote"
    assert sides(marked(first, quote("EURUSD", 1.19, None, NOON + 1))) == (1.19, None), "the mark is that bid now"
    assert sides(marked(first, quote("EURUSD", None, None, NOON + 1, mid=1.16))) == (None, None)


def test_a_level_that_was_held_back_has_no_sides():
    far = [quote("EURUSD", 1.5, 1.6, NOON + at) for at in (1, 2, 3)]
    mark = marked(quote("EURUSD", 1.1, 1.2), *far, max_move=0.1)
    assert good(mark)[0] == 1.55
    assert sides(mark) == (None, None)


def test_the_newest_event_time_wins():
    assert good(marked(two_sided(1.5), two_sided(1.1, NOON - 1))) == (1.5, NOON, "quote")


def test_on_equal_event_times_the_later_arrival_wins():
    assert good(marked(two_sided(1.5), two_sided(1.1)))[0] == 1.1


def test_an_old_tick_is_counted_and_changes_nothing():
    quotes = book()
    quotes.offer([two_sided(1.5)], NOON)
    quotes.take()
    quotes.offer([two_sided(1.1, NOON - 1)], NOON)
    assert (quotes.old, quotes.take()) == (1, {})


def test_a_crossed_quote_still_gives_its_mid_and_is_counted():
    quotes = book()
    quotes.offer([quote("EURUSD", 1.2, 1.0)], NOON)
    assert quotes.crossed == 1
    assert good(quotes.take()[EURUSD]) == (1.1, NOON, "quote")


@pytest.mark.parametrize("sides", [(1.2, None), (None, 1.2)], ids=["bid", "ask"])
def test_one_side_alone_is_the_mark(sides):
    assert good(marked(quote("EURUSD", *sides))) == (1.2, NOON, "one_sided")


@pytest.mark.parametrize("sides", [(1.2, 0.0), (0.0, 1.2)], ids=["bid", "ask"])
def test_zero_is_how_feeds_write_a_side_that_is_not_there(sides):
    assert good(marked(quote("EURUSD", *sides))) == (1.2, NOON, "one_sided")


@pytest.mark.parametrize(("age", "kind"), [(60 * SECOND, "quote"), (60 * SECOND + 1, "one_sided")])
def test_one_side_keeps_a_fresh_mid_and_replaces_an_aged_one(age, kind):
    ticks = [two_sided(1.5, NOON - age), quote("EURUSD", 1.2, None)]
    assert good(marked(*ticks))[2] == kind


def test_one_side_does_not_make_a_mid_younger():
    ticks = [two_sided(1.5, NOON - 2 * SECOND), quote("EURUSD", 1.2, None)]
    assert good(marked(*ticks))[1] == NOON - 2 * SECOND


@pytest.mark.parametrize(
    ("sides", "price"),
    [((1.6, None), 1.6), ((1.4, None), 1.5), ((None, 1.4), 1.4), ((None, 1.6), 1.5)],
    ids=["bid above", "bid below", "ask below", "ask above"],
)
def test_a_kept_mid_is_held_to_the_side_that_is_there(sides, price):
    mark = marked(two_sided(1.5, NOON - SECOND), quote("EURUSD", *sides))
    assert good(mark) == (price, NOON - SECOND, "quote")


def test_an_old_side_does_not_hold_a_newer_mid():
    quotes = book()
    quotes.offer([two_sided(1.5), quote("EURUSD", None, 1.4, NOON - 1)], NOON)
    assert (good(quotes.take()[EURUSD])[0], quotes.old) == (1.5, 1)


def test_one_side_replaces_one_side():
    assert good(marked(quote("EURUSD", 1.2, None), quote("EURUSD", None, 1.3)))[0] == 1.3


@pytest.mark.parametrize(
    ("sides", "price"),
    [({"mid": 0.0}, 0.0), ({"bid": -0.02, "ask": 0.0}, -0.01), ({"bid": 0.0, "ask": 0.02}, 0.01)],
)
def test_a_side_of_zero_is_a_price_of_a_future(sides, price):
    quotes = book()
    before, after = Tick("ESZ6", NOON, -5.0, -5.0), Tick("ESZ6", NOON + SECOND, **sides)
    assert quotes.offer([before, after], NOON + SECOND) == []
    assert quotes.take()[REFERENCE.instrument_index["ESZ6"]].price == price


def test_a_bid_of_zero_of_a_share_is_no_bid():
    quotes = book()
    assert quotes.offer([quote("ACME", 0.5, 0.6), quote("ACME", 0.0, 0.05, NOON + SECOND)], NOON + SECOND) == []
    assert quotes.take()[REFERENCE.instrument_index["ACME"]].price == 0.05


def test_a_future_may_trade_at_zero_and_below():
    quotes = book()
    assert quotes.offer([quote("ESZ6", -37.65, -37.6)], NOON) == []
    assert quotes.take()[REFERENCE.instrument_index["ESZ6"]].price == -37.625


# What is refused


@pytest.mark.parametrize(
    ("tick", "field"),
    [
        pytest.param(quote("NOPE", 1.0, 1.0), "instrument", id="unknown instrument"),
        pytest.param(quote("EURUSD", math.nan, 1.0), "bid", id="not a number"),
        pytest.param(quote("EURUSD", 1.0, math.inf), "ask", id="infinite"),
        pytest.param(quote("EURUSD", -1.0, 1.0), "bid", id="negative"),
        pytest.param(quote("EURUSD", 1.0, 2e15), "ask", id="too large"),
        pytest.param(TickInput("EURUSD", NOON, "1.00000000000012", 1.1), "bid", id="more than 12 decimals"),
        pytest.param(quote("EURUSD", None, None), "bid", id="no side"),
        pytest.param(quote("EURUSD", 0.0, 0.0), "bid", id="both sides zero"),
        pytest.param(quote("EURUSD", 1.0, 1.0, NOON * 1000), "ts", id="nanoseconds"),
        pytest.param(quote("EURUSD", 1.0, 1.0, 0), "ts", id="the year 1970"),
        pytest.param(quote("EURUSD", 1.0, 1.0, NOON + 60 * SECOND + 1), "ts", id="from the future"),
    ],
)
def test_a_bad_tick_is_refused_by_field_and_the_rest_goes_on(tick, field):
    quotes = book()
    [refusal] = quotes.offer([two_sided(1.1), tick, two_sided(1.3)], NOON)
    assert (refusal.index, refusal.field) == (1, field)
    assert good(quotes.take()[EURUSD])[0] == 1.3
    assert (quotes.accepted, quotes.refused) == (2, 1)


def test_a_tick_a_minute_ahead_of_the_clock_is_taken():
    assert good(marked(two_sided(1.5, NOON + 60 * SECOND)))[1] == NOON + 60 * SECOND


@pytest.mark.parametrize("side", ["1.25", 1.25])
def test_a_price_may_come_as_text(side):
    assert good(marked(Tick("EURUSD", NOON, side, 1.25)))[0] == 1.25


@pytest.mark.parametrize("zero", [0.0, 0, "0", "0.00"])
@pytest.mark.parametrize("symbol", ["ACME", "BTCEUR", "ESZ6"])
def test_a_mid_of_zero_is_a_price_of_what_can_become_worthless(symbol: str, zero: Any) -> None:
    quotes = book()
    assert quotes.offer([TickInput(symbol, NOON, None, None, zero)], NOON) == []
    mark = quotes.take()[REFERENCE.instrument_index[symbol]]
    assert (mark.price, mark.ts, mark.kind) == (0.0, NOON, "quote")


def test_what_was_worthless_may_have_a_price_again() -> None:
    quotes = book(max_move=0.1)
    quotes.offer([TickInput("ACME", NOON, None, None, 0), Tick("ACME", NOON + 1, 3.0, 3.0)], NOON)
    assert quotes.take()[REFERENCE.instrument_index["ACME"]].price == 3.0


@pytest.mark.parametrize("sides", [{"mid": 0.0}, {"bid": 0.0}, {"ask": 0.0, "mid": 0.0}])
def test_what_cannot_become_worthless_has_no_price_of_zero(sides: dict[str, Any]) -> None:
    [refusal] = book().offer([TickInput("EURUSD", NOON, **sides)], NOON)
    assert refusal.field == "bid"


@pytest.mark.parametrize("sides", [{"bid": 0.0}, {"ask": 0.0}, {"bid": 0.0, "ask": 0.0}])
def test_a_side_of_zero_of_a_share_is_no_side(sides: dict[str, Any]) -> None:
    [refusal] = book().offer([TickInput("ACME", NOON, **sides)], NOON)
    assert refusal.field == "bid"


def test_a_mid_of_zero_beside_a_side_is_none() -> None:
    """As feeds write what they do not know."""
    quotes = book()
    quotes.offer([TickInput("ACME", NOON, 3.0, 0.0, 0.0)], NOON)
    assert good(quotes.take()[REFERENCE.instrument_index["ACME"]])[0] == 3.0


# Crossed


@pytest.mark.parametrize(("bid", "suspect"), [(1.0001, None), (1.01, 1.005)])
def test_a_quote_crossed_beyond_the_limit_is_held(bid, suspect):
    mark = marked(two_sided(1.0), quote("EURUSD", bid, 1.0, NOON + 1), max_cross_bp=10.0)
    assert mark is not None
    assert mark.suspect == suspect


def test_a_first_quote_that_is_too_crossed_is_no_mark():
    mark = marked(quote("EURUSD", 1.1, 1.0), max_cross_bp=10.0)
    assert mark is not None
    assert (mark.ts, mark.suspect) == (0, 1.05)


# Coalescing

steps = st.tuples(
    st.sampled_from(["EURUSD", "ACME", "ESZ6"]),
    st.sampled_from([1.0, 1.004, 1.02, 1.11, 1.5]),
    st.sampled_from(["both", "both", "mid", "bid", "ask", "crossed", "far crossed"]),
    st.sampled_from([-15, -1, 0, 0, 1, 3, 70]),
    st.sampled_from(["", "venue", "bank"]),
)


def ticks_of(drawn: list[tuple[str, float, str, int, str]]) -> list[Tick]:
    """Ticks in their order of arrival; event times go forward, and now and then back."""
    ticks, ts = [], NOON
    for symbol, price, kind, step, source in drawn:
        ts += step * SECOND
        half = {"crossed": -0.0003, "far crossed": -0.05}.get(kind, 0.0002)
        bid = None if kind in ("ask", "mid") else round(price - half, 6)
        ask = None if kind in ("bid", "mid") else round(price + half, 6)
        ticks.append(Tick(symbol, ts, bid, ask, price if kind == "mid" else None, source))
    return ticks


POLICIES: list[dict[str, Any]] = [{}, {"max_move": 0.03}, {"max_cross_bp": 20.0}, {"max_move": 0.03, "max_cross_bp": 20.0}]
FAR = NOON + 10_000 * SECOND


def offered(quotes: QuoteBook, table: MarkTable, ticks: list[Tick]) -> None:
    assert quotes.offer(ticks, FAR) == []
    table.take(quotes.take())


@given(st.lists(steps, max_size=30), st.lists(st.integers(0, 30), max_size=5), st.sampled_from(POLICIES))
def test_any_cut_of_ticks_into_beats_gives_the_marks_of_one_tick_a_beat(drawn, cuts, policy):
    ticks = ticks_of(drawn)
    one_by_one, at_once = (MarkTable(REFERENCE, mark_settings(**policy)) for _ in range(2))
    quotes = book(**policy)
    for tick in ticks:
        offered(quotes, one_by_one, [tick])
    quotes, edges = book(**policy), sorted({0, *cuts, len(ticks)})
    for first, end in pairwise(edges):
        offered(quotes, at_once, ticks[first:end])
    assert at_once.marks == one_by_one.marks
    assert np.array_equal(at_once.price, one_by_one.price)
    assert np.array_equal(at_once.ts, one_by_one.ts)


@given(st.lists(steps, max_size=30), st.sampled_from([0.0, 0.01, 0.03]))
def test_the_marks_are_those_of_the_rules_read_one_tick_after_the_other(drawn, limit):
    ticks, model = ticks_of(drawn), Model({}, {}, "USD", dict.fromkeys(REFERENCE.symbols, limit))
    for tick in ticks:
        bid, ask = (tick.mid, tick.mid) if tick.mid is not None else (tick.bid, tick.ask)
        row = {"instrument": tick.instrument, "ts": tick.ts, "bid": bid, "ask": ask, "source": tick.source, "came": FAR}
        model.ticks.append(row)
    quotes = book(max_move=limit)
    quotes.offer(ticks, FAR)
    taken = {REFERENCE.symbols[n]: Quote(m.price, m.ts, m.kind) for n, m in quotes.take().items() if m.ts}
    assert taken == model.marks()


def test_what_is_taken_belongs_to_the_taker():
    quotes = book()
    quotes.offer([two_sided(1.1)], NOON)
    taken = quotes.take()
    quotes.offer([two_sided(1.2, NOON + 1)], NOON)
    assert good(taken[EURUSD])[0] == 1.1
    assert good(quotes.take()[EURUSD])[0] == 1.2
    assert quotes.take() == {}


# Restored marks


def test_a_restored_mark_gives_way_to_newer_ticks_only():
    quotes = book()
    quotes.restore({"EURUSD": Mark(1.5, NOON, "feed", "quote")})
    quotes.offer([two_sided(1.1, NOON - 1)], NOON)
    assert quotes.take() == {}
    quotes.offer([two_sided(1.1)], NOON)
    assert good(quotes.take()[EURUSD])[0] == 1.1


@pytest.mark.parametrize("sides", [{"bid": 1.1, "ask": 1.1}, {"mid": 1.1}, {"bid": 1.1}, {"bid": "1.1", "ask": "1.1"}])
def test_after_the_clock_was_set_back_a_mark_of_the_hour_that_never_was_gives_way_to_any_tick(sides):
    quotes = book()
    quotes.offer([two_sided(1.5, NOON + 3_600 * SECOND)], NOON + 3_600 * SECOND)
    quotes.take()
    assert quotes.offer([TickInput("EURUSD", NOON, **sides)], NOON) == []
    assert good(quotes.take()[EURUSD])[0] == 1.1
    quotes.offer([two_sided(1.2, NOON - 1)], NOON)
    assert quotes.take() == {}, "and from then on the newest wins again"


@pytest.mark.parametrize(
    ("ts", "price", "in_force"),
    [(NOON - 1, 1.5, 1.25), (NOON, 1.5, 1.5), (NOON + 1, 1.5, 1.5), (NOON, 1.25, 1.25)],
    ids=["older", "of the same time, later", "newer", "the same"],
)
def test_a_mark_that_another_program_stored_counts_by_its_event_time(ts, price, in_force):
    quotes = book()
    quotes.offer([quote("EURUSD", 1.25, 1.25)], NOON)
    assert len(quotes.take()) == 1
    quotes.take_stored({"EURUSD": Mark(price, ts, "sheet", "quote"), "GONE": Mark(1.0, ts, "sheet", "quote")}, NOON)
    assert [mark.price for mark in quotes.take().values()] == ([] if in_force == 1.25 else [in_force])


def test_a_stored_mark_takes_the_place_of_one_from_an_hour_that_a_corrected_clock_never_had():
    quotes = book()
    quotes.restore({"EURUSD": Mark(1.25, NOON + 3_600 * SECOND, "feed", "quote")})
    quotes.take_stored({"EURUSD": Mark(1.5, NOON, "sheet", "quote")}, NOON)
    assert [mark.price for mark in quotes.take().values()] == [1.5]


def test_a_restored_mark_of_an_instrument_that_is_gone_is_passed_over():
    quotes, table = book(), MarkTable(REFERENCE, MarksConfig())
    quotes.restore({"GONE": Mark(1.5, NOON, "feed", "quote")})
    table.restore({"GONE": Mark(1.5, NOON, "feed", "quote")})
    assert not table.priced.any()


@given(
    st.integers(1, 10**16).map(lambda n: n / 1e12) | st.floats(1e-9, 1e6) | st.decimals("0.000001", 99_999, places=6).map(float)
)
def test_a_price_in_doubles_is_rounded_to_the_decimals_that_a_quote_may_have(price):
    quotes = book()
    assert quotes.offer([TickInput("EURUSD", NOON, price, price)], NOON) == []
    assert [mark.price for mark in quotes.take().values()] == [round(price, 12)]
