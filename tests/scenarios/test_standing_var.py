"""VaR that stands, and what it is after trades: as it would be worked out anew, once they are booked."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from riskengine.config import ScenariosConfig
from riskengine.records.types import Trade
from riskengine.scenarios.held_lines import HeldCache
from riskengine.scenarios.standing_var import StandingVar
from riskengine.scenarios.var import HISTORICAL, INSTRUMENT, owner_var
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.snapshot import Snapshot
from tests.scenarios_data import MARKS, house, stored, walks
from tests.world import DESKS, trade

BENCH = Workbench(ScenariosConfig())
BENCH.take_closes(stored(walks(MARKS, 501)))
NODES = ("ALL", "FX1", "EQ1")


def standing(snapshot: Snapshot, bench: Workbench = BENCH) -> StandingVar:
    table, index = snapshot.nodes, snapshot.reference.hierarchy.index
    states = [table.state(index[name]) for name in NODES]
    return StandingVar(bench.scenarios(snapshot, HISTORICAL), bench.rule(HISTORICAL), NODES, states, HeldCache())


def test_figures_are_those_of_a_node_asked_for() -> None:
    snapshot = house().engine.snapshot
    found = standing(snapshot)
    for at, name in enumerate(NODES):
        state = snapshot.nodes.state(snapshot.reference.hierarchy.index[name])
        plain = owner_var(BENCH.scenarios(snapshot, HISTORICAL), BENCH.rule(HISTORICAL), state, INSTRUMENT)
        assert found.figure(at) == pytest.approx((plain.var, plain.es, True), rel=1e-12)


deals = st.lists(
    st.tuples(
        st.sampled_from(sorted(MARKS)), st.sampled_from(DESKS), st.sampled_from(("buy", "sell")), st.integers(1, 2_000_000)
    ),
    min_size=1,
    max_size=5,
)


@given(sent=deals)
@settings(max_examples=20, deadline=None)
def test_after_trades_is_what_is_worked_out_once_they_are_booked(sent: list[tuple[str, str, str, int]]) -> None:
    made = house()
    before = standing(made.engine.snapshot)
    trades: list[Trade] = [
        trade(f"n{at}", instrument=symbol, desk=desk, side=side, quantity=str(quantity), price=f"{MARKS[symbol]:.4f}")
        for at, (symbol, desk, side, quantity) in enumerate(sent)
    ]
    made.deal(*trades)
    later = standing(made.engine.snapshot)
    where = made.engine.snapshot.reference.hierarchy
    for at, name in enumerate(NODES):
        own = [each for each in trades if name == each.desk or where.index[name] in where.ancestors[where.index[each.desk]]]
        assert before.after(at, own) == pytest.approx(later.figure(at), rel=1e-9, abs=1e-6)


def test_what_has_no_history_makes_figures_incomplete_and_an_unknown_instrument_unknown() -> None:
    found = standing(house().engine.snapshot)
    known, part = found.figure(0), found.after(0, [trade("g", instrument="GHOST", desk="EQ1", quantity="1", price="5")])
    assert (known.whole, part.whole) == (True, False)
    assert part.var == pytest.approx(known.var)
    forward = structs.replace(trade("f"), instrument="EURUSD@2026-09-04")
    assert math.isnan(found.after(0, [forward]).var)


def test_with_too_few_scenarios_the_figures_are_unknown() -> None:
    young = Workbench(ScenariosConfig())
    young.take_closes(stored(walks(MARKS, 20)))
    found = standing(house().engine.snapshot, young).figure(0)
    assert math.isnan(found.var) and math.isnan(found.es) and not found.whole
