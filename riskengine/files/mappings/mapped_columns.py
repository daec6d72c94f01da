"""Finds the columns that a mapping names in the header of a file."""

from collections.abc import Iterable, Sequence

from riskengine.errors import InputError
from riskengine.files.mappings.mapping import ColumnRef, FileMapping, column_refs
from riskengine.nearest import nearest
from riskengine.records.fields import excerpt

MAX_LISTED = 40
"""Header names that a message lists."""


def named_columns(mapping: FileMapping) -> list[tuple[str, ColumnRef]]:
    """Every column of the file that a mapping names, with the key that names it."""
    named: list[tuple[str, ColumnRef]] = [(f"extract.{column}", column) for column in mapping.extract]
    for place, each in enumerate((mapping, *map(mapping.for_record, mapping.records))):
        key = f"records[{place}]." if place else ""
        named += [(f"{key}where.{column}", column) for column in each.where]
        named += [(f"{key}columns.{field}", ref) for field, source in each.columns.items() for ref in column_refs(source)]
        named += [("id", ref) for ref in column_refs(each.id)]
        for part in ("total", "multiplier"):
            if getattr(each.check, part):
                named.append((f"{key}check.{part}", getattr(each.check, part)))
    return list({ref: (key, ref) for key, ref in reversed(named)}.values())[::-1]


class HeaderColumns:
    """The columns of a file by name and number; `made` are names of columns that the mapping makes (`extract`, `unit`)."""

    def __init__(self, file: str, mapping: FileMapping, header: Sequence[str] | None, made: Iterable[str]) -> None:
        self._file = file
        self._mapping = mapping
        self._header = header
        self.width = self._width(header)
        self._made = {name: self.width + place for place, name in enumerate(made)}
        self._optional = frozenset(mapping.optional)
        self.used: set[int] = set()

    def _width(self, header: Sequence[str] | None) -> int:
        """Fields of a record: those of the header, else up to the last one that is named."""
        if header is not None:
            return len(header)
        numbers = [number for _, ref in named_columns(self._mapping) if (number := _number_of(ref)) is not None]
        return max(numbers, default=0)

    def find(self, ref: ColumnRef, key: str) -> int | None:
        """The place of a column in a record; None for an optional one that the file lacks. Raises InputError."""
        if isinstance(ref, str) and ref in self._made:
            return self._made[ref]
        at = self._place(ref, key)
        if at is not None:
            self.used.add(at)
        return at

    def require(self, ref: ColumnRef, key: str) -> int:
        """The place of a column that cannot be lacking. Raises InputError."""
        at = self.find(ref, key)
        if at is None:
            raise self._lacks(ref, key)
        return at

    def _place(self, ref: ColumnRef, key: str) -> int | None:
        header = self._header
        if isinstance(ref, str) and header is not None:
            at = find_name(header, ref)
            if isinstance(at, int):
                return at
            if at:
                names = " or ".join(f"{ref}#{place}" for place in range(1, at[0] + 1))
                raise InputError(f"{self._file}: the header has {excerpt(ref)} {at[0]} times: {key} needs {names}")
        number = _number_of(ref)
        if number is not None and number <= self.width:
            return number - 1
        if ref in self._optional:
            return None
        raise self._lacks(ref, key)

    def _lacks(self, ref: ColumnRef, key: str) -> InputError:
        name = f"number {ref}" if isinstance(ref, int) else excerpt(ref)
        header = self._header
        if header is None:
            return InputError(f"{self._file}: has no header, and {key} names the column {name}: columns go by number")
        near = nearest(ref, [column for column in header if column]) if isinstance(ref, str) else None
        hint = f"did you mean {near}? " if near else ""
        return InputError(
            f"{self._file}: has no column {name}, which {self._mapping.name} names ({key}): is it the mapping of this file? "
            f"{hint}The header is {listed_names(header)}"
        )

    def unused(self) -> list[str]:
        """The columns that nothing names."""
        names = self._header or [str(number) for number in range(1, self.width + 1)]
        return [name or f"column {at + 1}" for at, name in enumerate(names) if at not in self.used]


def find_name(header: Sequence[str], ref: str) -> int | tuple[int] | None:
    """The place of a name in a header, in any case; a tuple of how often it stands there if that is more than once."""
    for names, wanted in ((header, ref), ([name.casefold() for name in header], ref.casefold())):
        places = [at for at, name in enumerate(names) if name == wanted]
        if places:
            return places[0] if len(places) == 1 else (len(places),)
        name, mark, place = wanted.rpartition("#")
        if mark and place.isascii() and place.isdigit():
            places = [at for at, each in enumerate(names) if each == name]
            if 1 <= int(place) <= len(places):
                return places[int(place) - 1]
    return None


def listed_names(header: Sequence[str]) -> str:
    """The names of a header for a message; those without a name by number."""
    more = ", .." if len(header) > MAX_LISTED else ""
    return ", ".join(name[:40] or f"(column {at + 1})" for at, name in enumerate(header[:MAX_LISTED])) + more


def _number_of(ref: ColumnRef) -> int | None:
    if isinstance(ref, int):
        return ref
    return int(ref) if ref.isascii() and ref.isdigit() and 0 < int(ref[:7]) else None
