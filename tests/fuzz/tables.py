"""Files: the readers of every kind, mappings that describe strange ones, and drafts of mappings.

An input is a line of JSON with the options, then the mapping if there is one, a NUL line, then the file.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from riskengine.errors import InputError
from riskengine.files import records as readers
from riskengine.files.columns import ColumnOptions, parse_columns
from riskengine.files.drafts.draft import KINDS as DRAFTED
from riskengine.files.drafts.draft import make_draft
from riskengine.files.drafts.draft_text import draft_text
from riskengine.files.drafts.sniff import take_sample
from riskengine.files.mappings.mapping import mapping_of, parse_mapping, parse_table, shipped_names
from riskengine.files.near_names import NearNames
from riskengine.files.refused import RefusedLines
from riskengine.files.shapes import MAPPED
from riskengine.files.templates import template
from riskengine.reconciliation.statement import read_statement
from riskengine.records.cash import EntryCheck
from riskengine.records.limits import LimitCheck
from riskengine.records.margin_rules import MarginRuleCheck
from riskengine.records.option_input_checks import OptionInputCheck
from riskengine.records.reference import trade_check
from riskengine.records.scenario_shifts import ScenarioShiftCheck
from riskengine.records.types import Refusal
from tests.fuzz.exports import EXPORTS
from tests.fuzz.house import FILE_KINDS, house, scratch_folder, sound_rows
from tests.fuzz.layouts import FORMATS, ZONES, drawn, richer, toml
from tests.fuzz.mutation import Draw, plain
from tests.fuzz.rules import Violation, reasoned, refusal, unreadable
from tests.world import NOON

STRANGE = sorted((Path(__file__).parent.parent / "files" / "strange_files").iterdir())
FILE = b"\n\0\n"
"""Between the options of an input and its file."""

Reader = Callable[[str, ColumnOptions], Iterator[tuple[int, Any]]]


def file_readers() -> dict[str, Reader]:
    """The reader of every kind of file, with the checks of the house."""
    where = house()
    known, hierarchy = where.by_symbol, where.hierarchy
    trades = trade_check(where)
    entries, inputs = EntryCheck(trades), OptionInputCheck(known, 60.0)
    limits, margin = LimitCheck(hierarchy, known, where.currencies), MarginRuleCheck(hierarchy)
    return {
        "trades": lambda path, how: readers.read_trades(path, how, trades, NOON),
        "ticks": readers.read_ticks,
        "nodes": readers.read_nodes,
        "instruments": readers.read_instruments,
        "calendars": readers.read_calendars,
        "positions": lambda path, how: readers.read_openings(path, how, known),
        "closes": lambda path, how: readers.read_closes(path, how, known),
        "marks": lambda path, how: readers.read_marks(path, how, known),
        "vols": lambda path, how: readers.read_vols(path, how, inputs, NOON),
        "rates": lambda path, how: readers.read_rates(path, how, inputs, NOON),
        "cash": lambda path, how: readers.read_cash(path, how, entries),
        "carry": lambda path, how: readers.read_carry(path, how, entries),
        "actions": lambda path, how: readers.read_actions(path, how, known, NOON),
        "scenarios": lambda path, how: readers.read_scenarios(path, how, ScenarioShiftCheck(known)),
        "limits": lambda path, how: readers.read_limits(path, how, limits, NOON, "ann"),
        "margin": lambda path, how: readers.read_margin_rules(path, how, margin, NOON, "ann"),
        "statement": _statement,
    }


def _statement(path: str, how: ColumnOptions) -> Iterator[tuple[int, Any]]:
    stated, refused = read_statement(path, how, "ALL")
    yield from ((each.index, each) for each in refused)
    yield from ((0, each) for each in stated.values())


class Files:
    """A place on disk where one input after the other is written and read."""

    def __init__(self) -> None:
        folder = scratch_folder()
        self._path, self._refused = str(folder / "input"), str(folder / "refused.csv")
        self._readers = file_readers()
        where = house()
        nodes, instruments = [*where.hierarchy.index], [*where.by_symbol]
        readers = {"instrument": lambda: instruments, "desk": lambda: nodes, "node": lambda: nodes}
        self._near = NearNames(readers).hint

    def read(self, kind: str, data: bytes, how: ColumnOptions) -> str:
        """The kind of the last thing that came of a file; its refused lines are written as a load writes them."""
        Path(self._path).write_bytes(data)
        told: list[str] = []
        last, count = "empty", 0
        with RefusedLines(self._refused, MAPPED[kind].columns) as kept:
            how = _with(how, tell=told.append, keep=kept.keep, near=self._near)
            try:
                for number, item in self._readers[kind](self._path, how):
                    last = "accepted"
                    if isinstance(item, Refusal):
                        last, count = refusal(item), count + 1
                        if item.index != number:
                            raise Violation(f"line {number} is refused as line {item.index}")
                        kept.write(self._path, item)
                    kept.forget()
            except InputError as error:
                last = unreadable(error)
        for text in told:
            reasoned(text)
        if count:
            self._check_refused(count)
        return last

    def _check_refused(self, count: int) -> None:
        """What was refused must be a CSV that can be mended: each row with its line and a reason."""
        with open(self._refused, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        if not 0 < len(rows) or any(len(row) != len(header) or not row[-1] for row in rows):
            raise Violation(f"{count} lines were refused, and the file of refused lines has {rows!r:.300}")


def _with(how: ColumnOptions, **more: Any) -> ColumnOptions:
    return ColumnOptions(**{field: getattr(how, field) for field in how.__struct_fields__} | more)


class Tables:
    """CSV and NDJSON files of every kind, with the options of the command line."""

    name = "files"

    def __init__(self, files: Files) -> None:
        self._files = files

    def draw(self, draw: Draw) -> bytes:
        """A template, as CSV or NDJSON, with something changed."""
        kind = draw.pick(FILE_KINDS)
        options: dict[str, Any] = {"kind": kind}
        if draw.chance(0.15):
            options["columns"] = draw.pick(("ts=1,instrument=2", "price=Px", "x=y", "price=price,price=x", "=", "ts=a\tb"))
        if draw.chance(0.2):
            options["tz"] = draw.pick(ZONES)
        if draw.chance(0.2):
            options["time_format"] = draw.pick(FORMATS)
        if draw.chance(0.1):
            options["date_format"] = draw.pick(FORMATS)
        if draw.chance(0.1):
            options["alias"] = {"EURUSD": draw.pick(("GBPUSD", "", "x"))}
        file = self._ndjson(draw, kind) if draw.chance(0.3) else self._csv(draw, kind)
        return json.dumps(options).encode() + FILE + (draw.damage(file) if draw.chance(0.3) else file)

    def _csv(self, draw: Draw, kind: str) -> bytes:
        header, *lines = (line.split(",") for line in template(kind).splitlines())
        for _ in range(draw.few(4)):
            line = draw.pick(lines)
            line[draw.below(len(line))] = draw.text(draw.pick(line))
        if draw.chance(0.3):
            header[draw.below(len(header))] = draw.text(draw.pick(header))
        lines = draw.random.sample(lines, 1 + draw.below(len(lines)))
        quoted = draw.chance(0.3)
        end = draw.pick(("\n", "\n", "\r\n", "\r"))
        text = end.join(",".join(_cell(each, quoted) for each in line) for line in (header, *lines))
        return (text + draw.pick((end, ""))).encode("utf-8", "surrogatepass")

    def _ndjson(self, draw: Draw, kind: str) -> bytes:
        rows = sound_rows(kind) if kind != "statement" else ({"instrument": "EURUSD", "quantity": 1},)
        lines = [draw.written(draw.record(draw.pick(rows), MAPPED[kind].columns)) for _ in range(1 + draw.few(4))]
        return b"\n".join(lines)

    def check(self, data: bytes) -> str:
        """Read the file."""
        head, _, file = data.partition(FILE)
        try:
            options = json.loads(head)
            kind = options.pop("kind")
            columns = parse_columns(options.pop("columns", ""))
            how = ColumnOptions(columns=columns, **options)
        except InputError as error:
            return unreadable(error)
        except (ValueError, TypeError, KeyError, AttributeError):  # the options of this test, not of a user
            kind, how, file = "trades", ColumnOptions(), data
        return self._files.read(kind if kind in MAPPED else "trades", file, how)


def _cell(text: str, quoted: bool) -> str:
    return '"' + text.replace('"', '""') + '"' if quoted and ("," in text or '"' in text or "\n" in text) else text


class Mappings:
    """Mappings, sound and unsound, and the files that they describe."""

    name = "mappings"

    def __init__(self, files: Files) -> None:
        self._files = files

    def draw(self, draw: Draw) -> bytes:
        """A mapping and a file."""
        kind = draw.pick(FILE_KINDS)
        rows = sound_rows(kind) if kind != "statement" else ({"instrument": "EURUSD", "quantity": 1.5, "node": "FX1"},)
        table, file = drawn(draw, kind, rows)
        if draw.chance(0.7):
            table = richer(draw, table)
        if draw.chance(0.3):
            table = draw.record(table, ("where", "extract", "values", "check", "times", "kinds"))
        text = toml(plain(table) if isinstance(table, dict) and draw.chance(0.8) else table).encode("utf-8", "surrogatepass")
        if draw.chance(0.1):
            text = draw.damage(text)
        if draw.chance(0.4):
            lines = file.split(b"\n")
            at = draw.below(len(lines))
            lines[at] = draw.damage(lines[at])
            file = b"\n".join(lines)
        return text + FILE + file

    def check(self, data: bytes) -> str:
        """Read the mapping, and the file by it."""
        text, _, file = data.partition(FILE)
        try:
            mapping = parse_mapping(text.decode("utf-8", "replace"), "their.toml")
        except InputError as error:
            return unreadable(error)
        return self._files.read(mapping.kind, file, ColumnOptions(mapping=mapping))


class ReadyMappings:
    """The ready mappings, and files that are nearly of their kind."""

    name = "ready mappings"

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names = shipped_names()

    def draw(self, draw: Draw) -> bytes:
        """The name of a mapping, and an export of its kind with lines changed."""
        name = draw.pick(self._names)
        return name.encode() + FILE + changed(draw, EXPORTS[name].encode())

    def check(self, data: bytes) -> str:
        """Read the file by the ready mapping."""
        name, _, file = data.partition(FILE)
        text = name.decode("utf-8", "replace")
        mapping = mapping_of(_ready(text if text in self._names else self._names[0]), text)
        return self._files.read(mapping.kind, file, ColumnOptions(mapping=mapping))


def _ready(name: str) -> dict[str, Any]:
    if name not in _READY:
        path = Path(__file__).parents[2] / "config" / "mappings" / f"{name}.toml"
        _READY[name] = parse_table(path.read_text(encoding="utf-8"), name)
    return _READY[name]


_READY: dict[str, dict[str, Any]] = {}


def changed(draw: Draw, file: bytes) -> bytes:
    """A file with lines changed, left out or doubled, or cells changed; sometimes damaged as bytes."""
    lines = file.split(b"\n")
    for _ in range(draw.few(5)):
        at = draw.below(len(lines))
        what = draw.below(6)
        if what == 0:
            lines[at] = draw.damage(lines[at])
        elif what == 1:
            del lines[at:]
            lines = lines or [b""]
        elif what == 2:
            lines[at:at] = [lines[at]] * draw.below(4)
        else:
            mark = max((b";", b",", b"\t", b"|"), key=lines[at].count)
            cells = lines[at].split(mark)
            place = draw.below(len(cells))
            cells[place] = draw.text(cells[place].decode("utf-8", "replace")).encode("utf-8", "surrogatepass")[:2_000]
            lines[at] = mark.join(cells)
    made = b"\n".join(lines)
    return draw.damage(made) if draw.chance(0.15) else made


class Drafts:
    """Strange files of others: a mapping is drafted, and what it says must be TOML; where it is sound the file is read by it."""

    name = "drafts"

    def __init__(self, files: Files) -> None:
        self._files = files
        self._samples = [path.read_bytes() for path in STRANGE if path.suffix != ".toml"]

    def draw(self, draw: Draw) -> bytes:
        """A kind, and a strange file with lines changed."""
        return draw.pick(DRAFTED).encode() + FILE + changed(draw, draw.pick(self._samples))

    def check(self, data: bytes) -> str:
        """Draft a mapping, then read the file by it."""
        kind, _, file = data.partition(FILE)
        name = kind.decode("utf-8", "replace")
        try:
            draft = make_draft(take_sample(file, "their.csv"), name if name in DRAFTED else "trades")
        except InputError as error:
            return unreadable(error)
        text = draft_text(draft, "their.csv", None)
        try:
            table = parse_table(text, "draft.toml")
        except InputError as error:
            raise Violation(f"a draft that is no TOML: {error}") from None
        try:
            mapping = mapping_of(table, "draft.toml")
        except InputError as error:
            return f"drafted: {unreadable(error)}"
        return "drafted, then " + self._files.read(mapping.kind, file, ColumnOptions(mapping=mapping))


def targets() -> list[Tables | Mappings | ReadyMappings | Drafts]:
    """Every door for files."""
    files = Files()
    return [Tables(files), Mappings(files), ReadyMappings(files), Drafts(files)]
