"""A store made by an earlier version opens with every number as it was, on both databases."""

from decimal import Decimal
from typing import Any

import pytest

from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.types import StoredMark
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import decimal_texts, node_rows
from riskengine.store.open_store import open_store
from riskengine.store.results import CHANGED_KINDS
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.store.old_stores import load_old_store, make_old_store
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


def test_an_engine_that_takes_it_over_compares_it_with_itself_and_notices_what_others_write(store_url: str) -> None:
    make_old_store(store_url)
    store = open_store(store_url, writer="a test")
    try:
        store.next_epoch()
        store.check_standing(store.watermark())
        assert store.marks_of_others() == store.marks(), "an earlier engine did not say which marks were its own"
        kinds, seen = store.changes_beyond(None)
        assert kinds == CHANGED_KINDS
        loader = open_store(store_url)
        [*marks] = loader.marks()
        loader.save_marks([StoredMark(marks[0].instrument, marks[0].ts + 1, marks[0].price)])
        loader.close()
        assert store.changes_beyond(seen)[0] == {"marks"}
    finally:
        store.close()
