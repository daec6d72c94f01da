"""Freezing: a base stands for the oldest trades of a position, and gives way to them to the same bit."""

import random

import pytest
from msgspec import structs

from riskengine.positions.freezing import Recalled, freeze, freeze_oldest, frozen_place, keys_covering, thaw
from riskengine.positions.ledger import Ledger
from riskengine.positions.places import leaf_keys
from riskengine.positions.position import LONG_HISTORY_TRADES, TRADES_PER_CHECKPOINT, Position
from riskengine.positions.processed import Processed
from riskengine.records.types import MULTIPLIER_DECIMALS, Trade
from tests import world
from tests.world import NOON, REFERENCE, SECOND

K = 10**MULTIPLIER_DECIMALS
TOLERANCE = 5 * SECOND


def deals(count: int, seed: int = 3) -> list[Trade]:
    """Trades of one position in order, long, short and flat, some with fees."""
    seeded = random.Random(seed)
    return [
        world.trade(
            f"t{n:05}",
            ts=NOON + n,
            side=seeded.choice(["buy", "sell"]),
            quantity=str(seeded.randrange(1, 4)),
            price=f"{seeded.uniform(1, 2):.4f}",
            fees=seeded.choice(["0", "0.25"]),
            fees_currency=seeded.choice(["USD", "EUR"]),
        )
        for n in range(count)
    ]


def fold(trades: list[Trade]) -> Position:
    position = Position()
    position.open_with([world.opening(quantity="10", average_price="1.5", realised="3", fees="1")], K, "USD")
    for trade in trades:
        position.add(trade)
    return position


def state(position: Position) -> tuple[object, ...]:
    """All that readers see."""
    return position.quantity, position.cash, position.average, position.fees, position.identities, position.trade_count


@pytest.mark.parametrize("count", [1, TRADES_PER_CHECKPOINT - 1, TRADES_PER_CHECKPOINT, 150, 199, 200])
def test_freezing_changes_nothing_that_readers_see(count):
    trades = deals(200)
    position = fold(trades)
    before = state(position)
    freeze_oldest(position, count)
    assert (state(position), position.is_frozen, len(position.trades)) == (before, True, 200 - count)
    position.check(K)


def test_a_base_grows_when_more_trades_are_frozen():
    trades = deals(200)
    position, at_once = fold(trades), fold(trades)
    for _ in range(4):
        freeze_oldest(position, 40)
        position.check(K)
    freeze_oldest(at_once, 160)
    assert position.base == at_once.base
    assert position.base is not None and (position.base.since, position.base.newest) == (trades[0].ts, trades[159])


def test_trades_after_the_base_fold_as_if_nothing_was_frozen():
    trades = deals(300)
    position = fold(trades[:200])
    freeze_oldest(position, 150)
    for trade in trades[200:]:
        position.add(trade)
    position.remove(trades[170])
    position.check(K)
    assert state(position) == state(fold(trades[:170] + trades[171:]))


def test_nothing_enters_or_leaves_behind_a_base():
    trades = deals(10)
    position = fold(trades)
    freeze_oldest(position, 5)
    for change in (position.add, position.remove):
        with pytest.raises(AssertionError, match="behind a base"):
            change(trades[2])


def test_a_long_position_that_freezing_makes_short_has_a_flat_list_again():
    position = fold(deals(LONG_HISTORY_TRADES + 10))
    freeze_oldest(position, 20)
    assert type(position.trades) is list


# A ledger and its processed identities


class Book:
    """A ledger that has taken trades, and what was processed."""

    def __init__(self, trades: list[Trade]) -> None:
        self.ledger, self.processed = Ledger(REFERENCE), Processed()
        for trade in trades:
            assert self.processed.enter(trade)
            self.ledger.add(trade, TOLERANCE)
        self.settle()

    def settle(self) -> None:
        self.ledger.organisation.settle()
        self.ledger.dealers.settle()

    def freeze(self, traded_before: int, **options) -> int:
        return freeze(self.ledger, self.processed, before=NOON + 3_600 * SECOND, traded_before=traded_before, **options)

    def states(self) -> list[tuple[object, ...]]:
        rollups = (self.ledger.organisation, self.ledger.dealers)
        return [(owner, *state(position)) for rollup in rollups for owner, _, position in rollup.positions()]


def test_what_was_frozen_comes_back_to_the_bit():
    trades = deals(100)
    book = Book(trades)
    before = book.states()
    assert book.freeze(NOON + 60) == 60
    assert (book.states(), len(book.processed), book.processed.in_memory) == (before, 100, 40)
    keys = leaf_keys(trades[7])
    assert keys_covering(book.ledger, book.processed, [trades[7]]) == list(keys)
    recalled = Recalled([[trade] for trade in trades[:60]], [(key, trades[:60]) for key in keys])
    assert thaw(book.ledger, book.processed, recalled) == []
    assert (book.states(), book.processed.in_memory) == (before, 100)
    assert keys_covering(book.ledger, book.processed, [trades[7]]) == []
    book.settle()
    book.ledger.check()


def test_keys_that_are_excepted_keep_their_trades():
    trades = deals(20)
    book = Book(trades)
    desk, dealer = leaf_keys(trades[0])
    assert book.freeze(NOON + 10, except_keys=[desk]) == 10
    assert frozen_place(book.ledger, desk) is None
    assert frozen_place(book.ledger, dealer) is not None


@pytest.mark.parametrize("spoil", ["one missing", "another price"])
def test_a_key_for_which_the_store_gives_other_trades_is_broken_and_stays_frozen(spoil):
    trades = deals(20)
    book = Book(trades)
    book.freeze(NOON + 10)
    read = trades[:9] if spoil == "one missing" else [structs.replace(trades[0], cash=trades[0].cash + 1), *trades[1:10]]
    desk, _ = leaf_keys(trades[0])
    assert thaw(book.ledger, book.processed, Recalled([], [(desk, read)])) == [desk]
    assert frozen_place(book.ledger, desk) is not None
