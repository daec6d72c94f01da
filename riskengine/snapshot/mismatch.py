"""Reasons not to go live: an engine that contradicts its store, or a snapshot that contradicts itself. One line each, for people.

Pure functions; any thread.
"""

from collections.abc import Iterable
from typing import NamedTuple

from riskengine.snapshot.compare import (
    CASH,
    FEES,
    HIERARCHY,
    IDENTITY,
    KINDS,
    MISSING_HERE,
    MISSING_THERE,
    ORDER,
    QUANTITY,
    Break,
)
from riskengine.snapshot.snapshot import Snapshot

_TEXTS = {
    MISSING_HERE: "in the store but not in the engine",
    MISSING_THERE: "in the engine but not in the store",
    QUANTITY: "with different quantities in engine and store",
    CASH: "with different net cash in engine and store",
    IDENTITY: "made of different trades in engine and store",
    FEES: "with different fees in engine and store",
    ORDER: "made of the same trades with other columns in engine and store",
    HIERARCHY: "of nodes that are not the sums of their children",
}


class Mismatch(NamedTuple):
    """A reason not to go live. `kind` is one word, `text` one line for people."""

    kind: str
    text: str


def accepted_warning(mismatches: Iterable[Mismatch], reason: str = "") -> str:
    """The warning on every screen of an engine that went live in spite of `mismatches`, with the reason that a person gave."""
    why = f": {reason}" if reason else ""
    return f"{'; '.join(mismatch.text for mismatch in mismatches)}; this was accepted when the engine was started{why}"


def disagreements(snapshot: Snapshot) -> list[Mismatch]:
    """Where a snapshot contradicts itself, by cheap checks; the self-audit checks all invariants.

    Parents must count what their children count, and both roll-ups hold the same of every instrument. O(nodes + dealers' rows).
    """
    return [*_count_mismatches(snapshot), *_roll_up_mismatches(snapshot)]


def _count_mismatches(snapshot: Snapshot) -> list[Mismatch]:
    hierarchy, state = snapshot.reference.hierarchy, snapshot.nodes.state
    wrong = []
    for number, (first, last) in enumerate(hierarchy.children):
        if first == last:
            continue
        here, below = state(number), [state(child) for child in range(first, last)]
        if here.trade_count != sum(each.trade_count for each in below) or here.position_count != sum(
            each.position_count for each in below
        ):
            wrong.append(hierarchy.names[number])
    return (
        []
        if not wrong
        else [Mismatch("integrity", f"nodes whose counts are not the sums of their children's: {first_few(wrong)}")]
    )


def _roll_up_mismatches(snapshot: Snapshot) -> list[Mismatch]:
    held: dict[int, list[int]] = {}
    if len(snapshot.reference.hierarchy):
        for row in snapshot.nodes.state(0).positions():
            held[row.instrument] = [row.quantity, row.cash, row.trade_count, row.identities]
    for dealer in range(snapshot.dealers.size):
        for row in snapshot.dealers.state(dealer).positions():
            total = held.setdefault(row.instrument, [0, 0, 0, 0])
            total[0] -= row.quantity
            total[1] -= row.cash
            total[2] -= row.trade_count
            total[3] -= row.identities
    wrong = [snapshot.reference.symbols[number] for number, total in held.items() if any(total)]
    return [] if not wrong else [Mismatch("integrity", f"organisation and dealers hold different amounts of {first_few(wrong)}")]


def mismatches_of(breaks: Iterable[Break]) -> list[Mismatch]:
    """One mismatch for each kind of break between engine and store; its text has the first keys."""
    by_kind: dict[str, list[str]] = {}
    for each in breaks:
        rollup, owner, instrument = each.key
        by_kind.setdefault(each.kind, []).append(f"{rollup} {owner or repr(owner)} {instrument}")
    return [
        Mismatch(kind, f"{len(by_kind[kind]):,} positions {_TEXTS[kind]}: {first_few(by_kind[kind])}")
        for kind in KINDS
        if kind in by_kind
    ]


def first_few(names: list[str], count: int = 5) -> str:
    """The first `count` names, and how many more there are."""
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
