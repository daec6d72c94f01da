"""`riskengine check-mapping`: validates a mapping, and shows the first rows of a file as they would be read."""

import datetime as dt
import sys
from typing import Any

import click
import msgspec

from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.terminal import json_option
from riskengine.files.columns import ColumnOptions, Row
from riskengine.files.lines import display_name
from riskengine.files.mappings.mapped_rows import MappedFile
from riskengine.files.mappings.mapping import TIMES, FileMapping, read_mapping
from riskengine.files.shapes import INPUTS
from riskengine.files.times import zone
from riskengine.records.decode import convert
from riskengine.records.fields import Rejected
from riskengine.records.types import Refusal

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FAR_VALUE_DATE = dt.timedelta(days=31)
SHOWN_ROWS = 5
SHOWN_REFUSALS = 10


class Looked(msgspec.Struct):
    """What a file comes to under a mapping: the first rows, how many there are, and the lines that cannot be read."""

    first: list[tuple[int, Row]] = []
    rows: int = 0
    refused: list[Refusal] = []
    refusals: int = 0
    told: list[str] = []


@click.command(name="check-mapping")
@click.argument("mapping", metavar="NAME|FILE")
@click.option("--against", metavar="FILE", help="A file of that layout: shows its first rows as they would be read.")
@click.option("--rows", default=SHOWN_ROWS, show_default=True, type=click.IntRange(1, 1000), help="Rows to show.")
@json_option
def check_mapping_command(mapping: str, against: str | None, rows: int, as_json: bool) -> None:
    """Validate a mapping; with --against also on a file of that layout. Loads nothing."""
    checked = read_mapping(mapping)
    if against is None:
        say(f"{mapping}: a valid mapping of {checked.kind}; --against FILE shows how a file reads")
        return
    looked = look(against, checked, rows)
    if as_json:
        say_json(_answer(checked, looked))
    else:
        _print(against, checked, looked)
    sys.exit(1 if looked.refusals or not looked.rows else 0)


def look(path: str, mapping: FileMapping, rows: int) -> Looked:
    """Read a whole file by a mapping; names of instruments and desks are not looked up. Raises InputError.

    What the mapping leaves to the command line (`--set desk=FX1`) does not keep a file from being shown.
    """
    looked = Looked()
    options = ColumnOptions(mapping=mapping, tell=looked.told.append)
    into = INPUTS[mapping.kind]
    dates = _ValueDates(mapping)
    for line, row in MappedFile(path, options, mapping.shape, requires=False).rows():
        refusal = row if isinstance(row, Refusal) else _refusal(line, row, into)
        if refusal is not None:
            looked.refusals += 1
            if len(looked.refused) < SHOWN_REFUSALS:
                looked.refused.append(refusal)
            continue
        looked.rows += 1
        if not isinstance(row, Refusal):
            dates.see(line, row)
        if len(looked.first) < rows and not isinstance(row, Refusal):
            looked.first.append((line, row))
    looked.told += [f"{display_name(path)}: {doubt}" for doubt in dates.doubts()]
    return looked


class _ValueDates:
    """Counts the trades whose value date cannot well be that of their day: a doubt of how the dates are read."""

    def __init__(self, mapping: FileMapping) -> None:
        rule = mapping.times.of("ts")
        self._zone = zone(rule.zone)
        # Where each value has an offset of its own, the sender's day may be the one beside that of UTC.
        self._slack = dt.timedelta(days=0 if rule.zone else 1)
        self._met: dict[str, tuple[int, str]] = {}

    def see(self, line: int, row: Row) -> None:
        """Look at one row; one without the two dates says nothing."""
        moment, value = row.get("ts"), row.get("value_date")
        if not isinstance(moment, int) or not value:
            return
        try:
            dealt = (EPOCH + dt.timedelta(microseconds=moment)).astimezone(self._zone).date()
            day = dt.date.fromisoformat(row.get("trade_date") or dealt.isoformat())
            after = dt.date.fromisoformat(value) - day
        except (ValueError, OverflowError):
            return  # refused as no date
        if after < -self._slack:
            self._count("before the trade's day", f"line {line}: {day} and {value}")
        elif after > FAR_VALUE_DATE:
            self._count(f"more than {FAR_VALUE_DATE.days} days after the trade's day", f"line {line}: {day} and {value}")

    def _count(self, what: str, example: str) -> None:
        count, first = self._met.get(what, (0, example))
        self._met[what] = count + 1, first

    def doubts(self) -> list[str]:
        """A sentence for each kind of doubt, with how many rows have it and the first of them."""
        return [
            f"DOUBT: value_date is {what} in {count:,} {'row' if count == 1 else 'rows'} ({first}): "
            "are day and month read the right way round?"
            for what, (count, first) in self._met.items()
        ]


def _refusal(line: int, row: Row, into: type[Any] | None) -> Refusal | None:
    """Why a row is no record of its kind, whatever the reference data; None if it may be one."""
    try:
        if into is not None:
            convert({field: value for field, value in row.items() if field in into.__struct_encode_fields__}, into)
    except Rejected as error:
        # The desk may come from the command line.
        return None if error.reason == "is missing" and error.field not in row else Refusal(line, error.field, error.reason)
    return None


def _answer(mapping: FileMapping, looked: Looked) -> dict[str, Any]:
    return {
        "kind": mapping.kind,
        "rows": looked.rows,
        "refused": looked.refusals,
        "first": [{"line": line} | row for line, row in looked.first],
        "refusals": [{"line": each.index, "field": each.field, "reason": each.reason} for each in looked.refused],
        "told": looked.told,
    }


def _print(path: str, mapping: FileMapping, looked: Looked) -> None:
    for line, row in looked.first:
        fields = ", ".join(f"{field} {_shown(field, row[field])}" for field in mapping.shape.columns if row.get(field))
        say(f"line {line}: {fields}")
    for told in looked.told:
        complain(told)
    for refusal in looked.refused:
        complain(f"{path}:{refusal.index}: {refusal.text}")
    if looked.refusals > len(looked.refused):
        complain(f"{path}: {looked.refusals - len(looked.refused):,} more lines were refused")
    lacking = _left_to_the_command_line(mapping, looked)
    if lacking:
        complain(
            f"{mapping.name}: gives no {', no '.join(lacking)}: --set {lacking[0]}=.. does, or columns or set of the mapping"
        )
    rows_text = "1 row" if looked.rows == 1 else f"{looked.rows:,} rows"
    say(f"{path}: {rows_text} of {mapping.kind} would be read, {looked.refusals:,} refused")


def _shown(field: str, value: Any) -> str:
    """A value for a reader; a time in UTC."""
    if field not in TIMES or not isinstance(value, int):
        return str(value)
    return (EPOCH + dt.timedelta(microseconds=value)).isoformat().replace("+00:00", "Z")


def _left_to_the_command_line(mapping: FileMapping, looked: Looked) -> list[str]:
    given = {field for _, row in looked.first for field in row}
    return [group[0] for group in mapping.shape.required if given and not given.intersection(group)]
