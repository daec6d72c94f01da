"""Corporate actions at the door: what fits its kind and its instruments, and what a stored row says."""

from typing import Any

import pytest

from riskengine.records.actions import (
    Action,
    ActionInput,
    ActionKind,
    Ratio,
    RefusedAction,
    action_from_values,
    action_values,
    check_action,
    highest_versions,
)
from riskengine.records.decode import convert
from riskengine.records.fields import Rejected
from tests.acted import ACTED, action
from tests.world import INSTRUMENTS, instruments

PENCE = instruments([*INSTRUMENTS, {"instrument": "PIT", "kind": "equity", "quote_currency": "GBP"}])


def refusal(**columns: Any) -> str:
    with pytest.raises(Rejected) as caught:
        action(**columns)
    return str(caught.value)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"kind": "bonus"}, "kind: must be one of split, dividend"),
        ({"instrument": "ZZZ"}, "instrument: unknown instrument 'ZZZ'"),
        ({"instrument": "EURUSD"}, "instrument: EURUSD is fx: corporate actions are of securities"),
        ({"instrument": "AAA-C400"}, "is an option: it follows the actions of its underlying"),
        ({"ex_date": "4 March"}, "ex_date: is not a date"),
        ({"ratio": "4"}, "ratio: must be new units for old ones, like 4:1"),
        ({"ratio": "0:1"}, "ratio: both sides must be above 0"),
        ({"ratio": "4:1", "amount": "1"}, "amount: does not belong to a split"),
        ({"kind": "dividend"}, "amount: is missing: a dividend needs it"),
        ({"kind": "dividend", "amount": "-1"}, "amount: must not be negative"),
        ({"kind": "symbol_change", "into": "ESZ6"}, "into: ESZ6 has another kind than AAA: future, not equity"),
        ({"kind": "symbol_change", "into": "MAREL"}, "into: MAREL has another currency than AAA: ISK, not USD"),
        ({"kind": "symbol_change", "into": "AAA"}, "into: is the instrument itself"),
        ({"kind": "spin_off", "into": "BBB", "ratio": "1:2"}, "cost_share: is missing"),
        ({"kind": "spin_off", "into": "BBB", "ratio": "1:2", "cost_share": "20"}, "cost_share: must be 0 to 1"),
        ({"kind": "cancel"}, "version: is missing: a cancel names its version"),
    ],
)
def test_what_does_not_fit_is_refused_by_field_and_reason(columns: dict[str, Any], reason: str) -> None:
    assert reason in refusal(**columns)


@pytest.mark.parametrize(("text", "ratio"), [("4:1", (4, 1)), ("1:10", (1, 10)), ("6:4", (3, 2)), ("1.5:1", (3, 2))])
def test_a_ratio_is_new_units_for_old_ones_in_lowest_terms(text: str, ratio: tuple[int, int]) -> None:
    assert action(ratio=text).ratio == Ratio(*ratio)


def test_a_dividend_in_a_minor_unit_is_converted_and_has_the_currency_of_its_instrument() -> None:
    sent = convert(
        {"action_id": "d", "kind": "dividend", "instrument": "PIT", "ex_date": "2026-03-04", "amount": "12.5", "currency": "GBX"},
        ActionInput,
    )
    made = check_action(sent, {each.instrument: each for each in PENCE})
    assert (made.amount, made.currency) == (1_250_000_000, "GBP")
    assert action(kind="dividend", amount="1").currency == "USD"


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"kind": "dividend", "amount": "0.125", "version": 3},
        {"kind": "symbol_change", "into": "BBB"},
        {"kind": "spin_off", "into": "CCC", "ratio": "1:3", "cost_share": "0.15"},
        {"kind": "cancel", "version": 2},
    ],
)
def test_a_stored_action_reads_as_what_was_stored(columns: dict[str, Any]) -> None:
    made = action("x", **columns)
    assert action_from_values(action_values(made)) == made


def test_a_row_that_is_no_action_says_why_and_the_version_below_it_counts() -> None:
    good = action("x")
    bad = action_from_values(("x", 2, "AAA", "split", "2026-03-04", "three", "", "", "", "", 7))
    assert isinstance(bad, RefusedAction)
    assert "ratio: must be new units" in bad.reason
    assert highest_versions([good, bad]) == [good, bad]


def test_the_highest_version_counts_and_a_cancel_takes_the_action_back() -> None:
    first, second, cancelled = action("x"), action("x", version=2, ratio="2:1"), action("x", version=3, kind="cancel")
    assert highest_versions([second, first]) == [second]
    assert highest_versions([cancelled, first, second]) == []
    assert cancelled == Action(action_id="x", version=3, kind=ActionKind.CANCEL, received_ts=cancelled.received_ts)
    assert ACTED.by_symbol["AAA"].currency == "USD"
