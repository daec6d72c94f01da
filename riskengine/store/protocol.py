"""The store as the rest of the program sees it, the same for every database.

What a store has committed is the truth: a trade counts from the moment `append_trades` returns, and the engine's memory can be
rebuilt from `trades_after` at any time.

Threads: a store has one write thread (methods marked W): the first thread that writes after opening or after `hand_over`. A write
from another thread is a bug and raises AssertionError. Reads (marked R) come from any thread and never wait for the writer; each
call answers from one committed state.

Errors: any method may raise StoreUnavailable (locked for longer than the store waits, disk full, I/O error, file gone, store
closed), StoreWentBack (behind what this writer acknowledged), StoreCorrupt, or StoreError for anything else that the database
refuses. A W method that raises has changed nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from riskengine.records.actions import Action, ActionRows
from riskengine.records.breaches import Breach, High
from riskengine.records.calendars import CalendarEntry, CalendarState, SpotFact
from riskengine.records.cash import CashRecord
from riskengine.records.close_state import CloseState, StoredCloseState
from riskengine.records.closes import ClosedPosition, CloseHeader, OwnerClose, StruckClose
from riskengine.records.fields import TS_MAX
from riskengine.records.journal import Instant
from riskengine.records.limits import Limit
from riskengine.records.manual_marks import ManualMark, MarkStatus
from riskengine.records.margin_rules import MarginRule
from riskengine.records.numbers import FeedChange, FeedState
from riskengine.records.option_inputs import DatedInput, OptionInput
from riskengine.records.rules import RuleStarts
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import Close, Instrument, Node, Notice, Opening, Sample, StoredMark, Trade, Verdict
from riskengine.store.audit_chain import Advance, AuditEntry, AuditEvent, AuditFilter, AuditReport
from riskengine.store.queries import Transaction
from riskengine.store.results import (
    ActionStoredAs,
    Bookmark,
    BreakKey,
    BreakStatus,
    CashRows,
    CashSaved,
    ChangedDate,
    Changes,
    Conflict,
    FoundBreak,
    PackedChunk,
    PackedClose,
    Removed,
    RiskRules,
    Saved,
    Stored,
    StoredBreak,
    StoredNotice,
    StoreState,
    TableCounts,
    TradeFilter,
)
from riskengine.store.standing import Acknowledged
from riskengine.store.trade_rows import TradeRow

T = TypeVar("T")


class Store(Protocol):
    """Keeps nodes, instruments, balances, prices and every version of every trade, durably."""

    @property
    def name(self) -> str:
        """The path, or the URL without its password, for messages and logs."""
        ...

    # -- writing ---------------------------------------------------------------------------------------------------

    def hand_over(self) -> None:
        """Make the next thread that writes the write thread. No write may be in progress."""
        ...

    def append_trades(self, trades: Sequence[Trade]) -> list[Stored]:
        """W. Store a batch in one transaction, in order; durable when it returns. One result for each trade.

        The same transaction records the new trades in the audit trail and notes that their sources' numbers have come.

        An equal repeat stores nothing. A conflict is kept apart, once, however often it is sent. After an error none of the batch
        is stored, or all of it if the answer to the commit was lost; appending it again is harmless. Raises LeaseHeld if a newer
        writer has taken over.
        """
        ...

    def save_nodes(self, nodes: Sequence[Node]) -> Saved:
        """W. Insert or update by name, in one transaction. Does not check that the nodes form a tree."""
        ...

    def save_instruments(self, instruments: Sequence[Instrument]) -> Saved:
        """W. Insert or update by symbol, in one transaction."""
        ...

    def remove_nodes(self, names: Sequence[str]) -> Removed:
        """W. Remove nodes without trades, balances or nodes below them, in one transaction; refuse the others.

        O(trades) a name.
        """
        ...

    def remove_instruments(self, names: Sequence[str]) -> Removed:
        """W. Remove instruments that no trade, balance or other instrument names, with mark and closes; refuse the others."""
        ...

    def save_openings(self, openings: Sequence[Opening]) -> Saved:
        """W. Insert by (desk, dealer, instrument). An equal balance is a duplicate, a different one is refused."""
        ...

    def save_closes(self, closes: Sequence[Close]) -> Saved:
        """W. Insert by (date, instrument). An equal close is a duplicate, another price a new version (`updated`)."""
        ...

    def save_closing_marks(self, date: str, marks: Sequence[StoredMark]) -> None:
        """W. Keep these as the closing marks of a trading day, in place of those of the same instruments.

        Raises LeaseHeld as `save_marks`.
        """
        ...

    def save_close_chunks(self, chunks: Sequence[PackedChunk]) -> None:
        """W. Store contents of a close ahead of it, so that `save_struck_close` is short. 1 ms each. Raises LeaseHeld."""
        ...

    def save_struck_close(self, close: StruckClose | PackedClose) -> None:
        """W. Store a close whole, in one transaction, with an entry in the audit trail; forget the closing marks up to its date.

        Raises StoreError if that version of that date is stored already, ValueError if positions are not sorted, LeaseHeld.
        """
        ...

    def forget_closes_changed(self, changed: Sequence[ChangedDate]) -> None:
        """W. Forget changes that `closes_changed` has told; changes that came since stay. Raises LeaseHeld."""
        ...

    def save_calendars(self, entries: Sequence[CalendarEntry]) -> Saved:
        """W. Insert or replace by calendar and date, in one transaction."""
        ...

    def save_spot_facts(self, facts: Sequence[SpotFact], compared_with: str = "") -> list[SpotFact]:
        """W. Insert spot dates that are not there yet; a stored one is never changed. Returns all of those pairs and dates.

        `compared_with`, if it is not empty, names the calendars with which all stored ones have been compared.
        """
        ...

    def save_actions(self, actions: Sequence[Action]) -> list[ActionStoredAs]:
        """W. Insert versions of corporate actions by (action_id, version), in one transaction: one outcome each, in order.

        A different record under a stored identity and version is a conflict, and is not stored.
        """
        ...

    def save_marks(self, marks: Sequence[StoredMark]) -> Saved:
        """W. Keep the mark with the newest ts of each instrument, on ties the later one; an older mark is superseded.

        A stored mark from more than an hour ahead of the clock gives way to every other one.
        """
        ...

    def save_option_inputs(self, rows: Sequence[DatedInput]) -> None:
        """W. Keep vols, rates and Greeks, each the newest of its subject and trading day; older days go after a while.

        Raises LeaseHeld as `save_marks`.
        """
        ...

    def save_cash(self, kind: str, records: Sequence[CashRecord], actor: str = "") -> list[CashSaved]:
        """W. Insert versions of records of one kind, `cash` or `carry`, in one transaction, with the audit trail.

        A stored version is never rewritten: an equal one is `existing`, a different one a `conflict` and not stored. `actor` is
        who sent them, for the trail.
        """
        ...

    def record_followed_cash(self) -> None:
        """W. Record in the audit trail what other programs wrote into `cash` and `carry`. Cost 2 us for each row ever saved."""
        ...

    def save_manual_marks(self, marks: Sequence[ManualMark], actor: str) -> list[MarkStatus]:
        """W. Store marks that people set by hand, and note them in the audit trail, in one transaction; what became of each.

        Those without an expiry go into `marks` too. Raises LeaseHeld as `save_marks`.
        """

    def save_scenario_shifts(self, shifts: Sequence[ScenarioShift]) -> Saved:
        """W. Insert or replace by scenario, factor and what is shifted, in one transaction, with the audit trail."""
        ...

    def save_risk_rules(self, kind: str, rules: Sequence[Limit | MarginRule], actor: str = "") -> list[ActionStoredAs]:
        """W. Insert versions of rules of one kind, `limit` or `margin`, in one transaction, with the audit trail.

        A stored version is never rewritten: an equal one is `existing`, a different one a `conflict` and not stored.
        """
        ...

    def save_breaches(self, breaches: Sequence[Breach], highs: Sequence[High]) -> None:
        """W. Store how breaches of limits stand, without their acknowledgements, and highs of the day. Raises LeaseHeld."""
        ...

    def acknowledge_breach(self, breach: Breach, actor: str, reason: str, ts: int) -> Breach:
        """W. Store who knows of a breach and why it may stand, with the audit trail; the breach as it is stored then.

        Raises LeaseHeld as `save_marks`.
        """
        ...

    def new_close_state(self) -> int:
        """R. A number for the next state of a close: no state and no chunk has it."""
        ...

    def save_close_state_chunks(self, number: int, part: str, first: int, contents: Sequence[bytes]) -> None:
        """W. Store consecutive chunks of a part. They count for nothing until `save_close_state`.

        Pass at most a megabyte: 10 ms. Raises LeaseHeld as `save_marks`.
        """
        ...

    def save_close_state(self, number: int, state: CloseState) -> None:
        """W. Store a state whose chunks are stored, in place of the one before. Raises LeaseHeld as `save_marks`."""
        ...

    def prune_close_states(self, limit: int) -> int:
        """W. Remove at most `limit` chunks that belong to no state. Returns how many. Raises LeaseHeld as `save_marks`."""
        ...

    def void_close_state(self, reason: str) -> None:
        """W. Have no start go on from the stored state any more, and say why. Corrections and accepted conflicts do it too."""
        ...

    def save_verdict(self, verdict: Verdict, conflict: Trade | None = None) -> int | None:
        """W. Store a person's decision on an exception, in one transaction; one that is only a comment leaves the decision alone.

        `conflict` is a trade that was kept apart and now replaces the stored version, in place and whole: the row becomes that
        record, received_ts included. Returns the store_seq of that row. Raises StoreError if that version is gone.
        """
        ...

    def save_booking(self, verdict: Verdict, trades: Sequence[Trade]) -> list[Stored]:
        """W. Store a person's decision and the trades that carry it out, in one transaction. As `append_trades`."""
        ...

    def save_notices(self, notices: Sequence[Notice], up_to: int) -> None:
        """W. Store what the engine noticed about trades; the first notice of an id stands. Raises LeaseHeld as `save_marks`.

        With those stored before they are all that the engine noticed about rows up to number `up_to`; -1: more are to come.
        """
        ...

    def record(self, events: Sequence[AuditEvent]) -> None:
        """W. Append events to the audit trail, in one transaction, in order."""
        ...

    def update_feeds(
        self, changes: Mapping[str, Sequence[FeedChange]], events: Sequence[AuditEvent] = ()
    ) -> dict[str, FeedState]:
        """W. Change what is known of the numbers of sources, in one transaction with entries of the audit trail.

        Returns the states as stored. Raises LeaseHeld if a newer writer has taken over.
        """
        ...

    def record_followed(self, store_seqs: Sequence[int]) -> int:
        """W. Record rows that other programs wrote in the audit trail as they are now, in one transaction. Returns their number.

        Skips rows that are recorded already. Pass at most a few thousand; cost 6 us a row.
        """
        ...

    def record_caught_up(self, horizon: str, up_to: int) -> None:
        """W. State in the audit trail that it holds every row up to number `up_to`.

        Both values come from `audit_horizon`, called before the last rows were recorded. Records reference data that other
        programs changed first.
        """
        ...

    def record_corrections(self, store_seqs: Sequence[int], actor: str, reason: str) -> None:
        """W. Record these rows as they are now, edited in place or deleted: `actor` answers for it, `reason` says why."""
        ...

    def remember_breaks(
        self, found: Sequence[FoundBreak], *, against: str, epoch: int, watermark: int, ts: int, by: str
    ) -> list[StoredBreak]:
        """W. Store the breaks of one whole run: open new ones, update known ones, close the others as gone.

        Returns the open ones.
        """
        ...

    def resolve_breaks(
        self, keys: Sequence[BreakKey], status: BreakStatus, *, against: str, by: str, ts: int, comment: str = ""
    ) -> None:
        """W. Close open breaks, in one transaction; skips breaks that are not open."""
        ...

    def comment_break(self, break_id: int, comment: str, actor: str) -> StoredBreak | None:
        """W. Set the comment of a break, with an entry in the audit trail; None if there is no break of that number."""
        ...

    def save_curve_samples(self, samples: Sequence[Sample], keep_from: int) -> None:
        """W. Store samples of curves, in ascending order; remove the samples before `keep_from` and after the last one.

        Storing a sample again changes nothing. Cost 1 ms each for 1,000 nodes. Raises LeaseHeld if a newer writer has taken over.
        """
        ...

    def save_instants(self, instants: Sequence[Instant], keep_from: int) -> None:
        """W. Store instants of the journal; remove those of before `keep_from`. Storing one again changes nothing.

        Cost one small commit. Raises LeaseHeld if a newer writer has taken over.
        """
        ...

    def is_writable(self) -> bool:
        """W. Whether a small commit succeeds now; waits for a lock as long as any write does."""
        ...

    # -- the one writer --------------------------------------------------------------------------------------------

    def acquire_writer(self, holder: str) -> None:
        """Take the lease: be the one engine that writes this store, until `close` or the end of the process, however it ends.

        `holder` names this program in the message that others get. Raises LeaseHeld at once, naming the holder (pid, host,
        since). A program that only loads data does not need the lease.
        """
        ...

    def next_epoch(self, above: int = 0) -> int:
        """W. Begin a new epoch: a number higher than every earlier one and than `above`, durable. The lease must be held.

        From then on this store object refuses to write trades and marks (LeaseHeld) once the store has a newer epoch.
        """
        ...

    def check_standing(self, watermark: int) -> None:
        """R, on the write thread. Compare the store with what this writer acknowledged; it has applied rows up to `watermark`.

        Raises StoreWentBack if the store is behind that, or another file, LeaseHeld if a newer writer has taken over; does
        nothing before `next_epoch`. Every commit of trades compares the audit trail in the same way, in its own transaction.
        Cost 50 us (SQLite) or 500 us (PostgreSQL).
        """
        ...

    @property
    def acknowledged(self) -> Acknowledged | None:
        """What this writer has acknowledged, None before `next_epoch`."""
        ...

    # -- following what others write -------------------------------------------------------------------------------

    def bookmark(self) -> Bookmark:
        """R. Now. Take it first, then read `trades_after`, then follow with `trades_beyond`: no row is missed."""
        ...

    def trades_beyond(self, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        """R. Rows that became visible after `bookmark`, at most `limit` of them, and the bookmark behind them.

        Returns each row once, whatever its number and however late its transaction commits; an open transaction does not hold
        back the others. Fewer rows than `limit`: there are no more. In store order, except for rows that commit late. Cost 50 us
        (SQLite) or 500 us (PostgreSQL), and 6 us a row.
        """
        ...

    def changes_beyond(self, seen: Changes | None) -> tuple[frozenset[str], Changes]:
        """R. Which of CHANGED_KINDS have rows that became visible after `seen` (None: all), and what has been seen now.

        Own rows may be among them, but no marks that a writer with an epoch saved. Cost 30 us (SQLite) or 500 us (PostgreSQL).
        """
        ...

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        """R. Rows of `cash` and `carry` that became visible or were edited after `seen`; all of them if it is None.

        Also all of them where rows were deleted since. Own rows are among them. Cost 2 us a row.
        """
        ...

    @property
    def rings(self) -> bool:
        """Whether `wait_for_news` can return before its time is over."""
        ...

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until another program has written trades (True) or the time is over (False). One thread, not the write thread.

        Only a hint: it may return True for nothing and may miss a write. Call `trades_beyond` on a timer too.
        """
        ...

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, query: Callable[[Transaction], T]) -> T:
        """R. The result of `query` on one committed state; it must not write."""
        ...

    def trades_after(self, store_seq: int, limit: int | None = None) -> Iterator[TradeRow]:
        """R. Rows stored after `store_seq`, in store order, at most `limit`; `trade_from_row` makes trades of them.

        Reads in pages: a slow consumer blocks nobody, and rows that are committed while it runs are included. The iterator
        belongs to the thread that uses it. Cost 3 us a row.
        """
        ...

    def select_trades(self, wanted: TradeFilter, limit: int) -> tuple[list[TradeRow], int]:
        """R. The newest matching rows and the number of all: ordered by (ts, source_seq, source, trade_id, leg, version).

        Cost 0.2 us for each trade since `since_ts` (without it: each trade), 1 us where an attribute is wanted; 0.7 us for each
        match.
        """
        ...

    def trades_of_deals(self, deals: Sequence[tuple[str, str]]) -> list[TradeRow]:
        """R. Every version of every leg of each (source, trade_id), in any order. Cost 10 us a deal."""
        ...

    def trades_numbered(self, store_seqs: Sequence[int]) -> list[TradeRow]:
        """R. The rows with these numbers, without those that do not exist, in any order. Cost 8 us a row."""
        ...

    def conflicts(self, limit: int = 1_000) -> list[Conflict]:
        """R. The newest conflicts first."""
        ...

    def notices(self, limit: int) -> list[StoredNotice]:
        """R. The newest notices of each kind, oldest first, each with the row of its version. 10 us each."""
        ...

    def late_count(self) -> int:
        """R. How many late trades are stored as noticed. Cost 0.05 us each."""
        ...

    def noticed_up_to(self) -> int | None:
        """R. The row number up to which a live engine has stored all that it noticed; None: there was none yet."""
        ...

    def conflict_ids(self, limit: int) -> list[int]:
        """R. The numbers of the newest conflicts, newest first. Cost 0.2 us each."""
        ...

    def conflicts_numbered(self, conflict_ids: Sequence[int]) -> list[Conflict]:
        """R. The conflicts with these numbers that exist, ascending; the store_seq of their rows is 0. Cost 5 us each."""
        ...

    def marks_of_others(self) -> list[StoredMark]:
        """R. The stored marks that other programs wrote, by instrument."""
        ...

    def verdicts(self) -> list[Verdict]:
        """R. The newest decision on each exception, oldest first."""
        ...

    def breaks(self, *, status: str | None = None, limit: int = 1_000_000) -> list[StoredBreak]:
        """R. Breaks that reconciliation found, open ones first, then the newest."""
        ...

    def curve_samples(self, first_ts: int, last_ts: int) -> list[Sample]:
        """R. The samples of curves between two times, both included, oldest first; skips a sample that cannot be read."""
        ...

    def instants_at(self, ts: int) -> list[Instant]:
        """R. The newest instant of the journal up to a time, and before it those that it stands on, the whole one first.

        None where there is none. 0.1 ms, and up to a minute of instants.
        """
        ...

    def journal_span(self) -> tuple[int, int] | None:
        """R. The times of the oldest and the newest instant of the journal; None where there is none."""
        ...

    def instant_times(self, first_ts: int, last_ts: int) -> list[int]:
        """R. The times of the instants between two moments, both included, oldest first. 1 us each."""
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

    def option_inputs(self) -> list[OptionInput]:
        """R. Stored vols, rates and Greeks: of each subject the newest of each trading day, earlier days first. 2 us each.

        Raises StoreCorrupt for a row of another program that can be none.
        """
        ...

    def option_inputs_of_others(self) -> list[OptionInput]:
        """R. Those of them that other programs wrote. Raises StoreCorrupt as there."""
        ...

    def marks(self) -> list[StoredMark]:
        """R. The stored mark of each instrument."""
        ...

    def manual_marks(self, entered_until: int = TS_MAX) -> list[ManualMark]:
        """R. The newest mark set by hand of each instrument, of those entered until a moment: in force, expired or cleared."""
        ...

    def scenario_shifts(self) -> list[ScenarioShift]:
        """R. All shifts of loaded scenarios, those taken out among them, in the order in which they first came. 2 us each."""
        ...

    def risk_rules(self) -> RiskRules:
        """R. Every version of the limits and margin rules, and the rows of other programs that are none. 5 us each."""
        ...

    def breaches_of_limits(self, past: int) -> list[Breach]:
        """R. The open breaches and the newest `past` of those that have ended, newest first."""
        ...

    def limit_highs(self) -> list[High]:
        """R. The newest high of the day of each node and dealer whose loss from it is limited."""
        ...

    def closes(self, date: str | None = None) -> list[Close]:
        """R. The closes of a date (`2026-11-21`), or of all dates, by date and instrument."""
        ...

    def latest_closes(self, up_to: str) -> list[Close]:
        """R. The newest close of each instrument among those dated up to `up_to` (`2026-11-21`), that day included."""
        ...

    def closes_after(self, date: str, limit: int) -> list[Close]:
        """R. The first closes dated after `date`, by date. Cost 1 us each."""
        ...

    def action_rows(self, as_of: int | None = None) -> ActionRows:
        """R. All versions of corporate actions, and the closes that splits need. Cost 5 us each.

        Without actions received after `as_of` (microseconds).
        """
        ...

    def first_close_date(self, since: str) -> str | None:
        """R. The earliest date from `since` on that has an official close of any instrument."""
        ...

    def closes_changed(self) -> list[ChangedDate]:
        """R. Dates whose official closes any program wrote since the engine last forgot that."""
        ...

    def closing_marks(self, date: str) -> list[StoredMark]:
        """R. The closing marks stored for a trading day that is not struck, by instrument."""
        ...

    def struck_close_dates(self) -> dict[str, int]:
        """R. The dates of all struck closes, ascending, with the newest version of each."""
        ...

    def struck_close(self, date: str, version: int | None = None) -> StruckClose | None:
        """R. A struck close, whole, its newest version unless one is named; None if there is none. 3 us a position."""
        ...

    def struck_close_header(self, date: str, version: int | None = None) -> CloseHeader | None:
        """R. As `struck_close`, without positions and totals. 1 us for each instrument."""
        ...

    def closed_positions(self, date: str, version: int, rollup: str, owners: Sequence[str] | None = None) -> list[ClosedPosition]:
        """R. The positions of a struck close in a roll-up ("node": leaves, or "dealer"), by owner and instrument.

        Of `owners` only: reads the chunks that may hold them, 5 ms each. Empty if there is no such close.
        """
        ...

    def close_totals(self, rollup: str, owner: str, since_date: str) -> list[OwnerClose]:
        """R. What a node or dealer came to at every close from a date on: its first version, and the newest if that is another.

        By date and version. 0.1 ms a close.
        """
        ...

    def calendar_state(self) -> CalendarState:
        """R. Loaded calendars and everything else by which value dates are judged. Cost 1 us a row."""
        ...

    def newest_with_value_date(self) -> int:
        """R. The newest `received_ts` of a trade with a value date, 0 without any. Cost 0.1 s a million trades."""

    def close_state(self) -> StoredCloseState | None:
        """R. The state of the newest close that has one; None if there is none. Raises ValueError if it cannot be read."""
        ...

    def close_state_chunk(self, number: int, part: str, place: int) -> bytes | None:
        """R. A chunk of that state; None if it is gone."""
        ...

    def rule_starts(self) -> RuleStarts:
        """R. The first store_seq that each stricter rule judges, by rule (`records.rules`). Migrations alone change it."""
        ...

    def reference_revision(self) -> int:
        """R. A number that changes with every change of nodes, instruments or opening balances, by any program.

        Read it before and after reading them: equal numbers mean that nothing changed in between. Cost 30 us (SQLite) or 300 us
        (PostgreSQL).
        """
        ...

    def watermark(self) -> int:
        """R. The highest store_seq, 0 in an empty store."""
        ...

    def feeds(self, sources: Sequence[str] | None = None) -> dict[str, FeedState]:
        """R. What is known of the numbers of these sources, None: of all that have any. Unknown ones are left out."""
        ...

    def unrecorded(self, after: int, up_to: int, limit: int) -> tuple[list[int], int]:
        """R. The rows that the audit trail lacks, of the next `limit` rows of `trades`, and the number up to which this holds.

        Looks at rows with numbers above `after` and up to `up_to`. Cost 1 us a row.
        """
        ...

    def audit_horizon(self) -> tuple[str, int]:
        """R. The values for `record_caught_up`: the visible transactions (PostgreSQL; SQLite: "") and the highest store_seq."""
        ...

    def verify_audit(self, head: str | None = None, advance: Advance = lambda count: None) -> AuditReport:
        """R. Check the whole audit trail against itself and the tables; `head` is the hash of an entry that was noted elsewhere.

        Calls `advance` with the number of entries or rows checked since the last call. One read transaction; cost 6 us a trade.
        """
        ...

    def audit_entries(self, wanted: AuditFilter, limit: int = 100) -> list[AuditEntry]:
        """R. The newest entries of the audit trail that match, oldest first."""
        ...

    def counts(self) -> TableCounts:
        """R. Rows in each table. Cost 5 ms per million trades."""
        ...

    def state(self, watermark: int = 0, trades: int = 0) -> StoreState:
        """R. How far the store has come. Counts only the trades after `watermark` and adds them to `trades`.

        Cost 10 ms per million trades counted.
        """
        ...

    def audit_hash(self, audit_seq: int) -> str | None:
        """R. The hash of an entry of the audit trail; None if there is no such entry."""
        ...

    def ping(self) -> None:
        """R. Return if the store can be read; otherwise raise the error of any read."""
        ...

    def close(self) -> None:
        """Release the lease and close all connections; the store cannot be used afterwards. Idempotent.

        Any thread, while no write is in progress; a read in progress raises StoreUnavailable.
        """
        ...
