"""Trades in an option of after its cut: start, repair and reconciliation keep them out alike; those of an older store count."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.engine.engine import Engine
from riskengine.rebuild.load import compare_here
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.types import EXERCISE_SOURCE, Trade, Verdict
from riskengine.snapshot.digest import digest
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.queries import load_migrations
from riskengine.store.tables.bulk_trades import read_trades
from riskengine.store.trade_rows import COLUMNS, row_values
from tests.optioned import option
from tests.reconciliation.furnished import CONFIG
from tests.world import INSTRUMENTS, NOON, SECOND, instruments, nodes, reference, trade

BEFORE = 18
"""The last migration that the version before the rule of cuts knew."""

ROWS = (*INSTRUMENTS, option("C1", "EUR", "USD", "1.1", expiry="2026-03-04"))
WHERE = reference(rows=ROWS)
CUT = NOON + 3 * 3_600 * SECOND
NOW = CUT + 60 * SECOND


def deal(trade_id: str, ts: int, received_ts: int, source: str = "test") -> Trade:
    columns: dict[str, Any] = {"ts": ts, "instrument": "C1", "price": "0.01", "source": source}
    store_seq = 0 if source == EXERCISE_SOURCE else None
    return trade(trade_id, where=WHERE, received_ts=received_ts, store_seq=store_seq, **columns)


def furnished(store: Store) -> Store:
    store.save_nodes(nodes())
    store.save_instruments(instruments(ROWS))
    return store


def started(store: Store) -> Engine:
    return rebuild(store, read_trades(store), CONFIG, epoch=1, now=NOW)


def held(engine: Engine) -> set[str]:
    return {each.trade_id for each in engine.processed.standing_trades()}


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = furnished(open_store(store_url))
    yield made
    made.close()


def test_a_start_a_repair_and_the_store_s_own_account_keep_out_the_same(store: Store) -> None:
    trades = [deal("early", NOON, NOON), deal("at", CUT, CUT + 1), deal("late", CUT + 1, CUT + 1)]
    trades += [deal("booked", CUT + 1, CUT + 2, EXERCISE_SOURCE), deal("accepted", CUT + 1, CUT + 3)]
    store.save_verdict(Verdict("quarantined:test:accepted:0:1", "accept", "", "ann", NOON))
    store.append_trades(trades)
    engine = started(store)
    assert held(engine) == {"early", "at", "booked", "accepted"}
    assert compare_here(store, CONFIG, engine.snapshot).breaks == []
    before = digest(engine.snapshot)
    engine.repair([("node", "FX1", "C1"), ("dealer", "ann", "C1")], trades, NOW)
    engine.publish(NOW)
    assert digest(engine.snapshot) == before


def test_what_an_older_store_had_received_counts_as_it_did_and_is_listed(tmp_path: Path) -> None:
    made = tmp_path / "old.db"
    connection = sqlite3.connect(made)
    for number, (name, text) in load_migrations("sqlite").items():
        if number <= BEFORE:
            connection.executescript(text)
            connection.execute("INSERT OR IGNORE INTO schema_version VALUES (?, ?, 0)", (number, name))
    columns = (*COLUMNS, "received_ts")
    statement = f"INSERT INTO trades ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    older = [deal("older", CUT + 1, CUT + 1), deal("taken", CUT + 1, CUT + 1, EXERCISE_SOURCE)]
    connection.executemany(statement, [row_values(each)[: len(columns)] for each in older])
    connection.commit()
    connection.close()
    store = furnished(open_store(f"sqlite:///{made}"))
    store.append_trades([deal("newer", CUT + 1, CUT + 2)])
    engine = started(store)
    assert held(engine) == {"older", "taken"}
    assert [item.id for item in engine.snapshot.exceptions["older_rule"]] == ["older_rule:test:older:0:1"]
    assert compare_here(store, CONFIG, engine.snapshot).breaks == []
    store.close()
