"""One hash of the whole state: equal states give equal digests, on every machine.

The text hashed has one line per position of both roll-ups, sorted by the UTF-8 bytes of its key. A line is the JSON array
`[roll-up, owner, instrument, quantity, net cash, average, realised, [[currency, fees], ...], trades, newest]` in compact
form: exact decimals without trailing zeros as texts, the average price and realised P&L as the shortest text that reads back as
the same double, `newest` as `[source, trade_id, leg, version]`, null where unknown.
"""

import hashlib
from collections.abc import Iterator

import orjson

from riskengine.background import giving_way
from riskengine.fields import to_text
from riskengine.ledger import Row
from riskengine.messages import CASH_DECIMALS, CASH_ONE
from riskengine.snapshot import Snapshot, Table


def digest(snapshot: Snapshot) -> str:
    """SHA-256, in hex. 4 us a position; any thread but those that somebody waits for."""
    hierarchy = snapshot.reference.hierarchy
    sha = hashlib.sha256()
    with giving_way():
        lines = [
            *_lines(snapshot, "node", snapshot.nodes, ((hierarchy.index[leaf], leaf) for leaf in hierarchy.leaves)),
            *_lines(snapshot, "dealer", snapshot.dealers, enumerate(snapshot.dealer_names)),
        ]
        lines.sort(key=lambda line: line[0])
        for _, text in lines:
            sha.update(text)
            sha.update(b"\n")
    return sha.hexdigest()


def _lines(
    snapshot: Snapshot, rollup: str, table: Table, owners: Iterator[tuple[int, str]] | enumerate[str]
) -> Iterator[tuple[tuple[bytes, bytes, bytes], bytes]]:
    symbols = snapshot.reference.symbols
    for owner, name in owners:
        for row in table.state(owner).positions():
            symbol = symbols[row.instrument]
            key = (rollup.encode(), name.encode(), symbol.encode())
            yield key, orjson.dumps([rollup, name, symbol, *_state(row)])


def _state(row: Row) -> list[object]:
    newest = row.newest
    return [
        to_text(row.quantity),
        to_text(row.cash, CASH_DECIMALS),
        None if row.average is None else repr(row.average),
        repr((row.cash + row.open_cost) / CASH_ONE),
        [[currency, to_text(units)] for currency, units in sorted(row.fees.items())],
        row.trade_count,
        None if newest is None else [newest.source, newest.trade_id, newest.leg, newest.version],
    ]
