"""Which trades had been executed by a moment, and how far back the store reaches."""

import pytest

from riskengine.errors import BeforeTheStore
from riskengine.positions.day_window import DayWindow
from riskengine.rebuild.equal_states import state_differences
from riskengine.rebuild.moment import NO_JOURNAL, MomentParts, check_reach, executed_by, moment_of, recorded_at
from riskengine.records.journal import Instant
from riskengine.records.types import ONE, Opening, Trade
from riskengine.snapshot.mark_journal import MarkJournal
from riskengine.snapshot.rows import position_rows
from riskengine.store.protocol import Store
from riskengine.store.trade_rows import RefusedRow, row_of
from tests.closing_house import OLD, SETTINGS, WEDNESDAY, ClosingHouse, kept_house, old
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


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_moment_after_a_close_goes_on_from_its_state_and_is_the_replay_of_everything(store_url: str) -> None:
    house = ClosingHouse(store_url)
    try:
        house.edit("DELETE FROM carry")  # received by the clock of the machine: after this moment
        kept_house(house)
        house.now += SECOND
        house.deliver([old("late", ts=OLD - SECOND, received_ts=house.now), cancel("t2", received_ts=house.now)])
        shown = house.full().snapshot
        house.store.save_instants([MarkJournal().pack(shown, [], house.store.reference_revision(), whole=True)], 0)
        house.deliver([old("later", price="9", received_ts=house.now + SECOND), cancel("t1", received_ts=house.now + SECOND)])
        parts = MomentParts(house.store, SETTINGS, lambda: None)
        recorded, reason = recorded_at(house.store, house.now)
        assert recorded is not None
        quick = moment_of(parts, house.now, recorded, reason, "then")
        whole = moment_of(parts, house.now, recorded, reason, "then", whole=True)
        assert quick.engine.processed.frozen_count > 0 == whole.engine.processed.frozen_count
        for moment in (whole, quick):
            assert state_differences(shown, moment.engine.snapshot) == []
            assert (moment.engine.snapshot.seq, moment.exact_at, moment.unknown) == (shown.seq, shown.as_of, ())
        before = recorded._replace(closed="2026-03-01")
        assert moment_of(parts, house.now, before, "", "then").engine.processed.frozen_count == 0, "no state of before it"
    finally:
        house.store.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_while_a_close_is_struck_deals_count_as_of_the_next_day_already(store_url: str) -> None:
    house = ClosingHouse(store_url)
    try:
        house.edit("DELETE FROM carry")
        kept_house(house)
        house.deliver([old("new", ts=house.now, received_ts=house.now)])
        engine = house.full()
        shown = [list(position_rows(engine.snapshot))]
        engine.ledger.date_by(DayWindow.after(WEDNESDAY, engine.trading_day))
        shown.append(list(position_rows(engine.publish(house.now))))
        assert [row["bought_quantity"] for row in shown[0]] != [row["bought_quantity"] for row in shown[1]]
        house.store.save_instants([MarkJournal().pack(engine.snapshot, [], 1, whole=True)], 0)
        recorded, reason = recorded_at(house.store, house.now)
        assert recorded is not None
        told = moment_of(MomentParts(house.store, SETTINGS, lambda: None), house.now, recorded, reason, "then")
        assert list(position_rows(told.engine.snapshot)) == shown[1]
    finally:
        house.store.close()


def test_an_instant_that_cannot_be_read_is_said(store: Store) -> None:
    assert recorded_at(store, TS) == (None, NO_JOURNAL)
    store.save_instants([Instant(1, 2, TS, 2, 0, 0, b"no content")], 0)
    recorded, reason = recorded_at(store, TS)
    assert recorded is None
    assert "cannot be read" in reason
