"""What option tests are held against: random options, QuantLib, and derivatives of the value at 50 digits."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import mpmath
import numpy as np
import QuantLib as ql  # noqa: N813

from riskengine.pricing.black_scholes import Inputs

HOUR = 1.0 / (24 * 365)

MEASURES = ("value", "delta", "gamma", "vega", "theta", "rho_quote", "rho_base", "vanna", "volga")
"""What QuantLib has too; the other three deltas follow from these."""

DIGITS = 50


def random_options(seed: int, count: int, *, is_settled_later: bool = False) -> Inputs:
    """Options of pairs and shares: moneyness 0.5 to 2, an hour to 10 years, vol 1 % to 200 %, rates -2 % to 15 %."""
    random = np.random.default_rng(seed)

    def evenly_in_logs(low: float, high: float) -> np.ndarray:
        return np.exp(random.uniform(np.log(low), np.log(high), count))

    spot = random.choice([0.65, 1.0842, 17.3, 151.25, 2031.0], count) * evenly_in_logs(0.9, 1.1)
    years = evenly_in_logs(HOUR, 10.0)
    later = random.uniform(0.0, 5 / 365, count) if is_settled_later else 0.0
    return Inputs(
        sign=random.choice([-1.0, 1.0], count),
        spot=spot,
        strike=spot / evenly_in_logs(0.5, 2.0),
        years=years,
        years_settle=years + later,
        vol=evenly_in_logs(0.01, 2.0),
        rate_quote=random.uniform(-0.02, 0.15, count),
        rate_base=random.uniform(-0.02, 0.15, count),
    )


def options(*rows: tuple[float, ...]) -> Inputs:
    """Inputs from rows of (sign, spot, strike, years, vol, rate_quote, rate_base), settled at the cut."""
    sign, spot, strike, years, vol, rate_quote, rate_base = np.array(rows, np.float64).T.copy()
    return Inputs(sign, spot, strike, years, years.copy(), vol, rate_quote, rate_base)


class Option(NamedTuple):
    """One row of Inputs."""

    sign: float
    spot: float
    strike: float
    years: float
    years_settle: float
    vol: float
    rate_quote: float
    rate_base: float


def each(inputs: Inputs) -> Iterator[Option]:
    for row in zip(*(column.tolist() for column in inputs), strict=True):
        yield Option(*row)


TODAY = ql.Date(1, 12, 2026)


def whole_days(inputs: Inputs) -> Inputs:
    """The same options, each with a whole number of days to go, as QuantLib's engines need."""
    years = np.maximum(np.round(inputs.years * 365), 1.0) / 365
    return inputs._replace(years=years, years_settle=years)


def process_of(option: Option) -> ql.GarmanKohlagenProcess:
    """QuantLib's process of one option, seen from TODAY."""
    ql.Settings.instance().evaluationDate = TODAY
    count = ql.Actual365Fixed()

    def flat(rate: float) -> ql.YieldTermStructureHandle:
        return ql.YieldTermStructureHandle(ql.FlatForward(TODAY, rate, count))

    return ql.GarmanKohlagenProcess(
        ql.QuoteHandle(ql.SimpleQuote(option.spot)),
        flat(option.rate_base),
        flat(option.rate_quote),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), option.vol, count)),
    )


def quantlib(option: Option) -> dict[str, float]:
    """QuantLib's value and Greeks of one European option whose two times are equal."""
    kind = ql.Option.Call if option.sign > 0 else ql.Option.Put
    discount = float(np.exp(-option.rate_quote * option.years))
    forward = float(option.spot * np.exp((option.rate_quote - option.rate_base) * option.years))
    payoff = ql.PlainVanillaPayoff(kind, option.strike)
    black = ql.BlackCalculator(payoff, forward, float(option.vol * np.sqrt(option.years)), discount)
    return {
        "value": black.value(),
        "delta": black.delta(option.spot),
        "gamma": black.gamma(option.spot),
        "vega": black.vega(option.years),
        "theta": black.theta(option.spot, option.years),
        "rho_quote": black.rho(option.years),
        "rho_base": black.dividendRho(option.years),
        "vanna": black.vanna(option.spot, option.years),
        # QuantLib 1.44 divides by the deviation where the derivative by vol divides by the vol.
        "volga": black.volga(option.years) * float(np.sqrt(option.years)),
    }


def exact_value(option: Option) -> mpmath.mpf:
    """The value of one European option at DIGITS digits."""
    sign, spot, strike, years, settle, vol, rate_quote, rate_base = (mpmath.mpf(entry) for entry in option)
    forward = spot * mpmath.exp((rate_quote - rate_base) * settle)
    deviation = vol * mpmath.sqrt(years)
    d1 = mpmath.log(forward / strike) / deviation + deviation / 2
    base = forward * mpmath.ncdf(sign * d1)
    return sign * mpmath.exp(-rate_quote * settle) * (base - strike * mpmath.ncdf(sign * (d1 - deviation)))


def exact(option: Option) -> dict[str, float]:
    """Value and Greeks of one European option as differences of its value at 50 digits: no formula of a Greek is used."""
    with mpmath.workdps(DIGITS):
        step = mpmath.mpf(10) ** -12

        def moved(**moves: mpmath.mpf) -> mpmath.mpf:
            return exact_value(option._replace(**{name: getattr(option, name) + by for name, by in moves.items()}))

        def slope(of: Callable[[mpmath.mpf], mpmath.mpf], size: float) -> mpmath.mpf:
            return (of(size * step) - of(-size * step)) / (2 * size * step)

        def curvature(of: Callable[[mpmath.mpf], mpmath.mpf], size: float) -> mpmath.mpf:
            return (of(size * step) - 2 * of(mpmath.mpf(0)) + of(-size * step)) / (size * step) ** 2

        # Steps are small beside the deviation, so that the third derivative does not show.
        deviation = option.vol * mpmath.sqrt(option.years)
        by_spot, by_vol = option.spot * min(deviation, 1), option.vol
        found = {
            "value": exact_value(option),
            "delta": slope(lambda by: moved(spot=by), by_spot),
            "gamma": curvature(lambda by: moved(spot=by), by_spot),
            "vega": slope(lambda by: moved(vol=by), by_vol),
            "theta": -slope(lambda by: moved(years=by, years_settle=by), option.years),
            "rho_quote": slope(lambda by: moved(rate_quote=by), 1),
            "rho_base": slope(lambda by: moved(rate_base=by), 1),
            "vanna": slope(lambda by: slope(lambda also: moved(spot=also, vol=by), by_spot), by_vol),
            "volga": curvature(lambda by: moved(vol=by), by_vol),
        }
        return {name: float(number) for name, number in found.items()}
