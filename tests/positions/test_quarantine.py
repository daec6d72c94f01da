"""Trades that wait for their day: which do, and what a day brings in, as for an engine that starts on it."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import EngineConfig
from riskengine.engine.engine import Engine
from riskengine.market.trading_day import TradingDay
from riskengine.positions.quarantine import Quarantine, is_waiting
from riskengine.records.reference import Reference
from riskengine.records.rules import OPTION_CUTS, TRADE_DATE_WAITS
from riskengine.records.types import EXERCISE_SOURCE, Trade, Verdict
from riskengine.snapshot.digest import digest
from tests import world
from tests.optioned import option
from tests.world import NOON, REFERENCE, SECOND, House, cancel, trade

DAYS = ("2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06", "2026-03-09")
TODAY = DAYS[1]
"""NOON's day."""
DAY = 86_400 * SECOND


def rules(day: str = TODAY, starts: dict[str, int] | None = None) -> Quarantine:
    return Quarantine(REFERENCE.by_symbol, EngineConfig(), None, starts or {}, day)


@pytest.mark.parametrize(
    ("date", "waits"), [("", False), (DAYS[0], False), (TODAY, False), (DAYS[2], True), ("2031-01-01", True)]
)
def test_a_trade_that_is_dated_after_the_current_day_waits(date: str, waits: bool) -> None:
    reason = rules().reason(trade(trade_date=date))
    assert reason == (f"waits for its trade_date {date}" if waits else "")
    assert is_waiting(reason) is waits


def test_no_trade_waits_where_no_day_is_known() -> None:
    assert rules("").reason(trade(trade_date="2031-01-01")) == ""


def test_what_a_person_must_decide_comes_first_and_an_accepted_trade_waits_all_the_same() -> None:
    ahead = trade(trade_date=DAYS[2], ts=NOON + 3_600 * SECOND)
    keeping = rules()
    assert keeping.reason(ahead) == "ts is more than 60 s after it was received"
    keeping.accepted.add("quarantined:test:t1:0:1")
    assert is_waiting(keeping.reason(ahead))
    keeping.current_day = DAYS[2]
    assert keeping.reason(ahead) == ""


@pytest.mark.parametrize(("received", "waits"), [(NOON - 1, False), (NOON, True)])
def test_what_was_received_before_the_rule_came_counts_early(received: int, waits: bool) -> None:
    judged = rules(starts={TRADE_DATE_WAITS: NOON})
    early = trade(trade_date=DAYS[2], received_ts=received, ts=received)
    assert (is_waiting(judged.reason(early)), judged.counts_early(early)) == (waits, not waits)


def test_the_reasons_of_a_batch_are_those_of_its_trades() -> None:
    batch = [trade(str(place), trade_date=date) for place, date in enumerate(("", *DAYS))]
    for keeping in (rules(), rules("")):
        each = {place: reason for place, one in enumerate(batch) if (reason := keeping.reason(one))}
        assert keeping.reasons(batch) == each


def listed(house: House, kind: str = "waiting") -> list[str]:
    return [item.id for item in house.engine.snapshot.exceptions[kind]]


def begin(house: House, day: str) -> int:
    begun = house.engine.set_current_day(day, house.now)
    house.engine.publish(house.now)
    return begun


def test_a_day_that_begins_brings_in_what_waited_for_it_and_no_more() -> None:
    house = House()
    assert house.deal(trade("a"), trade("b", trade_date=DAYS[2]), trade("c", trade_date=DAYS[3])) == [
        "applied",
        "quarantined",
        "quarantined",
    ]
    counts = house.engine.snapshot.counts
    assert (counts.quarantined, counts.waiting, house.position()["quantity"]) == (0, 2, 100.0)
    assert listed(house) == ["waiting:test:b:0:1", "waiting:test:c:0:1"] and not listed(house, "quarantined")
    assert (begin(house, TODAY), begin(house, DAYS[0])) == (0, 0)
    assert begin(house, DAYS[2]) == 1
    assert (house.position()["quantity"], listed(house)) == (200.0, ["waiting:test:c:0:1"])
    assert begin(house, "2026-04-01") == 1
    assert (house.position()["quantity"], listed(house), house.engine.snapshot.counts.waiting) == (300.0, [], 0)
    house.engine.check()


def test_an_amend_that_waits_leaves_the_version_before_it_until_then() -> None:
    house = House()
    house.deal(trade("a"), trade("a", version=2, action="amend", desk="FX2", quantity="7", trade_date=DAYS[2]))
    assert house.position()["quantity"] == 100.0
    begin(house, DAYS[2])
    assert (house.position(node="FX2")["quantity"], house.node("FX1")["position_count"]) == (7.0, 0)


def test_a_cancelled_trade_waits_no_more() -> None:
    house = House()
    house.deal(trade("a", trade_date=DAYS[2]), cancel("a"))
    assert (listed(house), house.engine.snapshot.counts.waiting) == ([], 0)
    assert begin(house, DAYS[2]) == 1 and house.node()["trade_count"] == 0


def test_the_clock_begins_a_day_once_the_tolerance_is_over() -> None:
    house = House()
    house.deal(trade("a", trade_date=DAYS[2]))
    close = TradingDay.of(EngineConfig()).close_of(dt.date.fromisoformat(TODAY))
    for now, quantity in ((close, 0), (close + 5 * SECOND - 1, 0), (close + 5 * SECOND, 1)):
        assert house.engine.beat({}, now) is bool(quantity)
        assert house.engine.publish(now).counts.waiting == 1 - quantity
    assert house.engine.snapshot.current_day == DAYS[2]


# An engine of any day agrees with one that was there


columns = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from("abc"),
        "version": st.integers(1, 3),
        "desk": st.sampled_from(["FX1", "FX2"]),
        "quantity": st.sampled_from(["5", "7"]),
        "trade_date": st.sampled_from(["", *DAYS]),
        "ts": st.sampled_from([NOON - 9 * SECOND, NOON, NOON + 700 * SECOND]),
        "cancels": st.booleans(),
    }
)


def made(sent: dict[str, Any]) -> Trade:
    cancels, version = sent["cancels"] and sent["version"] > 1, sent["version"]
    if cancels:
        return cancel(sent["trade_id"], version)
    told = {name: value for name, value in sent.items() if name != "cancels"}
    return trade(**told, action="new" if version == 1 else "amend", received_ts=NOON)


@given(st.lists(st.one_of(columns, st.sampled_from(DAYS), st.just("accept")), max_size=14))
def test_an_engine_that_saw_the_days_begin_agrees_with_one_that_starts_on_the_last(events: list[Any]) -> None:
    live = House()
    kept: list[Trade] = []
    verdicts: list[Verdict] = []
    for event in events:
        if event == "accept":
            for item in live.engine.snapshot.exceptions["quarantined"]:
                verdicts.append(Verdict(item.id, "accept", "", "ann", NOON))
                live.engine.decide(item, verdicts[-1])
            live.engine.publish(NOON)
        elif isinstance(event, str):
            begin(live, event)
        else:
            one = made(event)
            if live.deal(one) not in (["conflict"], ["duplicate"]):
                kept.append(one)
    day = live.engine.quarantine.current_day
    for batch in (lambda engine: engine.apply(kept, NOON), lambda engine: [engine.apply([one], NOON) for one in kept]):
        started = Engine(REFERENCE, world.config(), now=NOON, current_day=day)
        started.recall_verdicts(verdicts)
        batch(started)
        started.publish(NOON)
        assert digest(started.snapshot) == digest(live.engine.snapshot)
        kept_out = [
            {item.id for item in engine.snapshot.exceptions[kind]}
            for kind in ("waiting", "quarantined")
            for engine in (started, live.engine)
        ]
        assert kept_out[0] == kept_out[1] and kept_out[2] == kept_out[3]
    live.engine.check()


def test_what_counts_early_is_listed_as_of_an_older_rule_until_its_day() -> None:
    parents, rows = world.PARENTS, world.INSTRUMENTS
    where = Reference(world.nodes(parents), world.instruments(rows), "USD", {TRADE_DATE_WAITS: NOON})
    house = House(where)
    early = trade("a", trade_date=DAYS[2], received_ts=NOON - 1, ts=NOON - 1, where=where)
    assert house.deal(early, trade("b", trade_date=DAYS[2], where=where)) == ["applied", "quarantined"]
    assert listed(house, "older_rule") == ["older_rule:test:a:0:1"]
    begin(house, DAYS[2])
    assert (listed(house, "older_rule"), house.position()["quantity"]) == ([], 200.0)


OPTIONS = Reference(
    world.nodes(),
    world.instruments((*world.INSTRUMENTS, option("C1", "EUR", "USD", "1.1", expiry="2026-03-04"))),
    "USD",
)
CUT = NOON + 3 * 3_600 * SECOND
"""10:00 in New York, 15:00 UTC."""


def option_trade(ts: int, trade_id: str = "t1", **columns: Any) -> Trade:
    received = columns.pop("received_ts", ts)
    return trade(trade_id, where=OPTIONS, instrument="C1", price="0.01", ts=ts, received_ts=received, **columns)


def option_rules(starts: dict[str, int] | None = None) -> Quarantine:
    return Quarantine(OPTIONS.by_symbol, EngineConfig(), None, starts or {}, TODAY)


def test_a_trade_of_after_the_cut_of_its_option_is_kept_out_until_a_person_lets_it_in() -> None:
    judged, late = option_rules(), option_trade(CUT + 1)
    assert judged.reason(option_trade(CUT)) == ""
    assert judged.reason(late) == (
        "ts is after its option's cut: C1 had expired (2026-03-04 15:00:00 UTC);"
        " what books an exercise or an assignment is dated at the cut"
    )
    assert judged.reasons([option_trade(CUT), late, trade(ts=CUT + 1, received_ts=CUT + 1)]) == {1: judged.reason(late)}
    judged.accepted.add("quarantined:test:t1:0:1")
    assert judged.reason(late) == ""


def test_what_the_engine_booked_and_a_cancel_are_never_too_late_for_an_option() -> None:
    judged = option_rules()
    assert judged.reason(option_trade(CUT + 1, source=EXERCISE_SOURCE, store_seq=0)) == ""
    assert judged.reason(option_trade(CUT + 1, action="cancel", version=2)) == ""


def test_what_was_received_before_the_rule_of_cuts_came_counts_and_is_told() -> None:
    judged, ts = option_rules({OPTION_CUTS: CUT + 5}), CUT + 1
    older, newer = option_trade(ts, received_ts=CUT + 4), option_trade(ts, received_ts=CUT + 5)
    assert (judged.reason(older), judged.older_after_cut(newer)) == ("", "")
    assert judged.older_after_cut(older) == judged.reason(newer) != ""


def test_an_engine_keeps_out_what_is_dated_after_a_cut_and_a_start_does_too() -> None:
    trades = [
        option_trade(NOON, "early"),
        option_trade(CUT + SECOND, "late"),
        option_trade(CUT - SECOND, "reported", received_ts=CUT + 2),
    ]
    live, start = House(OPTIONS, now=NOON), House(OPTIONS, now=CUT + 9 * SECOND)
    assert [live.deal(each) for each in trades] == [["applied"], ["quarantined"], ["applied"]]
    assert start.deal(*trades) == ["applied", "quarantined", "applied"]
    assert digest(live.engine.snapshot) == digest(start.engine.snapshot)
