"""Simulated dealing: client flow, hedges, partial fills, corrections, late and repeated messages.

Pure: the caller passes the time and the quotes. Quantities and prices are `Decimal`s made from rounded text; no binary float
becomes money.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import NamedTuple

import msgspec

from riskengine.clock import MICROS_PER_SECOND
from riskengine.feeds.simulation.sample_book import DEALERS, MANDATES, is_quoted, style_of
from riskengine.feeds.simulation.seeded_random import STEP_US, Activity, SeededRandom, Stepper
from riskengine.records.decode import TradeInput
from riskengine.records.types import DECIMALS, Instrument, Kind, Node

SOURCE = "dealing"
TRADES_PER_SECOND = 4.0

Quotes = Callable[[str], tuple[float, float] | None]
"""Bid and ask of an instrument now; None without a price, and then no desk deals in it."""

_ORDER_LOTS = (1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 10, 20)
_POSITION_LIMIT_LOTS = 30
_MOST_FILLS = 5
_SEVERAL_FILLS = 0.30
_INTERNAL = 0.08
_BLOCK_PRICE = 0.05
_AMENDED = 0.03
_CANCELLED = 0.02
_REDELIVERED = 0.02
_LATE = 0.03
_LEG_APART = 0.10
_CLIENTS = ("Alder Bank", "Birch Capital", "Cedar Pension", "Dune Trading", "Elm Treasury", "Fjord Shipping", "Grove Asset Mgmt")
"""Made-up names that deal with the house; the first ones deal most."""
_BROKERS = ("Heath Markets", "Isle Securities")
"""With whom desks hedge."""
FLOW, HEDGE, INTERNAL = "flow", "hedge", "internal"
"""The strategies of these trades: what clients ask for, what desks take to flatten it, what they deal with each other."""
_MESSAGES_PER_ORDER = 1.45
"""Messages that one order leads to (fills, versions, repetitions), measured with the chances above."""


class _Fill(NamedTuple):
    """Part of an order, priced when it is due."""

    trade_id: str
    instrument: Instrument
    desk: str
    dealer: str
    side: str
    quantity: Decimal
    takes_liquidity: bool
    counterparty: str


class DealingSimulator:
    """The dealers of a house: about `trades_per_second` messages on average, in bursts and lulls.

    Desks are the leaves of `nodes`; `dealers` lists the dealers of each desk (a desk without an entry deals without dealer
    names); desks of the sample keep to their mandates. Every trade id begins with `run`: use a new one for each start of a
    demo, and ids stay unique in its store. Positions stay bounded, because a desk with a large one hedges; `lots` are those that
    desks hold already, by desk and instrument. For a clock that runs `speed` times as fast as real time there are as many
    messages in a real second. Cost: about 30 us a trade.
    """

    def __init__(
        self,
        seed: int,
        nodes: Sequence[Node],
        instruments: Sequence[Instrument],
        dealers: Mapping[str, Sequence[str]] = DEALERS,
        *,
        run: str,
        trades_per_second: float = TRADES_PER_SECOND,
        speed: float = 1.0,
        lots: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        self._rng = SeededRandom(seed, "dealing")
        self._names = SeededRandom(seed, "counterparties")  # of its own, so that other clients leave the trades as they are
        self._activity = Activity(self._rng)
        self._stepper = Stepper(speed)
        self._orders_per_step = trades_per_second / _MESSAGES_PER_ORDER * STEP_US / MICROS_PER_SECOND
        self._dealers = dealers
        self._run = run
        parents = {node.parent for node in nodes}
        self._leaves = [node.node for node in nodes if node.node not in parents]
        self._mandates = _mandates(self._leaves, instruments)
        self._desks = list(self._mandates)
        self._net_lots: dict[tuple[str, str], int] = dict(lots or {})
        self._due: list[tuple[int, int, _Fill | TradeInput]] = []
        self._entries = count()
        self._order_number = 0
        self._source_seq = 0

    @property
    def lots(self) -> Mapping[tuple[str, str], int]:
        """What each desk holds of each instrument by its orders, in lots of the instrument; sold short is below 0."""
        return self._net_lots

    def hold(self, desk: str, instrument: str, lots: int) -> None:
        """Take lots that a desk holds by no order of its own, such as a position brought forward."""
        key = desk, instrument
        self._net_lots[key] = self._net_lots.get(key, 0) + lots

    def trades(self, now_ts: int, elapsed_s: float, quotes: Quotes) -> list[TradeInput]:
        """The messages of the `elapsed_s` seconds up to `now_ts`, in order of arrival; no `ts` is after `now_ts`."""
        sent: list[TradeInput] = []
        for end_ts in self._stepper.steps(now_ts, elapsed_s):
            self._activity.step()
            for _ in range(self._rng.count(self._orders_per_step * self._activity.rate)):
                self._order(end_ts, quotes)
            while self._due and self._due[0][0] <= end_ts:
                due_ts, _, item = heapq.heappop(self._due)
                if isinstance(item, TradeInput):
                    sent.append(item)
                else:
                    self._execute(item, due_ts, quotes)
        return sent

    def _order(self, ts: int, quotes: Quotes) -> None:
        """Draw an order and plan its fills."""
        if not self._desks:
            return
        rng = self._rng
        desk = rng.pick(self._desks)
        instrument = rng.pick(self._mandates[desk])
        self._order_number += 1
        order_id = f"{self._run}-{self._order_number:06d}"
        if rng.chance(_INTERNAL) and self._internal_deal(order_id, desk, instrument, ts, quotes):
            return
        net = self._net_lots.get((desk, instrument.instrument), 0)
        hedges = abs(net) > _POSITION_LIMIT_LOTS
        lots = abs(net) // 2 if hedges else rng.pick(_ORDER_LOTS)
        # Desks shade their prices to attract flow that flattens them, so flow leans against the position.
        buys = net < 0 if hedges else rng.chance(0.5 - net / (4 * _POSITION_LIMIT_LOTS))
        self._net_lots[desk, instrument.instrument] = net + (lots if buys else -lots)
        dealer, lot = self._dealer(desk), style_of(instrument).lot
        pieces = _pieces(rng, lots)
        counterparty = self._names.pick(_BROKERS) if hedges else _CLIENTS[self._names.below(1 + self._names.below(len(_CLIENTS)))]
        for place, piece in enumerate(pieces):
            trade_id = order_id if len(pieces) == 1 else f"{order_id}.{place + 1}"
            fill = _Fill(trade_id, instrument, desk, dealer, "buy" if buys else "sell", piece * lot, hedges, counterparty)
            ts += rng.below(250_000) if place else 0
            self._plan(ts, fill)

    def _execute(self, fill: _Fill, ts: int, quotes: Quotes) -> None:
        """Price a fill at the current quote, plan its message, and perhaps an amend, a cancel and a repetition."""
        quote = quotes(fill.instrument.instrument)
        if quote is None:
            return
        low, high = min(quote), max(quote)
        rng = self._rng
        price = exact_price(high if (fill.side == "buy") == fill.takes_liquidity else low, fill.instrument)
        if rng.chance(_BLOCK_PRICE):
            # A block allocated at the average of its executions has more decimals than the market quotes.
            price += Decimal(rng.below(1_000)).scaleb(-min(fill.instrument.price_decimals + 3, DECIMALS))
        self._source_seq += 1
        trade = TradeInput(
            version=1,
            trade_id=fill.trade_id,
            source=SOURCE,
            ts=ts,
            source_seq=self._source_seq,
            instrument=fill.instrument.instrument,
            desk=fill.desk,
            dealer=fill.dealer,
            side=fill.side,
            quantity=fill.quantity,
            price=price,
            fees=fees_of(fill.instrument, fill.quantity, price),
            fees_currency=fill.instrument.currency,
            counterparty=fill.counterparty,
            strategy=HEDGE if fill.takes_liquidity else FLOW,
        )
        self._plan(ts + (self._delay(1.0, 300.0) if rng.chance(_LATE) else 0), trade)
        if rng.chance(_AMENDED):
            ts += self._delay(0.5, 60.0)
            trade = amend_of(rng, trade, fill.instrument, ts, self._elsewhere(fill.desk))
            self._plan(ts, trade)
        if rng.chance(_CANCELLED):
            ts += self._delay(0.5, 60.0)
            trade = cancel_of(trade, ts)
            self._plan(ts, trade)
        if rng.chance(_REDELIVERED):
            self._plan(ts + self._delay(0.05, 10.0), trade)

    def _internal_deal(self, order_id: str, desk: str, instrument: Instrument, ts: int, quotes: Quotes) -> bool:
        """Two desks deal with each other at mid: one trade id, two opposite legs. False without a counterparty or a quote."""
        rng = self._rng
        across = [other for other in self._desks if other != desk and instrument in self._mandates[other]]
        quote = quotes(instrument.instrument)
        if not across or quote is None:
            return False
        price = exact_price(sum(quote) / 2, instrument)
        lots = rng.pick(_ORDER_LOTS)
        other = rng.pick(across)
        sides = (desk, "sell", -lots, other), (other, "buy", lots, desk)
        for leg, (where, side, change, counterparty) in enumerate(sides):
            key = where, instrument.instrument
            self._net_lots[key] = self._net_lots.get(key, 0) + change
            self._source_seq += 1
            trade = TradeInput(
                version=1,
                trade_id=order_id,
                leg=leg,
                legs=2,
                source=SOURCE,
                ts=ts,
                source_seq=self._source_seq,
                instrument=instrument.instrument,
                desk=where,
                dealer=self._dealer(where),
                side=side,
                quantity=lots * style_of(instrument).lot,
                price=price,
                counterparty=counterparty,
                strategy=INTERNAL,
            )
            self._plan(ts + (self._delay(0.2, 3.0) if leg and rng.chance(_LEG_APART) else 0), trade)
        return True

    def _dealer(self, desk: str) -> str:
        names = self._dealers.get(desk)
        return self._rng.pick(names) if names else ""

    def _delay(self, low_s: float, high_s: float) -> int:
        return int(self._rng.between(low_s, high_s) * MICROS_PER_SECOND)

    def _plan(self, due_ts: int, item: _Fill | TradeInput) -> None:
        heapq.heappush(self._due, (due_ts, next(self._entries), item))

    def _elsewhere(self, desk: str) -> tuple[str, str]:
        """Another desk and one of its dealers; the same desk if it is the only one."""
        others = [other for other in self._leaves if other != desk] or [desk]
        other = self._rng.pick(others)
        return other, self._dealer(other)


def amend_of(
    rng: SeededRandom, trade: TradeInput, instrument: Instrument, booked_ts: int, elsewhere: tuple[str, str]
) -> TradeInput:
    """The next version of a trade: a new price, a new quantity, or the desk and dealer of `elsewhere`."""
    assert trade.price is not None and trade.quantity is not None
    roll = rng.below(3)
    desk, dealer, price, quantity = trade.desk, trade.dealer, trade.price, trade.quantity
    if roll == 0:
        desk, dealer = elsewhere
    elif roll == 1:
        ticks = (1 + rng.below(10)) * (1 if rng.chance(0.5) else -1)
        shifted = price + Decimal(ticks).scaleb(-instrument.price_decimals)
        price = shifted if shifted > 0 else price
    else:
        lot = style_of(instrument).lot
        quantity += -lot if quantity > lot and rng.chance(0.5) else lot
    return msgspec.structs.replace(
        trade,
        version=(trade.version or 1) + 1,
        action="amend",
        booked_ts=booked_ts,
        desk=desk,
        dealer=dealer,
        price=price,
        quantity=quantity,
        fees=fees_of(instrument, quantity, price),
    )


def cancel_of(trade: TradeInput, booked_ts: int) -> TradeInput:
    """The cancel of a trade: its next version, without terms."""
    return TradeInput(
        trade_id=trade.trade_id,
        source=trade.source,
        leg=trade.leg,
        version=(trade.version or 1) + 1,
        action="cancel",
        ts=trade.ts,
        source_seq=trade.source_seq,
        booked_ts=booked_ts,
    )


def exact_price(price: float | Decimal, instrument: Instrument) -> Decimal:
    """An exact price: rounded as text to the instrument's decimals."""
    return Decimal(f"{price:.{instrument.price_decimals}f}")


def fees_of(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal | None:
    """The broker's fee in the instrument's currency; None for instruments without commission."""
    if instrument.kind is Kind.FUTURE:
        return quantity * Decimal("2.25")
    if instrument.kind is not Kind.EQUITY:
        return None
    if instrument.quote_currency == "USD":
        return max(Decimal("1.00"), (quantity * Decimal("0.0035")).quantize(Decimal("0.01")))
    return max(Decimal("1.50"), (quantity * price * Decimal("0.0002")).quantize(Decimal("0.01")))


def _pieces(rng: SeededRandom, lots: int) -> list[int]:
    """Split an order's lots into one to five fills."""
    most = min(lots, _MOST_FILLS)
    if most < 2 or not rng.chance(_SEVERAL_FILLS):
        return [lots]
    cuts = sorted({1 + rng.below(lots - 1) for _ in range(1 + rng.below(most - 1))})
    return [high - low for low, high in zip([0, *cuts], [*cuts, lots], strict=True)]


def _mandates(leaves: Sequence[str], instruments: Sequence[Instrument]) -> dict[str, list[Instrument]]:
    """The instruments of each desk; desks without any are left out."""
    dealt = [instrument for instrument in instruments if is_quoted(instrument)]
    mandates = {
        leaf: [instrument for instrument in dealt if leaf not in MANDATES or instrument.instrument in MANDATES[leaf]]
        for leaf in leaves
    }
    return {leaf: allowed for leaf, allowed in mandates.items() if allowed}
