"""A live process in a test, and what a fresh start on its store would come to."""

from typing import Any

from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.process.process import EngineProcess
from riskengine.rebuild.rebuild import rebuild
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import dealer_rows, node_rows, position_rows
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.live_process import Test, run_live
from tests.world import mark_settings

LATER: tuple[dict[str, Any], ...] = (
    {"instrument": "AARDVARK", "kind": "equity", "quote_currency": "USD"},
    {"instrument": "NEWCO", "kind": "equity", "quote_currency": "GBP"},
)
"""Instruments that arrive later: one before all others by name, so that every number moves."""


def settings(url: str, **marks: Any) -> Config:
    return Config(
        engine=EngineConfig(beat_ms=20),
        store=StoreConfig(url),
        marks=mark_settings(**{"store_every_s": 0.1, **marks}),
    )


def live(url: str, test: Test, **marks: Any) -> Any:
    """Run a test against a live process."""
    return run_live(settings(url, **marks), test)


def fresh(process: EngineProcess) -> Snapshot:
    """What a start from the store would come to now."""
    store = process._store
    assert store is not None
    return rebuild(
        store,
        read_trades(store),
        process.config,
        epoch=0,
        now=process.clock.now(),
        read_conflicts=read_conflicts(store, MAX_NOTICES),
    ).snapshot


def newest(process: EngineProcess) -> Snapshot:
    return process.history.newest


def quarantined(process: EngineProcess) -> list[str]:
    return [item.reason for item in newest(process).exceptions["quarantined"]]


def _stored_part(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the sides of its quote: the store keeps marks alone."""
    return {field: value for field, value in row.items() if field not in ("bid", "ask")}


def assert_as_fresh(process: EngineProcess) -> None:
    """The live state is that of a start on the same store."""
    here, there = newest(process), fresh(process)
    assert digest(here) == digest(there)
    assert here.reference.hierarchy.nodes == there.reference.hierarchy.nodes
    assert here.reference.instruments == there.reference.instruments
    assert node_rows(here) == node_rows(there)
    assert dealer_rows(here) == dealer_rows(there)
    assert [*map(_stored_part, position_rows(here))] == [*map(_stored_part, position_rows(there))]
    assert here.watermark == there.watermark
    for field in ("applied", "superseded", "late", "parked", "quarantined", "unmatched"):
        assert getattr(here.counts, field) == getattr(there.counts, field), field
