"""One position: the table of ACCOUNTING section 1, late trades, checkpoints, openings and fees."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from riskengine.positions import position as position_module
from riskengine.positions.position import LONG_HISTORY_TRADES, TRADES_PER_CHECKPOINT, Position, next_average
from riskengine.positions.repair import SetAsidePosition
from riskengine.records.types import CASH_ONE, MULTIPLIER_DECIMALS, ONE, Trade
from tests import world
from tests.world import NOON, SECOND

K = 10**MULTIPLIER_DECIMALS


def fill(place: int, signed: int | str = 1, price: str = "1", **columns: Any) -> Trade:
    """A trade `place` seconds after noon; a negative quantity sells."""
    text = str(signed)
    side = "sell" if text.startswith("-") else "buy"
    return world.trade(f"t{place:05}", ts=NOON + place * SECOND, side=side, quantity=text.lstrip("-"), price=price, **columns)


def fold(trades: Iterable[Trade]) -> Position:
    position = Position()
    for trade in trades:
        position.add(trade)
    return position


def state(position: Position) -> tuple[object, ...]:
    return position.quantity, position.cash, position.average, position.fees, list(position.trades)


def realised(position: Position) -> float:
    """R = C + k q A."""
    return position.cash / CASH_ONE + position.quantity / ONE * (position.average or 0.0)


def seeded(count: int, seed: int = 7) -> list[Trade]:
    """Trades that go long, short and flat, in order."""
    seeded_random = random.Random(seed)
    sizes = [-3, -2, -1, 1, 2, 3]
    return [fill(n, seeded_random.choice(sizes), f"{seeded_random.uniform(1, 2):.4f}") for n in range(count)]


# The table


@pytest.mark.parametrize(
    ("held", "average", "traded", "price", "expected"),
    [
        pytest.param(0, None, 100, 2.0, 2.0, id="opens long at the price"),
        pytest.param(0, None, -100, 2.0, 2.0, id="opens short at the price"),
        pytest.param(100, 1.0, 50, 4.0, 2.0, id="adds to a long: the weighted mean"),
        pytest.param(-100, 1.0, -50, 4.0, 2.0, id="adds to a short: the weighted mean"),
        pytest.param(100, 1.5, -40, 9.0, 1.5, id="reduces a long: unchanged"),
        pytest.param(-100, 1.5, 40, 9.0, 1.5, id="reduces a short: unchanged"),
        pytest.param(100, 1.5, -100, 9.0, None, id="closes a long: none"),
        pytest.param(-100, 1.5, 100, 9.0, None, id="closes a short: none"),
        pytest.param(100, 1.5, -150, 9.0, 9.0, id="flips to short: the price"),
        pytest.param(-100, 1.5, 150, 9.0, 9.0, id="flips to long: the price"),
    ],
)
def test_the_average_follows_the_table(held, average, traded, price, expected):
    assert next_average(held * ONE, average, traded * ONE, price) == expected


@pytest.mark.parametrize(
    ("trades", "expected"),
    [
        pytest.param([(100, "2")], 0.0, id="opening realises nothing"),
        pytest.param([(100, "2"), (50, "5")], 0.0, id="adding realises nothing"),
        pytest.param([(100, "2"), (-40, "3")], 40.0, id="reducing a long"),
        pytest.param([(-100, "2"), (40, "3")], -40.0, id="reducing a short"),
        pytest.param([(100, "2"), (-100, "3")], 100.0, id="closing"),
        pytest.param([(100, "2"), (-150, "3")], 100.0, id="flipping: on the old quantity only"),
    ],
)
def test_realised_pnl_follows_the_table(trades, expected):
    assert realised(fold(fill(n, size, price) for n, (size, price) in enumerate(trades))) == pytest.approx(expected)


def test_a_position_that_flips_through_zero_can_be_followed_trade_by_trade():
    sizes = [(100, "1"), (-50, "2"), (-100, "3"), (50, "1")]
    position, averages = Position(), []
    for place, (size, price) in enumerate(sizes):
        position.add(fill(place, size, price))
        averages.append(position.average)
    assert averages == [1.0, 1.0, 3.0, None]
    assert realised(position) == 250.0


def test_buying_at_the_mark_changes_the_total_by_nothing():
    position = fold([fill(0, 100, "1.2345"), fill(1, -30, "1.3")])

    def total() -> int:
        return position.cash + position.quantity * 13_100_000_000 * K

    before = total()
    position.add(fill(2, 77, "1.31"))
    assert total() == before


def test_ten_thousand_bitcoin_at_ten_decimals_are_exact():
    position = fold([fill(0, "10000.0000000001", "60000.0000000001", instrument="BTCEUR", desk="EQ1")])
    assert position.cash == -(10000 * ONE + 1) * (60000 * ONE + 1) * K


def test_an_exact_contra_amount_replaces_quantity_times_price():
    position = fold([fill(0, 3, "99", contra_amount="10")])
    assert position.cash == -10 * CASH_ONE
    assert position.average == 10 / 3


def test_fees_are_kept_by_currency_and_apart_from_cash():
    position = fold([fill(0, 1, "2", fees="1.5"), fill(1, 1, "2", fees="70", fees_currency="JPY")])
    assert position.fees == {"USD": 15 * ONE // 10, "JPY": 70 * ONE}
    assert position.cash == -4 * CASH_ONE


def test_fees_that_cancel_leave_no_trace():
    position = fold([fill(0, 1, fees="1.5"), fill(1, 1, fees="-1.5")])
    assert position.fees is None


def test_fees_are_replaced_and_never_changed_in_place():
    position = fold([fill(0, 1, fees="1")])
    before = position.fees
    position.add(fill(1, 1, fees="1"))
    assert before == {"USD": ONE}


# Order


@given(st.permutations(range(8)))
def test_any_order_of_arrival_gives_the_same_bits(order):
    trades = seeded(8)
    assert state(fold(trades[n] for n in order)) == state(fold(trades))


def test_the_second_key_is_the_source_s_own_number_then_source_then_id_then_leg():
    ordered = [
        world.trade("z", source="zz", source_seq=1),
        world.trade("z", source="a", source_seq=2),
        world.trade("a", source="b", source_seq=2),
        world.trade("b", source="b", source_seq=2, leg=1),
        world.trade("b", source="b", source_seq=2, leg=2),
    ]
    assert fold(reversed(ordered)).trades == ordered


def test_strings_order_by_utf8_bytes():
    ordered = [world.trade(name) for name in ("Z", "a", "\u00e9", "\uffee", "\U0001f600")]
    assert fold(reversed(ordered)).trades == ordered


def test_add_returns_the_number_of_newer_trades():
    position = fold([fill(1), fill(3), fill(5)])
    assert (position.add(fill(6)), position.add(fill(2)), position.add(fill(0))) == (0, 3, 5)


def test_adding_and_removing_leaves_no_trace():
    trades = seeded(200)
    position = fold(trades)
    before = state(position)
    for place in (0, 63, 64, 65, 150, 199):
        position.remove(trades[place])
        position.add(trades[place])
    assert state(position) == before


def test_removing_a_trade_gives_the_position_without_it():
    trades = seeded(150)
    position = fold(trades)
    position.remove(trades[70])
    assert state(position) == state(fold(trades[:70] + trades[71:]))


def test_removing_a_trade_that_is_not_there_is_our_mistake():
    with pytest.raises(AssertionError, match="must be in its position"):
        fold([fill(1), fill(3)]).remove(fill(2))


# Set aside


def test_a_position_that_was_set_aside_keeps_its_trades_in_order_and_claims_nothing():
    position = fold([fill(3), fill(1)])
    position.quantity, position.average = 5, None
    aside = SetAsidePosition(position)
    assert (aside.add(fill(2)), aside.add(fill(0))) == (0, 0)
    aside.remove(fill(3))
    aside.remove(fill(9))
    aside.check(1)
    assert [one.ts for one in aside.trades] == [fill(second).ts for second in (0, 1, 2)]
    assert (aside.quantity, aside.cash, aside.average, aside.identities) == (0, 0, None, 0)
    assert (aside.owner, aside.instrument, aside.slot) == (position.owner, position.instrument, position.slot)


def test_a_trade_that_stands_in_a_broken_position_twice_is_kept_once():
    position = fold([fill(1), fill(3)])
    position.trades.insert(0, position.trades[1])
    assert SetAsidePosition(position).trades == [fill(1), fill(3)]


def test_a_position_holds_one_record_of_a_trade_and_no_equal_one():
    trades = seeded(150)
    position = fold(trades)
    assert all(map(position.holds, trades))
    assert not position.holds(structs.replace(trades[7]))
    assert not position.holds(fill(10_000))


# Long histories


@pytest.fixture
def folds(monkeypatch) -> list[int]:
    """Counts how many trades are folded."""
    count = [0]

    def counted(*args: object) -> float | None:
        count[0] += 1
        return next_average(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(position_module, "next_average", counted)
    return count


def test_a_late_trade_folds_no_more_than_its_distance_and_one_checkpoint(folds):
    position = fold(fill(2 * n) for n in range(1_000))
    folds[0] = 0
    position.add(fill(2 * 990 + 1))
    assert folds[0] <= 10 + TRADES_PER_CHECKPOINT


def test_the_newest_trade_folds_itself_alone(folds):
    position = fold(fill(n) for n in range(300))
    folds[0] = 0
    position.add(fill(300))
    assert folds[0] == 1


def test_checkpoints_after_a_late_trade_are_its_new_history():
    trades = seeded(5 * TRADES_PER_CHECKPOINT)
    position = fold([*trades[:10], *trades[11:], trades[10]])
    position.add(fill(len(trades) + 1))
    position.remove(position.trades[-1])
    assert position.checkpoints == fold(trades).checkpoints


@pytest.mark.parametrize("count", [TRADES_PER_CHECKPOINT - 1, TRADES_PER_CHECKPOINT, TRADES_PER_CHECKPOINT + 1])
def test_a_trade_removed_beside_a_checkpoint(count):
    trades = seeded(count)
    position = fold(trades)
    position.remove(trades[-1])
    position.check(K)
    assert state(position) == state(fold(trades[:-1]))


def test_a_history_longer_than_a_flat_list_gives_the_same_bits():
    trades = seeded(LONG_HISTORY_TRADES + 300)
    shuffled = trades.copy()
    random.Random(3).shuffle(shuffled)
    ahead, behind = fold(trades), fold(shuffled[:-1])
    behind.add(shuffled[-1])
    behind.check(K)
    assert type(behind.trades) is not list
    assert state(behind) == state(ahead)


def test_a_long_history_gives_trades_back():
    trades = seeded(LONG_HISTORY_TRADES + 70)
    position = fold(trades)
    for trade in trades[1_000:1_100]:
        position.remove(trade)
    position.check(K)
    assert state(position) == state(fold(trades[:1_000] + trades[1_100:]))


# Openings


def open_with(*openings: dict[str, Any]) -> Position:
    position = Position()
    for columns in openings:
        position.open_with([world.opening(**columns)], K, "USD")
    return position


def test_an_opening_enters_as_a_trade_at_its_average_plus_its_realised_pnl():
    position = open_with({"quantity": "-40", "average_price": "1.05", "realised": "3.5", "fees": "0.25"})
    assert (position.quantity, position.average) == (-40 * ONE, 1.05)
    assert position.cash == (42 * 10 + 35) * CASH_ONE // 10
    assert position.fees == {"USD": ONE // 4}


def test_realised_pnl_includes_the_opening_s():
    assert realised(open_with({"quantity": "10", "average_price": "2", "realised": "7"})) == 7.0


def test_a_flat_opening_has_realised_pnl_and_no_average():
    position = open_with({"realised": "7"})
    assert (position.quantity, position.average, position.cash) == (0, None, 7 * CASH_ONE)


def test_trades_fold_after_the_opening_even_if_they_came_before_it():
    trades = [fill(n, size) for n, size in enumerate([50, -100, 20])]
    columns: dict[str, Any] = {"quantity": "10", "average_price": "2"}
    first, last = open_with(columns), fold(trades)
    for trade in trades:
        first.add(trade)
    last.open_with([world.opening(**columns)], K, "USD")
    assert state(first) == state(last)


def test_openings_of_several_dealers_at_a_desk_fold_in_one_order():
    ann = {"quantity": "10", "average_price": "2"}
    bob = {"quantity": "-30", "average_price": "3", "dealer": "bob"}
    assert state(open_with(ann, bob)) == state(open_with(bob, ann))


# The check


@pytest.mark.parametrize(
    ("field", "value"),
    [("quantity", 5), ("cash", 5), ("average", 1.25)],
)
def test_the_check_finds_a_wrong_number(field, value):
    position = fold(seeded(10))
    setattr(position, field, value)
    with pytest.raises(AssertionError):
        position.check(K)


def test_the_check_finds_trades_out_of_order():
    position = fold(seeded(10))
    position.trades.reverse()
    with pytest.raises(AssertionError, match="order"):
        position.check(K)
