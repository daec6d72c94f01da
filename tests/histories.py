"""Random trading days for hypothesis, engines run over them, and two snapshots compared to the last bit."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.records.types import Trade
from riskengine.snapshot.digest import digest
from riskengine.snapshot.snapshot import Snapshot, Table
from tests.world import DESKS, NOON, REFERENCE, SECOND, House, cancel, trade

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


def engine_after(trades: list[Trade], publish_each: bool) -> Engine:
    """An engine that has taken trades one by one."""
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
    """Assert that two snapshots show the same, to the last bit."""
    for mine, theirs in zip(one.nodes.numbers, other.nodes.numbers, strict=True):
        assert np.array_equal(mine, theirs)
    names = REFERENCE.hierarchy.names
    assert owners(one.nodes, names) == owners(other.nodes, names)
    assert owners(one.dealers, one.dealer_names) == owners(other.dealers, other.dealer_names)
    assert (one.counts.parked, one.counts.unmatched) == (other.counts.parked, other.counts.unmatched)
    assert digest(one) == digest(other)
