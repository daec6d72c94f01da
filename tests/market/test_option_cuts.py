"""Until when an option can be dealt in."""

import datetime as dt
from typing import Any

import pytest

from riskengine.market.option_cuts import NEVER, last_dealt, stated_cut
from riskengine.market.trading_day import TradingDay
from riskengine.records.types import Instrument, Kind

DAY = TradingDay("17:00", "America/New_York")


def option(kind: Kind = Kind.EQUITY_OPTION, **columns: Any) -> Instrument:
    return Instrument(instrument="C1", kind=kind, quote_currency="USD", **({"expiry": "2026-03-06"} | columns))


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("instrument", "last"),
    [
        (option(Kind.FX_OPTION), "2026-03-06T15:00+00:00"),
        (option(Kind.FX_OPTION, cut="15:00 Asia/Tokyo"), "2026-03-06T06:00+00:00"),
        (option(expiry="2026-03-06T09:30:00Z"), "2026-03-06T09:30+00:00"),
        (option(cut="13:00 America/New_York"), "2026-03-06T18:00+00:00"),
        (option(), "2026-03-06T22:00+00:00"),
    ],
)
def test_an_option_is_dealt_in_up_to_its_cut_and_one_that_goes_by_its_market_to_the_end_of_the_day(
    instrument: Instrument, last: str
) -> None:
    assert last_dealt(instrument, DAY) == at(last)


def test_a_boundary_in_the_morning_does_not_end_the_session_of_a_share() -> None:
    assert last_dealt(option(), TradingDay("00:00", "UTC")) == at("2026-03-06T21:00+00:00")


@pytest.mark.parametrize("instrument", [option(Kind.FUTURE), option(Kind.FX_OPTION, expiry="soon"), option(expiry="soon")])
def test_what_does_not_expire_or_says_nobody_knows_when_is_never_too_late(instrument: Instrument) -> None:
    assert last_dealt(instrument, DAY) == NEVER


def test_an_expiry_that_is_no_date_is_a_fault_of_the_cut() -> None:
    cut = stated_cut(option(expiry="soon"))
    assert cut is not None and cut.fault == "its expiry 'soon' is no date"
