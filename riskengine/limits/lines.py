"""Which limits hold in a trading day, and whose numbers they bound: a line for each limit and owner. Pure; any thread."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.records.limits import Limit
from riskengine.records.types import Trade
from riskengine.snapshot.snapshot import Snapshot, Table


class LimitLine(NamedTuple):
    """A limit and the node or dealer that it bounds. `owner` is its number in its roll-up, -1 where nobody knows the name."""

    limit: Limit
    node: str
    dealer: str
    owner: int

    @property
    def place(self) -> str:
        """The name of the node or dealer."""
        return self.node or self.dealer

    @property
    def key(self) -> str:
        """Identifies the line among those of all versions of its limit."""
        return f"{self.limit.limit_id}:{self.place}"

    def table(self, snapshot: Snapshot) -> Table:
        """The roll-up of the node or dealer."""
        return snapshot.dealers if self.dealer else snapshot.nodes


class LineIndex:
    """Lines by the node or dealer that they bound. Made once for a list of lines."""

    def __init__(self, lines: Sequence[LimitLine]) -> None:
        self.lines = lines
        self._of: dict[tuple[str, str], list[int]] = {}
        for at, line in enumerate(lines):
            self._of.setdefault((line.node, line.dealer), []).append(at)

    def above(self, snapshot: Snapshot, trade: Trade) -> list[int]:
        """The lines of the nodes above a trade, its desk among them, and of its dealer. O(depth + lines found)."""
        hierarchy, desk = snapshot.reference.hierarchy, trade.desk
        number = hierarchy.index[desk]
        places = [(desk, ""), *((hierarchy.names[above], "") for above in hierarchy.ancestors[number])]
        return [at for place in (*places, ("", trade.dealer)) for at in self._of.get(place, ())]


def day_of(snapshot: Snapshot) -> str:
    """The trading day by which limits hold in a snapshot; of an engine without days the date of the snapshot in UTC."""
    if snapshot.current_day:
        return snapshot.current_day
    return dt.datetime.fromtimestamp(snapshot.as_of // MICROS_PER_SECOND, dt.UTC).date().isoformat()


def in_force(limits: Iterable[Limit], day: str) -> list[Limit]:
    """The limits that hold in a trading day, by id.

    Of the versions of an id that have begun by then the highest counts, until its `to`: one with a later `from` changes nothing
    before, one with a `to` that is past ends the limit.
    """
    highest: dict[str, Limit] = {}
    for limit in limits:
        known = highest.get(limit.limit_id)
        if not limit.is_to_come(day) and (known is None or known.version < limit.version):
            highest[limit.limit_id] = limit
    return [highest[name] for name in sorted(highest) if not highest[name].is_over(day)]


def lines_of(limits: Sequence[Limit], snapshot: Snapshot) -> list[LimitLine]:
    """The lines of limits that are in force. O(limits), and O(nodes) for limits of levels."""
    hierarchy = snapshot.reference.hierarchy
    dealers = {name: number for number, name in enumerate(snapshot.dealer_names)}
    levels: dict[str, list[int]] = {}
    if any(limit.level for limit in limits):
        for number, node in enumerate(hierarchy.nodes):
            levels.setdefault(node.level, []).append(number)

    def of_limit(limit: Limit) -> Iterator[LimitLine]:
        if limit.dealer:
            yield LimitLine(limit, "", limit.dealer, dealers.get(limit.dealer, -1))
        elif limit.node:
            yield LimitLine(limit, limit.node, "", hierarchy.index.get(limit.node, -1))
        else:
            yield from (LimitLine(limit, hierarchy.names[number], "", number) for number in levels.get(limit.level, ()))

    return [line for limit in limits for line in of_limit(limit)]
