"""Exposure to counterparties: what each would owe if all that was dealt with it were closed out at the prices of a snapshot.

Of what is settled between two parties at a later date: forwards by their total P&L, FX options by their market value (the premium
has been paid), netted over everything dealt with one counterparty. Spot, shares, metals, crypto and what a clearing house stands
behind (futures, listed options) are no part of it. Trades that name no counterparty count for none. Pure; any thread.
"""

from collections.abc import Iterable, Mapping, Sequence

from riskengine.limits.check import headroom_of
from riskengine.limits.figures import IntendedTrade
from riskengine.limits.holdings import NOTHING_KNOWN, Number
from riskengine.limits.lines import day_of
from riskengine.records.limits import Limit
from riskengine.records.types import CASH_ONE, ONE, Instrument, Kind
from riskengine.snapshot.groups import Parts, TradePart, is_proven, place_asked
from riskengine.snapshot.snapshot import Snapshot

SETTLED_LATER = frozenset({Kind.FX_FORWARD, Kind.FX_OPTION})


class StandingExposures:
    """The exposures of one node or dealer by counterparty. `parts` are what its trades come to. Raises UnknownName.

    An exposure is whole where every line of it has a value, and the store's sums are those of the snapshot. O(rows + parts).
    """

    def __init__(self, snapshot: Snapshot, parts: Parts, node: str | None, dealer: str | None) -> None:
        self._snapshot = snapshot
        self._today = day_of(snapshot)
        self._amounts: dict[str, float] = {}
        self._incomplete: set[str] = set()
        table, owner = place_asked(snapshot, node, dealer)
        reference = snapshot.reference
        lines = {
            row.instrument: row for row in table.state(owner).positions() if self._counts(reference.instruments[row.instrument])
        }
        self._proven = all(is_proven(table, owner, row, parts.get(reference.symbols[n], {})) for n, row in lines.items())
        for symbol, groups in parts.items():
            number = reference.instrument_index.get(symbol)
            if number is None or not self._counts(reference.instruments[number]):
                continue
            self._proven &= number in lines
            for name, part in groups.items():
                self._add(self._amounts, self._incomplete, name, number, part)

    def _counts(self, instrument: Instrument) -> bool:
        """Whether something of an instrument is still to be settled between two parties."""
        return instrument.kind in SETTLED_LATER and instrument.expiry[:10] >= self._today

    def _add(self, amounts: dict[str, float], incomplete: set[str], name: str, number: int, part: TradePart) -> None:
        if not name or not (part.quantity or part.cash):
            return
        units = self._snapshot.units
        if not (units.priced.item(number) and units.rated.item(number)):
            incomplete.add(name)
            return
        amount = part.quantity / ONE * units.value.item(number)
        if self._snapshot.reference.instruments[number].kind is Kind.FX_FORWARD:
            amount += part.cash / CASH_ONE * units.rate.item(number)
        amounts[name] = amounts.get(name, 0.0) + amount

    def after(self, limit: Limit, trades: Sequence[IntendedTrade]) -> Number:
        """The exposure that a limit bounds, once trades are booked: to its counterparty, or the one furthest towards it."""
        amounts, incomplete, index = dict(self._amounts), set(self._incomplete), self._snapshot.reference.instrument_index
        for trade, counterparty in trades:
            number = index.get(trade.instrument)
            if number is None:
                return NOTHING_KNOWN
            if self._counts(self._snapshot.reference.instruments[number]):
                part = TradePart(trade.signed_quantity, trade.cash, {}, 0, 1)
                self._add(amounts, incomplete, counterparty, number, part)
        if limit.counterparty:
            whole = self._proven and limit.counterparty not in incomplete
            return Number(amounts.get(limit.counterparty, 0.0), whole, limit.counterparty)
        return _furthest(limit, amounts, whole=self._proven and not incomplete)


def _furthest(limit: Limit, amounts: Mapping[str, float], *, whole: bool) -> Number:
    worst = Number(0.0, whole)
    names: Iterable[str] = sorted(amounts)
    for name in names:
        if headroom_of(limit, amounts[name]) < headroom_of(limit, worst.value):
            worst = Number(amounts[name], whole, name)
    return worst
