"""Writes the lines that a load did not take to a CSV file, so that they can be corrected and loaded again."""

import csv
from collections.abc import Sequence
from typing import Any, Self, TextIO

from riskengine.errors import InputError
from riskengine.files.columns import Row
from riskengine.files.lines import display_name
from riskengine.files.spreadsheet import escape_formula, is_plain_number
from riskengine.records.types import Refusal

LINE, REASON = "line", "reason"

_NUMBERS = frozenset(("quantity", "price", "fees", "contra_amount", "average_price", "realised"))
"""Columns in which a number below 0 is a number, and no name that begins like a formula."""


class RefusedLines:
    """A CSV of refused lines: our columns as they were read, then file, line and reason, safe to open in a spreadsheet.

    Use it in a `with` block. `keep` holds the rows of the batch at work; `forget` drops them, but those that `hold` has set aside
    for the end of the file. A line may have several rows, under a mapping. Its first refusal writes all left of it: to load
    one again that was taken changes nothing.
    """

    def __init__(self, path: str, columns: Sequence[str]) -> None:
        """Create the file. Raises InputError."""
        try:
            self._file: TextIO = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115 - `close` closes it
        except OSError as error:
            raise InputError(f"--refused: {path}: cannot be written: {error.strerror}") from None
        self._columns = columns
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._quoting = csv.writer(self._file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._csv.writerow((*columns, "file", LINE, REASON))
        self._rows: dict[int, list[Row]] = {}
        self._held: dict[int, list[Row]] = {}
        self._written: set[int] = set()

    def keep(self, line: int, row: Row) -> None:
        """Remember a row until its batch is stored."""
        self._rows.setdefault(line, []).append(row)

    def hold(self, line: int) -> None:
        """Remember the row of a line until the end of its file."""
        if line in self._rows:
            self._held[line] = self._rows[line]

    def forget(self, *, whole_file: bool = False) -> None:
        """Drop the rows of a batch, or of a file."""
        self._rows.clear()
        self._written.clear()
        if whole_file:
            self._held.clear()

    def write(self, path: str, refusal: Refusal) -> None:
        """Write one refused line. A line that could not be split into columns has its place and the reason only."""
        rows = self._rows.pop(refusal.index, None) or self._held.pop(refusal.index, None)
        if rows is None and refusal.index in self._written:
            return
        self._written.add(refusal.index)
        reason = escape_formula(refusal.text)
        place = escape_formula(display_name(path))
        for row in rows or ({},):
            cells = (*(_cell(column, row.get(column)) for column in self._columns), place, refusal.index, reason)
            # Python quotes a carriage return only where its own lines end in one, and readers take it for the end of a line.
            is_broken = any("\r" in cell for cell in cells if isinstance(cell, str))
            (self._quoting if is_broken else self._csv).writerow(cells)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _cell(column: str, value: Any) -> str:
    text = "" if value is None else str(value)
    return text if column in _NUMBERS and is_plain_number(text) else escape_formula(text)
