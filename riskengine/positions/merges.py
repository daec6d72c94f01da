"""Merges forwards into the spot positions of their pairs, and keeps the merges in step with their trades.

At the roll at which a value date becomes the spot date, what a (desk, dealer) holds of the forward goes over to spot at the
average open price that it has, to ten decimals: a pair of entries with the same price, so no P&L. The position of a desk works
them out for its dealers; both roll-ups get the same entries. Late trades, amends and cancels fold them again, with the next
publication. Writer thread only.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import NamedTuple

from riskengine.market.forward_roll import ForwardRoll, RollMoment
from riskengine.positions.adjusted import Entry
from riskengine.positions.ledger import SHIFT, Ledger, Rollup
from riskengine.positions.merged import MergedPosition, MergeTerms, merge_entry
from riskengine.positions.position import Position, next_average
from riskengine.records.forwards import is_non_deliverable, pair_symbol, value_date_of
from riskengine.records.reference import Reference
from riskengine.records.types import DECIMALS, ONE, Instrument, Kind, order_key

Entries = tuple[Entry, ...]

_STEP = Decimal(1).scaleb(-DECIMALS)


class Forward(NamedTuple):
    """A forward that is merged: its number, its value date, and the number of its pair."""

    number: int
    value_date: str
    pair: int


class Merge(NamedTuple):
    """What one holder gives over at a roll: signed quantity and price, units of 1e-10."""

    roll: RollMoment
    quantity: int
    price: int


class Taken(NamedTuple):
    """What a desk's spot position took from a forward: numbers of leaf and pair, the value date, quantity and cash, exact."""

    leaf: int
    pair: int
    value_date: str
    quantity: int
    cash: int


def merges_of(dealt: Iterable[tuple[RollMoment | None, tuple[int, float]]]) -> list[Merge]:
    """The merges of what one holder has dealt in a forward, in the order of trades: signed quantity, price, and the roll of each.

    Whatever is held at a roll goes over at its average open price, rounded half-even to ten decimals. O(n log n).
    """
    by_roll: dict[RollMoment, list[tuple[int, float]]] = {}
    for roll, item in dealt:
        if roll is not None:
            by_roll.setdefault(roll, []).append(item)
    found = []
    for roll in sorted(by_roll):
        quantity, average = 0, None
        for signed, price in by_roll[roll]:
            if signed:
                average = next_average(quantity, average, signed, price)
                quantity += signed
        if quantity:
            assert average is not None, "an open position has an average"
            found.append(Merge(roll, quantity, rounded_price(average)))
    return found


def rounded_price(price: float) -> int:
    """A price in units of 1e-10, rounded half-even."""
    return int(Decimal(price).quantize(_STEP, ROUND_HALF_EVEN).scaleb(DECIMALS))


class MergeLedger:
    """The merges of one ledger. `day` is the trading day whose roll has been made, YYYY-MM-DD; "": none is known."""

    def __init__(self, ledger: Ledger, roll: ForwardRoll) -> None:
        self._ledger = ledger
        self._roll = roll
        self.day = ""
        self.waiting: dict[Position, None] = {}
        """Positions of desks in forwards whose merges the next publication works out again."""
        self._forwards: dict[int, Forward] = {}
        self._of_desks: dict[tuple[str, int], dict[tuple[int, str], Entries]] = defaultdict(dict)
        """By desk and instrument: what each (forward, dealer) adds."""
        self._of_dealers: dict[tuple[str, int], dict[tuple[int, str], Entries]] = defaultdict(dict)
        """By dealer and instrument: what each (forward, desk) adds."""
        self._known = 0
        self.grow(ledger.reference)

    def grow(self, reference: Reference) -> None:
        """Know the forwards that a reference has beyond this one's. O(new ones)."""
        ledger = self._ledger
        for number in range(self._known, len(reference.instruments)):
            forward = reference.instruments[number]
            if forward.kind is not Kind.FX_FORWARD or not value_date_of(forward):
                continue
            terms = MergeTerms(forward, is_forward=True)
            ledger.organisation.makers[number] = partial(MergedPosition, terms=terms, waiting=self.waiting)
            ledger.dealers.makers[number] = partial(MergedPosition, terms=terms, waiting=_NOBODY)
            pair = _pair_of(forward, reference)
            if pair >= 0:
                self._forwards[number] = Forward(number, value_date_of(forward), pair)
        self._known = len(reference.instruments)

    def follow(self, roll: ForwardRoll) -> None:
        """Calendars have been loaded: rolls may lie elsewhere. O(positions in forwards)."""
        self._roll = roll
        self._await_all()

    def set_day(self, day: str) -> None:
        """The roll into a trading day has been made: forwards whose date is spot now are merged with the next publication."""
        if day != self.day:
            self.day = day
            self._await_all()

    def _await_all(self) -> None:
        numbers = [number for number, each in self._forwards.items() if self._is_due(each)]
        for book in self._ledger.organisation.books if numbers else ():
            if book.leaf:
                self.waiting.update((book.positions[number], None) for number in numbers if number in book.positions)

    def _is_due(self, forward: Forward) -> bool:
        return bool(self.day) and self._roll.is_due(self._instrument(forward.pair), forward.value_date, self.day)

    def _instrument(self, number: int) -> Instrument:
        return self._ledger.reference.instruments[number]

    # -- working out -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Work out again what was dealt anew, and what is due. O(1) if nothing is; else O(trades of those positions)."""
        while self.waiting:
            position = self.waiting.popitem()[0]
            book = self._ledger.organisation.books[position.owner]
            if position.instrument in self._forwards and book.positions.get(position.instrument) is position:
                self._work_out(position, self._forwards[position.instrument])

    def _work_out(self, position: Position, forward: Forward) -> None:
        """The merges of one desk in one forward, for each of its dealers."""
        ledger = self._ledger
        desk = ledger.reference.hierarchy.names[position.owner]
        held, spot = self._of_desks[desk, forward.number], self._of_desks[desk, forward.pair]
        if not position.quarantined and (self._is_due(forward) or held):
            found = self._merges(position, forward)
            is_moved = False
            for dealer in {*found, *(dealer for _, dealer in held)}:
                given, taken = self._entries(desk, dealer, forward, found.get(dealer, ()))
                if given != held.get((forward.number, dealer), ()):
                    _set(held, (forward.number, dealer), given)
                    _set(spot, (forward.number, dealer), taken)
                    _set(self._of_dealers[dealer, forward.number], (forward.number, desk), given)
                    _set(self._of_dealers[dealer, forward.pair], (forward.number, desk), taken)
                    self._put(ledger.dealers, ledger.dealer_number(dealer), forward, dealer, self._of_dealers)
                    is_moved = True
            if is_moved:
                self._put(ledger.organisation, position.owner, forward, desk, self._of_desks)

    def _merges(self, position: Position, forward: Forward) -> Mapping[str, Sequence[Merge]]:
        """The merges of each dealer at the desk of a position."""
        pair, dealt = self._instrument(forward.pair), defaultdict[str, list[tuple[RollMoment | None, tuple[int, float]]]](list)
        for opening in position.openings:
            roll = self._roll.roll_of(pair, forward.value_date, opening.ts, "", self.day)
            dealt[opening.dealer].append((roll, (opening.quantity, opening.average_price / ONE)))
        for trade in sorted(position.trades, key=order_key):
            roll = self._roll.roll_of(pair, forward.value_date, trade.ts, trade.trade_date, self.day)
            dealt[trade.dealer].append((roll, (trade.signed_quantity, trade.fill_price)))
        return {dealer: merges_of(items) for dealer, items in dealt.items()}

    def _entries(self, desk: str, dealer: str, forward: Forward, merges: Iterable[Merge]) -> tuple[Entries, Entries]:
        """What the merges of a holder add to the forward, and to spot."""
        instrument = self._instrument(forward.number)
        given, taken = [], []
        for merge in merges:
            rank, owner, multiplier = (merge.roll.day, instrument.instrument), (desk, dealer), instrument.multiplier
            given.append(merge_entry(merge.roll.ts, rank, owner, -merge.quantity, merge.price, multiplier))
            taken.append(merge_entry(merge.roll.ts, rank, owner, merge.quantity, merge.price, multiplier))
        return tuple(given), tuple(taken)

    def _put(
        self,
        rollup: Rollup,
        owner: int,
        forward: Forward,
        name: str,
        registry: Mapping[tuple[str, int], Mapping[tuple[int, str], Entries]],
    ) -> None:
        """Give an owner's positions in a forward and in its pair the entries that they have now."""
        for number in (forward.number, forward.pair):
            entries = [entry for added in registry[name, number].values() for entry in added]
            position = rollup.position(owner, number)
            if position.quarantined:
                continue
            if not isinstance(position, MergedPosition):
                position = self._ready(rollup, position)
            position.set_entries(entries)
            rollup.touched[position] = None
            rollup.restated[owner << SHIFT | number] = None

    def _ready(self, rollup: Rollup, position: Position) -> MergedPosition:
        """The position in a form that takes entries, in the place of this one."""
        terms = MergeTerms(self._instrument(position.instrument), is_forward=False)
        made = MergedPosition.of(position, terms)
        rollup.touched.pop(position, None)
        rollup.books[position.owner].positions[position.instrument] = made
        return made

    def put_back(self) -> None:
        """Give all positions their entries again, after some were folded from the store. O(positions with entries)."""
        ledger = self._ledger
        index = ledger.reference.hierarchy.index
        for registry, rollup, numbers in (
            (self._of_desks, ledger.organisation, index),
            (self._of_dealers, ledger.dealers, ledger.dealer_index),
        ):
            for (name, number), added in list(registry.items()):
                if added and number in self._forwards:
                    self._put(rollup, numbers[name], self._forwards[number], name, registry)
                    if rollup is ledger.organisation:
                        position = rollup.books[numbers[name]].positions[number]
                        self.waiting[position] = None

    # -- what is paid ------------------------------------------------------------------------------------------

    def unpaid(self, today: str) -> Iterator[Taken]:
        """What spot positions of desks took from forwards that pay today (YYYY-MM-DD) or later. O(merges)."""
        index = self._ledger.reference.hierarchy.index
        for (desk, number), added in self._of_desks.items():
            if number in self._forwards:
                continue
            for (forward, _), entries in added.items():
                value_date = self._forwards[forward].value_date
                if value_date >= today:
                    yield from (Taken(index[desk], number, value_date, entry.signed, entry.cash) for entry in entries)


class _Nobody(dict[Position, None]):
    """Where positions of dealers wait: those of desks work out what both get."""

    def __setitem__(self, position: Position, value: None) -> None:
        """Nothing waits."""


_NOBODY = _Nobody()


def _pair_of(forward: Instrument, reference: Reference) -> int:
    """The number of the pair that a forward is merged into; -1 where it is paid by a fixing or is of another lot size."""
    symbol = pair_symbol(forward, reference.root.by_symbol)
    if not symbol or is_non_deliverable(forward):
        return -1
    pair = reference.by_symbol[symbol]
    fits = (pair.multiplier, pair.currency) == (forward.multiplier, forward.currency)
    return reference.instrument_index[symbol] if fits else -1


def _set(table: dict[tuple[int, str], Entries], key: tuple[int, str], value: Entries) -> None:
    """Set entries; none go."""
    if value:
        table[key] = value
    else:
        table.pop(key, None)
