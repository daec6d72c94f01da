"""Reference data and balances: valid columns are exact, a bad one is refused by name."""

from decimal import Decimal

import pytest

from riskengine.records.decode import convert
from riskengine.records.fields import Rejected
from riskengine.records.reference_input import (
    CloseInput,
    InstrumentInput,
    MarkInput,
    NodeInput,
    OpeningInput,
    check_close,
    check_instrument,
    check_mark,
    check_node,
    check_opening,
)
from riskengine.records.types import ONE, Close, Instrument, Kind, Node, Opening, StoredMark

TS = 1_795_262_400_000_000
EURUSD = Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD")
CRUDE = Instrument(instrument="CLZ6", kind=Kind.FUTURE, quote_currency="USD", quantity_decimals=0)
SHARE = Instrument(instrument="ACME", kind=Kind.EQUITY, quote_currency="USD")
BOOK = {"EURUSD": EURUSD, "CLZ6": CRUDE, "ACME": SHARE}

SPOT = {"instrument": "EURUSD", "kind": "fx", "base_currency": "EUR", "quote_currency": "USD"}
FUTURE = {"instrument": "CLZ6", "kind": "future", "quote_currency": "USD", "expiry": "2026-11-19"}
OPTION = {
    **SPOT,
    "instrument": "EURUSD C",
    "kind": "fx_option",
    "option_type": "call",
    "strike": "1.10",
    "expiry": "2026-12-18T10:00:00-05:00",
}
OPENING = {"desk": "FX1", "instrument": "EURUSD", "ts": str(TS), "quantity": "-5.25", "average_price": "1.1"}
CLOSE = {"date": "2026-11-20", "instrument": "EURUSD", "price": "1.1"}
MARK = {"instrument": "EURUSD", "ts": str(TS), "price": "1.1"}


def node(**row: object) -> Node:
    return check_node(convert(row, NodeInput))


def instrument(base: dict[str, str], **changes: object) -> Instrument:
    return check_instrument(convert({**base, **changes}, InstrumentInput))


def opening(**changes: object) -> Opening:
    return check_opening(convert({**OPENING, **changes}, OpeningInput), BOOK)


def close(**changes: object) -> Close:
    return check_close(convert({**CLOSE, **changes}, CloseInput), BOOK)


def mark(**changes: object) -> StoredMark:
    return check_mark(convert({**MARK, **changes}, MarkInput), BOOK)


def refused(call, *arguments, **changes) -> tuple[str, str]:
    """Field and reason; a reason stays short for any input."""
    with pytest.raises(Rejected) as caught:
        call(*arguments, **changes)
    assert len(caught.value.reason) < 150
    return caught.value.field, caught.value.reason


# Nodes


def test_a_node_has_a_name_and_perhaps_a_parent():
    assert node(node="FX1", level="desk", parent="ALL") == Node("FX1", "desk", "ALL")
    assert node(node="ALL") == Node("ALL")


def test_a_node_with_a_bad_name_is_refused():
    assert refused(node) == ("node", "is missing")
    assert refused(node, node="A", parent="A") == ("parent", "'A' is its own parent")
    assert refused(node, node="x" * 10_240) == ("node", "is longer than 128 characters")
    assert refused(node, node="A", level="a\nb")[0] == "level"
    assert refused(node, node="\ud800")[0] == "node"
    assert refused(node, node=["A"]) == ("node", "expected `str`, got `array`")


# Instruments


def test_an_instrument_has_its_defaults():
    assert instrument(SPOT) == EURUSD


def test_an_instrument_keeps_every_column():
    option = instrument(OPTION, multiplier="1.00000001", premium_style="pct_base", cut="15:00 Asia/Tokyo")
    assert (option.multiplier, option.currency, option.premium_style) == (100_000_001, "EUR", "pct_base")
    assert option.cut == "15:00 Asia/Tokyo"
    assert option.expiry == "2026-12-18T10:00:00-05:00"


@pytest.mark.parametrize("sent", ["1.10", "1.1", Decimal("1.100"), "11e-1"])
def test_one_strike_has_one_text(sent):
    assert instrument(OPTION, strike=sent).strike == "1.1"


def test_gold_is_a_metal_with_a_base_currency():
    gold = {"instrument": "XAUUSD", "kind": "metal", "base_currency": "XAU", "quote_currency": "USD"}
    assert instrument(gold).base_currency == "XAU"


@pytest.mark.parametrize(
    ("base", "changes", "field", "reason"),
    [
        (SPOT, {"instrument": ""}, "instrument", "is missing"),
        (SPOT, {"instrument": "x" * 10_240}, "instrument", "is longer than 128 characters"),
        (SPOT, {"base_currency": ""}, "base_currency", "is missing: required for fx"),
        (SPOT, {"base_currency": "USD"}, "base_currency", "is the same as quote_currency"),
        (SPOT, {"quote_currency": "usd"}, "quote_currency", "must be a code of 3 to 8 capital letters: 'usd'"),
        (SPOT, {"quote_currency": ""}, "quote_currency", "is missing"),
        (SPOT, {"price_decimals": "13"}, "price_decimals", "must be 0 to 12"),
        (SPOT, {"price_decimals": "-1"}, "price_decimals", "must be 0 to 12"),
        (SPOT, {"price_decimals": True}, "price_decimals", "expected `int`, got `bool`"),
        (SPOT, {"quantity_decimals": "11"}, "quantity_decimals", "must be 0 to 10"),
        (SPOT, {"quantity_decimals": "two"}, "quantity_decimals", "expected `int`, got `str`"),
        (SPOT, {"multiplier": "0"}, "multiplier", "must be above 0"),
        (SPOT, {"multiplier": "-1"}, "multiplier", "must be above 0"),
        (SPOT, {"multiplier": "0.000000001"}, "multiplier", "has more than 8 decimals"),
        (SPOT, {"multiplier": "NaN"}, "multiplier", "is not a finite number"),
        (SPOT, {"multiplier": "1e400"}, "multiplier", "is larger than 1e15"),
        (SPOT, {"delta_type": "vanilla"}, "delta_type", "must be one of spot, forward, spot_pa, forward_pa: 'vanilla'"),
        (SPOT, {"sector": "a\tb"}, "sector", r"has a character that a name cannot have: 'a\tb'"),
        (FUTURE, {"expiry": ""}, "expiry", "is missing: required for future"),
        (FUTURE, {"expiry": "19/11/2026"}, "expiry", "is not a date: '19/11/2026'"),
        (FUTURE, {"expiry": "2026-11-19 and 10 KB more"}, "expiry", "is not a time: '2026-11-19 and 10 KB more'"),
        (FUTURE, {"expiry": "2026-11-19T10:00"}, "expiry", "has no offset from UTC: '2026-11-19T10:00'"),
        (OPTION, {"option_type": "Call"}, "option_type", "must be call or put: 'Call'"),
        (OPTION, {"strike": ""}, "strike", "is missing: required for fx_option"),
        (OPTION, {"strike": "0"}, "strike", "must be above 0"),
        (OPTION, {"strike": "-1"}, "strike", "must be above 0"),
        (OPTION, {"strike": "Infinity"}, "strike", "is not a finite number"),
        (OPTION, {"strike": "1.00000000001"}, "strike", "has more than 10 decimals"),
    ],
)
def test_an_instrument_that_does_not_fit_is_refused_by_column(base, changes, field, reason):
    assert refused(instrument, base, **changes) == (field, reason)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    field, reason = refused(instrument, SPOT, kind="bond")
    assert field == "kind" and "fx_forward" in reason and reason.endswith(": 'bond'")


# Opening balances


def test_an_opening_balance_is_exact_and_signed():
    assert opening(realised="-10.123", fees="0.5", dealer="Ann") == Opening(
        desk="FX1",
        dealer="Ann",
        instrument="EURUSD",
        ts=TS,
        quantity=-525 * ONE // 100,
        average_price=11 * ONE // 10,
        realised=-10_123 * ONE // 1_000,
        fees=ONE // 2,
    )


def test_a_flat_opening_balance_needs_no_price():
    assert opening(quantity="0", average_price="", realised="7").average_price == 0


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"instrument": "XXX"}, "instrument", "unknown instrument 'XXX'"),
        ({"desk": ""}, "desk", "is missing"),
        ({"quantity": ""}, "quantity", "is missing"),
        ({"quantity": "1.001"}, "quantity", "has more than 2 decimals"),
        ({"quantity": "nan"}, "quantity", "is not a finite number"),
        ({"quantity": True}, "quantity", "expected `decimal`, got `bool`"),
        ({"average_price": ""}, "average_price", "is missing: required unless quantity is 0"),
        ({"average_price": "-1"}, "average_price", "must not be negative"),
        ({"realised": "1e16"}, "realised", "is larger than 1e15"),
        ({"fees": "0.00000000001"}, "fees", "has more than 10 decimals"),
        ({"ts": ""}, "ts", "is missing"),
        ({"ts": str(TS * 1_000)}, "ts", "is out of range: it looks like nanoseconds; microseconds are expected"),
        ({"ts": "1970-01-02T00:00:00Z"}, "ts", "is out of range: 1980 to 2200 in microseconds since 1970 are expected"),
    ],
)
def test_a_bad_opening_balance_is_refused_by_column(changes, field, reason):
    assert refused(opening, **changes) == (field, reason)


# Closes and marks


def test_closes_and_marks_are_prices_of_known_instruments():
    assert close() == Close("2026-11-20", "EURUSD", 1.1)
    assert mark() == StoredMark("EURUSD", TS, 1.1, "file")
    assert mark(price=Decimal("1.1"), source="fixing") == StoredMark("EURUSD", TS, 1.1, "fixing")


def test_only_a_future_may_be_priced_below_zero_and_only_what_can_become_worthless_at_zero():
    for call in (close, mark):
        assert call(instrument="CLZ6", price="-37.63").price == -37.63
        assert call(instrument="CLZ6", price="0").price == 0.0
        assert call(instrument="ACME", price="0").price == 0.0
        assert refused(call, instrument="ACME", price="-1") == ("price", "must not be negative")
        assert refused(call, price="0") == ("price", "must be above 0")
        assert refused(call, price="-1") == ("price", "must be above 0")


@pytest.mark.parametrize("call", [close, mark])
@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"instrument": "XXX"}, "instrument", "unknown instrument 'XXX'"),
        ({"instrument": ""}, "instrument", "is missing"),
        ({"price": ""}, "price", "is missing"),
        ({"price": "NaN"}, "price", "is not a finite number"),
        ({"price": "1e400"}, "price", "is larger than 1e15"),
        ({"price": "1.0000000000001"}, "price", "has more than 12 decimals"),
        ({"price": "N/A"}, "price", "is not a number: 'N/A'"),
        ({"price": True}, "price", "expected `float | str`, got `bool`"),
    ],
)
def test_a_bad_price_is_refused_by_column(call, changes, field, reason):
    assert refused(call, **changes) == (field, reason)


def test_a_close_has_a_date_even_when_it_did_not_come_from_a_file():
    assert refused(close, date="20.11.2026") == ("date", "is not a date: '20.11.2026'")
    assert refused(check_close, CloseInput(date="", instrument="EURUSD", price=1.1), BOOK) == ("date", "is missing")


# Units of prices


VOD = Instrument(instrument="VOD", kind=Kind.EQUITY, quote_currency="GBP")
UNITS = {"lse": {"GBP": "GBX"}}


@pytest.mark.parametrize(
    ("more", "price"),
    [({}, 71.25), ({"source": "lse"}, 0.7125), ({"currency": "GBp"}, 0.7125), ({"source": "lse", "currency": "GBP"}, 71.25)],
)
def test_the_price_of_a_mark_or_close_is_converted_from_the_unit_of_its_row_else_of_its_source(more, price):
    sent = {"instrument": "VOD", "price": "71.25"} | more
    book = {"VOD": VOD}
    assert check_mark(convert({"ts": MARK["ts"]} | sent, MarkInput), book, UNITS).price == price
    assert check_close(convert({"date": "2026-03-04"} | sent, CloseInput), book, UNITS).price == price


def test_a_price_in_another_currency_is_refused():
    assert refused(mark, currency="ZAc")[0] == "currency"


@pytest.mark.parametrize(("sent", "kept"), [("GBp", "GBX"), ("GBX", "GBX"), ("ZAc", "ZAc"), ("ILA", "ILA")])
def test_an_instrument_may_be_in_a_minor_unit(sent, kept):
    assert instrument({"instrument": "A", "kind": "equity", "quote_currency": sent}).currency == kept
