"""Trades changed in place are noticed where an engine gives way to one that has read them anew; whatever else differs is not."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from riskengine.engine.engine import Engine
from riskengine.rebuild.edited_rows import changed_in_place, warning_text
from riskengine.records.reference import Reference
from riskengine.records.types import Trade
from tests.world import NOON, REFERENCE, instruments, nodes, opening, trade

BOOK = [trade("1"), trade("2", dealer="bea", side="sell", quantity="30"), trade("3", desk="FX2", instrument="GBPUSD")]


def made(trades: Sequence[Trade], where: Reference = REFERENCE, openings: Sequence[Any] = ()) -> Engine:
    engine = Engine(where, now=NOON)
    engine.open_with(openings)
    engine.apply(trades, NOON)
    engine.publish(NOON)
    return engine


def found(before: Engine, now: Engine) -> set[tuple[str, str, str]]:
    return set(changed_in_place(before, now, now.snapshot))


def test_the_same_trades_are_no_edits():
    assert found(made(BOOK), made(BOOK)) == set()


@pytest.mark.parametrize("column", [{"quantity": "99"}, {"price": "1.2"}, {"side": "sell"}])
def test_a_trade_that_says_something_else_is_one_for_desk_and_dealer(column):
    now = made([trade("1", **column), *BOOK[1:]])
    assert found(made(BOOK), now) == {("node", "FX1", "EURUSD"), ("dealer", "ann", "EURUSD")}


@pytest.mark.parametrize("now", [BOOK[1:], [*BOOK, trade("4")], [trade("1", version=2, action="amend", price="1.2"), *BOOK]])
def test_trades_that_came_or_went_are_not(now):
    assert found(made(BOOK), made(now)) == set()


def test_an_instrument_or_an_opening_balance_that_changed_is_not():
    other = [
        msgspec.structs.replace(each, multiplier=2 * each.multiplier) if each.instrument == "GBPUSD" else each
        for each in instruments()
    ]
    assert found(made(BOOK), made(BOOK, Reference(nodes(), other, "USD"))) == set()
    assert found(made(BOOK), made(BOOK, openings=[opening(quantity="10", average_price="1")])) == set()


def test_a_key_that_is_set_aside_claims_nothing_and_is_not():
    before = made(BOOK)
    before.set_aside_key(("node", "FX1", "EURUSD"), "broken", NOON)
    before.publish(NOON)
    assert found(before, made(BOOK)) == set()


def test_people_are_told_how_many_and_the_first():
    text = warning_text([("node", "FX1", "EURUSD"), ("dealer", "ann", "EURUSD")])
    assert "2 positions changed" in text and "(first: node FX1 EURUSD)" in text
