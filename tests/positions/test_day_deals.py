"""What was bought and sold in the trading day, against a naive model: every version of every trade, from scratch each time."""

import datetime as dt
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.positions import batches
from riskengine.positions.day_deals import DayDeals, DealsSoFar
from riskengine.positions.day_window import DayWindow
from riskengine.records.types import Trade
from riskengine.snapshot.rows import ladder_rows
from riskengine.snapshot.snapshot import Snapshot
from tests import rolling
from tests.world import DESKS, PARENTS, REFERENCE, House, cancel, trade

SECOND = 1_000_000
FIELDS = ("bought_quantity", "bought_price", "sold_quantity", "sold_price")
TODAY, TOMORROW = "2026-03-03", "2026-03-04"


def at(day: int, hour: int = 12) -> int:
    """A moment of a business week in March 2026 (2 is a Monday), UTC; days end at 22:00."""
    return int(dt.datetime(2026, 3, day, hour, tzinfo=dt.UTC).timestamp()) * SECOND


def house_of_today() -> House:
    """An engine in the trading day of 3 March."""
    house = House(now=at(3))
    house.marks(EURUSD=1.1, GBPUSD=1.3)
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-02", {"EURUSD": 1.1, "GBPUSD": 1.3}))
    return house


def shown(snapshot: Snapshot, node: str | None = None, dealer: str | None = None) -> dict[str, tuple[Any, ...]]:
    """Bought and sold by instrument, exact, of what has a row."""
    return {
        row["instrument"]: tuple(None if row[field] is None else Fraction(row[field]) for field in FIELDS)
        for row in ladder_rows(snapshot, node=node, dealer=dealer, exact=True)
    }


def test_bought_and_sold_have_their_sizes_and_averages():
    house = house_of_today()
    house.deal(
        trade("a", ts=at(3), quantity="100", price="1.10"),
        trade("b", ts=at(3), quantity="300", price="1.14"),
        trade("c", ts=at(3), side="sell", quantity="50", price="1.20", desk="FX2", dealer="bob"),
    )
    [desk], [top] = ladder_rows(house.engine.snapshot, node="FX1"), ladder_rows(house.engine.snapshot)
    assert [desk[field] for field in FIELDS] == [400.0, pytest.approx(1.13), 0.0, None]
    assert [top[field] for field in FIELDS] == [400.0, pytest.approx(1.13), 50.0, pytest.approx(1.20)]
    [bob] = ladder_rows(house.engine.snapshot, dealer="bob")
    assert [bob[field] for field in FIELDS] == [0.0, None, 50.0, pytest.approx(1.20)]


def test_while_no_day_is_known_nothing_is_claimed():
    house = House(now=at(3))
    house.deal(trade(ts=at(3)))
    assert [house.position()[field] for field in FIELDS] == [None] * 4


def test_a_snapshot_of_a_moment_ago_has_what_was_dealt_until_then():
    house = house_of_today()
    house.deal(trade("a", ts=at(3), quantity="100", price="1"))
    before = house.engine.snapshot
    house.deal(trade("b", ts=at(3), quantity="200", price="2"), cancel("a", ts=at(3)))
    assert shown(house.engine.snapshot)["EURUSD"][:2] == (200, 2)
    assert shown(before)["EURUSD"][:2] == (100, 1)


def test_a_position_that_was_repaired_has_the_deals_that_the_store_holds():
    house = house_of_today()
    house.deal(trade("a", ts=at(3), quantity="100", price="1"), trade("b", ts=at(3), quantity="10", price="1", dealer="bob"))
    house.engine.repair([("node", "FX1", "EURUSD")], [trade("a", ts=at(3), quantity="70", price="1")], house.now)
    house.engine.publish(house.now)
    assert shown(house.engine.snapshot, node="FX1")["EURUSD"][0] == 70


def test_trades_that_belong_to_the_next_day_are_its_deals_from_the_roll_on():
    house = house_of_today()
    house.deal(
        trade("early", ts=at(3, 23), quantity="5", price="1"),
        trade("dated", ts=at(3), quantity="7", price="1", trade_date=TOMORROW),
        trade("today", ts=at(3), quantity="11", price="1"),
    )
    assert shown(house.engine.snapshot)["EURUSD"][0] == 11
    rolling.begin(house.engine, rolling.strike(house.engine, TODAY, {"EURUSD": 1.1, "GBPUSD": 1.3}))
    assert shown(house.engine.snapshot)["EURUSD"][0] == 5, "what is dated ahead waits for its day to be released"


# -- the naive model ----------------------------------------------------------------------------------------------

Versions = Mapping[str, Mapping[int, Trade]]


def naive(versions: Versions, date: str, leaves: Iterable[str] | None, dealer: str | None) -> dict[str, list[Fraction]]:
    """Bought, paid, sold, received by instrument: of the highest version of each trade, if it is no cancel and of that day."""
    found: dict[str, list[Fraction]] = {}
    for known in versions.values():
        newest = known[max(known)]
        is_here = newest.dealer == dealer if leaves is None else newest.desk in leaves
        if newest.action == "cancel" or not is_here or day_of(newest) != date:
            continue
        sums = found.setdefault(newest.instrument, [Fraction(0)] * 4)
        place = 0 if newest.side == "buy" else 2
        sums[place] += Fraction(newest.quantity, 10**10)
        sums[place + 1] += Fraction(newest.quantity, 10**10) * Fraction(newest.price, 10**10)
    return found


def day_of(one: Trade) -> str:
    if one.trade_date:
        return one.trade_date
    return TODAY if at(2, 22) <= one.ts < at(3, 22) else TOMORROW if at(3, 22) <= one.ts < at(4, 22) else "another"


def leaves_below(node: str) -> set[str]:
    """The desks at and below a node, by the parents alone."""

    def path(name: str) -> list[str]:
        parent = PARENTS.get(name)
        return [name] if not parent else [name, *path(parent)]

    return {desk for desk in DESKS if node in path(desk)}


def agrees(snapshot: Snapshot, versions: Versions, date: str) -> None:
    for owner in ({"node": "ALL"}, {"node": "FX"}, {"node": "FX1"}, {"dealer": "ann"}, {"dealer": "bob"}):
        if "dealer" in owner and owner["dealer"] not in snapshot.dealer_names:
            continue
        leaves = leaves_below(owner["node"]) if "node" in owner else None
        expected = naive(versions, date, leaves, owner.get("dealer"))
        for instrument, (bought, bought_price, sold, sold_price) in shown(snapshot, **owner).items():
            sums = expected.pop(instrument, [Fraction(0)] * 4)
            assert (bought, sold) == (sums[0], sums[2]), (owner, instrument)
            for price, (size, cash) in ((bought_price, sums[:2]), (sold_price, sums[2:])):
                assert price == (Fraction(repr(float(cash / size))) if size else None), (owner, instrument)
        assert expected == {}, owner


TIMES = st.sampled_from([at(2), at(2, 21), at(2, 23), at(3, 1), at(3, 9), at(3), at(3, 23)])
SENT = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from("abcdef"),
        "version": st.integers(1, 4),
        "cancels": st.booleans() | st.just(False),
        "ts": TIMES,
        "quantity": st.sampled_from(["1", "0.01", "12.5", "1000000"]),
        "price": st.sampled_from(["1.1", "1.0000000001", "0.3333333333"]),
        "side": st.sampled_from(["buy", "sell"]),
        "desk": st.sampled_from(["FX1", "FX2", "EM1"]),
        "dealer": st.sampled_from(["ann", "bob"]),
        "instrument": st.sampled_from(["EURUSD", "GBPUSD"]),
        "trade_date": st.sampled_from(["", "", "", "2026-03-02", TODAY]),
    }
)


@pytest.mark.parametrize("group_from", [1, 2_048], ids=["by position", "one by one"])
@settings(max_examples=60, deadline=None)
@given(sent=st.lists(st.lists(SENT, max_size=4), max_size=8), rolls_after=st.integers(0, 8))
def test_the_deals_of_the_day_are_those_of_the_trades_that_count(group_from: int, sent: Any, rolls_after: int):
    house, versions, date = house_of_today(), dict[str, dict[int, Trade]](), TODAY
    with patch.object(batches, "GROUP_FROM_TRADES", group_from):
        for step, batch in enumerate(sent):
            if step == rolls_after:
                rolling.begin(house.engine, rolling.strike(house.engine, TODAY, {"EURUSD": 1.1, "GBPUSD": 1.3}))
                date = TOMORROW
            before, then = house.engine.snapshot, {name: dict(known) for name, known in versions.items()}
            made = [as_trade(**each) for each in batch]
            for one, status in zip(made, house.deal(*made), strict=True):
                if status in ("applied", "superseded", "parked"):
                    versions.setdefault(one.trade_id, {}).setdefault(one.version, one)
                else:
                    assert status in ("duplicate", "conflict"), status
            agrees(house.engine.snapshot, versions, date)
            if step != rolls_after:
                agrees(before, then, date)


def as_trade(trade_id: str, version: int, cancels: bool, **terms: Any) -> Trade:
    """Version 1 is new, later ones amend or cancel."""
    if cancels and version > 1:
        return cancel(trade_id, version=version, ts=terms["ts"])
    return trade(trade_id, version=version, action="new" if version == 1 else "amend", **terms)


# -- adding up ----------------------------------------------------------------------------------------------------


def test_deals_are_added_up_a_few_at_a_time():
    index = REFERENCE.hierarchy.index
    log = DayDeals(
        DayWindow.after(dt.date(2026, 3, 2), rolling.TRADING_DAY),
        REFERENCE.instrument_index,
        index,
        REFERENCE.hierarchy.ancestors,
    )
    log.entries += [trade(str(number), ts=at(3), quantity="1", price="1") for number in range(10)]
    so_far = DealsSoFar(log, 8)
    so_far.keep_up(3)
    assert so_far.of(index["FX1"], REFERENCE.instrument_index["EURUSD"]).bought == 8 * 10**10
