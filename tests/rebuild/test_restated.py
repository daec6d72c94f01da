"""What of an earlier moment is known at a later one: which trades belong before it, whether anything may say otherwise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.rebuild.restated import Knowledge, Then, after_close, carry_in, days_of, known_later, may_be_restated, of_before
from riskengine.records.types import Trade
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.world import NOON, SECOND, instruments, nodes, trade

TOLERANCE = 5 * SECOND
THEN = Then(NOON, 3, None)


def rest() -> None:
    """Nobody waits in these tests."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'desk.db'}")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    yield store
    store.close()


def config(store: Store) -> Config:
    return Config(engine=EngineConfig(), store=StoreConfig("sqlite:///:memory:"))


def sent(name: str, ts: int, received: int, **columns: Any) -> Trade:
    return trade(name, received_ts=received, ts=ts, **columns)


def names(*trades: Trade) -> list[str]:
    rows = [(number, each) for number, each in enumerate(trades, 1)]
    return [f"{each.trade_id}.{each.version}" for _, each in of_before(rows, THEN, TOLERANCE) if isinstance(each, Trade)]


def test_trades_that_were_known_belong_before_the_moment_and_those_of_after_it_do_not() -> None:
    assert names(sent("a", NOON - 9, NOON - 8), sent("b", NOON - 7, NOON - 6)) == ["a.1", "b.1"]
    early = [sent(name, NOON - 9, NOON - 8) for name in "abc"]
    assert names(*early, sent("d", NOON + 1, NOON + 2)) == ["a.1", "b.1", "c.1"]


def test_a_late_trade_belongs_before_and_one_on_its_way_does_not() -> None:
    early = [sent(name, NOON - 9, NOON - 8) for name in "abc"]
    late, routine = sent("d", NOON - 60 * SECOND, NOON + 1), sent("e", NOON - SECOND, NOON + 1)
    assert names(*early, late, routine) == ["a.1", "b.1", "c.1", "d.1"]


def test_every_version_of_a_known_trade_counts_unless_it_moves_behind_the_moment() -> None:
    early = [sent(name, NOON - 9, NOON - 8) for name in "abc"]
    amended = sent("a", NOON - 9, NOON + 5, version=2, action="amend", price="1.2")
    moved = sent("b", NOON + 4, NOON + 5, version=2, action="amend")
    assert names(*early, amended, moved) == ["a.1", "c.1", "a.2"]


def test_a_trade_that_was_known_ahead_of_its_time_stays() -> None:
    assert names(sent("a", NOON + 9, NOON - 1)) == ["a.1"]


def test_new_trades_of_after_the_moment_restate_nothing_and_all_else_may(store: Store) -> None:
    store.append_trades([sent("a", NOON - 9, NOON - 8)])
    then = Then(NOON, store.watermark(), None)
    first, later = Knowledge(NOON, then.watermark), Knowledge(NOON + 60 * SECOND, None)
    assert not may_be_restated(store, then, first, later, TOLERANCE)
    store.append_trades([sent("b", NOON + 1, NOON + 2)])
    assert not may_be_restated(store, then, first, later, TOLERANCE)
    assert not may_be_restated(store, then, first, later._replace(watermark=store.watermark()), TOLERANCE)
    seen = Knowledge(NOON + 2, store.watermark())
    store.append_trades([sent("a", NOON - 9, NOON + 3, version=2, action="amend", price="1.3")])
    assert may_be_restated(store, then, first, later, TOLERANCE)
    assert may_be_restated(store, then, seen, later, TOLERANCE)
    assert not may_be_restated(store, then, first, later._replace(watermark=seen.watermark), TOLERANCE), "it was not known yet"
    assert not may_be_restated(store, then, Knowledge(NOON + 3, store.watermark()), later, TOLERANCE), "it is known"


def test_an_engine_of_the_moment_knows_what_came_later(store: Store) -> None:
    store.append_trades([sent("a", NOON - 9, NOON - 8), sent("b", NOON - 7, NOON - 6)])
    then = Then(NOON, store.watermark(), None)
    store.append_trades(
        [
            sent("a", NOON - 9, NOON + 3, version=2, action="amend", quantity="30"),
            sent("c", NOON + 4, NOON + 4, quantity="1000"),
        ]
    )
    engine = known_later(store, config(store), then, Knowledge(NOON + 9, store.watermark()), rest)
    [row] = engine.snapshot.nodes.state(engine.reference.hierarchy.index["FX1"]).positions()
    assert (row.quantity, row.trade_count) == (130 * 10**10, 2)
    assert carry_in(engine, "FX1") == carry_in(engine, "nowhere") == {}


def test_the_days_are_those_of_the_calendars_in_the_store(store: Store) -> None:
    day = days_of(store, config(store))
    assert day.is_business_day(day.date_of(NOON))


def test_a_close_that_was_never_struck_has_no_day_after(store: Store) -> None:
    with pytest.raises(KeyError):
        after_close(store, config(store), "2026-03-03", Knowledge(NOON), rest)
