"""The organisation as a tree of numbered nodes, laid out so that sums over children are sums over slices.

Nodes are numbered breadth first, siblings by name (UTF-8 byte order). Node 0 is the root, the children of a node are one range of
numbers, and a child has a higher number than its parent. The order of every sum depends on names alone.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from riskengine.errors import ReferenceDataError
from riskengine.records.types import IntArray, Node


class Hierarchy:
    """An immutable tree of nodes, of any depth. Raises ReferenceDataError if the nodes do not form one tree.

    names      node names by number
    index      number by name
    parents    number of each node's parent; -1 for the root
    children   (first, end) range of each node's children; empty for a leaf
    ancestors  of each node, nearest first, the root last
    leaves     names of the nodes that trades may attach to
    levels     the inner nodes by depth, for `sum_up`
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        by_name: dict[str, Node] = {}
        for node in nodes:
            if node.node in by_name and by_name[node.node] != node:
                raise ReferenceDataError(f"node {node.node!r} appears twice, with different parents or levels")
            by_name[node.node] = node
        ordered, spans = _breadth_first(by_name)
        self.nodes: tuple[Node, ...] = tuple(ordered)
        self.names: tuple[str, ...] = tuple(node.node for node in ordered)
        self.index: dict[str, int] = {name: number for number, name in enumerate(self.names)}
        self.parents: tuple[int, ...] = tuple(self.index[node.parent] if node.parent else -1 for node in ordered)
        self.children: tuple[tuple[int, int], ...] = tuple(spans)
        self.ancestors: tuple[tuple[int, ...], ...] = self._ancestors()
        self.leaves: frozenset[str] = frozenset(
            name for name, (first, end) in zip(self.names, spans, strict=True) if first == end
        )
        self.levels: tuple[tuple[IntArray, IntArray, int, int], ...] = self._levels()

    def __len__(self) -> int:
        return len(self.names)

    def is_leaf(self, number: int) -> bool:
        """Whether trades may attach to this node. O(1)."""
        first, end = self.children[number]
        return first == end

    def leaves_below(self, number: int) -> list[str]:
        """Names of the leaves at or below a node, in layout order. O(nodes below)."""
        found, waiting = [], [number]
        while waiting:
            node = waiting.pop()
            first, end = self.children[node]
            if first == end:
                found.append(self.names[node])
            waiting.extend(range(end - 1, first - 1, -1))
        return found

    def _ancestors(self) -> tuple[tuple[int, ...], ...]:
        paths: list[tuple[int, ...]] = []
        for parent in self.parents:
            paths.append(() if parent < 0 else (parent, *paths[parent]))
        return tuple(paths)

    def _levels(self) -> tuple[tuple[IntArray, IntArray, int, int], ...]:
        """Per depth, deepest first: the inner nodes, the start of each one's children, and the range of all these children."""
        levels = []
        by_depth: dict[int, list[int]] = {}
        for number, path in enumerate(self.ancestors):
            if not self.is_leaf(number):
                by_depth.setdefault(len(path), []).append(number)
        for depth in sorted(by_depth, reverse=True):
            inner = by_depth[depth]
            first, end = self.children[inner[0]][0], self.children[inner[-1]][1]
            starts = np.array([self.children[number][0] - first for number in inner], dtype=np.int64)
            levels.append((np.array(inner, dtype=np.int64), starts, first, end))
        return tuple(levels)

    def sum_up(self, values: npt.NDArray[np.float64]) -> None:
        """Fill the columns of inner nodes with the sums over their children, in place.

        `values` has shape (measures, nodes). Children are added in layout order. O(measures x nodes).
        """
        for inner, starts, first, end in self.levels:
            values[:, inner] = np.add.reduceat(values[:, first:end], starts, axis=1)


def _breadth_first(by_name: dict[str, Node]) -> tuple[list[Node], list[tuple[int, int]]]:
    children: dict[str, list[Node]] = {}
    roots = []
    for node in by_name.values():
        if not node.parent:
            roots.append(node)
        elif node.parent not in by_name:
            raise ReferenceDataError(f"node {node.node!r}: its parent {node.parent!r} does not exist")
        else:
            children.setdefault(node.parent, []).append(node)
    if by_name and len(roots) != 1:
        names = ", ".join(sorted(repr(root.node) for root in roots)) or "none"
        raise ReferenceDataError(f"exactly one node must have no parent; found {names}")
    ordered, spans = roots, []
    for node in ordered:  # grows during the walk, which makes it breadth first
        below = sorted(children.get(node.node, ()), key=lambda child: child.node)
        spans.append((len(ordered), len(ordered) + len(below)))
        ordered.extend(below)
    if len(ordered) != len(by_name):
        lost = sorted(by_name.keys() - {node.node for node in ordered})
        raise ReferenceDataError(f"nodes in a cycle, not below the root: {', '.join(map(repr, lost[:10]))}")
    return ordered, spans
