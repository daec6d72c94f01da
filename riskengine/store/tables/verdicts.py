"""What people decided about exceptions, on either database; inside the caller's transaction."""

from riskengine.errors import StoreError
from riskengine.records.fields import excerpt
from riskengine.records.types import Trade, Verdict
from riskengine.store.session import Transaction
from riskengine.store.tables.trades import IDENTITY
from riskengine.store.trade_rows import TradeRow, row_values, same_as_row


def verdicts(session: Transaction) -> list[Verdict]:
    """The newest word on each exception, oldest first."""
    return [Verdict(*row) for row in session.rows("verdicts")]


def save_verdict(session: Transaction, verdict: Verdict) -> None:
    """Put it in the place of an earlier one."""
    session.run("verdict_save", [(verdict.id, verdict.verdict, verdict.comment, verdict.actor, verdict.ts)])


def accept_conflict(session: Transaction, trade: Trade) -> tuple[int, TradeRow]:
    """Put what was kept apart in the place of the version that stands. Its store_seq, and the row as it was.

    received_ts stays that of the row: it says when the engine first heard of the version. Raises StoreError where the version is
    gone.
    """
    values = row_values(trade)
    found = session.rows("standing_version", values[IDENTITY])
    if not found:
        raise StoreError(f"trade {excerpt(trade.trade_id)} version {trade.version} is not in the store any more")
    before = TradeRow._make(found[0])
    session.run("trade_replace", [(*values[4:-1], before.store_seq)])
    currency = trade.fees_currency
    for number, *row in session.rows("conflicts_with_numbers", values[IDENTITY]):
        if same_as_row(trade, TradeRow._make(row), currency):
            session.run("conflict_delete", [(number,)])
    return before.store_seq, before
