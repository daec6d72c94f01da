"""Prints the state of an engine: the tree as text, counts and the digest, or all of it as one JSON object."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from riskengine.cli.streams import say, say_json
from riskengine.engine.engine import Engine
from riskengine.printable import printable
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import node_rows


def print_state(
    engine: Engine, as_json: bool, *, as_of: int | None = None, more: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Print tree, counts and digest as text or as one JSON object; `as_of` is the past time asked for, if any.

    `more` are further fields of the JSON object.
    """
    snapshot = engine.snapshot
    rows = node_rows(snapshot)
    counts = snapshot.counts._asdict()
    if as_json:
        state: dict[str, Any] = {"digest": digest(snapshot), "counts": counts, "nodes": rows, **more}
        say_json(state if as_of is None else state | {"as_of": as_of})
        return
    for line in tree_lines(rows):
        say(line)
    say(", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no trades")
    say(f"digest {digest(snapshot)}")


def tree_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Node rows as an indented table with a heading, parents before children. The P&L of the day is against the last close."""
    depth: dict[str, int] = {}
    below: dict[str, list[Mapping[str, Any]]] = {}
    names = {row["node"]: printable(row["node"]) for row in rows}
    for row in rows:
        depth[row["node"]] = depth[row["parent"]] + 1 if row["parent"] else 0
        below.setdefault(row["parent"] or "", []).append(row)
    width = max((2 * depth[row["node"]] + len(names[row["node"]]) for row in rows), default=4) + 2
    amounts = "".join(f" {name:>17}" for name in ("day P&L", "total P&L", "realised", "unrealised"))
    lines = [f"{'node':<{width}}{amounts}{'positions':>10}{'trades':>9}{'unpriced':>9}"]
    waiting = below.get("", [])[::-1]
    while waiting:
        row = waiting.pop()
        waiting += below.get(row["node"], [])[::-1]
        amounts = "".join(f" {money(row[field]):>17}" for field in ("total_pnl", "realised_pnl", "unrealised_pnl"))
        day = "unknown" if row["day_pnl"] is None else money(row["day_pnl"])
        name = "  " * depth[row["node"]] + names[row["node"]]
        counts = f"{row['position_count']:>10}{row['trade_count']:>9}{row['unpriced_count']:>9}"
        lines.append(f"{name:<{width}} {day:>17}{amounts}{counts}")
    return lines


def money(amount: float | None) -> str:
    """Two decimals with thousands separators; `-` if unknown."""
    return "-" if amount is None else f"{round(amount, 2) + 0.0:,.2f}"  # + 0.0 turns -0.0 into 0.0
