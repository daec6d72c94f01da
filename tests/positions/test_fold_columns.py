"""Large batches are folded and settled in columns: the same bits as the same trades one by one, whatever they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from riskengine.engine import engine as engine_module
from riskengine.engine.engine import Engine
from riskengine.positions import batches, fold_columns, settle_columns
from riskengine.positions.freezing import freeze
from riskengine.positions.position import TRADES_PER_CHECKPOINT, open_cost
from riskengine.positions.settle_columns import open_costs
from riskengine.records.fingerprints import version_fingerprint, version_fingerprints
from riskengine.records.types import Opening, Trade
from riskengine.snapshot.digest import digest
from tests import world
from tests.world import NOON, SECOND

HOUR = 3_600 * SECOND


@contextmanager
def columns_for_all_batches() -> Iterator[None]:
    """No batch is too small for columns."""
    grouped, folded = patch.object(batches, "GROUP_FROM_TRADES", 1), patch.object(batches, "COLUMNS_FROM_TRADES", 1)
    with (
        grouped,
        folded,
        patch.object(engine_module, "COLUMNS_FROM_TRADES", 1),
        patch.object(settle_columns, "MAX_LISTED_POSITIONS", 0),
    ):
        yield


def position_state(position: Any) -> tuple[Any, ...]:
    average = None if position.average is None else position.average.hex()
    checkpoints = [(held, None if price is None else price.hex()) for held, price in position.checkpoints or ()]
    return (
        position.quantity,
        average,
        position.cash,
        position.fees or {},
        position.identities,
        checkpoints,
        list(position.trades),
        position.openings,
        position.base,
    )


def everything(engine: Engine) -> dict[str, Any]:
    """Everything that an engine holds and shows, in a form that compares to the bit; rows in the order of their slots."""
    engine.check()
    snapshot = engine.snapshot
    tables = (snapshot.nodes, snapshot.dealers)
    return {
        "digest": digest(snapshot),
        "counts": snapshot.counts,
        "late": [(item.id, item.reason) for item in snapshot.exceptions.get("late", ())],
        "positions": [
            {(owner, number): position_state(position) for owner, number, position in rollup.positions()}
            for rollup in (engine.ledger.organisation, engine.ledger.dealers)
        ],
        "rows": [
            {
                owner: {row.instrument: row for row in state.positions()}
                for owner, state in enumerate(state for page in table.states for state in page)
            }
            for table in tables
        ],
        "totals": [
            [(state.position_count, state.trade_count, state.last_trade_ts) for page in table.states for state in page]
            for table in tables
        ],
        "numbers": [[page.tobytes() for page in table.numbers] for table in tables],
        "processed": {trade.identity: trade for trade in engine.processed.standing_trades()},
        "parked": engine.processed.parked,
        "inert": engine.processed.inert,
        "versions": len(engine.processed),
    }


def apply_batches(*parts: list[Trade]) -> tuple[dict[str, Any], list[Any]]:
    house = world.House(now=NOON)
    house.marks(EURUSD=1.25, USDJPY=150.0, ACME=10.0)
    outcomes = []
    for batch in parts:
        outcomes += house.engine.apply(batch, NOON)
    house.engine.publish(NOON, at_once=True)
    return everything(house.engine), outcomes


def assert_the_same(trades: list[Trade], *, parts: int = 1) -> None:
    expected = apply_batches(*([trade] for trade in trades))
    size = -(-len(trades) // parts)
    with columns_for_all_batches():
        found = apply_batches(*(trades[first : first + size] for first in range(0, len(trades), size)))
    assert found[1] == expected[1]
    for what, value in expected[0].items():
        assert found[0][what] == value, what


QUANTITIES = st.one_of(
    st.integers(1, 1_000).map(str),
    st.decimals(min_value="0.01", max_value="100000000000000", places=2).map(str),
    st.sampled_from(["900719925474.09", "90071992547409.93", "999999999999999.99", "1"]),
)
PRICES = st.one_of(
    st.decimals(min_value="0.0000000001", max_value="1000000", places=10).map(str), st.sampled_from(["1", "1.1", "0.1", "3"])
)
SYMBOLS = st.sampled_from(["EURUSD", "EURUSD", "USDJPY", "ACME", "ESZ6", "BTCEUR", "MAREL", "GHOST"])


@st.composite
def histories(draw: st.DrawFn) -> list[Trade]:
    """Deals in any order of time, with later versions of them, cancels before and after, and the same again."""
    sent: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 40))):
        symbol = draw(SYMBOLS)
        whole = symbol in ("ACME", "ESZ6")
        columns = {
            "instrument": symbol,
            "desk": draw(st.sampled_from(["FX1", "FX1", "FX2", "EQ1"])),
            "dealer": draw(st.sampled_from(["ann", "bob"])),
            "side": draw(st.sampled_from(["buy", "sell"])),
            "quantity": str(draw(st.integers(1, 50))) if whole else draw(QUANTITIES),
            "price": draw(PRICES),
            "ts": NOON + draw(st.one_of(st.just(number), st.integers(-10, 10).map(lambda s: s * SECOND))),
            "source_seq": draw(st.sampled_from([0, 0, number])),
        }
        if draw(st.booleans()):
            columns["fees"] = draw(st.sampled_from(["1.5", "-1.5", "0.25"]))
            columns["fees_currency"] = draw(st.sampled_from(["USD", "EUR", "ISK"]))
        sent.append(world.row(f"t{number}", source=draw(st.sampled_from(["a", "b"])), **columns))
    new = list(sent)
    for _ in range(draw(st.integers(0, 8))):
        deal = draw(st.sampled_from(new))
        kind = draw(st.sampled_from(["cancel", "amend", "again", "other", "leg"]))
        version = draw(st.integers(2, 3))
        later = {
            "cancel": {"source": deal["source"], "trade_id": deal["trade_id"], "version": version, "action": "cancel"},
            "amend": deal | {"version": version, "action": "amend", "price": "2.5", "desk": draw(st.sampled_from(world.DESKS))},
            "again": deal,
            "other": deal | {"price": "2.25"},
            "leg": deal | {"leg": 1} | ({"legs": 2} if draw(st.booleans()) else {}),
        }[kind]
        sent.insert(draw(st.integers(0, len(sent))), later)
    return [world.check_row(row, NOON) for row in sent]


@given(histories(), st.integers(1, 3))
def test_any_mix_of_trades_gives_the_state_that_it_gives_one_by_one(trades: list[Trade], parts: int) -> None:
    assert_the_same(trades, parts=parts)


@st.composite
def openings(draw: st.DrawFn) -> list[Opening]:
    """A balance of some desks."""
    found = []
    for desk in draw(st.sets(st.sampled_from(["FX1", "FX2"]))):
        quantity = draw(st.sampled_from(["0", "100", "-7.25", "0.01", "900719925474.09"]))
        columns: dict[str, Any] = {"average_price": "1.1"} if quantity != "0" else {}
        fees = draw(st.sampled_from(["0", "1.5", "-3"]))
        found.append(world.opening(desk=desk, quantity=quantity, realised="12.5", fees=fees, **columns))
    return found


def go_on(earlier: list[Trade], balances: list[Opening], later: list[list[Trade]], *, is_frozen: bool) -> dict[str, Any]:
    """Take balances and earlier trades one by one, freeze some, then the later batches."""
    house = world.House(now=NOON)
    house.marks(EURUSD=1.25, USDJPY=150.0, ACME=10.0)
    house.engine.open_with(balances)
    for trade in earlier:
        house.engine.apply([trade], NOON)
    house.engine.publish(NOON)
    if is_frozen:
        freeze(house.engine.ledger, house.engine.processed, before=NOON, traded_before=NOON - HOUR)
    for batch in later:
        house.engine.apply(batch, NOON)
    house.engine.publish(NOON)
    return everything(house.engine)


@given(histories(), openings(), histories(), st.booleans())
def test_what_a_position_held_before_goes_on_to_the_state_of_one_by_one(
    former: list[Trade], balances: list[Opening], later: list[Trade], is_frozen: bool
) -> None:
    """Restored sums, balances, trades in memory, positions that are flat: columns continue from each."""
    earlier = [msgspec.structs.replace(each, source=f"old-{each.source}", ts=each.ts - HOUR, received_ts=0) for each in former]
    expected = go_on(earlier, balances, [[trade] for trade in later], is_frozen=is_frozen)
    with columns_for_all_batches():
        found = go_on(earlier, balances, [later], is_frozen=is_frozen)
    for what, value in expected.items():
        assert found[what] == value, what


def deals(count: int, **columns: Any) -> list[Trade]:
    return [
        world.trade(f"t{n}", ts=NOON + n, side="sell" if n % 3 else "buy", quantity=str(n % 7 + 1), price=f"1.{n:04}", **columns)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    "count", [TRADES_PER_CHECKPOINT - 1, TRADES_PER_CHECKPOINT, 3 * TRADES_PER_CHECKPOINT + 1, fold_columns.MAX_TRADES + 1]
)
def test_long_histories_keep_their_checkpoints(count: int) -> None:
    assert_the_same(deals(count))


def test_a_position_with_late_and_with_amended_trades() -> None:
    late = [*deals(20), world.trade("late", ts=NOON - 60 * SECOND), world.cancel("t3"), *deals(25)[20:]]
    assert_the_same(late)


def test_a_position_that_is_flat_in_between_and_at_the_end() -> None:
    sides = ("buy", "sell", "sell", "buy", "buy", "sell")
    assert_the_same([world.trade(f"t{n}", ts=NOON + n, side=side, quantity="3", price=f"1.{n}") for n, side in enumerate(sides)])


def test_quantities_beyond_doubles_are_folded_exactly() -> None:
    quantities = ("90071992547409.93", "0.01", "900719925474099.31", "999999999999999.89", "0.03")
    assert_the_same([world.trade(f"t{n}", ts=NOON + n, quantity=each, price="1.1") for n, each in enumerate(quantities)])


def test_trades_of_one_time_are_ordered_by_name_however_they_come() -> None:
    assert_the_same([world.trade(name, quantity=str(n + 1), price=f"1.{n}") for n, name in enumerate("qawsedrft")])


def test_ordinary_positions_are_folded_in_columns_and_others_are_not() -> None:
    """Without this, the tests above might compare folding one by one with itself."""
    ordinary, huge = deals(5), world.trade("x", instrument="USDJPY", quantity="900719925474099.17")
    put: list[bool] = []

    def noted(*arguments: Any) -> bool:
        put.append(fold_columns.put_position(*arguments))
        return put[-1]

    with columns_for_all_batches(), patch.object(batches, "put_position", noted):
        apply_batches([*ordinary, huge])
    assert sorted(put) == [False, False, True, True]


@pytest.mark.parametrize("is_frozen", [False, True])
def test_positions_that_hold_something_go_on_in_columns(is_frozen: bool) -> None:
    before = [msgspec.structs.replace(trade, ts=trade.ts - HOUR, received_ts=NOON - HOUR) for trade in deals(70)]
    after = [msgspec.structs.replace(trade, source="later") for trade in deals(200, fees="0.5", fees_currency="USD")]
    expected = go_on(before, [world.opening()], [[trade] for trade in after], is_frozen=is_frozen)
    put: list[bool] = []

    def noted(*arguments: Any) -> bool:
        put.append(fold_columns.put_position(*arguments))
        return put[-1]

    with columns_for_all_batches(), patch.object(batches, "put_position", noted):
        found = go_on(before, [world.opening()], [after], is_frozen=is_frozen)
    assert put[-2:] == [True, True]
    assert found["positions"] == expected["positions"]


# -- the parts ---------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.floats(-1e20, 1e20), st.floats(-1e7, 1e7), st.sampled_from([1e6, -1e9, 1e12, 1e15, 0.5, 1.5, 0.0]))))
@example([999_999.999_999_999_9, 2.5e-9, 3.5e-9, 1e6 - 1e-10])
def test_open_costs_in_columns_are_those_of_one(costs: list[float]) -> None:
    assert open_costs(np.array(costs)) == [open_cost(cost) for cost in costs]


@given(st.lists(st.tuples(st.text(), st.text(), st.integers(0, 2**62), st.integers(1, 2**62))))
def test_fingerprints_in_columns_are_those_of_one(versions: list[tuple[str, str, int, int]]) -> None:
    sources, trade_ids, legs, numbers = ([each[at] for each in versions] for at in range(4))
    found = version_fingerprints(sources, trade_ids, legs, numbers)  # type: ignore[arg-type]
    assert found == [version_fingerprint(*each) for each in versions]
