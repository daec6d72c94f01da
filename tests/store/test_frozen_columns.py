"""Packed positions and fingerprints are read back as they were, whatever the numbers; a damaged chunk is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.records.close_state import FrozenPosition
from riskengine.records.types import ONE, Trade
from riskengine.store.tables.frozen_columns import pack_frozen, pack_ids, unpack_frozen, unpack_ids

wide = st.integers(-(2**300), 2**300) | st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
texts = st.sampled_from(["", "ann", "bob ü", "FX1"]) | st.text(max_size=5)
trades = st.builds(
    Trade,
    source=texts,
    trade_id=texts,
    leg=st.integers(0, 3),
    ts=st.integers(0, 2**60),
    quantity=wide,
    price=wide,
    cash=wide,
    booked_ts=st.none() | st.integers(0, 2**60),
    contra_amount=st.none() | wide,
    fill_price=st.floats(allow_nan=False),
)
positions = st.builds(
    FrozenPosition,
    owner=texts,
    instrument=texts,
    quantity=wide,
    cash=wide,
    average=st.none() | st.floats(allow_nan=False),
    identities=wide,
    fees=st.dictionaries(st.sampled_from(["USD", "EUR"]), wide, max_size=2),
    newest=trades,
    trade_count=st.integers(1, 2**40),
    since=st.integers(0, 2**60),
    stood=st.lists(st.tuples(st.integers(0, 2**60), wide, wide, st.none() | st.floats(allow_nan=False)), max_size=3).map(tuple),
)


@settings(max_examples=25)
@given(st.lists(positions, min_size=1, max_size=12))
def test_positions_are_read_back_as_they_were(given: list[FrozenPosition]) -> None:
    read = unpack_frozen(pack_frozen(given))
    assert [each._replace(stood=tuple(each.stood)) for each in read] == given
    assert [repr((each.average, list(each.stood))) for each in read] == [repr((each.average, list(each.stood))) for each in given]


@given(st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
def test_fingerprints_are_read_back_as_they_were(given: set[int]) -> None:
    prints, counts = np.array(sorted(given)), np.arange(len(given), dtype=np.uint8) + 1
    read, read_counts = unpack_ids(pack_ids(prints, counts))
    assert read.tolist() == prints.tolist() and read_counts.tolist() == counts.tolist()


@pytest.mark.parametrize("unpack", [unpack_frozen, unpack_ids])
def test_a_damaged_chunk_is_refused(unpack: Any) -> None:
    newest = Trade(source="s", trade_id="t", quantity=ONE, price=ONE)
    content = pack_frozen([FrozenPosition("FX1", "EURUSD", 1, -1, 1.5, 7, {}, newest, 1, 0)])
    for damaged in (
        b"",
        content[:-9],
        content.replace(content[5:9], b"????"),
        pack_ids(np.array([1]), np.array([1], np.uint8))[:9],
    ):
        with pytest.raises(ValueError, match="cannot be read"):
            unpack(damaged)
