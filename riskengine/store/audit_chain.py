"""The audit trail as a chain of hashes: its entries and their hashes. Pure functions, the same for every database.

The hash of an entry is SHA-256 over the canonical text of its columns, among them the hash of the previous entry. An edited entry
no longer matches its own hash. A removed, inserted or moved entry leaves a neighbour that names the hash of another predecessor.
The first entry follows a hash made from the id of the store.

An entry about trades carries 8 bytes for each row: BLAKE2b over the canonical text of the stored row, with a new random salt for
each entry. A sender of trades does not know the salt beforehand and cannot prepare two trades of equal hash; to replace a
recorded row by another of the same hash takes 2**64 attempts.

Canonical text is a JSON array without spaces. Money is text, exactly as the database returns it; a row that the engine wrote
reads back the same on either database.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

import orjson

from riskengine.store.trade_rows import RowValues, without_empty_attributes

DIGEST_BYTES = 8
SALT_BYTES = 8

GONE = bytes(DIGEST_BYTES)
"""In place of the hash of a row: the row was deleted, and the actor of the entry answers for it."""

MAX_SPAN = 16_384
"""Largest distance of two row numbers in one entry: a search for the entries of a row goes no further back."""

HEAD_KEY = "audit_head"
"""Where `meta` keeps `str(head)`."""

FOLLOWED = "followed"
"""The actor of rows that other programs wrote and the engine took over."""

ENGINE = "engine"


class AuditEvent(NamedTuple):
    """An event for the audit trail: its kind, its subject, details (become JSON), and the actor.

    The `subject` of a trade is `source:trade_id:leg`, that of a node, an instrument or a break its name or number.
    """

    kind: str
    subject: str
    detail: Mapping[str, Any]
    actor: str


class AuditEntry(NamedTuple):
    """A row of `audit`. In an entry that is not about trades `row_count` is 0 and the store_seqs are None."""

    audit_seq: int
    ts: int
    actor: str
    kind: str
    subject: str
    first_store_seq: int | None
    last_store_seq: int | None
    row_count: int
    previous_hash: str
    hash: str
    detail: str


class AuditFilter(NamedTuple):
    """Which entries to list; None means any.

    `trade` is an identity as people write it: `source:trade_id`, `source:trade_id:leg` or the trade_id alone. `desks` are the
    leaves below `node`: lists the entries about their trades and those that name the node. `since_ts` is inclusive, `until_ts` is
    not.
    """

    trade: str | None = None
    node: str | None = None
    desks: Sequence[str] = ()
    kind: str | None = None
    since_ts: int | None = None
    until_ts: int | None = None


class Head(NamedTuple):
    """The newest entry of the trail. An empty trail has number 0 and the hash that the first entry will follow."""

    audit_seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.audit_seq} {self.hash}"


class Finding(NamedTuple):
    """A difference from what was recorded: the entry that shows it (0: none), the first row concerned (0: none), a text."""

    audit_seq: int
    store_seq: int
    what: str

    def __str__(self) -> str:
        return f"entry {self.audit_seq} {self.what}" if self.audit_seq else self.what


class AuditReport(NamedTuple):
    """The result of `verify`: entries and trades checked, rows that wait to be recorded, the newest entry, the findings."""

    entries: int
    trades: int
    unrecorded: int
    head: Head
    findings: list[Finding]


Advance = Callable[[int], None]
"""Called with the number of entries or rows checked since the last call."""


def parse_head(text: str | None) -> Head | None:
    """The inverse of `str(head)`; None for any other text."""
    number, _, digest = (text or "").partition(" ")
    if number.isascii() and number.isdigit() and len(number) <= 18 and digest:
        return Head(int(number), digest)
    return None


def genesis(store_id: str) -> Head:
    """The head that the first entry follows. It depends on the store: a chain cannot be moved to another one."""
    return Head(0, sha256(f"riskengine audit trail of store {store_id}".encode()).hexdigest())


def canonical(values: Sequence[object]) -> bytes:
    """The canonical text of a row. Equal text means equal values. Cost 1 us.

    A SQLite file can hold bytes, text that is not UTF-8, and infinity. JSON has none of them: `json_form` wraps them.
    """
    if float not in map(type, values):
        try:
            return orjson.dumps(values)
        except TypeError:
            pass
    return json.dumps([json_form(value) for value in values], separators=(",", ":")).encode()


def json_form(value: object) -> object:
    """Bytes and floats as an object that names their type; any other value unchanged."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return {"float": value.hex()} if isinstance(value, float) else value


def entry_hash(entry: Sequence[object]) -> str:
    """The hash of an entry, over all its columns except `hash`."""
    return sha256(canonical([*entry[:9], *entry[10:]])).hexdigest()


def link(entry: AuditEntry, head: Head) -> AuditEntry:
    """The entry as the next one after `head`, with its number and both hashes."""
    entry = entry._replace(audit_seq=head.audit_seq + 1, previous_hash=head.hash)
    return entry._replace(hash=entry_hash(entry))


# -- rows ----------------------------------------------------------------------------------------------------------


def row_hasher(salt: bytes) -> Callable[[bytes], bytes]:
    """A function from the canonical text of a row to its hash. Cost 0.5 us a row."""
    begun = blake2b(digest_size=DIGEST_BYTES, salt=salt)

    def digest(text: bytes) -> bytes:
        state = begun.copy()
        state.update(text)
        return state.digest()

    return digest


def row_digests(rows: Iterable[RowValues | None], salt: bytes) -> bytes:
    """The joined hashes of rows, GONE for None."""
    digest = row_hasher(salt)
    return b"".join([GONE if values is None else digest(canonical(without_empty_attributes(values))) for values in rows])


def new_row_digests(rows: Iterable[RowValues], salt: bytes) -> bytes:
    """`row_digests` for rows made from trades, whose values all have a JSON form. Cost 1 us a row."""
    state, dumps = blake2b(digest_size=DIGEST_BYTES, salt=salt), orjson.dumps
    digests = []
    for values in rows:
        one = state.copy()
        one.update(dumps(without_empty_attributes(values)))
        digests.append(one.digest())
    return b"".join(digests)


def ranges_of(numbers: Sequence[int]) -> list[list[int]]:
    """Ascending numbers as `[first, last]` of each run."""
    if numbers and numbers[-1] - numbers[0] + 1 == len(numbers):
        return [[numbers[0], numbers[-1]]]
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


class RowsDetail(NamedTuple):
    """The detail of an entry about trades: ascending ranges of store_seqs, the hash of each row, and the salt of the hashes."""

    ranges: list[list[int]]
    digests: bytes
    salt: bytes

    @property
    def store_seqs(self) -> list[int]:
        """The number of each row."""
        return [number for first, last in self.ranges for number in range(first, last + 1)]

    def text(self, **more: Any) -> str:
        """The detail as JSON, with the fields of `more`."""
        detail = {"store_seqs": self.ranges, "rows": self.digests.hex(), "salt": self.salt.hex(), **more}
        return orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode()


def rows_detail(detail: str) -> RowsDetail:
    """The inverse of `RowsDetail.text`. Raises ValueError for any other text."""
    try:
        fields = orjson.loads(detail)
        found = RowsDetail(fields["store_seqs"], bytes.fromhex(fields["rows"]), bytes.fromhex(fields["salt"]))
        count = sum(last - first + 1 for first, last in found.ranges)
        ascending = [number for each in found.ranges for number in each]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"its detail is not that of rows ({error})") from None
    if any(type(number) is not int for number in ascending) or ascending != sorted(ascending) or len(found.salt) > 16:
        raise ValueError("its detail is not that of rows")
    if count * DIGEST_BYTES != len(found.digests):
        raise ValueError("it does not have one hash for each row")
    return found


def entry_row(entry: AuditEntry) -> dict[str, Any]:
    """An entry for readers: its columns, the detail as an object without the hashes of rows. What cannot be read is its text."""
    try:
        detail = orjson.loads(entry.detail)
    except orjson.JSONDecodeError:
        detail = None
    if not isinstance(detail, dict):
        detail = {"text": entry.detail}
    elif entry.row_count:
        detail = {name: value for name, value in detail.items() if name not in ("rows", "salt")}
    columns = ("audit_seq", "ts", "actor", "kind", "subject", "row_count", "first_store_seq", "last_store_seq")
    return {name: getattr(entry, name) for name in columns} | {"detail": detail, "hash": entry.hash}
