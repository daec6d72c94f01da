"""The table `verdicts`: what people decided about exceptions. Inside the caller's transaction."""

from riskengine.errors import StoreError
from riskengine.records.fields import excerpt
from riskengine.records.types import Trade, Verdict, with_attributes
from riskengine.store.queries import Transaction
from riskengine.store.tables.trades import IDENTITY
from riskengine.store.trade_rows import TradeRow, row_values, same_as_row


def verdicts(transaction: Transaction) -> list[Verdict]:
    """The newest decision on each exception, oldest first."""
    return [Verdict(*row) for row in transaction.rows("verdicts")]


def save_verdict(transaction: Transaction, verdict: Verdict) -> None:
    """Store a decision in place of an earlier one on the same exception; a comment leaves the decision as it was."""
    transaction.run("verdict_save", [(verdict.id, verdict.verdict, verdict.comment, verdict.actor, verdict.ts)])


def accept_conflict(transaction: Transaction, trade: Trade) -> tuple[int, TradeRow]:
    """Replace the stored version by a trade that was kept apart as a conflict. Returns its store_seq, and the row before.

    The row becomes that record whole, received_ts included: live and every replay judge it by that. So do its attributes, which
    the engine does not know: they are those of the equal conflict. Deletes the equal conflicts. Raises StoreError if the version
    is gone.
    """
    values = row_values(trade)
    found = transaction.rows("standing_version", values[IDENTITY])
    if not found:
        raise StoreError(f"trade {excerpt(trade.trade_id)} version {trade.version} is not in the store any more")
    before = TradeRow._make(found[0])
    currency = trade.fees_currency
    rows = ((number, TradeRow._make(row)) for number, *row in transaction.rows("conflicts_with_numbers", values[IDENTITY]))
    equal = [(number, row) for number, row in rows if same_as_row(trade, row, currency)]
    if equal:
        values = row_values(with_attributes(trade, equal[0][1].attributes))
    transaction.run("trade_replace", [(*values[4:], before.store_seq)])
    transaction.run("conflict_delete", [(number,) for number, _ in equal])
    return before.store_seq, before
