"""The closing mark is that of a book which never sees a tick from the cutoff on, however ticks come and are batched."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import IngestConfig
from riskengine.market.closing_book import ClosingQuoteBook
from riskengine.market.marks import Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.market.tick_limits import LimitedQuoteBook
from riskengine.records.reference import Reference
from riskengine.records.types import Tick
from tests.world import NOON, REFERENCE, SECOND, instruments, mark_settings, nodes

DATE = "2026-12-01"
CUTOFF = NOON
CUTOFFS = {"EURUSD": CUTOFF, "GBPUSD": CUTOFF - 3 * SECOND}
EURUSD = REFERENCE.instrument_index["EURUSD"]


def closing_book(
    cutoffs: Mapping[str, int] = CUTOFFS, closing: Mapping[str, Mark] | None = None, **marks: Any
) -> ClosingQuoteBook:
    quotes = ClosingQuoteBook(REFERENCE, mark_settings(**marks), 60.0)
    quotes.set_cutoffs(DATE, cutoffs, closing or {})
    return quotes


def tick(price: float | None, ts: int, source: str = "a", instrument: str = "EURUSD", ask: float | None = None) -> Tick:
    return Tick(instrument, ts, price, price if ask is None else ask, None, source)


def closing(quotes: ClosingQuoteBook, symbol: str = "EURUSD") -> tuple[float, int] | None:
    mark = quotes.closing_marks().marks.get(symbol)
    return None if mark is None else (mark.price, mark.ts)


# One tick after another


def test_until_a_tick_from_the_cutoff_on_comes_the_mark_is_the_closing_mark():
    quotes = closing_book()
    assert closing(quotes) is None
    quotes.offer([tick(1.1, CUTOFF - 2)], NOON)
    assert closing(quotes) == (1.1, CUTOFF - 2) and quotes.take_closing() is None


def test_a_tick_at_the_cutoff_belongs_to_the_next_day_and_the_mark_before_it_is_kept():
    quotes = closing_book()
    quotes.offer([tick(1.1, CUTOFF - 1), tick(1.2, CUTOFF), tick(1.3, CUTOFF + 1)], NOON)
    assert closing(quotes) == (1.1, CUTOFF - 1)
    assert quotes.take()[EURUSD].price == 1.3
    taken = quotes.take_closing()
    assert taken is not None and taken.date == DATE and set(taken.marks) == {"EURUSD"} and quotes.take_closing() is None


def test_a_late_tick_from_before_the_cutoff_becomes_the_closing_mark_if_it_is_newer():
    quotes = closing_book()
    quotes.offer([tick(1.1, CUTOFF - 5), tick(1.2, CUTOFF + 1)], NOON)
    quotes.take_closing()
    quotes.offer([tick(1.5, CUTOFF - 9), tick(1.15, CUTOFF - 3), tick(1.4, CUTOFF - 4)], NOON)
    assert closing(quotes) == (1.15, CUTOFF - 3) and quotes.take()[EURUSD].price == 1.2
    taken = quotes.take_closing()
    assert taken is not None and taken.marks["EURUSD"].price == 1.15


def test_a_late_tick_is_judged_by_what_was_known_before_the_cutoff():
    quotes = closing_book(max_move=0.01)
    quotes.offer([tick(1.0, CUTOFF - 5), tick(1.009, CUTOFF + 1), tick(1.018, CUTOFF + 2)], NOON)
    quotes.offer([tick(1.02, CUTOFF - 4)], NOON)
    assert closing(quotes) == (1.0, CUTOFF - 5)
    quotes.offer([tick(1.0201, CUTOFF - 3, "b")], NOON)
    assert closing(quotes) == (1.0201, CUTOFF - 3)


def test_a_quote_from_the_cutoff_on_that_is_held_back_or_one_sided_leaves_no_trace_in_the_closing_mark():
    quotes = closing_book(max_move=0.01)
    quotes.offer([tick(1.0, CUTOFF - 5), tick(1.5, CUTOFF + 1), Tick("EURUSD", CUTOFF + 2, 1.004, None, None, "b")], NOON)
    assert quotes.take()[EURUSD].ts == CUTOFF - 5 and closing(quotes) == (1.0, CUTOFF - 5)
    quotes.offer([tick(1.001, CUTOFF - 4)], NOON)
    assert closing(quotes) == (1.001, CUTOFF - 4) and quotes.take()[EURUSD].ts == CUTOFF - 4
    quotes.offer([tick(1.002, CUTOFF + 3, "b"), tick(1.003, CUTOFF - 3)], NOON)
    assert closing(quotes) == (1.003, CUTOFF - 3) and quotes.take()[EURUSD].price == 1.002


def test_a_level_that_was_held_back_before_the_cutoff_is_believed_after_it_by_the_clock():
    quotes = closing_book(max_move=0.01)
    quotes.offer([tick(1.0, CUTOFF - 120 * SECOND)], CUTOFF - 120 * SECOND)
    quotes.offer([tick(1.5, CUTOFF - SECOND)], CUTOFF - SECOND)
    quotes.offer([tick(1.001, CUTOFF, "b")], CUTOFF)
    assert closing(quotes) == (1.0, CUTOFF - 120 * SECOND)
    quotes.take(CUTOFF + 2 * SECOND)
    assert closing(quotes) == (1.5, CUTOFF - SECOND)


def test_an_instrument_without_a_cutoff_has_no_closing_mark_and_a_new_one_gets_its_own():
    quotes = closing_book({"EURUSD": CUTOFF})
    quotes.offer([tick(1.1, CUTOFF + 1, instrument="GBPUSD"), tick(1.2, CUTOFF - 1)], NOON)
    assert set(quotes.closing_marks().marks) == {"EURUSD"}
    quotes.add_cutoffs({"GBPUSD": CUTOFF + 5, "EURUSD": CUTOFF - 9, "nothing": 1})
    assert closing(quotes, "GBPUSD") == (1.1, CUTOFF + 1) and closing(quotes) == (1.2, CUTOFF - 1)


def test_the_next_day_begins_with_the_marks_that_there_are():
    quotes = closing_book()
    quotes.offer([tick(1.1, CUTOFF - 1), tick(1.2, CUTOFF + 1)], NOON)
    quotes.set_cutoffs("2026-12-02", {"EURUSD": CUTOFF + 100})
    assert quotes.closing_date == "2026-12-02" and closing(quotes) == (1.2, CUTOFF + 1) and quotes.take_closing() is None


# After a start, and what others store


def test_a_start_after_the_cutoff_goes_on_with_the_closing_marks_that_were_stored():
    quotes = ClosingQuoteBook(REFERENCE, mark_settings(), 60.0)
    quotes.restore({"EURUSD": Mark(1.3, CUTOFF + 2, "a", "quote"), "GBPUSD": Mark(1.5, CUTOFF - 9 * SECOND, "a", "quote")})
    stored = {"EURUSD": Mark(1.1, CUTOFF - 2, "a", "quote"), "GBPUSD": Mark(1.6, CUTOFF - 4 * SECOND, "a", "quote")}
    quotes.set_cutoffs(DATE, CUTOFFS, stored)
    assert closing(quotes) == (1.1, CUTOFF - 2) and closing(quotes, "GBPUSD") == (1.6, CUTOFF - 4 * SECOND)
    assert quotes.take_closing() is None and quotes.take()[EURUSD + 1].price == 1.6
    quotes.offer([tick(1.2, CUTOFF - 1)], NOON)
    assert closing(quotes) == (1.2, CUTOFF - 1)


def test_where_nothing_from_before_the_cutoff_is_known_there_is_no_closing_mark_until_a_late_tick_brings_one():
    quotes = ClosingQuoteBook(REFERENCE, mark_settings(), 60.0)
    quotes.restore({"EURUSD": Mark(1.3, CUTOFF + 2, "a", "quote")})
    quotes.set_cutoffs(DATE, CUTOFFS, {"EURUSD": Mark(1.1, CUTOFF, "a", "quote")})
    assert closing(quotes) is None
    quotes.offer([tick(1.2, CUTOFF - 1)], NOON)
    assert closing(quotes) == (1.2, CUTOFF - 1)


def test_marks_that_another_program_stores_count_by_their_time():
    quotes = closing_book()
    quotes.offer([tick(1.1, CUTOFF - 5)], NOON)
    quotes.take_stored({"EURUSD": Mark(1.4, CUTOFF, "close", "close")}, NOON)
    assert closing(quotes) == (1.1, CUTOFF - 5)
    quotes.take_stored({"EURUSD": Mark(1.2, CUTOFF - 4, "", "quote")}, NOON)
    assert closing(quotes) == (1.2, CUTOFF - 4) and quotes.take()[EURUSD].price == 1.4


def test_a_renewal_keeps_closing_marks_with_their_symbols():
    quotes = closing_book()
    quotes.offer([tick(1.1, CUTOFF - 5), tick(1.2, CUTOFF + 5), tick(1.5, CUTOFF - 9 * SECOND, instrument="GBPUSD")], NOON)
    more = [{"instrument": "AAA", "kind": "equity", "quote_currency": "USD"}]
    quotes.renew(Reference(nodes(), [*instruments(more), *instruments()], "USD"), {"EURUSD": Mark(1.3, CUTOFF + 6, "", "quote")})
    quotes.offer([tick(1.15, CUTOFF - 4)], NOON)
    assert closing(quotes) == (1.15, CUTOFF - 4) and closing(quotes, "GBPUSD") == (1.5, CUTOFF - 9 * SECOND)
    taken = quotes.take_closing()
    assert taken is not None and taken.marks["EURUSD"].price == 1.15
    without = [each for each in REFERENCE.instruments if each.instrument != "EURUSD"]
    quotes.renew(Reference(nodes(), without, "USD"), {})
    assert set(quotes.closing_marks().marks) == {"GBPUSD"}


def test_a_clock_that_was_set_back_after_the_cutoff_goes_on_with_the_day():
    quotes = closing_book()
    quotes.offer([tick(1.1, CUTOFF - 5), tick(1.2, CUTOFF + 1)], CUTOFF)
    earlier = CUTOFF - 3_600 * SECOND
    quotes.offer([tick(1.3, earlier)], earlier)
    assert closing(quotes) == (1.3, earlier)
    quotes.offer([tick(1.4, CUTOFF - 1)], CUTOFF - SECOND)
    assert closing(quotes) == (1.4, CUTOFF - 1)


# Against books that never see the next day

events = st.one_of(
    st.tuples(
        st.just("tick"),
        st.sampled_from(["EURUSD", "GBPUSD"]),
        st.integers(-8, 8),
        st.sampled_from([1.0, 1.004, 1.008, 1.02, 1.021, 0.98]),
        st.sampled_from(["both", "bid", "ask", "text"]),
        st.sampled_from(["a", "b"]),
    ),
    st.tuples(st.just("beat"), st.integers(0, 3)),
    st.tuples(st.just("stored"), st.sampled_from(["EURUSD", "GBPUSD"]), st.integers(-8, 8), st.sampled_from([1.0, 1.5])),
)


def as_tick(symbol: str, second: int, price: float, sides: str, source: str) -> Any:
    ts = CUTOFF + second * SECOND // 2
    if sides == "text":
        return Tick(symbol, ts, None, None, price, source)
    bid, ask = (price if sides != "ask" else None), (price if sides != "bid" else None)
    return Tick(symbol, ts, bid, ask, None, source)


@given(st.lists(events, max_size=40), st.integers(1, 7))
def test_the_closing_mark_is_that_of_a_book_without_the_next_day_and_the_marks_are_those_of_a_book_without_cutoffs(
    happened, size
):
    settings = mark_settings(max_move=0.01)
    quotes, plain = closing_book(max_move=0.01), QuoteBook(REFERENCE, settings, 60.0)
    before = {symbol: QuoteBook(REFERENCE, settings, 60.0) for symbol in CUTOFFS}
    now = CUTOFF - 5 * SECOND
    waiting: list[Any] = []
    unsaved: dict[str, Mark] = {}

    def flush() -> None:
        quotes.offer(waiting, now)
        waiting.clear()

    for event in happened:
        if event[0] == "tick":
            made = as_tick(*event[1:])
            waiting.append(made)
            plain.offer([made], now)
            if made.ts < CUTOFFS[made.instrument]:
                before[made.instrument].offer([made], now)
            if len(waiting) >= size:
                flush()
        elif event[0] == "beat":
            flush()
            now += event[1] * SECOND
            assert quotes.take(now) == plain.take(now)
            for each in before.values():
                each.take(now)
            taken = quotes.take_closing()
            unsaved |= {} if taken is None else taken.marks
        else:
            flush()
            _, symbol, second, price = event
            mark = Mark(price, CUTOFF + second * SECOND // 2, "", "quote")
            quotes.take_stored({symbol: mark}, now)
            plain.take_stored({symbol: mark}, now)
            if mark.ts < CUTOFFS[symbol]:
                before[symbol].take_stored({symbol: mark}, now)
    flush()
    found = quotes.closing_marks().marks
    for symbol, book in before.items():
        state = book._states[symbol]
        expected = Mark(state.price, state.ts, state.source, state.kind) if state.ts else None
        assert found.get(symbol) == expected
    # What was told for the store, and the marks where nothing was told, are the same closing marks.
    taken = quotes.take_closing()
    unsaved |= {} if taken is None else taken.marks
    assert all(found[symbol] == mark for symbol, mark in unsaved.items())


plain_ticks = st.lists(st.tuples(st.integers(-6, 6), st.integers(1, 9), st.sampled_from(["a", "b"]), st.booleans()), max_size=30)


def newest_before(ticks: Sequence[Tick]) -> tuple[float, int] | None:
    """By the rule itself: the newest event time before the cutoff wins, on ties the later arrival."""
    found: tuple[float, int] | None = None
    for each in ticks:
        if each.ts < CUTOFF and each.bid is not None and (found is None or each.ts >= found[1]):
            found = each.bid, each.ts
    return found


@given(plain_ticks, st.integers(1, 5))
def test_conflation_of_a_source_beyond_its_limit_never_changes_the_closing_mark(made, size):
    quotes = LimitedQuoteBook(REFERENCE, mark_settings(), 60.0, IngestConfig(1, 1))
    quotes.set_cutoffs(DATE, CUTOFFS)
    ticks = [tick(1.0 + price / 1_000, CUTOFF + moment, source) for moment, price, source, _ in made]
    for first in range(0, len(ticks), size):
        quotes.offer(ticks[first : first + size], NOON)
        if made[first][3]:
            quotes.take(NOON)
    assert closing(quotes) == newest_before(ticks)
    quotes.take(NOON)
    newest = max((each.ts for each in ticks), default=0)
    last = [each.bid for each in ticks if each.ts == newest]
    assert quotes._states["EURUSD"].price == (last[-1] if last else 0.0)


@pytest.mark.parametrize("limit", [0, 1])
def test_waiting_ticks_are_of_one_side_of_the_cutoff(limit):
    quotes = LimitedQuoteBook(REFERENCE, mark_settings(), 60.0, IngestConfig(limit, 1))
    quotes.set_cutoffs(DATE, CUTOFFS)
    quotes.offer([tick(1.0, CUTOFF - 9)] * 2, NOON)
    quotes.offer([tick(1.1, CUTOFF - 3), tick(1.2, CUTOFF + 3), tick(1.15, CUTOFF - 2), tick(1.3, CUTOFF + 4)], NOON)
    assert closing(quotes) == (1.15, CUTOFF - 2) and quotes.take()[EURUSD].price == 1.3
