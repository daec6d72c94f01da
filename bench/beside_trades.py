"""Trades into positions: this engine (identity, order, ledger, both roll-ups), nautilus_trader's positions, a dictionary.

Net quantities of all positions are compared, exactly, before a time counts, and average prices to 1e-8 where a position never
went from long to short or back in one trade: nautilus' positions leave it to its execution engine to split such a trade in two.
"""

from collections.abc import Callable, Sequence
from typing import Any

from bench.beside_arrays import NotHere
from bench.book import NOW, batches
from riskengine.engine.engine import Engine
from riskengine.records.reference import Reference
from riskengine.records.types import ONE, Trade

Held = dict[tuple[str, str], tuple[int, float | None]]
"""Net quantity in whole units and average open price, by desk and instrument; open positions alone."""


class EngineTrades:
    """`apply` in the store's batches and both roll-ups settled; nothing is published."""

    name = "this engine"

    def __init__(self, reference: Reference) -> None:
        self.engine = Engine(reference, now=NOW)

    def prepare(self, trades: Sequence[Trade]) -> Callable[[], None]:
        def apply() -> None:
            for batch in batches(trades):
                self.engine.apply(batch, NOW)
                self.engine.ledger.organisation.settle()
                self.engine.ledger.dealers.settle()

        return apply

    def held(self) -> Held:
        reference, books = self.engine.reference, self.engine.ledger.organisation.books
        return {
            (node.node, reference.instruments[row.instrument].instrument): (row.quantity // ONE, row.average)
            for number, node in enumerate(reference.hierarchy.nodes)
            if reference.hierarchy.is_leaf(number)
            for row in books[number].rows
            if row is not None and row.quantity
        }


class Dictionary:
    """One sum by desk and instrument: the least that any program does. It keeps no average price."""

    name = "a dictionary"

    def __init__(self, _reference: Reference) -> None:
        self.sums: dict[tuple[str, str], int] = {}

    def prepare(self, trades: Sequence[Trade]) -> Callable[[], None]:
        def apply() -> None:
            sums = self.sums
            for trade in trades:
                key = (trade.desk, trade.instrument)
                sums[key] = sums.get(key, 0) + trade.signed_quantity

        return apply

    def held(self) -> Held:
        return {key: (quantity // ONE, None) for key, quantity in self.sums.items() if quantity}


class Nautilus:
    """`Position.apply` of `OrderFilled` events, by account and instrument; no roll-up, no identity across restarts.

    `built`: making the event of each trade is timed too. It becomes slower with the number of fills of a position.
    """

    def __init__(self, reference: Reference, *, built: bool) -> None:
        try:
            import nautilus_trader
            from nautilus_trader.model import currencies, enums, events, identifiers, instruments, objects, position
        except ImportError as error:
            raise NotHere("nautilus_trader is not installed") from error
        from nautilus_trader.core.uuid import UUID4

        self._ids, self._enums, self._objects, self._uuid = identifiers, enums, objects, UUID4
        self._fill, self._position, self._dollar = events.OrderFilled, position.Position, currencies.USD
        self.built = built
        self.name = f"nautilus {nautilus_trader.__version__}, {'built and applied' if built else 'applied alone'}"
        self.positions: dict[tuple[str, str], Any] = {}
        self._instruments = {}
        self._trader, self._strategy = identifiers.TraderId("T-1"), identifiers.StrategyId("S-1")
        self._accounts = {node.node: identifiers.AccountId(f"X-{node.node}") for node in reference.hierarchy.nodes}
        self._none = objects.Money(0, self._dollar)
        one, tick = objects.Quantity.from_int(1), objects.Price(1e-9, 9)
        for each in reference.instruments:
            name = identifiers.Symbol(each.instrument)
            number = identifiers.InstrumentId(name, identifiers.Venue("X"))
            self._instruments[each.instrument] = instruments.Equity(number, name, self._dollar, 9, tick, one, 0, 0)

    def _event(self, trade: Trade) -> Any:
        ids, enums = self._ids, self._enums
        return self._fill(
            self._trader,
            self._strategy,
            self._instruments[trade.instrument].id,
            ids.ClientOrderId(trade.trade_id),
            ids.VenueOrderId(trade.trade_id),
            self._accounts[trade.desk],
            ids.TradeId(trade.trade_id),
            ids.PositionId(f"{trade.desk}-{trade.instrument}"),
            enums.OrderSide.BUY if trade.side == "buy" else enums.OrderSide.SELL,
            enums.OrderType.MARKET,
            self._objects.Quantity.from_int(trade.quantity // ONE),
            self._objects.Price(trade.fill_price, 9),
            self._dollar,
            self._none,
            enums.LiquiditySide.TAKER,
            self._uuid(),
            trade.ts * 1_000,
            trade.ts * 1_000,
        )

    def prepare(self, trades: Sequence[Trade]) -> Callable[[], None]:
        events = None if self.built else [self._event(trade) for trade in trades]

        def apply() -> None:
            positions, given = self.positions, events or map(self._event, trades)
            for trade, event in zip(trades, given, strict=True):
                key = (trade.desk, trade.instrument)
                known = positions.get(key)
                if known is None:
                    positions[key] = self._position(self._instruments[trade.instrument], event)
                else:
                    known.apply(event)

        return apply

    def held(self) -> Held:
        return {key: (int(one.signed_qty), one.avg_px_open) for key, one in self.positions.items() if one.signed_qty}


def note_crossings(trades: Sequence[Trade], sums: dict[tuple[str, str], int], crossed: set[tuple[str, str]]) -> None:
    """Carry net quantities on in `sums`, and add the positions that a trade took from long to short or back to `crossed`."""
    for trade in trades:
        key = (trade.desk, trade.instrument)
        before = sums.get(key, 0)
        sums[key] = before + trade.signed_quantity
        if before * sums[key] < 0:
            crossed.add(key)


def same(held: Held, expected: Held, crossed: set[tuple[str, str]]) -> bool:
    """Whether quantities are equal, and average prices within 1e-8 where both have one and the position never crossed zero."""
    if held.keys() != expected.keys():
        return False
    for key, (quantity, price) in held.items():
        right, right_price = expected[key]
        if quantity != right:
            return False
        if key not in crossed and price is not None and right_price is not None and abs(price - right_price) > 1e-8 * right_price:
            return False
    return True
