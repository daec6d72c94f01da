"""`riskengine audit verify`: checks the whole trail against itself and against the tables, inside one transaction.

It proves that no entry was edited, removed, inserted or moved, that the newest entry is the one that `meta` notes, that every
epoch of a writer has its entry, and that every row is as it was recorded. A person who can write the whole store can also cut off
the end of the trail and every note of it; only a head that was noted elsewhere (`head`) shows that.

Rows that another program wrote may be in no entry until an engine records them. They are a finding only if an engine has stated
since that the trail is complete.
"""

from typing import Any

import orjson

from riskengine.records.audit_kinds import CAUGHT_UP, EPOCH
from riskengine.records.fields import excerpt
from riskengine.store.audit_chain import (
    HEAD_KEY,
    Advance,
    AuditEntry,
    AuditReport,
    Finding,
    Head,
    entry_hash,
    genesis,
    parse_head,
)
from riskengine.store.audit_records import CaughtUp, RecordedReference, RecordedRows
from riskengine.store.audit_trail import EPOCH_KEY, STORE_KEY
from riskengine.store.queries import Transaction
from riskengine.store.tables.reference import RECORDED

ENTRIES_PAGE = 500
FROM_EPOCH_KEY = "audit_from_epoch"
"""Where `meta` keeps the epoch of the store when the trail began."""


def verify(transaction: Transaction, head: str | None, advance: Advance) -> AuditReport:
    """Walk the chain, then compare it with the tables. `head` is a hash that was noted elsewhere.

    Cost 6 us a trade and 20 us an entry; 25 bytes of memory a trade.
    """
    transaction.rows("read_along")
    walk = _Walk(transaction, head)
    while entries := transaction.rows("audit_after", (walk.last.audit_seq, ENTRIES_PAGE)):
        for row in entries:
            walk.take(AuditEntry._make(row))
        advance(len(entries))
    walk.end()
    trades, unrecorded = walk.rows.compare(transaction, walk.report, advance, walk.caught_up)
    unrecorded += walk.reference.compare(transaction, walk.report, walk.caught_up)
    return AuditReport(walk.count, trades, unrecorded, walk.last, walk.findings)


class _Walk:
    """A walk from the first entry to the last: collects the recorded rows, and the findings."""

    def __init__(self, transaction: Transaction, wanted: str | None) -> None:
        self._transaction = transaction
        self._wanted = wanted
        self._epoch = self._meta(FROM_EPOCH_KEY) or "none"
        self.last = genesis(self._meta(STORE_KEY) or "")
        self._wanted_found = wanted in (None, self.last.hash)
        self.count = 0
        self.rows = RecordedRows()
        self.reference = RecordedReference()
        self.caught_up: CaughtUp | None = None
        self.findings: list[Finding] = []

    def report(self, audit_seq: int, store_seq: int, what: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(audit_seq, store_seq, what))

    def _meta(self, key: str) -> str | None:
        found = self._transaction.rows("meta_get", (key,))
        return str(found[0][0]) if found else None

    def take(self, entry: AuditEntry) -> None:
        """Check the next entry of the table."""
        before, at = self.last, entry.audit_seq
        if at != before.audit_seq + 1:
            first, last = before.audit_seq + 1, at - 1
            self.report(first, 0, "is missing" if first == last else f"is missing, and so are all up to entry {last}")
        elif entry.previous_hash != before.hash:
            what = f"entry {before.audit_seq}" if before.audit_seq else "the beginning of this store"
            self.report(at, 0, f"does not follow {what}: entries were removed, inserted, moved or rewritten here")
        if entry_hash(entry) == entry.hash:
            self._read(entry)
        else:
            self.report(at, 0, "was edited: its content does not match its hash")
            self.rows.discard(entry)
        self.last = Head(at, str(entry.hash))
        self.count += 1
        self._wanted_found = self._wanted_found or entry.hash == self._wanted

    def _read(self, entry: AuditEntry) -> None:
        """Collect what an entry with a sound hash records."""
        try:
            if entry.row_count:
                self.rows.take(entry, self.report)
                return
            if entry.kind in RECORDED:
                self.reference.take(entry)
                return
            detail: dict[str, Any] = orjson.loads(entry.detail)
            if entry.kind == EPOCH:
                if str(detail["after"]) != self._epoch:
                    there = f"but the trail is at epoch {excerpt(self._epoch)} there"
                    self.report(entry.audit_seq, 0, f"begins epoch {detail['epoch']} after epoch {detail['after']}, {there}")
                self._epoch = str(detail["epoch"])
            elif entry.kind == CAUGHT_UP:
                self.caught_up = CaughtUp(
                    entry.audit_seq, int(detail["store_seq"]), detail["horizon"], detail["reference_revision"]
                )
        except (ValueError, TypeError, KeyError, IndexError) as error:
            self.report(entry.audit_seq, 0, f"cannot be read: {error}")
            self.rows.discard(entry)

    def end(self) -> None:
        """Check the end of the chain."""
        last = self.last
        is_last = "is the last one" if last.audit_seq else "the trail is empty"
        text = self._meta(HEAD_KEY)
        noted = parse_head(text)
        if noted != last if last.audit_seq or noted is not None else text != "0":
            there = f"entry {noted.audit_seq}" if noted is not None else "no entry"
            self.report(last.audit_seq, 0, f"{is_last}, but the store notes {there} as its newest: the end was cut or changed")
        epoch = self._meta(EPOCH_KEY)
        if self._epoch != ("0" if epoch is None else epoch):
            what = f"no entry begins epoch {excerpt(str(epoch))}: the trail is at epoch {excerpt(self._epoch)}"
            self.report(last.audit_seq, 0, f"{is_last}, but {what}")
        if not self._wanted_found:
            what = "the trail was cut or rewritten since it was noted"
            self.report(0, 0, f"no entry has the hash {excerpt(str(self._wanted))}: {what}")
