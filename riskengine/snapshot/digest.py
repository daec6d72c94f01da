"""One hash of the whole state: equal states give equal digests, on every machine.

The text hashed has one line per position of both roll-ups, sorted by the UTF-8 bytes of its key. A line is the JSON array
`[roll-up, owner, instrument, quantity, net cash, average, realised, [[currency, fees], ...], trades, newest]` in compact
form, with a last element `[[currency, amount], ...]` where amounts are kept beside net cash (carry in other currencies): exact
decimals without trailing zeros as texts, the average price and realised P&L in `currency` as the shortest text that reads back
as the same double, `newest` as `[source, trade_id, leg, version]`, null where unknown. Net cash includes carry.
"""

import hashlib

import orjson

from riskengine.background import Rests, short_switch_interval
from riskengine.positions.ledger import Row
from riskengine.records.fields import to_text
from riskengine.records.types import CASH_DECIMALS, CASH_ONE
from riskengine.snapshot.snapshot import Snapshot


def digest(snapshot: Snapshot) -> str:
    """The SHA-256, in hex. 4 us a position, and as long again for rests. Not on the event loop or the writer thread.

    It sorts owner by owner, because one sort of everything would keep the interpreter from all other threads meanwhile.
    """
    hierarchy, symbols = snapshot.reference.hierarchy, snapshot.reference.symbols
    rollups = (
        ("dealer", snapshot.dealers, enumerate(snapshot.dealer_names)),
        ("node", snapshot.nodes, ((hierarchy.index[leaf], leaf) for leaf in hierarchy.leaves)),
    )
    sha, rests = hashlib.sha256(), Rests()
    with short_switch_interval():
        for rollup, table, owners in rollups:
            for owner, name in sorted(owners, key=lambda one: one[1].encode()):
                rows = sorted(table.state(owner).positions(), key=lambda row: symbols[row.instrument].encode())
                for row in rows:
                    sha.update(orjson.dumps([rollup, name, symbols[row.instrument], *_state(row)]))
                    sha.update(b"\n")
                rests.rest_if_due()
    return sha.hexdigest()


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
        *([[[currency, to_text(units, CASH_DECIMALS)] for currency, units in sorted(row.beside.items())]] if row.beside else []),
    ]
