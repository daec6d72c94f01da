"""Columns that are kept and renewed give the same exposure, to the bit, as columns made anew."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.snapshot import exposure_renewal
from riskengine.snapshot.cash_rows import balances_of
from riskengine.snapshot.exposure import BY, Exposure, exposure, exposure_of, owner_of, rows_of
from riskengine.snapshot.exposure_columns import ExposureColumns
from riskengine.snapshot.snapshot import Snapshot
from tests.cash_records import cash
from tests.risky import CALL, PUT, SHARE, YEN, RiskyHouse
from tests.world import NOON, trade

SYMBOLS = (CALL, PUT, YEN, SHARE, "EURUSD", "GBPUSD", "ACME", "6EM6", "MAREL")


def fresh(snapshot: Snapshot, by: str, node: str | None, dealer: str | None) -> Exposure:
    """The exposure by columns that are made anew."""
    place = owner_of(snapshot, node, dealer)
    assert place is not None
    rows, broken = rows_of(*place)
    balances = balances_of(snapshot, place[1]) if dealer is None else {}
    return exposure_of(snapshot, ExposureColumns(snapshot.reference, snapshot.units.netting, rows, broken, balances), by)


def agree(house: RiskyHouse, owners: Sequence[tuple[str | None, str | None]]) -> None:
    for node, dealer in owners:
        for by in BY:
            assert exposure(house.engine.snapshot, by, node=node, dealer=dealer) == fresh(house.engine.snapshot, by, node, dealer)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines each set of columns has that is made by the code under test."""
    lines: list[int] = []

    class Counted(ExposureColumns):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            lines.append(len(self.rows))

    monkeypatch.setattr(exposure_renewal, "ExposureColumns", Counted)
    return lines


deals = st.tuples(
    st.sampled_from(SYMBOLS),
    st.sampled_from(("FX1", "FX2", "EQ1")),
    st.sampled_from(("ann", "bob")),
    st.sampled_from(("buy", "sell")),
    st.integers(1, 3),
    st.sampled_from(("0", "0", "2.5")),
)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(deals, st.sampled_from((1.05, 1.12))), max_size=25))
def test_whatever_is_dealt_kept_columns_give_the_exposure_of_new_ones(events):
    house = RiskyHouse(CALL, SHARE)
    house.buy(CALL, "1", dealer="bob")
    for number, event in enumerate(events):
        if isinstance(event, float):
            house.spots(EURUSD=event)
        else:
            symbol, desk, dealer, side, quantity, fees = event
            columns = {"instrument": symbol, "desk": desk, "dealer": dealer, "side": side, "fees": fees, "price": "1"}
            house.deal(trade(f"e{number}", where=house.where, quantity=str(quantity), **columns))
        agree(house, ((None, None), ("FX1", None), (None, "bob")))


def test_a_trade_renews_the_line_that_it_changed_and_no_other(made):
    house = RiskyHouse(CALL, YEN, SHARE)
    exposure(house.engine.snapshot, "currency")
    assert made == [3]
    house.buy(CALL, "5")
    exposure(house.engine.snapshot, "currency")
    assert made == [3, 1, 1]
    house.spots(EURUSD=1.12)
    exposure(house.engine.snapshot, "currency")
    assert made == [3, 1, 1]


def test_an_instrument_that_is_new_and_one_that_goes_flat_are_made_anew(made):
    house = RiskyHouse(CALL, YEN)
    agree(house, [(None, None)])
    house.buy("EURUSD", "5", price="1")
    agree(house, [(None, None)])
    house.buy("EURUSD", "5", price="1", side="sell")
    agree(house, [(None, None)])
    assert made.count(3) == 2


def test_external_cash_that_moves_counts_at_once():
    house = RiskyHouse(CALL)
    agree(house, [(None, None)])
    house.engine.take_cash([cash("C1", "1000", node="FX1", currency="GBP")], NOON)
    house.beat()
    agree(house, [(None, None), ("FX1", None)])
    assert {row["currency"] for row in exposure(house.engine.snapshot, "currency").rows} >= {"GBP"}


def test_so_many_owners_are_kept_and_no_more(monkeypatch):
    monkeypatch.setattr(exposure_renewal, "MOST_KEPT", 2)
    house = RiskyHouse(CALL)
    for node in ("ALL", "FX", "FX1", "FX2"):
        exposure(house.engine.snapshot, "currency", node=node)
    assert len(exposure_renewal._kept[house.where]) == 2
