"""Writes and searches the audit trail inside the caller's transaction, on either database.

An entry belongs to the transaction of the change that it records, and is written last. `Trail` then locks the head of the chain
until the commit (PostgreSQL; SQLite has one writer at a time), and so any number of programs can extend one chain. A transaction
that holds the head waits for no other lock.
"""

import os
import pwd
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson

from riskengine.clock import SystemClock
from riskengine.records.audit_kinds import CORRECTION, TRADES
from riskengine.records.numbers import Range, runs_of
from riskengine.store.audit_chain import (
    FOLLOWED,
    HEAD_KEY,
    MAX_SPAN,
    SALT_BYTES,
    AuditEntry,
    AuditEvent,
    AuditFilter,
    Head,
    RowsDetail,
    genesis,
    json_form,
    link,
    new_row_digests,
    parse_head,
    ranges_of,
    row_digests,
    rows_detail,
)
from riskengine.store.feed_rows import Numbers, take_numbers
from riskengine.store.queries import Transaction
from riskengine.store.trade_rows import RowValues

EPOCH_KEY = "writer_epoch"
STORE_KEY = "store_id"

MAX_ROWS = 5_000
"""Rows in one entry, at most."""

MAX_RECORDS = 500
"""Records of reference data in one entry, at most."""

_FAR = 2**63 - 1


def command_line_actor() -> str:
    """The user of the operating system that runs this command, whatever the environment says."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


# -- writing -------------------------------------------------------------------------------------------------------


class Trail:
    """Extends the chain inside one transaction.

    `check` gets the store's epoch and the newest entry before anything is appended, and raises LeaseHeld or StoreWentBack if they
    are not what the caller may go on from. `head` is the newest entry of this transaction; None before the first append.
    """

    def __init__(self, transaction: Transaction, actor: str, check: Callable[[int, Head], None]) -> None:
        self._transaction = transaction
        self._actor = actor
        self._check = check
        self.head: Head | None = None

    def trades(self, rows: Sequence[tuple[int, RowValues]], numbers: Numbers) -> None:
        """Record trades that this transaction stored, ascending by number, and that their sources' numbers have come.

        Cost 2 us a trade, and 40 us (PostgreSQL 250 us) a call.
        """
        self._append([_rows_draft(part, self._actor, TRADES, new_row_digests) for part in _parts(rows)], numbers)

    def followed(self, rows: Sequence[tuple[int, RowValues]]) -> None:
        """Record rows of other programs, ascending by number, as they were read back."""
        numbers = numbers_of(values for _, values in rows)
        self._append([_rows_draft(part, FOLLOWED, TRADES, row_digests) for part in _parts(rows)], numbers)

    def corrections(self, store_seqs: Iterable[int], rows: Mapping[int, RowValues], actor: str, reason: str) -> None:
        """Record the rows of these numbers as they are now (those not in `rows` are gone): `actor` answers for the change."""
        numbered = [(number, rows.get(number)) for number in sorted(set(store_seqs))]
        self._append([_rows_draft(part, actor, CORRECTION, row_digests, reason=reason) for part in _parts(numbered)])

    def events(self, events: Iterable[AuditEvent]) -> None:
        """Record events."""
        nothing = (None, None, 0)
        self._append([_draft(event.actor, event.kind, event.subject, nothing, _json(event.detail)) for event in events])

    def records(
        self, kind: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], actor: str = "", gone: Sequence[Any] = ()
    ) -> None:
        """Record new values of reference data, and the keys of deleted records (`gone`). `kind` is the name of the table."""
        details = [{"columns": columns, "records": rows[at : at + MAX_RECORDS]} for at in range(0, len(rows), MAX_RECORDS)]
        if gone:
            details.append({"columns": columns, "records": [], "gone": gone})
        self.events([AuditEvent(kind, "", each, actor or self._actor) for each in details])

    def _append(self, drafts: Sequence[AuditEntry], numbers: Numbers = MappingProxyType({})) -> None:
        head = self.head = self._take_head()
        if not drafts and not numbers:
            return
        ts = SystemClock().now()
        entries = []
        for draft in drafts:
            entry = link(draft._replace(ts=ts), head)
            entries.append(entry)
            head = Head(entry.audit_seq, entry.hash)
        noted: Collection[str] = ()
        if entries:
            noted = self._transaction.save_entries(
                entries, str(head), {s: runs[0] for s, runs in numbers.items() if len(runs) == 1}, ts
            )
        take_numbers(self._transaction, {source: runs for source, runs in numbers.items() if source not in noted}, ts)
        self.head = head

    def _take_head(self) -> Head:
        """Check and return the newest entry, locked until the transaction ends.

        `meta` notes the newest entry too. A note ahead of the table means that the end of the trail was cut: the chain goes on
        from the note, and the gap shows. A note that is missing, unreadable or behind does not count: the chain goes on from the
        table.
        """
        transaction = self._transaction
        found = {key: (value, newest) for key, value, newest in transaction.rows("audit_hold", (EPOCH_KEY,))}
        epoch = int(found[EPOCH_KEY][0]) if EPOCH_KEY in found else 0
        if HEAD_KEY not in found:
            transaction.run("meta_set", [(HEAD_KEY, "0")])
            found = {key: (value, newest) for key, value, newest in transaction.rows("audit_hold", (EPOCH_KEY,))}
        value, newest = found[HEAD_KEY]
        head = parse_head(value)
        if head is None or head.audit_seq < newest:
            head = newest_head(transaction)
        self._check(epoch, head)
        return head


def _draft(actor: str, kind: str, subject: str, rows: tuple[int | None, int | None, int], detail: str) -> AuditEntry:
    return AuditEntry(0, 0, actor, kind, subject, *rows, "", "", detail)


def _rows_draft(
    rows: Sequence[tuple[int, Any]], actor: str, kind: str, digests: Callable[[Iterable[Any], bytes], bytes], **more: Any
) -> AuditEntry:
    numbers, values = zip(*rows, strict=True)
    salt = secrets.token_bytes(SALT_BYTES)
    detail = RowsDetail(ranges_of(numbers), digests(values, salt), salt)
    return _draft(actor, kind, "", (numbers[0], numbers[-1], len(numbers)), detail.text(**more))


def _parts(rows: Sequence[tuple[int, Any]]) -> list[Sequence[tuple[int, Any]]]:
    """The rows in parts that fit into one entry each, by count and by span; usually one part."""
    if rows and len(rows) <= MAX_ROWS and rows[-1][0] - rows[0][0] < MAX_SPAN:
        return [rows]
    parts, first = [], 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or at - first == MAX_ROWS or rows[at][0] - rows[first][0] >= MAX_SPAN:
            parts.append(rows[first:at])
            first = at
    return parts


def _json(detail: Mapping[str, Any]) -> str:
    return orjson.dumps(detail, default=json_form, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


# -- rows of other programs ----------------------------------------------------------------------------------------


def recorded_numbers(transaction: Transaction, first: int, last: int) -> set[int]:
    """The numbers from `first` to `last` that are in an entry. Cost 1 us for each entry of the MAX_SPAN numbers before."""
    numbers: set[int] = set()
    for low, high, detail in transaction.rows("audit_recorded", (first - MAX_SPAN, last, first)):
        ranges = [[low, high]]
        if detail is not None:
            try:
                ranges = rows_detail(detail).ranges
            except ValueError:  # an unreadable entry covers no row
                continue
        for begin, end in ranges:
            numbers.update(range(max(begin, first), min(end, last) + 1))
    return numbers


def unrecorded(transaction: Transaction, after: int, up_to: int, limit: int) -> tuple[list[int], int]:
    """The rows in no entry, of the next `limit` rows with numbers above `after`, and the number up to which this holds."""
    transaction.rows("read_along")
    numbers = [row[0] for row in transaction.rows("trade_numbers", (after, up_to, limit))]
    reached = numbers[-1] if len(numbers) == limit else up_to
    if not numbers:
        return [], reached
    known = recorded_numbers(transaction, numbers[0], numbers[-1])
    return [number for number in numbers if number not in known], reached


def record_followed(transaction: Transaction, trail: Trail, store_seqs: Sequence[int]) -> int:
    """Record rows that other programs wrote and that are in no entry yet, and note the numbers of their sources.

    Returns the number of rows recorded.
    """
    if not store_seqs:
        return 0
    known = recorded_numbers(transaction, min(store_seqs), max(store_seqs))
    rows = [(number, values) for number, values in stored_rows(transaction, store_seqs).items() if number not in known]
    if rows:
        trail.followed(rows)
    return len(rows)


def stored_rows(transaction: Transaction, store_seqs: Iterable[int]) -> dict[int, RowValues]:
    """The values (as of `trade_rows.row_values`) of these rows by number, ascending, without those that do not exist."""
    return {row[0]: row[1:] for row in transaction.rows("audited_rows_of", (transaction.array(list(store_seqs)),))}


def numbers_of(rows: Iterable[RowValues]) -> dict[str, list[Range]]:
    """The numbers that these rows have of their sources, as ranges. 0.1 us a row."""
    numbers: dict[str, list[int]] = {}
    for values in rows:
        source, source_seq = values[0], values[6]
        if source_seq and type(source_seq) is int and type(source) is str:
            numbers.setdefault(source, []).append(source_seq)
    return {source: runs for source, found in numbers.items() if (runs := runs_of(found))}


def horizon(transaction: Transaction) -> tuple[str, int]:
    """The snapshot of this transaction ("" on SQLite, which needs none), and the highest store_seq."""
    return str(transaction.rows("audit_horizon")[0][0]), int(transaction.rows("watermark")[0][0])


# -- reading -------------------------------------------------------------------------------------------------------


def newest_head(transaction: Transaction) -> Head:
    """The newest entry of the table, whatever `meta` notes."""
    found = transaction.rows("audit_newest", {"before": _FAR, "limit": 1}, ["where_audit_before"])
    if found:
        entry = AuditEntry._make(found[0])
        return Head(entry.audit_seq, entry.hash)
    store_id = transaction.rows("meta_get", (STORE_KEY,))
    return genesis(str(store_id[0][0]) if store_id else "")


def entries(transaction: Transaction, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
    """The newest `limit` entries that match, oldest first."""
    if wanted.trade is not None:
        candidates: Iterable[AuditEntry] = _entries_of_trade(transaction, wanted, wanted.trade)
    else:
        candidates = newest_first(transaction, wanted)
    found: list[AuditEntry] = []
    for entry in candidates:
        if len(found) == limit:
            break
        if wanted.node is None or _concerns_node(transaction, entry, wanted.node, wanted.desks):
            found.append(entry)
    return found[::-1]


_PAGE = 500


def newest_first(transaction: Transaction, wanted: AuditFilter, **more: Any) -> Iterator[AuditEntry]:
    """Entries by kind and time, read in pages on demand. `more`: the `subject`, or `first`, `last` and `lowest` store_seq."""
    where, values = ["where_audit_before"], {"before": _FAR, "limit": _PAGE, **more}
    if "first" in more:
        where.append("where_audit_covers")
    if "subject" in more:
        where.append("where_audit_subject")
    for value, name, condition in (
        (wanted.kind, "kind", "where_audit_kind"),
        (wanted.since_ts, "since_ts", "where_audit_since"),
        (wanted.until_ts, "until_ts", "where_audit_until"),
    ):
        if value is not None:
            where.append(condition)
            values[name] = value
    if wanted.kind not in (None, TRADES):
        where.append("where_audit_not_trades")  # this lets the index of kinds serve
    while True:
        page = [AuditEntry._make(row) for row in transaction.rows("audit_newest", values, where)]
        yield from page
        if len(page) < _PAGE:
            return
        values["before"] = page[-1].audit_seq


def _entries_of_trade(transaction: Transaction, wanted: AuditFilter, trade: str) -> list[AuditEntry]:
    """The entries that cover a row of the trade or are about it, newest first."""
    found: dict[int, AuditEntry] = {}
    for number, subject in _rows_of(transaction, trade):
        covering = newest_first(transaction, wanted, first=number, last=number, lowest=number - MAX_SPAN)
        for entry in (*covering, *newest_first(transaction, wanted, subject=subject)):
            if entry.row_count == 0 or number in _row_numbers(entry):
                found[entry.audit_seq] = entry
    for entry in newest_first(transaction, wanted, subject=trade):
        found[entry.audit_seq] = entry
    return [found[number] for number in sorted(found, reverse=True)]


def _rows_of(transaction: Transaction, trade: str) -> list[tuple[int, str]]:
    """Number and identity of each row that `trade` can mean. Each part of an identity may itself hold a colon."""
    ends = [trade]
    ends += [trade[at + 1 :] for at, sign in enumerate(trade) if sign == ":"]
    rows: dict[int, str] = {}
    for end in ends:
        head, _, leg = end.rpartition(":")
        for trade_id in {end, head} if head and leg.isdecimal() else {end}:
            for number, source, name, its_leg in transaction.rows("trades_named", (trade_id,)):
                full = f"{source}:{name}"
                if trade in (name, full, f"{full}:{its_leg}"):
                    rows[number] = f"{full}:{its_leg}"
    return sorted(rows.items())


def _concerns_node(transaction: Transaction, entry: AuditEntry, node: str, desks: Sequence[str]) -> bool:
    """Whether an entry is about trades at `desks`, or about the node."""
    if entry.row_count:
        spread = (entry.first_store_seq, entry.last_store_seq, transaction.array(list(desks)))
        at_desks = {row[0] for row in transaction.rows("trades_at_desks", spread)} if desks else set()
        return bool(at_desks) and not at_desks.isdisjoint(_row_numbers(entry))
    if entry.subject == node:
        return True
    try:
        detail = orjson.loads(entry.detail)
    except orjson.JSONDecodeError:
        return False
    if entry.kind == "nodes":
        return any(node in (record[0], record[2]) for record in detail.get("records", ()))
    if entry.kind == "openings":
        return any(record[0] in desks for record in detail.get("records", ()))
    return isinstance(detail, dict) and detail.get("node") == node


def _row_numbers(entry: AuditEntry) -> frozenset[int]:
    """The row numbers of an entry; if its detail cannot be read, all from the first to the last."""
    assert entry.first_store_seq is not None and entry.last_store_seq is not None
    try:
        return frozenset(rows_detail(entry.detail).store_seqs)
    except ValueError:
        return frozenset(range(entry.first_store_seq, min(entry.last_store_seq, entry.first_store_seq + MAX_SPAN) + 1))
