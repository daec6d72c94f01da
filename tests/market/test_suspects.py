"""Prices too far from the last good mark (ACCOUNTING section 8): held back by source, believed by the rules and no others."""

from typing import Any

import pytest

from riskengine.config import MarksConfig, MoveLimits, OffMarketLimits
from riskengine.market.marks import Mark
from riskengine.market.price_limits import is_within, limit_of
from riskengine.market.quote_book import QuoteBook
from riskengine.market.suspects import MAX_SUSPECT_SOURCES
from riskengine.records.reference_input import InstrumentInput, check_instrument
from riskengine.records.types import Instrument, Tick
from tests.world import NOON, REFERENCE, SECOND

EURUSD, ESZ6 = (REFERENCE.instrument_index[symbol] for symbol in ("EURUSD", "ESZ6"))
MINUTE = 60 * SECOND


def instrument(kind: str, base: str = "", quote: str = "USD", **more: Any) -> Instrument:
    return check_instrument(InstrumentInput(instrument="X", kind=kind, base_currency=base, quote_currency=quote, **more))


class Feed:
    """A book with the default limits, and ticks of EURUSD at offsets from noon."""

    def __init__(self, **settings: Any) -> None:
        self.quotes = QuoteBook(REFERENCE, MarksConfig(**settings), 60.0)
        self.last: Mark | None = None

    def say(self, price: float, at_s: float = 0.0, source: str = "venue", symbol: str = "EURUSD") -> "Feed":
        ts = NOON + int(at_s * SECOND)
        assert self.quotes.offer([Tick(symbol, ts, price, price, None, source)], ts) == []
        return self

    def mark(self, number: int = EURUSD, at_s: float = 0.0) -> Mark:
        found = self.quotes.take(NOON + int(at_s * SECOND) if at_s else 0).get(number) or self.last
        assert found is not None
        self.last = found
        return found

    def price(self, at_s: float = 0.0) -> float:
        return self.mark(at_s=at_s).price


# -- the limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "move", "off_market"),
    [
        (instrument("fx", "EUR", "USD"), 0.005, 0.003),
        (instrument("fx", "NOK", "SEK"), 0.005, 0.003),
        (instrument("fx", "USD", "TRY"), 0.03, 0.01),
        (instrument("fx_forward", "EUR", "USD", expiry="2027-01-04"), 0.005, 0.003),
        (instrument("metal", "XAU"), 0.02, 0.01),
        (instrument("equity"), 0.1, 0.03),
        (instrument("crypto"), 0.1, 0.02),
        (instrument("future", expiry="2026-12-18"), 0.05, 0.01),
    ],
)
def test_a_kind_has_its_limits_by_default(made, move, off_market):
    assert limit_of(made, MarksConfig().max_move) == move
    assert limit_of(made, OffMarketLimits()) == off_market


def test_fx_of_zero_holds_for_its_g10_pairs_and_one_number_for_all_kinds():
    euro, share = instrument("fx", "EUR", "USD"), instrument("equity")
    assert limit_of(euro, MoveLimits(fx=0.0)) == 0.0
    assert limit_of(euro, MoveLimits(fx_g10=0.0)) == 0.0
    assert limit_of(share, MoveLimits(fx=0.0)) == 0.1
    assert (limit_of(euro, 0.07), limit_of(share, 0.07)) == (0.07, 0.07)


@pytest.mark.parametrize(
    ("price", "around", "within"),
    [(1.05, 1.0, True), (1.06, 1.0, False), (-5.2, -5.0, True), (-5.3, -5.0, False), (5.0, -5.0, False), (9e9, 0.0, True)],
)
def test_a_band_lies_around_prices_of_either_sign_and_from_zero_every_price_is_believed(price, around, within):
    assert is_within(price, around, 0.05) is within
    assert is_within(price, around, 0.0)


# -- held back ---------------------------------------------------------------------------------------------------


def test_a_price_nobody_should_believe_is_held_back_and_the_last_good_mark_stays():
    feed = Feed().say(1.0005).say(10.005, 1.0)
    mark = feed.mark()
    assert (mark.price, mark.ts, mark.suspect, mark.suspect_ts) == (1.0005, NOON, 10.005, NOON + SECOND)
    assert (feed.quotes.suspects, feed.quotes.held_back) == (["EURUSD"], 1)


def test_the_first_price_has_nothing_to_have_moved_from():
    assert Feed().say(10.005).price() == 10.005


def test_a_source_that_comes_back_is_suspect_no_more():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.001, 0.2)
    assert feed.mark().suspects == () and feed.price() == 1.001
    assert feed.quotes.suspects == []


def test_after_a_gap_three_times_the_limit_is_believed():
    assert Feed().say(1.0).say(1.014, 60.0).price() == 1.0
    assert Feed().say(1.0).say(1.014, 60.5).price() == 1.014
    assert Feed().say(1.0).say(1.016, 60.5).price() == 1.0


def test_a_move_within_the_limit_of_a_negative_future_is_believed_and_a_jump_is_not():
    feed = Feed().say(-37.0, symbol="ESZ6").say(-38.0, 0.1, symbol="ESZ6")
    assert feed.mark(ESZ6).price == -38.0
    assert feed.say(-2.0, 0.2, symbol="ESZ6").mark(ESZ6).price == -38.0


# -- believed ----------------------------------------------------------------------------------------------------


def test_three_quotes_in_a_row_that_agree_are_believed():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.501, 0.2)
    assert feed.price() == 1.0
    assert feed.say(1.502, 0.3).mark() == Mark(1.502, NOON + 300_000, "venue", "quote")
    assert feed.quotes.believed == 1


def test_quotes_that_wander_do_not_agree():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.6, 0.2).say(1.7, 0.3).say(1.5, 0.4)
    assert feed.price() == 1.0
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.506, 0.2).say(1.512, 0.3)
    assert feed.price() == 1.0, "each near the one before it, the third not near the first"
    assert feed.say(1.509, 0.4).price() == 1.509, "the last three agree"


def test_two_sources_that_agree_are_believed():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.502, 0.2, "bank")
    assert feed.mark() == Mark(1.502, NOON + 200_000, "bank", "quote")
    assert Feed().say(1.0).say(1.5, 0.1).say(1.6, 0.2, "bank").price() == 1.0


def test_another_source_near_the_mark_keeps_it_and_clears_nothing():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.001, 0.2, "bank")
    mark = feed.mark()
    assert (mark.price, mark.source, [level.source for level in mark.suspects]) == (1.001, "bank", ["venue"])
    assert feed.say(1.5, 0.3).say(1.002, 0.4, "bank").price() == 1.002
    assert feed.say(1.5, 0.5).price() == 1.5, "a feed that lags has no veto"


@pytest.mark.parametrize(("held_s", "price"), [(1.9, 1.0), (2.0, 1.502)])
def test_a_level_that_has_held_is_believed_with_its_next_quote(held_s, price):
    feed = Feed().say(1.0).say(1.5, 0.1)
    feed.quotes.offer([Tick("EURUSD", NOON + int((0.1 + held_s) * SECOND), 1.502, 1.502, None, "venue")], NOON)
    assert feed.price() == price


@pytest.mark.parametrize(("at_s", "price"), [(2.0, 1.0), (2.2, 1.5)])
def test_a_level_that_nothing_contradicts_is_believed_after_its_time(at_s, price):
    assert Feed().say(1.0).say(1.5, 0.1).price(at_s) == price


def test_a_level_that_has_held_does_not_take_the_place_of_a_newer_mark():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.001, 1.0, "bank")
    assert feed.price(3.0) == 1.001
    assert feed.mark().suspects != ()
    assert feed.mark(at_s=62.0).suspects == (), "nobody has quoted it for as long as it takes a mark to be stale"


@pytest.mark.parametrize("every_s", [0.5, 5.0, 30.0])
def test_one_print_that_nobody_repeats_never_becomes_the_mark_beside_another_fresh_source(every_s: float) -> None:
    """However slowly that one quotes, and whether the time passes by the clock or by its next tick."""
    feed = Feed().say(1.0, 0.0, "bank").say(1.5, 0.1)
    at_s = 0.2
    while at_s < 59.0:
        assert feed.price(at_s) == pytest.approx(1.0, abs=0.001)
        at_s += every_s
        assert feed.say(1.001, at_s, "bank").price() == pytest.approx(1.0, abs=0.001)
    assert feed.quotes.believed == 0


def test_one_print_becomes_the_mark_once_the_other_source_is_stale() -> None:
    feed = Feed(suspect_release_s=2.0, stale_after_s=10.0).say(1.0, 0.0, "bank").say(1.5, 5.0)
    assert feed.price(9.9) == 1.0
    assert feed.price(10.1) == 1.5


def test_a_level_that_was_repeated_is_believed_after_its_time_though_another_source_was_near_the_mark() -> None:
    feed = Feed().say(1.0, 0.0, "bank").say(1.5, 0.1).say(1.5, 0.2)
    assert feed.price(2.2) == 1.5


def test_two_sources_that_go_on_to_disagree_do_not_make_the_mark_flip() -> None:
    """A true jump costs three quotes; the feed that lags behind says nothing new by going on, and is listed."""
    feed = Feed().say(1.0, 0.0, "slow")
    prices = []
    for number in range(1, 60):
        prices.append(feed.say(1.5, number / 10).price(number / 10))
        prices.append(feed.say(1.0, number / 10 + 0.05, "slow").price(number / 10 + 0.05))
    first = prices.index(1.5)
    assert first <= 5 and set(prices[first:]) == {1.5}
    assert [level.source for level in feed.mark().suspects] == ["slow"]


def test_the_price_that_the_mark_left_comes_back_with_a_second_source_or_once_the_mark_is_silent() -> None:
    def disagreeing() -> Feed:
        feed = Feed().say(1.0, 0.0, "slow")
        for number in range(1, 4):
            feed.say(1.5, number / 10)
            feed.say(1.0, number / 10 + 0.05, "slow")
        assert feed.price() == 1.5
        return feed

    assert disagreeing().say(1.0, 0.5, "third").price() == 1.0
    feed = disagreeing()
    assert feed.say(1.0, 1.0, "slow").say(1.0, 2.0, "slow").price() == 1.5
    assert feed.say(1.0, 2.4, "slow").price() == 1.0, "nobody else has quoted for 2 s"
    feed = disagreeing().say(1.0, 0.4, "slow")
    assert feed.price(2.2) == 1.5
    assert feed.price(2.4) == 1.0


def test_a_source_that_has_followed_may_jump_again() -> None:
    feed = Feed().say(1.0, 0.0, "slow")
    for number in range(1, 4):
        feed.say(1.5, number / 10)
    feed.say(1.0, 0.4, "slow").say(1.5, 0.5, "slow").say(1.5, 0.6)
    assert feed.price() == 1.5
    for number in range(3):
        feed.say(1.0, 0.7 + number / 10, "slow")
    assert feed.price() == 1.0


def test_a_person_decides_about_the_level_of_one_source():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.9, 0.2, "bank")
    feed.quotes.decide("EURUSD", "bank", release=False)
    assert [level.source for level in feed.mark().suspects] == ["venue"]
    feed.quotes.decide("EURUSD", "nobody", release=True)
    feed.quotes.decide("EURUSD", "venue", release=True)
    assert feed.mark() == Mark(1.5, NOON + 100_000, "venue", "quote")


def test_what_a_person_released_is_dated_so_that_it_is_stored():
    feed = Feed().say(1.0).say(1.5, 0.1).say(1.001, 0.2, "bank")
    feed.quotes.decide("EURUSD", "venue", release=True)
    assert (feed.mark().price, feed.mark().ts) == (1.5, NOON + 200_000)


def test_a_side_too_far_from_the_mid_is_held_back_too():
    feed = Feed().say(1.0)
    assert feed.quotes.offer([Tick("EURUSD", NOON + 1, 1.2, None, None, "venue")], NOON) == []
    assert (feed.mark().price, feed.mark().suspect) == (1.0, 1.2)


def test_the_sources_of_one_instrument_are_bounded():
    feed = Feed().say(1.0)
    for number in range(MAX_SUSPECT_SOURCES + 4):
        feed.say(2.0 + number, 0.1 + number / 100, f"s{number}")
    kept = [level.source for level in feed.mark().suspects]
    assert kept == [f"s{number}" for number in range(4, MAX_SUSPECT_SOURCES + 4)]


def test_after_the_clock_was_set_back_a_suspect_level_is_believed_after_its_time():
    feed, hour = Feed(max_move=0.05, suspect_release_s=10.0), 3_600 * SECOND
    feed.say(1.0)
    feed.say(1.5, 3_600.0)
    again = [Tick("EURUSD", NOON + at, 1.5, 1.5, None, "venue") for at in (1, 1 + 10 * SECOND)]
    assert feed.quotes.offer(again, NOON + hour - hour) == []
    assert feed.price() == 1.5
