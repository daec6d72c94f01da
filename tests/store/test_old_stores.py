"""A store made by an earlier version opens with every number as it was, on both databases."""

from decimal import Decimal
from typing import Any

import pytest

from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.rebuild.rebuild import rebuild
from riskengine.reconciliation.store_sums import store_side
from riskengine.snapshot.compare import side_of
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import decimal_texts, node_rows
from riskengine.store.open_store import open_store
from riskengine.store.results import FoundBreak
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.store.old_stores import load_old_store, make_old_store
from tests.store_book import Outside
from tests.world import config

NOW = 1_796_070_000_000_000
"""An hour after the earlier version had closed the store."""


@pytest.fixture
def old_engine(store_url: str) -> Engine:
    make_old_store(store_url)
    store = open_store(store_url)
    try:
        return rebuild(store, read_trades(store), config(), epoch=9, now=NOW, read_conflicts=read_conflicts(store, MAX_NOTICES))
    finally:
        store.close()


def said() -> dict[str, Any]:
    says: dict[str, Any] = load_old_store()["says"]
    return says


def test_every_position_is_what_it_was(old_engine: Engine) -> None:
    assert digest(old_engine.snapshot) == said()["digest"]


def test_counts_are_what_they_were(old_engine: Engine) -> None:
    counts = old_engine.snapshot.counts._asdict()
    assert {name: counts[name] for name in said()["counts"]} == said()["counts"]


def test_amounts_of_nodes_are_what_they_were(old_engine: Engine) -> None:
    rows = {row["node"]: row for row in map(decimal_texts, node_rows(old_engine.snapshot))}
    for node, amounts in said()["nodes"].items():
        for field in ("realised_pnl", "unrealised_pnl", "total_pnl"):
            assert Decimal(rows[node][field]) == Decimal(amounts[field]), (node, field)


def test_the_audit_trail_still_verifies(store_url: str) -> None:
    make_old_store(store_url)
    store = open_store(store_url)
    try:
        report = store.verify_audit(None)
    finally:
        store.close()
    assert [str(finding) for finding in report.findings] == []
    assert report.trades == len(load_old_store()["tables"]["trades"]["rows"])


def test_breaks_that_an_earlier_version_remembered_are_kept_and_the_new_kinds_follow(store_url: str) -> None:
    make_old_store(store_url)
    program = Outside(store_url)
    for number, status in enumerate(("repaired", "gone", "open")):
        program.execute(
            "INSERT INTO breaks (kind, rollup, owner, instrument, first_seen_ts, last_seen_ts, status, comment)"
            " VALUES ('cash', 'node', 'FX1', ?, ?, ?, ?, 'as it was')",
            (f"I{number}", NOW, NOW + number, status),
        )
    before = program.execute(f"SELECT {BREAK_COLUMNS} FROM breaks ORDER BY break_id")
    store = open_store(store_url)
    try:
        assert program.execute(f"SELECT {BREAK_COLUMNS} FROM breaks ORDER BY break_id") == before
        newer = [FoundBreak(kind, ("node", "FX2", kind), None, None) for kind in ("fees", "order")]
        opened = store.remember_breaks(newer, against="store", epoch=1, watermark=1, ts=NOW + 9, by="reconciliation")
        assert {one.kind for one in opened} == {"fees", "order"}
        assert {one.break_id for one in opened} == {before[-1][0] + 1, before[-1][0] + 2}
    finally:
        store.close()
        program.close()


BREAK_COLUMNS = (
    "break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,"
    " times_seen, status, comment, resolved_by, resolved_ts"
)


def test_the_old_store_agrees_with_its_own_account(old_engine: Engine, store_url: str) -> None:
    store = open_store(store_url)
    try:
        assert store_side(store, config(), 2**62).side() == side_of(old_engine.snapshot)
    finally:
        store.close()
