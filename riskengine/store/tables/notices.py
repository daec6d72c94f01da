"""The table `notices`: what the engine noticed about trades when they came. Inside the caller's transaction."""

from collections.abc import Sequence

from riskengine.records.types import Notice
from riskengine.store.queries import Transaction
from riskengine.store.results import StoredNotice
from riskengine.store.tables.trades import select_deals

KINDS = ("late", "off_market", "possible_duplicate")


def notices(transaction: Transaction, limit: int) -> list[StoredNotice]:
    """The newest notices of each kind, oldest first, each with the row of its version. 10 us a notice.

    Without those whose row is gone.
    """
    newest = [Notice(*row) for kind in KINDS for row in reversed(transaction.rows("notices_newest", (kind, limit)))]
    deals = list(dict.fromkeys((notice.source, notice.trade_id) for notice in newest))
    rows = {(row.source, row.trade_id, row.leg, row.version): row for row in select_deals(transaction, deals)}
    found = ((notice, rows.get((notice.source, notice.trade_id, notice.leg, notice.version))) for notice in newest)
    return [StoredNotice(notice, row) for notice, row in found if row is not None]


def late_count(transaction: Transaction) -> int:
    """How many late trades are stored. O(those)."""
    return int(transaction.rows("notices_late")[0][0])


def save_notices(transaction: Transaction, records: Sequence[Notice]) -> None:
    """Store notices; the first about the same thing stands."""
    values = ((n.id, n.kind, n.ts, n.reason, n.detail, n.source, n.trade_id, n.leg, n.version) for n in records)
    transaction.run("notice_save", values)
