"""Trades end in one state, to the last bit, whatever their order, repeats and batches."""

import random

from hypothesis import given
from hypothesis import strategies as st

from riskengine.records.types import Trade
from riskengine.snapshot.digest import digest
from tests.histories import MARKS, assert_same, engine_after, histories
from tests.world import DESKS, NOON, SECOND, House, cancel, trade

DELIVERIES = 1_000


@given(histories(), st.data())
def test_any_order_with_repeats_ends_in_the_same_bits(trades, data):
    repeats = data.draw(st.lists(st.sampled_from(trades), max_size=5))
    shuffled = data.draw(st.permutations([*trades, *repeats]))
    assert_same(engine_after(shuffled, publish_each=True).snapshot, engine_after(trades, publish_each=False).snapshot)


@given(histories())
def test_publishing_after_every_trade_ends_where_publishing_once_does(trades):
    assert_same(engine_after(trades, publish_each=True).snapshot, engine_after(trades, publish_each=False).snapshot)


@given(histories())
def test_one_batch_ends_where_one_by_one_does(trades):
    at_once = House()
    at_once.marks(**MARKS)
    at_once.deal(*trades)
    assert_same(at_once.engine.snapshot, engine_after(trades, publish_each=True).snapshot)


def test_trades_before_prices_or_after_give_the_same_numbers():
    first, last = House(), House()
    flow = [trade(f"t{n}", ts=NOON + n, instrument=symbol, quantity="7") for n, symbol in enumerate(MARKS)]
    first.deal(*flow)
    first.marks(**MARKS)
    last.marks(**MARKS)
    last.deal(*flow)
    assert_same(first.engine.snapshot, last.engine.snapshot)


def test_a_thousand_deliveries_of_one_day_end_in_one_digest():
    """Shuffled, a third of it twice, in batches of any size, published at any time."""
    seeded = random.Random(20261121)
    day: list[Trade] = []
    for place in range(24):
        for version in range(1, seeded.choice((1, 1, 2, 3)) + 1):
            if version > 1 and seeded.random() < 0.3:
                day.append(cancel(f"d{place}", version))
            else:
                day.append(
                    trade(
                        f"d{place}",
                        version=version,
                        action="amend" if version > 1 else "new",
                        ts=NOON + seeded.randrange(30) * SECOND,
                        instrument=seeded.choice(list(MARKS)),
                        desk=seeded.choice(DESKS),
                        dealer=seeded.choice(("", "ann", "bob")),
                        side=seeded.choice(("buy", "sell")),
                        quantity=str(seeded.randint(1, 9)),
                        price=f"1.{seeded.randint(0, 999):03}",
                    )
                )
    digests = set()
    for _ in range(DELIVERIES):
        several = [*day, *seeded.sample(day, len(day) // 3)]
        seeded.shuffle(several)
        house = House()
        while several:
            size = seeded.randint(1, 20)
            house.engine.apply(several[:size], NOON)
            if seeded.random() < 0.3:
                house.engine.publish(NOON)
            del several[:size]
        house.engine.publish(NOON)
        digests.add(digest(house.engine.snapshot))
    assert len(digests) == 1
