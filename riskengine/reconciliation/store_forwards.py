"""The store's own account of forwards: which stored trades are forwards, and what of them has gone over to spot.

Written again, beside `positions`: a trade on a pair whose value date does not count as spot belongs to `<pair>@<value date>`. At
each roll from the one on that makes the value date the spot date, what a (desk, dealer) has open goes to the pair at its average
price, to ten decimals.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from riskengine.market.forward_roll import ForwardRoll, RollMoment
from riskengine.positions.quarantine import Quarantine
from riskengine.records.forwards import name_parts, pair_symbol
from riskengine.records.types import DECIMALS, Instrument, Kind, Opening, Trade


class Moved(NamedTuple):
    """What one holder gives from a forward to its pair: quantity (1e-10) and the cash that it was dealt for (1e-28), signed."""

    desk: str
    dealer: str
    forward: str
    pair: str
    quantity: int
    cash: int


class _Deal(NamedTuple):
    """A trade or a balance in a forward: when and in which order it counts, and what was dealt."""

    ts: int
    order: tuple[int, str, str, int]
    date: str
    quantity: int
    price: float


class StoreForwards:
    """Forwards by the reference data and the verdicts of a store, on a trading day."""

    def __init__(self, instruments: Mapping[str, Instrument], quarantine: Quarantine, roll: ForwardRoll, day: str) -> None:
        self._instruments = instruments
        self._quarantine = quarantine
        self._roll = roll
        self._day = day

    def placed(self, trade: Trade) -> Trade:
        """The trade in the instrument that it is a position of. 2 us with a value date."""
        pair = self._instruments.get(trade.instrument)
        if not trade.value_date or trade.action == "cancel" or pair is None or pair.kind is not Kind.FX:
            return trade
        if self._quarantine.spot_dates.verdict(trade, pair).is_spot or self._quarantine.is_accepted(trade):
            return trade
        return replace(trade, instrument=f"{trade.instrument}@{trade.value_date}")

    def is_merged(self, symbol: str) -> bool:
        """Whether what is held under a name goes over to a pair some day."""
        return bool(self._pair_of(symbol))

    def stored_names(self, symbol: str) -> Iterator[str]:
        """Names in stored rows under which trades of a position in an instrument may stand, beside its own."""
        parts = name_parts(symbol)
        if parts is not None and parts.pair in self._instruments:
            yield parts.pair

    def _pair_of(self, symbol: str) -> str:
        forward, parts = self._instruments.get(symbol), name_parts(symbol)
        if forward is None:
            pair = self._instruments.get(parts.pair) if parts is not None else None
            return pair.instrument if pair is not None and pair.kind is Kind.FX else ""
        if forward.kind is not Kind.FX_FORWARD or not forward.expiry or forward.fixing_date:
            return ""
        name = pair_symbol(forward, self._instruments)
        pair = self._instruments.get(name)
        return name if pair is not None and (pair.multiplier, pair.currency) == (forward.multiplier, forward.currency) else ""

    def _value_date(self, symbol: str) -> str:
        forward, parts = self._instruments.get(symbol), name_parts(symbol)
        return forward.expiry[:10] if forward is not None else parts.value_date if parts is not None else ""

    def moved(self, trades: Iterable[Trade], openings: Iterable[Opening]) -> Iterator[Moved]:
        """What has gone over to spot of these trades and balances in forwards. O(n log n)."""
        held: dict[tuple[str, str, str], list[_Deal]] = {}
        for each in openings:
            deal = _Deal(-1, (0, "", "", 0), "", each.quantity, each.average_price / 10**DECIMALS)
            held.setdefault((each.instrument, each.desk, each.dealer), []).append(deal._replace(order=(each.ts, "", "", 0)))
        for trade in trades:
            order = (trade.source_seq, trade.source, trade.trade_id, trade.leg)
            deal = _Deal(trade.ts, order, trade.trade_date, trade.signed_quantity, trade.fill_price)
            held.setdefault((trade.instrument, trade.desk, trade.dealer), []).append(deal)
        for (symbol, desk, dealer), deals in held.items():
            pair = self._instruments[self._pair_of(symbol)]
            quantity, cash = self._gone(pair, self._value_date(symbol), deals)
            if quantity or cash:
                yield Moved(desk, dealer, symbol, pair.instrument, quantity, cash)

    def _gone(self, pair: Instrument, value_date: str, deals: list[_Deal]) -> tuple[int, int]:
        """The quantity that one holder has given over at all rolls, and the cash that it was dealt for."""
        by_roll: dict[RollMoment, list[_Deal]] = {}
        for deal in sorted(deals):
            ts = deal.order[0] if deal.ts < 0 else deal.ts
            roll = self._roll.roll_of(pair, value_date, ts, deal.date, self._day)
            if roll is not None:
                by_roll.setdefault(roll, []).append(deal)
        quantity = cash = 0
        for _, together in sorted(by_roll.items()):
            open_units, average = 0, 0.0
            for deal in together:
                open_units, average = _after(open_units, average, deal)
            price = int((Decimal(average) * 10**DECIMALS).to_integral_value())
            quantity += open_units
            cash -= open_units * price * pair.multiplier
        return quantity, cash


def _after(held: int, average: float, deal: _Deal) -> tuple[int, float]:
    """What is open after a deal, and at which average price: the table of ACCOUNTING section 1."""
    change, price = deal.quantity, deal.price
    if not change:
        return held, average
    if held == 0 or held * (held + change) < 0:
        return held + change, price
    if held * change > 0:
        old, new = abs(held) / 10**DECIMALS, abs(change) / 10**DECIMALS
        return held + change, (old * average + new * price) / (old + new)
    return held + change, average
