"""Snapshots: readers get one consistent, immutable cut while the writer goes on; the history keeps the newest."""

import random
import threading
import time
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

from riskengine.engine.engine import Engine
from riskengine.records.types import CASH_ONE, ONE, Trade
from riskengine.snapshot.snapshot import OwnerState, SeqGone, Snapshot, SnapshotHistory, SnapshotNotYet
from riskengine.valuation.number_pages import ADDITIVE, FEES, GROSS, REALISED, STALE, TOTAL, UNPRICED
from tests import world
from tests.world import DESKS, NOON, REFERENCE, SECOND, House, cancel, trade

HIERARCHY = REFERENCE.hierarchy
SYMBOLS = ("EURUSD", "EURGBP", "USDJPY", "ACME", "ESZ6", "BTCEUR", "GHOST", "MAREL")
MIDS = {"EURUSD": 1.1, "EURGBP": 0.85, "GBPUSD": 1.3, "USDJPY": 150.0, "ACME": 90.0, "ESZ6": 5000.0, "BTCEUR": 60000.0}


# Torn reads


def flow(seed: int) -> Iterator[Trade]:
    """Endless trades; every fifth is then amended to another desk or cancelled."""
    dice, number = random.Random(seed), 0
    while True:
        number += 1
        columns: dict[str, Any] = {
            "ts": NOON + number + dice.choice([0, 0, -8 * SECOND]),
            "desk": dice.choice(DESKS),
            "dealer": dice.choice("abcde"),
            "instrument": dice.choice(SYMBOLS),
            "side": dice.choice(["buy", "sell"]),
            "quantity": str(dice.randrange(1, 999)),
            "price": f"{dice.uniform(0.5, 200):.6f}",
        }
        yield trade(f"t{number}", **columns)
        if number % 5 == 0:
            moved = columns | {"desk": dice.choice(DESKS), "action": "amend", "version": 2}
            yield cancel(f"t{number}") if number % 2 else trade(f"t{number}", **moved)


def write(house: House, stop: threading.Event, failures: list[str]) -> None:
    """Apply trades one by one and in batches, with a beat now and then, and publish all of it."""
    dice, trades = random.Random(4), flow(8)
    try:
        while not stop.is_set():
            batch = [next(trades) for _ in range(dice.choice([1, 1, 4]))]
            house.deal(*batch)
            if dice.random() < 0.3:
                house.now += 1_000
                house.marks(**{symbol: round(mid * dice.uniform(0.9, 1.1), 6) for symbol, mid in MIDS.items()})
    except Exception as error:  # reported by the test's own thread
        failures.append(repr(error))


def read(house: House, stop: threading.Event, failures: list[str], seen: list[int]) -> None:
    try:
        while not stop.is_set():
            snapshot = house.engine.snapshot
            seen.append(snapshot.seq)
            assert_adds_up(snapshot)
    except Exception as error:
        failures.append(repr(error))


def sums(states: list[OwnerState]) -> dict[int, tuple[int, int, int]]:
    """Quantity, net cash and trades by instrument."""
    found: dict[int, tuple[int, int, int]] = {}
    for state in states:
        for row in state.positions():
            quantity, cash, count = found.get(row.instrument, (0, 0, 0))
            found[row.instrument] = (quantity + row.quantity, cash + row.cash, count + row.trade_count)
    return found


def assert_adds_up(snapshot: Snapshot) -> None:
    """Assert that in this snapshot every parent is the sum of its children, and every leaf's numbers follow from its rows."""
    nodes = snapshot.nodes
    for owner in range(nodes.size):
        children = range(*HIERARCHY.children[owner])
        if children:
            assert sums([nodes.state(owner)]) == sums([nodes.state(child) for child in children])
            allowed = 1e-9 * (nodes.measures(owner)[GROSS] + held_cash(snapshot, owner)) + 1e-9
            difference = nodes.measures(owner) - sum(nodes.measures(child) for child in children)
            assert np.abs(difference[:ADDITIVE]).max() <= allowed
        else:
            expected, allowed = total_of(snapshot, owner)
            assert abs(nodes.measures(owner)[TOTAL] - expected) <= allowed


def held_cash(snapshot: Snapshot, owner: int) -> float:
    rate = snapshot.units.rate
    return sum(abs(row.cash) / CASH_ONE * float(rate[row.instrument]) for row in snapshot.nodes.state(owner).positions())


def total_of(snapshot: Snapshot, owner: int) -> tuple[float, float]:
    """The total of a leaf, from its rows and the unit values of the same snapshot, and the rounding error to allow."""
    total, size, units = 0.0, 0.0, snapshot.units
    for row in snapshot.nodes.state(owner).positions():
        number = row.instrument
        if units.rated[number] and (units.priced[number] or not row.quantity):
            cash = row.cash / CASH_ONE * float(units.rate[number])
            value = row.quantity / ONE * float(units.value[number])
            total += cash + value
            size += abs(cash) + abs(value)
    return total, 1e-9 * size + 1e-9


def test_in_every_snapshot_read_while_the_writer_goes_on_every_parent_is_the_sum_of_its_children():
    house, stop = House(), threading.Event()
    failures: list[str] = []
    seen: list[list[int]] = [[], [], []]
    threads = [threading.Thread(target=read, args=(house, stop, failures, mine)) for mine in seen]
    threads.append(threading.Thread(target=write, args=(house, stop, failures)))
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while not failures and time.monotonic() < began + 30.0:  # two seconds, longer where a busy machine starves a thread
        time.sleep(0.05)
        if time.monotonic() > began + 2.0 and house.engine.snapshot.seq > 50 and min(len(set(mine)) for mine in seen) > 10:
            break
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert house.engine.snapshot.seq > 50
    for mine in seen:
        assert len(set(mine)) > 10
        assert mine == sorted(mine)
    house.engine.check()


# Immutable, shared


@pytest.fixture
def house() -> House:
    house = House()
    house.marks(**MIDS)
    house.deal(trade())
    return house


@pytest.mark.parametrize("path", ["price", "priced", "value", "rate", "rated", "mark_ts", "stale_mark", "stale_rate"])
def test_unit_values_are_read_only(house, path):
    with pytest.raises(ValueError, match="read-only"):
        getattr(house.engine.snapshot.units, path)[0] = 1


@pytest.mark.parametrize("path", ["value", "known", "stale"])
def test_rates_are_read_only(house, path):
    with pytest.raises(ValueError, match="read-only"):
        getattr(house.engine.snapshot.rates, path)[0] = 1


@pytest.mark.parametrize("table", ["nodes", "dealers"])
def test_numbers_are_read_only(house, table):
    for event in (lambda: house.marks(EURUSD=1.2), lambda: house.deal(trade("t2", dealer="bob"))):
        event()
        for page in attrgetter(table)(house.engine.snapshot).numbers:
            assert not page.flags.writeable


def test_rows_are_frozen(house):
    [row] = house.engine.snapshot.nodes.state(0).positions()
    with pytest.raises(AttributeError, match="immutable"):
        row.quantity = 1


def test_an_earlier_snapshot_does_not_change(house):
    before = house.engine.snapshot
    numbers, rows = before.nodes.measures(0).tolist(), list(before.nodes.state(0).positions())
    house.deal(trade("t2", fees="3"), cancel())
    house.marks(EURUSD=2.0)
    assert (before.nodes.measures(0).tolist(), list(before.nodes.state(0).positions())) == (numbers, rows)


def test_a_trade_shares_everything_it_did_not_touch(house):
    before = house.engine.snapshot
    house.deal(trade("t2", desk="FX1"))
    after = house.engine.snapshot
    desk = HIERARCHY.index["EQ1"]
    assert after.nodes.state(desk) is before.nodes.state(desk)
    assert after.units is before.units
    assert after.exceptions is before.exceptions


def test_a_beat_shares_all_positions(house):
    before = house.engine.snapshot
    after = house.marks(EURUSD=1.2)
    assert after.nodes.states is before.nodes.states
    assert after.dealers.states is before.dealers.states


def test_open_instruments_are_those_with_an_open_position_below(house):
    house.deal(trade("t2", instrument="ACME"), trade("t3", instrument="ACME", side="sell"), trade("t4", instrument="ESZ6"))
    numbers = house.engine.snapshot.nodes.state(0).open_instruments()
    assert {REFERENCE.symbols[number] for number in numbers} == {"EURUSD", "ESZ6"}


def test_a_row_is_found_by_owner_and_instrument(house):
    nodes = house.engine.snapshot.nodes
    found = nodes.row(HIERARCHY.index["FX1"], REFERENCE.instrument_index["EURUSD"])
    assert found is not None
    assert found.quantity == 100 * ONE
    assert nodes.row(HIERARCHY.index["EQ1"], REFERENCE.instrument_index["EURUSD"]) is None


@pytest.mark.parametrize("measure", [TOTAL, REALISED, FEES, UNPRICED, STALE, GROSS])
def test_a_node_nobody_trades_at_has_zeros(house, measure):
    assert house.engine.snapshot.nodes.measures(HIERARCHY.index["EQ1"])[measure] == 0.0


# The last moments


def history(count: int, keep_us: int = 2 * SECOND, step: int = SECOND // 2) -> tuple[SnapshotHistory, Engine]:
    """Snapshots 1 to `count`, half a second apart."""
    engine = Engine(world.REFERENCE, now=NOON)
    kept = SnapshotHistory(engine.snapshot, keep_us)
    for place in range(1, count):
        kept.publish(engine.publish(NOON + place * step))
    return kept, engine


def test_the_newest_is_the_last_published():
    kept, engine = history(3)
    assert kept.newest is engine.snapshot


def test_snapshots_of_the_last_moments_are_found_by_number():
    kept, _ = history(10)
    assert [kept.at(seq).seq for seq in range(6, 11)] == [6, 7, 8, 9, 10]


def test_a_clock_that_steps_back_does_not_make_it_keep_everything():
    kept, engine = history(10)
    for place in range(50):
        kept.publish(engine.publish(NOON - 3600 * SECOND + place * SECOND // 2))
    with pytest.raises(SeqGone):
        kept.at(11)
    assert kept.at(58).seq == 58


@pytest.mark.parametrize("seq", [0, 1, 5])
def test_an_older_one_is_gone(seq):
    kept, _ = history(10)
    with pytest.raises(SeqGone, match="no longer kept"):
        kept.at(seq)


def test_one_that_was_the_newest_within_the_time_is_found_however_old_it_is():
    kept, engine = history(1)
    kept.publish(engine.publish(NOON + 3600 * SECOND))
    kept.publish(engine.publish(NOON + 3602 * SECOND - 1))
    assert [kept.at(seq).seq for seq in (1, 2)] == [1, 2]
    kept.publish(engine.publish(NOON + 3602 * SECOND))
    with pytest.raises(SeqGone):
        kept.at(1)


def test_a_later_one_is_not_yet_there():
    kept, _ = history(10)
    with pytest.raises(SnapshotNotYet, match="not published yet"):
        kept.at(11)


def test_the_newest_is_kept_however_old():
    kept, engine = history(1)
    kept.publish(engine.publish(NOON + 3600 * SECOND))
    assert kept.at(2) is kept.newest


def test_a_number_left_out_is_our_mistake():
    kept, engine = history(1)
    engine.publish(NOON)
    with pytest.raises(AssertionError, match="in order"):
        kept.publish(engine.publish(NOON))
