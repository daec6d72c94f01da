"""What the methods of a store take and return, beside the records themselves. Times are microseconds since the epoch, UTC."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from riskengine.records.cash import StoredCashRow
from riskengine.records.closes import CloseHeader
from riskengine.records.limits import Limit
from riskengine.records.margin_rules import MarginRule
from riskengine.records.types import Notice, Refusal
from riskengine.store.trade_rows import TradeRow

# -- trades --------------------------------------------------------------------------------------------------------

StoredAs = Literal["inserted", "existing", "conflict"]
"""`inserted`: new. `existing`: equal to a stored one. `conflict`: identity and version are stored with other economics."""


class Stored(NamedTuple):
    """The outcome of one appended trade. `store_seq` is that of the stored version (in a conflict, the other one's).

    `other_attributes` names the attributes of an equal trade that differ from the stored ones, which stay.
    """

    store_seq: int
    outcome: StoredAs
    other_attributes: tuple[str, ...] = ()


ActionStoredAs = Literal["inserted", "existing", "conflict", "superseded"]
"""What became of a version of a corporate action, limit or margin rule. `superseded`: stored, and a higher version stands.

A conflict is not stored.
"""


class Conflict(NamedTuple):
    """Economics that arrived under an identity and version that is stored with other economics.

    `row` is the version that was kept apart. Its store_seq is that of the stored version (0 if that was deleted); its received_ts
    is when the conflicting one arrived.
    """

    conflict_id: int
    row: TradeRow


Versions = Literal["latest", "all"]
"""Which versions of a trade to list."""


class TradeFilter(NamedTuple):
    """Which trades to list; None means any.

    `desks` are the leaves below a node (none of them: no trade). `attributes` are names, but the comment, with the values wanted.
    `action` is `new`, `amend` or `cancel`; with `versions="latest"` that of the highest version.
    `only` are the store_seqs that may be listed, `but` those that may not.
    `since_ts` is inclusive. `versions="latest"` lists the highest version of each identity. A cancel that leaves out desk,
    instrument, dealer, ts or an attribute takes it from the newest earlier version that is no cancel. `max_store_seq` hides
    later rows from all of this. `shown` is (desks, dealers): rows of none of them are hidden.
    """

    desks: Sequence[str] | None = None
    instrument: str | None = None
    dealer: str | None = None
    since_ts: int | None = None
    versions: Versions = "latest"
    max_store_seq: int | None = None
    shown: tuple[Sequence[str], Sequence[str]] | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    source: str | None = None
    trade_id: str | None = None
    action: str | None = None
    only: Sequence[int] | None = None
    but: Sequence[int] | None = None


class Bookmark(NamedTuple):
    """How far a follower of `trades` has read; the default is the beginning. `Store.bookmark` and `trades_beyond` make it.

    SQLite: all rows up to `store_seq`. PostgreSQL: all rows visible in `snapshot`, and of the rows that became visible between
    `snapshot` and `target` those up to `after`, a transaction and a number. On both, also the rows with the numbers in `passed`:
    ranges in ascending order, both ends included.
    """

    store_seq: int = 0
    snapshot: str = ""
    target: str = ""
    after: tuple[int, int] = (0, 0)
    passed: tuple[tuple[int, int], ...] = ()

    def passing(self, store_seqs: Iterable[int]) -> "Bookmark":
        """The bookmark of a follower that also has these rows: those that its own `append_trades` has stored."""
        ranges = sorted([*self.passed, *((number, number) for number in store_seqs)])
        merged: list[tuple[int, int]] = []
        for first, last in ranges:
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return self._replace(passed=tuple(merged))


class StoredNotice(NamedTuple):
    """A notice and the row of the version that it is about."""

    notice: Notice
    row: TradeRow


CHANGED_KINDS = frozenset(
    {"actions", "calendars", "carry", "carry_gone", "cash", "cash_gone", "closes", "conflicts", "marks", "option_inputs"}
    | {"risk_rules", "scenario_shifts", "verdicts"}
)
"""The tables other than `trades` and reference data whose changes by other programs an engine follows.

`cash_gone` and `carry_gone` are rows of those tables that were deleted, or got another identity.
"""


class Changes(NamedTuple):
    """How far a follower has seen other programs' changes; `Store.changes_beyond` makes it.

    SQLite: the count of changes of each kind. PostgreSQL: a snapshot.
    """

    counts: tuple[tuple[str, int], ...] = ()
    snapshot: str = ""


# -- limits and margin rules ---------------------------------------------------------------------------------------


class RefusedRule(NamedTuple):
    """A row of `risk_rules` that is no limit or margin rule, and why: another program wrote it."""

    kind: str
    rule_id: str
    version: int
    reason: str


class RiskRules(NamedTuple):
    """Every stored version of the limits and margin rules by id and version, and the rows that are none."""

    limits: tuple[Limit, ...] = ()
    margin: tuple[MarginRule, ...] = ()
    refused: tuple[RefusedRule, ...] = ()


# -- cash and carry ------------------------------------------------------------------------------------------------

CashStoredAs = Literal["inserted", "existing", "superseded", "conflict"]
"""`inserted`: the highest version. `existing`: equal to a stored one. `superseded`: new, and lower than a stored version.
`conflict`: id and version are stored with other columns, and nothing was stored.
"""


class CashSaved(NamedTuple):
    """What became of one record of cash or carry. `received_ts` is that of a row that is new."""

    outcome: CashStoredAs
    received_ts: int


class CashRows(NamedTuple):
    """Rows of `cash` and `carry`, unchecked, and how far that reaches. `is_all`: these are all there are, others are gone."""

    rows: Sequence[StoredCashRow]
    seen: Changes
    is_all: bool


# -- reference data ------------------------------------------------------------------------------------------------


class Saved(NamedTuple):
    """The outcomes of a list of reference records, prices or balances, counted: each record is in one count.

    `superseded`: older than the stored one. Each of `refused` gives the place in the list, the field and the reason.
    """

    inserted: int = 0
    updated: int = 0
    duplicate: int = 0
    superseded: int = 0
    refused: tuple[Refusal, ...] = ()


class Removed(NamedTuple):
    """What was taken out of the reference data. Each of `refused` has a name as its field, and what refers to it.

    `closes` is the number of closes that went with instruments.
    """

    removed: tuple[str, ...]
    refused: tuple[Refusal, ...]
    closes: int = 0


# -- closes ------------------------------------------------------------------------------------------------------


class PackedChunk(NamedTuple):
    """Consecutive positions of a roll-up, of owners from `first_owner` to `last_owner`; `hash` names `content`."""

    rollup: str
    first_owner: str
    last_owner: str
    positions: int
    hash: str
    content: bytes


class PackedTotals(NamedTuple):
    """Amounts of the owners from `first_owner` to `last_owner`."""

    rollup: str
    first_owner: str
    last_owner: str
    content: bytes


class PackedClose(NamedTuple):
    """A close as it is stored: the slow part of storing it, done by `struck_closes.pack_close`. `hash` covers everything."""

    header: CloseHeader
    content: bytes
    chunks: tuple[PackedChunk, ...]
    totals: tuple[PackedTotals, ...]
    hash: str

    @property
    def positions(self) -> int:
        """Positions in both roll-ups."""
        return sum(chunk.positions for chunk in self.chunks)


class ChangedDate(NamedTuple):
    """A date whose official closes somebody wrote; `mark` tells this change from later ones."""

    date: str
    mark: int | str


# -- breaks --------------------------------------------------------------------------------------------------------

BreakStatus = Literal["open", "repaired", "accepted", "gone"]
"""`gone`: a later run no longer found it."""

BreakKey = tuple[str, str, str]
"""Roll-up ("node" or "dealer"), owner, instrument."""


class FoundBreak(NamedTuple):
    """A break that one run found.

    `here` and `there` are JSON objects: what each side holds, None where it does not have the key. `trades` is a JSON list of the
    trades in question.
    """

    kind: str
    key: BreakKey
    here: str | None
    there: str | None
    trades: str = "[]"


class StoredBreak(NamedTuple):
    """A row of `breaks`. `resolved_ts` is None while it is open. `here`, `there` and `trades` are JSON, as in `FoundBreak`."""

    break_id: int
    kind: str
    against: str
    rollup: str
    owner: str
    instrument: str
    here: str | None
    there: str | None
    trades: str
    epoch: int
    watermark: int
    first_seen_ts: int
    last_seen_ts: int
    times_seen: int
    status: str
    comment: str
    resolved_by: str
    resolved_ts: int | None

    @property
    def key(self) -> BreakKey:
        return self.rollup, self.owner, self.instrument


# -- the store itself ----------------------------------------------------------------------------------------------


class TableCounts(NamedTuple):
    """The number of rows in each table."""

    trades: int
    conflicts: int
    nodes: int
    instruments: int
    openings: int
    marks: int
    closes: int
    cash: int = 0
    carry: int = 0


class StoreState(NamedTuple):
    """How far a store has come.

    `store_id` names the store, wherever it is copied to. `epoch` is that of its last writer. `watermark` is its highest store_seq
    (0: no trade) and `last_received_ts` when that row was received. `trades` counts the rows of `trades`. `audit_seq` and
    `audit_hash` are those of the newest entry of the audit trail (0 and "": no entry). `issued` is the highest store_seq that the
    database ever gave out, whether or not the row is still there (0: unknown).
    """

    store_id: str
    epoch: int
    watermark: int
    last_received_ts: int | None
    trades: int
    audit_seq: int
    audit_hash: str
    issued: int = 0

    @property
    def come_to(self) -> int:
        """The highest number that a trade of this store is known to have had."""
        return max(self.watermark, self.issued)
