"""What the rest of the program asks of a store, whatever database is behind it.

Truth is what a store has committed: a trade counts from the moment `append_trades` returns, and the engine's memory can
be rebuilt from `trades_after` at any time.

Threads: a store has one write thread (methods marked W), the first one that writes after opening or after
`hand_over`; another one is a mistake of ours, an AssertionError. Reads (marked R) come from any thread and never wait
for the writer; each call answers from one committed state.

Errors: any method may raise StoreUnavailable (locked for longer than the store waits, disk full, I/O error, file gone,
store closed), StoreCorrupt, or StoreError for what else the database refuses. A W method that raises has changed
nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from riskengine.records.types import Close, Instrument, Node, Opening, Sample, StoredMark, Trade, Verdict
from riskengine.store.audit_chain import Advance, AuditEntry, AuditEvent, AuditFilter, AuditReport
from riskengine.store.queries import Transaction
from riskengine.store.results import (
    Bookmark,
    BreakKey,
    BreakStatus,
    Conflict,
    FoundBreak,
    Saved,
    Stored,
    StoredBreak,
    StoreState,
    TableCounts,
    TradeFilter,
)
from riskengine.store.trade_rows import TradeRow

T = TypeVar("T")


class Store(Protocol):
    """Nodes, instruments, balances, prices and every version of every trade, durably."""

    @property
    def name(self) -> str:
        """The store as messages and logs name it: its path or URL without a password."""
        ...

    # -- writing ---------------------------------------------------------------------------------------------------

    def hand_over(self) -> None:
        """The next thread that writes is the write thread from then on. No write may be under way."""
        ...

    def append_trades(self, trades: Sequence[Trade]) -> list[Stored]:
        """W. Store a batch in one transaction, in order; durable when it returns, one answer per trade.

        In the same transaction the new ones go into the audit trail, and the feeds' cursors move on.

        An equal repeat stores nothing. A conflict keeps the other economics apart, once however often it is sent. All
        or nothing: after an error none of the batch is stored, or (a commit whose outcome the machine lost) all of it,
        and appending it again is harmless. Raises LeaseHeld where a newer writer has taken over.
        """
        ...

    def save_nodes(self, nodes: Sequence[Node]) -> Saved:
        """W. Insert or update by name, in one transaction. Whether they form a tree is not asked here."""
        ...

    def save_instruments(self, instruments: Sequence[Instrument]) -> Saved:
        """W. Insert or update by symbol, in one transaction."""
        ...

    def save_openings(self, openings: Sequence[Opening]) -> Saved:
        """W. Insert by (desk, dealer, instrument); an equal one is a duplicate, a different one is refused."""
        ...

    def save_closes(self, closes: Sequence[Close]) -> Saved:
        """W. Insert by (date, instrument); a published close is never rewritten: a different price is refused."""
        ...

    def save_marks(self, marks: Sequence[StoredMark]) -> Saved:
        """W. The newest ts of each instrument wins, the later arrival on ties; an older one is superseded."""
        ...

    def save_verdict(self, verdict: Verdict, conflict: Trade | None = None) -> None:
        """W. Store what a person decided, in one transaction.

        `conflict` is a trade that was kept apart and is to replace the version that stands, in place. Raises StoreError where
        that version is gone.
        """
        ...

    def record(self, events: Sequence[AuditEvent]) -> None:
        """W. Put what people and the engine did into the audit trail, in one transaction, in order."""
        ...

    def record_followed(self, store_seqs: Sequence[int]) -> int:
        """W. Put rows that others wrote into the audit trail as they stand now, in one transaction; how many that were.

        Those that are in it already are left alone. At most a few thousand at a time; cost 6 us a row.
        """
        ...

    def record_caught_up(self, horizon: str, up_to: int) -> None:
        """W. Say in the audit trail that every row up to a number is in it (`audit_horizon`, from before that was seen to).

        Reference data that others changed is recorded first.
        """
        ...

    def record_corrections(self, store_seqs: Sequence[int], actor: str, reason: str) -> None:
        """W. `actor` answers for what stands in these rows now, changed in place or gone: the audit trail goes by that."""
        ...

    def remember_breaks(
        self, found: Sequence[FoundBreak], *, against: str, epoch: int, watermark: int, ts: int, by: str
    ) -> list[StoredBreak]:
        """W. What a whole run found: new ones are opened, known ones seen again, others are gone. Returns the open ones."""
        ...

    def resolve_breaks(
        self, keys: Sequence[BreakKey], status: BreakStatus, *, against: str, by: str, ts: int, comment: str = ""
    ) -> None:
        """W. Close open breaks, in one transaction; those that are not open are left alone."""
        ...

    def comment_break(self, break_id: int, comment: str, actor: str) -> StoredBreak | None:
        """W. What a person says of a break, with an entry in the trail; None where there is none of that number."""
        ...

    def save_curve_samples(self, samples: Sequence[Sample], keep_from: int) -> None:
        """W. Store samples of curves, in ascending order; those before `keep_from` and after the last one are removed.

        Storing one again changes nothing. Cost 1 ms each for 1,000 nodes. Raises LeaseHeld where a newer writer has taken over.
        """
        ...

    def is_writable(self) -> bool:
        """W. Whether a small commit goes through now; waits for a lock as long as any write does."""
        ...

    # -- the one writer --------------------------------------------------------------------------------------------

    def acquire_writer(self, holder: str) -> None:
        """Become the one engine that writes this store, until `close` or the end of the process, however it ends.

        `holder` is a word on who asks, for the message that others get. Raises LeaseHeld naming the holder (pid, host,
        since) at once. Programs that only load data do not need it.
        """
        ...

    def next_epoch(self, above: int = 0) -> int:
        """W. The integer of this writer's lease: one more than ever before and than `above`, durable. The lease must be held.

        From then on trades and marks of this store object are refused (LeaseHeld) once a newer epoch is in the store.
        """
        ...

    # -- following what others write -------------------------------------------------------------------------------

    def bookmark(self) -> Bookmark:
        """R. Now. Who takes it, then reads all of `trades_after`, then follows with `trades_beyond`, misses nothing."""
        ...

    def trades_beyond(self, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        """R. Rows that became visible after `bookmark`, at most `limit` of them, and the bookmark behind them.

        A row is given once, whichever number it has and however late its transaction commits, and no transaction that is
        still under way holds back the others. Fewer rows than `limit`: that was all. In store order, but for what comes late.
        Cost 50 us (SQLite) or 500 us (PostgreSQL) and 6 us a row.
        """
        ...

    @property
    def rings(self) -> bool:
        """Whether `wait_for_news` can tell before its time is over."""
        ...

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until somebody else has written trades or the time is over. One thread, not the write thread.

        A doorbell: it may ring for nothing and a ring may be lost, so that `trades_beyond` is asked on a timer too.
        """
        ...

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, query: Callable[[Transaction], T]) -> T:
        """R. What `query` makes of one committed state; it must not write."""
        ...

    def trades_after(self, store_seq: int, limit: int | None = None) -> Iterator[TradeRow]:
        """R. Rows stored after `store_seq`, in store order, at most `limit`; `trade_from_row` makes trades of them.

        Read in pages, so that a slow consumer holds nothing back: rows that are committed while it runs are included.
        The iterator belongs to the thread that uses it. Cost 3 us a row.
        """
        ...

    def select_trades(self, wanted: TradeFilter, limit: int) -> tuple[list[TradeRow], int]:
        """R. The newest rows and how many there are in all: by (ts, source_seq, source, trade_id, leg, version).

        Cost 0.2 us for each trade since `since_ts` (without it: all trades), 0.7 us for each that matches.
        """
        ...

    def trades_of_deals(self, deals: Sequence[tuple[str, str]]) -> list[TradeRow]:
        """R. Every version of every leg of each (source, trade_id), in any order. 10 us a deal."""
        ...

    def trades_numbered(self, store_seqs: Sequence[int]) -> list[TradeRow]:
        """R. The rows with these numbers that there are, in any order. 8 us a row."""
        ...

    def conflicts(self, limit: int = 1_000) -> list[Conflict]:
        """R. The newest conflicts first."""
        ...

    def verdicts(self) -> list[Verdict]:
        """R. The newest word on each exception, oldest first."""
        ...

    def breaks(self, *, status: str | None = None, limit: int = 1_000_000) -> list[StoredBreak]:
        """R. Breaks that reconciliation found, open ones first, then the newest."""
        ...

    def curve_samples(self, first_ts: int, last_ts: int) -> list[Sample]:
        """R. The samples of curves between two times, both included, oldest first; one that cannot be read is left out."""
        ...

    def nodes(self) -> list[Node]:
        """R. All nodes by name."""
        ...

    def instruments(self) -> list[Instrument]:
        """R. All instruments by symbol."""
        ...

    def openings(self) -> list[Opening]:
        """R. All opening balances by (desk, dealer, instrument)."""
        ...

    def marks(self) -> list[StoredMark]:
        """R. The stored mark of each instrument."""
        ...

    def closes(self, date: str | None = None) -> list[Close]:
        """R. The closes of a date (`2026-11-21`), or of all dates, by date and instrument."""
        ...

    def latest_closes(self) -> list[Close]:
        """R. The newest close of each instrument."""
        ...

    def reference_revision(self) -> int:
        """R. Another number after every change of nodes, instruments or opening balances, whoever made it.

        Read before them it tells afterwards whether what was read is still what is stored. Cost 30 us (SQLite) or 300 us
        (PostgreSQL).
        """
        ...

    def watermark(self) -> int:
        """R. The highest store_seq, 0 in an empty store."""
        ...

    def cursors(self) -> dict[str, int]:
        """R. How far each source of trades that numbers them has come: its highest source_seq that was stored."""
        ...

    def unrecorded(self, after: int, up_to: int, limit: int) -> tuple[list[int], int]:
        """R. Which of the next `limit` rows of `trades` are not in the audit trail, and the number up to which that is said.

        Rows with numbers above `after` and up to `up_to`. Cost 1 us a row.
        """
        ...

    def audit_horizon(self) -> tuple[str, int]:
        """R. What can be said to be recorded from now on: which transactions are seen (PostgreSQL), and up to which store_seq."""
        ...

    def verify_audit(self, head: str | None = None, advance: Advance = lambda count: None) -> AuditReport:
        """R. The whole audit trail against itself and what is stored; `head` is the hash of an entry that was noted elsewhere.

        `advance` is told how many more entries or rows were looked at. One read transaction; cost 6 us a trade.
        """
        ...

    def audit_entries(self, wanted: AuditFilter, limit: int = 100) -> list[AuditEntry]:
        """R. The newest entries of the audit trail that match, oldest first."""
        ...

    def counts(self) -> TableCounts:
        """R. Rows in each table. Cost 5 ms per million trades."""
        ...

    def state(self, watermark: int = 0, trades: int = 0) -> StoreState:
        """R. How far the store has come. Of its trades only those after `watermark` are counted, and added to `trades`.

        Cost 10 ms per million trades counted.
        """
        ...

    def audit_hash(self, audit_seq: int) -> str | None:
        """R. The hash of an entry of the audit trail; None where there is no such entry."""
        ...

    def ping(self) -> None:
        """R. Returns where the store can be read; otherwise raises what any read would."""
        ...

    def close(self) -> None:
        """Give up the lease and close all connections; the store cannot be used any more. Idempotent.

        Any thread, once no write is under way; a read that is gets StoreUnavailable.
        """
        ...
