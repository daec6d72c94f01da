"""Principals, their roles and their grants: who a caller is, what they may do, and whose numbers they see.

A grant of a node covers everything at and below it. A total must be granted by itself: a caller that sees a desk and the total of
its parent also knows, by subtraction, the sum of the parent's other desks. Dealers are granted by name, because a dealer deals on
several desks.

Pure values; any thread. The only thing written is a cache in which every thread would put the same entries.
"""

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from riskengine.records.hierarchy import Hierarchy

ROLES = ("viewer", "dealer", "feed", "ops")

MAX_KEPT = 256
"""Grants whose visible nodes are cached for one tree."""

HIDDEN_PARENT: dict[str, Any] = {"parent": None}
"""Merged into the row of a node if `Grants.hides_parent`."""


class Grants(msgspec.Struct, frozen=True):
    """Whose numbers a caller sees; None means all. Callers with equal grants are one access class: they get the same bytes.

    nodes       these nodes and everything below them: rows, ladders, positions, trades
    totals      the rows of these nodes, and nothing below them
    dealers     the rows, ladders, positions and trades of these dealers
    """

    nodes: frozenset[str] | None = frozenset()
    totals: frozenset[str] = frozenset()
    dealers: frozenset[str] | None = frozenset()

    @property
    def see_everything(self) -> bool:
        """Whether these grants cover everything."""
        return self.nodes is None and self.dealers is None

    def sees_below(self, hierarchy: Hierarchy, node: str) -> bool:
        """Whether the caller may see what a node holds: its ladder, positions, trades. False for an unknown name. O(depth)."""
        number = hierarchy.index.get(node)
        if number is None:
            return False
        return self.nodes is None or not self.nodes.isdisjoint(_path(hierarchy, number))

    def sees_row(self, hierarchy: Hierarchy, node: str) -> bool:
        """Whether the caller may see the row of a node. False for an unknown name. O(depth)."""
        return self.sees_below(hierarchy, node) or (node in self.totals and node in hierarchy.index)

    def hides_parent(self, hierarchy: Hierarchy, number: int) -> bool:
        """Whether a node's row must not name its parent, because the caller may not see the parent's row. O(depth)."""
        parent = hierarchy.parents[number]
        return parent >= 0 and not self.sees_row(hierarchy, hierarchy.names[parent])

    def sees_dealer(self, dealer: str) -> bool:
        """Whether the caller may see what a dealer holds. O(1)."""
        return self.dealers is None or dealer in self.dealers

    def owns_trade(self, hierarchy: Hierarchy, desk: str, dealer: str) -> bool:
        """Whether a trade is of the caller's own desks and of its own dealers: what a token that books may post. O(depth)."""
        return self.sees_below(hierarchy, desk) and self.sees_dealer(dealer)

    def sees_trade(self, hierarchy: Hierarchy, desk: str, dealer: str) -> bool:
        """Whether the caller may see a trade, by its desk or by its dealer. O(depth)."""
        return self.sees_below(hierarchy, desk) or (self.dealers is not None and dealer in self.dealers) or self.see_everything

    def visible_trades(self, hierarchy: Hierarchy, dealers: Iterable[str]) -> tuple[list[str], list[str]] | None:
        """The desks, and the dealers among `dealers`, whose trades the caller may see; None means all. O(nodes x depth)."""
        if self.see_everything:
            return None
        desks = [leaf for leaf in hierarchy.names if leaf in hierarchy.leaves and self.sees_below(hierarchy, leaf)]
        return desks, list(dealers if self.dealers is None else self.dealers)

    def of_view(self, view: str) -> "Grants":
        """The grants that matter to a view: the view `nodes` ignores dealers, and `dealers` ignores nodes. O(1)."""
        if view == "nodes":
            return Grants(nodes=self.nodes, totals=self.totals)
        return Grants(dealers=self.dealers) if view == "dealers" else self

    def visible_nodes(self, hierarchy: Hierarchy) -> tuple[int, ...]:
        """Numbers of the nodes whose rows the caller may see, parents first. O(nodes x depth) once for a tree, then O(1)."""
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
    """An authenticated caller. The audit trail records `name`; `expires_at` is in microseconds, None for never.

    `may_book`: posts trades of the desks and dealers of its grants, whatever its roles.
    """

    name: str
    roles: frozenset[str]
    grants: Grants
    expires_at: int | None = None
    may_book: bool = False


LOCAL = Principal("local", frozenset(ROLES), EVERYTHING, may_book=True)
"""A caller over loopback on an engine without tokens: every role, and everything to see."""
