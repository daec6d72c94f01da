"""The grid of a what-if, and what loses its value in it."""

import pytest

from riskengine.config import ScenariosConfig
from riskengine.scenarios.moves import Moves, ShiftInput, moves_of
from riskengine.scenarios.whatif import GridAxes, WhatIf, WhatIfAnswer, work_out
from riskengine.scenarios.workbench import Workbench
from tests.optioned import OptionHouse, option


def ask(made: OptionHouse, grid: GridAxes | None = None, *shifts: ShiftInput) -> WhatIfAnswer:
    snapshot = made.engine.snapshot
    number = snapshot.reference.hierarchy.index["FX1"]
    return work_out(WhatIf(snapshot, (number,), (), moves_of(snapshot, shifts), grid), Workbench(ScenariosConfig()))


def test_a_cell_of_the_grid_is_what_its_shifts_come_to_alone() -> None:
    made = OptionHouse()
    made.vols(0.1)
    made.spots()
    made.buy("EURUSD C1.10", "1000000")
    scope = ShiftInput("spot", instrument="EURUSD")
    found = ask(made, GridAxes((-0.05, 0.0, 0.05), (0.0, 0.02), scope))
    assert len(found.grid) == 6
    for cell in found.grid:
        shifts = [ShiftInput("spot", instrument="EURUSD", relative=cell["spot"])]
        shifts.append(ShiftInput("vol", instrument="EURUSD", absolute=cell["vol"]))
        [alone] = ask(made, None, *shifts).rows
        assert cell["change"] == pytest.approx(alone["change"]["total_pnl"], rel=1e-12, abs=1e-6)
        assert cell["gamma_cash"] == pytest.approx(alone["after"]["gamma_cash"], rel=1e-12)


def test_an_option_with_nothing_but_its_quote_is_without_value_once_its_spot_moves() -> None:
    made = OptionHouse((option("ODD", "EUR", "USD", "1.1"),), rated={})
    made.spots()
    made.quote("ODD", 0.02)
    made.buy("ODD", "1000")
    made.beat()
    assert ask(made).unvalued == []
    found = ask(made, None, ShiftInput("spot", instrument="EURUSD", relative=0.01))
    assert [each["instrument"] for each in found.unvalued] == ["ODD"]
    assert found.rows[0]["after"]["total_pnl"] is None
    assert found.rows[0]["change"]["total_pnl"] is None


def test_a_node_that_holds_nothing_is_zero_before_and_after() -> None:
    snapshot = OptionHouse().engine.snapshot
    number = snapshot.reference.hierarchy.index["EM1"]
    [found] = work_out(WhatIf(snapshot, (number,), (), Moves.none(snapshot)), Workbench(ScenariosConfig())).rows
    assert found["before"]["total_pnl"] == found["after"]["total_pnl"] == found["change"]["total_pnl"] == 0.0
