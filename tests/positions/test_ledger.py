"""The two roll-ups: positions at leaves with exact sums above them, and dealers."""

import random

import pytest

from riskengine.positions.ledger import SHIFT, Ledger
from riskengine.positions.position import next_average
from riskengine.records.types import CASH_ONE, ONE
from tests import world
from tests.world import DESKS, NOON, REFERENCE, SECOND, trade

TOLERANCE = 5 * SECOND
EURUSD = REFERENCE.instrument_index["EURUSD"]


def number(node: str) -> int:
    return REFERENCE.hierarchy.index[node]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(REFERENCE)


def settle(ledger: Ledger) -> None:
    ledger.organisation.settle()
    ledger.dealers.settle()


def row(ledger: Ledger, node: str, instrument: int = EURUSD):
    return ledger.organisation.books[number(node)].row(instrument)


def exact(found) -> tuple[int, int]:
    return found.quantity, found.cash


def test_a_trade_reaches_every_ancestor_of_its_desk_and_no_other_node(ledger):
    ledger.add(trade(quantity="100", price="1.5"), TOLERANCE)
    settle(ledger)
    holding = [node for node in REFERENCE.hierarchy.names if row(ledger, node) is not None]
    assert sorted(holding) == ["ALL", "FX", "FX1", "G10"]
    assert {exact(row(ledger, node)) for node in holding} == {(100 * ONE, -150 * CASH_ONE)}


def test_a_parent_nets_its_children_exactly(ledger):
    ledger.add(trade("t1", desk="FX1", quantity="100", price="1.1000000001"), TOLERANCE)
    ledger.add(trade("t2", desk="FX2", side="sell", quantity="100", price="1.1"), TOLERANCE)
    settle(ledger)
    assert exact(row(ledger, "G10")) == (0, -CASH_ONE // 10**8)


def test_a_netting_row_has_no_average_but_the_open_cost_of_its_positions(ledger):
    ledger.add(trade("t1", desk="FX1", quantity="100", price="2"), TOLERANCE)
    ledger.add(trade("t2", desk="FX2", side="sell", quantity="100", price="3"), TOLERANCE)
    settle(ledger)
    found = row(ledger, "G10")
    assert (found.average, found.open_count) == (None, 2)
    assert found.open_cost / CASH_ONE == pytest.approx(100 * 2 - 100 * 3, rel=1e-15)


def test_the_dealer_s_position_is_folded_on_its_own(ledger):
    """Long at one desk, then short at another: two averages at the desks, one flip for the dealer."""
    ledger.add(trade("t1", desk="FX1", quantity="100", price="2"), TOLERANCE)
    ledger.add(trade("t2", desk="FX2", side="sell", quantity="150", price="3", ts=NOON + 1), TOLERANCE)
    settle(ledger)
    [dealer] = ledger.dealers.books[ledger.dealer_index["ann"]].rows
    averages = [row(ledger, "FX1").average, row(ledger, "FX2").average, dealer.average]
    assert averages == [2.0, 3.0, 3.0]
    assert exact(dealer) == exact(row(ledger, "ALL"))


def test_trades_without_a_dealer_belong_to_the_dealer_without_a_name(ledger):
    ledger.add(trade(dealer=""), TOLERANCE)
    assert list(ledger.dealer_index) == [""]


def test_a_position_without_trades_does_not_exist_anywhere(ledger):
    one = trade()
    ledger.add(one, TOLERANCE)
    settle(ledger)
    ledger.remove(one)
    settle(ledger)
    assert all(row(ledger, node) is None for node in REFERENCE.hierarchy.names)
    assert all(book.count == book.trades == 0 for book in ledger.organisation.books)


def test_a_flat_position_exists(ledger):
    ledger.add(trade("t1"), TOLERANCE)
    ledger.add(trade("t2", side="sell", ts=NOON + 1), TOLERANCE)
    settle(ledger)
    found = row(ledger, "ALL")
    assert (found.quantity, found.open_count, found.position_count, found.trade_count) == (0, 0, 1, 2)


def test_the_newest_trade_below_falls_back_when_it_is_taken_out(ledger):
    newest = trade("t2", desk="FX2", ts=NOON + SECOND)
    ledger.add(trade("t1", desk="FX1"), TOLERANCE)
    ledger.add(newest, TOLERANCE)
    settle(ledger)
    assert row(ledger, "ALL").last_trade_ts == NOON + SECOND
    ledger.remove(newest)
    settle(ledger)
    assert row(ledger, "ALL").last_trade_ts == NOON


def test_fees_add_up_by_currency(ledger):
    ledger.add(trade("t1", desk="FX1", fees="1"), TOLERANCE)
    ledger.add(trade("t2", desk="FX2", fees="2", fees_currency="JPY"), TOLERANCE)
    settle(ledger)
    assert row(ledger, "FX").fees == {"USD": ONE, "JPY": 2 * ONE}


def test_settle_returns_every_touched_row_before_and_now(ledger):
    ledger.add(trade("t1"), TOLERANCE)
    settle(ledger)
    ledger.add(trade("t2", desk="FX2", ts=NOON + 1), TOLERANCE)
    changes = ledger.organisation.settle()
    counts = {
        REFERENCE.hierarchy.names[key >> SHIFT]: (before and before.trade_count, now and now.trade_count)
        for key, (before, now) in changes.items()
    }
    assert counts == {"FX2": (None, 1), "G10": (1, 2), "FX": (1, 2), "ALL": (1, 2)}


def test_a_trade_that_came_and_went_between_two_settlements_leaves_no_change(ledger):
    one = trade()
    ledger.add(one, TOLERANCE)
    ledger.remove(one)
    assert ledger.organisation.settle() == {}


def test_an_opening_enters_both_roll_ups_and_no_count_of_trades(ledger):
    ledger.open_with([world.opening(quantity="10", average_price="2")])
    settle(ledger)
    [dealer] = ledger.dealers.books[ledger.dealer_index["ann"]].rows
    for found in (row(ledger, "ALL"), dealer):
        assert (exact(found), found.position_count, found.trade_count) == ((10 * ONE, -20 * CASH_ONE), 1, 0)


@pytest.mark.parametrize(("behind", "late"), [(TOLERANCE, False), (TOLERANCE + 1, True)])
def test_a_trade_behind_the_newest_by_more_than_the_tolerance_is_late(ledger, behind, late):
    ledger.add(trade("t1"), TOLERANCE)
    assert (ledger.add(trade("t2", ts=NOON - behind), TOLERANCE) is not None) is late


def test_a_late_trade_has_average_realised_and_unrealised_before_and_after(ledger):
    ledger.add(trade("t2", side="sell", quantity="50", price="3"), TOLERANCE)
    fold = ledger.add(trade("t1", quantity="100", price="2", ts=NOON - 2 * TOLERANCE), TOLERANCE)
    assert fold is not None
    assert fold.late_by == 2 * TOLERANCE
    assert fold.before.split(4.0) == {"average_price": 3.0, "realised_pnl": 0.0, "unrealised_pnl": -50.0}
    assert fold.after.split(4.0) == {"average_price": 2.0, "realised_pnl": 50.0, "unrealised_pnl": 100.0}


def test_without_a_mark_a_late_trade_s_unrealised_pnl_is_unknown(ledger):
    ledger.add(trade("t2"), TOLERANCE)
    fold = ledger.add(trade("t1", ts=NOON - 2 * TOLERANCE), TOLERANCE)
    assert fold is not None
    assert fold.after.split(None)["unrealised_pnl"] is None


def test_after_any_flow_the_rows_are_those_of_the_remaining_trades_alone(ledger):
    seeded = random.Random(5)
    standing = []
    for place in range(400):
        one = trade(
            f"t{place}",
            ts=NOON + seeded.randrange(50),
            desk=seeded.choice(world.DESKS),
            dealer=seeded.choice(["", "ann", "bob"]),
            instrument=seeded.choice(["EURUSD", "ACME", "ESZ6"]),
            side=seeded.choice(["buy", "sell"]),
            quantity=str(seeded.randrange(1, 9)),
            price=str(seeded.uniform(1, 2))[:8],
            fees=seeded.choice(["0", "0.1"]),
        )
        standing.append(one)
        ledger.add(one, TOLERANCE)
        if seeded.random() < 0.4:
            ledger.remove(standing.pop(seeded.randrange(len(standing))))
        if seeded.random() < 0.3:
            settle(ledger)
    settle(ledger)
    ledger.check()
    fresh = Ledger(REFERENCE)
    for one in standing:
        fresh.add(one, TOLERANCE)
    settle(fresh)
    for mine, other in zip(ledger.organisation.books, fresh.organisation.books, strict=True):
        held = {found.instrument: found for found in mine.rows if found}
        assert held == {found.instrument: found for found in other.rows if found}


@pytest.mark.parametrize("spoil", ["quantity", "cash", "trade_count"])
def test_the_check_finds_a_parent_that_is_not_the_sum_of_its_children(ledger, spoil):
    ledger.add(trade(), TOLERANCE)
    settle(ledger)
    rows = ledger.organisation.books[0].rows
    fields = {field: getattr(rows[0], field) for field in rows[0].__struct_fields__}
    rows[0] = type(rows[0])(**fields | {spoil: 12345})
    with pytest.raises(AssertionError, match="I5"):
        ledger.check()


def test_the_check_needs_settled_roll_ups(ledger):
    ledger.add(trade(), TOLERANCE)
    with pytest.raises(AssertionError, match="settle"):
        ledger.check()


def test_balances_of_one_position_are_folded_once_however_many_there_are(monkeypatch):
    steps = []

    def counted(*step):
        steps.append(step)
        return next_average(*step)

    monkeypatch.setattr("riskengine.positions.position.next_average", counted)
    ledger = Ledger(world.REFERENCE)
    balances = [
        world.opening(desk=desk, dealer="", instrument=symbol, quantity="10", average_price="2", ts=NOON + number)
        for number, (desk, symbol) in enumerate((desk, symbol) for desk in DESKS for symbol in ("EURUSD", "ACME"))
    ]
    ledger.open_with(balances)
    assert len(steps) == 2 * len(balances), "each balance once in either roll-up"
    ledger.organisation.settle()
    ledger.dealers.settle()
    ledger.check()
