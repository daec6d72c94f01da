"""Rows of a scenarios file: one scope, one size, and nothing that a what-if could not apply."""

from typing import Any

import pytest

from riskengine.records.decode import convert
from riskengine.records.fields import Rejected
from riskengine.records.scenario_shifts import HISTORICAL_SHOCKS, ScenarioShift, ScenarioShiftCheck, ScenarioShiftInput
from riskengine.scenarios.shocks import library
from tests.world import REFERENCE

CHECK = ScenarioShiftCheck(REFERENCE.by_symbol, HISTORICAL_SHOCKS)


def checked(**columns: Any) -> ScenarioShift:
    return CHECK(convert({"scenario": "s"} | columns, ScenarioShiftInput))


def test_a_row_says_what_moves_and_how_far() -> None:
    found = checked(factor="spot", instrument="EURUSD", relative="-0.1", comment="why")
    assert found == ScenarioShift(scenario="s", factor="spot", instrument="EURUSD", relative=-0.1, comment="why")
    assert checked(factor="vol", all="true", absolute="0.02").everything
    assert checked(factor="rate", currency="EUR", absolute="0.01").key == ("s", "rate", "", "EUR", "", False)


def test_a_row_without_a_size_takes_the_shift_out() -> None:
    found = checked(instrument="ACME")
    assert (found.relative, found.absolute) == (None, None)


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"scenario": "2008-10", "instrument": "ACME", "relative": "0.1"}, "scenario"),
        ({"factor": "gamma", "instrument": "ACME", "relative": "0.1"}, "factor"),
        ({"relative": "0.1"}, "instrument"),
        ({"instrument": "ACME", "currency": "EUR", "relative": "0.1"}, "instrument"),
        ({"instrument": "NOBODY", "relative": "0.1"}, "instrument"),
        ({"currency": "XXX", "relative": "0.1"}, "currency"),
        ({"sector": "none such", "relative": "0.1"}, "sector"),
        ({"instrument": "ACME", "relative": "0.1", "absolute": "1"}, "absolute"),
        ({"instrument": "ACME", "relative": "inf"}, "relative"),
        ({"factor": "rate", "currency": "EUR", "relative": "0.1"}, "relative"),
        ({"factor": "rate", "instrument": "ACME", "absolute": "0.1"}, "instrument"),
        ({"factor": "vol", "currency": "EUR", "absolute": "0.1"}, "currency"),
        ({"currency": "EUR", "absolute": "0.1"}, "absolute"),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_applied_is_refused_by_field(columns: dict[str, str], field: str) -> None:
    with pytest.raises(Rejected) as caught:
        checked(**columns)
    assert caught.value.field == field


def test_the_reserved_names_are_those_of_the_library() -> None:
    assert tuple(library()) == HISTORICAL_SHOCKS
