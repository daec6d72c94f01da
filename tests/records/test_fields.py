"""Checks of fields: an accepted value is exact, a bad one raises Rejected with the field's name, and no other error escapes."""

import datetime as dt
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.records.fields import (
    TS_MAX,
    TS_MIN,
    Rejected,
    currency,
    date,
    excerpt,
    fixed,
    integer,
    micros,
    name,
    quote,
    sequence,
    timestamp,
    to_text,
)
from riskengine.records.types import ONE

NOON = int(dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC).timestamp()) * 1_000_000


def reason(call, *arguments) -> str:
    """The reason with which `call` refuses; it must name the field."""
    with pytest.raises(Rejected) as caught:
        call(*arguments, "field")
    assert caught.value.field == "field"
    assert str(caught.value) == f"field: {caught.value.reason}"
    return caught.value.reason


# Exact numbers


@pytest.mark.parametrize(
    ("sent", "units"),
    [
        (1, ONE),
        ("1.5", 15 * ONE // 10),
        (Decimal("-0.00001"), -ONE // 100_000),
        ("0.10000000000000", ONE // 10),
        ("1e3", 1_000 * ONE),
        (" 12 ", 12 * ONE),
        ("1e15", 10**15 * ONE),
        (-(10**15), -(10**15) * ONE),
        ("-0", 0),
        ("0e999999999", 0),
        (Decimal("0E-99999"), 0),
        (Decimal("1" + "0" * 300 + "e-300"), ONE),
    ],
)
def test_a_number_becomes_exact_units_and_trailing_zeros_do_not_count(sent, units):
    assert fixed(sent, 5, "field") == units


@pytest.mark.parametrize("sent", ["NaN", "sNaN", "Infinity", "-inf", Decimal("NaN"), Decimal("-Infinity")])
def test_what_is_not_finite_is_refused(sent):
    assert reason(fixed, sent, 5) == "is not a finite number"
    assert reason(quote, str(sent)) == "is not a finite number"


@pytest.mark.parametrize(
    "sent", ["1e400", "1e16", "-1e16", "1e9999999999", "1000000000000000.1", "1000000000000000.00000000000000000000001"]
)
def test_what_is_too_large_is_refused(sent):
    assert reason(fixed, sent, 5) == "is larger than 1e15"
    assert reason(fixed, Decimal(sent), 5) == "is larger than 1e15"
    assert reason(quote, sent) == "is larger than 1e15"


def test_a_huge_integer_is_refused_at_once():
    assert reason(fixed, 10**4_000, 5) == "is larger than 1e15"
    assert reason(quote, float(2**70)) == "is larger than 1e15"


@pytest.mark.parametrize("sent", ["0.000001", "1e-6", "1e-400", "1e-999999999999", "1." + "0" * 100 + "1"])
def test_more_decimals_than_allowed_are_refused_however_far_out_they_are(sent):
    assert reason(fixed, sent, 5) == "has more than 5 decimals"
    assert reason(fixed, Decimal(sent), 5) == "has more than 5 decimals"


def test_a_whole_number_instrument_takes_no_fraction():
    assert fixed("2.000", 0, "field") == 2 * ONE
    assert reason(fixed, "2.5", 0) == "has more than 0 decimals"


@pytest.mark.parametrize("sent", ["", " ", "abc", "1,000", "1_000", "0x10", "1.2.3", "\uff11\uff12", "\ud800", "9" * 200])
def test_what_is_not_a_number_is_refused_and_shown_in_short(sent):
    assert reason(fixed, sent, 5) == f"is not a number: {excerpt(sent)}"
    assert reason(quote, sent) == f"is not a number: {excerpt(sent)}"


def test_a_boolean_is_not_a_number():
    assert reason(fixed, True, 5) == "is not a number: True"


@given(st.integers(-(10**25), 10**25))
def test_the_text_of_an_exact_number_reads_back_to_it(units):
    assert fixed(to_text(units), 10, "field") == units
    assert fixed(Decimal(to_text(units)), 10, "field") == units


@given(st.one_of(st.text(), st.decimals(), st.from_regex(r"[-+]?[0-9.]{1,30}(e[-+]?[0-9]{1,12})?", fullmatch=True)))
def test_no_number_raises_anything_but_a_refusal(sent):
    for call in (fixed, lambda value, _, field: quote(value if isinstance(value, str) else str(value), field)):
        with suppress(Rejected):
            call(sent, 5, "field")


# Quotes


@pytest.mark.parametrize("sent", ["1.08196", "119.456", "0", "-37.63", "1e2", "8192.000000000001", "999999999999999.5"])
def test_a_quote_is_the_nearest_double_of_its_text(sent):
    assert quote(sent, "field") == float(sent)
    assert quote(float(sent), "field") == float(sent)


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=12))
def test_every_quote_of_twelve_decimals_is_taken_as_text_and_as_double(value):
    assert quote(format(value, "f"), "field") == float(value)
    assert quote(float(value), "field") == float(value)


def test_a_text_of_thirteen_decimals_is_refused():
    assert reason(quote, "1.0000000000001") == "has more than 12 decimals"
    assert reason(quote, "1e-9999999") == "has more than 12 decimals"


def test_a_doubles_tail_is_rounded_and_never_to_nothing():
    assert quote(0.1 + 0.2, "field") == 0.3
    assert quote(1.0842000000000001, "field") == 1.0842
    assert quote(-37.630000000000003, "field") == -37.63
    assert quote(1.0000000000001, "field") == 1.0
    assert reason(quote, 1e-13) == "has more than 12 decimals"


@pytest.mark.parametrize(
    ("sent", "second_after"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.25Z"),
        ("2017-01-01T00:59:60+01:00", "2017-01-01T01:00:00+01:00"),
        ("2016-12-31 18:59:60-05:00", "2016-12-31T19:00:00-05:00"),
    ],
)
def test_a_leap_second_is_the_second_after(sent, second_after):
    assert timestamp(sent, "ts") == timestamp(second_after, "ts")


@pytest.mark.parametrize("sent", ["2016-12-31T23:59:61Z", "2016-12-31T23:60:00Z", "2016-12-31T23:59:60", "9999-12-31T23:59:60Z"])
def test_other_seconds_beyond_59_are_no_time(sent):
    assert reason(timestamp, sent)


@pytest.mark.parametrize("sent", [0, 1, 2**53 - 1, "0", "12", str(2**53), str(2**63 - 1), " 7 "])
def test_a_source_seq_is_below_2_63_and_a_text_above_2_53(sent):
    assert sequence(sent, "source_seq") == int(sent)


@pytest.mark.parametrize("sent", [-1, 2**53, 2**63, "-1", str(2**63), "1.0", "", "x", "\u0661", "1" * 30])
def test_any_other_source_seq_is_refused(sent):
    assert reason(sequence, sent)


@pytest.mark.parametrize("sent", [float("nan"), float("inf"), float("-inf")])
def test_a_double_that_is_not_finite_is_refused(sent):
    assert reason(quote, sent) == "is not a finite number"


# Times


@pytest.mark.parametrize(
    "sent",
    [
        NOON,
        str(NOON),
        f" {NOON} ",
        "2026-11-21T12:00:00Z",
        "2026-11-21T07:00:00-05:00",
        "2026-11-21 12:00:00.000000+00:00",
    ],
)
def test_a_time_is_microseconds_or_rfc_3339(sent):
    assert timestamp(sent, "field") == NOON


@pytest.mark.parametrize(
    ("sent", "unit"), [(NOON * 1_000, "nanoseconds"), (NOON // 1_000, "milliseconds"), (NOON // 1_000_000, "seconds")]
)
def test_a_time_in_another_unit_is_refused_by_its_name(sent, unit):
    assert f"looks like {unit}" in reason(timestamp, sent)
    assert f"looks like {unit}" in reason(timestamp, str(sent))


@pytest.mark.parametrize(
    "sent",
    [
        0,
        1,
        -1,
        "-5",
        TS_MIN - 1,
        TS_MAX,
        10**400,
        "1970-01-01T00:00:00Z",
        "2300-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_a_time_of_another_age_is_refused(sent):
    assert "out of range" in reason(timestamp, sent)


@pytest.mark.parametrize(
    "sent",
    ["--5", "5-", "-", "noon", "\u00b2", "1.5e15", "9" * 30, "2026-13-01T00:00:00Z", "2026-11-21\ud80012:00:00Z"],
)
def test_what_is_not_a_time_is_refused(sent):
    assert reason(timestamp, sent) == f"is not a time: {excerpt(sent)}"


def test_a_time_without_offset_is_refused_because_it_could_be_anywhere():
    assert "no offset" in reason(timestamp, "2026-11-21 12:00:00")


@pytest.mark.parametrize("sent", [None, ""])
def test_a_time_must_be_there(sent):
    assert reason(timestamp, sent) == "is missing"


@given(st.one_of(st.text(), st.integers(), st.none()))
def test_no_time_raises_anything_but_a_refusal(sent):
    with suppress(Rejected):
        assert TS_MIN <= timestamp(sent, "field") < TS_MAX


@given(st.integers(TS_MIN, TS_MAX - 1))
def test_every_microsecond_survives(ts):
    moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=ts)
    assert timestamp(moment.isoformat(), "field") == micros(moment) == ts


# Names, dates, codes


@pytest.mark.parametrize("sent", ["T1", "Zürich desk", "银行", "a" * 128, "=1+1", "o'x\"<b>"])
def test_a_name_is_anything_that_prints(sent):
    assert name(sent, "field") == sent


@pytest.mark.parametrize("sent", ["a\nb", "a\0", "\ud800", " a", "a ", "\u202etxt", "\ufeffa", "a\tb"])
def test_a_name_has_no_hidden_characters(sent):
    assert "a character that a name cannot have" in reason(name, sent)


def test_a_name_of_ten_kilobytes_is_refused_and_not_repeated():
    assert reason(name, "x" * 10_240) == "is longer than 128 characters"


def test_a_required_name_must_be_there():
    assert reason(name, "") == "is missing"
    assert name("", "field", required=False) == ""


@pytest.mark.parametrize("sent", ["20261121", "2026-W47-6", "2026-02-30", "21.11.2026", "x" * 10_240, "2026-11-21T00:00"])
def test_a_date_has_one_form(sent):
    assert "is not a date" in reason(date, sent)
    assert len(reason(date, sent)) < 100


def test_a_good_date_and_none_are_taken():
    assert date("2026-11-21", "field") == "2026-11-21"
    assert date("", "field") == ""


def test_an_integer_stays_in_its_bounds():
    assert integer(2**53 - 1, "field") == 2**53 - 1
    assert reason(integer, 2**53) == "must be 0 to 9007199254740991"
    assert reason(integer, -1) == "must be 0 to 9007199254740991"


@pytest.mark.parametrize("sent", ["EU", "eur", "EUR ", "ÄUR", "TOOLONGCODE", "E-R"])
def test_a_currency_is_a_code(sent):
    assert "must be a code" in reason(currency, sent)
    assert currency("USDT", "field") == "USDT"


@pytest.mark.parametrize("sent", ["9999-12-31", "2200-01-01", "1979-12-31", "0001-01-01"])
def test_a_date_no_time_could_have_is_refused(sent):
    with pytest.raises(Rejected, match="is out of range: 1980 to 2199"):
        date(sent, "trade_date")
    assert date("2199-12-31", "trade_date") == "2199-12-31"
