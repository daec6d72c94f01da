"""Limits on figures that are worked out beside the snapshot: judged while they are new, unknown when they are old or absent."""

from collections.abc import Sequence

import pytest

from riskengine.limits.check import check
from riskengine.limits.effects import effect_of
from riskengine.limits.figures import LASTS_US, Figure, FigureKey, IntendedTrade
from riskengine.limits.holdings import Number
from riskengine.limits.judge import STATES, Judge
from riskengine.records.limits import Limit
from tests.limiting import judge_of, limit
from tests.world import SECOND, House, trade

VAR = limit("VAR", measure="var", node="FX1", limit=100.0)


def given(judge: Judge, one: Limit, number: Number, as_of: int) -> None:
    """Give a judge the figure of a limit on a node; a trade makes it larger by its quantity."""

    def after(trades: Sequence[IntendedTrade]) -> Number:
        return number._replace(value=number.value + sum(each.trade.quantity for each in trades) / 1e10)

    judge.take_figures(
        {FigureKey(one.measure, one.node, "", one.currency, one.counterparty, one.side): Figure(number, as_of, after)}
    )


def state(judge: Judge, house: House) -> str:
    return STATES[judge.judge(house.beat()).state.item(0)]


@pytest.fixture
def house() -> House:
    made = House()
    made.deal(trade("1", quantity="10"))
    return made


def test_a_figure_that_was_never_given_is_unknown(house: House) -> None:
    assert state(judge_of(VAR), house) == "unknown"


def test_a_figure_is_judged_until_it_is_old(house: House) -> None:
    judge = judge_of(VAR)
    assert state(judge, house) == "unknown"
    given(judge, VAR, Number(95.0, True), house.now)
    assert state(judge, house) == "warning"
    given(judge, VAR, Number(101.0, True), house.now)
    assert state(judge, house) == "breach"
    house.now += LASTS_US
    assert state(judge, house) == "breach"
    house.now += SECOND
    assert state(judge, house) == "unknown"
    assert [each.is_open for each in judge.open_breaches] == [True], "it goes on while the number is unknown"
    given(judge, VAR, Number(80.0, True), house.now)
    assert state(judge, house) == "ok"


def test_of_several_figures_each_grows_old_by_itself(house: House) -> None:
    other = limit("ES", measure="expected_shortfall", node="FX1", limit=100.0)
    judge = judge_of(VAR, other)
    judge.judge(house.beat())
    given(judge, VAR, Number(5.0, True), house.now)
    house.now += LASTS_US // 2
    given(judge, other, Number(6.0, True), house.now)
    seen = []
    for _ in range(4):
        found = judge.judge(house.beat())
        seen.append([STATES[found.state.item(at)] for at in range(2)])
        house.now += LASTS_US // 2 + 1
    assert [line.limit.limit_id for line in found.lines] == ["ES", "VAR"]
    assert seen == [["ok", "ok"], ["ok", "unknown"], ["unknown", "unknown"], ["unknown", "unknown"]]


def test_a_figure_without_a_part_of_what_is_held_is_never_fine(house: House) -> None:
    judge = judge_of(VAR)
    state(judge, house)
    given(judge, VAR, Number(5.0, False), house.now)
    assert state(judge, house) == "unknown"
    given(judge, VAR, Number(105.0, False), house.now)
    assert state(judge, house) == "breach"


def test_a_figure_that_no_line_bounds_is_forgotten(house: House) -> None:
    judge = judge_of(VAR)
    state(judge, house)
    given(judge, VAR, Number(5.0, True), house.now)
    given(judge, limit("ES", measure="expected_shortfall", node="FX2", limit=1.0), Number(5.0, True), house.now)
    judge.judge(house.beat())
    assert judge.newest is not None and len(judge.newest.figures) == 1


@pytest.mark.parametrize("age", [0, LASTS_US + SECOND])
def test_a_check_asks_the_figure_what_trades_make_of_it_while_it_is_new(house: House, age: int) -> None:
    judge = judge_of(VAR)
    state(judge, house)
    given(judge, VAR, Number(80.0, True), house.now)
    house.now += age
    house.marks(EURUSD=1.1)
    snapshot = house.engine.snapshot
    judgement = judge.judge(snapshot)
    sent = trade("2", quantity="25")
    effects = {0: effect_of(snapshot, sent, snapshot.reference.instrument_index["EURUSD"])}
    found = check(snapshot, judgement, effects, lambda _: True)
    rule = next(each for each in found if each.line is not None)
    if age:
        assert (rule.outcome, rule.reason) == ("unknown", "the number is unknown")
    else:
        assert (rule.outcome, rule.before, rule.after, rule.headroom) == ("refuse", 80.0, 105.0, -5.0)
