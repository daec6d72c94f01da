"""What counterparties owe: forwards by their P&L, FX options by their worth, netted; whole where the store's sums are proved."""

from typing import Any

import pytest

from riskengine.limits.figures import IntendedTrade
from riskengine.process.counterparty_figures import StandingExposures
from riskengine.records.limits import Limit
from riskengine.snapshot.groups import Parts, TradePart, add_parts
from riskengine.snapshot.snapshot import Snapshot
from tests.forwarding import house, to_day
from tests.limiting import limit
from tests.optioned import OptionHouse
from tests.world import House, trade

FORWARD = "2026-06-08"


def ceiling(counterparty: str = "", where: Any = None, **fields: Any) -> Limit:
    more = {} if where is None else {"where": where}
    return limit("C", measure="counterparty_exposure", node="FX", counterparty=counterparty, limit=1e9, **more, **fields)


class Dealt:
    """Trades with their counterparties, and what they come to, added up here."""

    def __init__(self, made: House) -> None:
        self.house = made
        self.parts: dict[str, dict[str, TradePart]] = {}

    def deal(self, trade_id: str, counterparty: str, **columns: Any) -> None:
        where = self.house.engine.reference
        sent = trade(trade_id, where=where, **columns)
        self.house.deal(sent)
        placed = self.house.engine.quarantine.place(sent)
        row = self.house.engine.snapshot.nodes.row(where.hierarchy.index[sent.desk], self.number(placed.instrument))
        assert row is not None
        known = sum(part.identities for part in self.parts.get(placed.instrument, {}).values())
        part = TradePart(placed.signed_quantity, placed.cash, {}, row.identities - known, 1)
        groups = self.parts.setdefault(placed.instrument, {})
        groups[counterparty] = add_parts(groups.get(counterparty, TradePart(0, 0, {}, 0, 0)), part)

    def number(self, symbol: str) -> int:
        return self.house.engine.snapshot.reference.instrument_index[symbol]

    def exposures(self, snapshot: Snapshot | None = None, parts: Parts | None = None) -> StandingExposures:
        return StandingExposures(snapshot or self.house.engine.snapshot, self.parts if parts is None else parts, "FX", None)


@pytest.fixture
def dealt() -> Dealt:
    made = Dealt(house())
    made.deal("1", "BIG", quantity="1000000", price="1.05", value_date=FORWARD)
    made.deal("2", "BIG", quantity="400000", price="1.09", side="sell", value_date=FORWARD)
    made.deal("3", "SMALL", quantity="100000", price="1.20", value_date=FORWARD)
    made.deal("4", "BIG", quantity="5000000", price="1.00")
    made.deal("5", "", quantity="70000", price="1.00", value_date=FORWARD)
    return made


def forward_pnl(made: Dealt, quantity: float, price: float) -> float:
    snapshot, number = made.house.engine.snapshot, made.number(f"EURUSD@{FORWARD}")
    return quantity * (snapshot.units.price.item(number) - price) * snapshot.units.rate.item(number)


def test_forwards_count_by_their_pnl_netted_by_counterparty_and_spot_is_no_part_of_it(dealt: Dealt) -> None:
    found = dealt.exposures()
    big = found.after(ceiling("BIG"), ())
    assert big.value == pytest.approx(forward_pnl(dealt, 1e6, 1.05) + forward_pnl(dealt, -4e5, 1.09))
    assert (big.whole, big.subject) == (True, "BIG")
    assert found.after(ceiling("SMALL"), ()).value == pytest.approx(forward_pnl(dealt, 1e5, 1.20))
    assert found.after(ceiling("NOBODY"), ()) == (0.0, True, "NOBODY")


def test_without_a_counterparty_the_largest_is_bounded(dealt: Dealt) -> None:
    found = dealt.exposures()
    assert found.after(ceiling(), ()).subject == "BIG"
    assert found.after(ceiling(side="below"), ()).subject == "SMALL"


def test_trades_to_come_add_to_the_counterparty_that_they_name(dealt: Dealt) -> None:
    found = dealt.exposures()
    sent = trade("n", quantity="300000", price="1.02", value_date=FORWARD)
    placed = dealt.house.engine.quarantine.place(sent)
    spot = trade("s", quantity="300000", price="1.02")
    with_small = found.after(ceiling("SMALL"), [IntendedTrade(placed, "SMALL"), IntendedTrade(spot, "SMALL")])
    assert with_small.value == pytest.approx(forward_pnl(dealt, 1e5, 1.20) + forward_pnl(dealt, 3e5, 1.02))
    assert found.after(ceiling("BIG"), [IntendedTrade(placed, "SMALL")]) == found.after(ceiling("BIG"), ())
    unheld = trade("u", quantity="1", value_date="2026-06-08", instrument="EURGBP")
    unknown = found.after(ceiling("BIG"), [IntendedTrade(dealt.house.engine.quarantine.place(unheld), "BIG")])
    assert unknown.value != unknown.value


def test_sums_that_the_snapshot_does_not_prove_are_never_whole(dealt: Dealt) -> None:
    symbol = f"EURUSD@{FORWARD}"
    assert not dealt.exposures(parts={}).after(ceiling("BIG"), ()).whole
    wrong = {**dealt.parts, symbol: {"BIG": dealt.parts[symbol]["BIG"]}}
    assert not dealt.exposures(parts=wrong).after(ceiling("BIG"), ()).whole


def test_a_forward_without_a_price_makes_its_counterparty_incomplete_alone() -> None:
    made = Dealt(house(()))
    made.deal("1", "BIG", quantity="1000", price="1.05", value_date=FORWARD)
    made.deal("2", "SMALL", quantity="1000", price="1.05", value_date="2026-03-06", instrument="EURUSD")
    found = made.exposures()
    assert not found.after(ceiling("BIG"), ()).whole
    assert not found.after(ceiling(), ()).whole
    assert found.after(ceiling("SMALL"), ()).whole


def test_a_forward_that_is_over_counts_no_more(dealt: Dealt) -> None:
    to_day(dealt.house.engine, "2026-06-09")
    assert dealt.exposures().after(ceiling("BIG"), ()).value == 0.0


def test_options_count_by_their_worth() -> None:
    made = OptionHouse()
    dealing = Dealt(made)
    made.spots()
    made.vols()
    dealing.deal("1", "BIG", instrument="EURUSD C1.10", desk="FX1", quantity="1000000", price="0.01")
    snapshot = made.spots()
    number = dealing.number("EURUSD C1.10")
    found = dealing.exposures(snapshot).after(ceiling("BIG", where=made.where), ())
    assert found.value == pytest.approx(1e6 * snapshot.units.value.item(number))
    assert found.value > 0.0
