"""Columns of options and pairs: what fits, the defaults of a kind, and refusals by column."""

from typing import Any

import pytest

from riskengine.records.decode import convert
from riskengine.records.fields import Rejected
from riskengine.records.instrument_terms import check_contract_multiplier, check_underlying, unused_style
from riskengine.records.reference_input import InstrumentInput, check_instrument
from riskengine.records.types import Instrument, Kind

PAIR = {"instrument": "EURUSD", "kind": "fx", "base_currency": "EUR", "quote_currency": "USD"}
SHARE = {"instrument": "ACME", "kind": "equity", "quote_currency": "USD"}
CALL = {"option_type": "call", "strike": "1.1", "expiry": "2027-06-18"}
FX_OPTION = {**PAIR, **CALL, "instrument": "C", "kind": "fx_option"}
EQUITY_OPTION = {**SHARE, **CALL, "instrument": "S", "kind": "equity_option", "underlying": "ACME", "multiplier": "100"}
FORWARD = {**PAIR, "instrument": "EURUSD@2027-01-04", "kind": "fx_forward", "expiry": "2027-01-04"}


def instrument(base: dict[str, str], **changes: str) -> Instrument:
    return check_instrument(convert({**base, **changes}, InstrumentInput))


def test_exercise_is_european_for_pairs_and_american_for_shares_unless_a_row_says_otherwise() -> None:
    assert (instrument(FX_OPTION).exercise, instrument(EQUITY_OPTION).exercise) == ("european", "american")
    assert instrument(EQUITY_OPTION, exercise="european").exercise == "european"
    assert instrument(SHARE).exercise == ""


@pytest.mark.parametrize(
    ("changes", "style", "paid_in"),
    [
        ({}, "quote", "USD"),
        ({"premium_style": "pct_base"}, "pct_base", "EUR"),
        ({"premium_currency": "EUR"}, "pct_base", "EUR"),
        ({"premium_currency": "USD"}, "quote", "USD"),
        ({"premium_style": "pips", "premium_currency": "USD"}, "pips", "USD"),
        ({"premium_style": "pct_quote"}, "pct_quote", "USD"),
    ],
)
def test_style_and_currency_of_a_premium_set_each_other(changes: dict[str, str], style: str, paid_in: str) -> None:
    option = instrument(FX_OPTION, **changes)
    assert (option.premium_style, option.currency) == (style, paid_in)


@pytest.mark.parametrize("cut", ["", "10:00 America/New_York", "15:00 Asia/Tokyo"])
def test_a_cut_is_a_time_in_a_zone(cut: str) -> None:
    assert instrument(FX_OPTION, cut=cut).cut == cut


def test_a_fixed_forward_says_when_by_what_and_in_what_it_is_paid() -> None:
    ndf = {"fixing_date": "2026-12-31", "fixing_source": "KFTC18", "settlement_currency": "USD"}
    found = instrument(FORWARD, **ndf)
    assert {field: getattr(found, field) for field in ndf} == ndf


REFUSED: list[tuple[dict[str, str], dict[str, str], str, str]] = [
    (FX_OPTION, {"premium_style": "percent"}, "premium_style", "must be one of quote, pips, pct_base, pct_quote: 'percent'"),
    (FX_OPTION, {"premium_currency": "GBP"}, "premium_currency", "is GBP, and a price in quote is paid in USD"),
    (
        FX_OPTION,
        {"premium_style": "pct_base", "premium_currency": "USD"},
        "premium_currency",
        "is USD, and a price in pct_base is paid in EUR",
    ),
    (
        FX_OPTION,
        {"premium_style": "pips", "premium_currency": "EUR"},
        "premium_currency",
        "is EUR, and a price in pips is paid in USD",
    ),
    (EQUITY_OPTION, {"premium_style": "pips"}, "premium_style", "must be quote for equity_option: 'pips'"),
    (EQUITY_OPTION, {"premium_currency": "EUR"}, "premium_currency", "is EUR, and a price in quote is paid in USD"),
    (EQUITY_OPTION, {"underlying": ""}, "underlying", "is missing: required for equity_option"),
    (FX_OPTION, {"cut": "NYC"}, "cut", "must be a time and a zone, such as 10:00 America/New_York: 'NYC'"),
    (FX_OPTION, {"cut": "25:00 UTC"}, "cut", "must be a time and a zone, such as 10:00 America/New_York: '25:00 UTC'"),
    (FX_OPTION, {"cut": "10:00 America/Gotham"}, "cut", "'America/Gotham' is no zone of the tz database"),
    (FX_OPTION, {"settlement": "net"}, "settlement", "must be one of physical, cash: 'net'"),
    (FX_OPTION, {"exercise": "bermudan"}, "exercise", "must be one of european, american: 'bermudan'"),
    (FX_OPTION, {"greeks": "vendor"}, "greeks", "must be one of model, pushed: 'vendor'"),
    (FX_OPTION, {"bf_style": "broker"}, "bf_style", "must be one of market, smile: 'broker'"),
    (
        FX_OPTION,
        {"premium_style": "pct_quote", "strike": "1.123456789"},
        "multiplier",
        "x the unit of a price in pct_quote has more than 8 decimals",
    ),
    (SHARE, {"exercise": "american"}, "exercise", "is of options, not of equity"),
    (SHARE, {"premium_style": "quote"}, "premium_style", "is of options, not of equity"),
    (SHARE, {"fixing_source": "ECB"}, "fixing_source", "is of currency pairs, not of equity"),
    (FORWARD, {"expiry": ""}, "expiry", "is missing: a forward's expiry is its value date"),
    (FORWARD, {"expiry": "2027-01-04T10:00:00Z"}, "expiry", "is not a date: '2027-01-04T10:00:00Z'"),
    (FORWARD, {"fixing_date": "2026-12-31"}, "settlement_currency", "is missing: what is fixed is paid in one currency"),
    (
        FORWARD,
        {"fixing_date": "2027-02-01", "settlement_currency": "USD"},
        "fixing_date",
        "is after the value date 2027-01-04",
    ),
]


@pytest.mark.parametrize(("base", "changes", "field", "reason"), REFUSED)
def test_what_does_not_fit_is_refused_by_column(base: dict[str, str], changes: dict[str, str], field: str, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        instrument(base, **changes)
    assert (caught.value.field, caught.value.reason) == (field, reason)


KNOWN = {
    "EURUSD": instrument(PAIR),
    "ACME": instrument(SHARE),
    "ALE": instrument(SHARE, instrument="ALE", quote_currency="GBP"),
    "GBPUSD": instrument(PAIR, instrument="GBPUSD", base_currency="GBP"),
}


def test_an_option_on_a_known_instrument_of_its_currencies_passes() -> None:
    check_underlying(instrument(EQUITY_OPTION), KNOWN)
    check_underlying(instrument(FX_OPTION, underlying="EURUSD"), KNOWN)
    check_underlying(instrument(FX_OPTION), {})


@pytest.mark.parametrize(
    ("base", "underlying", "reason"),
    [
        (EQUITY_OPTION, "ACNE", "unknown instrument 'ACNE'"),
        (EQUITY_OPTION, "EURUSD", "'EURUSD' is of kind fx, and an equity option is on a share"),
        (EQUITY_OPTION, "ALE", "'ALE' is quoted in GBP, the option in USD: strike and price are in one currency"),
        (FX_OPTION, "ACME", "'ACME' is of kind equity, and an fx option is on a pair"),
        (FX_OPTION, "GBPUSD", "'GBPUSD' is another pair than EUR and USD"),
    ],
)
def test_an_underlying_that_is_none_is_refused(base: dict[str, str], underlying: str, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_underlying(instrument(base, underlying=underlying), KNOWN)
    assert (caught.value.field, caught.value.reason) == ("underlying", reason)


def test_a_row_of_the_store_without_exercise_keeps_its_unit_and_says_so() -> None:
    stored = Instrument(instrument="C", kind=Kind.FX_OPTION, quote_currency="USD", premium_style="pips", strike="1.1")
    check_contract_multiplier(stored)
    assert (unused_style(stored) or "").startswith("'pips': its price counts as per unit of the underlying")
    assert unused_style(instrument(FX_OPTION, premium_style="pips")) is None


@pytest.mark.parametrize(("columns", "field"), [({"premium_style": "percent"}, "premium_style"), ({"strike": "x"}, "strike")])
def test_a_row_of_the_store_that_is_no_option_is_refused(columns: dict[str, Any], field: str) -> None:
    terms: dict[str, Any] = {"premium_style": "pct_quote", "strike": "1.1"} | columns
    stored = Instrument(instrument="C", kind=Kind.FX_OPTION, quote_currency="USD", exercise="european", **terms)
    with pytest.raises(Rejected) as caught:
        check_contract_multiplier(stored)
    assert caught.value.field == field
