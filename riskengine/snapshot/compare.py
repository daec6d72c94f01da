"""Compares two sides that should be equal, key by key: what an engine holds (`here`) and what another account says (`there`).

Pure and exact: quantities, cash and fees are integers. The sum of the trades' fingerprints is compared too, so two sides that
agree in every figure but were made of different trades, or of trades that say something else, differ. Nothing here knows a store
or a clock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from riskengine.records.fields import to_text
from riskengine.records.fingerprints import split_parts, versions_of
from riskengine.records.types import CASH_DECIMALS, Key

if TYPE_CHECKING:  # the child process that compares needs none of a snapshot's modules
    from riskengine.positions.ledger import Row
    from riskengine.snapshot.snapshot import Snapshot, Table

NODE, DEALER = "node", "dealer"

MISSING_HERE = "missing_here"
MISSING_THERE = "missing_there"
QUANTITY = "quantity"
CASH = "cash"
IDENTITY = "identity"
FEES = "fees"
ORDER = "order"
HIERARCHY = "hierarchy"

AVERAGE = "average"
UNKNOWN_NAME = "unknown_name"
"""Of a comparison with an outside statement alone."""

KINDS = (MISSING_HERE, MISSING_THERE, QUANTITY, CASH, IDENTITY, FEES, ORDER, HIERARCHY)
"""Between engine and store, by precedence: a break has the first kind that fits."""

STATEMENT_KINDS = (UNKNOWN_NAME, MISSING_HERE, MISSING_THERE, QUANTITY, CASH, AVERAGE)
"""Between engine and an outside statement, by precedence."""

Fees = Mapping[str, int]
"""Fees by currency, units of 1e-10, without zeros."""

NO_FEES: Fees = {}


class Holding(NamedTuple):
    """What one side says about a key.

    quantity    signed, long > 0, units of 1e-10
    cash        net cash in the instrument's currency, carry included, units of 1e-28, received > 0
    trades      effective trades (an opening balance is none)
    identities  sum of the fingerprints of their versions (`records.fingerprints`): which they are, and what they say
    fees        by currency; never changed in place
    beside      carry in other currencies than that of `cash`, units of 1e-28; as `fees`
    """

    quantity: int
    cash: int
    trades: int
    identities: int
    fees: Fees = NO_FEES
    beside: Fees = NO_FEES


NOTHING = Holding(0, 0, 0, 0)

Side = Mapping[Key, Holding]


class Break(NamedTuple):
    """A key about which the sides differ. A side that does not have the key is None.

    In a break of kind `hierarchy`, `here` is the row of an inner node and `there` the sum of its children's rows.
    """

    kind: str
    key: Key
    here: Holding | None
    there: Holding | None

    @property
    def difference(self) -> Holding:
        """`there` less `here`."""
        return minus(self.there or NOTHING, self.here or NOTHING)


def plus(one: Holding, other: Holding) -> Holding:
    """The sum of two holdings."""
    return Holding(
        one.quantity + other.quantity,
        one.cash + other.cash,
        one.trades + other.trades,
        one.identities + other.identities,
        add_fees(one.fees, other.fees),
        add_fees(one.beside, other.beside),
    )


def minus(one: Holding, other: Holding) -> Holding:
    """One holding less another."""
    return Holding(
        one.quantity - other.quantity,
        one.cash - other.cash,
        one.trades - other.trades,
        one.identities - other.identities,
        add_fees(one.fees, {currency: -units for currency, units in other.fees.items()}),
        add_fees(one.beside, {currency: -units for currency, units in other.beside.items()}),
    )


def add_fees(one: Fees, other: Fees) -> Fees:
    """The sum of fees by currency. O(currencies)."""
    if not one or not other:
        return one or other
    total = {currency: one.get(currency, 0) + other.get(currency, 0) for currency in (*one, *other)}
    return {currency: units for currency, units in total.items() if units}


def kind_of(here: Holding | None, there: Holding | None) -> str:
    """The kind of break between two holdings of one key; empty if they are equal."""
    if here == there:
        return ""
    if here is None:
        return MISSING_HERE
    if there is None:
        return MISSING_THERE
    if here.quantity != there.quantity:
        return QUANTITY
    if here.cash != there.cash or here.beside != there.beside:
        return CASH
    if here.trades != there.trades or versions_of(here.identities) != versions_of(there.identities):
        return IDENTITY
    return FEES if here.fees != there.fees else ORDER


def kinds_of(each: Break) -> list[str]:
    """The kinds of a break: its kind, and `order` beside `fees` where the trades differ in more than fees."""
    if each.kind != FEES:
        return [each.kind]
    sides = [split_parts((side or NOTHING).identities).economics for side in (each.here, each.there)]
    return [FEES] if sides[0] == sides[1] else [FEES, ORDER]


def compare(here: Side, there: Side) -> list[Break]:
    """One break for each key of either side about which they differ, sorted by key. O(keys)."""
    found = []
    for key in here.keys() | there.keys():
        one, other = here.get(key), there.get(key)
        if one != other:
            found.append(Break(kind_of(one, other), key, one, other))
    return sorted(found, key=lambda each: each.key)


class Totals:
    """The sums of what several owners hold, by instrument."""

    def __init__(self) -> None:
        self._sums: dict[str, list[Any]] = {}

    def add(self, held: Mapping[str, Holding]) -> None:
        """Add what one more owner holds. 0.5 us a row."""
        sums = self._sums
        for instrument, (quantity, cash, trades, identities, fees, beside) in held.items():
            total = sums.get(instrument)
            if total is None:
                sums[instrument] = [quantity, cash, trades, identities, fees, beside]
            else:
                total[0] += quantity
                total[1] += cash
                total[2] += trades
                total[3] += identities
                if fees:
                    total[4] = add_fees(total[4], fees)
                if beside:
                    total[5] = add_fees(total[5], beside)

    def breaks(self, node: str, held: Mapping[str, Holding]) -> list[Break]:
        """Breaks where the rows of `node` differ from these sums."""
        found = []
        for instrument in held.keys() | self._sums.keys():
            here = held.get(instrument)
            there = Holding(*self._sums[instrument]) if instrument in self._sums else None
            if here != there:
                found.append(Break(HIERARCHY, (NODE, node, instrument), None if here is None else Holding(*here), there))
        return sorted(found, key=lambda each: each.key)


def hierarchy_breaks_of(children: Mapping[str, Iterable[str]], row_of: Callable[[str], Mapping[str, Holding]]) -> list[Break]:
    """Breaks where the row of an inner node is not the sum of its children's: quantity, cash, trades, fees by instrument.

    `children` names the children of each inner node; `row_of` returns what a node holds, by instrument. O(rows).
    """
    found = []
    for node in sorted(children):
        totals = Totals()
        for child in children[node]:
            totals.add(row_of(child))
        found += totals.breaks(node, row_of(node))
    return found


def tree_breaks(here: Mapping[str, str], there: Mapping[str, str]) -> list[Break]:
    """Breaks for nodes with different parents in two trees (parents by name), or in one tree only. Their instrument is empty."""
    names = sorted(here.keys() | there.keys())
    return [Break(HIERARCHY, (NODE, name, ""), None, None) for name in names if here.get(name) != there.get(name)]


# -- as reports show it ------------------------------------------------------------------------------------------


def found_rows(each: Break) -> list[dict[str, Any]]:
    """A break as a report shows it: a row for each of its kinds."""
    rollup, owner, instrument = each.key
    row = {
        "rollup": rollup,
        rollup: owner,
        "instrument": instrument or None,
        "here": holding_row(each.here),
        "there": holding_row(each.there),
        "difference": holding_row(each.difference),
    }
    return [{"kind": kind} | row for kind in kinds_of(each)]


def holding_row(holding: Holding | None) -> dict[str, Any] | None:
    """A holding as a report shows it: exact decimals as texts, fees by currency."""
    if holding is None:
        return None
    return {
        "quantity": to_text(holding.quantity),
        "net_cash": to_text(holding.cash, CASH_DECIMALS),
        "trade_count": holding.trades,
        "fees": {currency: to_text(units) for currency, units in sorted(holding.fees.items())},
    } | (
        {"beside": {currency: to_text(units, CASH_DECIMALS) for currency, units in sorted(holding.beside.items())}}
        if holding.beside
        else {}
    )


# -- the engine's side -------------------------------------------------------------------------------------------


def holding_of(row: "Row") -> Holding:
    """The holding of a row of a snapshot."""
    return Holding(row.quantity, row.cash, row.trade_count, row.identities, row.fees, row.beside or NO_FEES)


def side_of(snapshot: "Snapshot") -> dict[Key, Holding]:
    """The engine's side: the positions of leaf nodes and of dealers. O(positions)."""
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
    """Breaks where the row of an inner node of a snapshot is not the sum of its children's rows. O(rows)."""
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
