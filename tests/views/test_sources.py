"""The rows of views: what a snapshot has, made anew only where it can have changed."""

import datetime as dt

from riskengine.snapshot.rows import ladder_rows
from riskengine.views.board import SharedView
from riskengine.views.sources import Ladder
from tests import rolling
from tests.world import House, cancel, trade


def at(day: int) -> int:
    """Noon of a day in March 2026 (2 is a Monday), UTC."""
    return int(dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC).timestamp()) * 1_000_000


def house_with_positions() -> House:
    house = House(now=at(3))
    house.marks(EURUSD=1.1, GBPUSD=1.3)
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-02", {"EURUSD": 1.1, "GBPUSD": 1.3}))
    house.deal(trade("a", ts=at(3)), trade("b", ts=at(3), instrument="GBPUSD", desk="FX2"))
    return house


def test_after_a_trade_a_ladder_makes_the_row_that_it_changed_and_no_other():
    house = house_with_positions()
    ladder = Ladder(house.engine.snapshot, "FX", None)
    before = {row["instrument"]: row for row in ladder.rows(house.engine.snapshot)}
    house.deal(trade("c", ts=at(3), quantity="7"))
    after = {row["instrument"]: row for row in ladder.rows(house.engine.snapshot)}
    assert after["GBPUSD"] is before["GBPUSD"]
    assert after["EURUSD"] is not before["EURUSD"]
    assert [*after.values()] == ladder_rows(house.engine.snapshot, node="FX")


def test_a_ladder_is_that_of_the_snapshot_after_whatever_happens():
    house = house_with_positions()
    ladder = Ladder(house.engine.snapshot, "FX", None)

    def expect_equal() -> None:
        assert [*ladder.rows(house.engine.snapshot)] == ladder_rows(house.engine.snapshot, node="FX")

    expect_equal()
    house.deal(cancel("a", ts=at(3)))
    expect_equal()
    house.marks(GBPUSD=1.31)
    expect_equal()
    house.deal(trade("d", ts=at(3), desk="FX1"), trade("e", ts=at(3), desk="FX2", side="sell"))
    expect_equal()
    house.engine.set_aside_key(("node", "FX2", "GBPUSD"), "broken", house.now)
    house.engine.publish(house.now)
    expect_equal()
    house.engine.repair(
        [("node", "FX2", "GBPUSD")], [trade("b", ts=at(3), instrument="GBPUSD", desk="FX2", quantity="3")], house.now
    )
    house.engine.publish(house.now)
    expect_equal()
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-03", {"EURUSD": 1.1, "GBPUSD": 1.3}))
    expect_equal()


def test_between_a_strike_and_the_beginning_of_the_next_day_a_ladder_has_what_was_dealt_in_the_next():
    house = house_with_positions()
    ladder = Ladder(house.engine.snapshot, "FX", None)
    view = SharedView(ladder, house.engine.snapshot)
    assert {row["bought_price"] for row in (view.version(house.engine.snapshot).rows or {}).values()} != {None}
    rolling.strike(house.engine, "2026-03-03", {"EURUSD": 1.1, "GBPUSD": 1.3})
    house.engine.publish(at(4))
    assert [*(view.version(house.engine.snapshot).rows or {}).values()] == ladder_rows(house.engine.snapshot, node="FX")
