"""The tables `cash` and `carry`: external movements of nodes and carry of positions. Inside the caller's transaction."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from msgspec import structs

from riskengine.records.cash import CarryRow, CashRecord, CashRow, StoredCashRow, values_of
from riskengine.records.fields import Rejected, fixed, to_text
from riskengine.records.types import DECIMALS
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import CashSaved, CashStoredAs
from riskengine.store.tables.reference import RECORDED

GONE = frozenset({"cash_gone", "carry_gone"})
"""Kinds of `changes`: rows that were deleted, or got another identity."""

IDS_AT_ONCE = 5_000


def cash_rows(transaction: Transaction) -> list[StoredCashRow]:
    """All rows of both tables, every version. Cost 2 us each."""
    return [
        *map(CashRow._make, transaction.rows("cash_rows")),
        *map(CarryRow._make, transaction.rows("carry_rows")),
    ]


def save(
    transaction: Transaction, kind: str, records: Sequence[CashRecord], now: int, trail: Trail, actor: str = ""
) -> list[CashSaved]:
    """Insert versions of records of one kind and record them in the trail; what is stored already is never rewritten.

    Returns for each whether it is new, the highest version or a lower one, equal to the stored one, or in conflict with it.
    `now` becomes their `received_ts`. Cost 10 us a record.
    """
    stored = _stored(transaction, kind, {record.record_id for record in records})
    highest: dict[str, int] = {}
    for record_id, version in stored:
        highest[record_id] = max(version, highest.get(record_id, 0))
    saved, new = [], []
    for record in records:
        key = record.record_id, record.version
        values = values_of(record)[:-1]
        if key in stored:
            outcome: CashStoredAs = "existing" if _says(kind, stored[key]) == _says(kind, values) else "conflict"
        else:
            stored[key] = values
            new.append(values_of(structs.replace(record, received_ts=now)))
            outcome = "superseded" if record.version < highest.get(record.record_id, 0) else "inserted"
            highest[record.record_id] = max(record.version, highest.get(record.record_id, 0))
        saved.append(CashSaved(outcome, now))
    transaction.run(f"{kind}_insert", new)
    trail.records(kind, RECORDED[kind].columns, [values[:-1] for values in new], actor)
    return saved


def _stored(transaction: Transaction, kind: str, record_ids: Iterable[str]) -> dict[tuple[str, int], tuple[object, ...]]:
    """The stored versions of some ids: their columns by (id, version), without `received_ts`."""
    ids = sorted(record_ids)
    found = {}
    for first in range(0, len(ids), IDS_AT_ONCE):
        for row in transaction.rows(f"{kind}_of_ids", (transaction.array(ids[first : first + IDS_AT_ONCE]),)):
            found[row[0], row[1]] = tuple(row[:-1])
    return found


def _says(kind: str, values: tuple[object, ...]) -> list[object]:
    """The columns of a row for a comparison: 100.50 and 100.5 are one amount."""
    said, at = list(values), RECORDED[kind].columns.index("amount")
    with suppress(Rejected):  # another program wrote what is no amount: it stays as it is
        said[at] = to_text(fixed(str(said[at]), DECIMALS, "amount"))
    return said
