"""Two sides that should hold the same, compared key by key: what an engine holds (`here`) and what somebody else says (`there`).

Pure and exact: quantities and cash are integers, and which trades are behind them is compared by the sum of their fingerprints,
so that two sides which agree in every figure and not in the trades behind it are told apart. Nothing here knows a store or a
clock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from riskengine.records.types import Key

if TYPE_CHECKING:  # the comparing process needs none of what a snapshot is made of
    from riskengine.positions.ledger import Row
    from riskengine.snapshot.snapshot import Snapshot, Table

"""Roll-up ("node" or "dealer"), owner, instrument."""

NODE, DEALER = "node", "dealer"

MISSING_HERE = "missing_here"
MISSING_THERE = "missing_there"
QUANTITY = "quantity"
CASH = "cash"
IDENTITY = "identity"
HIERARCHY = "hierarchy"

KINDS = (MISSING_HERE, MISSING_THERE, QUANTITY, CASH, IDENTITY, HIERARCHY)
"""By precedence: a break has the first kind that fits it."""


class Holding(NamedTuple):
    """What one side says about a key.

    quantity    signed, long > 0, units of 1e-10
    cash        net cash in the instrument's currency, units of 1e-28, received > 0
    trades      effective trades (an opening balance is none)
    identities  sum of the fingerprints of their versions (`fingerprint.version_fingerprint`)
    """

    quantity: int
    cash: int
    trades: int
    identities: int


NOTHING = Holding(0, 0, 0, 0)

Side = Mapping[Key, Holding]


class Break(NamedTuple):
    """A key about which the sides differ; None where a side does not have it.

    `hierarchy`: `here` is the row of an inner node, `there` the sum of its children's rows.
    """

    kind: str
    key: Key
    here: Holding | None
    there: Holding | None

    @property
    def difference(self) -> Holding:
        """What `here` lacks to be `there`."""
        return minus(self.there or NOTHING, self.here or NOTHING)


def plus(one: Holding, other: Holding) -> Holding:
    """Two holdings together."""
    return Holding(*(a + b for a, b in zip(one, other, strict=True)))


def minus(one: Holding, other: Holding) -> Holding:
    """One holding less another."""
    return Holding(*(a - b for a, b in zip(one, other, strict=True)))


def kind_of(here: Holding | None, there: Holding | None) -> str:
    """The kind of break between two holdings of one key; empty where they agree."""
    if here == there:
        return ""
    if here is None:
        return MISSING_HERE
    if there is None:
        return MISSING_THERE
    if here.quantity != there.quantity:
        return QUANTITY
    return CASH if here.cash != there.cash else IDENTITY


def compare(here: Side, there: Side) -> list[Break]:
    """One break for each key of either side about which they differ, by key. O(keys)."""
    found = []
    for key in here.keys() | there.keys():
        one, other = here.get(key), there.get(key)
        if one != other:
            found.append(Break(kind_of(one, other), key, one, other))
    return sorted(found, key=lambda each: each.key)


class Totals:
    """What some owners hold together, by instrument."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}

    def add(self, held: Mapping[str, Holding]) -> None:
        """What one more owner holds. 0.5 us a row."""
        sums = self._sums
        for instrument, (quantity, cash, trades, identities) in held.items():
            total = sums.get(instrument)
            if total is None:
                sums[instrument] = [quantity, cash, trades, identities]
            else:
                total[0] += quantity
                total[1] += cash
                total[2] += trades
                total[3] += identities

    def breaks(self, node: str, held: Mapping[str, Holding]) -> list[Break]:
        """Where the rows of `node` are not these sums."""
        found = []
        for instrument in held.keys() | self._sums.keys():
            here = held.get(instrument)
            there = Holding(*self._sums[instrument]) if instrument in self._sums else None
            if here != there:
                found.append(Break(HIERARCHY, (NODE, node, instrument), None if here is None else Holding(*here), there))
        return sorted(found, key=lambda each: each.key)


def hierarchy_breaks_of(children: Mapping[str, Iterable[str]], row_of: Callable[[str], Mapping[str, Holding]]) -> list[Break]:
    """Inner nodes whose rows are not the sums of their children's: quantity, cash, trades and identities of each instrument.

    `children` names the children of each inner node, `row_of` gives what a node holds by instrument. O(rows).
    """
    found = []
    for node in sorted(children):
        totals = Totals()
        for child in children[node]:
            totals.add(row_of(child))
        found += totals.breaks(node, row_of(node))
    return found


def tree_breaks(here: Mapping[str, str], there: Mapping[str, str]) -> list[Break]:
    """Nodes that stand elsewhere in the two trees (parents by name), or in one of them only. They name no instrument."""
    names = sorted(here.keys() | there.keys())
    return [Break(HIERARCHY, (NODE, name, ""), None, None) for name in names if here.get(name) != there.get(name)]


# -- the engine's side -------------------------------------------------------------------------------------------


def holding_of(row: "Row") -> Holding:
    """What a row of a snapshot says."""
    return Holding(row.quantity, row.cash, row.trade_count, row.identities)


def side_of(snapshot: "Snapshot") -> dict[Key, Holding]:
    """The positions of leaf nodes and of dealers that exist. O(positions)."""
    hierarchy, symbols = snapshot.reference.hierarchy, snapshot.reference.symbols
    side: dict[Key, Holding] = {}
    for number, name in enumerate(hierarchy.names):
        if hierarchy.is_leaf(number):
            side.update(_positions(NODE, name, snapshot.nodes, number, symbols))
    for number, name in enumerate(snapshot.dealer_names):
        side.update(_positions(DEALER, name, snapshot.dealers, number, symbols))
    return side


def _positions(rollup: str, name: str, table: "Table", owner: int, symbols: tuple[str, ...]) -> Iterator[tuple[Key, Holding]]:
    return (((rollup, name, symbols[row.instrument]), holding_of(row)) for row in table.state(owner).positions())


def hierarchy_breaks(snapshot: "Snapshot") -> list[Break]:
    """Rows of inner nodes of a snapshot that are not the sums of their children's. O(rows)."""
    hierarchy, symbols = snapshot.reference.hierarchy, snapshot.reference.symbols
    children = {
        name: hierarchy.names[slice(*hierarchy.children[number])]
        for number, name in enumerate(hierarchy.names)
        if not hierarchy.is_leaf(number)
    }

    def row_of(name: str) -> dict[str, Holding]:
        state = snapshot.nodes.state(hierarchy.index[name])
        return {symbols[row.instrument]: holding_of(row) for row in state.positions()}

    return hierarchy_breaks_of(children, row_of)
