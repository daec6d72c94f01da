"""Vols, rates and Greeks as they are sent: what is taken, and every refusal with field and reason."""

import datetime as dt
from typing import Any

import pytest

from riskengine.records.decode import convert
from riskengine.records.fields import Rejected
from riskengine.records.option_input_checks import (
    GreeksInput,
    OptionInputCheck,
    RateInput,
    SentInput,
    VolInput,
    has_expired,
)
from riskengine.records.option_inputs import OptionInput, PushedGreeks, RateRow, SurfaceRow, Vol
from tests.world import NOON, instruments

OPTION = {"option_type": "call", "strike": "1.1", "expiry": "2026-06-18"}
ROWS: list[dict[str, Any]] = [
    {"instrument": "EURUSD", "kind": "fx", "base_currency": "EUR", "quote_currency": "USD"},
    {"instrument": "CABLE", "kind": "fx", "base_currency": "GBP", "quote_currency": "USD"},
    {"instrument": "ACME", "kind": "equity", "quote_currency": "USD"},
    {"instrument": "ALE", "kind": "equity", "quote_currency": "GBX"},
    {"instrument": "EC", "kind": "fx_option", "base_currency": "EUR", "quote_currency": "USD", "greeks": "pushed", **OPTION},
    {"instrument": "AC", "kind": "equity_option", "quote_currency": "USD", "underlying": "ACME", **OPTION},
    {
        "instrument": "OLD",
        "kind": "equity_option",
        "quote_currency": "USD",
        "underlying": "ACME",
        **OPTION,
        "expiry": "2026-03-03",
    },
]
CHECK = OptionInputCheck({each.instrument: each for each in instruments(ROWS)}, 60.0)

VOL = {"instrument": "EC", "ts": NOON, "vol": 0.0825, "source": "desk"}
SURFACE = {"pair": "EURUSD", "expiry": "2026-06-18", "ts": NOON, "atm": 0.08, "rr25": -0.01, "bf25": 0.002, "source": "desk"}
RATE = {"currency": "USD", "date": "2026-06-18", "ts": NOON, "rate": 0.045}
GREEKS = {"instrument": "EC", "ts": NOON, "spot": 1.1, "vol": 0.08, "value": 0.02} | {
    "delta": 0.5,
    "gamma": 3.0,
    "vega": 0.002,
    "theta": -0.0001,
}
INTO: dict[str, type[SentInput]] = {"vol": VolInput, "rate": RateInput, "greeks": GreeksInput}


def checked(kind: str, row: dict[str, Any], **changes: Any) -> OptionInput:
    return CHECK(convert({**row, **changes}, INTO[kind]), NOON)


def test_a_vol_of_an_option_is_taken() -> None:
    assert checked("vol", VOL) == Vol("EC", NOON, 0.0825, "desk")


def test_numbers_and_times_may_be_texts() -> None:
    assert checked("vol", VOL, vol="8.25e-2", ts="2026-03-04T13:00:00+01:00") == Vol("EC", NOON, 0.0825, "desk")


def test_a_surface_is_taken_with_the_wings_that_are_quoted() -> None:
    assert checked("vol", SURFACE) == SurfaceRow("EURUSD", "2026-06-18", NOON, 0.08, -0.01, 0.002, source="desk")
    assert checked("vol", SURFACE, pair="ACME", rr25="", bf25="").rr25 is None  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["GBPUSD", "GBP/USD", "CABLE"])
def test_a_pair_is_found_by_its_name_or_its_currencies(name: str) -> None:
    assert checked("vol", SURFACE, pair=name).pair == "CABLE"  # type: ignore[union-attr]
    row = {"pair": name, "date": "2026-06-18", "ts": NOON, "points": -0.0012}
    assert checked("rate", row) == RateRow("CABLE", "points", "2026-06-18", NOON, -0.0012)


@pytest.mark.parametrize(
    ("row", "kind", "subject", "value"),
    [
        (RATE, "rate", "USD", 0.045),
        ({**RATE, "rate": "-0.005"}, "rate", "USD", -0.005),
        ({**RATE, "rate": None, "df": 0.987}, "df", "USD", 0.987),
        ({**RATE, "currency": "GBX"}, "rate", "GBP", 0.045),
        ({**RATE, "currency": "", "underlying": "ACME"}, "yield", "ACME", 0.045),
    ],
)
def test_rates_are_taken_by_what_they_are_of(row: dict[str, Any], kind: str, subject: str, value: float) -> None:
    assert checked("rate", row) == RateRow(subject, kind, "2026-06-18", NOON, value)


def test_greeks_are_taken_where_the_instrument_says_pushed() -> None:
    assert checked("greeks", GREEKS) == PushedGreeks("EC", NOON, 1.1, 0.08, 0.02, 0.5, 3.0, 0.002, -0.0001)


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("vol", VOL, {"vol": 30}, "vol", "is above 5: a vol is a fraction, 0.0825 is 8.25 %"),
    ("vol", VOL, {"vol": 0}, "vol", "must be above 0"),
    ("vol", VOL, {"vol": -0.1}, "vol", "must be above 0"),
    ("vol", VOL, {"vol": "NaN"}, "vol", "is not a finite number"),
    ("vol", VOL, {"vol": "inf"}, "vol", "is not a finite number"),
    ("vol", VOL, {"vol": "8,25"}, "vol", "is not a number: '8,25'"),
    ("vol", VOL, {"vol": None}, "vol", "is missing"),
    ("vol", VOL, {"ts": NOON + 60_000_001}, "ts", "is more than 60 s ahead of the clock"),
    ("vol", VOL, {"ts": None}, "ts", "is missing"),
    ("vol", VOL, {"instrument": "ED"}, "instrument", "unknown instrument 'ED'"),
    ("vol", VOL, {"instrument": ""}, "instrument", "is missing"),
    ("vol", VOL, {"instrument": "EURUSD"}, "instrument", "'EURUSD' is of kind fx, not an option"),
    ("vol", VOL, {"instrument": "OLD"}, "instrument", "'OLD' expired on 2026-03-03"),
    ("vol", VOL, {"pair": "EURUSD"}, "pair", "is of a surface, and instrument of one option: send two rows"),
    ("vol", VOL, {"atm": 0.1}, "atm", "is of a surface: it has pair and expiry instead of instrument"),
    ("vol", SURFACE, {"vol": 0.1}, "vol", "is of one option: a surface has atm"),
    ("vol", SURFACE, {"pair": "EURGBP"}, "pair", "unknown instrument 'EURGBP'"),
    ("vol", SURFACE, {"pair": "EC"}, "pair", "'EC' is of kind fx_option, not what options are on"),
    ("vol", SURFACE, {"expiry": "2026-03-03"}, "expiry", "is past: 2026-03-03"),
    ("vol", SURFACE, {"expiry": ""}, "expiry", "is missing"),
    ("vol", SURFACE, {"expiry": "18.6.2026"}, "expiry", "is not a date: '18.6.2026'"),
    ("vol", SURFACE, {"atm": 8.0}, "atm", "is above 5: a vol is a fraction, 0.0825 is 8.25 %"),
    ("vol", SURFACE, {"rr25": 8.0}, "rr25", "is beyond 5: a vol is a fraction, 0.0825 is 8.25 %"),
    ("vol", SURFACE, {"bf25": None}, "bf25", "is missing: a wing has a risk reversal and a butterfly"),
    ("vol", SURFACE, {"rr25": -0.4}, "rr25", "takes the vol of a wing to 0 or below"),
    ("rate", RATE, {"currency": "XYZ"}, "currency", "no instrument has the currency 'XYZ'"),
    ("rate", RATE, {"currency": ""}, "currency", "is missing, as are underlying and pair"),
    ("rate", RATE, {"pair": "EURUSD"}, "currency", "stands beside pair: one row says one"),
    ("rate", RATE, {"rate": 4.5}, "rate", "is beyond 1: a rate is a fraction, 0.045 is 4.5 %"),
    ("rate", RATE, {"rate": None}, "rate", "is missing"),
    ("rate", RATE, {"df": 0.9}, "rate", "stands beside df: one row says one"),
    ("rate", RATE, {"points": 0.1}, "points", "is not of a row with currency, which has rate or df"),
    ("rate", RATE, {"rate": None, "df": 0}, "df", "must be above 0"),
    ("rate", RATE, {"rate": None, "df": 4.5}, "df", "stands for a rate beyond 1: is it a rate?"),
    (
        "rate",
        RATE,
        {"rate": None, "df": 1, "date": "2026-03-04"},
        "date",
        "must be after the day of ts: a discount factor runs from that day",
    ),
    ("rate", RATE, {"date": "2026-03-03"}, "date", "is past: 2026-03-03"),
    ("rate", RATE, {"date": ""}, "date", "is missing"),
    ("rate", RATE, {"currency": "", "underlying": "EC"}, "underlying", "'EC' is of kind fx_option, not what options are on"),
    ("rate", RATE, {"currency": "", "underlying": "EURUSD"}, "underlying", "'EURUSD' is a pair, whose base has rates, no yield"),
    ("greeks", GREEKS, {"instrument": "AC"}, "instrument", "'AC' is valued by the model: its column greeks does not say pushed"),
    ("greeks", GREEKS, {"instrument": "ZZ"}, "instrument", "unknown instrument 'ZZ'"),
    ("greeks", GREEKS, {"spot": 0}, "spot", "must be above 0"),
    ("greeks", GREEKS, {"spot": 5e-324}, "spot", "is below 1e-12, the smallest price"),
    ("greeks", GREEKS, {"value": -1}, "value", "must not be negative: an option is a right"),
    ("greeks", GREEKS, {"gamma": "NaN"}, "gamma", "is not a finite number"),
    ("greeks", GREEKS, {"theta": None}, "theta", "is missing"),
    ("greeks", GREEKS, {"delta": 1e16}, "delta", "is larger than 1e15"),
    ("greeks", GREEKS, {"delta": 50}, "delta", "is beyond what an option has: a delta is a fraction, 0.33 is 33 %"),
]


@pytest.mark.parametrize(("kind", "row", "changes", "field", "reason"), REFUSED)
def test_what_does_not_fit_is_refused(kind: str, row: dict[str, Any], changes: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        checked(kind, row, **changes)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_a_name_that_nobody_knows_is_told_to_the_door_that_looks_for_a_near_one() -> None:
    with pytest.raises(Rejected) as caught:
        checked("vol", VOL, instrument="EX")
    assert caught.value.unknown == "EX"
    assert CHECK.names_of("instrument") == ["EC", "AC", "OLD"]
    assert CHECK.names_of("currency") == ["EUR", "GBP", "USD"]


def test_an_option_of_today_has_not_expired_before_the_day_is_over() -> None:
    assert not has_expired("2026-03-04", NOON)
    assert has_expired("2026-03-04", NOON + 12 * 3_600_000_000)
    moment = dt.datetime.fromtimestamp(NOON / 1e6, dt.UTC).isoformat()
    assert (has_expired(moment, NOON), has_expired(moment, NOON + 1)) == (False, True)
