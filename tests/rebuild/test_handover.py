"""What an engine hands on to the one that takes its place, and what not."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark
from riskengine.market.suspects import SuspectLevel
from riskengine.rebuild.handover import hand_over
from riskengine.rebuild.rebuild import with_manual
from riskengine.rebuild.renewal import refit_trade
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import Vol
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Verdict
from riskengine.snapshot.rows import mark_rows
from riskengine.snapshot.snapshot import Snapshot
from tests.world import INSTRUMENTS, NOON, PARENTS, REFERENCE, SECOND, House, reference, trade

WIDER = reference(rows=({"instrument": "AARDVARK", "kind": "equity", "quote_currency": "USD"}, *INSTRUMENTS))
NARROWER = reference(rows=[one for one in INSTRUMENTS if one["instrument"] != "GBPUSD"])
LATER = NOON + SECOND


def taken_over(house: House, where: Reference = WIDER, *, stored: Any = (), marks: Mapping[str, Mark] | None = None) -> Engine:
    """The engine that was built from `stored` and has taken over from the house's; published."""
    engine = Engine(where, now=LATER)
    engine.marks.restore(marks or {})
    engine.apply(stored, LATER, len(stored))
    engine.beat({}, LATER)
    engine.publish(LATER)
    hand_over(engine, house.engine, partial(refit_trade, check=trade_check(where)), LATER)
    engine.publish(LATER)
    engine.check()
    return engine


def prices(snapshot: Snapshot) -> dict[str, float]:
    return {row["instrument"]: row["price"] for row in mark_rows(snapshot) if row["price"] is not None}


@pytest.fixture
def house() -> House:
    return House()


def test_snapshots_go_on_and_the_first_counts_as_changed_by_a_trade(house):
    house.deal(trade("a"))
    before = house.engine.snapshot
    after = taken_over(house, stored=[trade("a")]).snapshot
    assert (after.epoch, after.seq, after.trade_seq) == (before.epoch, before.seq + 1, before.seq + 1)
    assert (after.last_trade_at, after.counts) == (before.last_trade_at, before.counts)


def test_a_trade_that_only_the_successor_has_was_applied_now(house):
    house.deal(trade("a"))
    after = taken_over(house, stored=[trade("a"), trade("b")]).snapshot
    assert (after.last_trade_at, after.counts.applied, after.watermark) == (LATER, 2, 2)


def test_the_watermark_does_not_go_back(house):
    house.engine.apply([trade("a")], NOON, 7)
    assert taken_over(house, stored=[trade("a")]).snapshot.watermark == 7


def test_repeats_in_what_was_read_twice_are_not_counted(house):
    house.deal(trade("a"), trade("a"))
    assert taken_over(house, stored=[trade("a"), trade("a"), trade("a")]).snapshot.counts.duplicates == 1


def test_marks_go_by_their_symbols_and_only_those_that_were_to_be_stored_are(house):
    house.marks(EURUSD=1.2, ACME=9.0)
    house.engine.marks.take_unsaved()
    house.marks(GBPUSD=1.3)
    engine = taken_over(house)
    assert prices(engine.snapshot) == {"EURUSD": 1.2, "ACME": 9.0, "GBPUSD": 1.3}
    assert [WIDER.symbols[number] for number, _ in engine.marks.take_unsaved()] == ["GBPUSD"]


def test_the_newer_of_the_vols_in_force_and_those_stored_counts(house):
    house.engine.beat({}, LATER, [Vol("EC", NOON, 0.1), Vol("ED", NOON + 5, 0.2)])
    engine = Engine(WIDER, now=LATER)
    engine.beat({}, LATER, [Vol("EC", NOON + 1, 0.3), Vol("ED", NOON, 0.4)])
    hand_over(engine, house.engine, partial(refit_trade, check=trade_check(WIDER)), LATER)
    assert {name: vol.vol for name, vol in engine.option_market.vols.items()} == {"EC": 0.3, "ED": 0.2}


def test_a_mark_of_an_instrument_that_is_gone_goes_with_it(house):
    house.marks(EURUSD=1.2, GBPUSD=1.3)
    assert prices(taken_over(house, NARROWER).snapshot) == {"EURUSD": 1.2}


def test_the_newer_of_what_is_in_force_and_what_is_stored_counts(house):
    house.marks(EURUSD=1.2, GBPUSD=1.3, ACME=9.0)
    stored = {
        "EURUSD": Mark(1.25, NOON + 1, "desk", "quote"),
        "GBPUSD": Mark(1.35, NOON, "desk", "quote"),
        "AARDVARK": Mark(5.0, NOON - 1, "", "close"),
    }
    engine = taken_over(house, marks=stored)
    assert prices(engine.snapshot) == {"EURUSD": 1.25, "GBPUSD": 1.3, "ACME": 9.0, "AARDVARK": 5.0}


def test_a_level_that_is_held_back_stays_listed():
    house, suspect = House(settings=None), SuspectLevel.of("feed", 2.0, NOON + 1, "quote", NOON + 1)
    house.engine.beat({REFERENCE.instrument_index["EURUSD"]: Mark(1.2, NOON, "feed", "quote", (suspect,))}, NOON)
    [shown] = [row for row in mark_rows(taken_over(house).snapshot) if row["instrument"] == "EURUSD"]
    assert (shown["price"], shown["suspect"], shown["suspect_ts"]) == (1.2, 2.0, NOON + 1)


def test_notices_keep_their_time_and_what_they_said(house):
    house.marks(EURUSD=1.2)
    house.deal(trade("a"), trade("late", ts=NOON - 60 * SECOND, price="1.3"), trade("a", quantity="5"))
    before = house.engine.snapshot.exceptions
    house.now = LATER
    engine = Engine(WIDER, now=LATER)
    engine.apply([trade("a"), trade("late", ts=NOON - 60 * SECOND, price="1.3")], LATER)
    engine.recall_conflict(trade("a", quantity="5"))
    hand_over(engine, house.engine, lambda one: one, LATER)
    after = engine.publish(LATER).exceptions
    for kind in ("late", "conflict"):
        assert [(item.id, item.ts, item.detail) for item in after[kind]] == [(i.id, i.ts, i.detail) for i in before[kind]]


def test_a_conflict_that_came_while_the_successor_was_built_is_listed_and_one_that_cannot_be_any_more_is_not(house):
    gone = trade("g", instrument="GBPUSD", quantity="9")
    house.deal(trade("a"), trade("g", instrument="GBPUSD"), trade("a", quantity="5"), gone, trade("a", quantity="5"))
    after = taken_over(house, NARROWER, stored=[trade("a")]).snapshot
    assert [item.trade.trade_id for item in after.exceptions["conflict"] if item.trade] == ["a"]
    assert after.counts.conflicts == 3, "as many as have arrived"


def test_a_conflict_that_only_the_store_knew_of_counts_once(house):
    house.deal(trade("a"), trade("a", quantity="5"), trade("a", quantity="5"))
    engine = Engine(WIDER, now=LATER)
    engine.apply([trade("a"), trade("row")], LATER)
    engine.recall_conflict(trade("a", quantity="5"))
    engine.recall_conflict(trade("row", quantity="5"))
    hand_over(engine, house.engine, lambda one: one, LATER)
    assert engine.publish(LATER).counts.conflicts == 3


@pytest.mark.parametrize("read_before", [True, False])
def test_what_was_decided_while_the_successor_was_built_is_decided_there_too(house, read_before):
    early = trade("early", ts=NOON + 3_600 * SECOND)
    house.deal(trade("a"), early, trade("a", quantity="5"))
    listed = house.engine.snapshot.exceptions
    for item in (*listed["conflict"], *listed["quarantined"]):
        house.engine.decide(item, Verdict(item.id, "accept", "", "ops", NOON))
    house.beat()
    stored = [trade("a"), early] if read_before else [trade("a", quantity="5"), early]
    after = taken_over(house, stored=stored).snapshot
    assert after.verdicts == house.engine.snapshot.verdicts
    assert (after.exceptions["conflict"], after.exceptions["quarantined"]) == ((), ())
    for owner in range(len(PARENTS)):
        mine, theirs = after.nodes.state(owner), house.engine.snapshot.nodes.state(owner)
        assert mine.trade_count == theirs.trade_count
        assert {row.quantity for row in mine.positions()} == {row.quantity for row in theirs.positions()}


def test_a_decision_about_a_trade_that_does_not_fit_any_more_is_remembered_and_does_nothing(house):
    house.deal(trade("a", instrument="GBPUSD"), trade("a", instrument="GBPUSD", quantity="5"))
    [item] = house.engine.snapshot.exceptions["conflict"]
    verdict = Verdict(item.id, "accept", "", "ops", NOON)
    house.engine.decide(item, verdict)
    after = taken_over(house, NARROWER).snapshot
    assert after.verdicts == {item.id: verdict}
    assert after.nodes.state(0).trade_count == 0


def test_the_successor_of_a_successor_knows_what_was_decided_before_both(house):
    house.deal(trade("a"), trade("a", quantity="5"))
    [item] = house.engine.snapshot.exceptions["conflict"]
    house.engine.decide(item, Verdict(item.id, "accept", "", "ops", NOON))
    house.beat()
    house.engine = taken_over(house, stored=[trade("a")])
    after = taken_over(house, REFERENCE, stored=[trade("a")]).snapshot
    assert [row.quantity for row in after.nodes.state(0).positions()] == [trade("a", quantity="5").quantity]


def by_hand(price: float, expires_ts: int = NOON + 10**9) -> ManualMark:
    return ManualMark(instrument="EURUSD", ts=NOON, price=price, author="ann", expires_ts=expires_ts)


def test_what_a_person_holds_goes_over_and_what_is_no_longer_held_does_not_come_back(house):
    house.marks(EURUSD=1.2)
    house.quotes.set_by_hand(by_hand(1.5), NOON)
    house.beat()
    mark = taken_over(house, marks={"EURUSD": Mark(1.3, LATER, "file", "quote")}).marks.marks[WIDER.instrument_index["EURUSD"]]
    assert mark is not None and mark.by_hand is not None and mark.lasting is not None
    assert (mark.price, mark.by_hand.author, mark.lasting.price) == (1.5, "ann", 1.2)
    stale = with_manual({}, [by_hand(1.5)], NOON)
    house.quotes.set_by_hand(ManualMark(instrument="EURUSD", ts=NOON, cleared=True), NOON)
    house.beat()
    assert prices(taken_over(house, marks=stale).snapshot) == {"EURUSD": 1.2}


def test_the_trading_day_goes_over_and_with_it_what_waited_for_it(house):
    waits = trade("a", trade_date="2026-03-05")
    house.deal(waits)
    house.engine.set_current_day("2026-03-05", NOON)
    house.engine.publish(NOON)
    after = taken_over(house, stored=[waits]).snapshot
    assert (after.current_day, after.counts.waiting, after.nodes.state(0).trade_count) == ("2026-03-05", 0, 1)
