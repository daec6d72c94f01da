"""Which trades had been executed by a moment, and how far back the store reaches."""

import pytest

from riskengine.errors import BeforeTheStore
from riskengine.rebuild.moment import NO_JOURNAL, check_reach, executed_by, recorded_at
from riskengine.records.journal import Instant
from riskengine.records.types import ONE, Opening, Trade
from riskengine.store.protocol import Store
from riskengine.store.trade_rows import RefusedRow, row_of
from tests.store_book import TS
from tests.store_book import trade as stored
from tests.world import NOON, SECOND, cancel, trade


def told(*trades: Trade) -> list[int]:
    """The places of the rows of what had been executed by noon."""
    return [place for place, _ in executed_by(enumerate(trades), NOON)]


def test_the_highest_version_says_when_a_trade_was_executed() -> None:
    later = NOON + SECOND
    assert told(trade("a"), trade("b", ts=later), trade("c", ts=NOON)) == [0, 2]
    assert told(trade("a"), trade("a", version=2, action="amend", ts=later)) == [], "it was not executed by then after all"
    assert told(trade("a", ts=later), trade("a", version=2, action="amend")) == [0, 1]
    assert told(trade("a", version=2, action="amend"), trade("a", ts=later)) == [0, 1], "whatever came first"


def test_a_cancel_counts_whenever_it_came() -> None:
    assert told(trade("a"), cancel("a", received_ts=NOON + SECOND)) == [0, 1]
    assert told(trade("a", ts=NOON + SECOND), cancel("a")) == []
    assert told(cancel("never")) == [0], "it waits for its trade"


def test_legs_are_trades_of_their_own_and_rows_that_are_none_stay_listed() -> None:
    assert told(trade("a", legs=2), trade("a", leg=1, legs=2, ts=NOON + SECOND)) == [0]
    refused = RefusedRow(7, "quantity", "is negative", row_of(trade("a"), 7))
    assert [row for _, row in executed_by([(7, refused)], NOON)] == [refused]


def test_nothing_is_told_of_before_the_store(store: Store) -> None:
    with pytest.raises(BeforeTheStore, match="it holds nothing"):
        check_reach(store, NOON)
    received = stored("1").received_ts
    store.append_trades([stored("1")])
    check_reach(store, received)
    with pytest.raises(BeforeTheStore, match=f"it begins at {received}"):
        check_reach(store, received - 1)
    store.save_openings([Opening(desk="FX1", instrument="EURUSD", ts=TS - 9, quantity=5 * ONE, average_price=ONE)])
    check_reach(store, TS - 9)


def test_an_instant_that_cannot_be_read_is_said(store: Store) -> None:
    assert recorded_at(store, TS) == (None, NO_JOURNAL)
    store.save_instants([Instant(1, 2, TS, 2, 0, 0, b"no content")], 0)
    recorded, reason = recorded_at(store, TS)
    assert recorded is None
    assert "cannot be read" in reason
