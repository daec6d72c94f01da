"""Margin rules as they are sent: what is taken, and what is refused by which field."""

from typing import Any

import pytest
from msgspec import structs

from riskengine.records.decode import open_items
from riskengine.records.fields import Rejected
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.limits import terms_of
from riskengine.records.margin_rules import (
    MarginRule,
    MarginRuleCheck,
    MarginRuleInput,
    margin_rule_of_terms,
)
from riskengine.records.types import Node, Refusal

CHECK = MarginRuleCheck(Hierarchy([Node("Total", "total"), Node("EQ1", "desk", "Total")]))


def checked(**fields: Any) -> MarginRule:
    return CHECK(MarginRuleInput(**({"rule_id": "M1", "kind": "reg_t", "node": "EQ1"} | fields)), 5, "ann")


def test_each_kind_has_its_terms() -> None:
    assert (checked().initial, checked().maintenance) == (50.0, 25.0)
    grid = checked(kind="scenario", price_shifts="10; -10 0 10")
    assert (grid.price_shifts, grid.vol_shifts) == ((-10.0, 0.0, 10.0), (0.0,))
    day = {"kind": "day_trading", "minimum_equity": "25000", "day_trades": 4, "days": 5, "to_date": "2026-06-03"}
    assert checked(**day).minimum_equity == 25_000.0


def test_a_rule_holds_from_its_first_to_its_last_day() -> None:
    rule = checked(from_date="2026-06-04", to_date="2026-06-05")
    assert [rule.is_in_force(f"2026-06-0{day}") for day in range(3, 7)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"kind": "span"}, "kind", "must be one of reg_t, scenario, day_trading"),
        ({"node": "EQ9"}, "node", "unknown node"),
        ({"initial": 101}, "initial", "up to 100 per cent"),
        ({"maintenance": 60}, "maintenance", "must not be above initial"),
        ({"price_shifts": "5"}, "price_shifts", "is of rules of kind scenario"),
        ({"kind": "scenario"}, "price_shifts", "is missing"),
        ({"kind": "scenario", "price_shifts": "-100 0"}, "price_shifts", "leaves nothing above 0"),
        ({"kind": "scenario", "price_shifts": "ten"}, "price_shifts", "is not a number"),
        ({"kind": "scenario", "price_shifts": " ".join(map(str, range(102)))}, "price_shifts", "more than 101"),
        ({"kind": "day_trading"}, "to", "data with an end"),
        ({"kind": "day_trading", "to_date": "2026-06-03"}, "minimum_equity", "is missing"),
        ({"from_date": "2026-06-04", "to_date": "2026-06-03"}, "from", "is after to"),
    ],
)
def test_a_bad_field_is_refused_by_its_name(fields: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        checked(**fields)
    assert caught.value.field == field
    assert reason in caught.value.reason


def test_stored_terms_read_back_as_the_rule_and_strange_ones_are_refused() -> None:
    rule = checked(kind="scenario", price_shifts="-10 10", vol_shifts="0 25")
    assert margin_rule_of_terms(terms_of(rule), "ann", 5) == rule
    for bad in ("[]", terms_of(structs.replace(rule, kind="span")), terms_of(structs.replace(rule, price_shifts=()))):
        with pytest.raises(Rejected):
            margin_rule_of_terms(bad, "", 0)


def test_a_bad_item_of_a_body_is_refused_in_its_place() -> None:
    [good, bad] = open_items(b'[{"rule_id": "a", "to": "2026-01-01"}, {"rule_id": "b", "shifts": 1}]', MarginRuleInput)
    assert isinstance(good, MarginRuleInput)
    assert isinstance(bad, Refusal)
