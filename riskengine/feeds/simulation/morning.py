"""What the desk of the demo has behind it at noon: a month of closes, positions brought forward, the trades of the morning.

Pure, and equal for equal seeds and times. What it makes are rows as of a file or a sender, unchecked: they enter by the ordinary
doors.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.feeds.simulation.dealing import DealingSimulator, exact_price
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.sample_book import DEALERS, MANDATES, style_of
from riskengine.feeds.simulation.seeded_random import SeededRandom
from riskengine.market.trading_day import TradingDay
from riskengine.records.decode import TradeInput
from riskengine.records.reference_input import CloseInput, OpeningInput
from riskengine.records.types import Instrument, Node, Tick

CLOSED_DAYS = 22
"""Trading days with official closes: a month."""

LONGEST_US = 5 * 3_600 * MICROS_PER_SECOND
"""How long the desk has been dealing at noon: since seven in the morning, or since the trading day began if that is later."""

SOURCE = "booking"
"""The source of the trades that need a person."""

MINUTE_US = 60 * MICROS_PER_SECOND
_SLICE_US = 10 * MICROS_PER_SECOND
_DAY_US = 86_400 * MICROS_PER_SECOND
_SPEED = 100.0
_TRADES_PER_REAL_SECOND = 10.0
"""Deals in steps of a second, not of 10 ms, six messages a minute."""

_HELD = 0.6
"""The share of (dealer, instrument) with a position brought forward."""
_MOST_LOTS = 10


class Times(NamedTuple):
    """When the trading day began, when the desk began to deal in it, and now; microseconds."""

    day_start: int
    first: int
    now: int


class Minute(NamedTuple):
    """A minute of the morning: when it ends, a quote of every instrument, and the messages with the times at which they came."""

    ts: int
    ticks: Sequence[Tick]
    trades: Sequence[tuple[int, TradeInput]]


def times_of(now: int, trading_day: TradingDay) -> Times:
    """The times of a morning that ends now."""
    day_start, _ = trading_day.window(trading_day.date_of(now))
    return Times(day_start, max(day_start, now - LONGEST_US), now)


class MorningSimulator:
    """Makes the past of the demo, oldest first: `closes`, then `openings`, then `minutes`, each once.

    `market` is moved along, so that its ticks go on where the morning ends; `lots` are what the desks hold then.
    """

    def __init__(self, seed: int, nodes: Sequence[Node], instruments: Sequence[Instrument], market: MarketSimulator) -> None:
        self._seed = seed
        self._rng = SeededRandom(seed, "morning")
        self._nodes = nodes
        self._instruments = {instrument.instrument: instrument for instrument in instruments}
        self._market = market
        self._closes: list[dict[str, Decimal]] = []
        self.lots: Mapping[tuple[str, str], int] = {}

    def closes(self, times: Times, trading_day: TradingDay) -> list[CloseInput]:
        """Official closes of the last CLOSED_DAYS trading days before the current one, for every instrument."""
        dates: list[dt.date] = []
        day = trading_day.date_of(times.now)
        while len(dates) < CLOSED_DAYS:
            day = trading_day.previous(day)
            dates.insert(0, day)
        rows: list[CloseInput] = []
        for date in dates:
            self._market.move(_DAY_US)
            mids = self._market.mids()
            prices = {symbol: exact_price(mid, self._instruments[symbol]) for symbol, mid in mids.items()}
            self._closes.append(prices)
            rows += [CloseInput(date=date.isoformat(), instrument=symbol, price=str(price)) for symbol, price in prices.items()]
        self._market.start_from({symbol: float(price) for symbol, price in self._closes[-1].items()})
        return rows

    def openings(self, times: Times) -> list[OpeningInput]:
        """Balances of dealers at the last close, bought or sold at closes of the month."""
        rng, rows, lots = self._rng, list[OpeningInput](), dict[tuple[str, str], int]()
        for desk, symbols in MANDATES.items():
            for dealer in DEALERS[desk]:
                for symbol in symbols:
                    if not rng.chance(_HELD):
                        continue
                    held = (1 + rng.below(_MOST_LOTS)) * (1 if rng.chance(0.5) else -1)
                    lots[desk, symbol] = lots.get((desk, symbol), 0) + held
                    rows.append(
                        OpeningInput(
                            desk=desk,
                            dealer=dealer,
                            instrument=symbol,
                            ts=times.day_start,
                            quantity=held * style_of(self._instruments[symbol]).lot,
                            average_price=rng.pick(self._closes)[symbol],
                            realised=Decimal(rng.below(4_000_000) - 1_500_000).scaleb(-2),
                            fees=Decimal(rng.below(50_000)).scaleb(-2),
                        )
                    )
        self.lots = lots
        return rows

    def minutes(self, times: Times) -> Iterator[Minute]:
        """Prices and trades from the first to now."""
        market = self._market
        dealing = DealingSimulator(
            self._seed,
            self._nodes,
            list(self._instruments.values()),
            run="am",
            trades_per_second=_TRADES_PER_REAL_SECOND,
            speed=_SPEED,
            lots=self.lots,
        )
        market.move(max(times.first - times.day_start, 1))
        before = times.first
        while before < times.now:
            end = min(before + MINUTE_US, times.now)
            market.move(end - before)
            ticks = market.whole_book(end)
            trades = [
                (ts, trade)
                for ts in range(before + _SLICE_US, end + 1, _SLICE_US)
                for trade in dealing.trades(ts, _SLICE_US / MICROS_PER_SECOND, market.quote)
            ]
            if end == times.now:
                trades += [(end, trade) for trade in self._needing_a_person(times)]
            yield Minute(end, ticks, trades)
            before = end
        self.lots = dealing.lots

    def _needing_a_person(self, times: Times) -> list[TradeInput]:
        """A conflict, a cancel whose trade never came, a forward booked as spot, one leg of two, a late trade."""
        quote = self._market.quote("EURUSD")
        if quote is None:
            return []
        price = exact_price(sum(quote) / 2, self._instruments["EURUSD"])
        later = dt.datetime.fromtimestamp(times.now / MICROS_PER_SECOND, dt.UTC).date() + dt.timedelta(days=91)
        just_now = times.now - MICROS_PER_SECOND
        plain = self._booked("am-1", just_now, price)
        return [
            plain,
            self._booked("am-1", just_now, price + Decimal("0.0005")),
            TradeInput(source=SOURCE, trade_id="am-2", version=2, action="cancel", ts=just_now),
            self._booked("am-3", just_now, price + Decimal("0.0042"), value_date=_weekday(later)),
            self._booked("am-4", just_now, price, legs=2),
            self._booked("am-5", max(times.first, just_now - 30 * MINUTE_US), price),
        ]

    def _booked(self, trade_id: str, ts: int, price: Decimal, *, value_date: str = "", legs: int | None = None) -> TradeInput:
        return TradeInput(
            source=SOURCE,
            trade_id=trade_id,
            version=1,
            ts=ts,
            instrument="EURUSD",
            desk="FX1",
            dealer="Anna",
            side="buy",
            quantity=Decimal(1_000_000),
            price=price,
            value_date=value_date,
            legs=legs,
        )


def _weekday(date: dt.date) -> str:
    """The date, or the Monday after it."""
    return (date + dt.timedelta(days=max(0, 7 - date.weekday()) if date.weekday() > 4 else 0)).isoformat()
