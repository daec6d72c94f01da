"""The tables of the state of the newest close, from which a start goes on. Inside the caller's transaction.

Chunks come first, some at a time; they count for nothing until the state that names their number is stored, which takes the place
of the one before. Chunks of no state are what an engine left that ended meanwhile, or of the state before: `prune` removes them.
"""

from collections.abc import Sequence

from riskengine.records.close_state import CloseState, StoredCloseState
from riskengine.store.queries import Transaction
from riskengine.store.tables.frozen_columns import pack_state, unpack_state


def next_number(transaction: Transaction) -> int:
    """A number that no state and no chunk has."""
    return int(transaction.rows("close_state_number")[0][0]) + 1


def save_chunks(transaction: Transaction, number: int, part: str, first: int, contents: Sequence[bytes]) -> None:
    """Store consecutive chunks of a part, the first of them as number `first`."""
    transaction.run("close_state_chunk_insert", [(number, part, first + at, content) for at, content in enumerate(contents)])


def save(transaction: Transaction, number: int, state: CloseState) -> None:
    """Store a state, all of whose chunks are stored, in place of the one before."""
    transaction.run("close_states_delete", [()])
    row = (number, state.date, state.watermark, state.made_ts, "", pack_state(state))
    transaction.run("close_state_insert", [row])


def prune(transaction: Transaction, limit: int) -> int:
    """Remove chunks of no state, at most `limit`. Returns how many."""
    found = transaction.rows("close_state_chunks_left", (limit,))
    transaction.run("close_state_chunk_delete", found)
    return len(found)


def read(transaction: Transaction) -> StoredCloseState | None:
    """The stored state; None if there is none. Raises ValueError if it cannot be read."""
    for number, void, content in transaction.rows("close_state"):
        return StoredCloseState(number, unpack_state(content), void)
    return None


def standing(transaction: Transaction) -> tuple[int, str, str] | None:
    """Number, date and `void` of the stored state; None if there is none. O(1)."""
    for number, date, reason in transaction.rows("close_state_standing"):
        return number, date, reason
    return None


def chunk(transaction: Transaction, number: int, part: str, place: int) -> bytes | None:
    """One chunk of a state; None if it is gone."""
    for (content,) in transaction.rows("close_state_chunk", (number, part, place)):
        return bytes(content)
    return None


def void(transaction: Transaction, reason: str, store_seqs: Sequence[int] | None = None) -> None:
    """Have no start use the stored state any more, if it holds one of these rows (None: in any case). The first reason stands."""
    first = 0 if store_seqs is None else min(store_seqs, default=None)
    if first is not None:
        transaction.run("close_state_void", [(reason, first)])


def late_numbers(transaction: Transaction, bookmark: str, up_to: int) -> list[int]:
    """The numbers, up to one, of rows that a bookmark's transactions did not see, ascending. On SQLite there are none."""
    return [number for (number,) in transaction.rows("close_state_late", {"bookmark": bookmark, "up_to": up_to})]


def last_received_before(transaction: Transaction, ts: int) -> int:
    """The highest number of a row received before a time; 0 if there is none. O(rows received since)."""
    found = transaction.rows("last_received_before", (ts,))
    return int(found[0][0]) if found else 0
