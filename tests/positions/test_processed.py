"""Identity, versions and quarantine: the rules of ACCOUNTING section 2."""

import datetime as dt
import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import EngineConfig
from riskengine.positions.processed import Processed
from riskengine.positions.quarantine import Quarantine
from riskengine.records.types import Identity, Trade
from tests import world
from tests.world import NOON, SECOND, cancel, trade

NEW_YORK = ZoneInfo("America/New_York")
KEY = ("test", "t1", 0)


def amend(version: int = 2, **columns: Any) -> Trade:
    return trade(action="amend", version=version, **columns)


def admit_all(*trades: Trade) -> tuple[Processed, list[str]]:
    processed = Processed()
    return processed, [processed.admit(one).status for one in trades]


# Versions


def test_a_new_trade_is_applied():
    processed = Processed()
    new = trade()
    assert processed.admit(new) == ("applied", None, new, None)


def test_the_same_again_is_a_duplicate_and_changes_nothing():
    processed, statuses = admit_all(trade(), trade(received_ts=NOON + SECOND))
    assert statuses == ["applied", "duplicate"]
    assert len(processed.versions(KEY)) == 1


def test_another_booking_time_alone_is_still_a_duplicate():
    _, statuses = admit_all(trade(booked_ts=NOON), trade(booked_ts=NOON + SECOND))
    assert statuses[-1] == "duplicate"


def test_numbers_compare_by_value_not_by_text():
    _, statuses = admit_all(trade(price="1.10", fees="0"), trade(price="1.1"))
    assert statuses[-1] == "duplicate"


@pytest.mark.parametrize(
    "column",
    [
        {"ts": NOON + 1},
        {"source_seq": 1},
        {"instrument": "GBPUSD"},
        {"desk": "FX2"},
        {"dealer": "bob"},
        {"side": "sell"},
        {"quantity": "101"},
        {"price": "1.2"},
        {"fees": "1"},
        {"fees_currency": "EUR"},
        {"value_date": "2026-03-06"},
        {"trade_date": "2026-03-04"},
        {"contra_amount": "110"},
        {"legs": 2},
        {"action": "amend", "version": 1},
    ],
    ids=lambda column: next(iter(column)),
)
def test_every_other_column_is_economics(column):
    _, statuses = admit_all(trade(), trade(**column))
    assert statuses[-1] == "conflict"


def test_a_conflict_names_the_version_that_stands():
    processed = Processed()
    first = trade()
    processed.admit(first)
    decision = processed.admit(trade(price="9"))
    assert decision == ("conflict", None, None, first)
    assert processed.effective(KEY) is first


def test_of_a_cancel_only_the_action_counts():
    _, statuses = admit_all(trade(), cancel(), cancel(desk="FX1", ts=NOON))
    assert statuses == ["applied", "applied", "duplicate"]


def test_a_cancel_against_an_amend_of_the_same_version_is_a_conflict():
    _, statuses = admit_all(trade(), cancel(version=2), amend(2))
    assert statuses[-1] == "conflict"


def test_an_amend_replaces_the_trade():
    processed = Processed()
    old, new = trade(), amend()
    processed.admit(old)
    assert processed.admit(new) == ("applied", old, new, None)


def test_an_amend_applies_at_once_even_if_nothing_came_before_it():
    processed, statuses = admit_all(amend(3), trade())
    assert statuses == ["applied", "superseded"]
    assert processed.effective(KEY) == amend(3)


def test_a_lower_version_that_comes_later_is_superseded_and_takes_nothing_out():
    processed = Processed()
    processed.admit(amend(3))
    assert processed.admit(amend(2)) == ("superseded", None, None, None)


def test_a_cancel_takes_the_trade_out():
    processed = Processed()
    old = trade()
    processed.admit(old)
    assert processed.admit(cancel()) == ("applied", old, None, None)
    assert processed.effective(KEY) is None


def test_an_amend_may_undo_a_cancel():
    processed, statuses = admit_all(trade(), cancel(), amend(3))
    assert statuses == ["applied"] * 3
    assert processed.effective(KEY) == amend(3)


def test_a_cancel_without_its_trade_is_parked():
    processed, statuses = admit_all(cancel())
    assert statuses == ["parked"]
    assert list(processed.parked) == [KEY]


def test_the_original_of_a_parked_cancel_is_superseded_and_the_cancel_stands():
    processed, statuses = admit_all(cancel(), trade())
    assert statuses == ["parked", "superseded"]
    assert processed.parked == {}
    assert processed.effective(KEY) is None


def test_legs_of_one_deal_are_trades_of_their_own():
    _, statuses = admit_all(trade(leg=0), trade(leg=1, side="sell"))
    assert statuses == ["applied", "applied"]


def test_sources_number_their_trades_apart():
    _, statuses = admit_all(trade(source="a"), trade(source="b", price="9"))
    assert statuses == ["applied", "applied"]


@pytest.mark.parametrize("top", [amend(3), cancel(version=3)], ids=["amend", "cancel"])
def test_every_order_of_arrival_leaves_the_same_version_standing(top):
    for order in itertools.permutations([trade(), amend(2, price="2"), top]):
        held: Trade | None = None
        processed = Processed()
        for version in order:
            decision = processed.admit(version)
            assert decision.removed is None or decision.removed is held
            held = decision.added if decision.added or decision.removed else held
        expected = None if top.action == "cancel" else top
        assert held is processed.effective(KEY) is expected


# Quarantined versions


def test_a_quarantined_version_takes_no_part_and_the_one_before_it_stands():
    processed = Processed()
    old = trade()
    processed.admit(old)
    assert processed.admit(amend(), "a reason") == ("quarantined", None, None, None)
    assert processed.effective(KEY) is old


def test_a_lower_version_applies_under_a_quarantined_one():
    processed = Processed()
    processed.admit(amend(2), "a reason")
    old = trade()
    assert processed.admit(old) == ("applied", None, old, None)


def test_a_quarantined_version_is_remembered_as_processed():
    processed = Processed()
    processed.admit(trade(), "a reason")
    assert processed.admit(trade()).status == "duplicate"


# Legs


def test_a_leg_alone_applies_and_the_missing_one_is_listed():
    processed, statuses = admit_all(trade(leg=0, legs=2))
    assert statuses == ["applied"]
    assert processed.unmatched == {("test", "t1"): (1, 2)}


def test_the_last_leg_takes_the_deal_off_the_list():
    processed, _ = admit_all(trade(leg=0, legs=2), trade(leg=1, legs=2))
    assert processed.unmatched == {}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_leg_need_not_say_how_many_there_are(order):
    legs = [trade(leg=0, legs=2), trade(leg=1)]
    processed, _ = admit_all(*(legs[n] for n in order))
    assert processed.unmatched == {}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_how_many_legs_there_are_is_what_the_highest_version_says(order):
    versions = [trade(legs=3), amend(2, legs=2)]
    processed, _ = admit_all(*(versions[n] for n in order))
    assert processed.unmatched == {("test", "t1"): (1, 2)}


def test_a_cancelled_leg_has_come():
    processed, _ = admit_all(trade(leg=0, legs=2), trade(leg=1, legs=2), cancel(leg=1))
    assert processed.unmatched == {}


# Versions that take part, and versions restored by a repair


def memory(processed: Processed) -> tuple[object, ...]:
    """Everything remembered, without the order of arrival."""
    versions = {identity: processed.versions(identity) for identity in ALL_LEGS}
    kept_out = (processed.parked, processed.quarantined, processed.unmatched, processed.inert)
    return versions, *kept_out, len(processed), processed._legs


ALL_LEGS = [("test", "t1", leg) for leg in range(3)]
some_versions = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(1, 3), st.sampled_from(["new", "cancel"]), st.sampled_from([None, 2, 3]), st.booleans()
    ),
    max_size=7,
    unique_by=lambda one: one[:2],
)


def judged(rows: list[tuple[int, int, str, int | None, bool]]) -> list[tuple[Trade, str]]:
    return [
        (trade(leg=leg, version=version, action=action, legs=legs), "a reason" if kept_out else "")
        for leg, version, action, legs, kept_out in rows
    ]


@given(some_versions, some_versions)
def test_restored_versions_are_remembered_as_if_they_had_come(before, stored):
    processed, expected = Processed(), Processed()
    for one, reason in judged(before):
        processed.admit(one, reason)
    for one, reason in judged(stored):
        expected.admit(one, reason)
    for identity in ALL_LEGS:
        processed.restore(Identity(*identity), [(one, why) for one, why in judged(stored) if one.identity == identity])
    assert memory(processed) == memory(expected)


@given(some_versions)
def test_every_identity_is_either_standing_or_inert(rows):
    processed = Processed()
    for one, reason in judged(rows):
        processed.admit(one, reason)
    standing = {one.identity: one for one in processed.standing_trades()}
    effective = {identity: processed.effective(identity) for identity in ALL_LEGS}
    assert standing == {identity: one for identity, one in effective.items() if one is not None}
    assert {*standing, *processed.inert} == {one.identity for one, _ in judged(rows)}
    assert len(standing) + len(processed.inert) == len(processed)


def test_only_the_very_record_that_takes_part_stands():
    old, new = trade(), amend()
    processed, _ = admit_all(old)
    assert processed.stands(old)
    assert not processed.stands(trade())
    processed.admit(new)
    assert (processed.stands(old), processed.stands(new)) == (False, True)
    processed.admit(cancel(version=3))
    assert not processed.stands(new)


def test_a_quarantined_version_does_not_stand_nor_one_that_was_never_seen():
    kept_out = trade()
    processed = Processed()
    assert not processed.stands(kept_out)
    processed.admit(kept_out, "a reason")
    assert not processed.stands(kept_out)


# Why a trade is kept out


def quarantine(**settings: Any) -> Quarantine:
    return Quarantine(world.REFERENCE.by_symbol, EngineConfig(**settings))


@pytest.mark.parametrize(("ahead", "kept_out"), [(60 * SECOND, False), (60 * SECOND + 1, True)])
def test_a_trade_more_than_a_minute_ahead_of_its_receipt_is_kept_out(ahead, kept_out):
    assert bool(quarantine().reason(trade(ts=NOON + ahead, received_ts=NOON))) is kept_out


def test_a_trade_may_be_as_old_as_it_likes():
    assert quarantine().reason(trade(ts=NOON - 10**6 * SECOND, received_ts=NOON)) == ""


@pytest.mark.parametrize(("before", "kept_out"), [(1, True), (0, False)])
def test_a_trade_from_before_its_opening_balance_is_part_of_it_already(before, kept_out):
    rules = quarantine()
    rules.open_with(world.opening(ts=NOON))
    assert bool(rules.reason(trade(ts=NOON - before))) is kept_out


def test_an_opening_balance_concerns_its_own_dealer_only():
    rules = quarantine()
    rules.open_with(world.opening(ts=NOON, dealer="bob"))
    assert rules.reason(trade(ts=NOON - 1)) == ""


def test_a_cancel_is_never_older_than_an_opening():
    rules = quarantine()
    rules.open_with(world.opening(ts=NOON))
    assert rules.reason(cancel(ts=NOON - 1, desk="FX1", dealer="ann", instrument="EURUSD")) == ""


def at(text: str) -> int:
    """A moment of New York's clock."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND


def reason(text: str, value_date: str, instrument: str = "EURUSD", **columns: Any) -> str:
    ts = at(text)
    return quarantine().reason(trade(ts=ts, received_ts=ts, value_date=value_date, instrument=instrument, **columns))


def placed(text: str, value_date: str, instrument: str) -> str:
    ts = at(text)
    return quarantine().place(trade(ts=ts, received_ts=ts, value_date=value_date, instrument=instrument)).instrument


@pytest.mark.parametrize(
    ("traded", "value_date", "instrument"),
    [
        pytest.param("2026-03-02T10:00", "2026-03-04", "EURUSD", id="Monday, two days"),
        pytest.param("2026-03-05T10:00", "2026-03-09", "EURUSD", id="Thursday over the weekend"),
        pytest.param("2026-03-02T10:00", "2026-03-03", "USDCAD", id="dollar-Canada, one day"),
        pytest.param("2026-03-06T10:00", "2026-03-09", "USDCAD", id="dollar-Canada over the weekend"),
        pytest.param("2026-03-07T10:00", "2026-03-11", "EURUSD", id="a Saturday is Monday's day"),
        pytest.param("2026-03-02T17:00", "2026-03-05", "EURUSD", id="five o'clock is tomorrow"),
        pytest.param("2026-03-06T17:00", "2026-03-11", "EURUSD", id="Friday at five is Monday"),
        pytest.param("2026-04-01T10:00", "2026-04-07", "EURUSD", id="over Easter"),
        pytest.param("2026-03-02T10:00", "2026-06-02", "ESZ6", id="other kinds have their own settlement"),
    ],
)
def test_a_spot_value_date_takes_part(traded, value_date, instrument):
    assert reason(traded, value_date, instrument) == ""


@pytest.mark.parametrize(
    ("traded", "value_date", "instrument"),
    [
        pytest.param("2026-03-02T10:00", "2026-06-04", "EURUSD", id="three months"),
        pytest.param("2026-03-02T10:00", "2026-03-09", "EURUSD", id="one week"),
        pytest.param("2026-03-02T10:00", "2026-03-06", "EURUSD", id="two days past spot"),
        pytest.param("2026-03-02T10:00", "2026-03-03", "EURUSD", id="tomorrow"),
        pytest.param("2026-03-02T10:00", "2026-03-02", "USDCAD", id="today"),
        pytest.param("2026-03-02T17:00", "2026-03-04", "EURUSD", id="after five the day before is not spot"),
    ],
)
def test_any_other_value_date_is_a_forward(traded, value_date, instrument):
    assert reason(traded, value_date, instrument) == ""
    assert placed(traded, value_date, instrument) == f"{instrument}@{value_date}"


@pytest.mark.parametrize(
    ("value_date", "instrument", "fault"),
    [
        pytest.param("2026-03-07", "EURUSD", "is a Saturday", id="a weekend"),
        pytest.param("2026-12-25", "EURUSD", "is a holiday in EUR and USD", id="a holiday in both"),
        pytest.param("2026-05-01", "EURUSD", "is a holiday in EUR", id="a holiday in one"),
        pytest.param("2026-02-27", "EURUSD", "is before the trade (2026-03-02)", id="before the trade"),
    ],
)
def test_a_value_date_on_which_no_market_pays_keeps_a_trade_out(value_date, instrument, fault):
    assert reason("2026-03-02T10:00", value_date, instrument) == f"value_date {value_date} {fault}"
    assert placed("2026-03-02T10:00", value_date, instrument) == instrument


def test_a_trade_that_was_placed_is_placed_anew_where_a_person_accepts_it_as_spot():
    rules, ts = quarantine(), at("2026-03-02T10:00")
    forward = rules.place(trade(ts=ts, received_ts=ts, value_date="2026-06-04"))
    assert forward.instrument == "EURUSD@2026-06-04"
    rules.note_verdict("quarantined:test:t1:0:1", "accept")
    assert rules.place(forward).instrument == "EURUSD"


def test_the_source_s_trade_date_overrides_the_derived_day():
    assert reason("2026-03-02T18:00", "2026-03-04", trade_date="2026-03-02") == ""


def test_the_value_date_of_a_cancel_does_not_matter():
    assert quarantine().reason(cancel(value_date="2030-01-01")) == ""


def test_the_boundary_of_the_day_is_a_setting():
    rules = quarantine(day_boundary="00:00", day_zone="Europe/London")
    ts = at("2026-03-02T18:59")
    assert rules.reason(trade(ts=ts, received_ts=ts, value_date="2026-03-05")) == ""
    assert rules.place(trade(ts=ts, received_ts=ts, value_date="2026-03-05")).instrument == "EURUSD"
    assert rules.place(trade(ts=ts, received_ts=ts, value_date="2026-03-04")).instrument == "EURUSD@2026-03-04"
