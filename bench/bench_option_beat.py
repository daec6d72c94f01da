"""Measures options in the beat: 10,000 on 100 underlyings, every spot new, all measures.

Targets: the formulas at most 1.5 x a bare pass over the same arrays; at most 6 ms added to a beat of a small house, and at most
7 ms to that of the 300,000 positions (`bench_beat`). Half of the options have a vol of their own, half that of a surface.
"""

import random
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from bench.book import CURRENCIES, INSTRUMENTS, NOW, Maker, batches
from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark
from riskengine.pricing.black_scholes import Inputs, measure
from riskengine.records.option_inputs import RateRow, SurfaceRow, Vol
from riskengine.records.reference import Reference
from riskengine.records.types import Instrument, Kind, Node

OPTIONS, UNDERLYINGS = 10_000, 100
ROUNDS = 60
EXPIRIES = ("2026-06-19", "2026-09-18", "2026-12-18", "2027-06-18")


def options_on(maker: Maker, exercise: str = "european") -> list[Instrument]:
    """A hundred options on each of the 9 dollar pairs and of 91 dollar equities."""
    dollars = [each for each in maker.instruments if each.kind is Kind.EQUITY and each.quote_currency == "USD"]
    below = [*maker.instruments[: len(CURRENCIES)], *dollars[: UNDERLYINGS - len(CURRENCIES)]]
    return [
        Instrument(
            instrument=f"{each.instrument} {number:02}",
            kind=Kind.FX_OPTION if each.kind is Kind.FX else Kind.EQUITY_OPTION,
            base_currency=each.base_currency,
            quote_currency=each.quote_currency,
            underlying=each.instrument,
            option_type=("call", "put")[number % 2],
            strike=f"{0.8 + 0.004 * number:.3f}",
            expiry=EXPIRIES[number % len(EXPIRIES)],
            exercise="european" if each.kind is Kind.FX else exercise,
            premium_style="quote",
        )
        for each in below
        for number in range(OPTIONS // UNDERLYINGS)
    ]


class OptionMaker(Maker):
    """The book of the benches, and one position in each option, in 200 leaves; without the other positions if not `whole`."""

    def __init__(self, *, whole: bool, exercise: str = "european") -> None:
        super().__init__()
        self.options = options_on(self, exercise)
        self.instruments = [*self.instruments, *self.options]
        nodes = [Node(node.node, node.level, node.parent) for node in self.reference.hierarchy.nodes]
        self.reference = Reference(nodes, self.instruments, "USD")
        index = self.reference.instrument_index
        self.numbers = [index[each.instrument] for each in self.instruments[:INSTRUMENTS]]
        seeded = random.Random(13)
        held = [(seeded.randrange(200) * 100, INSTRUMENTS + number) for number in range(OPTIONS)]
        self.held = [*(self.held if whole else []), *held]

    def spots(self) -> dict[int, Mark]:
        """New prices of all that is no option."""
        return {number: Mark(self.seeded.uniform(0.999, 1.001), NOW, "bench", "quote") for number in self.numbers}

    def inputs(self) -> list[Vol | SurfaceRow | RateRow]:
        """Rates, vols of their own for every second option, and surfaces of all underlyings."""
        rates = [RateRow(code, "rate", "2028-01-03", NOW, 0.03) for code in ("USD", *CURRENCIES)]
        own = [Vol(each.instrument, NOW, 0.2) for each in self.options[::2]]
        wings: dict[str, Any] = {"rr25": 0.01, "bf25": 0.002}
        names = dict.fromkeys(each.underlying for each in self.options)
        surfaces = [SurfaceRow(name, date, NOW, 0.2 + 0.01 * at, **wings) for name in names for at, date in enumerate(EXPIRIES)]
        return [*rates, *own, *surfaces]


def load(maker: OptionMaker, *, valued: bool) -> Engine:
    engine = Engine(maker.reference, now=NOW)
    for batch in batches(maker.trades(maker.held)):
        engine.apply(batch, NOW)
    engine.beat(maker.spots(), NOW, maker.inputs() if valued else ())
    engine.publish(NOW)
    return engine


@cache
def house(*, whole: bool, valued: bool = True, exercise: str = "european") -> tuple[OptionMaker, Engine]:
    maker = OptionMaker(whole=whole, exercise=exercise)
    return maker, load(maker, valued=valued)


def beat(engine: Engine, marks) -> None:
    engine.beat(marks, NOW)
    engine.publish(NOW)


def new_spots(maker: OptionMaker, engine: Engine):
    return (engine, maker.spots()), {}


@pytest.mark.benchmark(group="10,000 options, every spot new")
@pytest.mark.parametrize("valued", [False, True], ids=["not valued", "valued"])
def test_beat_of_options_alone(benchmark, valued):
    maker, engine = house(whole=False, valued=valued)
    benchmark.pedantic(beat, setup=partial(new_spots, maker, engine), rounds=ROUNDS, warmup_rounds=3)
    assert engine.options.values is not None and bool(engine.options.values.has_delta.all()) is valued


@pytest.mark.benchmark(group="300,000 positions and 10,000 options, all prices new")
@pytest.mark.parametrize("valued", [False, True], ids=["not valued", "valued"])
def test_beat_of_the_whole_book(benchmark, valued):
    maker, engine = house(whole=True, valued=valued)
    benchmark.pedantic(beat, setup=partial(new_spots, maker, engine), rounds=ROUNDS, warmup_rounds=3)


@pytest.mark.benchmark(group="formulas of 10,000 options")
def test_formulas(benchmark):
    inputs = inputs_of(house(whole=False)[1])
    benchmark.pedantic(measure, args=(inputs,), rounds=ROUNDS, warmup_rounds=3)


@pytest.mark.benchmark(group="formulas of 10,000 options")
def test_yardstick_bare_numpy(benchmark):
    inputs = inputs_of(house(whole=False)[1])
    found = benchmark.pedantic(bare, args=inputs, rounds=ROUNDS, warmup_rounds=3)
    assert np.allclose(found[0], measure(inputs).value, atol=1e-12)


def inputs_of(engine: Engine) -> Inputs:
    values, terms = engine.options.values, engine.options.terms
    assert values is not None, "valued with the first beat"
    return Inputs(
        terms.sign, values.spot, terms.strike, values.years, values.years_settle, values.vol, values.rate_quote, values.rate_base
    )


def bare(sign, spot, strike, years, settle, vol, rate_quote, rate_base):
    """Value and all measures as one writes them down."""
    root = np.sqrt(years)
    carry, discount = np.exp(-rate_base * settle), np.exp(-rate_quote * settle)
    d1 = (np.log(spot / strike) + (rate_quote - rate_base) * settle) / (vol * root) + 0.5 * vol * root
    d2 = d1 - vol * root
    n1, n2, density = ndtr(sign * d1), ndtr(sign * d2), np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
    value = sign * (spot * carry * n1 - strike * discount * n2)
    delta, forward = sign * carry * n1, sign * n1
    gamma, vega = carry * density / (spot * vol * root), spot * carry * density * root
    theta = -spot * carry * density * vol / (2 * root) + sign * (
        rate_base * spot * carry * n1 - rate_quote * strike * discount * n2
    )
    rhos = sign * strike * settle * discount * n2, -sign * spot * settle * carry * n1
    vanna, volga = -carry * density * d2 / vol, vega * d1 * d2 / vol
    adjusted = sign * strike / spot * discount * n2
    return value, delta, forward, adjusted, adjusted / carry, gamma, vega, theta, *rhos, vanna, volga
