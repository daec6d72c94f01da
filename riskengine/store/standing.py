"""How far a store has come, and whether it is behind what its writer acknowledged.

A store can go back under a live engine: somebody restores a file, a replica that lags becomes the server. What is there then is
sound in itself, and rows that others write into it have numbers that the engine has passed. So the writer compares the store with
what it acknowledged itself: the epoch, the highest number given to a trade, the newest entry of the audit trail. A row that was
deleted or corrected in place changes none of the three: the database counts numbers on, and the trail keeps its entries.
"""

from typing import NamedTuple

from riskengine.store.audit_chain import Head, parse_head
from riskengine.store.queries import Transaction

RESUME = (
    "put the newer store back and start again; or accept this one, with `riskengine serve --accept-mismatch --reason TEXT`,"
    " which the audit trail records, and load again what is missing"
)
"""How service resumes once a store has gone back, for a person."""


class Acknowledged(NamedTuple):
    """What a writer has acknowledged: its store must never be behind it.

    `watermark` is the highest store_seq of a row that it stored or applied, `head` the newest entry of the audit trail that it
    wrote or saw.
    """

    store_id: str
    epoch: int
    watermark: int
    head: Head


class StoreStanding(NamedTuple):
    """How far a store has come, read at once.

    issued  highest store_seq that the database ever gave out, whether or not the row is still there; None where the server does
            not tell this user
    noted   newest entry of the audit trail, as `meta` notes it; None if the note is missing or unreadable
    """

    store_id: str
    epoch: int
    issued: int | None
    noted: Head | None


def standing_of(transaction: Transaction) -> StoreStanding:
    """How far the store has come. Cost 10 us (SQLite) or 150 us (PostgreSQL)."""
    store_id, epoch, noted, issued = transaction.rows("standing_now")[0]
    return StoreStanding(str(store_id), int(epoch), issued, parse_head(noted))


def find_shortfall(transaction: Transaction, ours: Acknowledged) -> tuple[str | None, Acknowledged]:
    """What the store lacks of what its writer acknowledged, None if nothing; and what is acknowledged now.

    The second is `ours` with the newest entry of the trail, which another program may have written, and with the epoch of now: a
    higher one is that of an engine which has taken the lease.
    """
    now = standing_of(transaction)
    if now.store_id != ours.store_id:
        return "it is another store", ours
    if now.epoch < ours.epoch:
        return f"it is at epoch {now.epoch} and was at {ours.epoch}", ours
    if now.issued is not None and now.issued < ours.watermark:
        return f"it has numbered its trades up to {now.issued} and had come to {ours.watermark}", ours
    if now.noted == ours.head or (lack := lacking_entry(transaction, ours.head)) is None:
        return None, ours._replace(epoch=now.epoch, head=_newer(transaction, ours.head, now.noted))
    return lack, ours


def _newer(transaction: Transaction, head: Head, noted: Head | None) -> Head:
    """The entry that `meta` notes if it is later than `head` and the trail holds it, else `head`."""
    if noted is None or noted.audit_seq <= head.audit_seq or lacking_entry(transaction, noted) is not None:
        return head
    return noted


def lacking_entry(transaction: Transaction, head: Head) -> str | None:
    """A text if the audit trail does not hold this entry, else None. Cost 10 us (SQLite) or 150 us (PostgreSQL)."""
    found = transaction.rows("audit_hash_at", (head.audit_seq,))
    if found and found[0][0] == head.hash:
        return None
    return f"entry {head.audit_seq} of its audit trail {'is another one' if found else 'is missing'}"
