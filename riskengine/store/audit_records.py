"""Compares the audit trail with the tables: trades by their hashes, reference data by the records themselves."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import orjson

from riskengine.records.audit_kinds import CAUGHT_UP, TRADES
from riskengine.records.fields import excerpt
from riskengine.store.audit_chain import (
    DIGEST_BYTES,
    ENGINE,
    FOLLOWED,
    GONE,
    MAX_SPAN,
    AuditEntry,
    AuditEvent,
    AuditFilter,
    canonical,
    ranges_of,
    row_hasher,
    rows_detail,
)
from riskengine.store.audit_trail import Trail, newest_first
from riskengine.store.queries import Transaction
from riskengine.store.tables.reference import RECORDED
from riskengine.store.trade_rows import without_empty_attributes

PAGE = 5_000

Report = Callable[[int, int, str], None]
"""Called with a finding: audit_seq, store_seq, text."""

_Row = tuple[Any, ...]


class CaughtUp(NamedTuple):
    """An engine's statement that the trail holds all rows up to `store_seq`, and all reference data up to `revision`.

    It does not cover rows of transactions that the `horizon`, a snapshot of PostgreSQL, does not see.
    """

    audit_seq: int
    store_seq: int
    horizon: str
    revision: str


class RecordedRows:
    """The recorded hash of each row of `trades`. `take` the entries in their order, then `compare` once."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._digests = bytearray()
        self._entries = array("q")
        self._salts: list[tuple[int, str, bytes]] = []
        self._discarded: list[tuple[int, int]] = []
        self._hashing = -1
        self._hasher = row_hasher(b"")

    def take(self, entry: AuditEntry, report: Report) -> None:
        """Add the rows of an entry. Raises ValueError if its detail cannot be read."""
        detail = rows_detail(entry.detail)
        numbers = detail.store_seqs
        if (entry.first_store_seq, entry.last_store_seq, entry.row_count) != (numbers[0], numbers[-1], len(numbers)):
            raise ValueError("its detail names other rows than its columns")
        self._numbers.extend(numbers)
        self._digests += detail.digests
        self._entries.extend([len(self._salts)] * len(numbers))
        self._salts.append((entry.audit_seq, entry.kind, detail.salt))

    def discard(self, entry: AuditEntry) -> None:
        """Leave out an entry that was edited or cannot be read: its rows are neither recorded nor missing."""
        first, last = entry.first_store_seq, entry.last_store_seq
        if type(first) is int and type(last) is int and 0 <= last - first <= MAX_SPAN:
            self._discarded.append((first, last))

    def compare(
        self, transaction: Transaction, report: Report, advance: Callable[[int], None], caught_up: CaughtUp | None
    ) -> tuple[int, int]:
        """Compare every row with its newest entry. Returns the number of rows and how many wait to be recorded."""
        expected = self._expected_rows(report)
        number, digest, entry = next(expected, _END)
        gone: dict[int, list[int]] = {}
        unrecorded: list[int] = []
        count = 0
        for page in _pages(transaction):
            for row in page:
                at = row[0]
                while number < at:
                    if digest != GONE:
                        gone.setdefault(entry, []).append(number)
                    number, digest, entry = next(expected, _END)
                if number > at:
                    unrecorded.append(at)
                    continue
                self._compare_row(row, digest, entry, report)
                number, digest, entry = next(expected, _END)
            count += len(page)
            advance(len(page))
        while number != _END[0]:
            if digest != GONE:
                gone.setdefault(entry, []).append(number)
            number, digest, entry = next(expected, _END)
        for entry, numbers in gone.items():
            for first, last in ranges_of(numbers):
                report(self._salts[entry][0], first, f"recorded {_rows_text(first, last)}, which {_are(first, last)} gone")
        return count, self._count_waiting(transaction, unrecorded, report, caught_up)

    def _compare_row(self, row: _Row, digest: bytes, entry: int, report: Report) -> None:
        if entry != self._hashing:
            self._hashing, self._hasher = entry, row_hasher(self._salts[entry][2])
        if self._hasher(canonical(without_empty_attributes(row[1:]))) == digest:
            return
        what = "as deleted, but it exists" if digest == GONE else "which was edited since"
        report(self._salts[entry][0], row[0], f"recorded trade row {row[0]}, {what}: {_identity_text(row)}")

    def _expected_rows(self, report: Report) -> Iterator[tuple[int, bytes, int]]:
        """Number, hash and place of the entry of each recorded row, by number: its first entry, or its newest correction."""
        order = np.argsort(np.array(self._numbers, dtype=np.int64), kind="stable")
        waiting: tuple[int, int] | None = None
        for part in range(0, len(order), PAGE):
            for place in order[part : part + PAGE].tolist():
                number = self._numbers[place]
                if waiting is not None and waiting[0] == number:
                    audit_seq, kind, _ = self._salts[self._entries[place]]
                    if kind == TRADES:
                        before = self._salts[self._entries[waiting[1]]][0]
                        report(audit_seq, number, f"records trade row {number} again, after entry {before}")
                        continue
                elif waiting is not None:
                    yield self._expected(*waiting)
                waiting = number, place
        if waiting is not None:
            yield self._expected(*waiting)

    def _expected(self, number: int, place: int) -> tuple[int, bytes, int]:
        return number, bytes(self._digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]), self._entries[place]

    def _count_waiting(
        self, transaction: Transaction, unrecorded: Sequence[int], report: Report, caught_up: CaughtUp | None
    ) -> int:
        """The number of rows in no entry that may wait for an engine to record them. Reports all others."""
        rows = [number for number in unrecorded if not any(first <= number <= last for first, last in self._discarded)]
        if caught_up is None:
            return len(rows)
        passed = [number for number in rows if number <= caught_up.store_seq]
        missed: list[int] = []
        for at in range(0, len(passed), PAGE):
            known = transaction.rows("rows_before_horizon", (transaction.array(passed[at : at + PAGE]), caught_up.horizon))
            missed += [row[0] for row in known]
        for first, last in ranges_of(missed):
            what = f"{_rows_text(first, last)} {_are(first, last)} in no entry"
            report(caught_up.audit_seq, first, f"says that all rows were recorded, but {what}")
        return len(rows) - len(missed)


_END = (1 << 63, b"", 0)


def _pages(transaction: Transaction) -> Iterator[list[_Row]]:
    """All rows of `trades`, in pages: the number, then the values that a hash covers."""
    after = -(1 << 63)
    while page := transaction.rows("audited_rows", (after, PAGE)):
        yield page
        after = page[-1][0]


def _rows_text(first: int, last: int) -> str:
    return f"trade row {first}" if first == last else f"trade rows {first} to {last}"


def _are(first: int, last: int) -> str:
    return "is" if first == last else "are"


def _identity_text(row: _Row) -> str:
    """The identity of a row, for a person."""
    source, trade_id, leg, version = row[1:5]
    return excerpt(f"{source}:{trade_id}:{leg} version {version}")


# -- reference data ------------------------------------------------------------------------------------------------

REFERENCE_KEY = "reference_revision"
"""Where `meta` counts the changes of nodes, instruments and opening balances, by any program."""

FOLLOWED_TABLES = ("nodes", "instruments", "openings")
"""The tables whose changes by other programs the engine takes over when it starts. Closes and actions come by us alone."""

_Key = tuple[Any, ...]


class RecordedReference:
    """The newest recorded value of each node, instrument, opening balance and close, and the entry that holds it."""

    def __init__(self) -> None:
        self._records: dict[str, dict[_Key, tuple[list[Any] | None, int]]] = {kind: {} for kind in RECORDED}

    def take(self, entry: AuditEntry) -> None:
        """Add the records of an entry; call in the order of the entries. Raises ValueError if it cannot be read."""
        table, known = RECORDED[entry.kind], self._records[entry.kind]
        detail = orjson.loads(entry.detail)
        for record in table.widened(detail["columns"], detail["records"]):
            known[tuple(record[: table.key])] = record, entry.audit_seq
        for key in detail.get("gone", ()):
            known[tuple(key)] = None, entry.audit_seq

    def compare(self, transaction: Transaction, report: Report, caught_up: CaughtUp | None) -> int:
        """Compare every record with its newest entry. Returns how many wait to be recorded."""
        waiting = 0
        revision = transaction.rows("meta_get", (REFERENCE_KEY,))
        settled = caught_up is not None and revision == [(caught_up.revision,)]
        for kind, known in self._records.items():
            stored = stored_records(transaction, kind)
            for key, (record, entry) in known.items():
                there = stored.pop(key, None)
                if there != record:
                    what = "is gone" if there is None else "exists again" if record is None else "was edited since"
                    report(entry, 0, f"recorded {kind} {_key_text(key)}, which {what}")
            if settled and caught_up is not None and kind in FOLLOWED_TABLES:
                for key in stored:
                    report(caught_up.audit_seq, 0, f"says that all was recorded, but {kind} {_key_text(key)} is in no entry")
            else:
                waiting += len(stored)
        return waiting

    def changes(self, transaction: Transaction, kind: str) -> tuple[list[list[Any]], list[_Key]]:
        """The records of a table that differ from their newest entry, and the keys of deleted ones."""
        known = self._records[kind]
        stored = stored_records(transaction, kind)
        changed = [record for key, record in stored.items() if known.get(key, (None, 0))[0] != record]
        return changed, [key for key, (record, _) in known.items() if record is not None and key not in stored]


def stored_records(transaction: Transaction, kind: str) -> dict[_Key, list[Any]]:
    """The rows of a table by their key."""
    width = RECORDED[kind].key
    return {row[:width]: list(row) for row in transaction.rows(kind)}


def record_reference(transaction: Transaction, trail: Trail, kinds: Sequence[str] = FOLLOWED_TABLES) -> None:
    """Record changes of other programs to the reference data, or other tables. Cost 2 us for each record ever saved."""
    reference = RecordedReference()
    for kind in kinds:
        for row in transaction.rows("audit_of_kind", (kind,)):
            with suppress(ValueError, TypeError, KeyError):  # an unreadable entry does not count: its records are recorded again
                reference.take(AuditEntry._make(row))
        changed, gone = reference.changes(transaction, kind)
        trail.records(kind, RECORDED[kind].columns, changed, FOLLOWED, gone)


def record_caught_up(transaction: Transaction, trail: Trail, horizon: str, up_to: int) -> None:
    """State that the trail holds all rows up to `up_to`, and all reference data; records changed reference data first."""
    found = transaction.rows("meta_get", (REFERENCE_KEY,))
    revision = str(found[0][0]) if found else ""
    detail = {"store_seq": up_to, "horizon": horizon, "reference_revision": revision}
    last = next(newest_first(transaction, AuditFilter(kind=CAUGHT_UP)), None)
    with suppress(ValueError, TypeError, KeyError):
        if last is not None and orjson.loads(last.detail)["reference_revision"] == revision:
            trail.events([AuditEvent(CAUGHT_UP, "", detail, ENGINE)])
            return
    record_reference(transaction, trail)
    trail.events([AuditEvent(CAUGHT_UP, "", detail, ENGINE)])


def _key_text(key: _Key) -> str:
    return ", ".join(excerpt(str(part)) for part in key)
