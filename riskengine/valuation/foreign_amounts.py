"""Finds the few positions of which an amount is unknown although their cash has a rate: amounts in foreign currencies."""

from collections.abc import Callable, Collection, Iterator, Mapping

from riskengine.positions.ledger import Row
from riskengine.positions.position import NO_FEES
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray


def fees_of(row: Row) -> Mapping[str, int]:
    """The fees of a row."""
    return row.fees


def beside_of(row: Row) -> Mapping[str, int]:
    """What a row keeps beside its cash."""
    return row.beside or NO_FEES


class ForeignAmounts:
    """The rows of leaves with amounts in other currencies than that of their cash: those may be unknown where all else is known.

    `amounts` gives those of a row, by currency: its fees, or what it keeps beside its cash.
    """

    def __init__(self, reference: Reference, amounts: Callable[[Row], Mapping[str, int]]) -> None:
        self._amounts = amounts
        self._codes = [instrument.currency for instrument in reference.instruments]
        self._index = reference.currency_index
        self._rows: dict[int, dict[int, Row]] = {}
        self._uses: dict[int, int] = {}

    def grow(self, reference: Reference) -> None:
        """Know the instruments of a reference that has more. O(new ones)."""
        self._codes += [instrument.currency for instrument in reference.instruments[len(self._codes) :]]
        self._index = reference.currency_index

    def clear(self) -> None:
        """Forget all rows."""
        self._rows.clear()
        self._uses.clear()

    def clear_owner(self, owner: int) -> None:
        """Forget the rows of one owner. O(those)."""
        for number in list(self._rows.get(owner, ())):
            self._forget(owner, number)

    def note(self, owner: int, number: int, row: Row) -> None:
        """Note what an owner holds of an instrument now. O(currencies of its amounts)."""
        found = self._amounts(row)
        if owner in self._rows:
            self._forget(owner, number)
        if len(found) > 1 or (found and self._codes[number] not in found):
            self._rows.setdefault(owner, {})[number] = row
            for code in found:
                self._uses[self._index[code]] = self._uses.get(self._index[code], 0) + 1

    def _forget(self, owner: int, number: int) -> None:
        row = self._rows[owner].pop(number, None)
        if row is None:
            return
        if not self._rows[owner]:
            del self._rows[owner]
        for code in self._amounts(row):
            at = self._index[code]
            self._uses[at] -= 1
            if not self._uses[at]:
                del self._uses[at]

    def uses_any(self, currencies: Collection[int]) -> bool:
        """Whether a row has an amount in one of these currencies. O(currencies)."""
        return not self._uses.keys().isdisjoint(currencies)

    def rows(self, owner: int | None) -> Iterator[tuple[int, list[Row]]]:
        """All those rows, by owner (all, or this one)."""
        for number in sorted(self._rows) if owner is None else (owner,):
            if number in self._rows:
                yield number, list(self._rows[number].values())

    def unknown(self, owner: int | None, known: BoolArray) -> Iterator[tuple[int, list[Row]]]:
        """The owners (all, or this one) with the rows of which some amounts have no rate. O(1) where every rate is `known`."""
        if not any(not known[at] for at in self._uses):
            return
        codes = {code for code, at in self._index.items() if at in self._uses and not known[at]}
        for number in sorted(self._rows) if owner is None else (owner,):
            rows = [row for row in self._rows.get(number, {}).values() if not codes.isdisjoint(self._amounts(row))]
            if rows:
                yield number, rows
