"""Stored rows become trades or quarantined rows of an engine; the log names each quarantined row once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.errors import EngineNotLive
from riskengine.intake import follow
from riskengine.intake.follow import MAX_LOGGED_ROWS, QuarantineLog, StoreFollower, split_rows
from riskengine.rebuild.rebuild import rebuild
from riskengine.snapshot.digest import digest
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark
from riskengine.store.tables.bulk_trades import read_trades
from tests.store_book import CHECK, TS, Outside, new_store, trade
from tests.world import config


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path / "engine.db")
    yield made
    made.close()


@pytest.fixture
def outside(store: Store, tmp_path: Path) -> Iterator[Outside]:
    made = Outside(f"sqlite:///{tmp_path}/engine.db")
    yield made
    made.connection.close()


def follower(store: Store) -> StoreFollower:
    """Over an engine that was made before there was any trade."""
    engine = rebuild(store, lambda check: iter(()), config(), epoch=0, now=TS)
    return StoreFollower(store, engine, Bookmark(), store.reference_revision())


def test_rows_are_told_apart_in_their_order(store: Store, outside: Outside) -> None:
    store.append_trades([trade("a"), trade("b")])
    outside.book(trade_id="c", desk="GONE")
    trades, refused = split_rows(store.trades_after(0), CHECK)
    assert [one.trade_id for one in trades] == ["a", "b"]
    assert [(row.store_seq, row.field) for row in refused] == [(3, "desk")]


def test_one_that_has_caught_up_is_what_a_start_would_make(store: Store, outside: Outside) -> None:
    following = follower(store)
    store.append_trades([trade("a"), trade("b", version=1), trade("b", version=2, quantity="7")])
    outside.book(trade_id="c", desk="GONE")
    following.catch_up(lambda: TS)
    again = rebuild(store, read_trades(store), config(), epoch=0, now=TS)
    assert digest(following.engine.snapshot) == digest(again.snapshot)
    assert following.engine.snapshot.watermark == following.watermark == 4
    assert following.engine.snapshot.counts.quarantined == 1
    following.apply_rows(list(store.trades_after(0)), following.bookmark, TS)
    following.engine.publish(TS)
    assert digest(following.engine.snapshot) == digest(again.snapshot), "what it holds already changes nothing"


def test_it_reads_on_until_few_rows_come_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "CATCH_UP_ROWS", 4)
    following, pauses = follower(store), list[int]()
    store.append_trades([trade(str(number)) for number in range(9)])
    following.catch_up(lambda: TS, few_rows=3, go_on=lambda: pauses.append(following.watermark))
    assert pauses == [4, 8]
    assert following.engine.snapshot.watermark == 9


def test_it_can_be_stopped_between_two_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "CATCH_UP_ROWS", 4)
    following = follower(store)
    store.append_trades([trade(str(number)) for number in range(9)])

    def stop() -> None:
        raise EngineNotLive("stopping")

    with pytest.raises(EngineNotLive):
        following.catch_up(lambda: TS, few_rows=3, go_on=stop)
    following.catch_up(lambda: TS, few_rows=3)
    assert following.engine.snapshot.watermark == 9, "it goes on from where it was"


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    said: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(follow.log, "warning", lambda event, **facts: said.append((event, facts)))
    return said


def test_each_row_is_named_once_with_its_reason(warned: list[Any]) -> None:
    quarantine_log = QuarantineLog()
    quarantine_log.warn([(7, "desk: unknown desk 'X'")])
    quarantine_log.warn([(7, "desk: unknown desk 'X'"), (9, "price: is missing")])
    assert warned == [
        ("row_quarantined", {"store_seq": 7, "reason": "desk: unknown desk 'X'"}),
        ("row_quarantined", {"store_seq": 9, "reason": "price: is missing"}),
    ]


def test_of_many_at_once_the_first_are_named_and_all_are_counted(warned: list[Any]) -> None:
    QuarantineLog().warn((store_seq, "ts: is missing") for store_seq in range(1, 101))
    assert len(warned) == MAX_LOGGED_ROWS + 1
    assert warned[-1] == ("rows_quarantined", {"rows": 100, "first": 1, "last": 100})


def test_what_is_remembered_is_bounded(warned: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MAX_REMEMBERED_ROWS", 3)
    quarantine_log = QuarantineLog()
    for store_seq in (1, 2, 3, 4, 2, 1):
        quarantine_log.warn([(store_seq, "ts: is missing")])
    assert [facts["store_seq"] for _, facts in warned] == [1, 2, 3, 4, 1], "the oldest was forgotten"
