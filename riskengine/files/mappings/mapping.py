"""Reads mappings: TOML files that say how a file of other people's making reads (manual/mappings.md).

A mapping is checked when it is read. A mistake is one sentence with the file, the key and, for a key that nobody knows, the
nearest known one. What a mapping says of a file is checked against that file's header later (`mapped_columns`).
"""

import codecs
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from riskengine.errors import InputError
from riskengine.files.shapes import MAPPED, Shape
from riskengine.nearest import nearest, unknown

ColumnRef = str | int
"""A column of the file: its header name (`Time#2` for the second of that name), or its number, counted from 1."""

Words = str | tuple[str, ...]

SHIPPED = (Path(__file__).parent, Path(__file__).parents[3] / "config" / "mappings")
"""Where ready mappings lie: in the wheel, and in the source tree."""

NUMBERS = frozenset(
    {"quantity", "price", "fees", "contra_amount", "bid", "ask", "mid", "average_price", "realised", "mark", "net_cash"}
    | {"strike", "multiplier"}
)
"""Fields that hold numbers with decimals."""
TIMES = frozenset({"ts", "booked_ts"})
DATES = frozenset({"value_date", "trade_date", "date", "expiry"})

SKIP_TO_HEADER = "header"
_DELIMITERS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
_SLICE = re.compile(r"([1-9]\d{0,6})(?:-([1-9]\d{0,6}))?", re.ASCII)
_MAX_COLUMN = 1 << 20
_MAX_KEY = 200
"""Characters of a key that an error names."""
_MAX_REASON = 2_000
"""Characters of what is wrong with it; the longest of our own lists all fields of a kind."""


class Combined(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field made of several columns: the `sum` of their numbers, or the `first` that is not empty.

    For ids also the `hash` of the whole `row`, or of some columns; equal rows are counted.
    """

    sum: tuple[ColumnRef, ...] = ()
    first: tuple[ColumnRef, ...] = ()
    hash: Literal["row"] | tuple[ColumnRef, ...] = ()

    @property
    def parts(self) -> tuple[ColumnRef, ...]:
        """The columns that it names."""
        return self.sum or self.first or (() if isinstance(self.hash, str) else self.hash)


ColumnSource = str | int | tuple[ColumnRef, ...] | Combined
"""Where a field comes from: one column, several joined, or combined."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"isnt": "not"}):
    """Which values of a column are taken: those that match a pattern in full, or those that are `not` some words."""

    matches: str = ""
    isnt: Words = ()


Wanted = bool | str | tuple[str, ...] | Condition
"""Which values of a column are taken: `true` any but an empty one, `false` empty ones, words, or a Condition."""


class NumberRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the numbers of one field read, and what is done to them, in this order.

    `strip` are marks to take off (`€`); `unit` is the field or column name that gets a unit beside the number (`0.5DOGE`). `sign`
    says what a sign means: `side` (it is the side), `agrees` (+ with a buy), `opposes` (- with a buy), `ignore`. `multiply` is
    exact, `round` half-even to so many decimals.
    """

    strip: tuple[str, ...] = ()
    unit: str = ""
    negate: bool = False
    multiply: Decimal | None = None
    round: int | None = None
    sign: Literal["", "side", "agrees", "opposes", "ignore"] = ""


class TimeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the times of a file, or of one field, read. `format` and `zone` as for `times.time_parser`."""

    format: str | None = None
    zone: str | None = None
    repeated_hour: Literal["first", "second", "in-order"] | None = None


class TimeRules(msgspec.Struct, frozen=True):
    """The rule of all times, the format of dates, and the rules of single fields."""

    every: TimeRule = TimeRule()
    dates: str | None = None
    fields: dict[str, TimeRule] = {}

    def of(self, field: str) -> TimeRule:
        """The rule of a field: its own keys before those of all. Dates have the format for dates."""
        own, every = self.fields.get(field, TimeRule()), self.every
        return TimeRule(
            own.format or (self.dates if field in DATES else every.format),
            own.zone or every.zone,
            own.repeated_hour or every.repeated_hour,
        )


class CheckRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Checks of a row: quantity x price must be the number of the column `total`, but for its sign and `tolerance`.

    `multiplier` is a column of contract sizes, by which the product is multiplied.
    """

    total: ColumnRef = ""
    multiplier: ColumnRef = ""
    tolerance: Decimal = Decimal("0.01")


class RecordRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of several records made from a row: what differs from the rest of the mapping."""

    where: dict[str, Wanted] = {}
    columns: dict[str, ColumnSource] = {}
    join: dict[str, str] = {}
    remove: dict[str, Words] = {}
    values: dict[str, dict[str, str]] = {}
    set: dict[str, str] = {}
    numbers: dict[str, NumberRule] = {}
    check: CheckRule | None = None


class FileMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A checked mapping. The fields are the keys of the file; `name` is that of the file, for messages.

    `own_names` lets columns that have our names count without being mapped, as they do in files of our own.
    """

    name: str
    kind: str
    notes: tuple[str, ...] = ()
    delimiter: str = ","
    quote: bool = True
    decimal: str = "."
    thousands: str = ""
    encoding: str = "utf-8"
    skip: int | Literal["header"] = 0
    header: bool = True
    fixed: dict[str, tuple[int, int]] = {}
    optional: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    where: dict[str, Wanted] = {}
    extract: dict[str, str] = {}
    columns: dict[str, ColumnSource] = {}
    join: dict[str, str] = {}
    remove: dict[str, Words] = {}
    values: dict[str, dict[str, str]] = {}
    set: dict[str, str] = {}
    numbers: dict[str, NumberRule] = {}
    times: TimeRules = TimeRules()
    check: CheckRule = CheckRule()
    id: ColumnSource | None = None
    order: Literal["", "line", "newest-first"] = ""
    records: tuple[RecordRule, ...] = ()
    own_names: bool = False

    @property
    def shape(self) -> Shape:
        """The columns of its kind."""
        return MAPPED[self.kind]

    def for_record(self, rule: RecordRule) -> "FileMapping":
        """The mapping of one of several records: the rule's keys before those of the file, its conditions beside them."""
        given = {*rule.columns, *rule.set}
        return msgspec.structs.replace(
            self,
            records=(),
            where=self.where | rule.where,
            columns={field: source for field, source in self.columns.items() if field not in given} | rule.columns,
            set={field: word for field, word in self.set.items() if field not in given} | rule.set,
            join=self.join | rule.join,
            remove=self.remove | rule.remove,
            values=self.values | rule.values,
            numbers=self.numbers | rule.numbers,
            check=self.check if rule.check is None else rule.check,
        )


KEYS = ("kind", "about", *(field for field in FileMapping.__struct_fields__ if field not in ("name", "kind", "own_names")))
"""The keys of a mapping file."""


def shipped_names() -> list[str]:
    """The names of the ready mappings."""
    return sorted({path.stem for folder in SHIPPED if folder.is_dir() for path in folder.glob("*.toml")})


def read_mapping(reference: str) -> FileMapping:
    """The mapping in a file, or the ready one of that name. Raises InputError."""
    return mapping_of(read_table(reference), reference)


def read_table(reference: str) -> dict[str, Any]:
    """The keys of a mapping file, or of the ready mapping of that name, unchecked. Raises InputError."""
    path = _find(reference)
    try:
        return parse_table(path.read_text(encoding="utf-8"), reference)
    except UnicodeDecodeError:
        raise InputError(f"{reference}: is not UTF-8; a mapping is a TOML file, which is") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{reference}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _find(reference: str) -> Path:
    path = Path(reference)
    if path.suffix == ".toml" or len(path.parts) != 1 or path.exists():
        return path
    for folder in SHIPPED:
        if (folder / f"{reference}.toml").is_file():
            return folder / f"{reference}.toml"
    names = shipped_names()
    near = nearest(reference, names)
    hint = f"did you mean {near}?" if near else f"those are {', '.join(names)}"
    raise InputError(f"--mapping: {reference} is neither a file nor a ready mapping: {hint}")


def parse_table(text: str, name: str) -> dict[str, Any]:
    """The keys of a TOML text. Raises InputError."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name}: is not TOML: {error}") from None
    except (ValueError, ArithmeticError):
        raise InputError(f"{name}: has a number of more digits than can be read") from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply") from None


def parse_mapping(text: str, name: str) -> FileMapping:
    """The mapping that a TOML text describes. `name` is for messages. Raises InputError."""
    return mapping_of(parse_table(text, name), name)


def mapping_of(table: Mapping[str, Any], name: str, *, own_names: bool = False) -> FileMapping:
    """The mapping of a table with the keys of a mapping file. Raises InputError."""
    return _Reader(name).read(table, own_names=own_names)


def delimiter_of(text: str) -> str:
    """One character, or its name: `tab`, `space`, `comma`, `semicolon`, `pipe`. Raises ValueError."""
    found = _DELIMITERS.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n' or found.isalnum():
        raise ValueError(f"must be one character or {', '.join(_DELIMITERS)}, not {text!r}")
    return found


def column_refs(source: ColumnSource | None) -> tuple[ColumnRef, ...]:
    """The columns that a source names."""
    if source is None:
        return ()
    if isinstance(source, str | int):
        return (source,)
    return source.parts if isinstance(source, Combined) else source


class _Reader:
    """Makes a FileMapping of a table; every error names the mapping and the key."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, table: Mapping[str, Any], *, own_names: bool) -> FileMapping:
        """Raises InputError."""
        self._check_keys(table, KEYS, "")
        kind = table.get("kind")
        if not isinstance(kind, str) or kind not in MAPPED:
            near = nearest(str(kind), MAPPED) if kind else None
            raise self._error("kind", f"must be one of {', '.join(MAPPED)}" + (f"; did you mean {near}?" if near else ""))
        plain = {
            key: value for key, value in table.items() if key not in ("about", "times", "numbers", "check", "records", "fixed")
        }
        if "set" in plain:
            plain["set"] = self._constants(plain["set"], "set")
        if "id" in plain:
            self._source(plain["id"], "id", ("first", "hash"))
        if "columns" in plain:
            plain["columns"] = self._columns(plain["columns"], "columns")
        if "where" in plain:
            plain["where"] = self._where(plain["where"], "where")
        mapping = self._convert(
            plain
            | {
                "name": self._name,
                "own_names": own_names,
                "times": self._times(table.get("times", {})),
                "numbers": self._numbers(table.get("numbers", {}), "numbers"),
                "check": self._rule(table.get("check", {}), CheckRule, "check"),
                "fixed": self._fixed(table.get("fixed", {})),
                "records": tuple(self._record(each, place) for place, each in enumerate(self._list(table.get("records", [])), 1)),
            },
            FileMapping,
            "",
        )
        self._check(mapping)
        return self._normal(mapping)

    def _error(self, key: str, reason: str) -> InputError:
        shown = key if len(key) <= _MAX_KEY else f"{key[:_MAX_KEY]}..."
        reason = reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}..."
        return InputError(f"{self._name}: {shown}: {reason}" if key else f"{self._name}: {reason}")

    def _check_keys(self, table: Any, known: Iterable[str], where: str) -> None:
        if not isinstance(table, dict):
            raise self._error(where, "must be a table")
        for key in table:
            if key not in known:
                raise self._error(f"{where}.{key}" if where else key, unknown(key, known, "a key of a mapping"))

    def _convert(self, value: Any, into: Any, key: str) -> Any:
        try:
            return msgspec.convert(value, into)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$")
            path = path.removesuffix("`").lstrip(".").replace("[...]", "")
            raise self._error(".".join(filter(None, (key, path))), reason[:1].lower() + reason[1:]) from None

    def _rule(self, table: Any, into: type[msgspec.Struct], key: str) -> Any:
        fields = into.__struct_encode_fields__
        self._check_keys(table, fields, key)
        return self._convert(table, into, key)

    def _list(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self._error("records", "must be a list of tables: [[records]]")
        return value

    def _numbers(self, table: Any, key: str) -> dict[str, NumberRule]:
        if not isinstance(table, dict):
            raise self._error(key, "must be a table")
        return {field: self._rule(rule, NumberRule, f"{key}.{field}") for field, rule in table.items()}

    def _columns(self, table: Any, key: str) -> dict[str, Any]:
        if not isinstance(table, dict):
            raise self._error(key, "must be a table of our fields and their columns")
        for field, source in table.items():
            self._source(source, f"{key}.{field}", ("sum", "first"))
        return {field: self._convert(source, ColumnSource, f"{key}.{field}") for field, source in table.items()}

    def _where(self, table: Any, key: str) -> dict[str, Any]:
        if not isinstance(table, dict):
            raise self._error(key, "must be a table of columns and the values to take")
        for column, wanted in table.items():
            if isinstance(wanted, dict):
                self._check_keys(wanted, ("matches", "not"), f"{key}.{column}")
        return {column: self._convert(wanted, Wanted, f"{key}.{column}") for column, wanted in table.items()}

    def _source(self, source: Any, key: str, known: Sequence[str]) -> None:
        if isinstance(source, dict):
            self._check_keys(source, known, key)
        if isinstance(source, dict) and len(source) != 1:
            raise self._error(key, f"must have either {' or '.join(known)}")
        if source in ("", []) or (isinstance(source, dict) and [] in source.values()):
            raise self._error(key, "names no column")

    def _constants(self, table: Any, key: str) -> dict[str, str]:
        if not isinstance(table, dict):
            raise self._error(key, "must be a table of our fields and their values")
        for field, value in table.items():
            if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
                raise self._error(f"{key}.{field}", "must be a text or a number")
        return {field: str(value) for field, value in table.items()}

    def _times(self, table: Any) -> TimeRules:
        if not isinstance(table, dict):
            raise self._error("times", "must be a table")
        every = {key: value for key, value in table.items() if not isinstance(value, dict)}
        self._check_keys(every, ("format", "zone", "repeated_hour", "dates"), "times")
        dates = every.pop("dates", None)
        if not isinstance(dates, str | None):
            raise self._error("times.dates", "must be a text")
        fields = {key: value for key, value in table.items() if isinstance(value, dict)}
        return TimeRules(
            self._rule(every, TimeRule, "times"),
            dates,
            {field: self._rule(rule, TimeRule, f"times.{field}") for field, rule in fields.items()},
        )

    def _fixed(self, table: Any) -> dict[str, tuple[int, int]]:
        """Names of fixed-width columns and their first and last characters, counted from 1."""
        if not isinstance(table, dict):
            raise self._error("fixed", "must be a table of names and positions")
        found: dict[str, tuple[int, int]] = {}
        for column, text in table.items():
            match = _SLICE.fullmatch(str(text))
            if match is None or int(match[2] or match[1]) < int(match[1]):
                raise self._error(f"fixed.{column}", f'must be first and last character, such as "1-8", not {text!r}')
            found[column] = int(match[1]), int(match[2] or match[1])
        return found

    def _record(self, table: Any, place: int) -> RecordRule:
        key = f"records[{place}]"
        self._check_keys(table, RecordRule.__struct_fields__, key)
        given = dict(table)
        if "set" in given:
            given["set"] = self._constants(given["set"], f"{key}.set")
        if "columns" in given:
            given["columns"] = self._columns(given["columns"], f"{key}.columns")
        if "where" in given:
            given["where"] = self._where(given["where"], f"{key}.where")
        if "numbers" in given:
            given["numbers"] = self._numbers(given["numbers"], f"{key}.numbers")
        if "check" in given:
            given["check"] = self._rule(given["check"], CheckRule, f"{key}.check")
        record: RecordRule = self._convert(given, RecordRule, key)
        return record

    def _normal(self, mapping: FileMapping) -> FileMapping:
        """The mapping with one way to write its delimiter and its encoding."""
        try:
            delimiter = delimiter_of(mapping.delimiter)
        except ValueError as error:
            raise self._error("delimiter", str(error)) from None
        return msgspec.structs.replace(mapping, delimiter=delimiter, encoding=codecs.lookup(mapping.encoding).name)

    # -- what the keys say together ------------------------------------------------------------------------------

    def _check(self, mapping: FileMapping) -> None:
        self._check_format(mapping)
        groups = self._check_patterns(mapping)
        for place, each in enumerate((mapping, *map(mapping.for_record, mapping.records))):
            self._check_fields(each, groups, f"records[{place}]." if place else "")
        for field in mapping.times.fields:
            if field not in TIMES | DATES or field not in mapping.shape.columns:
                self._unknown_field(f"times.{field}", field, [name for name in mapping.shape.columns if name in TIMES | DATES])
        if mapping.kind != "trades" and (mapping.id is not None or mapping.order):
            raise self._error("id" if mapping.id is not None else "order", "is for trades")
        for place, rule in enumerate(mapping.records, 1):
            self._check_twice(rule.columns, rule.set, f"records[{place}].")
        self._check_twice(mapping.columns, mapping.set, "")
        if mapping.id is not None and "trade_id" in mapping.columns.keys() | mapping.set.keys():
            raise self._error("id", "is given beside trade_id; keep one of them")

    def _check_twice(self, columns: Mapping[str, ColumnSource], constants: Mapping[str, str], key: str) -> None:
        for field in columns.keys() & constants.keys():
            raise self._error(f"{key}set.{field}", "is given under columns too; keep one of them")

    def _check_format(self, mapping: FileMapping) -> None:
        if len(mapping.decimal) != 1 or mapping.decimal not in ".,":
            raise self._error("decimal", f'must be "." or ",", not {mapping.decimal!r}')
        if mapping.thousands not in ("", ".", ",", "'", " ", "_"):
            raise self._error("thousands", f"must be a dot, comma, space, apostrophe or empty, not {mapping.thousands!r}")
        if mapping.thousands == mapping.decimal:
            default = ', which is "." where the mapping does not say: write decimal = ","' if mapping.decimal == "." else ""
            raise self._error("thousands", f"is the same as decimal{default}")
        try:
            "".encode(mapping.encoding)
            codecs.getincrementaldecoder(mapping.encoding)
        except (LookupError, ValueError):
            raise self._error("encoding", f"{mapping.encoding!r} is not known; such as utf-8, utf-16, cp1252") from None
        if isinstance(mapping.skip, int) and mapping.skip < 0:
            raise self._error("skip", 'must be 0 or more lines, or "header"')
        if mapping.skip == SKIP_TO_HEADER and (mapping.fixed or not mapping.header):
            raise self._error("skip", "there is no header to skip to; give a number of lines")

    def _check_patterns(self, mapping: FileMapping) -> set[str]:
        """The names that patterns and units give to parts of columns."""
        groups: set[str] = set()
        for column, pattern in mapping.extract.items():
            compiled = self._pattern(pattern, f"extract.{column}")
            if not compiled.groupindex:
                raise self._error(f"extract.{column}", "has no named group, such as (?P<price>[0-9.]+)")
            for group in compiled.groupindex:
                if group in groups:
                    raise self._error(f"extract.{column}", f"the group {group} stands in another pattern too")
                groups.add(group)
        for each in (mapping, *map(mapping.for_record, mapping.records)):
            groups |= {rule.unit for rule in each.numbers.values() if rule.unit}
            for column, wanted in each.where.items():
                if isinstance(wanted, Condition) and wanted.matches:
                    self._pattern(wanted.matches, f"where.{column}.matches")
        return groups

    def _pattern(self, pattern: str, key: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise self._error(key, f"is not a pattern: {error}") from None

    def _check_fields(self, mapping: FileMapping, groups: set[str], key: str) -> None:
        known = mapping.shape.columns
        for table in ("columns", "set", "join"):
            for field in getattr(mapping, table):
                if field not in known:
                    self._unknown_field(f"{key}{table}.{field}", field, known)
        for table in ("values", "remove"):
            for field in getattr(mapping, table):
                if field not in known and field not in groups:
                    self._unknown_field(f"{key}{table}.{field}", field, (*known, *sorted(groups)))
        numbers = [field for field in known if field in NUMBERS]
        for field, rule in mapping.numbers.items():
            if field not in numbers:
                self._unknown_field(f"{key}numbers.{field}", field, numbers)
            self._check_number(mapping, field, rule, f"{key}numbers.{field}")
        for field, source in (*mapping.columns.items(), ("id", mapping.id), ("check.total", mapping.check.total or None)):
            for ref in column_refs(source):
                if isinstance(ref, int) and not (1 <= ref <= _MAX_COLUMN):
                    raise self._error(f"{key}{field}", "columns count from 1")
            if isinstance(source, Combined) and source.sum and field not in numbers:
                raise self._error(f"{key}columns.{field}", f"a sum is for numbers: {', '.join(numbers)}")

    def _check_number(self, mapping: FileMapping, field: str, rule: NumberRule, key: str) -> None:
        if rule.sign == "side" and field != "quantity":
            raise self._error(f"{key}.sign", "the side comes from the sign of the quantity alone")
        if rule.sign in ("side", "agrees", "opposes") and "side" not in mapping.shape.columns:
            raise self._error(f"{key}.sign", f"a {mapping.shape.what} has no side")
        if rule.sign == "side" and "side" in mapping.columns.keys() | mapping.set.keys():
            raise self._error(f"{key}.sign", "the side is given beside it; take that out, or say agrees or ignore")
        if rule.negate and rule.sign == "ignore":
            raise self._error(f"{key}.negate", "has no effect where the sign is ignored")
        if rule.round is not None and not 0 <= rule.round <= 12:
            raise self._error(f"{key}.round", "must be 0 to 12 decimals")
        if rule.multiply is not None and (not rule.multiply.is_finite() or rule.multiply <= 0):
            raise self._error(f"{key}.multiply", "must be above 0")

    def _unknown_field(self, key: str, field: str, known: Sequence[str]) -> None:
        raise self._error(key, unknown(field, known, "a field that it can name"))
