"""After many trades between two snapshots the engine starts afresh from its rows, with the numbers of one trade at a time."""

import numpy as np
import pytest

from riskengine.positions import ledger
from tests import world
from tests.world import NOON, SECOND


def rows(house):
    snapshot = house.engine.publish(NOON)
    tables = (snapshot.nodes, snapshot.dealers)
    return [
        [
            (
                sorted(state.positions(), key=lambda row: row.instrument),
                state.position_count,
                state.trade_count,
                state.last_trade_ts,
            )
            for page in table.states
            for state in page
        ]
        for table in tables
    ], [np.concatenate(table.numbers, axis=1).tobytes() for table in tables]


@pytest.mark.parametrize("many", [1, 3])
def test_a_snapshot_after_many_trades_equals_one_after_few_at_a_time(monkeypatch, many):
    one_by_one, at_once = world.House(now=NOON), world.House(now=NOON)
    trades = [
        world.trade(trade_id=f"t{n}", ts=NOON + n * SECOND // 100, instrument=symbol, desk=desk, dealer=dealer, fees="0.5")
        for n, (symbol, desk, dealer) in enumerate(
            (symbol, desk, dealer) for symbol in ("EURUSD", "USDJPY", "ACME") for desk in world.DESKS for dealer in ("ann", "bob")
        )
    ]
    for house in (one_by_one, at_once):
        house.marks(EURUSD=1.25, USDJPY=150.0)
    for trade in trades:
        one_by_one.engine.apply([trade], NOON)
        one_by_one.engine.publish(NOON)
    monkeypatch.setattr(ledger, "MAX_LISTED_POSITIONS", many)
    at_once.engine.apply(trades[:20], NOON)
    rows(at_once)
    at_once.engine.apply(trades[20:], NOON)
    assert rows(at_once) == rows(one_by_one)
    for house in (one_by_one, at_once):
        house.engine.check()


def test_a_roll_up_lists_no_changes_above_its_limit(monkeypatch):
    monkeypatch.setattr(ledger, "MAX_LISTED_POSITIONS", 1)
    house = world.House(now=NOON)
    house.engine.ledger.add(world.trade(trade_id="a", instrument="EURUSD"), 0)
    house.engine.ledger.add(world.trade(trade_id="b", instrument="ACME"), 0)
    assert house.engine.ledger.organisation.settle() is None
    assert house.engine.ledger.organisation.settle() == {}
