"""The options of the demo: every row passes the doors, expiries are weekdays ahead, vols move and stay sane."""

import datetime as dt

import pytest

from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.option_desks import NAMES, PAIRS, OptionDesks, option_instruments, option_nodes
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_nodes
from riskengine.market.calendars import Calendars
from riskengine.records.decode import TradeInput
from riskengine.records.option_inputs import SurfaceRow, Vol
from riskengine.records.reference import Reference, trade_check
from riskengine.valuation.options.terms import Cuts
from tests.world import NOON, SECOND

MIDS = MarketSimulator(7, sample_instruments()).mids()
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
NEW_YORK_NOON = NOON + 5 * 60 * MINUTE  # 2026-03-04, a Wednesday


def desks(now: int = NOON, speed: float = 1.0) -> OptionDesks:
    return OptionDesks(7, option_instruments(now, MIDS), speed)


def test_the_trades_of_both_desks_pass_the_check_and_their_hedges_flatten_them() -> None:
    options = option_instruments(NOON, MIDS)
    reference = Reference([*sample_nodes(), *option_nodes()], [*sample_instruments(), *options], "USD")
    check = trade_check(reference)
    sent = OptionDesks(7, options).trades(NOON, MIDS)
    assert {check(each, NOON, "demo").instrument for each in sent} >= NAMES | {"EURUSD", "NVDA"}
    assert all(isinstance(each, TradeInput) and each.ts is not None and int(each.ts) < NOON for each in sent)


@pytest.mark.parametrize(
    ("now", "date"),
    [
        (NEW_YORK_NOON - 11 * MINUTE, "2026-03-04"),
        (NEW_YORK_NOON - 9 * MINUTE, "2026-03-05"),
        (NEW_YORK_NOON + 2 * DAY, "2026-03-09"),  # on Friday noon is past, and the weekend has none
        (NEW_YORK_NOON + 3 * DAY - 60 * MINUTE, "2026-03-09"),
    ],
)
def test_one_option_expires_at_the_next_noon_in_new_york_that_is_some_minutes_ahead(now: int, date: str) -> None:
    options = option_instruments(now, MIDS)
    [noon] = [each for each in options if each.instrument == "EURUSD NOON C"]
    assert (noon.expiry, noon.cut) == (date, "12:00 America/New_York")
    cuts = Cuts(Reference(sample_nodes(), [*sample_instruments(), *options], "USD"), Calendars())
    assert all(cuts.of(each).ts > now and cuts.of(each).date.weekday() < 5 for each in options)


def test_every_vol_and_rate_comes_first_and_again_each_minute_and_one_moves_now_and_then() -> None:
    made = desks()
    whole = made.changes(NOON)
    assert {row.pair for row in whole if isinstance(row, SurfaceRow)} == set(PAIRS)
    assert made.changes(NOON + SECOND) == []
    moved = made.changes(NOON + 5 * SECOND)
    assert moved and len({getattr(row, "pair", getattr(row, "instrument", "")) for row in moved}) == 1
    assert len(made.changes(NOON + 61 * SECOND)) == len(whole)


def test_vols_stay_near_where_they_began_through_a_day_of_moves() -> None:
    made = desks()
    last: dict[str, float] = {}
    for step in range(20_000):
        last |= {row.instrument: row.vol for row in made.changes(NOON + step * 5 * SECOND) if isinstance(row, Vol)}
    assert last and all(0.15 < vol < 0.7 for vol in last.values())


def test_a_fast_clock_moves_vols_no_more_often_in_a_real_second() -> None:
    made = desks(speed=60.0)
    made.changes(NOON)
    assert made.changes(NOON + 60 * SECOND) == []
    assert made.changes(NOON + 241 * SECOND)


def test_the_option_without_a_vol_is_quoted_around_a_value() -> None:
    made = desks()
    [tick] = made.ticks(NOON, MIDS)
    assert tick.instrument == "AAPL 3M C" and tick.bid is not None and tick.ask is not None and 0.0 < tick.bid < tick.ask
    assert made.ticks(NOON + SECOND, MIDS) == []
    late = int(dt.datetime(2027, 1, 1, tzinfo=dt.UTC).timestamp()) * SECOND
    assert made.ticks(late, {"AAPL": 1.0}) == [], "one that is worth nothing has no bid"
