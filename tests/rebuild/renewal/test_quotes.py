"""The book of quotes goes on with other reference data: quotes stay with their symbols."""

from riskengine.market.marks import Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.records.reference import Reference
from tests.world import INSTRUMENTS, NOON, SECOND, book, quote, reference

WIDER = reference(rows=({"instrument": "AARDVARK", "kind": "equity", "quote_currency": "USD"}, *INSTRUMENTS))
NARROWER = reference(rows=[one for one in INSTRUMENTS if one["instrument"] != "GBPUSD"])


def renewed(quotes: QuoteBook, where: Reference, **marks: Mark) -> dict[str, Mark]:
    """What is taken after the book has gone on with other reference data, by symbol."""
    quotes.renew(where, marks)
    return {where.symbols[number]: mark for number, mark in quotes.take().items()}


def test_what_was_not_handed_over_yet_goes_by_its_symbol():
    quotes = book()
    quotes.offer([quote("EURUSD", 1.5, 1.5), quote("GBPUSD", 1.3, 1.3)], NOON)
    assert {symbol: mark.price for symbol, mark in renewed(quotes, WIDER).items()} == {"EURUSD": 1.5, "GBPUSD": 1.3}


def test_quotes_go_on_where_they_were():
    quotes = book(max_move=0.1)
    quotes.offer([quote("EURUSD", 1.5, 1.5), quote("EURUSD", 2.0, 2.0), quote("GBPUSD", 1.3, 1.3, NOON + 5)], NOON)
    quotes.take()
    assert renewed(quotes, WIDER) == {}
    quotes.offer([quote("EURUSD", 2.0, 2.0, NOON + 10 * SECOND), quote("GBPUSD", 1.4, 1.4, NOON + 4)], NOON)
    assert [mark.price for mark in quotes.take().values()] == [2.0], "the level has held long enough; the other is old"
    assert quotes.old == 1


def test_an_instrument_that_is_gone_is_unknown_and_one_that_is_new_is_known():
    quotes = book()
    quotes.offer([quote("GBPUSD", 1.3, 1.3)], NOON)
    assert renewed(quotes, NARROWER) == {}
    assert [refusal.reason for refusal in quotes.offer([quote("GBPUSD", 1.3, 1.3)], NOON)] == ["unknown instrument 'GBPUSD'"]
    quotes.renew(WIDER, {})
    assert quotes.offer([quote("GBPUSD", 1.3, 1.3), quote("AARDVARK", 7.0, 7.0)], NOON) == []
    assert {WIDER.symbols[number] for number in quotes.take()} == {"GBPUSD", "AARDVARK"}


def test_a_mark_in_force_that_is_newer_than_the_quote_is_taken_and_handed_over_again():
    quotes = book()
    quotes.offer([quote("EURUSD", 1.5, 1.5), quote("GBPUSD", 1.3, 1.3)], NOON)
    quotes.take()
    loaded = {"EURUSD": Mark(1.6, NOON + 1, "desk", "quote"), "GBPUSD": Mark(1.2, NOON - 1, "desk", "quote")}
    assert renewed(quotes, WIDER, **loaded) == {"EURUSD": loaded["EURUSD"]}
    quotes.offer([quote("EURUSD", 1.7, 1.7)], NOON)
    assert quotes.take() == {}, "older than what was loaded"


def test_what_may_be_negative_follows_the_kind():
    quotes = book()
    rows = [one | {"kind": "future", "expiry": "2026-12-18"} if one["instrument"] == "ACME" else one for one in INSTRUMENTS]
    assert quotes.offer([quote("ACME", -1.0, -1.0)], NOON)
    quotes.renew(reference(rows=rows), {})
    assert quotes.offer([quote("ACME", -1.0, -1.0)], NOON) == []
