"""Whether two engines show the same: what a start from the state of a close is held to, bit for bit. Pure; reads snapshots."""

from collections.abc import Iterator
from itertools import chain

from riskengine.positions.ledger import Row
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import dealer_row, node_row
from riskengine.snapshot.snapshot import Snapshot, Table

_OF_THE_PUBLICATION = {"seq", "as_of", "epoch"}


def state_differences(one: Snapshot, other: Snapshot) -> list[str]:
    """What differs between two snapshots of the same moment, as sentences, the first of each subject. O(everything).

    Compares positions, sums, values, lines of the day, exceptions, verdicts and counts. Not `seq`, nor the order of dealers.
    """
    subjects = (
        _positions(one, other),
        _numbers(one, other),
        _lists(one, other),
        _digests(one, other),
    )
    return list(chain.from_iterable(subjects))


def _digests(one: Snapshot, other: Snapshot) -> Iterator[str]:
    digests = digest(one), digest(other)
    if digests[0] != digests[1]:
        yield f"digests {digests[0]} and {digests[1]}"


def _lists(one: Snapshot, other: Snapshot) -> Iterator[str]:
    for name in ("counts", "watermark", "verdicts"):
        if getattr(one, name) != getattr(other, name):
            yield f"{name}: {getattr(one, name)} and {getattr(other, name)}"
    for kind in sorted(one.exceptions.keys() | other.exceptions.keys()):
        here, there = one.exceptions.get(kind, ()), other.exceptions.get(kind, ())
        if here != there:
            first = next((pair for pair in zip(here, there, strict=False) if pair[0] != pair[1]), (here[-1:], there[-1:]))
            yield f"exceptions of kind {kind}: {len(here)} and {len(there)}, first {first[0]} and {first[1]}"


def _positions(one: Snapshot, other: Snapshot) -> Iterator[str]:
    """The first row of each roll-up that differs, in any of its figures."""
    names = one.reference.hierarchy.names
    nodes = [(name, _rows(one, one.nodes, at), _rows(other, other.nodes, at)) for at, name in enumerate(names)]
    places = {name: at for at, name in enumerate(other.dealer_names)}
    dealers = [
        (name, _rows(one, one.dealers, at), _rows(other, other.dealers, places[name]) if name in places else None)
        for at, name in enumerate(one.dealer_names)
    ]
    if {*one.dealer_names} != {*other.dealer_names}:
        yield f"dealers: {sorted({*one.dealer_names} ^ {*other.dealer_names})} in one alone"
    for rows in (nodes, dealers):
        for name, here, there in rows:
            if here != there:
                symbols = sorted(each for each in {*here, *(there or {})} if here.get(each) != (there or {}).get(each))
                yield f"{name} {symbols[0]}: {here.get(symbols[0])} and {(there or {}).get(symbols[0])}"
                break


def _rows(snapshot: Snapshot, table: Table, owner: int) -> dict[str, Row]:
    symbols = snapshot.reference.symbols
    return {symbols[row.instrument]: row for row in table.state(owner).positions()}


def _numbers(one: Snapshot, other: Snapshot) -> Iterator[str]:
    """The first node and the first dealer whose values differ."""
    for number, name in enumerate(one.reference.hierarchy.names):
        if (found := _differing(node_row(one, number), node_row(other, number))) is not None:
            yield f"{name}: {found}"
            break
    places = {name: at for at, name in enumerate(other.dealer_names)}
    for number, name in enumerate(one.dealer_names):
        found = _differing(dealer_row(one, number), dealer_row(other, places[name])) if name in places else None
        if found is not None:
            yield f"dealer {name}: {found}"
            break


def _differing(here: dict[str, object], there: dict[str, object]) -> str | None:
    for field in here:
        if field not in _OF_THE_PUBLICATION and repr(here[field]) != repr(there.get(field)):
            return f"{field} {here[field]!r} and {there.get(field)!r}"
    return None
