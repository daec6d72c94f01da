"""The options that describe a file of other people's making: a mapping, its parts, and parts over a mapping."""

from collections.abc import Callable, Sequence
from typing import Any

import click
from msgspec import structs

from riskengine.cli.terminal import column_options
from riskengine.errors import InputError
from riskengine.files.columns import ColumnOptions
from riskengine.files.mappings.mapping import FileMapping, mapping_of, read_table
from riskengine.records.fields import excerpt

PARTS = ("mapping", "delimiter", "decimal", "thousands", "encoding", "skip", "where", "set_to", "words", "negate", "row_id")
"""The options of this module, by parameter."""

BY_HASH = "hash"
"""The value of `--id` that makes ids from the rows' content."""

_FORMAT = ("delimiter", "decimal", "thousands", "encoding")


def layout_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that describe a foreign file's layout."""
    for option in (
        click.option("--id", "row_id", metavar="COLUMN", help="Column of the id of trades; hash makes it from the row."),
        click.option("--negate", multiple=True, metavar="FIELD", help="Numbers with the other sign, such as fees."),
        click.option("--map", "words", multiple=True, metavar="FIELD=THEIRS:OURS,...", help="Their words and ours."),
        click.option("--set", "set_to", multiple=True, metavar="FIELD=VALUE", help="A field that is the same in all rows."),
        click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Rows that count; repeat for more values."),
        click.option("--skip", metavar="N", help="Lines before the header; or header: up to the mapped one."),
        click.option("--encoding", metavar="NAME", help="Character set, such as utf-16 or cp1252."),
        click.option("--thousands", metavar="MARK", help="Mark between groups of three digits."),
        click.option("--decimal", metavar="MARK", help="Decimal mark: . or ,"),
        click.option("--delimiter", metavar="MARK", help="What separates columns: one character, tab, space."),
        click.option("--mapping", metavar="NAME|FILE", help="TOML file that describes the layout, or a ready one."),
    ):
        command = option(command)
    return command


def foreign_options(kind: str, given: dict[str, Any]) -> ColumnOptions:
    """The options in the form that the file readers take; `kind` is that of the files. Raises InputError."""
    parts = {name: given.pop(name) for name in PARTS}
    options = column_options(**given)
    if not any(parts.values()):
        return options
    return structs.replace(options, mapping=_mapping_of(kind, parts, options))


def _mapping_of(kind: str, parts: dict[str, Any], options: ColumnOptions) -> FileMapping:
    reference = parts["mapping"]
    table: dict[str, Any] = read_table(reference) if reference else {"kind": kind}
    if reference and table.get("kind", kind) != kind:
        raise InputError(f"{reference}: kind: is {table['kind']}, and the files are to be read as {kind}")
    _set_format(table, parts)
    _set_columns(table, options.columns)
    if not reference and options.columns and all(isinstance(ref, int) for ref in table["columns"].values()):
        table["header"] = False
    _set_constants(table, parts["set_to"])
    for text in parts["words"]:
        translated, words = _parse_words(text)
        _table(_table(table, "values"), translated).update(words)
    for field in ",".join(parts["negate"]).split(",") if parts["negate"] else ():
        _table(_table(table, "numbers"), field.strip())["negate"] = True
    _set_where(table, parts["where"])
    if parts["row_id"]:
        _forget(table, "trade_id")
        made: Any = {"hash": "row"} if parts["row_id"] == BY_HASH else _ref(parts["row_id"])
        table["id"] = made
    _set_times(table, options)
    return mapping_of(table, reference or "command line", own_names=not reference)


def _set_format(table: dict[str, Any], parts: dict[str, Any]) -> None:
    table.update({name: parts[name] for name in _FORMAT if parts[name] is not None})
    skip = parts["skip"]
    if skip is not None:
        if skip != "header" and not (skip.isascii() and skip.isdigit()):
            raise InputError(f"--skip: expected a number of lines, or header, not {excerpt(skip)}")
        table["skip"] = skip if skip == "header" else int(skip)


def _set_columns(table: dict[str, Any], columns: dict[str, str]) -> None:
    for field, theirs in columns.items():
        _forget(table, field)
        _table(table, "columns")[field] = _ref(theirs)


def _set_constants(table: dict[str, Any], texts: Sequence[str]) -> None:
    for text in texts:
        field, value = _pair("--set", text, "desk=FX1")
        _forget(table, field)
        _table(table, "set")[field] = value


def _set_where(table: dict[str, Any], texts: Sequence[str]) -> None:
    wanted: dict[str, list[str]] = {}
    for text in texts:
        column, value = _pair("--where", text, "Type=Trade")
        wanted.setdefault(column, []).append(value)
    _table(table, "where").update(wanted)


def _set_times(table: dict[str, Any], options: ColumnOptions) -> None:
    """Put the zone and the format of the command line in the place of those of the mapping."""
    given = {
        "zone": options.tz,
        "format": options.time_format,
        "dates": options.date_format,
        "repeated_hour": options.repeated_hour,
    }
    _table(table, "times").update({key: value for key, value in given.items() if value is not None})


def _forget(table: dict[str, Any], field: str) -> None:
    """Take out what a mapping says of a field's origin: the command line says otherwise."""
    records = table.get("records", [])
    for each in (table, *(records if isinstance(records, list) else ())):
        for key in ("columns", "set"):
            if isinstance(each, dict) and isinstance(each.get(key), dict):
                each[key].pop(field, None)
    if field == "trade_id":
        table.pop("id", None)


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    """The table below a key, a new one where there is none. Raises InputError where something else stands."""
    found = table.setdefault(key, {})
    if not isinstance(found, dict):
        raise InputError(f"{key}: must be a table")
    return found


def _parse_words(text: str) -> tuple[str, dict[str, str]]:
    field, pairs = _pair("--map", text, "side=BOT:buy,SLD:sell")
    words = {}
    for pair in pairs.split(","):
        theirs, colon, ours = pair.rpartition(":")
        if not colon:
            raise InputError(f"--map: expected field=theirs:ours,.. such as side=BOT:buy,SLD:sell, not {excerpt(text)}")
        words[theirs.strip()] = ours.strip()
    return field, words


def _pair(option: str, text: str, example: str) -> tuple[str, str]:
    left, equals, right = (piece.strip() for piece in text.partition("="))
    if not (left and equals):
        raise InputError(f"{option}: expected name=value, such as {example}, not {excerpt(text)}")
    return left, right


def _ref(text: str) -> str | int:
    """A column as a number if it is one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else text
