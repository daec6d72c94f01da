"""Holdings: everything that an engine holds, exact, as lines of JSON, for a program that compares it with something else.

The first line is a header: `epoch`, `seq`, `as_of`, `watermark`, `current_day` (the trading day that is running), `actions_day`
(that of the actions in force) and `nodes`, a list of [node, parent] from the root down. Then comes a line for each owner that
holds something: `{"node": name, "rows": [..]}` for nodes, inner ones too, and `{"dealer": name, "rows": [..]}` for dealers. The
last line is `{"end": true}`.

A row is `[instrument, quantity, net cash, trades, identities, economics, fees of trades, fees]`: quantity in units of 1e-10, net
cash in units of 1e-28, then the sums of the three parts of the trades' fingerprints (`records.fingerprints`), these five as the
decimal text of an integer; then the fees by currency, each the decimal text of an integer in units of 1e-10. Where amounts are
kept beside net cash (carry in other currencies) they come last, by currency, in units of 1e-28.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from riskengine.records.fingerprints import join_parts, split_parts
from riskengine.records.types import Key
from riskengine.snapshot.compare import DEALER, NODE, Break, Holding, hierarchy_breaks_of
from riskengine.snapshot.snapshot import Snapshot, Table


def holding_lines(snapshot: Snapshot, more: dict[str, Any]) -> Iterator[bytes]:
    """The lines of a snapshot, with `more` added to the header. 2 us a row; any thread."""
    hierarchy = snapshot.reference.hierarchy
    header = {
        "epoch": snapshot.epoch,
        "seq": snapshot.seq,
        "as_of": snapshot.as_of,
        "watermark": snapshot.watermark,
        "current_day": snapshot.current_day,
        "actions_day": snapshot.actions_day,
        "nodes": [[node.node, node.parent] for node in hierarchy.nodes],
    }
    yield orjson.dumps(header | more) + b"\n"
    symbols = snapshot.reference.symbols
    for number, name in enumerate(hierarchy.names):
        yield _line(NODE, name, snapshot.nodes, number, symbols)
    for number, name in enumerate(snapshot.dealer_names):
        yield _line(DEALER, name, snapshot.dealers, number, symbols)
    yield END


def _line(rollup: str, name: str, table: Table, owner: int, symbols: tuple[str, ...]) -> bytes:
    rows = [
        [
            symbols[row.instrument],
            str(row.quantity),
            str(row.cash),
            row.trade_count,
            *map(str, split_parts(row.identities)),
            {currency: str(units) for currency, units in row.fees.items()},
            *([{currency: str(units) for currency, units in row.beside.items()}] if row.beside else []),
        ]
        for row in table.state(owner).positions()
    ]
    return orjson.dumps({rollup: name, "rows": rows}) + b"\n" if rows else b""


END = b'{"end":true}\n'


class Holdings(NamedTuple):
    """Holdings that were read: the header, and what each node and dealer holds by instrument."""

    header: dict[str, Any]
    nodes: dict[str, dict[str, Holding]]
    dealers: dict[str, dict[str, Holding]]

    @property
    def parents(self) -> dict[str, str]:
        """The parent of every node; "" for the root."""
        return {str(node): str(parent) for node, parent in self.header["nodes"]}

    def side(self) -> dict[Key, Holding]:
        """The positions of leaf nodes and of dealers. O(positions)."""
        inner = set(self.parents.values())
        leaves = {name: held for name, held in self.nodes.items() if name not in inner}
        return {
            (rollup, owner, instrument): holding
            for rollup, owners in ((NODE, leaves), (DEALER, self.dealers))
            for owner, held in owners.items()
            for instrument, holding in held.items()
        }

    def hierarchy_breaks(self) -> list[Break]:
        """Breaks where the row of an inner node is not the sum of its children's rows. O(rows)."""
        children: dict[str, list[str]] = {}
        for node, parent in self.parents.items():
            if parent:
                children.setdefault(parent, []).append(node)
        return hierarchy_breaks_of(children, lambda node: self.nodes.get(node, {}))


def _holding(quantity: str, cash: str, trades: int, *parts_and_fees: Any) -> Holding:
    versions, economics, fees = ([int(part)] for part in parts_and_fees[:3])
    charged, *beside = ({code: int(units) for code, units in each.items()} for each in parts_and_fees[3:])
    [identities] = join_parts(versions, economics, fees)
    return Holding(int(quantity), int(cash), trades, identities, charged, *beside)


def read_holdings(lines: Iterable[bytes]) -> Holdings:
    """Read what `holding_lines` wrote. Raises ValueError if the lines are something else, or cut short."""
    waiting = iter(lines)
    header = orjson.loads(next(waiting, b""))
    if not isinstance(header, dict) or "watermark" not in header:
        raise ValueError("the lines are no holdings")
    found = Holdings(header, {}, {})
    for line in waiting:
        if line == END:
            return found
        if not line.strip():
            continue
        record = orjson.loads(line)
        owners = found.nodes if NODE in record else found.dealers
        owners[record[NODE] if NODE in record else record[DEALER]] = {str(row[0]): _holding(*row[1:]) for row in record["rows"]}
    raise ValueError("the holdings are cut short")
