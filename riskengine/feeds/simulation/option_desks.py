"""The options of the demo: two desks, what they hold at the start with its hedges, and vols, rates and quotes that move.

Names, vols and rates are plausible, not current. Strikes are near the spots of the start; one option expires at the next noon in
New York. Pure: the caller passes the time. Prices are those of a European model; the engine values American options by its own.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import structs

from riskengine.clock import MICROS_PER_SECOND
from riskengine.feeds.simulation.seeded_random import SeededRandom
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import spot_date
from riskengine.pricing.black_scholes import Inputs, Measures, measure
from riskengine.records.decode import TradeInput
from riskengine.records.option_inputs import RATE, OptionInput, RateRow, SurfaceRow, Vol
from riskengine.records.types import MULTIPLIER_DECIMALS, Instrument, Kind, Node, Tick

SOURCE = "options"
"""The source of the trades of these desks, of their vols, rates and quotes."""

FX_DESK, SHARE_DESK = "FXO", "EQO"
DEALERS: Mapping[str, tuple[str, ...]] = {FX_DESK: ("Quinn", "Rosa"), SHARE_DESK: ("Sven", "Tara")}

NEW_YORK = ZoneInfo("America/New_York")
NOON = "12:00 America/New_York"
LEAST_AHEAD_US = 10 * 60 * MICROS_PER_SECOND
"""How far ahead of the start the option that expires at noon does so at least."""

RATES: Mapping[str, float] = {"USD": 0.0385, "EUR": 0.0195, "GBP": 0.0375, "JPY": 0.0070}
RATE_DAYS = (7, 30, 91, 182, 365, 730)
SURFACE_DAYS = (1, 7, 30, 91, 182, 365)

MOVE_EVERY_S, REPEAT_EVERY_S, QUOTE_EVERY_S = 4.0, 60.0, 2.0
"""Real time between two changes of a vol, between two times that all vols and rates are sent, between two quotes of an option."""

VOL_STEP = 0.004
"""The deviation of one change of a vol, as a part of it."""


class _Pair(NamedTuple):
    """The smile of a pair: at the money, risk reversal and butterfly at 25 delta, wings at 10 in proportion."""

    atm: float
    rr25: float
    bf25: float


PAIRS: Mapping[str, _Pair] = {
    "EURUSD": _Pair(0.072, -0.0035, 0.0018),
    "USDJPY": _Pair(0.094, -0.0085, 0.0024),
    "GBPUSD": _Pair(0.079, -0.0045, 0.0020),
}
SHARES: Mapping[str, float] = {"AAPL": 0.26, "NVDA": 0.42}


class _Line(NamedTuple):
    """An option of the demo: strike as a part of spot, days to expiry (0: the next noon), what is held, in which style."""

    name: str
    underlying: str
    option_type: str
    moneyness: float
    days: int
    held: int
    style: str = "quote"
    quoted: bool = False


LINES = (
    _Line("EURUSD NOON C", "EURUSD", "call", 0.9985, 0, 8_000_000),
    _Line("EURUSD 1W P", "EURUSD", "put", 0.9950, 7, -10_000_000),
    _Line("EURUSD 1M C", "EURUSD", "call", 1.0100, 30, 20_000_000),
    _Line("EURUSD 3M P", "EURUSD", "put", 0.9800, 91, 12_000_000),
    _Line("USDJPY 1M C", "USDJPY", "call", 1.0050, 30, -15_000_000, "pct_base"),
    _Line("USDJPY 3M P", "USDJPY", "put", 0.9750, 91, 18_000_000, "pct_base"),
    _Line("GBPUSD 1M P", "GBPUSD", "put", 0.9900, 30, 9_000_000, "pips"),
    _Line("GBPUSD 3M C", "GBPUSD", "call", 1.0200, 91, -7_000_000, "pips"),
    _Line("AAPL 1M C", "AAPL", "call", 1.02, 30, 120),
    _Line("AAPL 1M P", "AAPL", "put", 0.97, 30, 80),
    _Line("AAPL 3M C", "AAPL", "call", 1.05, 91, -60, quoted=True),
    _Line("NVDA 1M C", "NVDA", "call", 1.05, 30, -90),
    _Line("NVDA 3M P", "NVDA", "put", 0.92, 91, 70),
)
NAMES = frozenset(line.name for line in LINES)

SWAPPED = 5_000_000

_HEDGE_LOT = {Kind.FX_OPTION: 100_000, Kind.EQUITY_OPTION: 100}


def option_nodes() -> list[Node]:
    """The two desks, below the books of the sample house."""
    return [Node(FX_DESK, "desk", "FX"), Node(SHARE_DESK, "desk", "EQ")]


def option_instruments(now: int, mids: Mapping[str, float]) -> list[Instrument]:
    """The options as they are at the start: strikes around these spots, expiries counted from now."""
    return [_instrument(line, now, mids[line.underlying]) for line in LINES]


def _instrument(line: _Line, now: int, spot: float) -> Instrument:
    is_pair = line.underlying in PAIRS
    places = (2 if line.underlying.endswith("JPY") else 4) if is_pair else 0
    return Instrument(
        instrument=line.name,
        kind=Kind.FX_OPTION if is_pair else Kind.EQUITY_OPTION,
        base_currency=line.underlying[:3] if is_pair else "",
        quote_currency=line.underlying[3:] if is_pair else "USD",
        price_decimals=6 if is_pair else 2,
        quantity_decimals=2 if is_pair else 0,
        multiplier=(1 if is_pair else 100) * 10**MULTIPLIER_DECIMALS,
        underlying=line.underlying,
        option_type=line.option_type,
        strike=f"{line.moneyness * spot:.{places}f}",
        expiry=_expiry(line.days, now).isoformat(),
        cut="" if line.days or not is_pair else NOON,
        premium_currency=(line.underlying[:3] if line.style == "pct_base" else line.underlying[3:]) if is_pair else "USD",
        premium_style=line.style,
        settlement="physical",
        exercise="european" if is_pair else "american",
        greeks="model",
    )


def _expiry(days: int, now: int) -> dt.date:
    """A weekday so many days from now; of 0 the day of the next noon in New York that is some minutes ahead."""
    local = dt.datetime.fromtimestamp((now + (0 if days else LEAST_AHEAD_US)) / MICROS_PER_SECOND, NEW_YORK)
    date = local.date() + dt.timedelta(days=days if days else int(local.hour >= 12))
    return date + dt.timedelta(days=(0, 0, 0, 0, 0, 2, 1)[date.weekday()])


class OptionDesks:
    """The market of the options and what the desks do at the start. `instruments` are the options as the store has them.

    For a clock that runs `speed` times as fast as real time vols move as often in a real second.
    """

    def __init__(self, seed: int, instruments: Sequence[Instrument], speed: float = 1.0) -> None:
        self._rng = SeededRandom(seed, "options")
        self._speed = speed
        self._instruments = {each.instrument: each for each in instruments if each.instrument in NAMES}
        self._pairs = dict(PAIRS)
        self._vols = {line.name: SHARES[line.underlying] for line in LINES if line.underlying in SHARES and not line.quoted}
        self._moved_at = self._sent_at = self._quoted_at = 0

    # -- the start ---------------------------------------------------------------------------------------------

    def trades(self, now: int, mids: Mapping[str, float]) -> list[TradeInput]:
        """What the desks have dealt shortly before now: the options at their value, and hedges of their deltas at spot."""
        dealt: list[TradeInput] = []
        deltas: dict[str, float] = {}
        for place, line in enumerate(LINES):
            option, spot = self._instruments[line.name], mids[line.underlying]
            found = self._measures(line, option, spot, now)
            deltas[line.underlying] = deltas.get(line.underlying, 0.0) + line.held * _lot(option) * float(found.delta[0])
            price = float(found.value[0]) / _unit(option, spot)
            ts = now - (len(LINES) + len(deltas) - place) * MICROS_PER_SECOND
            places = 4 if option.premium_style == "pips" else 6 if option.kind is Kind.FX_OPTION else 2
            dealt.append(self._trade(f"opt-{place + 1}", option, line.held, f"{price:.{places}f}", ts, place))
        for place, (underlying, delta) in enumerate(deltas.items()):
            is_pair = underlying in PAIRS
            lot = _HEDGE_LOT[Kind.FX_OPTION if is_pair else Kind.EQUITY_OPTION]
            held = -round(delta / lot) * lot
            if held:
                kind = Kind.FX if is_pair else Kind.EQUITY
                spot_of = Instrument(instrument=underlying, kind=kind, quote_currency="USD")
                places = (3 if underlying.endswith("JPY") else 5) if is_pair else 2
                price_text, ts = f"{mids[underlying]:.{places}f}", now - MICROS_PER_SECOND
                dealt.append(self._trade(f"hedge-{place + 1}", spot_of, held, price_text, ts, place))
        return dealt + self._swap(now, mids["EURUSD"])

    def _swap(self, now: int, spot: float) -> list[TradeInput]:
        """Euros bought at spot and sold a month later: two legs of one deal."""
        traded = dt.datetime.fromtimestamp(now / MICROS_PER_SECOND, NEW_YORK).date()
        value_date = spot_date(traded + dt.timedelta(days=30), "EUR", "USD", Calendars())
        outright = spot * math.exp((RATES["USD"] - RATES["EUR"]) * 30 / 365)
        pair, ts = Instrument(instrument="EURUSD", kind=Kind.FX, quote_currency="USD"), now - MICROS_PER_SECOND
        near = self._trade("swap-1", pair, SWAPPED, f"{spot:.5f}", ts, 0)
        far = self._trade("swap-1", pair, -SWAPPED, f"{outright:.5f}", ts, 0)
        return [
            structs.replace(near, leg=1, legs=2),
            structs.replace(far, leg=2, legs=2, value_date=value_date.isoformat()),
        ]

    def _trade(self, trade_id: str, of: Instrument, held: int, price: str, ts: int, place: int) -> TradeInput:
        desk = FX_DESK if of.kind in (Kind.FX, Kind.FX_OPTION) else SHARE_DESK
        return TradeInput(
            source=SOURCE,
            trade_id=trade_id,
            ts=ts,
            instrument=of.instrument,
            desk=desk,
            dealer=DEALERS[desk][place % 2],
            side="buy" if held > 0 else "sell",
            quantity=Decimal(abs(held)),
            price=Decimal(price),
            counterparty="Alder Bank" if desk == FX_DESK else "Isle Securities",
            strategy="vol" if of.kind in (Kind.FX_OPTION, Kind.EQUITY_OPTION) else "delta hedge",
        )

    # -- the market --------------------------------------------------------------------------------------------

    def inputs(self, now: int) -> list[OptionInput]:
        """Every vol and rate as they are now."""
        today = dt.datetime.fromtimestamp(now / MICROS_PER_SECOND, dt.UTC).date()
        rows: list[OptionInput] = [
            RateRow(code, RATE, (today + dt.timedelta(days=days)).isoformat(), now, rate + 0.0005 * (days / 365), SOURCE)
            for code, rate in RATES.items()
            for days in RATE_DAYS
        ]
        for pair in PAIRS:
            rows += self._surface(pair, now)
        rows += [Vol(name, now, round(vol, 5), SOURCE) for name, vol in self._vols.items()]
        return rows

    def _surface(self, pair: str, now: int) -> list[OptionInput]:
        """The rows of a pair: wings widen with the square root of time, vols rise a little with it."""
        smile = self._pairs[pair]
        today = dt.datetime.fromtimestamp(now / MICROS_PER_SECOND, NEW_YORK).date()
        rows: list[OptionInput] = []
        for days in SURFACE_DAYS:
            part = (days / 365) ** 0.5
            level, skew = smile.atm * (1.0 + 0.05 * part), smile.rr25 * (0.4 + 0.6 * part)
            wing = smile.bf25 * (0.5 + 0.5 * part)
            at, rr25, bf25, rr10, bf10 = (round(value, 6) for value in (level, skew, wing, 1.8 * skew, 3.2 * wing))
            expiry = (today + dt.timedelta(days=days)).isoformat()
            rows.append(SurfaceRow(pair, expiry, now, at, rr25, bf25, rr10, bf10, SOURCE))
        return rows

    def changes(self, now: int) -> list[OptionInput]:
        """What has moved since the last call, at a pace of real time: now and then one surface or vol, at times all of them."""
        if self._is_due(now, self._sent_at, REPEAT_EVERY_S):
            self._sent_at = self._moved_at = now
            return self.inputs(now)
        if not self._is_due(now, self._moved_at, MOVE_EVERY_S):
            return []
        self._moved_at = now
        moved = self._rng.pick([*PAIRS, *self._vols])
        factor = 1.0 + VOL_STEP * self._rng.normal()
        if moved in PAIRS:
            pair = self._pairs[moved]
            self._pairs[moved] = pair._replace(atm=_kept(pair.atm * factor, PAIRS[moved].atm))
            return self._surface(moved, now)
        start = next(SHARES[line.underlying] for line in LINES if line.name == moved)
        self._vols[moved] = _kept(self._vols[moved] * factor, start)
        return [Vol(moved, now, round(self._vols[moved], 5), SOURCE)]

    def ticks(self, now: int, mids: Mapping[str, float]) -> list[Tick]:
        """Quotes of the options that are quoted and have no vol of their own, where one is due."""
        if not self._is_due(now, self._quoted_at, QUOTE_EVERY_S):
            return []
        self._quoted_at = now
        found = []
        for line in LINES:
            option, spot = self._instruments.get(line.name), mids.get(line.underlying)
            if not line.quoted or option is None or spot is None:
                continue
            value = float(self._measures(line, option, spot, now).value[0])
            if value > 0.05:
                found.append(Tick(line.name, now, round(0.99 * value, 2), round(1.01 * value, 2) + 0.01, None, SOURCE))
        return found

    def _is_due(self, now: int, last: int, every_s: float) -> bool:
        return now - last >= every_s * self._speed * MICROS_PER_SECOND

    def _measures(self, line: _Line, option: Instrument, spot: float, now: int) -> Measures:
        end = dt.datetime.combine(dt.date.fromisoformat(option.expiry), dt.time(12 if not line.days else 16), NEW_YORK)
        years = max(end.timestamp() - now / MICROS_PER_SECOND, 0.0) / (365 * 86_400)
        vol = self._pairs[line.underlying].atm if line.underlying in PAIRS else SHARES[line.underlying]
        base = RATES[option.base_currency] if option.base_currency else 0.0
        sign = 1.0 if option.option_type == "call" else -1.0
        numbers = (sign, spot, float(option.strike), years, years, vol, RATES[option.quote_currency], base)
        return measure(Inputs(*(np.array([number]) for number in numbers)))


def _lot(option: Instrument) -> float:
    scale: float = 10.0**MULTIPLIER_DECIMALS
    return option.multiplier / scale


def _unit(option: Instrument, spot: float) -> float:
    """Quote currency of one unit of the price, by its style."""
    units = {"quote": 1.0, "pips": 1e-4, "pct_base": spot}
    return units[option.premium_style]


def _kept(value: float, start: float) -> float:
    """A vol held within a third of where it began."""
    return min(max(value, start * 0.67), start * 1.5)
