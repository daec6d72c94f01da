"""Fingerprints: equal in every process, different for different trades, summed in any order."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.records.fingerprints import (
    fingerprint_columns,
    join_parts,
    split_parts,
    trade_fingerprint,
    version_fingerprint,
    versions_of,
)
from riskengine.records.types import Trade, economics
from tests.world import NOON, trade


def test_every_process_computes_the_same() -> None:
    code = (
        "from riskengine.records.fingerprints import *; from riskengine.records.types import Trade;"
        "print(version_fingerprint('api', 'T\\u00e9', 1, 2), trade_fingerprint(Trade('api', 'T1', dealer='Zo\\u00eb')))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "12345")
    }
    same = version_fingerprint("api", "Té", 1, 2), trade_fingerprint(Trade("api", "T1", dealer="Zoë"))
    assert printed == {f"{same[0]} {same[1]}\n"}


def test_no_two_of_many_ordinary_identities_share_one() -> None:
    numbered = {
        version_fingerprint(source, f"T{number:07}", leg, 1)
        for source in ("a", "b")
        for number in range(50_000)
        for leg in (0, 1)
    }
    assert len(numbered) == 200_000


def test_swapping_two_identities_with_another_pair_changes_the_sum() -> None:
    def total(*pairs: tuple[str, str]) -> int:
        return sum(version_fingerprint(source, trade_id, 0, 1) for source, trade_id in pairs)

    assert total(("a", "x"), ("b", "y")) != total(("a", "y"), ("b", "x"))
    assert total(("a", "x1"), ("a", "x4")) != total(("a", "x2"), ("a", "x3"))


def test_each_version_has_its_own() -> None:
    assert len({version_fingerprint("api", "T1", 0, version) for version in range(1, 1_000)}) == 999


DEAL = trade("1", fees="2.5", value_date="2026-03-06", trade_date="2026-03-04", legs=2, contra_amount="110", source_seq=7)

OTHER: dict[str, Any] = {
    "action": "amend",
    "ts": NOON + 1,
    "source_seq": 8,
    "instrument": "GBPUSD",
    "desk": "FX2",
    "dealer": "bea",
    "signed_quantity": -DEAL.signed_quantity,
    "price": DEAL.price + 1,
    "fees": DEAL.fees + 1,
    "fees_currency": "EUR",
    "value_date": "2026-03-09",
    "trade_date": "2026-03-03",
    "contra_amount": None,
    "legs": None,
}
"""For each column of the economics another value. The side and the quantity are the signed quantity."""


def test_every_column_of_the_economics_is_tried() -> None:
    changed = msgspec.structs.replace(DEAL, **OTHER, side="sell", quantity=1)
    assert all(one != other for one, other in zip(economics(DEAL), economics(changed), strict=True))


@pytest.mark.parametrize("column", OTHER)
def test_another_value_in_any_column_that_counts_is_the_same_version_that_says_something_else(column: str) -> None:
    one = split_parts(trade_fingerprint(DEAL))
    other = split_parts(trade_fingerprint(msgspec.structs.replace(DEAL, **{column: OTHER[column]})))
    assert one.versions == other.versions
    assert (one.economics == other.economics, one.fees == other.fees) == ((True, False) if column == "fees" else (False, True))


@pytest.mark.parametrize("column", ["booked_ts", "received_ts"])
def test_columns_outside_the_economics_change_nothing(column: str) -> None:
    assert trade_fingerprint(msgspec.structs.replace(DEAL, **{column: NOON + 5})) == trade_fingerprint(DEAL)


def test_two_trades_that_exchange_their_times_do_not_make_up_for_each_other() -> None:
    def total(one: int, other: int) -> int:
        return trade_fingerprint(trade("1", ts=one)) + trade_fingerprint(trade("2", ts=other))

    assert split_parts(total(NOON, NOON + 1)).economics != split_parts(total(NOON + 1, NOON)).economics


def test_the_parts_of_columns_are_those_of_each_trade() -> None:
    trades = [DEAL, trade("1"), trade("2", fees="-1", dealer="", leg=3), trade("3", action="amend", version=2, legs=1)]
    parts = fingerprint_columns(trades)
    assert join_parts(*parts) == [*map(trade_fingerprint, trades)]
    assert parts[0] == [version_fingerprint(each.source, each.trade_id, each.leg, each.version) for each in trades]


part = st.integers(-(2**63), 2**63 - 1)


@given(parts=st.lists(st.tuples(part, part, part), max_size=200))
def test_a_sum_comes_apart_again(parts: list[tuple[int, int, int]]) -> None:
    columns = [[each[at] for each in parts] for at in range(3)]
    total = sum(join_parts(*columns))
    assert split_parts(total) == tuple(map(sum, columns))
    assert versions_of(total) == sum(columns[0])
