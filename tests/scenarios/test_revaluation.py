"""P&L vectors of one unit: what an engine shows when its marks move there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.records.types import Close
from riskengine.scenarios.close_history import CloseHistory, Shifts, shifts_of
from riskengine.scenarios.held_lines import HeldLines, owner_vectors
from riskengine.scenarios.revaluation import StartingPoint, UnitVectors, unit_vectors
from riskengine.snapshot.snapshot import Snapshot
from tests.scenarios_data import MARKS, house, moved_by
from tests.world import REFERENCE


def units_of(snapshot: Snapshot, shifts: Shifts) -> UnitVectors:
    return unit_vectors(StartingPoint.of(snapshot), shifts, np.ones(len(REFERENCE.symbols), dtype=np.bool_))


@settings(max_examples=40, deadline=None)
@given(st.fixed_dictionaries({name: st.floats(-0.3, 0.3) for name in MARKS}))
def test_a_vector_is_what_total_pnl_moves_by_when_the_marks_move_there(shifts: dict[str, float]) -> None:
    made = house()
    before = {name: made.node(name)["total_pnl"] for name in ("ALL", "G10", "CASH")}
    snapshot = made.engine.snapshot
    units = units_of(snapshot, moved_by(**shifts))
    numbers = [REFERENCE.hierarchy.index[name] for name in before]
    held = HeldLines.of([snapshot.nodes.state(number) for number in numbers], REFERENCE)
    pnl = owner_vectors(held, units).pnl[:, 0]
    made.now += 1
    made.marks(**{name: price * (1.0 + shifts[name]) for name, price in MARKS.items()})
    for at, name in enumerate(before):
        after = made.node(name)["total_pnl"]
        assert pnl[at] == pytest.approx(after - before[name], rel=1e-9, abs=1e-5)


def test_a_pair_without_a_shift_takes_what_hangs_on_its_rate_out_and_says_so() -> None:
    snapshot = house().engine.snapshot
    shifts = moved_by()
    row = shifts.shift.copy()
    row[0, REFERENCE.instrument_index["GBPUSD"]] = np.nan
    units = units_of(snapshot, shifts._replace(shift=row))
    number = REFERENCE.instrument_index["EURGBP"]
    assert not units.known[number]
    assert units.reasons[number] == "GBPUSD gives its rate, and it has no shift in 1 of 1 scenarios"


def test_an_absolute_shift_takes_a_future_through_zero() -> None:
    made = house()
    closes = [Close(day, "ESZ6", price) for day, price in (("2020-04-17", 18.0), ("2020-04-20", -37.0), ("2020-04-21", 9.0))]
    history = CloseHistory.of(closes, ("2020-04-17", "2020-04-20", "2020-04-21"), REFERENCE)
    shifts = shifts_of(history, REFERENCE, (), made.engine.snapshot.units.price)
    number = REFERENCE.instrument_index["ESZ6"]
    assert shifts.absolute[number]
    assert shifts.shift[:, number].tolist() == [-55.0, 46.0]
    assert units_of(made.engine.snapshot, shifts).value[number].tolist() == [-55.0 * 50, 46.0 * 50]
