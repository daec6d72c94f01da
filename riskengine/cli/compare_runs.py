"""`riskengine compare-runs`: a recorded day played through an older and a newer version of the program, cell by cell.

Each version gets a copy of the store and replays it; then both are asked what every list said at the same recorded instants, by
the trades and marks of then. Whatever differs, to the last digit, is listed: the gate before a release.
"""

import contextlib
import csv
import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click

from riskengine.cli.start import past_moment
from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.terminal import Progress, config_option, effective_config, fail, json_option, store_option
from riskengine.cli.version_run import ProgramVersion, RunningVersion, running
from riskengine.clock import utc_text
from riskengine.config import without_password
from riskengine.errors import ComparisonFailed, ConfigError, StoreError
from riskengine.records.fields import TS_MAX
from riskengine.snapshot.differences import Difference, differences
from riskengine.store.open_store import POSTGRES, open_store, path_of
from riskengine.store.sqlite.backup import copy_store

NOT_COMPARED = 2
MOMENTS = 12
ALL_ROWS = 1_000_000

DOORS = ("server", "access", "store", "log", "curves", "journal")
"""Sections of a configuration that decide no number."""


class ComparedList(NamedTuple):
    """A list that is compared: its name, its route with parameters, and the key of its rows."""

    name: str
    path: str
    query: Mapping[str, Any]
    key: tuple[str, ...]


LISTS = (
    ComparedList("nodes", "/v1/nodes", {}, ("node",)),
    ComparedList("dealers", "/v1/dealers", {"limit": ALL_ROWS}, ("dealer",)),
    ComparedList("positions", "/v1/positions", {"limit": ALL_ROWS}, ("node", "instrument")),
    ComparedList("ladder", "/v1/ladder", {}, ("instrument",)),
    *(
        ComparedList(f"exposure by {by}", "/v1/exposure", {"by": by}, (by,))
        for by in ("currency", "sector", "instrument", "kind")
    ),
    ComparedList("risk", "/v1/risk", {}, ("instrument",)),
)


class DifferingCell(NamedTuple):
    """A cell that differs at a recorded instant."""

    ts: int
    list_name: str
    found: Difference

    def row(self) -> dict[str, Any]:
        """As the report has it."""
        each = self.found
        values = {"kind": each.kind, "old": each.before, "new": each.after, "change": each.change}
        return {"ts": self.ts, "list": self.list_name, "key": list(each.key), "field": each.field, **values}


class Report(NamedTuple):
    """What a comparison found. `only_new` and `only_old` are (list, field) of fields that one version alone has."""

    moments: list[int]
    cells: int
    found: list[DifferingCell]
    only_old: list[tuple[str, str]]
    only_new: list[tuple[str, str]]

    @property
    def is_equal(self) -> bool:
        """Whether the newer version says all that the older one said. A field that is new is no difference."""
        return not self.found and not self.only_old


@click.command(name="compare-runs")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@store_option
@click.option("--old-store", metavar="URL", help="The store of OLD; with --new-store, instead of copies of --store.")
@click.option("--new-store", metavar="URL", help="The store of NEW: another database with the same content.")
@config_option
@click.option("--from", "first", metavar="TS", callback=past_moment, help="The first instant; the oldest recorded one.")
@click.option("--to", "last", metavar="TS", callback=past_moment, help="The last instant; the newest recorded one.")
@click.option(
    "--moments",
    type=click.IntRange(1, 100_000),
    default=MOMENTS,
    show_default=True,
    help="At how many recorded instants, evenly spread.",
)
@click.option("--differences", "file", type=click.Path(dir_okay=False), metavar="FILE", help="CSV of every cell that differs.")
@json_option
def compare_runs_command(
    old: str,
    new: str,
    store: str | None,
    old_store: str | None,
    new_store: str | None,
    config_path: str | None,
    first: int | None,
    last: int | None,
    moments: int,
    file: str | None,
    as_json: bool,
) -> None:
    """Play a recorded day through two versions and list every cell that differs.

    OLD and NEW are interpreters, virtual environments or checkouts. Exit status 0: the newer version says the same; 1: cells
    differ; 2: they could not be compared.
    """
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="riskengine-runs-")))
            versions = (ProgramVersion(old), ProgramVersion(new))
            stores = _stores(folder, store, old_store, new_store, config_path)
            times = _instants(stores[0], first, last, moments)
            settings = quiet_settings(config_path, folder)
            runs = [
                stack.enter_context(running(version, url, folder / name, settings))
                for version, url, name in zip(versions, stores, ("old", "new"), strict=True)
            ]
            report = compare_versions(runs[0], runs[1], times)
    except (ComparisonFailed, ConfigError, StoreError, OSError, tomllib.TOMLDecodeError) as error:
        fail(str(error), NOT_COMPARED)
    if file is not None:
        _write(file, report)
    _tell(report, as_json=as_json)
    sys.exit(0 if report.is_equal else 1)


# -- the settings ------------------------------------------------------------------------------------------------


def quiet_settings(config_path: str | None, folder: Path) -> Path:
    """A file with what decides numbers in a configuration, and without what does not: doors, tokens, logs, the store.

    And no journal: an engine removes from its store what is older than it keeps, and the recorded day may be.
    """
    told: dict[str, Any] = {}
    if config_path is not None:
        told = tomllib.loads(Path(config_path).read_text(encoding="utf-8"))
    kept = {name: value for name, value in told.items() if name not in DOORS} | {"journal": {"every_s": 0}}
    file = folder / "settings.toml"
    file.write_text("".join(_toml(kept, ())), encoding="utf-8")
    return file


def _toml(table: Mapping[str, Any], name: tuple[str, ...]) -> Iterator[str]:
    """A table as TOML: its values, then its tables."""
    if name:
        yield f"[{'.'.join(map(json.dumps, name))}]\n"
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}\n"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _toml(value, (*name, key))


# -- the stores --------------------------------------------------------------------------------------------------


def _stores(folder: Path, store: str | None, old: str | None, new: str | None, config_path: str | None) -> tuple[str, str]:
    """The store of each version: two that are given, or two copies. Raises ComparisonFailed, StoreError."""
    if (old is None) != (new is None):
        raise ComparisonFailed("--old-store and --new-store go together")
    if old is not None and new is not None:
        if old == new:
            raise ComparisonFailed("--old-store and --new-store are one store: each version writes its own")
        return old, new
    url = effective_config(config_path, store).store.url
    if url.startswith(POSTGRES):
        raise ComparisonFailed(
            f"{without_password(url)} is PostgreSQL's: restore it into two databases and name them with --old-store, --new-store"
        )
    made = []
    for name in ("old", "new"):
        path = folder / f"{name}.db"
        path.touch(mode=0o600)
        copy_store(os.path.realpath(path_of(url)), str(path), lambda share: None)
        made.append(f"sqlite:///{path}")
    return made[0], made[1]


def _instants(url: str, first: int | None, last: int | None, moments: int) -> list[int]:
    """So many recorded instants, evenly spread, the first and the last among them. Raises ComparisonFailed, StoreError."""
    opened = open_store(url, create=False, read_only=True)
    try:
        times = opened.instant_times(first or 0, last or TS_MAX)
    finally:
        opened.close()
    if not times:
        raise ComparisonFailed("no instant is recorded there: an engine keeps a journal where [journal] every_s is not 0")
    if moments == 1 or len(times) == 1:
        return times[-1:]
    count = min(moments, len(times))
    return [times[place * (len(times) - 1) // (count - 1)] for place in range(count)]


# -- the comparison ----------------------------------------------------------------------------------------------


def compare_versions(old: RunningVersion, new: RunningVersion, times: Sequence[int]) -> Report:
    """Ask both the same and compare all cells. Raises ComparisonFailed."""
    found: list[DifferingCell] = []
    only_old, only_new = dict[tuple[str, str], None](), dict[tuple[str, str], None]()
    cells = 0
    progress = Progress("instants compared")
    for ts in times:
        for each in LISTS:
            answers = [run.ask(each.path, {**each.query, "as_of": ts}) for run in (old, new)]
            _check_same_instant(ts, each, answers)
            rows = [answer["rows"] for answer in answers]
            fields = [dict.fromkeys(name for row in of_one for name in row) for of_one in rows]
            both = fields[0].keys() & fields[1].keys() if all(rows) else {*fields[0], *fields[1]}
            only_old |= dict.fromkeys((each.name, name) for name in fields[0] if name not in both)
            only_new |= dict.fromkeys((each.name, name) for name in fields[1] if name not in both)
            kept = [[{name: value for name, value in row.items() if name in both} for row in of_one] for of_one in rows]
            cells += sum(len(row) for row in kept[1])
            found += (DifferingCell(ts, each.name, one) for one in _differences(each, kept))
        progress.advance(1)
    progress.close()
    return Report([*times], cells, found, [*only_old], [*only_new])


def _differences(each: ComparedList, rows: Sequence[Sequence[dict[str, Any]]]) -> Iterator[Difference]:
    old, new = rows
    try:
        yield from differences(old, new, each.key)
    except (KeyError, ValueError) as error:
        raise ComparisonFailed(f"the rows of {each.name} have no key {', '.join(each.key)}: {error}") from None


def _check_same_instant(ts: int, each: ComparedList, answers: Sequence[Mapping[str, Any]]) -> None:
    told = [(answer.get("epoch"), answer.get("seq"), answer.get("moment", {}).get("exact_at")) for answer in answers]
    if told[0] == told[1] and told[0][2] is None:
        reasons = answers[0].get("moment", {}).get("unknown", ["the answer names no moment"])
        raise ComparisonFailed(f"{each.name} at {utc_text(ts)}: {reasons[0]}")
    if told[0] != told[1]:
        raise ComparisonFailed(f"{each.name} at {utc_text(ts)}: the versions answer of instants {told[0]} and {told[1]}")


# -- the report --------------------------------------------------------------------------------------------------


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {
                "equal": report.is_equal,
                "moments": report.moments,
                "compared": report.cells,
                "differences": [cell.row() for cell in report.found],
                "only_old": report.only_old,
                "only_new": report.only_new,
            }
        )
        return
    for cell in report.found:
        each = cell.found
        change = (
            "" if each.change is None else f" ({each.change:+g})" if isinstance(each.change, int | float) else f" ({each.change})"
        )
        key = " ".join(str(part) for part in each.key)
        say(f"{utc_text(cell.ts)}  {cell.list_name}  {key}  {each.field}: {_shown(each.before)} -> {_shown(each.after)}{change}")
    for what, named in (("OLD", report.only_old), ("NEW", report.only_new)):
        for name, field in named:
            say(f"{name}  {field}: only {what} has this field")
    many = f"{report.cells:,} cells at {len(report.moments):,} instants"
    say(f"{many}: no difference" if report.is_equal else f"{many}: {len(report.found):,} differ")


def _shown(value: object) -> str:
    return "unknown" if value is None else str(value)


def _write(file: str, report: Report) -> None:
    try:
        with contextlib.closing(open(file, "w", newline="", encoding="utf-8")) as opened:
            lines = csv.writer(opened)
            lines.writerow(("ts", "list", "key", "field", "kind", "old", "new", "change"))
            for cell in report.found:
                row = cell.row()
                lines.writerow([*(row[name] for name in ("ts", "list")), "|".join(map(str, row["key"])), *[*row.values()][3:]])
    except OSError as error:
        complain(f"{file} cannot be written: {error}")
