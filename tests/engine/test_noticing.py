"""What is noticed of trades that count: by the marks of the moment, once, and as long as their version stands."""

from typing import Any

import msgspec
import pytest

from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.intake.side_writes import notice_of
from riskengine.records.types import Trade
from riskengine.snapshot.snapshot import ExceptionItem
from tests.world import NOON, REFERENCE, SECOND, House, cancel, trade

MINUTE = 60 * SECOND


def noticed(house: House, *trades: Trade) -> dict[str, list[str]]:
    """The trades of each kind that are listed after these came."""
    house.engine.apply(trades, house.now, notice=True)
    return listed(house.engine, house.now)


def listed(engine: Engine, now: int = NOON) -> dict[str, list[str]]:
    exceptions = engine.publish(now).exceptions
    kinds = {kind: exceptions.get(kind, ()) for kind in ("late", "off_market", "possible_duplicate")}
    return {kind: [item.trade.trade_id for item in items if item.trade is not None] for kind, items in kinds.items() if items}


@pytest.fixture
def house() -> House:
    """EURUSD is marked at 1.1, at noon."""
    made = House(settings=Config())
    made.marks(EURUSD=1.1, ACME=100.0)
    return made


def test_a_trade_far_from_the_mark_of_its_time_counts_and_is_listed(house: House) -> None:
    trades = [trade("near", price="1.103"), trade("far", price="1.104"), trade("below", price="1.09", side="sell")]
    assert noticed(house, *trades) == {"off_market": ["far", "below"]}
    assert house.position()["trade_count"] == 3
    far = house.engine.snapshot.exceptions["off_market"][0]
    assert "+0.36% from the mark 1.1" in far.reason
    assert (far.ts, far.detail["mark"], far.detail["limit"]) == (NOON, 1.1, 0.003)


@pytest.mark.parametrize(
    ("columns", "is_listed"),
    [
        ({"ts": NOON - MINUTE}, True),
        ({"ts": NOON - MINUTE - 1}, False),
        ({"ts": NOON + MINUTE}, True),
        ({"instrument": "GBPUSD"}, False),
        ({"contra_amount": "110", "price": "1.2"}, False),
        ({"instrument": "ACME", "desk": "EQ1", "price": "103"}, False),
        ({"instrument": "ACME", "desk": "EQ1", "price": "103.1"}, True),
    ],
)
def test_it_is_judged_by_the_cash_of_its_kind_and_only_where_the_mark_of_its_time_is_known(
    house: House, columns: dict[str, Any], is_listed: bool
) -> None:
    assert ("off_market" in noticed(house, trade("a", **({"price": "1.2"} | columns)))) is is_listed


def test_trades_that_come_from_the_store_again_are_not_judged(house: House) -> None:
    house.engine.apply([trade("far", price="1.2"), trade("x", source="other")], NOON)
    assert listed(house.engine) == {}
    assert house.engine.take_noticed()[0] == []


def test_equal_trades_of_two_sources_count_both_and_the_later_one_is_listed(house: House) -> None:
    twin = trade("b", source="venue", source_seq=7)
    assert noticed(house, trade("a", source="bank"), twin) == {"possible_duplicate": ["b"]}
    assert house.position()["trade_count"] == 2
    [item] = house.engine.snapshot.exceptions["possible_duplicate"]
    assert item.detail == {"other": {"source": "bank", "trade_id": "a", "leg": 0, "version": 1}}


@pytest.mark.parametrize(
    "other",
    [
        {"source": "test"},
        {"ts": NOON + 1},
        {"price": "1.1001"},
        {"dealer": "bob"},
        {"desk": "FX2"},
        {"side": "sell"},
        {"fees": "1"},
    ],
)
def test_trades_that_differ_or_are_of_one_source_are_no_duplicates(house: House, other: dict[str, Any]) -> None:
    assert noticed(house, trade("a"), trade("b", **({"source": "venue"} | other))) == {}


def test_a_trade_among_newer_ones_is_compared_with_those_of_its_time(house: House) -> None:
    newer = [trade(f"n{number}", ts=NOON + number) for number in range(1, 9)]
    assert noticed(house, trade("a"), *newer, trade("b", source="venue")) == {"possible_duplicate": ["b"]}


def test_a_notice_ends_once_its_version_does_not_stand(house: House) -> None:
    assert noticed(house, trade("far", price="1.2"), trade("gone", price="1.2")) == {"off_market": ["far", "gone"]}
    assert noticed(house, cancel("gone")) == {"off_market": ["far"]}
    assert noticed(house, trade("far", price="1.1", version=2, action="amend")) == {}


def stored(items: list[ExceptionItem]) -> list[ExceptionItem]:
    """What a store gives back of notices."""
    rows = [(notice_of(item), item.trade) for item in items]
    return [ExceptionItem(n.id, n.kind, n.ts, n.reason, one, msgspec.json.decode(n.detail)) for n, one in rows]


def test_an_engine_that_starts_again_lists_what_was_noticed_then(house: House) -> None:
    trades = [
        trade("far", price="1.2"),
        trade("b", source="venue", price="1.2"),
        trade("late", ts=NOON - 30 * SECOND, price="1.1"),
    ]
    noticed(house, *trades)
    before = dict(house.engine.snapshot.exceptions)
    again = Engine(REFERENCE, Config(), now=NOON + MINUTE)
    again.apply(trades, NOON + MINUTE, noticed=True)
    again.recall_notices(stored(house.engine.take_noticed()[0]), late=1)
    after = again.publish(NOON + MINUTE).exceptions
    for kind in ("off_market", "possible_duplicate", "late"):
        assert after[kind] == before[kind] != ()
    assert again.snapshot.counts.late == 1
    assert again.take_noticed() == ([], 0), "it is stored already"
