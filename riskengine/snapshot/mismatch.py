"""Reasons not to go live: where an engine contradicts its store, or a snapshot itself. One line each, for people.

Pure functions; any thread.
"""

from collections.abc import Iterable
from typing import NamedTuple

from riskengine.snapshot.compare import CASH, HIERARCHY, IDENTITY, KINDS, MISSING_HERE, MISSING_THERE, QUANTITY, Break
from riskengine.snapshot.snapshot import Snapshot

_SAID = {
    MISSING_HERE: "that the store has and the engine has not",
    MISSING_THERE: "that the engine has and the store has not",
    QUANTITY: "of which engine and store say different quantities",
    CASH: "of which engine and store say different net cash",
    IDENTITY: "which engine and store make of different trades",
    HIERARCHY: "of nodes that are not the sums of those below",
}


class Mismatch(NamedTuple):
    """A reason not to go live. `kind` is one word, `text` one line for people."""

    kind: str
    text: str


def accepted(mismatches: Iterable[Mismatch]) -> str:
    """What every screen says of an engine that went live with these."""
    return f"{'; '.join(mismatch.text for mismatch in mismatches)}; this was accepted when the engine was started"


def disagreements(snapshot: Snapshot) -> list[Mismatch]:
    """Where a snapshot contradicts itself in what is cheap to add up; the invariants in full are for the self-audit.

    Parents count what their children do, and both roll-ups hold the same of every instrument. O(nodes + rows of dealers).
    """
    return [*_counts_that_do_not_add_up(snapshot), *_roll_ups_that_differ(snapshot)]


def _counts_that_do_not_add_up(snapshot: Snapshot) -> list[Mismatch]:
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
    return [] if not wrong else [Mismatch("integrity", f"nodes that do not add up their children: {first_few(wrong)}")]


def _roll_ups_that_differ(snapshot: Snapshot) -> list[Mismatch]:
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
    """One line for each kind of break between engine and store, with the first keys."""
    by_kind: dict[str, list[str]] = {}
    for each in breaks:
        rollup, owner, instrument = each.key
        by_kind.setdefault(each.kind, []).append(f"{rollup} {owner or repr(owner)} {instrument}")
    return [
        Mismatch(kind, f"{len(by_kind[kind]):,} positions {_SAID[kind]}: {first_few(by_kind[kind])}")
        for kind in KINDS
        if kind in by_kind
    ]


def first_few(names: list[str], count: int = 5) -> str:
    """Some of them, and how many more there are."""
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
