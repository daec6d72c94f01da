"""Limits judged snapshot by snapshot: warnings, breaches, their worst and their end, and what is unknown."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.limits.judge import STATES, Judge, Judgement
from riskengine.limits.rows import limit_rows
from riskengine.records.breaches import Breach
from riskengine.records.limits import Limit
from tests.limiting import judge_of, judged, limit, row_of
from tests.rolling import begin, strike
from tests.world import NOON, SECOND, House, trade

TOTAL: dict[str, Any] = {"measure": "total_pnl", "node": "EQ1"}


def house_of(quantity: int = 100, price: str = "10", **marks: float) -> House:
    house = House()
    house.deal(trade(instrument="ACME", desk="EQ1", quantity=str(quantity), price=price))
    house.marks(**({"ACME": 10.0} | marks))
    return house


def state(judgement: Judgement) -> str:
    [found] = judgement.state.tolist()
    return STATES[found]


def moved(house: House, judge: Judge, price: float) -> str:
    house.now += SECOND
    return state(judge.judge(house.marks(ACME=price)))


@pytest.mark.parametrize(
    ("side", "bound", "price", "expected"),
    [
        ("above", 1_000.0, 18.9, "ok"),
        ("above", 1_000.0, 19.0, "warning"),
        ("above", 1_000.0, 20.0, "warning"),
        ("above", 1_000.0, 20.01, "breach"),
        ("below", -500.0, 5.6, "ok"),
        ("below", -500.0, 5.5, "warning"),
        ("below", -500.0, 5.0, "warning"),
        ("below", -500.0, 4.99, "breach"),
        ("absolute", 500.0, 4.99, "breach"),
        ("absolute", 500.0, 15.01, "breach"),
        ("absolute", 500.0, 5.5, "warning"),
    ],
)
def test_a_number_warns_before_its_limit_and_breaches_beyond_it(side: str, bound: float, price: float, expected: str) -> None:
    house = house_of(ACME=price)
    assert state(judged(house.engine.snapshot, limit(**TOTAL, side=side, limit=bound))) == expected


def test_a_limit_of_0_warns_by_its_margin() -> None:
    floor = limit(**TOTAL, limit=0.0, warning_margin=100.0)
    assert [row_of(house_of(ACME=price).engine.snapshot, floor)["state"] for price in (11.1, 11.0, 10.0, 9.99)] == [
        "ok",
        "warning",
        "warning",
        "breach",
    ]


def test_a_breach_ends_only_once_the_number_is_back_by_the_hysteresis() -> None:
    house = house_of()
    judge = judge_of(limit(**TOTAL, limit=-500.0, hysteresis=4.0))
    assert [moved(house, judge, price) for price in (4.99, 5.0, 5.1, 5.19, 5.2, 5.1, 4.9)] == [
        "breach",
        "breach",
        "breach",
        "breach",
        "warning",
        "warning",
        "breach",
    ]
    assert [moved(house, judge, price) for price in (5.69, 5.71, 5.69)] == ["warning", "ok", "ok"]


def test_a_breach_keeps_its_beginning_and_its_worst_and_ends_for_good() -> None:
    house = house_of()
    judge = judge_of(limit(**TOTAL, limit=-500.0))
    moved(house, judge, 4.0)
    began = house.now
    moved(house, judge, 3.0)
    worst = house.now
    moved(house, judge, 4.5)
    assert judge.newest is not None
    [row] = limit_rows(judge.newest)
    assert (row["first_seen_ts"], row["worst"], row["worst_ts"]) == (began, -700.0, worst)
    [stored] = judge.take_changes()[0]
    assert (stored.breach_id, stored.is_open, stored.worst) == (f"L1:EQ1:{began}", True, -700.0)
    assert judge.take_changes() == ([], [])
    moved(house, judge, 9.0)
    [ended] = judge.take_changes()[0]
    assert (ended.breach_id, ended.ended_ts) == (stored.breach_id, house.now)
    moved(house, judge, 4.0)
    assert [each.first_seen_ts for each in judge.open_breaches] == [house.now]


def test_what_was_not_stored_is_given_again_unless_it_has_changed_since() -> None:
    house = house_of()
    judge = judge_of(limit(**TOTAL, limit=-500.0))
    moved(house, judge, 4.0)
    before = judge.take_changes()
    moved(house, judge, 3.0)
    judge.give_back(*before)
    assert [each.worst for each in judge.take_changes()[0]] == [-700.0]


def test_a_restart_goes_on_with_an_open_breach_and_who_knows_of_it() -> None:
    house = house_of(ACME=4.0)
    first = judge_of(limit(**TOTAL, limit=-500.0))
    first.judge(house.engine.snapshot)
    [stored] = first.take_changes()[0]
    known = Breach(**{field: getattr(stored, field) for field in stored.__struct_fields__} | {"acknowledged_by": "ann"})
    again = Judge([known])
    again.set_limits([limit(**TOTAL, limit=-500.0)])
    assert moved(house, again, 5.01) == "breach"
    assert [(each.breach_id, each.acknowledged_by) for each in again.open_breaches] == [(stored.breach_id, "ann")]


def test_a_word_on_a_breach_shows_at_once_and_stays_while_it_gets_worse() -> None:
    house = house_of(ACME=4.0)
    judge = judge_of(limit(**TOTAL, limit=-500.0))
    [breach] = judge.judge(house.engine.snapshot).breaches.values()
    word = Breach(
        **{field: getattr(breach, field) for field in breach.__struct_fields__} | {"acknowledged_by": "bob", "reason": "hedged"}
    )
    judge.acknowledge(word)
    assert judge.newest is not None
    assert limit_rows(judge.newest)[0]["acknowledged_by"] == "bob"
    moved(house, judge, 3.0)
    assert [(each.acknowledged_by, each.reason, each.worst) for each in judge.open_breaches] == [("bob", "hedged", -700.0)]


def test_an_unknown_number_is_never_fine_and_keeps_a_breach_open() -> None:
    house = House()
    house.deal(trade(instrument="ACME", desk="EQ1", quantity="100", price="10"))
    one = limit(**TOTAL, limit=-500.0)
    judge = judge_of(one)
    found = judge.judge(house.engine.snapshot)
    assert state(found) == "unknown"
    assert math.isnan(found.headroom.item(0))
    assert limit_rows(found)[0]["value"] is None
    assert moved(house, judge, 4.0) == "breach"
    house.deal(trade("t2", instrument="GHOST", desk="EQ1", quantity="1", price="10"))
    house.now += SECOND
    assert moved(house, judge, 10.0) == "unknown"
    assert [each.is_open for each in judge.open_breaches] == [True]


def test_what_is_known_beyond_a_limit_breaches_it_whatever_else_is_unknown() -> None:
    house = house_of(ACME=4.0)
    house.deal(trade("t2", instrument="GHOST", desk="EQ1", quantity="1", price="10"))
    row = row_of(house.engine.snapshot, limit(**TOTAL, limit=-500.0))
    assert (row["state"], row["incomplete"], row["value"]) == ("breach", True, -600.0)


def test_a_place_that_nobody_knows_is_unknown() -> None:
    assert row_of(house_of().engine.snapshot, limit(dealer="zoe"))["state"] == "unknown"


def test_a_changed_limit_goes_on_with_the_breach_and_an_ended_one_ends_it() -> None:
    house = house_of(ACME=4.0)
    first = limit(**TOTAL, limit=-500.0)
    judge = judge_of(first)
    judge.judge(house.engine.snapshot)
    [began] = judge.open_breaches
    judge.set_limits([first, limit(**TOTAL, version=2, limit=-550.0)])
    judge.judge(house.engine.snapshot)
    assert [each.breach_id for each in judge.open_breaches] == [began.breach_id]
    judge.set_limits([first, limit(**TOTAL, version=3, limit=-550.0, to_date="2026-03-03")])
    assert list(judge.judge(house.engine.snapshot).lines) == []
    assert judge.open_breaches == []
    assert judge.take_changes()[0][-1].ended_ts is not None


def test_limits_of_trades_bound_no_number_of_a_snapshot() -> None:
    row = row_of(house_of().engine.snapshot, limit(measure="price_band", node="EQ1", limit=2.0))
    assert (row["state"], row["value"], row["headroom"], row["incomplete"]) == ("per_trade", None, None, False)


def test_use_and_headroom_are_in_the_unit_of_the_limit() -> None:
    house = house_of(ACME=8.0)
    row = row_of(house.engine.snapshot, limit(**TOTAL, limit=-500.0, warning=80.0))
    assert (row["value"], row["use_percent"], row["headroom"], row["warn_at"]) == (-200.0, 40.0, 300.0, -400.0)
    assert row_of(house.engine.snapshot, limit(**TOTAL, limit=100.0))["use_percent"] is None


@given(prices=st.lists(st.integers(300, 900), min_size=2, max_size=20), hysteresis=st.integers(0, 50))
@settings(max_examples=30)
def test_no_breach_begins_and_ends_within_the_hysteresis(prices: list[int], hysteresis: int) -> None:
    """Against a model with one number: it flips only beyond the limit, and back only by the hysteresis."""
    house = house_of()
    one: Limit = limit(**TOTAL, limit=-500.0, hysteresis=hysteresis)
    judge = judge_of(one)
    breached = False
    for price in prices:
        found = moved(house, judge, price / 100.0)
        loss = judge.newest.readings.value.item(0) if judge.newest else math.nan
        if loss < -500.0:
            breached = True
        elif loss >= -500.0 + one.release:
            breached = False
        assert (found == "breach") is breached
        assert bool(judge.open_breaches) is breached
    assert NOON < house.now


def test_a_drawdown_is_the_loss_from_the_high_of_the_day_which_begins_at_0() -> None:
    house = house_of()
    begin(house.engine, strike(house.engine, "2026-03-03", {"ACME": 10.0}))
    judge = judge_of(limit(measure="drawdown", node="EQ1", limit=150.0))

    def drawdown(price: float) -> float:
        house.now += SECOND
        value: float = judge.judge(house.marks(ACME=price)).readings.value.item(0)
        return value

    assert [drawdown(price) for price in (9.0, 12.0, 11.0, 13.0, 11.4)] == pytest.approx([100.0, 0.0, 100.0, 0.0, 160.0])
    assert judge.newest is not None
    assert state(judge.newest) == "breach"
    [high] = judge.take_changes()[1]
    assert (high.node, high.day) == ("EQ1", "2026-03-04")
    assert high.high == pytest.approx(300.0)
    again = Judge(highs=[high])
    again.set_limits([limit(measure="drawdown", node="EQ1", limit=150.0)])
    assert again.judge(house.engine.snapshot).readings.value.item(0) == pytest.approx(160.0)


def test_without_limits_there_is_nothing_to_judge() -> None:
    house = house_of()
    judge = judge_of()
    found = judge.judge(house.engine.snapshot)
    assert (found.seq, list(found.lines), limit_rows(found)) == (house.engine.snapshot.seq, [], [])
    assert sum(found.counts().values()) == 0
    judge.set_limits([limit(**TOTAL, limit=-500.0)])
    assert state(judge.judge(house.engine.snapshot)) == "ok"


def test_lines_are_made_once_while_nothing_but_numbers_changes() -> None:
    house = house_of()
    judge = judge_of(limit(**TOTAL, limit=-500.0))
    first = judge.judge(house.marks(ACME=9.0))
    again = judge.judge(house.marks(ACME=8.0))
    assert first.lines is again.lines
