"""A ladder by an attribute of trades: what each counterparty or strategy has of every line, so that the parts add up to the line.

A trade adds a quantity, cash and fees to a position, exactly, and so does a group of trades; total P&L, value, exposure and
Greeks are linear in them (C + k q m), so a group has its own. What no trade brought (opening balances, carry, corporate actions,
forwards that went over to spot) is the line's `rest`. Realised and unrealised P&L are of a whole position: they depend on its
average price and on the order of its trades. A group has them only where nothing of the others can be in them; else they are
unknown.

The sums come from the store, the lines from a snapshot. That both are of the same trades is proved line by line by fingerprints
(`Row.identities`); a line that cannot be proved is shown whole, as `unattributed`. Pure functions; any thread.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from riskengine.positions.ledger import Row
from riskengine.positions.position import NO_FEES
from riskengine.snapshot.rows import RowDict, listed_rows, position_row
from riskengine.snapshot.snapshot import Snapshot, Table, dealer_number, node_number

COUNTERPARTY, STRATEGY = "counterparty", "strategy"
BY = (COUNTERPARTY, STRATEGY)
"""The attributes by which trades are added up."""

TRADES, REST, UNATTRIBUTED = "trades", "rest", "unattributed"
KINDS = (TRADES, REST, UNATTRIBUTED)


class TradePart(NamedTuple):
    """What some trades add to the positions in one instrument.

    quantity    signed, units of 1e-10, as splits have adjusted it
    cash        net cash in the instrument's currency, units of 1e-28
    fees        by currency, units of 1e-10
    identities  sum of their fingerprints (`records.fingerprints`)
    """

    quantity: int
    cash: int
    fees: Mapping[str, int]
    identities: int
    trade_count: int


NO_PART = TradePart(0, 0, NO_FEES, 0, 0)

Parts = Mapping[str, Mapping[str, TradePart]]
"""By instrument, then by the value of an attribute; "" is that of trades without one."""

FIELDS = (
    "quantity",
    "net_cash",
    "breakeven_price",
    "mark",
    "mark_ts",
    "currency",
    "total_pnl",
    "realised_pnl",
    "unrealised_pnl",
    "total_pnl_local",
    "fees",
    "market_value",
    "delta_base",
    "delta_cash",
    "gamma_cash",
    "vega",
    "theta",
    "stale",
    "trade_count",
)
"""What a row of a group has of the fields of a position row, under the same names."""

_SPLIT = ("realised_pnl", "unrealised_pnl")


def add_parts(one: TradePart, other: TradePart, sign: int = 1) -> TradePart:
    """The sum of two parts, or their difference. O(currencies)."""
    fees = one.fees
    if other.fees:
        added = {code: one.fees.get(code, 0) + sign * other.fees.get(code, 0) for code in one.fees.keys() | other.fees.keys()}
        fees = {code: units for code, units in sorted(added.items()) if units}
    return TradePart(
        one.quantity + sign * other.quantity,
        one.cash + sign * other.cash,
        fees,
        one.identities + sign * other.identities,
        one.trade_count + sign * other.trade_count,
    )


def total_part(parts: Iterable[TradePart]) -> TradePart:
    """The sum of parts."""
    total = NO_PART
    for part in parts:
        total = add_parts(total, part)
    return total


def place_asked(snapshot: Snapshot, node: str | None, dealer: str | None) -> tuple[Table, int]:
    """The roll-up and the number of a node (None: the root) or a dealer. Raises UnknownName."""
    if dealer is not None:
        return snapshot.dealers, dealer_number(snapshot, dealer)
    return snapshot.nodes, 0 if node is None else node_number(snapshot, node)


def is_proven(table: Table, owner: int, row: Row, groups: Mapping[str, TradePart]) -> bool:
    """Whether the trades of the groups are those of the row, to the last column that counts. O(groups)."""
    if row.quarantined or table.is_broken(owner, row.instrument):
        return False
    total = total_part(groups.values())
    return (total.identities, total.trade_count) == (row.identities, row.trade_count)


def unproven(snapshot: Snapshot, parts: Parts, node: str | None, dealer: str | None) -> list[str]:
    """The instruments whose parts are not of the trades that the snapshot has. O(rows + groups). Raises UnknownName."""
    table, owner = place_asked(snapshot, node, dealer)
    symbols = snapshot.reference.symbols
    rows = {symbols[row.instrument]: row for row in table.state(owner).positions()}
    found = [symbol for symbol, row in rows.items() if not is_proven(table, owner, row, parts.get(symbol, {}))]
    return found + [symbol for symbol, groups in parts.items() if symbol not in rows and total_part(groups.values()).trade_count]


def group_rows(
    snapshot: Snapshot, parts: Parts, *, node: str | None = None, dealer: str | None = None, exact: bool = False
) -> list[RowDict]:
    """A row for each group and for the rest of every line of a ladder, lines in their order, groups by name, the rest last.

    They add up to the line in quantity, net cash, fees and trades exactly, in amounts as doubles do; where every part is known.
    Raises UnknownName. 10 us a row.
    """
    table, owner = place_asked(snapshot, node, dealer)
    found: list[RowDict] = []
    for row in listed_rows(table, owner, snapshot.reference.ranks):
        symbol = snapshot.reference.symbols[row.instrument]
        groups = parts.get(symbol, {})
        if is_proven(table, owner, row, groups):
            found += _rows_of_line(snapshot, symbol, row, groups, exact)
        else:
            broken = table.is_broken(owner, row.instrument)
            whole = position_row(snapshot, row, row.average, exact=exact, broken=broken)
            found.append(_shown(symbol, None, UNATTRIBUTED, whole))
    return found


def _rows_of_line(snapshot: Snapshot, symbol: str, row: Row, groups: Mapping[str, TradePart], exact: bool) -> list[RowDict]:
    held: list[tuple[str | None, str, TradePart, dict[str, int] | None]] = [
        (name, TRADES, part, None) for name, part in sorted(groups.items()) if part.trade_count
    ]
    brought = total_part(part for _, _, part, _ in held)
    whole = TradePart(row.quantity, row.cash, row.fees, row.identities, row.trade_count)
    rest = add_parts(whole, brought, -1)
    if rest != NO_PART or row.beside or not held:
        held.append((None, REST, rest, row.beside))
    if len(held) == 1:
        name, kind, _, _ = held[0]
        return [_shown(symbol, name, kind, position_row(snapshot, row, row.average, exact=exact))]
    open_count = sum(part.quantity != 0 for _, _, part, _ in held)
    is_split = not row.open_count or (row.position_count == 1 and open_count == 1)
    found = []
    for name, kind, part, beside in held:
        open_cost = row.open_cost if is_split and part.quantity else 0
        shown = position_row(snapshot, _row_of(row, part, open_cost, beside), None, exact=exact)
        if not is_split or (part.quantity and not row.open_count):
            shown |= dict.fromkeys(_SPLIT)
        found.append(_shown(symbol, name, kind, shown))
    return found


def _row_of(row: Row, part: TradePart, open_cost: int, beside: dict[str, int] | None) -> Row:
    """A part in the form of a position of its own: `position_row` then values it as it values every other."""
    is_open = int(part.quantity != 0)
    return Row(
        row.instrument,
        part.quantity,
        part.cash,
        open_cost,
        is_open,
        part.cash if is_open else 0,
        1,
        part.trade_count,
        0,
        dict(part.fees),
        part.identities,
        beside=beside,
    )


def _shown(symbol: str, name: str | None, kind: str, row: Mapping[str, Any]) -> RowDict:
    return {"instrument": symbol, "group": name, "kind": kind} | {field: row[field] for field in FIELDS}
