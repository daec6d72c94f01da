"""Positions and totals of a close come back from their columns exactly, whatever the numbers."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, OwnerTotals
from riskengine.store.tables.closed_columns import (
    CHUNK_OWNERS,
    CHUNK_ROWS,
    amounts_of,
    is_sorted,
    pack_positions,
    pack_totals,
    unpack_positions,
    unpack_totals,
)

exact = (
    st.integers(-(10**45), 10**45)
    | st.integers(-9, 9)
    | st.integers(-(10**9), 10**9).map(lambda value: value * 10**20)
    | st.sampled_from([-(2**63) - 1, -(2**63), 2**63 - 1, 2**63])
)
doubles = st.none() | st.floats(allow_nan=False)
names = st.text(min_size=0, max_size=6)
fees = st.dictionaries(st.sampled_from(["USD", "EUR", "JPY"]), exact, max_size=2)
rows = st.dictionaries(st.tuples(names, names), st.tuples(exact, exact, doubles, fees, doubles, doubles), max_size=20)


@given(rows)
def test_any_positions_come_back_exactly(made):
    positions = [ClosedPosition(*key, *values) for key, values in sorted(made.items())]
    assert is_sorted(positions)
    chunks = list(pack_positions("node", positions))
    assert [each for chunk in chunks for each in unpack_positions(chunk.content)] == positions
    for owner in {each.owner for each in positions}:
        found = [each for chunk in chunks for each in unpack_positions(chunk.content, frozenset([owner]))]
        assert found == [each for each in positions if each.owner == owner]


def test_many_positions_are_cut_into_chunks_that_say_which_owners_they_hold():
    positions = [ClosedPosition(f"N{n // 1_000}", f"S{n:06}", n, -n, None, {}) for n in range(2 * CHUNK_ROWS + 5)]
    chunks = list(pack_positions("dealer", positions))
    assert [chunk.positions for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 5]
    assert [(chunk.first_owner, chunk.last_owner) for chunk in chunks] == [("N0", "N4"), ("N4", "N8"), ("N8", "N8")]
    assert [each for chunk in chunks for each in unpack_positions(chunk.content)] == positions
    assert len({chunk.hash for chunk in chunks}) == 3 and chunks == list(pack_positions("dealer", positions))


@pytest.mark.parametrize("content", [b"", b"nonsense", zlib.compress(b""), zlib.compress(b"\x80")])
def test_what_cannot_be_read_is_no_chunk_and_no_totals(content):
    with pytest.raises(ValueError, match="cannot be read"):
        unpack_positions(content)
    with pytest.raises(ValueError, match="cannot be read"):
        unpack_totals([content])


def test_positions_out_of_order_or_twice_are_not_sorted():
    one, two = ClosedPosition("A", "X", 1, 1, None, {}), ClosedPosition("A", "Y", 1, 1, None, {})
    assert is_sorted([one, two]) and not is_sorted([two, one]) and not is_sorted([one, one])
    many = [ClosedPosition("A", f"S{n:06}", 1, 1, None, {}) for n in range(CHUNK_ROWS + 2)]
    assert is_sorted(many) and not is_sorted([*many[:CHUNK_ROWS], many[CHUNK_ROWS - 1], *many[CHUNK_ROWS:]])


def test_totals_come_back_to_the_last_bit_by_owner():
    owners = tuple(f"N{number:04}" for number in reversed(range(CHUNK_OWNERS + 3)))
    amounts = np.random.default_rng(1).normal(size=(len(CLOSE_MEASURES), len(owners)))
    amounts[2, 5] = np.nan
    packed = list(pack_totals("node", OwnerTotals(owners, amounts)))
    assert [(each.first_owner, each.last_owner) for each in packed] == [("N0000", "N0255"), ("N0256", "N0258")]
    found = unpack_totals(each.content for each in packed)
    assert found.owners == owners[::-1] and np.array_equal(found.amounts, amounts[:, ::-1], equal_nan=True)
    fifth = amounts_of(found, owners[5])
    assert fifth is not None and fifth[CLOSE_MEASURES[2]] is None and fifth[CLOSE_MEASURES[0]] == amounts[0, 5]
    assert amounts_of(found, "N") is None and unpack_totals([]).owners == ()
