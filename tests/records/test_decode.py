"""Decoding trades and ticks: a bad item is refused with its place and reason, the others are unharmed."""

import json
import re
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.errors import InputError
from riskengine.records.decode import (
    TickInput,
    TradeCheck,
    TradeInput,
    convert,
    decode_ticks,
    decode_trades,
    has_rounded_fees,
    split_refusals,
)
from riskengine.records.fields import Rejected
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import CASH_ONE, ONE, Instrument, Kind, Refusal, Trade
from tests.world import NOON, check_row, instruments, nodes, reference, row

TS = 1_795_262_400_000_000
EURUSD = Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD")
CRUDE = Instrument(instrument="CLZ6", kind=Kind.FUTURE, quote_currency="USD", multiplier=1_000 * 10**8, quantity_decimals=0)
CHECK = TradeCheck({"EURUSD": EURUSD, "CLZ6": CRUDE}, {"FX1"}, {"FX1", "ALL"})
GOOD = {"trade_id": "T1", "ts": TS, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 2, "price": 1.5}


def decoded(sent: object) -> list[TradeInput | Refusal]:
    return decode_trades(json.dumps(sent).encode())


def checked(**changes: object) -> Trade:
    """The good trade with some columns changed (None: left out), through JSON and the checks."""
    sent = decoded({key: value for key, value in {**GOOD, **changes}.items() if value is not None})[0]
    if isinstance(sent, Refusal):
        raise Rejected(sent.field, sent.reason)
    return CHECK(sent, 7, "api")


# Batches


def test_one_trade_and_a_list_of_trades_are_read():
    one = decode_trades(b' {"trade_id": "T1"} ')
    assert one == decode_trades(b'[{"trade_id": "T1"}]') == [TradeInput(trade_id="T1")]
    assert decode_trades(b"[]") == []


def test_a_number_is_exact_whether_it_comes_as_number_or_text():
    digits = "1.1234567890123456789012345678901234567890"
    for text in (digits, f'"{digits}"'):
        (sent,) = decode_trades(b'{"trade_id": "T1", "price": %s}' % text.encode())
        assert isinstance(sent, TradeInput) and sent.price == Decimal(digits)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"nope",
        b"null",
        b"5",
        b'"x"',
        b'[{"trade_id": "T1"}',
        b'[{"trade_id": "T1"},]',
        b"{'trade_id': 1}",
        b'{"trade_id": "a"}, {"trade_id": "b"}',
        b'[{"price": NaN}]',
        b'[{"price": Infinity}]',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe[]",
        b"\xef\xbb\xbf[]",
        b'[{"trade_id": "\\ud800", "price": NaN}]',
        b"\0",
    ],
)
def test_a_body_that_is_not_json_is_an_input_error_in_one_line(body):
    for decode in (decode_trades, decode_ticks):
        with pytest.raises(InputError, match="not a JSON list of objects") as caught:
            decode(body)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        (b"5", "", "expected `object`, got `int`"),
        (b"[[]]", "", "expected `object`, got `array`"),
        (b"null", "", "expected `object`, got `null`"),
        (b"{}", "trade_id", "is missing"),
        (b'{"trade_id": 5}', "trade_id", "expected `str`, got `int`"),
        (b'{"trade_id": "a", "price": true}', "price", "expected `decimal | null`, got `bool`"),
        (b'{"trade_id": "a", "price": [[1]]}', "price", "expected `decimal | null`, got `array`"),
        (b'{"trade_id": "a", "price": "abc"}', "price", "invalid decimal string"),
        (b'{"trade_id": "a", "ts": true}', "ts", "expected `int | str | null`, got `bool`"),
        (b'{"trade_id": "a", "ts": 1.5}', "ts", "expected `int | str | null`, got `float`"),
        (b'{"trade_id": "a", "ts": ' + b"9" * 5_000 + b"}", "ts", "integer value out of range"),
        (b'{"trade_id": "a", "leg": "x"}', "leg", "expected `int`, got `str`"),
        (b'{"trade_id": "\xff"}', "", "is not UTF-8"),
        (b'{"trade_id": "\\ud800"}', "trade_id", "has half of a surrogate pair"),
        (b'{"trade_id": "a", "desk": "\\uDFFFx"}', "desk", "has half of a surrogate pair"),
        (b'{"trade_id": "a", "\\ud800": 1}', "", "has half of a surrogate pair"),
    ],
)
def test_a_bad_item_is_refused_in_its_place_and_the_others_are_taken(item, field, reason):
    items = decode_trades(b'[{"trade_id": "T1", "price": 1.10}, ' + item + b', {"trade_id": "T3"}]')
    assert items == [TradeInput(trade_id="T1", price=Decimal("1.10")), Refusal(1, field, reason), TradeInput(trade_id="T3")]
    assert [index for index, _ in split_refusals(items)] == [0, 2]


def test_null_is_absent():
    nulls = b'"source": null, "leg": null, "dealer": null, "value_date": null, "fees_currency": null, "price": 1.10'
    bare = TradeInput(trade_id="a", price=Decimal("1.10"))
    assert decode_trades(b'{"trade_id": "a", ' + nulls + b"}") == [bare]
    assert decode_trades(b'[{"trade_id": "a", ' + nulls + b', "leg": "x"}, {"trade_id": "a", ' + nulls + b"}]") == [
        Refusal(0, "leg", "expected `int`, got `str`"),
        bare,
    ]
    assert decode_ticks(b'[{"instrument": "E", "ts": 1, "mid": 1.5, "source": null}]') == [TickInput("E", 1, mid=1.5)]


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        (b'{"trade_id": null, "dealer": null}', "trade_id", "is missing"),
        (b'{"trade_id": "a", "dealer": [null]}', "dealer", "expected `str`, got `array`"),
        (b'{"dealer": null, "trade_id": "a", "ts": ' + b"9" * 5_000 + b"}", "dealer", "expected `str`, got `null`"),
        (b'{"dealer": null, "trade_id": "\xff"}', "dealer", "expected `str`, got `null`"),
    ],
)
def test_what_is_wrong_besides_null_is_said(item, field, reason):
    assert decode_trades(b"[" + item + b"]") == [Refusal(0, field, reason)]


def test_a_whole_pair_of_surrogates_is_a_character():
    assert decode_trades(b'{"trade_id": "\\ud83d\\ude00"}') == [TradeInput(trade_id="\U0001f600")]


@pytest.mark.parametrize("price", [b"1e400", b"9" * 400, b"true", b"[1]", b"{}"])
def test_a_tick_with_a_wrong_price_is_refused(price):
    items = decode_ticks(b'[{"instrument": "E", "ts": 1, "bid": ' + price + b'}, {"instrument": "E", "ts": 1, "mid": 2}]')
    assert isinstance(items[0], Refusal) and items[0].field == "bid"
    assert items[1] == TickInput("E", 1, mid=2.0)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_an_input_error(body):
    for decode in (decode_trades, decode_ticks):
        with suppress(InputError):
            decode(body)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from(TradeInput.__struct_fields__), _json))
def test_no_json_object_raises_anything_but_a_refusal(changes):
    with suppress(Rejected):
        trade = checked(**changes)
        assert trade.quantity >= 0 and trade.version >= 1


# Checks of a trade


def test_a_good_trade_has_its_defaults_and_what_follows_from_it():
    trade = checked()
    assert trade == Trade(
        source="api",
        trade_id="T1",
        ts=TS,
        instrument="EURUSD",
        desk="FX1",
        side="buy",
        quantity=2 * ONE,
        price=15 * ONE // 10,
        fees_currency="USD",
        received_ts=7,
        signed_quantity=2 * ONE,
        cash=-3 * CASH_ONE,
        fill_price=1.5,
    )


def test_an_empty_source_is_the_default_one():
    assert checked(source="").source == "api"
    assert checked(source="booking").source == "booking"


def test_the_exact_cash_replaces_quantity_times_price():
    trade = checked(side="sell", contra_amount="3.01")
    assert trade.cash == 301 * CASH_ONE // 100
    assert trade.fill_price == 1.505


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"instrument": "XXXYYY"}, "instrument", "unknown instrument 'XXXYYY'"),
        (
            {"instrument": "EURUSD@2027-12-03"},
            "instrument",
            "'EURUSD@2027-12-03' is a forward that the engine makes: send EURUSD with value_date 2027-12-03",
        ),
        ({"instrument": None}, "instrument", "is missing"),
        ({"desk": "FX9"}, "desk", "unknown desk 'FX9'"),
        ({"desk": "ALL"}, "desk", "'ALL' has nodes below it; trades attach to leaf nodes"),
        ({"desk": None}, "desk", "is missing"),
        ({"side": "Buy"}, "side", "must be buy or sell: 'Buy'"),
        ({"side": None}, "side", "is missing"),
        ({"action": "delete"}, "action", "must be new, amend or cancel: 'delete'"),
        ({"quantity": 0}, "quantity", "must be above 0"),
        ({"quantity": "-1"}, "quantity", "must be above 0"),
        ({"quantity": "1.001"}, "quantity", "has more than 2 decimals"),
        ({"quantity": "NaN"}, "quantity", "is not a finite number"),
        ({"quantity": "Infinity"}, "quantity", "is not a finite number"),
        ({"quantity": "1e400"}, "quantity", "is larger than 1e15"),
        ({"quantity": None}, "quantity", "is missing"),
        ({"price": None}, "price", "is missing"),
        ({"price": "-1"}, "price", "must not be negative"),
        ({"price": "1.00000000001"}, "price", "has more than 10 decimals"),
        ({"price": "1." + "0" * 90 + "1"}, "price", "has more than 10 decimals"),
        ({"fees": "1e16"}, "fees", "is larger than 1e15"),
        ({"fees_currency": "dollars"}, "fees_currency", "must be a code of 3 to 8 capital letters: 'dollars'"),
        ({"contra_amount": -3}, "contra_amount", "must not be negative: it has the sign of the price, and side says who pays"),
        ({"contra_amount": "0"}, "contra_amount", "must not be 0: it has the sign of the price, which is not 0"),
        ({"price": "0", "contra_amount": "3"}, "contra_amount", "must be 0: it has the sign of the price, which is 0"),
        ({"price": "0", "contra_amount": "-3"}, "contra_amount", "must be 0: it has the sign of the price, which is 0"),
        ({"trade_id": ""}, "trade_id", "is missing"),
        ({"trade_id": "x" * 10_240}, "trade_id", "is longer than 128 characters"),
        ({"trade_id": "a\nb"}, "trade_id", r"has a character that a name cannot have: 'a\nb'"),
        ({"dealer": "a\0"}, "dealer", r"has a character that a name cannot have: 'a\x00'"),
        ({"leg": -1}, "leg", "must be 0 to 9007199254740991"),
        ({"version": 0}, "version", "must be 1 to 9007199254740991"),
        ({"version": 10**30}, "version", "must be 1 to 9007199254740991"),
        ({"legs": 0}, "legs", "must be 1 to 1000"),
        ({"ts": None}, "ts", "is missing"),
        ({"ts": TS * 1_000}, "ts", "is out of range: it looks like nanoseconds; microseconds are expected"),
        ({"ts": TS // 1_000}, "ts", "is out of range: it looks like milliseconds; microseconds are expected"),
        ({"ts": TS // 1_000_000}, "ts", "is out of range: it looks like seconds; microseconds are expected"),
        ({"ts": "2300-01-01T00:00:00Z"}, "ts", "is out of range: 1980 to 2200 in microseconds since 1970 are expected"),
        ({"booked_ts": "soon"}, "booked_ts", "is not a time: 'soon'"),
        ({"value_date": "tomorrow"}, "value_date", "is not a date: 'tomorrow'"),
    ],
)
def test_a_wrong_column_is_refused_by_its_name(changes, field, reason):
    with pytest.raises(Rejected) as caught:
        checked(**changes)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_a_price_of_zero_may_have_an_exact_cash_of_zero():
    assert checked(price="0", contra_amount="0").cash == 0


def test_a_reason_never_repeats_ten_kilobytes():
    for column in ("instrument", "desk", "side", "action", "value_date", "ts", "fees_currency", "dealer"):
        with pytest.raises(Rejected) as caught:
            checked(**{column: "x" * 10_240})
        assert caught.value.field == column and len(caught.value.reason) < 120


def test_only_a_future_may_trade_below_zero():
    assert checked(instrument="CLZ6", quantity=1, price="-37.63").price == -3763 * ONE // 100


def test_a_cancel_needs_identity_and_version_only():
    sent = TradeInput(trade_id="T1", version=2, action="cancel")
    cancel = CHECK(sent, 7, "api")
    assert (cancel.identity, cancel.version, cancel.action) == (("api", "T1", 0), 2, "cancel")
    assert (cancel.ts, cancel.quantity, cancel.cash) == (0, 0, 0)


def test_repeated_names_share_memory():
    first, second = checked(dealer="Ann Lee"), checked(dealer="Ann Lee")
    assert first.dealer is second.dealer and first.source is second.source


# Rows of files


def test_a_row_of_texts_becomes_a_record_and_empty_texts_are_absent():
    row = {"trade_id": "T1", "leg": "1", "ts": str(TS), "quantity": "1.10", "fees": "", "dealer": None}
    assert convert(row, TradeInput) == TradeInput(trade_id="T1", leg=1, ts=str(TS), quantity=Decimal("1.10"))


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ({}, "trade_id", "is missing"),
        ({"trade_id": ""}, "trade_id", "is missing"),
        ({"trade_id": "a", "leg": "1.5"}, "leg", "expected `int`, got `str`"),
        ({"trade_id": "a", "leg": True}, "leg", "expected `int`, got `bool`"),
        ({"trade_id": "a", "quantity": "1,000"}, "quantity", "invalid decimal string"),
        ({"trade_id": "a", "quantity": [1]}, "quantity", "expected `decimal | null`, got `array`"),
    ],
)
def test_a_bad_row_is_refused_by_field(row, field, reason):
    with pytest.raises(Rejected) as caught:
        convert(row, TradeInput)
    assert (caught.value.field, caught.value.reason) == (field, reason)


# -- names that nobody knows ----------------------------------------------------------------------------------------


def test_a_misspelt_field_of_a_trade_is_refused_with_the_nearest_one_and_the_others_are_taken():
    body = b'[{"trade_id": "a", "fee": 5}, {"trade_id": "b"}, {"trade_id": "c", "colour": 1, "dealer": null}]'
    first, second, third = decode_trades(body)
    assert first == Refusal(0, "fee", "is not a field of a trade: did you mean fees?")
    assert second == TradeInput(trade_id="b")
    assert isinstance(third, Refusal) and third.field == "colour" and "there are trade_id, source" in third.reason


def test_a_misspelt_field_of_a_tick_is_refused_with_the_nearest_one():
    [found] = decode_ticks(b'[{"instrument": "EURUSD", "ts": 1, "bid": 1, "aks": 1}]')
    assert found == Refusal(0, "aks", "is not a field of a tick: did you mean ask?")


def test_what_was_read_can_be_sent_again():
    [found] = decode_trades(b'{"trade_id": "a", "store_seq": 7, "received_ts": "2026-11-20T15:04:05Z"}')
    assert isinstance(found, TradeInput)


@pytest.mark.parametrize("action", ["amend", "cancel"])
def test_an_amend_or_cancel_names_its_version(action):
    with pytest.raises(Rejected, match=f"version: is missing: an? {action} names its version"):
        check_row({**row(), "action": action, "version": None}, NOON)


def test_a_currency_is_a_check_and_a_minor_unit_of_it_is_a_hundredth():
    where = reference(rows=({"instrument": "VOD", "kind": "equity", "quote_currency": "GBP"},))
    sent = row(instrument="VOD", price="71.25", contra_amount="7125")
    plain = check_row(row(instrument="VOD", price="0.7125", contra_amount="71.25"), NOON, where)
    for code in ("GBX", "GBp"):
        assert check_row(sent | {"currency": code}, NOON, where) == plain
    assert check_row(row(instrument="VOD", currency="GBP"), NOON, where) == check_row(row(instrument="VOD"), NOON, where)
    for code in ("EUR", "ZAc", "gbp"):
        with pytest.raises(Rejected, match=f"currency: is '{code}', and VOD is dealt in GBP"):
            check_row(sent | {"currency": code}, NOON, where)
    with pytest.raises(Rejected, match="price: has more than 8 decimals"):
        check_row(sent | {"currency": "GBX", "price": "0.123456789"}, NOON, where)


@pytest.mark.parametrize(
    ("price", "contra", "said"),
    [
        ("71.24", "8548.80", "is '8548.80', but quantity x price is 854880 GBX (12000 x 71.24), about 100 times of it"),
        ("0.7124", "854880", "is '854880', but quantity x price is 8548.8 GBX (12000 x 0.7124), about 1/100 of it"),
        ("71.24", "8590", "is contra_amount in GBP? write both in GBX"),
    ],
)
def test_a_row_of_pence_whose_amount_is_in_pounds_is_refused_with_both(price, contra, said):
    sent = row(instrument="VOD", quantity="12000", price=price, contra_amount=contra, currency="GBX")
    for rows in (POUNDS, PENCE):
        with pytest.raises(Rejected, match=f"contra_amount: .*{re.escape(said)}"):
            check_row(sent, NOON, reference(rows=rows))


@pytest.mark.parametrize(
    "sent", [{"contra_amount": "900000"}, {"contra_amount": "860000"}, {"contra_amount": "8548.80", "currency": ""}]
)
def test_an_amount_that_differs_by_another_factor_or_without_a_minor_unit_is_the_senders(sent):
    given = row(instrument="VOD", quantity="12000", price="71.24", currency="GBX")
    assert check_row(given | sent, NOON, reference(rows=POUNDS)).contra_amount is not None


def test_the_size_of_a_contract_is_no_other_unit():
    where = reference(
        rows=({"instrument": "VOD", "kind": "future", "quote_currency": "GBP", "multiplier": "100", "expiry": "2027-03-19"},)
    )
    given = row(instrument="VOD", quantity="10", price="71.24", contra_amount="71240", currency="GBX")
    assert check_row(given, NOON, where).contra_amount == 71240 * ONE // 100


def test_fees_in_a_minor_unit_are_hundredths_of_the_whole_one():
    where = reference(rows=({"instrument": "VOD", "kind": "equity", "quote_currency": "GBP"},))
    sent = row("f1", instrument="VOD", price="250", quantity="10", fees="100")
    by_row = check_row(sent | {"currency": "GBX"}, NOON, where)
    assert (by_row.fees, by_row.fees_currency) == (ONE, "GBP")
    by_name = check_row(sent | {"price": "2.5", "fees_currency": "GBp"}, NOON, where)
    assert (by_name.fees, by_name.fees_currency) == (ONE, "GBP")
    whole = check_row(sent | {"currency": "GBX", "fees_currency": "GBP"}, NOON, where)
    assert whole.fees == 100 * ONE


PENCE = ({"instrument": "VOD", "kind": "equity", "quote_currency": "GBp"},)
POUNDS = ({"instrument": "VOD", "kind": "equity", "quote_currency": "GBP"},)


def test_an_instrument_in_a_minor_unit_takes_prices_in_the_whole_one():
    where = reference(rows=PENCE)
    plain = check_row(row(instrument="VOD", price="71.25", fees="100"), NOON, where)
    assert plain.fees_currency == "GBX"
    assert check_row(row(instrument="VOD", price="71.25", fees="100", currency="GBp"), NOON, where) == plain
    whole = check_row(row(instrument="VOD", price="0.7125", fees="1", currency="GBP"), NOON, where)
    assert (whole.price, whole.fees, whole.fees_currency) == (plain.price, ONE, "GBP")


def test_fees_of_a_row_in_a_minor_unit_are_in_it_also_where_an_instrument_has_that_unit():
    where = reference(rows=(*POUNDS, {"instrument": "BP", "kind": "equity", "quote_currency": "GBX"}))
    trade = check_row(row(instrument="VOD", price="250", fees="100", currency="GBX"), NOON, where)
    assert (trade.price, trade.fees, trade.fees_currency) == (5 * ONE // 2, 100 * ONE, "GBX")


def in_pence(sent: dict, store_seq: int | None = None, rows: tuple = POUNDS) -> Trade:
    where = Reference(nodes(), instruments(rows), "USD", price_units={"lse": {"GBP": "GBX", "GBX": "GBP"}})
    return trade_check(where)(convert(sent, TradeInput), NOON, "lse", store_seq)


def test_a_source_that_quotes_in_another_unit_is_converted_at_the_door():
    sent = row(instrument="VOD", price="71.25", contra_amount="7125", source="lse")
    plain = check_row(row(instrument="VOD", price="0.7125", contra_amount="71.25", source="lse"), NOON, reference(rows=POUNDS))
    assert in_pence(sent) == plain
    assert in_pence({**sent, "source": None}) == plain, "the default source is one, too"
    assert in_pence(row(instrument="VOD", price="0.7125", contra_amount="71.25", source="lse", currency="GBP")) == plain
    assert in_pence({**sent, "source": "other"}).price == 7125 * ONE // 100
    assert in_pence(row(instrument="VOD", price="0.7125", source="lse"), rows=PENCE).price == 7125 * ONE // 100


def test_what_was_read_from_an_engine_or_its_store_is_not_converted_again():
    sent = row(instrument="VOD", price="0.7125", source="lse")
    assert in_pence(sent, store_seq=7).price == in_pence(sent | {"store_seq": 7}).price == 7125 * ONE // 10_000


@pytest.mark.parametrize(
    ("fees", "units", "is_rounded"),
    [
        ("0.2808559209946952", 2_808_559_210, True),
        ("0.00000000005", 0, True),
        ("0.00000000015", 2, True),
        ("-0.00000000025", -2, True),
        ("1e-400", 0, True),
        ("1.10000000000000", 11_000_000_000, False),
        ("0", 0, False),
    ],
)
def test_fees_with_a_long_tail_are_rounded_half_even_and_counted(fees, units, is_rounded):
    assert check_row(row(fees=fees), NOON).fees == units
    assert has_rounded_fees(convert(row(fees=fees), TradeInput)) is is_rounded


@pytest.mark.parametrize("fees", ["NaN", "Infinity", "1e16", "1e400"])
def test_fees_that_are_no_amount_are_refused_all_the_same(fees):
    with pytest.raises(Rejected, match="fees"):
        check_row(row(fees=fees), NOON)


@pytest.mark.parametrize("changes", [{}, {"action": "amend", "version": 2}, {"action": "cancel", "version": 2}])
def test_the_source_of_what_the_engine_books_is_no_sender_s(changes):
    reason = "'exercise' is the engine's own, of what it books for expired options: send trades under another source"
    for sent in ({"source": "exercise"}, {"source": None}):
        with pytest.raises(Rejected) as caught:
            CHECK(convert(GOOD | changes | sent, TradeInput), TS, "exercise")
        assert caught.value.field == "source"
        assert caught.value.reason.startswith(reason)


def test_what_the_engine_booked_may_be_sent_again_as_it_was_read_and_counts_as_stored():
    booked = GOOD | {"source": "exercise"}
    assert CHECK(convert(booked | {"store_seq": 7}, TradeInput), TS, "api").source == "exercise"
    assert CHECK(convert(booked, TradeInput), TS, "api", store_seq=7).source == "exercise"
