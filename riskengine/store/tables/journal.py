"""The table `journal`: an instant a second, with what had changed. Inside the caller's transaction."""

from collections.abc import Sequence

from riskengine.records.journal import Instant
from riskengine.store.queries import Transaction


def save(transaction: Transaction, instants: Sequence[Instant], keep_from: int) -> None:
    """Store instants; remove those of before `keep_from`. Storing one again changes nothing. O(instants + removed)."""
    transaction.run("journal_save", instants)
    transaction.run("journal_prune", [(keep_from,)])


def chain_at(transaction: Transaction, ts: int) -> list[Instant]:
    """The newest instant up to a time, and before it all that it stands on, the whole one first; none where there is none."""
    found = transaction.rows("journal_newest", (ts,))
    if not found:
        return []
    [(epoch, seq, whole_seq)] = found
    return [Instant(*row) for row in transaction.rows("journal_chain", (epoch, whole_seq, seq))]


def span(transaction: Transaction) -> tuple[int, int] | None:
    """The times of the oldest and the newest instant; None where there is none."""
    [(first, last)] = transaction.rows("journal_span")
    return None if first is None else (first, last)


def times(transaction: Transaction, first_ts: int, last_ts: int) -> list[int]:
    """The times of the instants between two moments, both included, oldest first."""
    return [ts for (ts,) in transaction.rows("journal_times", (first_ts, last_ts))]
