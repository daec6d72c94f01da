"""The deterministic core: outcomes, notices, unknown amounts, snapshots, and the handover to another engine."""

import numpy as np
import pytest

from riskengine.config import Config
from riskengine.engine.engine import CarriedState
from riskengine.records.types import Trade, Verdict
from riskengine.snapshot.digest import digest
from tests import world
from tests.histories import MARKS, assert_same
from tests.world import NOON, REFERENCE, SECOND, House, cancel, trade


@pytest.fixture
def house() -> House:
    return House()


def listed(house: House, kind: str) -> list[str]:
    return [item.id for item in house.engine.snapshot.exceptions.get(kind, ())]


# What becomes of a trade


def test_an_empty_engine_has_published_its_first_snapshot(house):
    assert house.engine.snapshot.seq == 1
    assert house.node()["total_pnl"] == 0.0


def test_nothing_is_visible_before_it_is_published(house):
    before = house.engine.snapshot
    house.engine.apply([trade()], NOON)
    assert house.engine.snapshot is before
    assert house.node()["trade_count"] == 0


def test_outcomes_come_in_the_order_of_the_batch(house):
    batch = [trade(), trade(), trade(price="9"), cancel("t9"), trade(ts=NOON + 3600 * SECOND, trade_id="t2")]
    assert house.deal(*batch) == ["applied", "duplicate", "conflict", "parked", "quarantined"]


def test_outcomes_are_counted(house):
    house.deal(trade(), trade(), trade(price="9"), cancel("t9"), trade("t2", ts=NOON + 3600 * SECOND), trade("t9"))
    counts = house.engine.snapshot.counts
    assert counts[:4] == (1, 1, 1, 1)
    assert (counts.parked, counts.quarantined) == (0, 1)


def test_a_refusal_to_take_part_says_why(house):
    [outcome] = house.engine.apply([trade(ts=NOON + 3600 * SECOND)], NOON)
    assert outcome.reason == "ts is more than 60 s after it was received"


def test_an_amend_to_another_desk_and_instrument_moves_the_position_in_one_snapshot(house):
    house.deal(trade(desk="FX1", instrument="EURUSD"))
    house.deal(trade(action="amend", version=2, desk="EQ1", instrument="ACME"))
    assert (house.node("FX1")["position_count"], house.node("EQ1")["position_count"]) == (0, 1)
    assert house.position("ACME", node="EQ1")["quantity"] == 100.0
    assert house.node()["trade_count"] == 1


def test_an_amend_to_another_dealer_leaves_no_position_with_the_first(house):
    house.deal(trade(dealer="ann"))
    house.deal(trade(action="amend", version=2, dealer="bob"))
    assert house.dealer("bob")["trade_count"] == 1
    with pytest.raises(ValueError, match="not enough values"):
        house.dealer("ann")


def test_a_cancelled_trade_leaves_nothing(house):
    house.marks(EURUSD=1.25)
    before = house.engine.snapshot.nodes.numbers[0].copy()
    house.deal(trade())
    house.deal(cancel())
    assert np.array_equal(house.engine.snapshot.nodes.numbers[0], before)


def test_what_was_processed_outlives_a_flat_position(house):
    house.deal(trade(), trade("t2", side="sell"))
    assert house.deal(trade()) == ["duplicate"]


def test_the_watermark_is_the_highest_store_number_given(house):
    house.engine.apply([trade()], NOON, watermark=7)
    house.engine.apply([trade("t2")], NOON, watermark=5)
    assert house.engine.publish(NOON).watermark == 7


# The work list


def test_a_late_trade_applies_and_is_noticed_with_the_split_before_and_after(house):
    house.marks(EURUSD=4.0)
    house.deal(trade("t2", side="sell", quantity="50", price="3"))
    [outcome] = house.engine.apply([trade("t1", quantity="100", price="2", ts=NOON - 6 * SECOND)], NOON)
    assert (outcome.status, outcome.late) == ("applied", True)
    [notice] = house.engine.publish(NOON).exceptions["late"]
    assert notice.detail == {
        "late_by_s": 6.0,
        "before": {"average_price": 3.0, "realised_pnl": 0.0, "unrealised_pnl": -50.0},
        "after": {"average_price": 2.0, "realised_pnl": 50.0, "unrealised_pnl": 100.0},
    }


def test_inside_the_tolerance_window_a_late_trade_is_routine(house):
    house.deal(trade("t2"))
    [outcome] = house.engine.apply([trade("t1", ts=NOON - 5 * SECOND)], NOON)
    assert not outcome.late
    assert listed(house, "late") == []


def test_a_late_trade_changes_the_split_and_never_the_total(house):
    house.marks(EURUSD=4.0)
    house.deal(trade("t2", side="sell", quantity="50", price="3"), trade("t1", price="2", ts=NOON - 6 * SECOND))
    row = house.position()
    in_order = House()
    in_order.marks(EURUSD=4.0)
    in_order.deal(trade("t1", price="2", ts=NOON - 6 * SECOND), trade("t2", side="sell", quantity="50", price="3"))
    assert row["total_pnl"] == in_order.position()["total_pnl"] == row["realised_pnl"] + row["unrealised_pnl"]


def test_a_conflict_is_listed_with_the_version_that_stands(house):
    house.deal(trade(), trade(price="9"))
    [item] = house.engine.snapshot.exceptions["conflict"]
    assert item.detail == {"stands": trade()}
    assert house.position()["average_price"] == 1.1


def test_a_parked_cancel_is_listed_until_its_trade_comes(house):
    house.deal(cancel())
    assert listed(house, "parked") == ["parked:test:t1:0:2"]
    house.deal(trade())
    assert listed(house, "parked") == []


def test_a_parked_cancel_is_listed_until_an_amend_undoes_it(house):
    house.deal(cancel())
    house.deal(trade(action="amend", version=3))
    assert listed(house, "parked") == []


def test_a_missing_leg_is_listed_until_it_comes(house):
    house.deal(trade(leg=0, legs=2))
    assert listed(house, "unmatched") == ["unmatched:test:t1"]
    house.deal(trade(leg=1, legs=2, side="sell"))
    assert listed(house, "unmatched") == []


def test_the_last_leg_need_not_say_how_many_there_are(house):
    house.deal(trade(leg=0, legs=2))
    house.deal(trade(leg=1, side="sell"))
    assert listed(house, "unmatched") == []


def test_legs_that_come_together_are_in_one_snapshot(house):
    seq = house.engine.snapshot.seq
    house.deal(trade(leg=0, legs=2), trade(leg=1, legs=2, desk="FX2", side="sell"))
    assert house.engine.snapshot.seq == seq + 1
    assert house.position(node="FX2")["quantity"] == -100.0
    assert listed(house, "unmatched") == []


def test_a_forward_booked_as_spot_is_a_forward_and_unpriced_without_points_and_rates(house):
    house.marks(EURUSD=1.25)
    house.deal(trade(value_date="2026-06-08"))
    assert listed(house, "quarantined") == []
    assert house.position("EURUSD@2026-06-08")["total_pnl"] is None
    assert house.node()["unpriced_count"] == 1


# Openings


def test_an_opening_balance_is_part_of_the_position_and_no_trade(house):
    house.engine.open_with([world.opening(quantity="10", average_price="1", realised="3", fees="0.5")])
    house.deal(trade(quantity="10", price="2", side="sell"))
    row = house.position()
    assert (row["realised_pnl_local"], row["quantity"], row["trade_count"], row["fees"]) == (13.0, 0.0, 1, 0.5)


def test_trades_from_before_an_opening_are_kept_out(house):
    house.engine.open_with([world.opening(quantity="10", average_price="1")])
    assert house.deal(trade(ts=NOON - 1), trade("t2", ts=NOON)) == ["quarantined", "applied"]


# Unknown is null


def test_without_a_mark_total_and_unrealised_are_null_and_realised_is_not(house):
    house.deal(trade(instrument="GHOST"))
    row = house.position("GHOST")
    assert [row[name] for name in ("mark", "total_pnl", "unrealised_pnl")] == [None, None, None]
    assert row["realised_pnl"] == pytest.approx(0.0, abs=1e-9)


def test_without_a_rate_amounts_are_null_and_local_ones_are_not(house):
    house.deal(trade(instrument="MAREL", price="400"))
    house.marks(MAREL=410.0)
    row = house.position("MAREL")
    assert [row[name] for name in ("total_pnl", "unrealised_pnl", "realised_pnl")] == [None, None, None]
    assert row["total_pnl_local"] == 1000.0


def test_a_node_sums_its_known_positions_and_counts_the_unknown(house):
    house.deal(trade("t1", instrument="GHOST"), trade("t2", instrument="ACME", quantity="1", price="10"))
    house.marks(ACME=12.0)
    row = house.node("FX1")
    assert (row["total_pnl"], row["unpriced_count"]) == (2.0, 1)


def test_a_node_that_knows_nothing_says_null(house):
    house.deal(trade(instrument="GHOST"))
    row = house.node()
    assert [row[name] for name in ("total_pnl", "unrealised_pnl", "net_exposure")] == [None, None, None]


def test_an_empty_node_has_zero(house):
    house.deal(trade(desk="FX1"))
    assert house.node("EQ1")["total_pnl"] == 0.0


def test_a_flat_position_has_no_average_and_no_break_even(house):
    house.deal(trade("t1"), trade("t2", side="sell", price="1.2"))
    row = house.position()
    assert [row[name] for name in ("quantity", "average_price", "breakeven_price")] == [0.0, None, None]


# Prices


def test_two_identical_ticks_change_nothing(house):
    house.deal(trade())
    before = house.marks(EURUSD=1.25).nodes.numbers[0]
    assert np.array_equal(house.marks(EURUSD=1.25).nodes.numbers[0], before)


def test_a_beat_without_news_changes_nothing_a_reader_sees(house):
    house.marks(EURUSD=1.25)
    assert house.engine.beat({}, NOON + SECOND) is False


def test_a_beat_in_which_a_mark_goes_stale_is_news(house):
    house.marks(EURUSD=1.25)
    assert house.engine.beat({}, NOON + 61 * SECOND) is True


def test_a_snapshot_says_when_a_trade_last_changed_it(house):
    house.deal(trade())
    seq = house.engine.snapshot.seq
    assert house.marks(EURUSD=1.25).trade_seq == seq
    house.deal(trade())
    assert house.engine.snapshot.trade_seq == seq


def test_marks_in_force_between_a_trade_and_its_publication_count_for_it(house):
    house.engine.apply([trade(instrument="ACME", quantity="1", price="10")], NOON)
    house.marks(ACME=12.0)
    assert house.node()["total_pnl"] == 2.0
    house.engine.check()


def test_the_same_events_give_the_same_snapshots():
    def digests() -> list[tuple[str, bytes]]:
        house, found = House(), []
        for place, symbol in enumerate(MARKS):
            house.deal(trade(f"t{place}", instrument=symbol, ts=NOON + place))
            snapshot = house.marks(**{symbol: MARKS[symbol]})
            found.append((digest(snapshot), snapshot.nodes.numbers[0].tobytes()))
        return found

    assert digests() == digests()


def test_a_start_from_stored_trades_and_marks_shows_the_same_pnl():
    flow = [trade(f"t{n}", ts=NOON - n * SECOND, instrument=symbol, quantity="7") for n, symbol in enumerate(MARKS)]
    lived = House()
    lived.deal(*flow)
    lived.marks(**MARKS)
    started = House()
    marks = world.as_restored({s: m for s, m in zip(REFERENCE.symbols, lived.engine.marks.marks, strict=True) if m})
    started.engine.marks.restore(marks)
    started.engine.beat({}, NOON)
    started.deal(*flow)
    assert_same(started.engine.snapshot, lived.engine.snapshot)


# Handover to another engine


def unchanged(one: Trade) -> Trade:
    return one


def test_the_state_to_carry_is_what_the_store_does_not_record(house):
    house.engine.apply([trade(), trade(), trade(price="9"), trade("late", ts=NOON - 60 * SECOND)], NOON, watermark=7)
    snapshot = house.engine.publish(NOON)
    [conflict], [late] = snapshot.exceptions["conflict"], snapshot.exceptions["late"]
    verdict = Verdict(conflict.id, "reject", "", "ops", NOON)
    house.engine.decide(conflict, verdict)
    state = house.engine.state_to_carry()
    assert state[:6] == (snapshot.seq, 7, NOON, 2, 1, 1)
    assert state.notices == ({late.id: late}, {conflict.id: conflict}, {})
    assert state.decided == ((conflict, verdict),)


def test_a_state_to_carry_does_not_change_when_its_engine_goes_on(house):
    house.deal(trade(), trade(price="9"))
    state = house.engine.state_to_carry()
    house.deal(trade("t2"), trade("t2", price="9"))
    assert (len(state.notices.conflicts), state.conflicts, state.seq) == (1, 1, house.engine.snapshot.seq - 1)


def test_an_engine_that_carries_on_has_the_same_state_to_carry_and_the_next_seq(house):
    trades = [trade(), trade("late", ts=NOON - 60 * SECOND)]
    house.engine.apply([*trades, trade(), trade(price="9"), trade(price="9")], NOON, watermark=7)
    [conflict] = house.engine.publish(NOON).exceptions["conflict"]
    house.engine.decide(conflict, Verdict(conflict.id, "accept", "", "ops", NOON))
    house.engine.publish(NOON)
    state = house.engine.state_to_carry()
    successor = House(now=NOON + SECOND)
    successor.deal(*trades)
    successor.engine.carry_on(state, unchanged)
    assert successor.engine.state_to_carry() == state
    snapshot = successor.engine.publish(NOON + SECOND)
    assert (snapshot.seq, snapshot.trade_seq) == (state.seq + 1, state.seq + 1)
    assert snapshot.verdicts == house.engine.snapshot.verdicts
    assert successor.position() == house.position(), "the accepted conflict stands"


def test_a_notice_whose_trade_does_not_fit_the_reference_data_any_more_is_not_carried_on(house):
    house.deal(trade(), trade(price="9"))
    successor = House()
    successor.engine.carry_on(house.engine.state_to_carry(), lambda _: None)
    assert successor.engine.publish(NOON).exceptions["conflict"] == ()
    assert successor.engine.snapshot.counts.conflicts == 1, "as many as have arrived"


def test_watermark_and_last_trade_of_an_engine_that_is_ahead_are_its_own(house):
    house.engine.apply([trade()], NOON, watermark=9)
    house.engine.carry_on(CarriedState(5, 3, NOON - 1, 0, 0, 0, 0, House().engine.state_to_carry().notices, (), ""), unchanged)
    snapshot = house.engine.publish(NOON)
    assert (snapshot.seq, snapshot.watermark, snapshot.last_trade_at) == (6, 9, NOON)


# Self-audit


def test_the_check_finds_numbers_that_are_not_those_of_a_full_revaluation(house):
    house.marks(EURUSD=1.25)
    house.deal(trade())
    desk, pair = REFERENCE.hierarchy.index["FX1"], REFERENCE.instrument_index["EURUSD"]
    house.engine._organisation.valuation._pairs.set(desk, pair, (1.0, 1.0, 0.0, 0.0, 1.0, 1.0))
    with pytest.raises(AssertionError, match="full revaluation"):
        house.engine.check()


def test_the_reporting_currency_is_that_of_the_reference_data():
    house = House(world.reference(reporting_currency="EUR"), Config())
    house.deal(trade(instrument="EURUSD", quantity="100", price="1"))
    house.marks(EURUSD=1.25)
    assert house.node()["total_pnl"] == pytest.approx(25 / 1.25)
