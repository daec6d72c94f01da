"""Makes the book of the benches: 20,000 leaf nodes x 15 positions in 1,000 instruments, below 200 desks, 20 books and one root.

It is seeded: all runs measure the same book. Each position starts with one trade; 40 dealers have 500 leaves each. A `Shape`
makes smaller, larger, deeper ones.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

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


class Shape(NamedTuple):
    """How large a book is, and how it is built.

    leaves       accounts
    held         positions of each
    instruments  how many there are; with `currencies`, the first ones are pairs
    dealers      of the leaves, in equal parts
    levels       how many nodes stand on each level between the root and the leaves, the highest first
    currencies   beside the dollar; none: every instrument is an equity in dollars
    """

    leaves: int = LEAVES
    held: int = HELD
    instruments: int = INSTRUMENTS
    dealers: int = DEALERS
    levels: tuple[int, ...] = (20, 200)
    currencies: tuple[str, ...] = CURRENCIES


STANDARD = Shape()


def _nodes(shape: Shape) -> Iterator[Node]:
    yield Node("ALL", "total")
    above = ["ALL"]
    for number, count in enumerate((*shape.levels, shape.leaves)):
        is_leaf = number == len(shape.levels)
        letter, kind = ("L", "account") if is_leaf else ("B", "book") if number == 0 else (chr(ord("C") + number), "desk")
        names = [f"{letter}{one:0{len(str(count - 1))}}" for one in range(count)]
        yield from (Node(name, kind, above[one * len(above) // count]) for one, name in enumerate(names))
        above = names


def _instruments(seeded: random.Random, shape: Shape) -> list[Instrument]:
    """Pairs of the currencies against the dollar, their crosses, and equities, half of them in dollars."""
    currencies = shape.currencies
    pairs = [(code, "USD") for code in currencies] + [(a, b) for a in currencies for b in currencies if a < b]
    made = [Instrument(instrument=base + quote, kind=Kind.FX, base_currency=base, quote_currency=quote) for base, quote in pairs]
    for number in range(len(made), shape.instruments):
        currency = seeded.choice(("USD",) * len(currencies) + currencies) if currencies else "USD"
        made.append(Instrument(instrument=f"E{number:04}", kind=Kind.EQUITY, quote_currency=currency, quantity_decimals=0))
    return made


class Maker:
    """Makes reference data, positions and their trades. Each call of `trades` continues after the last one."""

    def __init__(self, shape: Shape = STANDARD) -> None:
        self.shape = shape
        self.seeded = random.Random(20_000)
        self.instruments = _instruments(self.seeded, shape)
        nodes = list(_nodes(shape))
        self.reference = Reference(nodes, self.instruments, "USD")
        every = range(len(self.instruments))
        self.held: list[Held] = [(leaf, one) for leaf in range(shape.leaves) for one in self.seeded.sample(every, shape.held)]
        self.seeded.shuffle(self.held)
        self._desks = [node.node for node in nodes[-shape.leaves :]]
        self._dealers = [f"dealer {number}" for number in range(shape.dealers)]
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
            dealer=self._dealers[leaf * self.shape.dealers // self.shape.leaves],
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
    engine.beat(maker.marks(range(len(maker.instruments))), NOW)
    engine.publish(NOW)
    return engine
