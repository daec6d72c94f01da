"""What accounts must hold: Regulation T on the worked example and on a book, and the worst of a grid with and without options."""

import json
from pathlib import Path
from typing import Any

import pytest

from riskengine.records.margin_rules import MarginRule, MarginRuleCheck, MarginRuleInput
from riskengine.scenarios.margin import account_by_reg_t, margin_row, rules_in_force
from riskengine.snapshot.snapshot import Snapshot
from tests.cash_records import cash
from tests.optioned import OptionHouse
from tests.world import NOON, REFERENCE, House, trade


def rule(**fields: Any) -> MarginRule:
    usual: dict[str, Any] = {"rule_id": "M1", "kind": "reg_t", "node": "EQ1"}
    return MarginRuleCheck(REFERENCE.hierarchy)(MarginRuleInput(**(usual | fields)), NOON, "ann")


def row(snapshot: Snapshot, **fields: Any) -> dict[str, Any]:
    return margin_row(snapshot, rule(**fields))


@pytest.fixture
def account() -> House:
    """100 shares bought at 120 with 2,000 of own cash."""
    house = House()
    house.deal(trade("a", instrument="ACME", desk="EQ1", quantity="100", price="120"))
    house.engine.take_cash([cash("1", node="EQ1", currency="USD", amount="2000")], NOON)
    house.marks(ACME=120.0)
    return house


def test_the_worked_example_of_regulation_t(shared_vectors: Path) -> None:
    [vector] = json.loads(shared_vectors.read_text())["margin"]
    found = account_by_reg_t(rule(maintenance=vector["maint"] * 100), vector["mv"], None, -vector["debit"])
    assert found.call == pytest.approx(vector["call"])
    assert found.trigger_value == pytest.approx(vector["trigger_mv"])


def test_an_account_is_called_once_its_equity_is_below_maintenance(account: House) -> None:
    found = row(account.engine.snapshot)
    assert (found["market_value"], found["debit"], found["equity"], found["maintenance"]) == (
        12_000.0,
        10_000.0,
        2_000.0,
        3_000.0,
    )
    assert (found["call"], found["requirement"], found["buying_power"]) == (1_000.0, 6_000.0, 0.0)
    assert found["available_after_margin"] == -16_000.0
    above = row(account.marks(ACME=134.0))
    assert above["call"] == 0.0
    assert above["requirement"] == 6_000.0, "of cost, whatever the price"


def test_what_the_rule_does_not_cover_makes_it_unknown(account: House) -> None:
    account.deal(trade("s", instrument="MAREL", desk="EQ1", side="sell", quantity="5", price="10"))
    found = row(account.engine.snapshot)
    assert (found["not_covered_count"], found["market_value"], found["call"], found["requirement"]) == (1, None, None, None)
    account.deal(trade("g", instrument="GHOST", desk="EQ1", quantity="5", price="10"))
    assert row(account.engine.snapshot)["unknown_count"] == 1


def test_the_worst_of_a_grid_is_the_largest_loss(account: House) -> None:
    account.deal(trade("f", instrument="ESZ6", desk="EQ1", side="sell", quantity="1", price="5000"))
    snapshot = account.marks(ACME=100.0, ESZ6=5_000.0)
    found = row(snapshot, kind="scenario", price_shifts="-10 0 10")
    # Shares lose 1,000 where prices fall, the future 25,000 where they rise.
    assert found["requirement"] == pytest.approx(24_000.0)
    assert (found["worst_price_shift"], found["worst_vol_shift"]) == (10.0, 0.0)
    still = row(snapshot, kind="scenario", price_shifts="0")
    assert still["requirement"] == pytest.approx(0.0, abs=1e-6)


def test_a_grid_with_an_unknown_position_asks_nothing_that_is_known(account: House) -> None:
    account.deal(trade("g", instrument="GHOST", desk="EQ1", quantity="5", price="10"))
    found = row(account.engine.snapshot, kind="scenario", price_shifts="-10 10")
    assert (found["requirement"], found["unknown_count"]) == (None, 1)


def test_a_short_option_loses_most_where_spot_and_vol_rise() -> None:
    house = OptionHouse()
    house.buy("EURUSD C1.10", "1000000", side="sell")
    house.spots()
    house.vols()
    snapshot = house.spots()
    found = row(snapshot, kind="scenario", node="FX1", price_shifts="-5 0 5", vol_shifts="-25 0 25")
    assert (found["worst_price_shift"], found["worst_vol_shift"]) == (5.0, 25.0)
    calm = row(snapshot, kind="scenario", node="FX1", price_shifts="0 5")
    assert found["requirement"] > calm["requirement"] > 0.0


def test_of_the_versions_that_have_begun_the_highest_holds_until_its_last_day() -> None:
    versions = [rule(), rule(version=2, from_date="2026-06-04", to_date="2026-06-05", initial=40)]
    assert [[each.version for each in rules_in_force(versions, f"2026-06-0{day}")] for day in (3, 4, 6)] == [[1], [2], []]


def test_day_trading_is_data_and_works_nothing_out(account: House) -> None:
    found = row(account.engine.snapshot, kind="day_trading", minimum_equity=25_000, day_trades=4, days=5, to_date="2026-06-03")
    assert (found["minimum_equity"], found["day_trades"], found["to"], found["requirement"]) == (25_000.0, 4, "2026-06-03", None)
