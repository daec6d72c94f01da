"""Example files, one of each kind that can be read, with every column: `riskengine template KIND` prints them.

What stands in `KIND.csv` loads, into a store with the templates of the kinds before it. What the columns mean stands in the
manual (files_and_columns.md), whose tables `load KIND --help` prints: one text for both.
"""

import re
from importlib.resources import files
from typing import NamedTuple

from riskengine.errors import InputError

KINDS = (
    "nodes",
    "instruments",
    "calendars",
    "positions",
    "closes",
    "marks",
    "vols",
    "rates",
    "cash",
    "carry",
    "actions",
    "scenarios",
    "limits",
    "margin",
    "trades",
    "ticks",
    "statement",
)
"""Kinds of files with a template, in an order in which each needs only those before it."""

_PAGE = "manual/files_and_columns.md"
_CELLS = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


class ColumnHelp(NamedTuple):
    """What the manual says of one column. `default` is `required`, `none`, `empty` or the value."""

    name: str
    type: str
    default: str
    meaning: str


def template(kind: str) -> str:
    """The example file of a kind, CSV with a header."""
    return files("riskengine.files.templates").joinpath(f"{kind}.csv").read_text(encoding="utf-8")


def column_help(kind: str) -> list[ColumnHelp]:
    """The columns of a kind, in the order of the manual. Raises InputError where the installation lacks the manual's page."""
    try:
        page = files("riskengine").joinpath(_PAGE).read_text(encoding="utf-8")
    except OSError:
        raise InputError(f"this installation lacks {_PAGE}, which explains the columns") from None
    _, _, rest = page.partition(f"\n## {kind.capitalize()}\n")
    section, _, _ = rest.partition("\n## ")
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [_parse(row) for row in rows]


def _parse(row: str) -> ColumnHelp:
    cells = [_LINK.sub(r"\1", cell).replace("\\|", "|").strip() for cell in _CELLS.split(row)[1:-1]]
    return ColumnHelp(cells[0].strip("`"), *cells[1:4])
