"""Makes the book of the benches: 20,000 leaf nodes x 15 positions in 1,000 instruments, below 200 desks, 20 books and one root.

It is seeded: all runs measure the same book. Each position starts with one trade; 40 dealers have 500 leaves each.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark
from riskengine.records.reference import Reference
from riskengine.records.types import ONE, Instrument, Kind, Node, Trade, cash_and_fill_price

LEAVES, HELD, INSTRUMENTS, DEALERS = 20_000, 15, 1_000, 40
POSITIONS = LEAVES * HELD
BATCH = 256
"""Most trades that the store commits at once."""
NOW = 1_772_625_600_000_000
CURRENCIES = ("EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK")

Held = tuple[int, int]
"""A position: numbers of its leaf and instrument, in order of creation."""


def _nodes() -> Iterator[Node]:
    yield Node("ALL", "total")
    yield from (Node(f"B{book:02}", "book", "ALL") for book in range(20))
    yield from (Node(f"D{desk:03}", "desk", f"B{desk // 10:02}") for desk in range(200))
    yield from (Node(f"L{leaf:05}", "account", f"D{leaf // 100:03}") for leaf in range(LEAVES))


def _instruments(seeded: random.Random) -> list[Instrument]:
    """9 pairs against the dollar, their 36 crosses, and equities, half of them in dollars."""
    pairs = [(code, "USD") for code in CURRENCIES] + [(a, b) for a in CURRENCIES for b in CURRENCIES if a < b]
    made = [Instrument(instrument=base + quote, kind=Kind.FX, base_currency=base, quote_currency=quote) for base, quote in pairs]
    for number in range(len(made), INSTRUMENTS):
        currency = seeded.choice(("USD",) * len(CURRENCIES) + CURRENCIES)
        made.append(Instrument(instrument=f"E{number:04}", kind=Kind.EQUITY, quote_currency=currency, quantity_decimals=0))
    return made


class Maker:
    """Makes reference data, positions and their trades. Each call of `trades` continues after the last one."""

    def __init__(self) -> None:
        self.seeded = random.Random(20_000)
        self.instruments = _instruments(self.seeded)
        self.reference = Reference(_nodes(), self.instruments, "USD")
        every = range(INSTRUMENTS)
        self.held: list[Held] = [(leaf, one) for leaf in range(LEAVES) for one in self.seeded.sample(every, HELD)]
        self.seeded.shuffle(self.held)
        self._desks = [f"L{leaf:05}" for leaf in range(LEAVES)]
        self._dealers = [f"dealer {number}" for number in range(DEALERS)]
        self._made = 0

    def trades(self, positions: Sequence[Held]) -> list[Trade]:
        """One newer trade for each of these positions, in this order."""
        return [self._trade(leaf, self.instruments[number]) for leaf, number in positions]

    def _trade(self, leaf: int, instrument: Instrument) -> Trade:
        self._made += 1
        side = self.seeded.choice(("buy", "buy", "sell"))
        sign = 1 if side == "buy" else -1
        quantity, price = self.seeded.randint(1, 1_000) * ONE, self.seeded.randint(9_990_000_000, 10_010_000_000)
        cash, fill_price = cash_and_fill_price(sign, quantity, price, None, instrument.multiplier)
        return Trade(
            source="bench",
            trade_id=f"T{self._made:08}",
            ts=NOW + self._made,
            received_ts=NOW + self._made,
            instrument=instrument.instrument,
            desk=self._desks[leaf],
            dealer=self._dealers[leaf * DEALERS // LEAVES],
            side=side,
            quantity=quantity,
            price=price,
            fees_currency=instrument.currency,
            signed_quantity=sign * quantity,
            cash=cash,
            fill_price=fill_price,
        )

    def marks(self, numbers: Sequence[int]) -> Mapping[int, Mark]:
        """New prices for some instruments, within the limits of the trades' prices: those would be `off_market` otherwise."""
        return {number: Mark(self.seeded.uniform(0.999, 1.001), NOW, "bench", "quote") for number in numbers}


def batches(trades: Sequence[Trade]) -> Iterator[Sequence[Trade]]:
    """Split trades as the store hands them to the engine."""
    return (trades[first : first + BATCH] for first in range(0, len(trades), BATCH))


def load_engine(maker: Maker) -> Engine:
    """Make an engine that holds the book, priced and published."""
    engine = Engine(maker.reference, now=NOW)
    for batch in batches(maker.trades(maker.held)):
        engine.apply(batch, NOW)
    engine.beat(maker.marks(range(INSTRUMENTS)), NOW)
    engine.publish(NOW)
    return engine
