"""The table `breaks`: what reconciliation found, kept until it is resolved. Inside the caller's transaction."""

from collections.abc import Iterable, Sequence

from riskengine.store.queries import Transaction
from riskengine.store.results import BreakKey, BreakStatus, FoundBreak, StoredBreak


def remember(
    transaction: Transaction, found: Sequence[FoundBreak], *, against: str, epoch: int, watermark: int, ts: int, by: str
) -> list[StoredBreak]:
    """Store the breaks of one whole run: open new ones, update known ones, close those that it did not find as gone.

    Returns the open ones. The same run again only changes when and how often they were seen.
    """
    known = {one.key: one for one in breaks(transaction, status="open") if one.against == against}
    for one in found:
        before = known.pop(one.key, None)
        if before is None:
            transaction.run(
                "break_insert",
                [
                    (one.kind, against, *one.key, one.here, one.there, one.trades, epoch, watermark, ts, ts),
                ],
            )
        else:
            values = (one.kind, one.here, one.there, one.trades, epoch, watermark, max(ts, before.last_seen_ts), before.break_id)
            transaction.run("break_seen", [values])
    resolve(transaction, known, "gone", against=against, by=by, ts=ts)
    return [one for one in breaks(transaction, status="open") if one.against == against]


def resolve(
    transaction: Transaction, keys: Iterable[BreakKey], status: BreakStatus, *, against: str, by: str, ts: int, comment: str = ""
) -> None:
    """Close open breaks; skip breaks that are not open."""
    transaction.run("break_resolve", ((status, by, ts, comment, comment, against, *key) for key in keys))


def comment(transaction: Transaction, break_id: int, text: str) -> StoredBreak | None:
    """Set the comment of a break, open or not; None if there is no break of that number."""
    transaction.run("break_comment", [(text, break_id)])
    return next((StoredBreak._make(row) for row in transaction.rows("break_by_id", (break_id,))), None)


def breaks(transaction: Transaction, *, status: str | None = None, limit: int = 1_000_000) -> list[StoredBreak]:
    """Breaks of a status (None: of any), open ones first, then the newest."""
    query = "breaks_all" if status is None else "breaks_of_status"
    values = (limit,) if status is None else (status, limit)
    return [StoredBreak._make(row) for row in transaction.rows(query, values)]
