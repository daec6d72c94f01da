"""An engine that forgets what is long done is the engine that keeps everything, to the last bit, whatever comes."""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.clock import MICROS_PER_SECOND
from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import SelfAudit
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.intake.recall import Recall
from riskengine.positions.freezing import freeze
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.reference import trade_check
from riskengine.records.types import Trade
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.histories import assert_same
from tests.world import NOON, REFERENCE, SECOND, cancel, config, instruments, nodes, opening, trade

DAY = 86_400 * MICROS_PER_SECOND
NOW = NOON + 40 * DAY
TOMORROW = "2026-04-14"
"""The trading day after that of NOW."""
CHECK = trade_check(REFERENCE)

columns: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from("abcdefgh"),
        "version": st.sampled_from([1, 1, 1, 2, 3]),
        "ts": st.integers(0, 12).map(lambda n: NOON + n * SECOND),
        "instrument": st.sampled_from(["EURUSD", "ACME"]),
        "desk": st.sampled_from(["FX1", "EQ1"]),
        "dealer": st.sampled_from(["", "ann"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.sampled_from(["1", "2", "3"]),
        "price": st.sampled_from(["1.1", "1.37", "2.0001"]),
        "fees": st.sampled_from(["0", "0.1"]),
        "source_seq": st.sampled_from([0, 1]),
        "leg": st.sampled_from([0, 0, 0, 1]),
        "legs": st.sampled_from([None] * 7 + [2]),
        "value_date": st.sampled_from([""] * 7 + ["2026-06-04"]),
        "trade_date": st.sampled_from([""] * 7 + [TOMORROW]),
    }
)


def sent(given: dict[str, Any], *, is_cancel: bool, age: int) -> Trade:
    """A trade or a cancel, received so many days after NOON."""
    received_ts = NOON + 20 * SECOND + age * DAY
    if is_cancel:
        return cancel(given["trade_id"], given["version"], leg=given["leg"], received_ts=received_ts)
    action = "amend" if given["version"] > 1 else "new"
    return trade(**given, action=action, received_ts=received_ts)


trades = st.builds(sent, columns, is_cancel=st.sampled_from([False] * 5 + [True]), age=st.integers(0, 3))
steps = st.lists(st.one_of(st.lists(trades, min_size=1, max_size=5), st.integers(1, 5)), min_size=2, max_size=14)


class Pair:
    """Two engines on one store: one keeps everything, the other freezes old trades on request."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.whole, self.frozen = Engine(REFERENCE, now=NOON), Engine(REFERENCE, now=NOON)
        for engine in (self.whole, self.frozen):
            engine.open_with([opening(instrument="ACME", desk="EQ1", ts=NOON - DAY, quantity="2", average_price="3", fees="1")])
        self.recall = Recall(store, CHECK, self.frozen)

    def deliver(self, batch: Sequence[Trade]) -> None:
        """As the store thread does: recall, store, apply."""
        recalled = self.recall.for_trades(batch)
        if recalled is not None:
            self.frozen.thaw(recalled)
        self.store.append_trades(batch)
        assert self.frozen.apply(batch, NOW) == self.whole.apply(batch, NOW)

    def freeze(self, days: int) -> int:
        kept = {(one.source, one.trade_id) for one in self.recall.conflicts()}
        engine, horizon = self.frozen, NOON + days * DAY
        return freeze(engine.ledger, engine.processed, before=horizon, traded_before=horizon, open_deals=kept)

    def compare(self) -> None:
        whole, frozen = self.whole.publish(NOW), self.frozen.publish(NOW)
        assert_same(whole, frozen)
        assert whole.counts == frozen.counts
        assert whole.exceptions == frozen.exceptions
        assert len(self.whole.processed) == len(self.frozen.processed)
        self.frozen.check()
        assert SelfAudit(self.frozen).finish_pass() == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = new_store(tmp_path)
    yield opened
    opened.close()


def new_store(folder: Path) -> Store:
    store = open_store(f"sqlite:///{folder}/history.db")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    return store


@settings(deadline=None, max_examples=80)
@given(steps)
def test_freezing_at_any_moment_changes_nothing_that_anybody_sees(taken: list[list[Trade] | int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = new_store(Path(folder))
        try:
            pair = Pair(store)
            for step in taken:
                if isinstance(step, int):
                    pair.freeze(step)
                else:
                    pair.deliver(step)
                pair.compare()
        finally:
            store.close()


@settings(deadline=None, max_examples=40)
@given(st.lists(trades, min_size=1, max_size=30), st.integers(1, 5), st.integers(37, 41))
def test_a_replay_that_freezes_as_it_goes_comes_to_what_one_that_keeps_everything_does(
    taken: list[Trade], at_once: int, days: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("riskengine.rebuild.rebuild.BATCH_TRADES", at_once)
        patch.setattr("riskengine.rebuild.rebuild.FREEZE_FROM", 1)
        store = new_store(Path(folder))
        try:
            store.append_trades(taken)
            built = [
                rebuild(
                    store,
                    read_trades(store),
                    config(engine={"history_days": days}),
                    epoch=0,
                    now=NOW,
                    read_conflicts=read_conflicts(store, MAX_NOTICES),
                    past=past,
                )
                for past in (None, partial(Recall, store))
            ]
            assert_same(built[0].snapshot, built[1].snapshot)
            assert built[0].snapshot.counts == built[1].snapshot.counts
            assert built[0].snapshot.exceptions == built[1].snapshot.exceptions
            built[1].check()
            assert SelfAudit(built[1]).finish_pass() == []
            assert built[0].set_current_day(TOMORROW, NOW) == built[1].set_current_day(TOMORROW, NOW)
            assert_same(*(engine.publish(NOW) for engine in built))  # what waited is in memory, and so is what it touches
            built[1].check()
        finally:
            store.close()


def plain(count: int, **columns: Any) -> list[Trade]:
    return [trade(f"t{at}", ts=NOON + at * SECOND, received_ts=NOON + 200 * SECOND, **columns) for at in range(count)]


def test_what_is_frozen_is_fingerprints_and_a_base_with_the_newest_trade(store: Store) -> None:
    pair = Pair(store)
    pair.deliver(plain(100))
    assert pair.freeze(1) == 100
    assert pair.frozen.processed.in_memory == 0
    [(_, _, position)] = [each for each in pair.frozen.ledger.organisation.positions() if each[2].base is not None]
    assert (len(position.trades), position.trade_count) == (0, 100)
    pair.compare()
    assert pair.freeze(1) == 0


def test_only_a_duplicate_leaves_positions_frozen(store: Store) -> None:
    pair = Pair(store)
    pair.deliver(plain(100))
    pair.freeze(1)
    pair.deliver([trade("t7", ts=NOON + 7 * SECOND)])
    assert pair.frozen.processed.in_memory == 1
    assert pair.recall.for_trades([trade("t99", version=2, ts=NOON + 200 * SECOND)]) is not None
    pair.compare()
    assert any(position.base is not None for _, _, position in pair.frozen.ledger.organisation.positions())
    pair.deliver([cancel("t7")])
    assert all(position.base is None for _, _, position in pair.frozen.ledger.organisation.positions())
    pair.compare()


def test_a_trade_that_shares_its_fingerprint_with_one_of_long_ago_is_new(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("positions.frozen_ids", "positions.processed"):
        monkeypatch.setattr(f"riskengine.{module}.identity_fingerprint", lambda source, trade_id, leg: 7)
    pair = Pair(store)
    pair.deliver(plain(5))
    assert pair.freeze(1) == 1, "of those that share one only one can be frozen"
    pair.deliver(plain(9))
    pair.deliver([trade("late", ts=NOON - SECOND), trade("t3", version=2, action="amend", price="9"), cancel("t0")])
    pair.compare()


def test_where_the_store_was_changed_under_the_engine_the_key_is_set_aside_and_no_wrong_number_is_shown(
    store: Store, tmp_path: Path
) -> None:
    pair = Pair(store)
    pair.deliver(plain(10))
    pair.freeze(1)
    with sqlite3.connect(tmp_path / "history.db") as outside:
        outside.execute("DELETE FROM trades WHERE trade_id = 't4'")
    recalled = pair.recall.for_trades([trade("late", ts=NOON - SECOND)])
    assert recalled is not None
    pair.frozen.thaw(recalled)
    pair.frozen.apply([trade("late", ts=NOON - SECOND)], NOW)
    snapshot = pair.frozen.publish(NOW)
    assert sorted(snapshot.keys_set_aside()) == [("dealer", "ann", "EURUSD"), ("node", "FX1", "EURUSD")]
