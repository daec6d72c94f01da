"""The parts of a line of a ladder add up to it, and what no part alone can have is unknown."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import Trade
from riskengine.serve.answers.shapes import GROUP, names
from riskengine.snapshot.groups import NO_PART, REST, TRADES, UNATTRIBUTED, TradePart, add_parts, group_rows, unproven
from riskengine.snapshot.rows import ladder_rows
from riskengine.snapshot.snapshot import Snapshot
from tests.world import House, opening, reference, trade

ADDED = ("quantity", "net_cash", "total_pnl", "fees", "market_value", "delta_cash", "trade_count", "total_pnl_local")


def parts_of(trades: Iterable[tuple[str, Trade]]) -> dict[str, dict[str, TradePart]]:
    found: dict[str, dict[str, TradePart]] = {}
    for name, each in trades:
        fees = {each.fees_currency: each.fees} if each.fees else {}
        part = TradePart(each.signed_quantity, each.cash, fees, trade_fingerprint(each), 1)
        groups = found.setdefault(each.instrument, {})
        groups[name] = add_parts(groups.get(name, NO_PART), part)
    return found


def house_of(trades: Iterable[tuple[str, Trade]], *, openings: Any = ()) -> Snapshot:
    house = House(reference())
    if openings:
        house.engine.open_with(list(openings))
    house.deal(*(each for _, each in trades))
    return house.marks(EURUSD=1.25, ACME=91.0)


def deal(name: str, side: str, quantity: str, price: str, **more: Any) -> Trade:
    return trade(name, side=side, quantity=quantity, price=price, **more)


def line(rows: list[dict[str, Any]], instrument: str = "EURUSD") -> dict[str | None, dict[str, Any]]:
    return {row["group"] if row["kind"] == TRADES else row["kind"]: row for row in rows if row["instrument"] == instrument}


def test_groups_and_rest_add_up_to_the_line_exactly() -> None:
    trades = [
        ("A", deal("1", "buy", "1000000", "1.1000000001", fees="1.5")),
        ("B", deal("2", "sell", "300000", "1.15", fees="-0.25")),
        ("A", deal("3", "sell", "500000", "1.12")),
        ("", deal("4", "buy", "7", "91", instrument="ACME", desk="EQ1")),
    ]
    snapshot = house_of(trades)
    parts = parts_of(trades)
    assert unproven(snapshot, parts, None, None) == []
    exact = group_rows(snapshot, parts, exact=True)
    for whole in ladder_rows(snapshot, exact=True):
        rows = [row for row in exact if row["instrument"] == whole["instrument"]]
        for field in ("quantity", "net_cash"):
            assert sum(Decimal(row[field]) for row in rows) == Decimal(whole[field])
    rows = group_rows(snapshot, parts)
    for whole in ladder_rows(snapshot):
        mine = [row for row in rows if row["instrument"] == whole["instrument"]]
        for field in ADDED:
            assert sum(row[field] for row in mine) == pytest.approx(whole[field], abs=1e-6), field
    assert all(tuple(row) == names(GROUP) for row in rows)


def test_a_balance_is_the_rest_and_no_bodys() -> None:
    trades = [("A", deal("1", "buy", "100", "1.1"))]
    snapshot = house_of(trades, openings=[opening(quantity="40", average_price="1", realised="3", ts=1_700_000_000_000_000)])
    found = line(group_rows(snapshot, parts_of(trades)))
    assert (found["A"]["quantity"], found[REST]["quantity"]) == (100.0, 40.0)
    assert found[REST]["net_cash"] == pytest.approx(3 - 40)
    assert found[REST]["trade_count"] == 0


def test_realised_and_unrealised_are_unknown_where_two_are_in_one_average() -> None:
    trades = [("A", deal("1", "buy", "100", "1.1")), ("B", deal("2", "buy", "100", "1.3")), ("B", deal("3", "sell", "50", "1.5"))]
    found = line(group_rows(house_of(trades), parts_of(trades)))
    assert [found[name][field] for name in "AB" for field in ("realised_pnl", "unrealised_pnl")] == [None] * 4
    assert found["A"]["total_pnl"] == pytest.approx(100 * (1.25 - 1.1))
    assert found["B"]["total_pnl"] == pytest.approx(100 * (1.25 - 1.3) + 50 * (1.5 - 1.25))


def test_who_is_alone_in_a_line_has_all_of_it() -> None:
    trades = [("A", deal("1", "buy", "100", "1.1")), ("A", deal("2", "sell", "40", "1.4", desk="FX2"))]
    snapshot = house_of(trades)
    whole = ladder_rows(snapshot)[0]
    row = line(group_rows(snapshot, parts_of(trades)))["A"]
    assert {field: row[field] for field in names(GROUP)[3:]} == {field: whole[field] for field in names(GROUP)[3:]}


def test_who_is_flat_beside_one_that_is_open_has_realised_what_it_got() -> None:
    trades = [("A", deal("1", "buy", "100", "1.1")), ("A", deal("2", "sell", "100", "1.2")), ("B", deal("3", "buy", "10", "1.0"))]
    snapshot = house_of(trades)
    found = line(group_rows(snapshot, parts_of(trades)))
    assert (found["A"]["realised_pnl"], found["A"]["unrealised_pnl"]) == (pytest.approx(10.0), 0.0)
    assert found["B"]["unrealised_pnl"] == pytest.approx(10 * 0.25)
    whole = ladder_rows(snapshot)[0]
    for field in ("realised_pnl", "unrealised_pnl"):
        assert found["A"][field] + found["B"][field] == pytest.approx(whole[field])


def test_two_who_cancel_out_in_a_flat_line_have_a_total_each_and_no_split() -> None:
    trades = [("A", deal("1", "buy", "100", "1.1")), ("B", deal("2", "sell", "100", "1.2"))]
    found = line(group_rows(house_of(trades), parts_of(trades)))
    assert found["A"]["total_pnl"] == pytest.approx(100 * 0.15)
    assert found["B"]["total_pnl"] == pytest.approx(-100 * 0.05)
    assert found["A"]["realised_pnl"] is found["B"]["unrealised_pnl"] is None


def test_without_a_price_a_part_is_unknown_even_where_the_line_is_flat() -> None:
    more = {"instrument": "GHOST", "desk": "EQ1"}
    trades = [("A", deal("1", "buy", "100", "1.1", **more)), ("B", deal("2", "sell", "100", "1.2", **more))]
    snapshot = house_of(trades)
    assert ladder_rows(snapshot)[0]["total_pnl"] == pytest.approx(10.0)
    found = line(group_rows(snapshot, parts_of(trades)), "GHOST")
    assert found["A"]["total_pnl"] is found["B"]["total_pnl"] is None


def test_a_line_whose_trades_are_others_is_shown_whole() -> None:
    trades = [("A", deal("1", "buy", "100", "1.1")), ("B", deal("2", "buy", "7", "91", instrument="ACME", desk="EQ1"))]
    snapshot = house_of(trades)
    parts = parts_of(trades)
    parts["EURUSD"]["A"] = parts["EURUSD"]["A"]._replace(identities=parts["EURUSD"]["A"].identities + 1)
    assert unproven(snapshot, parts, None, None) == ["EURUSD"]
    found = line(group_rows(snapshot, parts))
    assert list(found) == [UNATTRIBUTED]
    assert found[UNATTRIBUTED]["total_pnl"] == ladder_rows(snapshot)[0]["total_pnl"] or found[UNATTRIBUTED]["quantity"] == 100.0
    assert list(line(group_rows(snapshot, parts), "ACME")) == ["B"]


def test_of_a_dealer_it_is_what_the_dealer_did() -> None:
    trades = [("A", deal("1", "buy", "100", "1.1")), ("B", deal("2", "buy", "5", "1.1", dealer="bob"))]
    snapshot = house_of(trades)
    mine = parts_of([trades[1]])
    assert unproven(snapshot, mine, None, "bob") == []
    assert [row["quantity"] for row in group_rows(snapshot, mine, dealer="bob")] == [5.0]
