"""A branch is what an engine would show with those trades and prices, and it changes no snapshot."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.config import ScenariosConfig
from riskengine.scenarios.branch import Branch, BranchPrices, Pricer, with_trades
from riskengine.scenarios.moves import Moves, ShiftInput, moves_of
from riskengine.scenarios.whatif import AMOUNTS, WhatIf, work_out
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import dealer_row, node_rows, position_rows
from riskengine.snapshot.snapshot import Snapshot
from tests.optioned import SPOTS, OptionHouse, option, share_option
from tests.scenarios_data import MARKS, house, stored, walks
from tests.world import REFERENCE, House, trade

ALL_MOVED = [
    ShiftInput("spot", all=True, relative=-0.1),
    ShiftInput("vol", all=True, absolute=0.05),
    ShiftInput("rate", all=True, absolute=0.01),
]
OPTIONS = (
    option("EURUSD C1.10", "EUR", "USD", "1.1"),
    share_option("ACME A95", "95", option_type="put", exercise="american"),
    option("GBPJPY C190", "GBP", "JPY", "190"),
)


def asked(snapshot: Snapshot, *names: str, shifts: list[ShiftInput] | None = None, trades: tuple[Any, ...] = ()) -> WhatIf:
    numbers = tuple(snapshot.reference.hierarchy.index[name] for name in names)
    return WhatIf(snapshot, numbers, trades, moves_of(snapshot, shifts or []))


def amounts(made: House, node: str) -> dict[str, Any]:
    row = made.node(node)
    return {name: row[name] for name in AMOUNTS}


def close_to(expected: dict[str, Any]) -> Any:
    scale = max(abs(value) for value in expected.values() if value is not None)
    return pytest.approx(expected, rel=1e-9, abs=1e-9 * max(scale, 1.0))


def option_house() -> OptionHouse:
    made = OptionHouse(OPTIONS)
    made.vols(0.2)
    made.spots()
    made.buy("EURUSD C1.10", "1000000")
    made.buy("ACME A95", "5", desk="EQ1")
    made.buy("GBPJPY C190", "300000", desk="FX2")
    made.buy("EURUSD", "500000", "1.1")
    return made


steps = st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 9), st.integers(1, 20)), min_size=1, max_size=6)


@given(before=steps, intended=steps)
@settings(max_examples=40, deadline=None)
def test_open_cost_after_trades_is_that_of_the_positions_once_they_are_dealt(before: Any, intended: Any) -> None:
    """Added to, reduced at the average, closed, turned: as the ledger folds them."""
    made = House()

    def dealt(prefix: str, drawn: Any) -> list[Any]:
        return [
            trade(f"{prefix}{at}", instrument="ACME", desk="EQ1", side=side, quantity=str(size), price=str(price))
            for at, (side, size, price) in enumerate(drawn)
        ]

    made.deal(*dealt("b", before))
    snapshot, trades = made.engine.snapshot, dealt("n", intended)
    numbers = [snapshot.reference.hierarchy.index[name] for name in ("EQ1", "ALL")]
    told = [next(iter(state.positions())) for state in with_trades(snapshot, numbers, trades)]
    made.deal(*trades)
    for number, row in zip(numbers, told, strict=True):
        booked = made.engine.snapshot.nodes.row(number, row.instrument)
        assert booked is not None
        assert (row.quantity, row.cash, row.open_count, row.long_count) == (
            booked.quantity,
            booked.cash,
            booked.open_count,
            booked.long_count,
        )
        assert row.open_cost == pytest.approx(booked.open_cost, rel=1e-9, abs=1e16)


@pytest.mark.parametrize("made", [house(), option_house()], ids=["linear", "options"])
def test_before_is_what_the_screen_shows(made: House) -> None:
    names = ("ALL", "FX", "EQ1")
    answer = work_out(asked(made.engine.snapshot, *names), Workbench(ScenariosConfig()))
    for row in answer.rows:
        assert {name: row["before"][name] for name in AMOUNTS} == close_to(amounts(made, row["node"]))
        assert set(row["change"].values()) <= {0.0}


def test_after_trades_is_what_the_engine_shows_once_they_are_dealt() -> None:
    made = house()
    deals = (
        trade("w1", quantity="300000", price="1.11", side="sell"),
        trade("w2", quantity="900000", price="1.08", side="sell"),
        trade("w3", instrument="ACME", desk="EQ1", quantity="77", price="88"),
        trade("w4", instrument="GHOST", desk="EQ1", quantity="5", price="10"),
        trade("w5", instrument="USDCAD", desk="EM1", quantity="1000", price="1.4"),
    )
    answer = work_out(asked(made.engine.snapshot, "ALL", "G10", "EQ1", "FX2", trades=deals), Workbench(ScenariosConfig()))
    made.deal(*deals)
    for row in answer.rows:
        shown = made.node(row["node"])
        assert {name: row["after"][name] for name in AMOUNTS} == close_to(amounts(made, row["node"]))
        for name in ("position_count", "unpriced_count"):
            assert row["after"][name] == shown[name], (row["node"], name)


@settings(max_examples=12, deadline=None)
@given(st.fixed_dictionaries({name: st.floats(-0.4, 0.4) for name in MARKS}))
def test_after_shifts_of_spot_is_what_the_engine_shows_once_its_marks_are_there(shifts: dict[str, float]) -> None:
    made = house()
    wanted = [ShiftInput("spot", instrument=name, relative=shift) for name, shift in shifts.items()]
    answer = work_out(asked(made.engine.snapshot, "ALL", "FX", shifts=wanted), Workbench(ScenariosConfig()))
    made.now += 1
    made.marks(**{name: price * (1.0 + shifts[name]) for name, price in MARKS.items()})
    for row in answer.rows:
        assert {name: row["after"][name] for name in AMOUNTS} == close_to(amounts(made, row["node"]))


def test_after_shifts_of_spot_and_vol_options_are_what_the_engine_shows() -> None:
    made = option_house()
    wanted = [
        ShiftInput("spot", instrument="EURUSD", relative=0.04),
        ShiftInput("spot", instrument="ACME", absolute=-12.0),
        ShiftInput("vol", all=True, absolute=0.03),
    ]
    answer = work_out(asked(made.engine.snapshot, "ALL", "FX1", "EQ1", shifts=wanted), Workbench(ScenariosConfig()))
    made.now += 1
    made.vols(0.23)
    made.spots(EURUSD=SPOTS["EURUSD"] * 1.04, ACME=78.0)
    for _ in range(5):
        made.beat()
    for row in answer.rows:
        shown = amounts(made, row["node"])
        assert {name: row["after"][name] for name in AMOUNTS} == close_to(shown)


def test_a_rate_shift_moves_an_option_by_its_rho() -> None:
    made = option_house()
    wanted = [ShiftInput("rate", currency="USD", absolute=0.0001)]
    answer = work_out(asked(made.engine.snapshot, "FX1", shifts=wanted), Workbench(ScenariosConfig()))
    values = made.values("EURUSD C1.10")
    assert answer.rows[0]["change"]["total_pnl"] == pytest.approx(values["rho_quote"] * 0.0001 * 1_000_000, rel=1e-2)


def everything(snapshot: Snapshot) -> list[object]:
    arrays = [array.tobytes() for array in snapshot.units if isinstance(array, np.ndarray)]
    return [
        digest(snapshot),
        node_rows(snapshot),
        list(position_rows(snapshot, node="ALL")),
        arrays,
        snapshot.rates.value.tobytes(),
    ]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(ALL_MOVED), max_size=3), st.lists(st.integers(1, 9_999), max_size=4), st.booleans())
def test_a_branch_never_changes_its_snapshot(shifts: list[ShiftInput], sizes: list[int], with_var: bool) -> None:
    made = option_house()
    snapshot = made.engine.snapshot
    before = everything(snapshot)
    deals = tuple(trade(f"w{n}", where=made.where, quantity=str(size), price="1.2") for n, size in enumerate(sizes))
    bench = Workbench(ScenariosConfig())
    bench.take_closes(stored(walks(SPOTS, 300)))
    work_out(asked(snapshot, "ALL", "FX1", shifts=shifts, trades=deals)._replace(var=with_var), bench)
    assert everything(snapshot) == before
    made.engine.publish(made.now)
    assert everything(snapshot) == before


def test_prices_that_do_not_move_are_those_of_the_snapshot() -> None:
    snapshot = option_house().engine.snapshot
    held = np.ones(len(snapshot.reference.instruments), dtype=np.bool_)
    made = Pricer(snapshot, held).prices(Moves.none(snapshot))
    for name in ("price", "value", "rate", "priced", "rated", "no_delta"):
        assert np.array_equal(getattr(made.units, name), getattr(snapshot.units, name)), name
    assert np.array_equal(made.rates.value, snapshot.rates.value)
    assert np.array_equal(made.rates.legs, snapshot.rates.legs)


def test_branches_at_other_prices_leave_the_first_as_it_was() -> None:
    snapshot = house().engine.snapshot
    pricer = Pricer(snapshot, np.ones(len(REFERENCE.symbols), dtype=np.bool_))
    branch = Branch(snapshot, ["ALL"], with_trades(snapshot, [0], []))
    first = branch.at(BranchPrices.of(snapshot))
    shown = dealer_row(first, 0)
    second = branch.at(pricer.prices(moves_of(snapshot, ALL_MOVED[:1])))
    assert dealer_row(second, 0)["total_pnl"] != shown["total_pnl"]
    assert dealer_row(first, 0) == shown
