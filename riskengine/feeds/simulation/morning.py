"""What the desk of the demo has behind it at noon: positions brought forward, a month of trading days, and the morning.

Pure, and equal for equal seeds and times. What it makes are rows as of a file or a sender, unchecked: they enter by the ordinary
doors.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import structs

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
"""Trading days before the current one: a month."""

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

_HOUR_US = 60 * MINUTE_US
_DEALS_BEFORE_END_US = (7 * _HOUR_US, 2 * _HOUR_US)
"""When in a day of the month, before its end, the desks deal."""
_DEALS_S = 120.0
"""For so long; in a quiet spell they deal in nothing."""

_NIGHT_US = 4 * _HOUR_US
"""A night, and a weekend, moves prices as far as so much of a day."""

_HELD = 0.6
"""The share of (dealer, instrument) with a position brought forward."""
_MOST_LOTS = 10


class Times(NamedTuple):
    """The trading days of the month, when the current one began, when the desk began to deal in it, and now; microseconds."""

    dates: tuple[dt.date, ...]
    day_start: int
    first: int
    now: int


class Day(NamedTuple):
    """A trading day of the month: its official closes, and the messages with the times at which they came."""

    date: dt.date
    end_ts: int
    closes: Sequence[CloseInput]
    trades: Sequence[tuple[int, TradeInput]]


class Minute(NamedTuple):
    """A minute of the morning: when it ends, a quote of every instrument, and the messages with the times at which they came."""

    ts: int
    ticks: Sequence[Tick]
    trades: Sequence[tuple[int, TradeInput]]


def times_of(now: int, trading_day: TradingDay) -> Times:
    """The times of a morning that ends now."""
    current = trading_day.date_of(now)
    dates = [trading_day.previous(current)]
    while len(dates) < CLOSED_DAYS:
        dates.insert(0, trading_day.previous(dates[0]))
    day_start, _ = trading_day.window(current)
    return Times(tuple(dates), day_start, max(day_start, now - LONGEST_US), now)


class MorningSimulator:
    """Makes the past of the demo, oldest first: `openings`, then `days`, then `minutes`, each once.

    `market` is moved along, so that its ticks go on where the morning ends; `lots` are what the desks hold then.
    """

    def __init__(self, seed: int, nodes: Sequence[Node], instruments: Sequence[Instrument], market: MarketSimulator) -> None:
        self._rng = SeededRandom(seed, "morning")
        self._instruments = {instrument.instrument: instrument for instrument in instruments}
        self._market = market
        self._booked_yesterday: TradeInput | None = None
        self._desks = DealingSimulator(
            seed, nodes, instruments, run="am", trades_per_second=_TRADES_PER_REAL_SECOND, speed=_SPEED
        )

    @property
    def lots(self) -> Mapping[tuple[str, str], int]:
        """What each desk holds of each instrument, in lots."""
        return self._desks.lots

    def openings(self, times: Times, trading_day: TradingDay) -> list[OpeningInput]:
        """Balances of dealers from before the month, dealt within 2 % of the prices of then."""
        rng, rows, mids = self._rng, list[OpeningInput](), self._market.mids()
        ts, _ = trading_day.window(times.dates[0])
        for desk, symbols in MANDATES.items():
            for dealer in DEALERS[desk]:
                for symbol in symbols:
                    if not rng.chance(_HELD):
                        continue
                    held = (1 + rng.below(_MOST_LOTS)) * (1 if rng.chance(0.5) else -1)
                    self._desks.hold(desk, symbol, held)
                    instrument = self._instruments[symbol]
                    rows.append(
                        OpeningInput(
                            desk=desk,
                            dealer=dealer,
                            instrument=symbol,
                            ts=ts,
                            quantity=held * style_of(instrument).lot,
                            average_price=exact_price(mids[symbol] * rng.between(0.98, 1.02), instrument),
                            realised=Decimal(rng.below(4_000_000) - 1_500_000).scaleb(-2),
                            fees=Decimal(rng.below(50_000)).scaleb(-2),
                        )
                    )
        return rows

    def days(self, times: Times, trading_day: TradingDay) -> Iterator[Day]:
        """The trading days of the month. On the last one somebody books a trade that the morning corrects."""
        market = self._market
        for date in times.dates:
            _, end = trading_day.window(date)
            trades: list[tuple[int, TradeInput]] = []
            left = _DAY_US
            for before_end in _DEALS_BEFORE_END_US:
                market.move(left - before_end)
                left, ts = before_end, end - before_end
                market.whole_book(ts)
                dealt = self._desks.trades(ts, _DEALS_S, market.quote)
                trades += [(ts, trade) for trade in dealt]
            if date == times.dates[-1]:
                self._booked_yesterday = self._booked("pm-1", ts, self._euro())
                trades.append((ts, self._booked_yesterday))
            market.move(left)
            prices = {symbol: exact_price(mid, self._instruments[symbol]) for symbol, mid in market.mids().items()}
            market.start_from({symbol: float(price) for symbol, price in prices.items()})
            closes = [CloseInput(date=date.isoformat(), instrument=symbol, price=str(price)) for symbol, price in prices.items()]
            yield Day(date, end, closes, trades)

    def minutes(self, times: Times) -> Iterator[Minute]:
        """Prices and trades from the first to now."""
        market, desks = self._market, self._desks
        market.move(min(max(times.first - times.day_start, 1), _NIGHT_US))
        before = times.first
        while before < times.now:
            end = min(before + MINUTE_US, times.now)
            market.move(end - before)
            ticks = market.whole_book(end)
            trades = [
                (ts, trade)
                for ts in range(before + _SLICE_US, end + 1, _SLICE_US)
                for trade in desks.trades(ts, _SLICE_US / MICROS_PER_SECOND, market.quote)
            ]
            if end == times.now:
                trades += [(end, trade) for trade in self._needing_a_person(times)]
            yield Minute(end, ticks, trades)
            before = end

    def _needing_a_person(self, times: Times) -> list[TradeInput]:
        """A conflict, a cancel whose trade never came, a value date on a Saturday, one leg of two, a late trade.

        Also a correction of yesterday's trade, which is nobody's task.
        """
        price = self._euro()
        today = dt.datetime.fromtimestamp(times.now / MICROS_PER_SECOND, dt.UTC).date()
        just_now = times.now - MICROS_PER_SECOND
        plain = self._booked("am-1", just_now, price)
        return [
            plain,
            self._booked("am-1", just_now, price + Decimal("0.0005")),
            TradeInput(source=SOURCE, trade_id="am-2", version=2, action="cancel", ts=just_now),
            self._booked("am-3", just_now, price, value_date=_saturday_after(today + dt.timedelta(days=85))),
            self._booked("am-4", just_now, price, legs=2),
            *self._correction(),
            self._booked("am-5", max(times.first, just_now - 30 * MINUTE_US), price),
        ]

    def _euro(self) -> Decimal:
        """The price of a euro now."""
        return exact_price(self._market.mids()["EURUSD"], self._instruments["EURUSD"])

    def _correction(self) -> list[TradeInput]:
        """Yesterday's trade again, dearer by ten pips."""
        first = self._booked_yesterday
        if first is None or first.price is None:
            return []
        return [structs.replace(first, version=2, action="amend", price=Decimal(first.price) + Decimal("0.0010"))]

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
            counterparty="Birch Capital",
            strategy="flow",
        )


def _saturday_after(date: dt.date) -> str:
    """The next Saturday, or the date if it is one: no market settles on it."""
    return (date + dt.timedelta(days=(5 - date.weekday()) % 7)).isoformat()
