"""Limits in a branch stand as they will be judged, once its trades are booked at its prices."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.config import ScenariosConfig
from riskengine.limits.branched import OTHER_RATES, BranchedNodes, BranchVar, branched_limits
from riskengine.limits.check import RuleOutcome
from riskengine.limits.figures import FIGURES, IntendedTrade
from riskengine.limits.judge import STATES
from riskengine.records.limits import LIMIT_MEASURES, OF_CURRENCY, Limit
from riskengine.records.types import Trade
from riskengine.scenarios.moves import ShiftInput, moves_of
from riskengine.scenarios.whatif import WhatIf, work_out
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.snapshot import Snapshot
from tests.cash_records import cash
from tests.checked_deals import PRICES, deals, made, quoted
from tests.limiting import judged, limit
from tests.rolling import begin, strike
from tests.world import NOON, House, trade

NODES = ("ALL", "G10", "FX1", "EQ1")


def branched(snapshot: Snapshot, trades: list[Trade], shifts: list[ShiftInput], nodes: tuple[str, ...] = NODES) -> BranchedNodes:
    numbers = tuple(snapshot.reference.hierarchy.index[name] for name in nodes)
    found = work_out(WhatIf(snapshot, numbers, tuple(trades), moves_of(snapshot, shifts)), Workbench(ScenariosConfig()))
    return BranchedNodes(snapshot, found.before, found.after, [IntendedTrade(each) for each in trades], {})


def rules(nodes: BranchedNodes, *limits: Limit) -> dict[str, RuleOutcome]:
    judgement = judged(nodes.snapshot, *limits)
    found = branched_limits(nodes, judgement, lambda line: True)
    return {each.line.key: each for each in found if each.line is not None}


def every_limit(bound: float) -> list[Limit]:
    found = []
    for measure, terms in LIMIT_MEASURES.items():
        more: dict[str, Any] = {"currency": "EUR"} if measure in OF_CURRENCY else {}
        more |= {"instrument": "EURUSD"} if terms.instrument == "required" else {}
        found += [
            limit(f"{measure} {node}", measure=measure, node=node, limit=bound, hysteresis=0, **more)
            for node in NODES
            if not terms.of_trade
        ]
    return found


@given(
    before=deals,
    intended=deals,
    bound=st.sampled_from([0.7, 99.1, 1_234.5, 432_109.8]),
    moves=st.dictionaries(st.sampled_from(sorted(PRICES)), st.sampled_from([-0.1, 0.02, 0.3]), max_size=3),
)
@settings(max_examples=12, deadline=None)
def test_a_branch_and_the_later_judgement_agree(
    before: list[Any], intended: list[Any], bound: float, moves: dict[str, float]
) -> None:
    """For every measure but those worked out beside: the number after, and how the limit stands."""
    house = House()
    for number, one in enumerate(before):
        house.deal(made(number, (*one[:6], 0)))
    house.engine.take_cash([cash("1", node="FX1", currency="EUR", amount="2000")], NOON)
    quoted(house)
    begin(house.engine, strike(house.engine, "2026-03-04", PRICES))
    house.now = house.engine.snapshot.as_of
    trades = [made(100 + number, (*one[:6], 0)) for number, one in enumerate(intended)]
    shifts = [ShiftInput("spot", instrument=symbol, relative=by) for symbol, by in moves.items()]
    nodes = branched(house.engine.snapshot, trades, shifts)
    told = rules(nodes, *every_limit(bound))
    house.deal(*trades)
    later = judged(
        house.marks(**{symbol: price * (1.0 + moves.get(symbol, 0.0)) for symbol, price in PRICES.items()}), *every_limit(bound)
    )
    assert len(told) == len(later.lines)
    for at, line in enumerate(later.lines):
        rule = told[line.key]
        if line.limit.measure in FIGURES or (math.isnan(rule.after) and rule.reason):
            assert rule.outcome == "unknown"
            continue
        if line.limit.measure == "drawdown":
            continue  # the judge of the later snapshot saw no high before
        value = later.readings.value.item(at)
        scale = 1e-6 * (1.0 + abs(value))
        assert rule.after == pytest.approx(value, abs=scale, nan_ok=True), line.key
        if abs(rule.headroom) > scale and abs(rule.headroom - line.limit.margin) > scale:
            assert STATES[rule.state] == STATES[later.state.item(at)], line.key


@pytest.fixture
def house() -> House:
    found = House()
    found.deal(trade("a", instrument="ACME", desk="EQ1", quantity="100", price="90"))
    found.deal(trade("b", quantity="1000", price="1.1"))
    return quoted(found)


def test_a_loss_from_the_high_grows_by_what_is_lost_and_is_never_below_0(house: House) -> None:
    begin(house.engine, strike(house.engine, "2026-03-04", PRICES))
    house.now = house.engine.snapshot.as_of
    snapshot = house.marks(ACME=90.0)
    fall = limit("D", measure="drawdown", node="EQ1", limit=500.0)
    down = rules(branched(snapshot, [], [ShiftInput("spot", instrument="ACME", relative=-0.1)]), fall)["D:EQ1"]
    assert down.after == pytest.approx(900.0)
    assert (down.before, down.outcome) == (0.0, "refuse")
    up = rules(branched(snapshot, [], [ShiftInput("spot", instrument="ACME", relative=0.1)]), fall)["D:EQ1"]
    assert up.after == 0.0


def test_available_cash_moves_with_trades_and_is_unknown_at_other_rates(house: House) -> None:
    floor = limit("A", measure="available_cash", node="EQ1", limit=-1e9)
    buys = [trade("n", instrument="ACME", desk="EQ1", quantity="10", price="90")]
    found = rules(branched(house.engine.snapshot, buys, []), floor)["A:EQ1"]
    assert found.after == pytest.approx(found.before - 900.0)
    moved = rules(branched(house.engine.snapshot, buys, [ShiftInput("spot", instrument="EURUSD", relative=0.1)]), floor)["A:EQ1"]
    assert (moved.outcome, moved.reason) == ("unknown", OTHER_RATES)


def test_var_is_that_of_the_branch_and_unknown_where_it_was_not_worked_out(house: House) -> None:
    ceiling = limit("V", measure="var", node="FX1", limit=100.0)
    nodes = branched(house.engine.snapshot, [], [])
    assert rules(nodes, ceiling)["V:FX1"].outcome == "unknown"
    for var, unknown, outcome in ((95.0, 0, "warn"), (101.0, 0, "refuse"), (50.0, 1, "unknown"), (50.0, 0, "pass")):
        with_var = nodes._replace(var={"FX1": BranchVar(var, var * 1.2, unknown)})
        assert rules(with_var, ceiling)["V:FX1"].outcome == outcome


def test_limits_of_other_nodes_of_dealers_and_of_trades_are_no_part_of_it(house: House) -> None:
    nodes = branched(house.engine.snapshot, [], [], ("FX1",))
    found = rules(
        nodes,
        limit("ONE", node="FX1"),
        limit("TWO", node="EQ1"),
        limit("THREE", dealer="ann"),
        limit("FOUR", measure="price_band", node="FX1", limit=1.0),
    )
    assert list(found) == ["ONE:FX1"]
    assert branched_limits(nodes, judged(nodes.snapshot, limit("ONE", node="FX1")), lambda line: False) == []
