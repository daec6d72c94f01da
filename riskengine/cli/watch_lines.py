"""Formats a view as lines of text that fit a terminal, each with its look. Does not touch a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from riskengine.cli.state_text import money
from riskengine.client.feed import LIVE, State
from riskengine.printable import printable

PLAIN, HEADING, ALARM, FAINT = "plain", "heading", "alarm", "faint"

Row = Mapping[str, Any]


class TerminalLine(NamedTuple):
    """One line, at most as long as the terminal is wide, and its look."""

    text: str
    look: str = PLAIN


class Column(NamedTuple):
    """A table column. On a narrow terminal columns of the highest `rank` go first; rank 0 always stays."""

    heading: str
    rank: int
    text: Callable[[Row], str]


def number(value: float | None) -> str:
    """A quantity or price with up to 10 digits; `-` if unknown."""
    return "-" if value is None else f"{value + 0.0:,.10g}"


def _field(name: str, form: Callable[[Any], str]) -> Callable[[Row], str]:
    return lambda row: form(row.get(name))


def _count(value: int | None) -> str:
    return str(value) if value else ""


def _ladder_note(row: Row) -> str:
    """A remark on the row's numbers: set aside, no price, old price."""
    if row.get("quarantined"):
        return "set aside"
    if row.get("total_pnl") is None:
        return "no price"
    return "old price" if row.get("stale") else ""


def _tree_note(row: Row) -> str:
    counts = (("unpriced", row.get("unpriced_count")), ("old", row.get("stale_count")))
    return ", ".join(f"{count} {what}" for what, count in counts if count)


LADDER = (
    Column("instrument", 0, _field("instrument", str)),
    Column("quantity", 1, _field("quantity", number)),
    Column("average", 4, _field("average_price", number)),
    Column("mark", 3, _field("mark", number)),
    Column("day P&L", 4, _field("day_pnl", money)),
    Column("total P&L", 0, _field("total_pnl", money)),
    Column("realised", 5, _field("realised_pnl", money)),
    Column("unrealised", 5, _field("unrealised_pnl", money)),
    Column("exposure", 6, _field("delta_cash", money)),
    Column("note", 2, _ladder_note),
)
TREE = (
    Column("node", 0, lambda row: "  " * row["depth"] + str(row["node"])),
    Column("day P&L", 1, _field("day_pnl", money)),
    Column("total P&L", 0, _field("total_pnl", money)),
    Column("realised", 4, _field("realised_pnl", money)),
    Column("unrealised", 4, _field("unrealised_pnl", money)),
    Column("net exposure", 3, _field("net_exposure", money)),
    Column("gross exposure", 5, _field("gross_exposure", money)),
    Column("trades", 6, _field("trade_count", _count)),
    Column("note", 2, _tree_note),
)
TEXTS = frozenset({"instrument", "node", "note"})
"""Headings of left-aligned columns."""


def tree_rows(rows: Iterable[Row]) -> list[Row]:
    """Node rows, parents before children, each with its `depth`. A row whose parent is hidden starts a tree."""
    listed = list(rows)
    known = {row["node"] for row in listed}
    below: dict[str | None, list[Row]] = {}
    for row in listed:
        below.setdefault(row["parent"] if row["parent"] in known else None, []).append(row)
    found: list[Row] = []
    waiting = [(row, 0) for row in reversed(below.get(None, []))]
    while waiting:
        row, depth = waiting.pop()
        found.append({**row, "depth": depth})
        waiting += [(child, depth + 1) for child in reversed(below.get(row["node"], []))]
    return found


def ladder_rows(rows: Iterable[Row]) -> list[Row]:
    """Ladder rows sorted by instrument."""
    return sorted(rows, key=lambda row: str(row["instrument"]))


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[str]:
    """A heading and one line for each row, with as many columns as fit."""
    texts = {column: [column.heading, *(printable(column.text(row)) for row in rows)] for column in columns}
    widths = {column: max(map(len, found)) for column, found in texts.items()}
    kept = list(columns)
    while sum(widths[column] + 2 for column in kept) - 2 > width and any(column.rank for column in kept):
        kept.remove(max(kept, key=lambda column: column.rank))
    return [
        cut("  ".join(_cell(column, texts[column][place], widths[column]) for column in kept), width)
        for place in range(len(rows) + 1)
    ]


def _cell(column: Column, text: str, width: int) -> str:
    return text.ljust(width) if column.heading in TEXTS else text.rjust(width)


def cut(text: str, width: int) -> str:
    """`text` with its control characters escaped, cut to `width`."""
    text = printable(text).rstrip()
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def status_line(title: str, state: State, loading: str = "") -> TerminalLine:
    """The first line: title, status, time; `loading` is the progress of the engine's start."""
    moment = f"as of {clock(state.as_of)}" if state.as_of is not None else ""
    if state.status == LIVE:
        parts = (title, "live", moment, f"seq {state.seq}", f"epoch {state.epoch}", state.reporting_currency or "")
        return TerminalLine("  ".join(part for part in parts if part), HEADING)
    reason = f": {loading or state.reason}" if loading or state.reason else ""
    old = f"  figures {moment}" if state.rows and moment else ""
    return TerminalLine(f"{title}  {state.status.upper()}{old}{reason}", ALARM)


def clock(ts: int) -> str:
    """A time of day, UTC."""
    return f"{datetime.fromtimestamp(ts / 1_000_000, UTC):%H:%M:%S} UTC"


def screen(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    state: State,
    warnings: Sequence[str],
    loading: str,
    width: int,
    height: int,
) -> list[TerminalLine]:
    """The whole screen in at most `width` columns and `height` lines."""
    head = [
        status_line(title, state, loading),
        *(TerminalLine(f"warning: {text}", ALARM) for text in warnings[: max(height - 4, 0)]),
    ]
    heading, *body = table(columns, rows, width)
    room = height - len(head) - 1
    if len(body) > room:
        left_out = len(body) - max(room - 1, 0)
        body = [*body[: max(room - 1, 0)], f"... {left_out} more"]
    look = PLAIN if state.status == LIVE else FAINT
    shown = [*head, TerminalLine(heading, HEADING), *(TerminalLine(text, look) for text in body)]
    return [TerminalLine(cut(line.text, width), line.look) for line in shown[:height]]
