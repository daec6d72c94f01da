"""Which cells of two lists of rows differ, and by how much. Pure; rows are matched by their key, whatever their order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from riskengine.snapshot.rows import RowDict

CHANGED, APPEARED, GONE = "changed", "appeared", "gone"
"""A cell of a row that both lists have, of a row that only the later one has, of one that only the earlier one has."""

Value = float | int | str | bool | None
Key = tuple[Value, ...]


class Difference(NamedTuple):
    """One cell that differs: key and field, what it was and is (None is unknown), and the later less the earlier number.

    `change` is None unless both are numbers; of decimal texts it is their exact difference as a text.
    """

    key: Key
    field: str
    kind: str
    before: Value
    after: Value
    change: float | int | str | None


def differences(before: Iterable[RowDict], after: Iterable[RowDict], key: Sequence[str]) -> Iterator[Difference]:
    """Every cell that differs, in the order of the later rows, then those that are gone. O(cells).

    A row that only one list has differs in each of its known cells. Raises ValueError where two rows of a list have one key.
    """
    old, new = by_key(before, key), by_key(after, key)
    for name, row in new.items():
        known = old.get(name)
        kind = APPEARED if known is None else CHANGED
        yield from _of_row(name, kind, known or {}, row, key)
    for name, row in old.items():
        if name not in new:
            yield from _of_row(name, GONE, row, {}, key)


def by_key(rows: Iterable[RowDict], key: Sequence[str]) -> dict[Key, RowDict]:
    """Rows by their key. Raises ValueError where two have the same."""
    found: dict[Key, RowDict] = {}
    for row in rows:
        name = tuple(row[field] for field in key)
        if name in found:
            raise ValueError(f"two rows are called {name}")
        found[name] = row
    return found


def _of_row(name: Key, kind: str, before: RowDict, after: RowDict, key: Sequence[str]) -> Iterator[Difference]:
    for field in {**after, **before}:
        if field in key:
            continue
        was, now = before.get(field), after.get(field)
        if was != now or type(was) is not type(now) and isinstance(was, bool) | isinstance(now, bool):
            yield Difference(name, field, kind, was, now, change_of(was, now))


def change_of(before: Value, after: Value) -> float | int | str | None:
    """The later less the earlier number; None unless both are numbers. Two decimal texts have an exact difference."""
    if isinstance(before, bool) or isinstance(after, bool):
        return None
    if isinstance(before, int | float) and isinstance(after, int | float):
        return after - before
    if isinstance(before, str) and isinstance(after, str):
        try:
            return format(Decimal(after) - Decimal(before), "f")
        except InvalidOperation:
            return None
    return None


def largest(found: Iterable[Difference]) -> Mapping[str, float]:
    """The largest change of each field, without sign; 0.0 for a field whose changes are no numbers."""
    sizes: dict[str, float] = {}
    for each in found:
        size = abs(each.change) if isinstance(each.change, int | float) else 0.0
        sizes[each.field] = max(sizes.get(each.field, 0.0), size)
    return sizes
