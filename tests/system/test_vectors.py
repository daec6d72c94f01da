"""The published and worked examples, through the engine and its public rows."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from riskengine.snapshot.exposure import exposure
from tests import world
from tests.world import NOON, House, trade

AVERAGE_COST = ("AC-1b", "AC-2", "AC-3", "AC-4", "AC-9", "FL-1", "OO-1")
FX = ("FXC-1", "FXC-2", "FXC-4")


@pytest.fixture(scope="module")
def vectors(shared_vectors: Path) -> dict[str, dict[str, Any]]:
    """Every vector of both lists by its id."""
    content = json.loads(shared_vectors.read_text(), parse_float=Decimal)
    return {vector["id"]: vector for section in ("average_cost", "fx") for vector in content[section]}


def test_no_vector_of_the_two_lists_is_left_out(vectors):
    assert vectors.keys() == {*AVERAGE_COST, *FX}


def dealt(house: House, place: int, size: Any, price: Any, instrument: str = "EURUSD") -> None:
    side = "buy" if size > 0 else "sell"
    columns: dict[str, Any] = {"side": side, "quantity": str(abs(size)), "price": str(price), "instrument": instrument}
    assert house.deal(trade(f"t{place}", ts=NOON + place, **columns)) == ["applied"]


@pytest.mark.parametrize("name", AVERAGE_COST)
def test_average_cost(vectors, name):
    vector, house = vectors[name], House()
    for place, ((size, price), step) in enumerate(zip(vector["trades"], vector["steps"], strict=True)):
        dealt(house, place, size, price)
        row = house.position()
        assert row["quantity"] == float(step["q"])
        assert row["net_cash"] == float(step["net_cash"])
        assert row["average_price"] == (None if step["avg"] is None else pytest.approx(float(step["avg"]), rel=1e-14))
        assert row["realised_pnl_local"] == pytest.approx(float(step["realised"]), abs=1e-6)
    if "mark" in vector:
        house.marks(EURUSD=float(vector["mark"]))
        row = house.position()
        assert row["unrealised_pnl"] == pytest.approx(float(vector["unrealised"]), abs=1e-6)
        assert row["total_pnl"] == pytest.approx(float(vector["total"]), abs=1e-6)


@pytest.mark.parametrize("name", AVERAGE_COST)
def test_average_cost_whatever_the_order_of_arrival(vectors, name):
    trades = [
        trade(f"t{n}", ts=NOON + n, side="buy" if size > 0 else "sell", quantity=str(abs(size)), price=str(price))
        for n, (size, price) in enumerate(vectors[name]["trades"])
    ]
    forwards, backwards = House(), House()
    forwards.deal(*trades)
    backwards.deal(*reversed(trades))
    assert backwards.position() == forwards.position()


def test_fxc_1_a_cross_is_reported_through_the_quote_currency_s_rate(vectors):
    house = House()
    dealt(house, 1, 10_000_000, "0.8500", "EURGBP")
    dealt(house, 2, -4_000_000, "0.8550", "EURGBP")
    house.marks(EURGBP=0.8520, GBPUSD=1.2400)
    assert house.node()["total_pnl"] == pytest.approx(vectors["FXC-1"]["retain_usd"], abs=1e-6)


def test_fxc_2_a_short_pair_is_worth_its_two_balances(vectors):
    house = House()
    dealt(house, 1, -12_500_000, "1.08432")
    house.marks(EURUSD=float(vectors["FXC-2"]["mid"]))
    assert house.node()["total_pnl"] == pytest.approx(vectors["FXC-2"]["total_usd"], abs=1e-6)


def test_fxc_4_a_rate_is_chained_through_a_common_currency(vectors):
    vector = vectors["FXC-4"]
    rows = [{"instrument": pair, "kind": "fx", "base_currency": pair[:3], "quote_currency": pair[3:]} for pair in vector["rates"]]
    where = world.reference(rows=rows, reporting_currency="GBP")
    house = House(where)
    snapshot = house.marks(**{pair: float(mid) for pair, mid in vector["rates"].items()})
    assert snapshot.rates.value[where.currency_index["EUR"]] == pytest.approx(float(vector["EURGBP"]), rel=1e-14)


def test_every_net_open_position_has_its_shorthand_figure(shared_vectors):
    """Each amount is a position in its pair with the Swiss franc, gold a metal; every price is 1."""
    for vector in json.loads(shared_vectors.read_text())["nop"]:
        book = vector["ccy"] | {"XAU": vector["gold"]}
        rows = [
            {
                "instrument": f"{code}CHF",
                "kind": "metal" if code == "XAU" else "fx",
                "base_currency": code,
                "quote_currency": "CHF",
            }
            for code in book
        ]
        where = world.reference(rows=rows, reporting_currency="CHF")
        house = House(where)
        for code, amount in book.items():
            side = "buy" if amount > 0 else "sell"
            sent = trade(code, where=where, instrument=f"{code}CHF", side=side, quantity=str(abs(amount)), price="1")
            assert house.deal(sent) == ["applied"]
        house.marks(**{f"{code}CHF": 1.0 for code in book})
        found = exposure(house.engine.snapshot, "currency")
        assert {row["currency"]: row["net"] for row in found.rows if row["currency"] != "CHF"} == book
        assert found.summary["shorthand"] == vector["shorthand"]
        assert found.summary["shorthand"] * 0.08 == pytest.approx(vector["charge8pct"])


# ACCOUNTING section 4


def test_example_1_a_short_is_worth_its_balances_at_the_mid():
    house = House()
    dealt(house, 1, -12_500_000, "1.08432")
    house.marks(EURUSD=1.08046)
    row = house.position()
    assert (row["quantity"], row["net_cash"]) == (-12_500_000.0, 13_554_000.0)
    assert row["total_pnl"] == pytest.approx(48_250, abs=1e-6)


def test_example_1_buying_some_back_splits_the_total():
    house = House()
    dealt(house, 1, -12_500_000, "1.08432")
    dealt(house, 2, 2_000_000, "1.08420")
    house.marks(EURUSD=1.08046)
    row = house.position()
    assert (row["quantity"], row["average_price"]) == (-10_500_000.0, 1.08432)
    amounts = [row["realised_pnl"], row["unrealised_pnl"], row["total_pnl"]]
    assert amounts == pytest.approx([240, 40_530, 40_770], abs=1e-6)
    assert row["breakeven_price"] == pytest.approx(1.0843428571, abs=5e-11)


def test_example_2_a_cross_has_its_pnl_in_its_own_currency_first():
    house = House()
    dealt(house, 1, 10_000_000, "0.8500", "EURGBP")
    dealt(house, 2, -4_000_000, "0.8550", "EURGBP")
    house.marks(EURGBP=0.8520, GBPUSD=1.2400)
    row = house.position("EURGBP")
    local = [row["realised_pnl_local"], row["unrealised_pnl_local"], row["total_pnl_local"]]
    assert local == pytest.approx([20_000, 12_000, 32_000], abs=1e-6)
    assert row["total_pnl"] == pytest.approx(39_680, abs=1e-6)


def test_the_total_is_the_same_whatever_rule_splits_it():
    """I2, on the trades of AC-2: first in first out and last in first out, against average cost."""
    flow = [(12, 100), (17, 99), (-9, 101), (-4, 105), (3, 103)]
    mark, house = 102, House()
    for place, (size, price) in enumerate(flow):
        dealt(house, place, size, price)
    house.marks(EURUSD=float(mark))
    for newest_first in (False, True):
        lots: list[list[int]] = []
        realised = 0
        for size, price in flow:
            while size < 0:
                lot = lots[-1 if newest_first else 0]
                used = min(-size, lot[0])
                realised += used * (price - lot[1])
                lot[0] -= used
                size += used
                lots = [one for one in lots if one[0]]
            if size:
                lots.append([size, price])
        unrealised = sum(size * (mark - price) for size, price in lots)
        assert house.position()["total_pnl"] == realised + unrealised
