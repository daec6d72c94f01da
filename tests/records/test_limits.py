"""Limits as they are sent: what is taken, what is refused, by which field, and from where a limit warns."""

import json
from typing import Any

import pytest
from msgspec import structs

from riskengine.errors import InputError
from riskengine.records.decode import open_items
from riskengine.records.fields import Rejected
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.limits import (
    ABOVE,
    BELOW,
    Limit,
    LimitCheck,
    LimitInput,
    limit_of_terms,
    terms_of,
)
from riskengine.records.types import Node, Refusal
from tests.conftest import shared

TREE = Hierarchy([Node("Total", "total"), Node("FX1", "desk", "Total"), Node("FX2", "desk", "Total")])
CHECK = LimitCheck(TREE, {"EURUSD"}, {"EUR", "USD"})


def sent(**fields: Any) -> LimitInput:
    usual: dict[str, Any] = {"limit_id": "L1", "measure": "net_exposure", "node": "FX1", "limit": 100.0}
    return LimitInput(**(usual | fields))


def checked(**fields: Any) -> Limit:
    return CHECK(sent(**fields), 5, "ann")


def refusal(**fields: Any) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        checked(**fields)
    return caught.value.field, caught.value.reason


def test_what_is_left_out_has_its_usual_value() -> None:
    found = checked()
    assert (found.side, found.severity, found.warning, found.hysteresis, found.version) == ("absolute", "hard", 90.0, 1.0, 1)
    assert (found.author, found.entered_ts) == ("ann", 5)
    assert checked(measure="nav").side == BELOW
    assert found.margin == pytest.approx(10.0)
    assert found.release == 1.0


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"measure": "net_exposures"}, "measure", "did you mean net_exposure?"),
        ({"measure": ""}, "measure", "is missing"),
        ({"node": ""}, "node", "names a node, a dealer or a level"),
        ({"node": "FX9"}, "node", "unknown node 'FX9'"),
        ({"dealer": "ann"}, "dealer", "stands beside node"),
        ({"node": "", "level": "dek"}, "level", "known: desk, total"),
        ({"node": "", "dealer": "ann", "measure": "nav"}, "dealer", "a dealer has no nav"),
        ({"limit": None}, "limit", "is missing"),
        ({"limit": 0.0}, "limit", "no number lies within it"),
        ({"limit": float("nan")}, "limit", "finite"),
        ({"warning": 101}, "warning", "above 100 %"),
        ({"warning": 0}, "warning", "must be 1 to 100 per cent"),
        ({"warning": 80, "warning_margin": 5}, "warning_margin", "stands beside warning"),
        ({"measure": "available_cash", "limit": 0.0}, "warning_margin", "of a limit of 0"),
        ({"hysteresis": -1}, "hysteresis", "must be 0 to 50"),
        ({"from_date": "2026-02-01", "to_date": "2026-01-31"}, "from", "is after to"),
        ({"to_date": "31.01.2026"}, "to", "is not a date"),
        ({"severity": "firm"}, "severity", "must be one of hard, soft"),
        ({"side": "over"}, "side", "must be one of above, below, absolute"),
        ({"measure": "net_open_position"}, "currency", "is missing"),
        ({"measure": "cash_on_date"}, "currency", "is missing: cash on a value date is of a currency"),
        ({"node": "", "dealer": "ann", "measure": "cash_on_date"}, "dealer", "a dealer has no cash_on_date"),
        ({"counterparty": "BIGBANK"}, "counterparty", "net_exposure is of no counterparty"),
        ({"measure": "var", "currency": "EUR"}, "currency", "leave it out"),
        ({"measure": "vra"}, "measure", "did you mean var?"),
        ({"measure": "net_open_position", "currency": "JPY"}, "currency", "no instrument has the currency"),
        ({"currency": "EUR"}, "currency", "leave it out"),
        ({"instrument": "EURUSD"}, "instrument", "leave it out"),
        ({"measure": "quantity"}, "instrument", "is missing"),
        ({"measure": "quantity", "instrument": "XYZ"}, "instrument", "unknown instrument"),
        ({"measure": "price_band", "limit": 0.0}, "limit", "a band of 0 takes no trade"),
        ({"measure": "price_band", "side": "below"}, "side", "must be above"),
        ({"version": 0}, "version", "must be 1"),
    ],
)
def test_a_bad_field_is_refused_by_its_name(fields: dict[str, Any], field: str, reason: str) -> None:
    found = refusal(**fields)
    assert found[0] == field
    assert reason in found[1]


def test_the_vectors_of_limits_warn_where_they_say() -> None:
    vectors = json.loads(shared("vectors/vectors.json").read_text())["limits"]
    assert len(vectors) >= 2
    for each in vectors:
        side = {"gt": ABOVE, "lt": BELOW}[each["rule"]]
        found = checked(measure="nav", side=side, limit=each["limit"], warning=each["warn_pct"])
        warns = found.limit - found.margin if side == ABOVE else found.limit + found.margin
        assert warns == pytest.approx(each["warn_at"], abs=1e-9)


def test_a_floor_below_zero_warns_above_it() -> None:
    found = checked(measure="net_day_pnl", limit=-5_000_000)
    assert found.limit + found.margin == pytest.approx(-4_500_000)


def test_a_body_has_its_fields_as_they_are_called() -> None:
    [one, bad] = open_items(b'[{"limit_id": "L1", "from": "2026-01-01"}, {"limit_id": "L2", "formm": "x"}]', LimitInput)
    assert isinstance(one, LimitInput)
    assert one.from_date == "2026-01-01"
    assert isinstance(bad, Refusal)
    assert (bad.index, bad.field) == (1, "formm")
    with pytest.raises(InputError):
        open_items(b"5", LimitInput)


def test_stored_terms_read_back_as_the_limit_and_strange_ones_are_refused() -> None:
    found = checked(from_date="2026-01-01", owner="bob", warning=75)
    assert limit_of_terms(terms_of(found), "ann", 5) == found
    assert found.says_as(structs.replace(found, author="eve", entered_ts=9))
    for bad in (
        "{}",
        terms_of(structs.replace(found, measure="vegas")),
        terms_of(structs.replace(found, side="over")),
        terms_of(structs.replace(found, warning=500.0)),
        terms_of(structs.replace(found, dealer="ann")),
        terms_of(structs.replace(found, side=ABOVE, limit=0.0)),
    ):
        with pytest.raises(Rejected):
            limit_of_terms(bad, "", 0)
