"""Reads a file by a mapping: its lines to records, the records that count, and our rows from them.

A line that cannot be read becomes a `Refusal` in its place, with the field and the value; the lines after it are unharmed. What a
whole file shows only at its end (rows left out, columns ignored, numbers rounded) is told then. Memory does not grow with the
file, but for 12 to 24 bytes a row where ids are made from the content.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import msgspec

from riskengine.errors import InputError
from riskengine.files.columns import (
    ALIASED,
    ColumnOptions,
    Row,
    count_fields,
    csv_records,
    keep_nothing,
    lacking_error,
    read_rows,
    strip_header,
    tell_open_end,
)
from riskengine.files.lines import Lines, display_name
from riskengine.files.mappings.mapped_columns import HeaderColumns, find_name, listed_names, named_columns
from riskengine.files.mappings.mapped_numbers import split_unit
from riskengine.files.mappings.mapped_steps import Record, Roundings, RowSteps, translated, without
from riskengine.files.mappings.mapping import Combined, Condition, FileMapping, RecordRule, Wanted, column_refs
from riskengine.files.mappings.row_ids import RowIds
from riskengine.files.shapes import Shape
from riskengine.files.spreadsheet import unescape_formula
from riskengine.nearest import nearest
from riskengine.records.fields import Rejected, excerpt
from riskengine.records.types import Refusal

HEADER_LINES = 1_000
"""Lines in which a header is looked for."""

NEWEST_FIRST = 1 << 40
"""From here `order = "newest-first"` counts down."""

ID_JOIN = "-"
"""What stands between the columns of an id."""

_LEFT_OUT_VALUES = 10
_JSON_STARTS = (b"{", b"[")


def rows_of(path: str, options: ColumnOptions, shape: Shape) -> Iterator[tuple[int, Row | Refusal]]:
    """The rows of a file under our names, by the mapping of `options` if there is one, else as `columns.read_rows` reads them.

    Under a mapping several rows may come from one line, times are integers (microseconds) and dates ISO.
    """
    return read_rows(path, options, shape) if options.mapping is None else MappedFile(path, options, shape).rows()


class _Filter(NamedTuple):
    """A condition on a column: its place and name, and what it takes."""

    at: int
    name: str
    takes: Callable[[str], bool]


class _Plan(NamedTuple):
    """How one record is made of a line: the conditions on its columns, then the steps."""

    filters: list[_Filter]
    steps: RowSteps
    leg: str | None


class _Split(NamedTuple):
    """A column that is taken apart: its place (None: the file lacks it) and what gives its parts, always as many."""

    at: int | None
    parts: Callable[[str], Sequence[str]]
    empty: tuple[str, ...]


class MappedFile:
    """An open file and its mapping. `unmapped` are the columns that nothing names."""

    def __init__(self, path: str, options: ColumnOptions, shape: Shape, *, requires: bool = True) -> None:
        """Read up to the first record. Raises InputError, also where the file lacks a column that the mapping names.

        Without `requires` fields that a record needs may be lacking.
        """
        assert options.mapping is not None
        mapping = options.mapping
        if mapping.shape is not shape:
            raise InputError(f"{mapping.name}: kind: is {mapping.kind}, and {display_name(path)} is to be read as {shape.what}s")
        self.name = display_name(path)
        self._options = options
        self._lines = Lines(path, mapping.encoding)
        self._header: list[str] | None = None
        self._requires = requires
        self._read_start(mapping)
        self._mapping = mapping = self._with_implied(mapping)
        self._empty = frozenset(mapping.empty)
        made = _made_columns(mapping)
        self._columns = HeaderColumns(self.name, mapping, self._header, made)
        self._rounded = Roundings()
        self._left_out: dict[str, dict[str, int]] = {}
        # Conditions on the file's own columns are asked before anything is taken apart, the others after it.
        self._filters = self._filters_on({name: each for name, each in mapping.where.items() if name not in made}, "where")
        self._splits = self._splits_of(mapping)
        self._late_filters = self._filters_on({name: each for name, each in mapping.where.items() if name in made}, "where")
        rules = mapping.records or (RecordRule(),)
        self._plans = [self._plan(mapping.for_record(rule), rule, place) for place, rule in enumerate(rules)]
        self._ids = RowIds()
        self._id = self._id_of(mapping)
        self.unmapped = self._columns.unused()
        self._refuse_misspelt()

    # -- opening -------------------------------------------------------------------------------------------------

    def _read_start(self, mapping: FileMapping) -> None:
        """Pass over the lines before the header, and read it."""
        first = next(self._lines, None)
        if first is None or (first[1].lstrip()[:1] in _JSON_STARTS and not mapping.fixed and mapping.skip == 0):
            raise InputError(f"{self.name}: is {'empty' if first is None else 'JSON'}; a mapping reads lines with columns")
        self._lines.give_back([first])
        if mapping.skip == "header":
            self._header = self._search_header(mapping)
            return
        for _ in range(mapping.skip):
            if next(self._lines, None) is None:
                break
        if mapping.fixed:
            self._header = list(mapping.fixed)
        elif mapping.header:
            number, fields = next(csv_records(self._lines, None, mapping.delimiter, quote=mapping.quote), (0, None))
            if fields is None:
                raise InputError(f"{self.name}: ends before its header")
            if isinstance(fields, Refusal):
                raise InputError(
                    f"{self.name}: line {number}: {fields.reason}, where a header was expected: "
                    f"is it the mapping of this file ({mapping.name}), and its delimiter?"
                )
            self._header = strip_header(fields)

    def _search_header(self, mapping: FileMapping) -> list[str]:
        """The first line that has all the named columns. Raises InputError, with the line that comes nearest."""
        made = {*_made_columns(mapping), *mapping.optional}
        wanted = [ref for _, ref in named_columns(mapping) if isinstance(ref, str) and ref not in made and not ref.isdigit()]
        if not wanted:
            raise InputError(f"{mapping.name}: skip: names no column to know the header by; give a number of lines")
        best, nearest_line = list(wanted), 0
        for number, fields in csv_records(self._lines, None, mapping.delimiter, quote=mapping.quote):
            if number > HEADER_LINES:
                break
            if isinstance(fields, Refusal):
                continue
            header = strip_header(fields)
            lacking = [ref for ref in wanted if find_name(header, ref) is None]
            if not lacking:
                return header
            if len(lacking) < len(best):
                best, nearest_line = lacking, number
        nearest_text = f"; line {nearest_line} comes nearest and lacks {listed_names(best)}" if nearest_line else ""
        raise InputError(
            f"{self.name}: no line is the header that {mapping.name} names ({listed_names(wanted)}){nearest_text}: "
            "is it the mapping of this file, and its delimiter?"
        )

    def _with_implied(self, mapping: FileMapping) -> FileMapping:
        """The mapping with the fields that go without saying: groups called as fields, and our own names where they count."""
        known = mapping.shape.columns
        implied = {name: name for name in _made_columns(mapping) if name in known}
        if mapping.own_names and self._header is not None:
            folded = [name.lower() for name in self._header]
            implied |= {field: field for field in known if folded.count(field) == 1}
        if mapping.id is not None and not (isinstance(mapping.id, Combined) and mapping.id.hash):
            join = {"trade_id": ID_JOIN} | mapping.join
            mapping = msgspec.structs.replace(mapping, id=None, columns=mapping.columns | {"trade_id": mapping.id}, join=join)
        taken = {*mapping.columns, *mapping.set, *(("trade_id",) if mapping.id is not None else ())}
        if any(rule.sign == "side" for rule in mapping.numbers.values()):
            taken.add("side")
        columns = {field: source for field, source in implied.items() if field not in taken}
        return msgspec.structs.replace(mapping, columns=mapping.columns | columns)

    def _filters_on(self, where: dict[str, Wanted], key: str) -> list[_Filter]:
        found = [(self._columns.find(column, f"{key}.{column}"), column, wanted) for column, wanted in where.items()]
        return [_Filter(at, column, _taker(wanted)) for at, column, wanted in found if at is not None]

    def _splits_of(self, mapping: FileMapping) -> list[_Split]:
        splits = []
        for column, pattern in mapping.extract.items():
            at = self._columns.find(column, f"extract.{column}")
            splits.append(_pattern_split(at, column, pattern, mapping))
        for field, _, ref in _units_of(mapping):
            splits.append(_unit_split(self._columns.find(ref, f"columns.{field}"), field))
        return splits

    def _plan(self, mapping: FileMapping, rule: RecordRule, place: int) -> _Plan:
        key = f"records[{place + 1}]." if self._mapping.records else ""
        moved = {field: self._columns.require(_number_name(field), field) for field, _, _ in _units_of(mapping)}
        steps = RowSteps(mapping, self._columns, key, moved, self._rounded)
        has_leg = "leg" in mapping.shape.columns and "leg" not in steps.fields and len(self._mapping.records) > 1
        self._check_required(mapping, steps.fields, key)
        return _Plan(self._filters_on(rule.where, f"{key}where"), steps, str(place) if has_leg else None)

    def _check_required(self, mapping: FileMapping, fields: set[str], key: str) -> None:
        given = fields | ({"instrument"} if self._options.instrument else set())
        given |= {"trade_id"} if mapping.id is not None else set()
        groups = [group for group in mapping.shape.required if not given.intersection(group)]
        # An `action` may stand in for columns that a cancel does not need; it is not what a file lacks.
        lacking = [" or ".join(field for field in group if field != "action") for group in groups]
        if lacking and self._requires and mapping.own_names and self._header is not None:
            raise lacking_error(self.name, mapping.shape, groups, self._header, mapping.delimiter)
        if lacking and self._requires:
            where = f" ({key.rstrip('.')})" if key else ""
            first = lacking[0].split(" ")[0]
            raise InputError(
                f"{mapping.name}{where}: gives no {', no '.join(lacking)}: columns or set name it, and so does --set {first}=.."
            )

    def _refuse_misspelt(self) -> None:
        """Where our own names count, a column that looks like one of them that is missing is refused, as in files of ours."""
        mapping = self._mapping
        if not mapping.own_names or self._options.columns:
            return
        given = {*mapping.columns, *mapping.set, *(("instrument",) if self._options.instrument else ())}
        for column in self.unmapped:
            near = nearest(column, [field for field in mapping.shape.columns if field not in given])
            if near is not None:
                what = f"is not a column of a {mapping.shape.what}: did you mean {near}?"
                raise InputError(f"{self.name}: {excerpt(column)} {what} Rename it, or name the columns that count by --columns")

    def _id_of(self, mapping: FileMapping) -> Callable[[Record, Record], str] | None:
        """From a line's fields, and those with what was made of them, to an id from its content; None if a column has it."""
        if not isinstance(mapping.id, Combined):
            return None
        if mapping.id.hash == "row":
            return lambda sent, record: self._ids.of(sent)
        places = [at for ref in column_refs(mapping.id) if (at := self._columns.find(ref, "id")) is not None]
        return lambda sent, record: self._ids.of([record[at] for at in places])

    # -- reading -------------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[tuple[int, Row | Refusal]]:
        """The rows and refusals of the file with their line numbers; then tells what became of the rest."""
        for note in self._mapping.notes:
            self._options.tell(f"{self._mapping.name}: {note}")
        mapping, width, header, filters = self._mapping, self._columns.width, self._header, self._filters
        simple = self._plans[0].steps.make if self._is_simple() else None
        for number, sent in self._lines_as_fields():
            if isinstance(sent, Refusal):
                yield number, sent
                continue
            record = list(map(str.strip, sent))
            if mapping.own_names:
                record = list(map(unescape_formula, record))
            if self._empty:
                record = ["" if field in self._empty else field for field in record]
            if len(record) < width and number in self._lines.open_end:
                # A line of totals may be short; one without a line end may as well be a trade that was cut off.
                reason = f"{self._wrong_width(record)}, and the line has no end: the file was cut off here, or give it a line end"
                yield number, Refusal(number, "", reason)
                continue
            if filters and not self._takes(record, filters):
                continue
            if len(record) != width and (header is not None or len(record) < width):
                yield number, Refusal(number, "", self._wrong_width(record))
            elif record == header:
                yield number, Refusal(number, "", "repeats the header")
            elif simple is not None:
                made: Row | Refusal
                try:
                    made = simple(record)
                except Rejected as error:
                    made = self._refused(number, error, self._plans[0], record, None)
                yield number, made
            else:
                yield from self._rows_of(number, record)
        self._tell()

    def _is_simple(self) -> bool:
        """Whether each line is one record with nothing but its steps."""
        taken_apart = self._splits or self._late_filters or len(self._plans) > 1 or self._plans[0].filters
        changed = self._id or self._mapping.order or self._options.instrument or self._options.alias
        return not (taken_apart or changed)

    def _rows_of(self, number: int, record: Record) -> Iterator[tuple[int, Row | Refusal]]:
        sent = record
        try:
            if self._splits:
                record = self._taken_apart(sent[: self._columns.width])
            if self._late_filters and not self._takes(record, self._late_filters):
                return
            trade_id = self._id(sent, record) if self._id is not None else None
        except Rejected as error:
            yield number, Refusal(number, error.field, error.reason)
            return
        plans = [plan for plan in self._plans if all(takes(record[at]) for at, _, takes in plan.filters)]
        if not plans:
            yield number, self._misfit(number, record)
        for plan in plans:
            try:
                row = plan.steps.make(record)
            except Rejected as error:
                yield number, self._refused(number, error, plan, record, trade_id)
                continue
            yield number, self._finished(row, number, plan, trade_id)

    def _refused(self, number: int, error: Rejected, plan: _Plan, record: Record, trade_id: str | None) -> Refusal:
        """The refusal of a row; what of it can be read is kept for those who mend it."""
        if self._options.keep is not keep_nothing:
            self._options.keep(number, self._finished(plan.steps.make_partly(record), number, plan, trade_id))
        return Refusal(number, error.field, error.reason)

    def _misfit(self, number: int, record: Record) -> Refusal:
        """A row that the conditions of the file take, and those of none of its records."""
        asked = {name: record[at] for plan in self._plans for at, name, _ in plan.filters}
        told = ", ".join(f"{name} {excerpt(value)}" for name, value in asked.items())
        return Refusal(number, next(iter(asked), ""), f"fits the conditions of none of the records: {told}")

    def _finished(self, row: Row, number: int, plan: _Plan, trade_id: str | None) -> Row:
        """The row with its id and its place in the file, where they make it, and under our names of things."""
        order, options = self._mapping.order, self._options
        if trade_id is not None:
            row["trade_id"] = trade_id
        if plan.leg is not None:
            row["leg"] = plan.leg
        if order:
            row["source_seq"] = number if order == "line" else NEWEST_FIRST - number
        if options.instrument and not row.get("instrument"):
            row["instrument"] = options.instrument
        alias = options.alias
        for field in ALIASED if alias else ():
            if field in row:
                row[field] = alias.get(row[field], row[field])
        return row

    def _lines_as_fields(self) -> Iterator[tuple[int, list[str] | Refusal]]:
        mapping = self._mapping
        if not mapping.fixed:
            yield from csv_records(
                self._lines, self._columns.width if self._header else None, mapping.delimiter, quote=mapping.quote
            )
            return
        slices = [slice(first - 1, last) for first, last in mapping.fixed.values()]
        needed = max([first for at, (first, _) in enumerate(mapping.fixed.values()) if at in self._columns.used], default=1)
        for number, raw in self._lines:
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                yield number, Refusal(number, "", f"is not UTF-8 at byte {error.start + 1}")
                continue
            if text and not text.isspace():
                # A short line has the fields that it reaches, as a CSV line that was cut.
                fields = [text[each] for each in slices]
                yield number, fields if len(text) >= needed else list(takewhile(bool, fields))

    def _taken_apart(self, record: Record) -> Record:
        made = list(record)
        for split in self._splits:
            value = record[split.at] if split.at is not None else ""
            made += split.parts(value) if value else split.empty
        return made

    def _takes(self, record: Record, filters: Sequence[_Filter]) -> bool:
        """Whether all conditions hold; a column that a short line lacks is empty there."""
        for at, name, takes in filters:
            value = record[at] if at < len(record) else ""
            if not takes(value):
                values = self._left_out.setdefault(name, {})
                value = value if value in values or len(values) < _LEFT_OUT_VALUES else "others"
                values[value] = values.get(value, 0) + 1
                return False
        return True

    def _wrong_width(self, record: Record) -> str:
        if self._mapping.fixed:
            return f"is too short: it reaches {len(record)} of {self._columns.width} columns"
        what = "the header has" if self._header is not None else "columns are named up to"
        return f"has {count_fields(record)}; {what} {self._columns.width}"

    def _tell(self) -> None:
        tell, name = self._options.tell, self.name
        tell_open_end(self._lines, tell)
        for column, values in self._left_out.items():
            told = ", ".join(f"{excerpt(value) if value else 'empty'} ({count:,})" for value, count in values.items())
            tell(f"{name}: {sum(values.values()):,} left out by where.{column}: {told}")
        for (field, decimals), count in self._rounded.counts.items():
            tell(f"{name}: {field}: rounded to {decimals} decimals in {count:,} rows")
        if self.unmapped:
            what = "column" if len(self.unmapped) == 1 else "columns"
            listed = listed_names(self.unmapped)
            tell(f"{name}: ignored {what} that {self._mapping.name} does not map: {listed}")


def _number_name(field: str) -> str:
    """The made column that holds a field's number without its unit; no header can have this name."""
    return f"{field}\0"


def _units_of(mapping: FileMapping) -> list[tuple[str, str, str | int]]:
    """Fields whose numbers have units: the field, the name of the unit's column, and the column that holds both."""
    found: dict[str, tuple[str, str, str | int]] = {}
    for each in (mapping, *map(mapping.for_record, mapping.records)):
        for field, rule in each.numbers.items():
            source = each.columns.get(field)
            if not rule.unit or source is None:
                continue
            if not isinstance(source, str | int):
                raise InputError(f"{mapping.name}: numbers.{field}.unit: needs one column, not several")
            if found.setdefault(field, (field, rule.unit, source)) != (field, rule.unit, source):
                raise InputError(f"{mapping.name}: numbers.{field}.unit: must be the same in all records")
    return list(found.values())


def _made_columns(mapping: FileMapping) -> list[str]:
    """The names of the columns that a mapping makes, in the order of `_splits_of`."""
    groups = [group for pattern in mapping.extract.values() for group in re.compile(pattern).groupindex]
    return groups + [name for field, unit, _ in _units_of(mapping) for name in (_number_name(field), unit)]


def _taker(wanted: Wanted) -> Callable[[str], bool]:
    if isinstance(wanted, bool):
        return bool if wanted else lambda value: not value
    if isinstance(wanted, str):
        return lambda value: value == wanted
    if isinstance(wanted, tuple):
        return frozenset(wanted).__contains__
    words = frozenset((wanted.isnt,) if isinstance(wanted.isnt, str) else wanted.isnt)
    return _condition(wanted, words)


def _condition(wanted: Condition, words: frozenset[str]) -> Callable[[str], bool]:
    match = re.compile(wanted.matches).fullmatch if wanted.matches else None
    return lambda value: value not in words and (match is None or match(value) is not None)


def _pattern_split(at: int | None, column: str, pattern: str, mapping: FileMapping) -> _Split:
    compiled = re.compile(pattern)
    groups = list(compiled.groupindex)
    places = list(compiled.groupindex.values())
    changes = {place: group for place, group in enumerate(groups) if group in mapping.values or group in mapping.remove}

    def parts(value: str) -> Sequence[str]:
        match = compiled.fullmatch(value)
        if match is None:
            raise Rejected(column, f"does not match extract.{column}: {excerpt(value)}")
        found = [(match[place] or "").strip() for place in places]
        for place, group in changes.items():
            if group in mapping.shape.columns:
                continue  # as a field it is changed once its row is made
            removed = mapping.remove.get(group, ())
            text = without(found[place], (removed,) if isinstance(removed, str) else removed)
            found[place] = translated(text, mapping.values[group], group) if group in mapping.values else text
        return found

    return _Split(at, parts, ("",) * len(groups))


def _unit_split(at: int | None, field: str) -> _Split:
    def parts(value: str) -> Sequence[str]:
        try:
            return split_unit(value)
        except ValueError as error:
            raise Rejected(field, str(error)) from None

    return _Split(at, parts, ("", ""))
