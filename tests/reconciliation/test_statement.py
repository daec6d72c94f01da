"""An outside statement against what an engine shows: both ways round, within tolerances."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from riskengine.errors import EngineUnreachable, InputError
from riskengine.files.columns import ColumnOptions
from riskengine.reconciliation.statement import (
    Stated,
    Tolerances,
    against_statement,
    compare_statement,
    parse_tolerances,
    read_statement,
)
from riskengine.records.types import CASH_ONE, ONE
from riskengine.serve.app import create_app
from tests.serve.stand_in import serving, traded

KEY = ("node", "FX1", "EURUSD")


def statement(tmp_path: Path, text: str, **options: Any) -> Any:
    path = tmp_path / "statement.csv"
    path.write_text(text)
    return read_statement(str(path), ColumnOptions(**options), "ALL")


def kinds(here: Stated | None, there: Stated | None, tolerances: Tolerances | None = None) -> list[str]:
    sides = [{} if side is None else {KEY: side} for side in (here, there)]
    return [found["kind"] for found in compare_statement(sides[0], sides[1], tolerances or Tolerances(), lambda key: True)]


def test_a_row_without_an_owner_is_of_the_root_and_lots_count_together(tmp_path):
    stated, refused = statement(tmp_path, "instrument,quantity,net_cash\nEURUSD,10,-11\nEURUSD,-2.5,2.75\nACME,1,\nACME,1,-5\n")
    assert stated == {
        ("node", "ALL", "EURUSD"): Stated(75 * ONE // 10, -825 * CASH_ONE // 100),
        ("node", "ALL", "ACME"): Stated(2 * ONE),
    }
    assert refused == []


def test_foreign_columns_and_names_are_mapped(tmp_path):
    stated, _ = statement(
        tmp_path,
        "Account,Symbol,Units\nacc-1,EUR/USD,5\n",
        columns={"node": "Account", "instrument": "Symbol", "quantity": "Units"},
        alias={"acc-1": "FX1", "EUR/USD": "EURUSD"},
    )
    assert stated == {KEY: Stated(5 * ONE)}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("FX1,ann,EURUSD,1", "dealer"),
        ("FX1,,EURUSD,", "quantity"),
        ("FX1,,EURUSD,1e400", "quantity"),
        ("FX1,,,1", "instrument"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_with_its_field(tmp_path, line, field):
    stated, refused = statement(tmp_path, f"node,dealer,instrument,quantity\n{line}\nFX1,,EURUSD,2\n")
    assert [(each.index, each.field) for each in refused] == [(2, field)]
    assert stated == {KEY: Stated(2 * ONE)}


@pytest.mark.parametrize("quantity", ["[1]", '{"": null}', "true", '"1,5"'])
def test_a_quantity_that_is_no_number_refuses_its_line_of_json(tmp_path, quantity):
    lines = f'{{"node":"FX1","instrument":"EURUSD","quantity":{quantity}}}\n{{"node":"FX1","instrument":"EURUSD","quantity":2}}\n'
    stated, refused = statement(tmp_path, lines)
    assert [(each.index, each.field) for each in refused] == [(1, "quantity")]
    assert refused[0].reason.startswith("is not a number")
    assert stated == {KEY: Stated(2 * ONE)}


def test_cash_keeps_every_decimal_that_the_engine_shows(tmp_path):
    head, line = "node,instrument,quantity,net_cash\n", "FX1,EURUSD,1,"
    stated, refused = statement(tmp_path, head + line + "-1084.5701348510480000000000000001\n")
    assert stated == {KEY: Stated(ONE, -10845701348510480000000000000001)}
    assert refused == []


@pytest.mark.parametrize("cash", ["1e-29", "1e30", "NaN", "Infinity", "x", "1e999999999", "1e-999999999", "9" * 200])
def test_cash_that_no_book_has_is_refused(tmp_path, cash):
    _, [refusal] = statement(tmp_path, f"node,instrument,quantity,net_cash\nFX1,EURUSD,1,{cash}\n")
    assert refusal.field == "net_cash"


def test_the_double_that_the_engine_shows_of_a_figure_is_no_difference(tmp_path):
    exact = -10845701348510480000000000000001
    for shown, kind in ((repr(exact / CASH_ONE), []), ("-1084.5701", ["cash"])):
        stated, _ = statement(tmp_path, f"node,instrument,quantity,net_cash\nFX1,EURUSD,1,{shown}\n")
        assert kinds(Stated(ONE, exact), stated[KEY]) == kind


def test_in_a_statement_by_dealer_an_empty_one_is_that_of_trades_without_a_dealer(tmp_path):
    stated, _ = statement(tmp_path, "dealer,instrument,quantity\n,EURUSD,1\nann,EURUSD,2\n")
    assert stated == {("dealer", "", "EURUSD"): Stated(ONE), ("dealer", "ann", "EURUSD"): Stated(2 * ONE)}


@pytest.mark.parametrize(
    ("here", "there", "kind"),
    [
        (Stated(5), Stated(5), []),
        (Stated(5), None, ["missing_there"]),
        (None, Stated(5), ["missing_here"]),
        (Stated(0, 7), None, []),
        (None, Stated(0, 7), []),
        (Stated(5, 1), Stated(6, 2), ["quantity"]),
        (Stated(5, 1), Stated(5, 2), ["cash"]),
        (Stated(5, 1), Stated(5, None), []),
        (Stated(5, 1, Decimal("1.1")), Stated(5, 1, Decimal("1.2")), ["average"]),
        (Stated(5, 1, Decimal("1.1")), Stated(5, 2, Decimal("1.2")), ["cash"]),
        (Stated(5, 1, Decimal("1.1")), Stated(5, 1, Decimal("1.1000000001")), []),
    ],
)
def test_a_difference_has_the_first_kind_that_fits(here, there, kind):
    assert kinds(here, there) == kind


def test_what_is_tolerated_is_no_difference():
    tolerances = parse_tolerances("quantity=0.5, net_cash=0.01")
    assert kinds(Stated(ONE), Stated(3 * ONE // 2), tolerances) == []
    assert kinds(Stated(ONE), Stated(3 * ONE // 2 + 1), tolerances) == ["quantity"]
    assert kinds(Stated(ONE, 0), Stated(ONE, CASH_ONE // 100), tolerances) == []
    assert kinds(Stated(ONE, 0), Stated(ONE, CASH_ONE // 100 + 1), tolerances) == ["cash"]


@pytest.mark.parametrize("text", ["quantity", "price=1", "quantity=1,quantity=2", "quantity=-1", "quantity=x"])
def test_a_tolerance_that_makes_no_sense_is_refused(text):
    with pytest.raises(InputError, match="--tolerance"):
        parse_tolerances(text)


def test_a_statement_is_compared_with_what_a_running_engine_shows(tmp_path):
    path = tmp_path / "broker.csv"
    path.write_text(
        "node,dealer,instrument,quantity,net_cash\nFX1,,EURUSD,100,-110\nFX1,,GBPUSD,99,\n,bob,EURUSD,-40.5,\nFX1,,ACME,3,\n,zoe,ACME,3,\nFX1,,NOPE,0,\n"
    )
    with serving(create_app(traded())) as url:
        report = against_statement(url, str(path), ColumnOptions(), Tolerances())
    found = {(each["rollup"], each["instrument"]): each for each in report.breaks}
    assert {key: each["kind"] for key, each in found.items()} == {
        ("node", "GBPUSD"): "quantity",
        ("node", "ACME"): "missing_here",
        ("dealer", "ACME"): "unknown_name",
        ("node", "NOPE"): "unknown_name",
    }
    assert found["node", "GBPUSD"]["difference"]["quantity"] == "-1"
    assert (found["dealer", "ACME"]["dealer"], found["dealer", "ACME"]["here"]) == ("zoe", None)
    assert report.compared == 6


def test_an_engine_that_is_not_there_is_said():
    with pytest.raises(EngineUnreachable, match=r"127\.0\.0\.1:9"):
        against_statement("http://127.0.0.1:9", "none.csv", ColumnOptions(), Tolerances())


def test_an_average_may_have_as_many_digits_as_its_sender_has(tmp_path):
    header = "node,instrument,quantity,average_price\n"
    stated, refused = statement(tmp_path, header + "FX1,EURUSD,1,1.0840692226000663\nFX1,ACME,1,nan\nFX1,GBPUSD,1,dear\n")
    assert stated == {KEY: Stated(ONE, None, Decimal("1.0840692226000663"))}
    assert [(each.index, each.field) for each in refused] == [(3, "average_price"), (4, "average_price")]
