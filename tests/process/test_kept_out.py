"""Trades that the positions leave out are warnings with their number and since when, until a person decides."""

import asyncio

import pytest

from riskengine.alerts import Warnings
from riskengine.clock import ManualClock
from riskengine.process.kept_out import KeptOut
from riskengine.records.types import Verdict
from tests.world import NOON, SECOND, House, cancel, trade

FUTURE = NOON + 3_600 * SECOND


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def warnings() -> Warnings:
    return Warnings(ManualClock(NOON + 9))


@pytest.fixture
def kept_out(warnings: Warnings) -> KeptOut:
    return KeptOut(warnings)


def look(kept_out: KeptOut, house: House) -> None:
    asyncio.run(kept_out.warn_about(house.engine.snapshot))


def test_each_kind_says_how_many_since_when_and_the_oldest(house: House, warnings: Warnings, kept_out: KeptOut) -> None:
    late, early = trade("q2", ts=FUTURE, received_ts=NOON + SECOND), trade("q1", ts=FUTURE, received_ts=NOON)
    house.deal(late, early, cancel("gone", received_ts=NOON), trade("c"), trade("c", price="2"), trade("leg", legs=2))
    look(kept_out, house)
    rows = {row["kind"]: row for row in warnings.rows()}
    assert list(rows) == ["quarantined", "parked", "conflict", "unmatched"]
    assert rows["quarantined"]["text"].startswith(
        "2 trades are quarantined, since 2026-03-04 12:00:00 UTC (the oldest is q1: ts is more than 60 s after it was received)"
    )
    assert "riskengine exceptions --kind quarantined" in rows["quarantined"]["text"]
    assert {row["since"] for row in rows.values()} == {NOON}
    assert rows["parked"]["text"].startswith("1 cancel waits for its trade")
    assert rows["unmatched"]["text"].startswith("1 deal lacks legs, since 2026-03-04 12:00:00 UTC (the oldest is leg: 1 of 2")


def test_what_is_no_longer_kept_out_warns_no_more(house: House, warnings: Warnings, kept_out: KeptOut) -> None:
    house.deal(cancel("a"), trade("leg", legs=2))
    look(kept_out, house)
    assert set(warnings) == {"parked", "unmatched"}
    house.deal(trade("a"), trade("leg", leg=1, legs=2))
    look(kept_out, house)
    assert not warnings


def test_what_a_person_has_decided_is_out_on_purpose(house: House, warnings: Warnings, kept_out: KeptOut) -> None:
    house.deal(trade("a", ts=FUTURE), trade("b", ts=FUTURE))
    for name, verdict in (("a", "reject"), ("b", "")):
        [item] = [each for each in house.engine.snapshot.exceptions["quarantined"] if each.trade and each.trade.trade_id == name]
        house.engine.decide(item, Verdict(item.id, verdict, "typo", "ops", NOON))
    house.engine.publish(NOON)
    look(kept_out, house)
    assert warnings["quarantined"].startswith("1 trade is quarantined")


def test_rows_that_are_no_trades_and_positions_set_aside_have_warnings_of_their_own(
    house: House, warnings: Warnings, kept_out: KeptOut
) -> None:
    house.deal(trade("a"))
    house.engine.quarantine_row(7, NOON, "desk: unknown desk 'X'")
    house.engine.set_aside_key(("node", "FX1", "EURUSD"), "broken", NOON)
    house.engine.publish(NOON)
    look(kept_out, house)
    assert not warnings


def test_a_time_that_another_program_made_up_is_no_trouble(house: House, warnings: Warnings, kept_out: KeptOut) -> None:
    house.deal(cancel("a", received_ts=2**62))
    look(kept_out, house)
    assert "2199" in warnings["parked"]
