"""A simulated market: correlated walks, bursts and quiet spells, spreads, consistent crosses.

Pure: the caller passes the time. The same seed and start give the same ticks, however the caller cuts the time into intervals (of
at most `MAX_INTERVAL_S`).
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import sqrt

from riskengine.clock import MICROS_PER_SECOND
from riskengine.feeds.simulation.sample_book import CURRENCIES, SHARES, Factor, Style, is_quoted, style_of
from riskengine.feeds.simulation.seeded_random import STEP_US, Activity, SeededRandom, Stepper
from riskengine.records.types import Instrument, Kind, Tick

SOURCE = "simulator"
TICKS_PER_SECOND = 400.0

_PAIR_KINDS = frozenset({Kind.FX, Kind.FX_FORWARD, Kind.METAL, Kind.CRYPTO})
_UNKNOWN_SHARE = Factor(100.0, 0.015, 0.5)
_UNKNOWN_CURRENCY = Factor(1.0, 0.005, 0.5)
_DAY_US = 86_400 * MICROS_PER_SECOND
_ONE_SIDED = 0.003
_CROSSED = 0.0008
_GOES_QUIET = 0.0004
"""Chances per tick: one side missing; bid above ask; the instrument falls silent afterwards."""
_LONGEST_SILENCE_S = 90.0


class _Walk:
    """Correlated values: `shared` of a factor is the part of its step that all have in common."""

    __slots__ = ("_rng", "_scales", "names", "values")

    def __init__(self, rng: SeededRandom, factors: dict[str, Factor], step_us: int) -> None:
        self._rng = rng
        self.names = {name: index for index, name in enumerate(factors)}
        self.values = [factor.start for factor in factors.values()]
        per_step = sqrt(step_us / _DAY_US)
        self._scales = [
            (
                factor.daily_volatility * per_step * factor.shared,
                factor.daily_volatility * per_step * sqrt(1.0 - factor.shared * factor.shared),
            )
            for factor in factors.values()
        ]

    def step(self, volatility: float) -> None:
        normal = self._rng.normal
        common = normal() * volatility
        values = self.values
        for index, (shared, own) in enumerate(self._scales):
            # Steps are bounded far below 1, so no value ever reaches zero.
            values[index] *= 1.0 + shared * common + own * volatility * normal()


class _Quoting:
    """How one instrument gets its quote from a walk: numerator over denominator, spread, silence."""

    __slots__ = ("decimals", "denominator", "instrument", "numerator", "silent_until", "style", "tick", "walk")

    def __init__(self, instrument: Instrument, style: Style, walk: _Walk, numerator: int, denominator: int) -> None:
        self.instrument = instrument.instrument
        self.decimals = instrument.price_decimals
        self.tick = 10.0**-self.decimals
        self.style = style
        self.walk = walk
        self.numerator = numerator
        self.denominator = denominator
        self.silent_until = 0

    def mid(self) -> float:
        values = self.walk.values
        return values[self.numerator] if self.denominator < 0 else values[self.numerator] / values[self.denominator]


class MarketSimulator:
    """Quotes for `instruments` (options are left out), `ticks_per_second` over all of them on average.

    A pair is the quotient of the values of its two currencies, so crosses follow their majors within the spread. A symbol or
    currency that is not in the sample book starts at 100 or 1 USD. For a clock that runs `speed` times as fast as real time there
    are as many ticks in a real second, and prices move as far as in the time of that clock. Cost: 20 us a step of 10 ms of real
    time, 2 us a tick.
    """

    def __init__(
        self,
        seed: int,
        instruments: Sequence[Instrument],
        *,
        ticks_per_second: float = TICKS_PER_SECOND,
        speed: float = 1.0,
    ) -> None:
        self._rng = SeededRandom(seed, "market")
        self._activity = Activity(self._rng)
        self._stepper = Stepper(speed)
        self._step_us = self._stepper.step_us
        self._rate_per_step = ticks_per_second * STEP_US / MICROS_PER_SECOND
        quoted = [instrument for instrument in instruments if is_quoted(instrument)]
        self._currencies = _Walk(self._rng, _currencies_of(quoted), self._step_us)
        self._shares = _Walk(self._rng, _shares_of(quoted), self._step_us)
        self._quotings = [self._quoting(instrument) for instrument in quoted]
        self._weights = list(accumulate(quoting.style.weight for quoting in self._quotings))
        self._last: dict[str, tuple[float, float]] = {}

    def quote(self, instrument: str) -> tuple[float, float] | None:
        """Bid and ask of the newest two-sided quote; None before the first."""
        return self._last.get(instrument)

    def ticks(self, now_ts: int, elapsed_s: float) -> list[Tick]:
        """The ticks of the `elapsed_s` seconds up to `now_ts`, by `ts`. The first step quotes everything once."""
        ticks: list[Tick] = []
        for end_ts in self._stepper.steps(now_ts, elapsed_s):
            self._step(end_ts, ticks)
        return ticks

    def move(self, span_us: int) -> None:
        """Let prices move as far as in `span_us` of their time, in one step and without ticks. At most a few days."""
        volatility = sqrt(span_us / self._step_us)
        self._currencies.step(volatility)
        self._shares.step(volatility)

    def mids(self) -> dict[str, float]:
        """The value of each instrument now, unrounded, before any quote."""
        return {quoting.instrument: quoting.mid() for quoting in self._quotings}

    def start_from(self, mids: Mapping[str, float]) -> None:
        """Let prices go on from these, by instrument; others stay. A currency is moved by its price in USD."""
        usd = self._currencies.names.get("USD")
        for quoting in self._quotings:
            mid, values = mids.get(quoting.instrument, 0.0), quoting.walk.values
            if mid <= 0.0:
                continue
            if quoting.denominator < 0 or quoting.denominator == usd:
                values[quoting.numerator] = mid
            elif quoting.numerator == usd:
                values[quoting.denominator] = 1.0 / mid

    def whole_book(self, ts: int) -> list[Tick]:
        """A two-sided quote of every instrument."""
        return [self._tick(quoting, ts, whole=True) for quoting in self._quotings]

    def _step(self, end_ts: int, ticks: list[Tick]) -> None:
        self._activity.step()
        self._currencies.step(self._activity.volatility)
        self._shares.step(self._activity.volatility)
        if not self._last:
            ticks.extend(self.whole_book(end_ts))
            return
        rng = self._rng
        count = rng.count(self._rate_per_step * self._activity.rate)
        for place in range(count):
            roll = rng.random() * self._weights[-1]
            quoting = self._quotings[bisect_right(self._weights, roll, 0, len(self._weights) - 1)]
            if end_ts < quoting.silent_until:
                continue
            ts = end_ts - self._step_us + (place + 1) * self._step_us // count
            ticks.append(self._tick(quoting, ts, whole=False))
            if rng.chance(_GOES_QUIET):
                # Busy instruments come back soon; a thin one may stay silent until its mark is stale.
                silence_s = rng.between(1.0, 1.0 + _LONGEST_SILENCE_S / quoting.style.weight)
                quoting.silent_until = ts + int(silence_s * MICROS_PER_SECOND * self._step_us / STEP_US)

    def _tick(self, quoting: _Quoting, ts: int, *, whole: bool) -> Tick:
        """A quote around the current value; unless `whole`, now and then one-sided or crossed."""
        rng = self._rng
        mid = quoting.mid()
        width_bp = quoting.style.spread_bp * (0.7 + 0.3 * self._activity.volatility)
        spread = mid * width_bp * 1e-4 * rng.between(0.7, 1.3)
        # Market makers lean a little to one side.
        centre = mid + rng.between(-0.15, 0.15) * spread
        bid = round(centre - spread / 2, quoting.decimals)
        ask = round(centre + spread / 2, quoting.decimals)
        if bid >= ask:
            ask = round(bid + quoting.tick, quoting.decimals)
        name = quoting.instrument
        if not whole:
            if rng.chance(_ONE_SIDED):
                bid_only = rng.chance(0.5)
                return Tick(name, ts, bid if bid_only else None, None if bid_only else ask, None, SOURCE)
            if rng.chance(_CROSSED):
                return Tick(name, ts, ask, bid, None, SOURCE)
        self._last[name] = (bid, ask)
        return Tick(name, ts, bid, ask, None, SOURCE)

    def _quoting(self, instrument: Instrument) -> _Quoting:
        style = style_of(instrument)
        if _is_pair(instrument):
            names = self._currencies.names
            return _Quoting(
                instrument, style, self._currencies, names[instrument.base_currency], names[instrument.quote_currency]
            )
        return _Quoting(instrument, style, self._shares, self._shares.names[instrument.instrument], -1)


def _is_pair(instrument: Instrument) -> bool:
    return instrument.kind in _PAIR_KINDS and bool(instrument.base_currency)


def _currencies_of(instruments: list[Instrument]) -> dict[str, Factor]:
    pairs = [instrument for instrument in instruments if _is_pair(instrument)]
    names = [name for pair in pairs for name in (pair.base_currency, pair.quote_currency)]
    return {name: CURRENCIES.get(name, _UNKNOWN_CURRENCY) for name in names}


def _shares_of(instruments: list[Instrument]) -> dict[str, Factor]:
    names = [instrument.instrument for instrument in instruments if not _is_pair(instrument)]
    return {name: SHARES.get(name, _UNKNOWN_SHARE) for name in names}
