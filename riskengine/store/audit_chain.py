"""The audit trail as a chain of hashes: what an entry covers and how it is worked out. Pure, the same for every database.

The hash of an entry is SHA-256 over the canonical text of its columns, the hash of the entry before it among them. So an entry
that is edited no longer fits its own hash, and one that is removed, inserted or moved leaves a neighbour that names another hash
than the one it follows. The first entry follows a hash made from the store's own id.

An entry about trades carries 8 bytes for each row: BLAKE2b over the canonical text of what is stored, begun from a salt that is
drawn anew for each entry. Whoever sends trades cannot know the salt beforehand, so they cannot prepare two trades of equal hash;
who wants to put another row in the place of a recorded one has to try 2**64 of them.

Canonical text is JSON, an array without spaces: money is text, exactly as the database gives it back, and a row that the engine
wrote reads back on either database as it was written.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

import orjson

from riskengine.store.trade_rows import RowValues

DIGEST_BYTES = 8
SALT_BYTES = 8

GONE = bytes(DIGEST_BYTES)
"""In the place of a row's hash: there is no such row any more, and somebody answers for that."""

MAX_SPAN = 16_384
"""How far apart the numbers of one entry's rows may lie: who looks for the entries of a row looks no further back."""

HEAD_KEY = "audit_head"
"""Where `meta` keeps `str(head)`."""

TRADES = "trades"
CORRECTION = "correction"
CAUGHT_UP = "caught_up"
EPOCH = "epoch"

ENTRY_KINDS = (
    TRADES,
    CORRECTION,
    "nodes",
    "instruments",
    "openings",
    "closes",
    "verdict",
    "repair",
    "break_comment",
    "mismatch_accepted",
    "start",
    EPOCH,
    CAUGHT_UP,
    "login",
    "logout",
    "refused",
    "reconcile",
    "tokens",
)
"""Every kind of entry."""

FOLLOWED = "followed"
"""The actor of what others wrote into the store and the engine took over."""

ENGINE = "engine"


class AuditEvent(NamedTuple):
    """Something to be recorded: what kind of thing, what it is about, what else there is to say (JSON), and who did it.

    About a trade, `subject` is `source:trade_id:leg`; about a node, an instrument or a break, its name or number.
    """

    kind: str
    subject: str
    detail: Mapping[str, Any]
    actor: str


class AuditEntry(NamedTuple):
    """A row of `audit`. The numbers of rows are None, and their count 0, where the entry is not about trades."""

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
    leaves below `node`: the entries of their trades, and those that name the node. `since_ts` is inclusive, `until_ts` is not.
    """

    trade: str | None = None
    node: str | None = None
    desks: Sequence[str] = ()
    kind: str | None = None
    since_ts: int | None = None
    until_ts: int | None = None


class Head(NamedTuple):
    """The newest entry; number 0 with the hash that the first entry follows where there is none."""

    audit_seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.audit_seq} {self.hash}"


class Finding(NamedTuple):
    """Something that is not as it was recorded: the entry that shows it (0: none does), the first row (0: none), and what."""

    audit_seq: int
    store_seq: int
    what: str

    def __str__(self) -> str:
        return f"entry {self.audit_seq} {self.what}" if self.audit_seq else self.what


class AuditReport(NamedTuple):
    """What `verify` found: how much was looked at, rows that wait to be recorded, the newest entry."""

    entries: int
    trades: int
    unrecorded: int
    head: Head
    findings: list[Finding]


Advance = Callable[[int], None]
"""Is told how many more entries or rows were looked at."""


def parse_head(text: str | None) -> Head | None:
    """What `str(head)` gave; None for anything else."""
    number, _, digest = (text or "").partition(" ")
    if number.isascii() and number.isdigit() and len(number) <= 18 and digest:
        return Head(int(number), digest)
    return None


def genesis(store_id: str) -> Head:
    """What the first entry of a store follows: a chain cannot be moved to another store."""
    return Head(0, sha256(f"riskengine audit trail of store {store_id}".encode()).hexdigest())


def canonical(values: Sequence[object]) -> bytes:
    """The text that a row's hash covers. Equal text, equal values. Cost 1 us.

    JSON has no bytes, no text that is not UTF-8 and no infinity; all three can stand in a SQLite file, and are marked.
    """
    if float not in map(type, values):
        try:
            return orjson.dumps(values)
        except TypeError:
            pass
    return json.dumps([marked(value) for value in values], separators=(",", ":")).encode()


def marked(value: object) -> object:
    """A value that JSON has no form for, in one that says what it was; others as they are."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return {"float": value.hex()} if isinstance(value, float) else value


def entry_hash(entry: Sequence[object]) -> str:
    """The hash of an entry, from all its columns but `hash` itself."""
    return sha256(canonical([*entry[:9], *entry[10:]])).hexdigest()


def linked(entry: AuditEntry, head: Head) -> AuditEntry:
    """The entry put behind `head`: numbered, with both hashes."""
    entry = entry._replace(audit_seq=head.audit_seq + 1, previous_hash=head.hash)
    return entry._replace(hash=entry_hash(entry))


# -- rows ----------------------------------------------------------------------------------------------------------


def row_hasher(salt: bytes) -> Callable[[bytes], bytes]:
    """What makes the hash of a row from its canonical text. Cost 0.5 us a row."""
    begun = blake2b(digest_size=DIGEST_BYTES, salt=salt)

    def digest(text: bytes) -> bytes:
        state = begun.copy()
        state.update(text)
        return state.digest()

    return digest


def row_digests(rows: Iterable[RowValues | None], salt: bytes) -> bytes:
    """The hashes of rows one after the other, GONE where there is none."""
    digest = row_hasher(salt)
    return b"".join([GONE if values is None else digest(canonical(values)) for values in rows])


def new_row_digests(rows: Iterable[RowValues], salt: bytes) -> bytes:
    """The same for rows that were made from trades, which have no odd values. Cost 1 us a row."""
    state, dumps = blake2b(digest_size=DIGEST_BYTES, salt=salt), orjson.dumps
    digests = []
    for values in rows:
        one = state.copy()
        one.update(dumps(values))
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
    """What an entry says of rows: which ones, in ascending order, the hash of each, and the salt of the hashes."""

    ranges: list[list[int]]
    digests: bytes
    salt: bytes

    @property
    def store_seqs(self) -> list[int]:
        """The number of each row."""
        return [number for first, last in self.ranges for number in range(first, last + 1)]

    def text(self, **more: Any) -> str:
        """The entry's detail."""
        said = {"store_seqs": self.ranges, "rows": self.digests.hex(), "salt": self.salt.hex(), **more}
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()


def rows_detail(detail: str) -> RowsDetail:
    """What `RowsDetail.text` wrote. Raises ValueError for anything else."""
    try:
        said = orjson.loads(detail)
        found = RowsDetail(said["store_seqs"], bytes.fromhex(said["rows"]), bytes.fromhex(said["salt"]))
        count = sum(last - first + 1 for first, last in found.ranges)
        ascending = [number for each in found.ranges for number in each]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"its detail is not that of rows ({error})") from None
    if any(type(number) is not int for number in ascending) or ascending != sorted(ascending) or len(found.salt) > 16:
        raise ValueError("its detail is not that of rows")
    if count * DIGEST_BYTES != len(found.digests):
        raise ValueError("it does not have one hash for each row")
    return found
