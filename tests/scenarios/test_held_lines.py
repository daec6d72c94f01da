"""What owners hold as a matrix: vectors add up, what is unknown is left out, and only what a trade touched is read again."""

import numpy as np
import pytest

from riskengine.scenarios.close_history import Shifts
from riskengine.scenarios.held_lines import HeldCache, HeldLines, line_vectors, owner_vectors
from riskengine.scenarios.revaluation import NO_PRICE, StartingPoint, UnitVectors, unit_vectors
from riskengine.snapshot.snapshot import Snapshot
from tests.scenarios_data import house, moved_by
from tests.world import REFERENCE, trade


def units_of(snapshot: Snapshot, shifts: Shifts) -> UnitVectors:
    return unit_vectors(StartingPoint.of(snapshot), shifts, np.ones(len(REFERENCE.symbols), dtype=np.bool_))


def test_vectors_of_children_and_of_instruments_add_up_to_their_parent() -> None:
    snapshot = house().engine.snapshot
    shifts = moved_by(EURUSD=0.02, GBPUSD=-0.03, USDJPY=0.01, EURGBP=0.05, ACME=-0.2, ESZ6=0.1, BTCEUR=-0.4)
    units = units_of(snapshot, shifts)
    first, end = REFERENCE.hierarchy.children[0]
    whole = HeldLines.of([snapshot.nodes.state(0)], REFERENCE)
    children = HeldLines.of([snapshot.nodes.state(number) for number in range(first, end)], REFERENCE)
    total = owner_vectors(whole, units).pnl[0, 0]
    assert owner_vectors(children, units).pnl.sum() == pytest.approx(total, rel=1e-12)
    assert line_vectors(whole, units).sum() == pytest.approx(total, rel=1e-12)


def test_what_has_no_price_is_left_out_with_its_cash_and_named() -> None:
    made = house()
    made.deal(trade("9", instrument="GHOST", desk="EQ1", quantity="5", price="10"))
    snapshot = made.engine.snapshot
    units = units_of(snapshot, moved_by(ACME=0.1))
    held = HeldLines.of([snapshot.nodes.state(REFERENCE.hierarchy.index["EQ1"])], REFERENCE)
    found = owner_vectors(held, units)
    ghost = REFERENCE.instrument_index["GHOST"]
    assert found.left_out == ((0, ghost),)
    assert units.reasons[ghost] == NO_PRICE
    assert found.pnl[0, 0] == pytest.approx(300 * 9.0)


def test_holdings_read_again_what_a_trade_touched_and_nothing_else() -> None:
    made, kept = house(), HeldCache()
    numbers = range(len(REFERENCE.hierarchy))

    def held() -> HeldLines:
        table = made.engine.snapshot.nodes
        return kept.of(REFERENCE.hierarchy.names, [table.state(number) for number in numbers], REFERENCE)

    held()
    before = dict(kept._parts)
    made.deal(trade("10", desk="EM1", quantity="1", price="1.1"))
    after, snapshot = held(), made.engine.snapshot
    fresh = HeldLines.of([snapshot.nodes.state(number) for number in numbers], REFERENCE)
    assert after.quantity.tolist() == fresh.quantity.tolist()
    assert after.cash.tolist() == fresh.cash.tolist()
    touched = {name for name in before if kept._parts[name] is not before[name]}
    assert touched == {"ALL", "FX", "EM1"}
