"""What the state of a close holds, and when it must wait."""

from collections.abc import Iterator

import pytest

from riskengine.records.types import Verdict
from tests.closing_house import BOUNDARY, OLD, STRUCK, TUESDAY, ClosingHouse, kept_house, old
from tests.world import SECOND, cancel


@pytest.fixture
def house(house_url: str) -> Iterator[ClosingHouse]:
    made = ClosingHouse(house_url)
    yield made
    made.store.close()


def test_a_state_waits_until_what_was_noticed_up_to_it_is_stored(house: ClosingHouse) -> None:
    house.store.append_trades([old("t1")])
    house.strike(TUESDAY)
    assert not house.keep(TUESDAY)
    house.notice()
    assert house.keep(TUESDAY)


def test_a_day_without_a_trade_has_no_state(house: ClosingHouse) -> None:
    house.notice()
    house.strike(TUESDAY)
    assert not house.keep(TUESDAY)


def test_what_is_not_done_is_named_and_what_stands_behind_it_in_a_position_too(house: ClosingHouse) -> None:
    """A cancel that came first, a leg that counts, a trade dated ahead, one of after the boundary: all are read again."""
    sent = [
        cancel("parked", received_ts=OLD),
        old("leg", ts=OLD - SECOND, legs=2),
        old("ahead", trade_date="2026-03-04", desk="FX2", dealer="bob"),
        old("late", ts=BOUNDARY + SECOND, received_ts=BOUNDARY + SECOND, desk="EM1", dealer="cy"),
    ]
    state = kept_house(house, *sent).compare().state
    assert state is not None
    assert [trade_id for _, trade_id, _ in state.kept] == ["parked", "leg", "ahead", "late"]
    assert {trade_id for _, trade_id, _ in state.tails} == {f"t{at}" for at in range(6)}, "behind the leg in its position"
    assert (state.watermark, state.frozen, state.frozen_to) == (10, 6, BOUNDARY)


def test_a_trade_on_which_a_person_has_decided_is_read_again_and_follows_the_decision(house: ClosingHouse) -> None:
    future = old("future", ts=OLD + 100 * SECOND)
    house.deliver([future], [(0, "accept")])
    kept_house(house)
    state = house.compare().state
    assert state is not None and [trade_id for _, trade_id, _ in state.kept] == ["future"]
    item_id = house.store.verdicts()[0].id
    house.store.save_verdict(Verdict(item_id, "reject", "", "ann", STRUCK + SECOND))
    house.compare()
    assert house.resumed()[0].snapshot.counts.quarantined == 1


def test_a_few_trades_of_the_last_days_stay_in_memory_for_the_cash_ladder(house: ClosingHouse) -> None:
    house.recent_trades = 100
    state = kept_house(house).compare().state
    assert state is not None and (state.frozen, len(state.kept)) == (0, 6)
