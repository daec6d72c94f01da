"""Who somebody is, what they may do, and whose numbers they are shown.

A grant of a node is of everything at and below it. A total is a grant of its own: who sees a desk and the total of its parent
also knows, by subtraction, what the parent's other desks come to. Dealers are granted by name, for a dealer deals on several
desks.

Pure values: any thread, nothing is written but a cache whose entries are the same whoever makes them.
"""

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from riskengine.records.hierarchy import Hierarchy

ROLES = ("viewer", "dealer", "feed", "ops")

MAX_KEPT = 256
"""Grants whose nodes are remembered for one tree."""

HIDDEN_PARENT: dict[str, Any] = {"parent": None}
"""Laid over the row of a node where `Grants.hides_parent`."""


class Grants(msgspec.Struct, frozen=True):
    """Whose numbers are shown. None is everybody's. Two that are equal are one access class: they are shown the same bytes.

    nodes       these nodes and all below them: rows, ladders, positions, trades
    totals      the rows of these nodes, and nothing below them
    dealers     the rows, ladders, positions and trades of these dealers
    """

    nodes: frozenset[str] | None = frozenset()
    totals: frozenset[str] = frozenset()
    dealers: frozenset[str] | None = frozenset()

    @property
    def see_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.nodes is None and self.dealers is None

    def sees_below(self, hierarchy: Hierarchy, node: str) -> bool:
        """Whether what a node holds may be shown: its ladder, positions, trades. False for a name that is unknown. O(depth)."""
        number = hierarchy.index.get(node)
        if number is None:
            return False
        return self.nodes is None or not self.nodes.isdisjoint(_path(hierarchy, number))

    def sees_row(self, hierarchy: Hierarchy, node: str) -> bool:
        """Whether the row of a node may be shown. False for a name that is unknown. O(depth)."""
        return self.sees_below(hierarchy, node) or (node in self.totals and node in hierarchy.index)

    def hides_parent(self, hierarchy: Hierarchy, number: int) -> bool:
        """Whether a node's row must not name its parent: the parent's own row may not be shown. False for the root. O(depth)."""
        parent = hierarchy.parents[number]
        return parent >= 0 and not self.sees_row(hierarchy, hierarchy.names[parent])

    def sees_dealer(self, dealer: str) -> bool:
        """Whether what a dealer holds may be shown. O(1)."""
        return self.dealers is None or dealer in self.dealers

    def sees_trade(self, hierarchy: Hierarchy, desk: str, dealer: str) -> bool:
        """Whether a trade may be shown: by its desk or by its dealer. O(depth)."""
        return self.sees_below(hierarchy, desk) or (self.dealers is not None and dealer in self.dealers) or self.see_everything

    def visible_trades(self, hierarchy: Hierarchy, dealers: Iterable[str]) -> tuple[list[str], list[str]] | None:
        """The desks and the dealers whose trades are shown, of those that there are; None is all of both. O(nodes x depth)."""
        if self.see_everything:
            return None
        desks = [leaf for leaf in hierarchy.names if leaf in hierarchy.leaves and self.sees_below(hierarchy, leaf)]
        return desks, list(dealers if self.dealers is None else self.dealers)

    def of_view(self, view: str) -> "Grants":
        """What matters to a view: dealers do not to that of nodes, nor nodes to that of dealers. O(1)."""
        if view == "nodes":
            return Grants(nodes=self.nodes, totals=self.totals)
        return Grants(dealers=self.dealers) if view == "dealers" else self

    def visible_nodes(self, hierarchy: Hierarchy) -> tuple[int, ...]:
        """Numbers of the nodes whose rows may be shown, parents first. O(nodes x depth) once for a tree, then O(1)."""
        known = _visible_nodes.setdefault(hierarchy, {})
        found = known.get(self)
        if found is None:
            if len(known) >= MAX_KEPT:
                known.clear()
            found = known[self] = tuple(n for n, name in enumerate(hierarchy.names) if self.sees_row(hierarchy, name))
        return found


_visible_nodes: WeakKeyDictionary[Hierarchy, dict[Grants, tuple[int, ...]]] = WeakKeyDictionary()

EVERYTHING = Grants(nodes=None, dealers=None)


def _path(hierarchy: Hierarchy, number: int) -> list[str]:
    """A node and its ancestors, by name."""
    return [hierarchy.names[number], *(hierarchy.names[above] for above in hierarchy.ancestors[number])]


class Principal(msgspec.Struct, frozen=True):
    """Somebody who has shown who they are. `name` stands in the audit trail; `expires_at` is in microseconds, None for never."""

    name: str
    roles: frozenset[str]
    grants: Grants
    expires_at: int | None = None


LOCAL = Principal("local", frozenset(ROLES), EVERYTHING)
"""Whoever comes over loopback where no tokens are configured: every role."""
