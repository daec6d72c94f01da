"""Puts corporate actions in force in a ledger, and keeps what they generate in step with its trades.

`put_in_force` folds the positions of the instruments concerned again, from their own trades. What actions generate follows from
what each (desk, dealer) held before the ex-date: the position of a desk works it out for its dealers (`entitlements`), and hands
it to the positions of dealers and, of spin-offs, to other instruments. `refresh` does that for positions whose early trades have
changed, before each publication. Writer thread only.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from riskengine.positions.adjusted import AdjustedPosition, Entry
from riskengine.positions.adjustments import Adjustments
from riskengine.positions.entitlements import Given, Holder, Kept, entitled
from riskengine.positions.ledger import SHIFT, Ledger, Rollup
from riskengine.positions.position import Position
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import Key, Opening, Trade, order_key

_K = TypeVar("_K")
_V = TypeVar("_V")


class _Contents(NamedTuple):
    """What a position is made of."""

    openings: list[Opening]
    trades: list[Trade]


@dataclass
class Generated:
    """What actions generate in the positions of one instrument.

    entries  by desk, then dealer; `of_dealers` is the same by dealer, then desk
    gifts    what spin-offs of other instruments give, by (desk, dealer), then the number of that instrument
    kept     fractions that are left open, by (desk, dealer), then action_id
    """

    entries: dict[str, dict[str, tuple[Entry, ...]]] = field(default_factory=lambda: defaultdict(dict))
    of_dealers: dict[str, dict[str, tuple[Entry, ...]]] = field(default_factory=lambda: defaultdict(dict))
    gifts: dict[Holder, dict[int, list[Given]]] = field(default_factory=lambda: defaultdict(dict))
    kept: dict[Holder, dict[str, Kept]] = field(default_factory=dict)


class ActionLedger:
    """The corporate actions of one ledger. `revision` rises whenever something that is listed or generated has changed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._of: dict[int, Generated] = {}
        self.revision = 0

    def concerned_symbols(self, adjustments: Adjustments) -> frozenset[str]:
        """The instruments whose positions `put_in_force` folds again."""
        symbols = self._ledger.reference.symbols
        return frozenset(symbols[number] for number in self._concerned(adjustments))

    def frozen_keys(self, adjustments: Adjustments) -> list[Key]:
        """The keys whose trades must be recalled before `put_in_force`. O(owners x instruments concerned)."""
        reference, dealers = self._ledger.reference, tuple(self._ledger.dealer_index)
        found: list[Key] = []
        for number in self._concerned(adjustments):
            for rollup, kind, names in (
                (self._ledger.organisation, "node", reference.hierarchy.names),
                (self._ledger.dealers, "dealer", dealers),
            ):
                for position in _positions_in(rollup, (number,)):
                    if position.is_frozen and not position.quarantined:
                        found.append((kind, names[position.owner], reference.symbols[number]))
        return found

    def put_in_force(self, adjustments: Adjustments) -> bool:
        """Fold what the actions concern by `adjustments` from now on. Returns whether anything may have changed.

        Nothing of that may be frozen. O(owners + trades of the instruments concerned).
        """
        ledger = self._ledger
        concerned = self._concerned(adjustments)
        if not concerned:
            ledger.adjustments = adjustments
            return False
        rollups = (ledger.organisation, ledger.dealers)
        held = [_take_out(rollup, concerned) for rollup in rollups]
        index = ledger.reference.instrument_index
        numbers = {symbol: index[path.symbol] for symbol, path in adjustments.paths.items()}
        is_renamed = any(index[symbol] != number for symbol, number in numbers.items())
        ledger.take_numbers(index | numbers if is_renamed else index)
        ledger.adjustments = adjustments
        for number in concerned:
            self._of.pop(number, None)
        for generated in self._of.values():
            for of_source in generated.gifts.values():
                for number in concerned:
                    of_source.pop(number, None)
        terms = {index[symbol]: each for symbol, each in adjustments.terms.items()}
        for rollup, found in zip(rollups, held, strict=True):
            rollup.terms = terms
            self._put_back(rollup, found)
        self.revision += 1
        return True

    def _concerned(self, adjustments: Adjustments) -> list[int]:
        """The numbers of instruments whose positions other actions act on than before, or act otherwise."""
        before, index = self._ledger.adjustments, self._ledger.reference.instrument_index
        if before is None and not adjustments:
            return []
        symbols = set(adjustments.paths) | (set(before.paths) if before is not None else set())
        changed = {
            symbol
            for symbol in symbols
            for old, new in [(before.path_of(symbol) if before is not None else None, adjustments.path_of(symbol))]
            if old != new or (before is not None and before.terms.get(symbol)) != adjustments.terms.get(symbol)
        }
        waiting = list(changed)
        while waiting:  # what is given by an instrument, or to it, is worked out again as well
            symbol = waiting.pop()
            for each in (before, adjustments):
                more = set() if each is None else each.tied_to(symbol) - changed
                changed |= more
                waiting += more
        return sorted(index[symbol] for symbol in changed)

    def _put_back(self, rollup: Rollup, found: "dict[Position, _Contents]") -> None:
        """Put what was taken out of positions into those where it counts now; each gets the form that its terms need."""
        numbers, instruments = self._ledger.numbers, self._ledger.reference.instruments
        for position in found:
            fresh = rollup.make_position(position.owner, position.instrument, position.slot)
            rollup.books[position.owner].positions[position.instrument] = fresh
            rollup.touched[fresh] = None
            _note_restated(rollup, fresh)
        targets: dict[Position, _Contents] = {}
        for position, contents in found.items():
            for opening in contents.openings:
                target = rollup.position(position.owner, numbers[opening.instrument])
                targets.setdefault(target, _Contents([], [])).openings.append(opening)
            for trade in contents.trades:
                target = rollup.position(position.owner, numbers[trade.instrument])
                _note_restated(rollup, target)
                targets.setdefault(target, _Contents([], [])).trades.append(trade)
        for target, (openings, trades) in targets.items():
            instrument = instruments[target.instrument]
            target.open_with(openings, instrument.contract_multiplier, instrument.currency)
            trades.sort(key=order_key)
            if not target.extend(trades, [*map(trade_fingerprint, trades)]):
                for trade in trades:
                    target.add(trade)

    # -- what is generated -------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Work out again what actions generate where early trades have changed. O(1) if nothing has."""
        organisation, dealers = self._ledger.organisation, self._ledger.dealers
        while organisation.waiting:
            position = _adjusted(organisation, organisation.waiting.popitem()[0])
            if position is not None:
                self._work_out(position)
                self.revision += 1
        names = tuple(self._ledger.dealer_index) if dealers.waiting else ()
        while dealers.waiting:
            position = _adjusted(dealers, dealers.waiting.popitem()[0])
            if position is not None and (generated := self._of.get(position.instrument)) is not None:
                of_dealer = generated.of_dealers.get(names[position.owner], {})
                position.set_entries(entry for entries in of_dealer.values() for entry in entries)
                dealers.touched[position] = None
                _note_restated(dealers, position)

    def _work_out(self, position: AdjustedPosition) -> None:
        """What actions generate at one desk in one instrument, for each of its dealers."""
        desk = self._ledger.reference.hierarchy.names[position.owner]
        generated = self._of.setdefault(position.instrument, Generated())
        openings: dict[str, list[Opening]] = defaultdict(list)
        trades: dict[str, list[Trade]] = defaultdict(list)
        for opening in position.openings:
            openings[opening.dealer].append(opening)
        for trade in position.trades:
            if position.terms.is_early(trade.ts, trade.trade_date):
                trades[trade.dealer].append(trade)
        gifted = [holder.dealer for holder, gifts in generated.gifts.items() if holder.desk == desk and any(gifts.values())]
        for dealer in sorted({*openings, *trades, *gifted, *generated.entries[desk]}):
            holder = Holder(desk, dealer)
            gifts = [gift for of_source in generated.gifts.get(holder, {}).values() for gift in of_source]
            found = entitled(position.terms, holder, openings[dealer], trades[dealer], gifts)
            _set(generated.kept, holder, found.kept)
            self._give(holder, position.instrument, found.given)
            entries = tuple(found.entries)
            if entries != generated.entries[desk].get(dealer, ()):
                _set(generated.entries[desk], dealer, entries)
                _set(generated.of_dealers[dealer], desk, entries)
                self._ledger.dealers.waiting[self._dealer_position(dealer, position.instrument)] = None
        position.set_entries(entry for entries in generated.entries[desk].values() for entry in entries)
        self._ledger.organisation.touched[position] = None
        _note_restated(self._ledger.organisation, position)

    def _give(self, holder: Holder, source: int, given: list[Given]) -> None:
        """Hand what spin-offs of an instrument give to the positions in those instruments."""
        by_number: dict[int, list[Given]] = defaultdict(list)
        for gift in given:
            by_number[self._ledger.numbers[gift.name]].append(gift)
        earlier = [number for number, other in self._of.items() if source in other.gifts.get(holder, {})]
        for number in {*by_number, *earlier}:
            gifts = self._of.setdefault(number, Generated()).gifts[holder]
            if gifts.get(source, []) == by_number.get(number, []):
                continue
            _set(gifts, source, by_number.get(number, []))
            index = self._ledger.reference.hierarchy.index
            self._ledger.organisation.waiting[self._ledger.organisation.position(index[holder.desk], number)] = None

    def _dealer_position(self, dealer: str, number: int) -> Position:
        return self._ledger.dealers.position(self._ledger.dealer_number(dealer), number)

    # -- what is listed ----------------------------------------------------------------------------------------

    def kept(self) -> Iterator[tuple[Holder, str, Kept]]:
        """Fractions that are left open: holder, action_id and fraction. O(those)."""
        for _, generated in sorted(self._of.items()):
            for holder, by_action in sorted(generated.kept.items()):
                for action_id, fraction in sorted(by_action.items()):
                    yield holder, action_id, fraction


def _set(table: MutableMapping[_K, _V], key: _K, value: _V) -> None:
    """Set an entry; one without content goes."""
    if value:
        table[key] = value
    else:
        table.pop(key, None)


def _note_restated(rollup: Rollup, position: Position) -> None:
    """What the position was at the last close is worked out again (`day_state`)."""
    rollup.restated[position.owner << SHIFT | position.instrument] = None


def _adjusted(rollup: Rollup, position: Position) -> AdjustedPosition | None:
    """The position, if actions act on it and it still stands in its place."""
    is_there = rollup.books[position.owner].positions.get(position.instrument) is position
    return position if is_there and isinstance(position, AdjustedPosition) else None


def _positions_in(rollup: Rollup, numbers: Collection[int]) -> Iterator[Position]:
    """The positions of every owner in some instruments. O(owners)."""
    for book in rollup.books:
        for number in numbers:
            position = book.positions.get(number)
            if position is not None:
                yield position


def _take_out(rollup: Rollup, numbers: Collection[int]) -> dict[Position, _Contents]:
    """What positions in some instruments are made of. Those that are set aside stay as they are."""
    found: dict[Position, _Contents] = {}
    for position in _positions_in(rollup, numbers):
        if not position.quarantined:
            assert not position.is_frozen, "its trades are recalled first"
            found[position] = _Contents([*position.openings], [*position.trades])
            rollup.touched.pop(position, None)
            rollup.waiting.pop(position, None)
    return found
