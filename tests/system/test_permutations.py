"""One final state, to the last bit, whatever the order, the repeats and the batches in which trades come."""

import random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.records.types import Trade
from riskengine.snapshot.digest import digest
from riskengine.snapshot.snapshot import Snapshot, Table
from tests.world import DESKS, NOON, REFERENCE, SECOND, House, cancel, trade

DELIVERIES = 2_000
MARKS = {"EURUSD": 1.25, "GBPUSD": 1.5, "USDJPY": 150.0, "EURGBP": 0.85, "ACME": 90.0, "ESZ6": 5000.0, "BTCEUR": 60000.0}

columns: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "ts": st.integers(0, 9).map(lambda n: NOON + n * SECOND),
        "instrument": st.sampled_from(["EURUSD", "EURGBP", "ACME", "ESZ6", "MAREL", "GHOST"]),
        "desk": st.sampled_from(DESKS),
        "dealer": st.sampled_from(["", "ann", "bob"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.integers(1, 4).map(str),
        "price": st.sampled_from(["1.1", "1.37", "2.0001"]),
        "fees": st.sampled_from(["0", "0.1"]),
    }
)


@st.composite
def histories(draw: st.DrawFn) -> list[Trade]:
    """Up to nine trades in up to three versions each, in the order of their making."""
    trades = []
    for place in range(draw(st.integers(1, 9))):
        for version in range(1, draw(st.integers(1, 3)) + 1):
            if version > 1 and draw(st.booleans()):
                trades.append(cancel(f"t{place}", version))
            else:
                trades.append(trade(f"t{place}", version=version, action="amend" if version > 1 else "new", **draw(columns)))
    return trades


def ran(trades: list[Trade], publish_each: bool) -> Engine:
    house = House()
    house.marks(**MARKS)
    for one in trades:
        house.engine.apply([one], NOON)
        if publish_each:
            house.engine.publish(NOON)
    house.engine.publish(NOON)
    house.engine.check()
    return house.engine


def owners(table: Table, names: tuple[str, ...]) -> dict[str, Any]:
    """Everything that owners hold, by name: rows, counts and the bits of their numbers."""
    found = {}
    for owner, name in enumerate(names):
        state = table.state(owner)
        if state.position_count:
            rows = {row.instrument: row for row in state.positions()}
            counts = (state.position_count, state.trade_count, state.last_trade_ts)
            found[name] = (rows, counts, table.measures(owner).tobytes())
    return found


def assert_same(one: Snapshot, other: Snapshot) -> None:
    for mine, theirs in zip(one.nodes.numbers, other.nodes.numbers, strict=True):
        assert np.array_equal(mine, theirs)
    names = REFERENCE.hierarchy.names
    assert owners(one.nodes, names) == owners(other.nodes, names)
    assert owners(one.dealers, one.dealer_names) == owners(other.dealers, other.dealer_names)
    assert (one.counts.parked, one.counts.unmatched) == (other.counts.parked, other.counts.unmatched)
    assert digest(one) == digest(other)


@given(histories(), st.data())
def test_any_order_with_repeats_ends_in_the_same_bits(trades, data):
    repeats = data.draw(st.lists(st.sampled_from(trades), max_size=5))
    shuffled = data.draw(st.permutations([*trades, *repeats]))
    assert_same(ran(shuffled, publish_each=True).snapshot, ran(trades, publish_each=False).snapshot)


@given(histories())
def test_publishing_after_every_trade_ends_where_publishing_once_does(trades):
    assert_same(ran(trades, publish_each=True).snapshot, ran(trades, publish_each=False).snapshot)


@given(histories())
def test_one_batch_ends_where_one_by_one_does(trades):
    at_once = House()
    at_once.marks(**MARKS)
    at_once.deal(*trades)
    assert_same(at_once.engine.snapshot, ran(trades, publish_each=True).snapshot)


def test_trades_before_prices_or_after_give_the_same_numbers():
    first, last = House(), House()
    flow = [trade(f"t{n}", ts=NOON + n, instrument=symbol, quantity="7") for n, symbol in enumerate(MARKS)]
    first.deal(*flow)
    first.marks(**MARKS)
    last.marks(**MARKS)
    last.deal(*flow)
    assert_same(first.engine.snapshot, last.engine.snapshot)


def test_thousands_of_deliveries_of_one_day_end_in_one_digest():
    """Shuffled, a third of it twice, in batches of any size, published at any time."""
    rng = random.Random(20261121)
    day: list[Trade] = []
    for place in range(24):
        for version in range(1, rng.choice((1, 1, 2, 3)) + 1):
            if version > 1 and rng.random() < 0.3:
                day.append(cancel(f"d{place}", version))
            else:
                day.append(
                    trade(
                        f"d{place}",
                        version=version,
                        action="amend" if version > 1 else "new",
                        ts=NOON + rng.randrange(30) * SECOND,
                        instrument=rng.choice(list(MARKS)),
                        desk=rng.choice(DESKS),
                        dealer=rng.choice(("", "ann", "bob")),
                        side=rng.choice(("buy", "sell")),
                        quantity=str(rng.randint(1, 9)),
                        price=f"1.{rng.randint(0, 999):03}",
                    )
                )
    digests = set()
    for _ in range(DELIVERIES):
        several = [*day, *rng.sample(day, len(day) // 3)]
        rng.shuffle(several)
        house = House()
        while several:
            size = rng.randint(1, 20)
            house.engine.apply(several[:size], NOON)
            if rng.random() < 0.3:
                house.engine.publish(NOON)
            del several[:size]
        house.engine.publish(NOON)
        digests.add(digest(house.engine.snapshot))
    assert len(digests) == 1
