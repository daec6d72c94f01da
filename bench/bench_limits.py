"""Measures limits on the book of the benches: 2,000 of them over 20,000 nodes judged after a beat, and a check before a trade.

Targets: judging all 2,000 after every price is new, at most 2 ms; a check of 5 rules p99 at most 0.2 ms. A check is measured one
by one, so that the table has its distribution.
"""

from typing import Any

import pytest

from bench.book import INSTRUMENTS, LEAVES, NOW, Maker
from riskengine.config import ScenariosConfig
from riskengine.engine.engine import Engine
from riskengine.limits.branched import BranchedNodes, branched_limits
from riskengine.limits.check import check
from riskengine.limits.effects import effect_of
from riskengine.limits.figures import Figure, FigureKey, IntendedTrade
from riskengine.limits.holdings import Number
from riskengine.limits.judge import Judge
from riskengine.records.limits import Limit, LimitCheck, LimitInput
from riskengine.scenarios.moves import Moves
from riskengine.scenarios.whatif import WhatIf, work_out
from riskengine.scenarios.workbench import Workbench

LIMITS = 2_000
ROUNDS = 200
MEASURES = (
    "net_exposure",
    "gross_exposure",
    "delta_cash",
    "vega",
    "total_pnl",
    "nav",
    "available_cash",
    "market_value",
)
"""What the limits of the bench bound, in turn: rows of nodes, cash, and the largest position of an account."""


def made_limits(maker: Maker) -> list[Limit]:
    """Limits on accounts, desks, books and the total, and the net open position of the total in three currencies."""
    reference = maker.reference
    take = LimitCheck(reference.hierarchy, reference.by_symbol, reference.currency_index)
    inner = [*(f"D{desk:03}" for desk in range(200)), *(f"B{book:02}" for book in range(20)), "ALL"]
    seeded = maker.seeded
    leaves = [f"L{number:05}" for number in seeded.sample(range(LEAVES), LIMITS)]
    sent = [
        LimitInput(
            limit_id=f"L{number:04}",
            measure="total_pnl" if number % 8 == 7 and number < len(inner) else MEASURES[number % 8],
            node=inner[number] if number < len(inner) else leaves[number],
            side="absolute",
            limit=1e9,
        )
        for number in range(LIMITS - 3)
    ]
    sent += [
        LimitInput(limit_id=f"NOP-{code}", measure="net_open_position", currency=code, node="ALL", limit=1e12)
        for code in ("EUR", "GBP", "JPY")
    ]
    return [take(each, NOW, "bench") for each in sent]


@pytest.fixture(scope="module")
def judge(maker: Maker, engine: Engine) -> Judge:
    made = Judge()
    made.set_limits(made_limits(maker))
    found = made.judge(engine.snapshot)
    assert len(found.lines) == LIMITS
    return made


@pytest.mark.benchmark(group="limits, 2,000 judged")
def test_all_prices_new(benchmark: Any, engine: Engine, maker: Maker, judge: Judge) -> None:
    def new_prices() -> tuple[tuple[Any, ...], dict[str, Any]]:
        engine.beat(maker.marks(range(INSTRUMENTS)), NOW)
        return (engine.publish(NOW),), {}

    benchmark.pedantic(judge.judge, setup=new_prices, rounds=ROUNDS)


@pytest.mark.benchmark(group="limits, 2,000 judged")
def test_one_trade_new(benchmark: Any, engine: Engine, maker: Maker, judge: Judge) -> None:
    def new_trade() -> tuple[tuple[Any, ...], dict[str, Any]]:
        engine.apply(maker.trades([maker.held[0]]), NOW)
        return (engine.publish(NOW),), {}

    benchmark.pedantic(judge.judge, setup=new_trade, rounds=ROUNDS)


@pytest.mark.benchmark(group="limits, 2,000 judged")
def test_all_prices_new_with_2000_figures_beside(benchmark: Any, engine: Engine, maker: Maker) -> None:
    """The same 2,000 and as many on VaR, whose figures came a second ago."""
    reference = engine.snapshot.reference
    take = LimitCheck(reference.hierarchy, reference.by_symbol, reference.currency_index)
    names = [f"L{number:05}" for number in range(LIMITS)]
    of_var = [take(LimitInput(limit_id=f"V{name}", measure="var", node=name, limit=1e9), NOW, "bench") for name in names]
    judge = Judge()
    judge.set_limits([*made_limits(maker), *of_var])
    assert len(judge.judge(engine.snapshot).lines) == 2 * LIMITS
    judge.take_figures(
        {FigureKey.of(line): Figure(Number(5.0, True), NOW, lambda _: Number(5.0, True)) for line in judge.figure_lines}
    )

    def new_prices() -> tuple[tuple[Any, ...], dict[str, Any]]:
        engine.beat(maker.marks(range(INSTRUMENTS)), NOW)
        return (engine.publish(NOW),), {}

    benchmark.pedantic(judge.judge, setup=new_prices, rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.benchmark(group="limits, in a what-if")
def test_limits_of_the_total_in_a_what_if(benchmark: Any, engine: Engine, maker: Maker) -> None:
    """Ten limits on the total after 100 trades: beside what the what-if costs."""
    snapshot, reference = engine.snapshot, engine.snapshot.reference
    take = LimitCheck(reference.hierarchy, reference.by_symbol, reference.currency_index)
    sent = [LimitInput(limit_id=each, measure=each, node="ALL", limit=1e12, side="absolute") for each in MEASURES]
    sent += [
        LimitInput(limit_id=code, measure="net_open_position", currency=code, node="ALL", limit=1e12) for code in ("EUR", "JPY")
    ]
    judge = Judge()
    judge.set_limits([take(each, NOW, "bench") for each in sent])
    judgement = judge.judge(snapshot)
    trades = maker.trades(maker.held[:100])
    found = work_out(WhatIf(snapshot, (0,), tuple(trades), Moves.none(snapshot)), Workbench(ScenariosConfig()))
    nodes = BranchedNodes(snapshot, found.before, found.after, [IntendedTrade(each) for each in trades], {})
    assert len(benchmark.pedantic(branched_limits, args=(nodes, judgement, lambda line: True), rounds=100)) == 10


@pytest.mark.benchmark(group="limits, a check before a trade, 5 rules")
def test_check_of_five_rules(benchmark: Any, engine: Engine, maker: Maker) -> None:
    """Instrument open, price band, size, position and net exposure of the account."""
    reference = engine.snapshot.reference
    take = LimitCheck(reference.hierarchy, reference.by_symbol, reference.currency_index)
    [trade] = maker.trades([maker.held[0]])
    rules: list[dict[str, Any]] = [
        {"measure": "price_band", "limit": 5.0},
        {"measure": "trade_quantity", "instrument": trade.instrument, "limit": 1e9},
        {"measure": "quantity", "instrument": trade.instrument, "limit": 1e9},
        {"measure": "net_exposure", "limit": 1e12},
    ]
    judge = Judge()
    judge.set_limits(
        [take(LimitInput(limit_id=f"R{at}", node=trade.desk, **rule), NOW, "bench") for at, rule in enumerate(rules)]
    )
    snapshot = engine.snapshot
    judgement = judge.judge(snapshot)
    number = reference.instrument_index[trade.instrument]

    def one() -> int:
        return len(check(snapshot, judgement, {0: effect_of(snapshot, trade, number)}, lambda line: True))

    assert one() == 5
    benchmark.pedantic(one, rounds=5_000, warmup_rounds=100)
