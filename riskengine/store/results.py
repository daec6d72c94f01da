"""What a store says of itself in figures: how much it holds, how far it has come."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from riskengine.records.types import Refusal
from riskengine.store.trade_rows import TradeRow


class TableCounts(NamedTuple):
    """Rows in each table."""

    trades: int
    conflicts: int
    nodes: int
    instruments: int
    openings: int
    marks: int
    closes: int


class StoreState(NamedTuple):
    """How far a store has come.

    The store, the epoch of its last writer, its highest store_seq and when that row was received (None where there is none), rows
    of `trades`, and the newest entry of the audit trail (0 and "" where there is none).
    """

    store_id: str
    epoch: int
    watermark: int
    last_received_ts: int | None
    trades: int
    audit_seq: int
    audit_hash: str


BreakStatus = Literal["open", "repaired", "accepted", "gone"]
"""`gone`: a later run did not find it any more."""


BreakKey = tuple[str, str, str]
"""Roll-up ("node" or "dealer"), owner, instrument."""


class FoundBreak(NamedTuple):
    """A break of one run. `here` and `there` are JSON objects of what each side says, None where it does not have the key.

    `trades` is a JSON list of the trades in question.
    """

    kind: str
    key: BreakKey
    here: str | None
    there: str | None
    trades: str = "[]"


class StoredBreak(NamedTuple):
    """A row of `breaks`. Times in microseconds; `resolved_ts` is None while it is open."""

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


Versions = Literal["latest", "all"]


StoredAs = Literal["inserted", "existing", "conflict"]
"""Of one appended trade: new; an equal repeat; the same identity and version with different economics."""


class Stored(NamedTuple):
    """What became of one appended trade. `store_seq` is that of the version that stands (not ours in a conflict)."""

    store_seq: int
    outcome: StoredAs


class Conflict(NamedTuple):
    """Economics that arrived under an identity and version already stored with others.

    `row` is what was not taken; its store_seq is that of the version that stands (0 if that was deleted), its
    received_ts when the conflicting one came.
    """

    conflict_id: int
    row: TradeRow


class Saved(NamedTuple):
    """What became of a list of reference records, prices or balances, counted. Each record is in one count.

    `superseded`: older than what is stored. `refused` names the place in the list, the field and the reason.
    """

    inserted: int = 0
    updated: int = 0
    duplicate: int = 0
    superseded: int = 0
    refused: tuple[Refusal, ...] = ()


class TradeFilter(NamedTuple):
    """Which trades to list; None: any.

    `desks` are the leaves below a node (none of them: no trade). `since_ts` is inclusive. `versions="latest"` lists the highest
    of each identity. A cancel that leaves out desk, instrument, dealer or ts is placed by those of the newest version
    before it that is no cancel. `max_store_seq` hides what came later, for all of this; `shown` what is of none of these.
    """

    desks: Sequence[str] | None = None
    instrument: str | None = None
    dealer: str | None = None
    since_ts: int | None = None
    versions: Versions = "latest"
    max_store_seq: int | None = None
    shown: tuple[Sequence[str], Sequence[str]] | None = None


class Bookmark(NamedTuple):
    """How far a follower of `trades` has come; the default is the beginning. `Store.position` and `trades_beyond` make it.

    SQLite: everything up to `store_seq`. PostgreSQL: everything that was visible in `snapshot`, and of what became visible
    between that and `target` everything up to `after`, a transaction and a number. On both also the numbers of `passed`, ranges
    in ascending order, ends included.
    """

    store_seq: int = 0
    snapshot: str = ""
    target: str = ""
    after: tuple[int, int] = (0, 0)
    passed: tuple[tuple[int, int], ...] = ()

    def passing(self, store_seqs: Iterable[int]) -> "Bookmark":
        """The position of a follower who has these rows too: those that `append_trades` told it to have stored."""
        ranges = sorted([*self.passed, *((number, number) for number in store_seqs)])
        merged: list[tuple[int, int]] = []
        for first, last in ranges:
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return self._replace(passed=tuple(merged))
