"""A store of the version before forwards: what it kept out stays out, listed, and verdicts keep their meaning."""

import sqlite3
from pathlib import Path

import pytest

from riskengine.rebuild.load import compare_here
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.types import Verdict
from riskengine.store.open_store import open_store
from riskengine.store.queries import load_migrations
from riskengine.store.tables.bulk_trades import read_trades
from riskengine.store.trade_rows import COLUMNS, row_values
from tests.reconciliation.furnished import CONFIG, furnished
from tests.world import NOON, SECOND, trade

BEFORE = 16
"""The last migration that the version before forwards knew."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store as that version left it, with three trades that it kept out and one that it let in."""
    made = tmp_path / "old.db"
    connection = sqlite3.connect(made)
    for number, (name, text) in load_migrations("sqlite").items():
        if number <= BEFORE:
            connection.executescript(text)
            connection.execute("INSERT OR IGNORE INTO schema_version VALUES (?, ?, 0)", (number, name))
    trades = [
        trade("forward", value_date="2026-06-08"),
        trade("accepted", value_date="2026-06-08"),
        trade("rejected", value_date="2026-06-08"),
        trade("spot", value_date="2026-03-06"),
    ]
    columns = (*COLUMNS, "received_ts")
    statement = f"INSERT INTO trades ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    connection.executemany(statement, [row_values(each)[: len(columns)] for each in trades])
    connection.commit()
    connection.close()
    return made


def test_what_was_kept_out_stays_out_and_verdicts_keep_their_meaning(path: Path) -> None:
    store = furnished(open_store(f"sqlite:///{path}"))
    for name, verdict in (("accepted", "accept"), ("rejected", "reject")):
        store.save_verdict(Verdict(f"quarantined:test:{name}:0:1", verdict, "", "ann", NOON))
    store.append_trades([trade("new", value_date="2026-06-08", received_ts=NOON + SECOND)])
    engine = rebuild(store, read_trades(store), CONFIG, epoch=1, now=NOON)
    held = {each.trade_id: each.instrument for each in engine.processed.standing_trades()}
    assert held == {
        "accepted": "EURUSD",
        "spot": "EURUSD",
        "new": "EURUSD@2026-06-08",
    }
    kept_out = {item.trade.trade_id: item.reason for item in engine.snapshot.exceptions["quarantined"] if item.trade is not None}
    reason = "value_date 2026-06-08 is not spot (2026-03-06): it was kept out before forwards were valued, and stays out"
    assert kept_out.keys() == {"forward", "rejected"}
    assert kept_out["forward"] == f"{reason}; an amend that is sent now counts as a forward"
    assert engine.snapshot.exceptions["older_rule"] == ()
    assert compare_here(store, CONFIG, engine.snapshot).breaks == []
    store.close()
