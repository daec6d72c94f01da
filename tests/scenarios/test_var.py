"""VaR of nodes and dealers: as pandas has it on recorded prices, and contributions that sum to it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskengine.config import ScenariosConfig
from riskengine.records.types import Close
from riskengine.scenarios.var import HISTORICAL, INSTRUMENT, NODE, SCENARIO, OwnerVar, every_inner_node, owner_var
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.snapshot import Snapshot
from tests.scenarios_data import stored, walks
from tests.world import House, reference, trade

MARKS = {"EURUSD": 1.1, "GBPUSD": 1.3, "USDJPY": 150.0, "ACME": 90.0, "ESZ6": 5_000.0}


def house() -> House:
    made = House()
    made.deal(
        trade("1", quantity="1000000", price="1.09"),
        trade("2", instrument="GBPUSD", desk="FX2", quantity="500000", price="1.29", side="sell"),
        trade("3", instrument="USDJPY", desk="EM1", dealer="bob", quantity="900000", price="149"),
        trade("4", instrument="ACME", desk="EQ1", quantity="2000", price="91"),
        trade("5", instrument="ESZ6", desk="EQ1", quantity="2", price="4990", side="sell"),
    )
    made.marks(**MARKS)
    return made


def bench(days: int = 501, **settings: Any) -> Workbench:
    made = Workbench(ScenariosConfig(**settings))
    made.take_closes(stored(walks(MARKS, days)))
    return made


def var_of(desk: Workbench, snapshot: Snapshot, node: str = "ALL", by: str = NODE, method: str = HISTORICAL) -> OwnerVar:
    where = snapshot.reference.hierarchy
    number = where.index[node]
    children = [(where.names[n], snapshot.nodes.state(n)) for n in range(*where.children[number])]
    scenarios = desk.scenarios(snapshot, method)
    return owner_var(scenarios, desk.rule(method), snapshot.nodes.state(number), by, children)


def test_contributions_of_children_and_of_instruments_sum_to_the_figures() -> None:
    snapshot, desk = house().engine.snapshot, bench()
    for by in (NODE, INSTRUMENT):
        found = var_of(desk, snapshot, by=by)
        assert found.var is not None and found.es is not None and found.es > found.var > 0.0
        assert math.fsum(row["var_contribution"] for row in found.rows) == pytest.approx(found.var, rel=1e-12)
        assert math.fsum(row["es_contribution"] for row in found.rows) == pytest.approx(found.es, rel=1e-12)


def test_var_of_a_parent_is_not_the_sum_of_its_children() -> None:
    found = var_of(bench(), house().engine.snapshot)
    assert found.var is not None
    assert sum(row["var"] for row in found.rows) > found.var * 1.01


def test_scenarios_of_a_node_are_rows_whose_tail_makes_the_figures() -> None:
    found = var_of(bench(), house().engine.snapshot, by=SCENARIO)
    assert len(found.rows) == 500
    tail = [row for row in found.rows if row["tail_weight"]]
    assert len(tail) == 5
    assert found.var == min(-row["pnl"] for row in tail)
    assert found.es == pytest.approx(math.fsum(-row["pnl"] * row["tail_weight"] for row in tail), rel=1e-12)


def test_every_inner_node_has_the_figures_that_it_has_when_asked_for_alone() -> None:
    snapshot, desk = house().engine.snapshot, bench()
    rows = every_inner_node(desk.scenarios(snapshot, HISTORICAL), desk.rule(HISTORICAL), desk.holdings)
    assert [row["node"] for row in rows] == ["ALL", "CASH", "FX", "G10"]
    for row in rows:
        alone = var_of(desk, snapshot, row["node"])
        assert row["var"] == pytest.approx(alone.var, rel=1e-12)
        assert row["es"] == pytest.approx(alone.es, rel=1e-12)


def test_with_too_few_days_the_figures_are_unknown_and_the_count_is_told() -> None:
    snapshot = house().engine.snapshot
    desk = bench(days=100)
    found = var_of(desk, snapshot)
    assert (found.var, found.es, found.rows) == (None, None, [])
    assert desk.scenarios(snapshot, HISTORICAL).size == 99


def test_what_lacks_history_is_left_out_by_name_and_count() -> None:
    made = house()
    made.deal(trade("6", instrument="EURGBP", desk="FX1", quantity="1000", price="0.85"))
    made.marks(EURGBP=0.85)
    found = var_of(bench(), made.engine.snapshot)
    assert found.unknown == (("EURGBP", "it has no shift in 500 of 500 scenarios"),)
    fx = next(row for row in found.rows if row["node"] == "FX")
    assert fx["unknown_count"] == 1


def test_a_node_of_which_nothing_is_known_has_no_figure_and_an_empty_one_has_zero() -> None:
    made = House()
    made.deal(trade("1", instrument="GHOST", desk="EQ1", quantity="10", price="5"))
    snapshot, desk = made.engine.snapshot, bench()
    assert var_of(desk, snapshot, "CASH").var is None
    assert var_of(desk, snapshot, "FX").var == 0.0


def recorded(folder: Path) -> pd.DataFrame:
    """501 days of closes of 120 shares, a column each."""
    frame = pd.read_csv(folder / "sp500-daily-5yr" / "sp500_daily.csv.gz", usecols=["date", "close", "Name"])
    wide = frame.pivot(index="date", columns="Name", values="close")
    return wide.loc[:, wide.notna().all()].iloc[-501:, :120]


def test_recorded_equities_have_the_figures_of_pandas(shared_data: Path) -> None:
    frame = recorded(shared_data)
    symbols, last = list(frame.columns), frame.iloc[-1]
    shares = [{"instrument": symbol, "kind": "equity", "quote_currency": "USD"} for symbol in symbols]
    where = reference({"ALL": "", "A": "ALL", "B": "ALL"}, shares)
    sizes = np.random.default_rng(5).integers(1, 900, len(symbols)) * np.tile([1, -1, 1], len(symbols))[: len(symbols)]
    made = House(where)
    for at, (symbol, size) in enumerate(zip(symbols, sizes.tolist(), strict=True)):
        side = "buy" if size > 0 else "sell"
        deal = trade(f"t{at}", where=where, instrument=symbol, desk="AB"[at % 2], quantity=str(abs(size)), side=side, price="50")
        made.deal(deal)
    made.marks(**{symbol: float(last[symbol]) for symbol in symbols})
    desk = Workbench(ScenariosConfig())
    desk.take_closes(stored([Close(date, symbol, float(frame.at[date, symbol])) for symbol in symbols for date in frame.index]))
    parts = frame.pct_change().iloc[1:] * last * sizes
    losses = (-parts.sum(axis=1)).sort_values(ascending=False)
    found = var_of(desk, made.engine.snapshot)
    assert found.unknown == ()
    assert found.var == pytest.approx(losses.iloc[4], rel=1e-11)
    assert found.es == pytest.approx(losses.iloc[:5].mean(), rel=1e-11)
    for at, child in enumerate(found.rows):
        alone = -parts.iloc[:, at::2].sum(axis=1)
        assert child["var"] == pytest.approx(alone.nlargest(5).iloc[-1], rel=1e-11)
        assert child["var_contribution"] == pytest.approx(alone[losses.index[4]], rel=1e-9)
