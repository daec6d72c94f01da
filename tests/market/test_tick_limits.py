"""Ticks beyond a source's limit are conflated: no price that a screen would show is lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import IngestConfig
from riskengine.market.marks import Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.market.tick_limits import MAX_NAME, MAX_SOURCES, LimitedQuoteBook
from riskengine.records.decode import TickInput
from riskengine.records.reference import Reference
from riskengine.records.types import Tick
from tests.world import NOON, REFERENCE, SECOND, instruments, mark_settings, nodes

SYMBOLS = REFERENCE.symbols[:3]
EURUSD = REFERENCE.instrument_index["EURUSD"]


def limited(ticks_per_s: int, burst_ticks: int = 10, **marks: Any) -> LimitedQuoteBook:
    return LimitedQuoteBook(REFERENCE, mark_settings(**marks), 60.0, IngestConfig(ticks_per_s, burst_ticks))


def tick(price: float, ts: int = NOON, source: str = "venue", instrument: str = "EURUSD") -> Tick:
    return Tick(instrument, ts, price, price, None, source)


def price(quotes: LimitedQuoteBook) -> float:
    return quotes.take()[EURUSD].price


def test_within_its_limit_a_source_s_ticks_are_taken_one_by_one():
    quotes = limited(1_000)
    assert quotes.offer([tick(1.0 + n / 100) for n in range(10)], NOON) == []
    assert (quotes.coalesced, quotes.accepted, price(quotes)) == (0, 10, 1.09)


def test_beyond_it_the_newest_of_each_instrument_is_in_the_book_by_the_next_beat():
    quotes = limited(1_000)
    quotes.offer([tick(1.0)] * 10, NOON)
    quotes.offer([tick(1.1), tick(1.5, NOON + 2), tick(1.3, NOON + 1), tick(2.0, instrument="GBPUSD")], NOON)
    assert (quotes.coalesced, quotes.accepted) == (4, 14)
    taken = quotes.take()
    assert taken[EURUSD] == Mark(1.5, NOON + 2, "venue", "quote", bid=1.5, ask=1.5)
    assert taken[REFERENCE.instrument_index["GBPUSD"]].price == 2.0
    assert quotes.accepted == 14


def test_a_source_that_quotes_in_another_unit_is_converted_once_also_where_its_ticks_wait():
    share = {"instrument": "VOD", "kind": "equity", "quote_currency": "GBP"}
    where = Reference(nodes(), instruments([share]), "USD", price_units={"lse": {"GBP": "GBX"}})
    quotes = LimitedQuoteBook(where, mark_settings(), 60.0, IngestConfig(1_000, 2))
    sent: list[Tick | TickInput] = [
        Tick("VOD", NOON, 250.5, 250.5, None, "lse"),
        TickInput("VOD", NOON + 1, "71.1", "71.3", None, "lse"),
        TickInput("VOD", NOON + 2, None, None, 71.25, "lse"),
        TickInput("VOD", NOON + 3, None, None, "x", "lse"),
        TickInput("NONE", NOON + 3, None, None, 1.0, "lse"),
    ]
    refusals = quotes.offer(sent, NOON)
    assert [(each.index, each.field) for each in refusals] == [(3, "mid"), (4, "instrument")]
    assert quotes.take()[0] == Mark(0.7125, NOON + 2, "lse", "quote")
    quotes.offer([Tick("VOD", NOON + 4, None, None, 0.7, "other")], NOON)
    assert quotes.take()[0].price == 0.7


def test_on_equal_event_times_the_later_arrival_wins_whether_or_not_it_waits():
    quotes = limited(1_000)
    quotes.offer([tick(1.0)] * 10, NOON)
    quotes.offer([tick(1.1), tick(1.2)], NOON)
    quotes.offer([tick(1.3, source="other")], NOON)  # not beyond its own limit
    assert price(quotes) == 1.3
    quotes.offer([tick(1.4), tick(1.5)], NOON)
    assert price(quotes) == 1.5


def test_what_is_saved_up_comes_back_with_time_and_not_with_a_clock_that_is_set_back():
    quotes = limited(1_000)
    quotes.offer([tick(1.0)] * 10, NOON)
    quotes.offer([tick(1.0)] * 5, NOON + 3_000)  # three more in 3 ms
    assert quotes.coalesced == 2
    quotes.offer([tick(1.0)], NOON - SECOND)
    assert quotes.coalesced == 3
    quotes.offer([tick(1.0)] * 10, NOON + 10 * SECOND)
    assert quotes.coalesced == 3


def test_every_source_has_a_limit_of_its_own_also_within_a_frame():
    quotes = limited(1_000)
    quotes.offer([tick(1.0, source=source) for source in "ab" * 10], NOON)
    assert quotes.coalesced == 0
    quotes.offer([tick(1.0, source=source) for source in "abc"], NOON)
    assert quotes.coalesced == 2


def test_without_a_limit_nothing_waits():
    quotes = limited(0)
    quotes.offer([tick(1.0)] * 1_000, NOON)
    assert quotes.coalesced == 0


def test_a_tick_that_is_refused_takes_no_good_one_s_place_and_is_told_by_its_place():
    quotes = limited(1_000)
    quotes.offer([tick(1.0)] * 8, NOON)
    empty = Tick("EURUSD", NOON, None, None, None, "venue")
    wrong = [tick(-1.0), tick(1.0, instrument="NOTHING"), tick(1.0, NOON + 61 * SECOND), empty]
    refusals = quotes.offer([tick(-2.0), tick(1.1), tick(1.5, NOON + 1), *wrong], NOON)
    assert [(refusal.index, refusal.field) for refusal in refusals] == [
        (0, "bid"),
        (3, "bid"),
        (4, "instrument"),
        (5, "ts"),
        (6, "bid"),
    ]
    assert (quotes.refused, quotes.accepted, quotes.coalesced) == (5, 10, 1)
    assert price(quotes) == 1.5


def test_a_one_sided_quote_that_waits_keeps_the_mid_that_came_before():
    quotes = limited(1_000)
    quotes.offer([tick(1.0)] * 10, NOON)
    one_sided = Tick("EURUSD", NOON + 2, 1.4, None, None, "venue")
    quotes.offer([tick(1.5, NOON + 1), one_sided], NOON)
    assert quotes.take()[EURUSD] == Mark(1.5, NOON + 1, "venue", "quote", bid=1.5, ask=1.5)


def test_texts_are_coalesced_like_numbers():
    quotes = limited(1_000)
    quotes.offer([tick(1.0)] * 10, NOON)
    later = TickInput("EURUSD", "2026-03-04T12:00:01Z", "1.5", "1.7", source="venue")
    earlier = TickInput("EURUSD", NOON, mid="9", source="venue")
    assert quotes.offer([later, earlier], NOON) == []
    assert quotes.coalesced == 2
    assert price(quotes) == pytest.approx(1.6)


def test_however_many_sources_there_are_their_number_in_memory_is_bounded():
    quotes = limited(1_000)
    for number in range(3 * MAX_SOURCES):
        quotes.offer([tick(1.0, source=f"source {number}")] * 3, NOON)
    quotes.offer([tick(1.0, source="x" * (MAX_NAME + 1))], NOON)
    assert len(quotes._allowances) <= MAX_SOURCES + 1
    assert quotes.coalesced > 0, "those beyond share one count"
    assert len(quotes._waiting) <= len(REFERENCE.symbols)
    quotes.offer([tick(1.0)], NOON + 60 * SECOND)
    quotes.take()
    assert len(quotes._allowances) <= 1, "who is quiet is forgotten"


@st.composite
def sent(draw: st.DrawFn) -> list[Any]:
    """Frames of ticks of some sources, good and bad, with beats (None) in between."""
    number, ts = st.integers(1, 9).map(lambda n: n / 4), st.integers(NOON, NOON + 5)
    two_sided = st.builds(TickInput, st.sampled_from([*SYMBOLS, "NOTHING"]), ts, number, number, source=st.sampled_from("ab"))
    ticks = two_sided | st.builds(TickInput, st.sampled_from(SYMBOLS), ts, mid=number | st.just(-1.0), source=st.just("a"))
    return draw(st.lists(st.none() | st.lists(ticks, max_size=6), max_size=20))


@given(sent(), st.integers(1, 5))
@pytest.mark.parametrize("ticks_per_s", [1, 100_000])
def test_after_every_beat_the_marks_are_those_of_a_book_without_a_limit(ticks_per_s, frames, burst):
    bounded, plain = limited(ticks_per_s, burst), QuoteBook(REFERENCE, mark_settings(), 60.0)
    marks: tuple[dict[int, Mark], dict[int, Mark]] = {}, {}
    for step, frame in enumerate([*frames, None]):
        if frame is None:
            marks[0].update(bounded.take())
            marks[1].update(plain.take())
            assert marks[0] == marks[1]
        else:
            assert bounded.offer(frame, NOON + step) == plain.offer(frame, NOON + step)
    assert (bounded.accepted, bounded.refused) == (plain.accepted, plain.refused)
