"""The part of a store that both databases share: each method runs one function of `tables/` or of the trail in a transaction.

A database adds how a transaction begins and ends (`_transaction`), where reads come from (`_read`), and the lease.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Concatenate, ParamSpec, TypeVar

from riskengine.clock import SystemClock
from riskengine.errors import LeaseHeld, StoreError, StoreWentBack
from riskengine.records.actions import Action, ActionRows
from riskengine.records.audit_kinds import EPOCH
from riskengine.records.breaches import Breach, High
from riskengine.records.calendars import CalendarEntry, CalendarState, SpotFact
from riskengine.records.cash import CARRY, CASH, CashRecord
from riskengine.records.close_state import CloseState, StoredCloseState
from riskengine.records.closes import ClosedPosition, CloseHeader, OwnerClose, StruckClose
from riskengine.records.fields import TS_MAX
from riskengine.records.journal import Instant
from riskengine.records.manual_marks import MANUAL, ManualMark, MarkStatus
from riskengine.records.numbers import FeedChange, FeedState
from riskengine.records.option_inputs import DatedInput, OptionInput
from riskengine.records.rules import RuleStarts
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import Close, Instrument, Node, Notice, Opening, Sample, StoredMark, Trade, Verdict
from riskengine.store import audit_trail as audit
from riskengine.store import feed_rows as feeds_of
from riskengine.store.audit_chain import ENGINE, Advance, AuditEntry, AuditEvent, AuditFilter, AuditReport, Head
from riskengine.store.audit_records import record_caught_up, record_reference
from riskengine.store.audit_trail import EPOCH_KEY, STORE_KEY, Trail, command_line_actor
from riskengine.store.audit_verify import verify
from riskengine.store.queries import Transaction
from riskengine.store.results import (
    ActionStoredAs,
    BreakKey,
    BreakStatus,
    CashSaved,
    ChangedDate,
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
from riskengine.store.standing import RESUME, Acknowledged, find_shortfall, lacking_entry
from riskengine.store.tables import actions as actions_of
from riskengine.store.tables import breaks as breaks_of
from riskengine.store.tables import calendars as calendars_of
from riskengine.store.tables import cash as cash_of
from riskengine.store.tables import close_states as states_of
from riskengine.store.tables import curve_samples as curves_of
from riskengine.store.tables import journal as journal_of
from riskengine.store.tables import manual_marks as manual_marks_of
from riskengine.store.tables import notices as notices_of
from riskengine.store.tables import option_inputs as inputs_of
from riskengine.store.tables import reference, removal
from riskengine.store.tables import risk_rules as risk_rules_of
from riskengine.store.tables import rules as rules_of
from riskengine.store.tables import scenario_shifts as scenario_shifts_of
from riskengine.store.tables import struck_closes as struck_of
from riskengine.store.tables import trades as trades_of
from riskengine.store.tables import verdicts as verdicts_of
from riskengine.store.trade_rows import TradeRow

PROBE_KEY = "probe"
REVISION_KEY = "reference_revision"
NOTICED_KEY = "noticed_up_to"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqlStore(ABC):
    """The part of `protocol.Store` that does not depend on the database."""

    name: str
    _lease: object | None
    _epoch: int | None
    _write_thread: int | None
    _acknowledged: Acknowledged | None = None
    _open_trail: Trail | None = None
    _mark_saves = 0
    _inputs_pruned = ""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Transaction]:
        """The write connection inside a transaction: durable when the block ends; after an error it has changed nothing.

        Sets `_open_trail` to None when it begins, and calls `_note_committed` when it has ended well.
        """

    @abstractmethod
    def _append(self, transaction: Any, trades: Sequence[Trade]) -> list[Stored]:
        """Insert trades, as `append_trades`, inside the caller's transaction."""

    @abstractmethod
    def _read(self, query: Callable[Concatenate[Transaction, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The result of `query` on one committed state."""

    @abstractmethod
    def _forget_changes(self, transaction: Transaction) -> None:
        """Remove what only an earlier engine needed to know of the changes by other programs."""

    @abstractmethod
    def _check_epoch(self, transaction: Transaction) -> None:
        """Raise LeaseHeld if a newer writer has taken over."""

    def _expect_epoch(self, epoch: int) -> None:
        """Raise LeaseHeld or StoreWentBack, with what it means, if the store has another epoch than this writer."""
        if self._epoch is None or epoch == self._epoch:
            return
        if epoch > self._epoch:
            raise LeaseHeld(f"store {self.name} has a newer writer: epoch {epoch}, ours is {self._epoch}")
        raise self._went_back(f"it is at epoch {epoch} and was at {self._epoch}")

    def _went_back(self, lack: str) -> StoreWentBack:
        return StoreWentBack(
            f"store {self.name} was restored from an older state while this engine wrote it: {lack}."
            f" Stop this engine, then {RESUME}"
        )

    @property
    def _actor(self) -> str:
        """The actor that the audit trail names: the engine if this store holds the lease, else the user who runs the command."""
        return ENGINE if self._lease is not None else command_line_actor()

    def _trail(self, transaction: Transaction) -> Trail:
        """The audit trail in this transaction."""

        def check(epoch: int, head: Head) -> None:
            self._expect_epoch(epoch)
            ours = self._acknowledged
            if ours is not None and head != ours.head and (lack := lacking_entry(transaction, ours.head)) is not None:
                raise self._went_back(lack)

        self._open_trail = Trail(transaction, self._actor, check)
        return self._open_trail

    def _note_committed(self) -> None:
        """The transaction is durable: what it appended to the audit trail is acknowledged."""
        trail, ours = self._open_trail, self._acknowledged
        if trail is not None and trail.head is not None and ours is not None:
            self._acknowledged = ours._replace(head=trail.head)

    # -- writing ---------------------------------------------------------------------------------------------------

    def next_epoch(self, above: int = 0) -> int:
        assert self._lease is not None, "an epoch belongs to the holder of the lease"
        with self._transaction() as transaction:
            before = int(reference.get_meta(transaction, EPOCH_KEY) or 0)
            epoch = max(before, above) + 1
            reference.set_meta(transaction, EPOCH_KEY, str(epoch))
            began = AuditEvent(EPOCH, str(epoch), {"epoch": epoch, "after": before}, ENGINE)
            self._forget_changes(transaction)
            trail = Trail(transaction, ENGINE, lambda epoch, head: None)
            trail.events([began])
            store_id = reference.get_meta(transaction, STORE_KEY) or ""
        assert trail.head is not None, "an entry was appended"
        self._epoch, self._acknowledged = epoch, Acknowledged(store_id, epoch, 0, trail.head)
        return epoch

    def check_standing(self, watermark: int) -> None:
        if self._acknowledged is None:
            return
        ours = self._acknowledged
        ours = ours._replace(watermark=max(ours.watermark, watermark))
        lack, acknowledged = self._read(find_shortfall, ours)
        if lack is not None:
            raise self._went_back(lack)
        self._expect_epoch(acknowledged.epoch)
        self._acknowledged = acknowledged

    @property
    def acknowledged(self) -> Acknowledged | None:
        return self._acknowledged

    def hand_over(self) -> None:
        self._write_thread = None

    def save_nodes(self, nodes: Sequence[Node]) -> Saved:
        with self._transaction() as transaction:
            return reference.save_nodes(transaction, nodes, self._trail(transaction))

    def save_instruments(self, instruments: Sequence[Instrument]) -> Saved:
        with self._transaction() as transaction:
            return reference.save_instruments(transaction, instruments, self._trail(transaction))

    def remove_nodes(self, names: Sequence[str]) -> Removed:
        with self._transaction() as transaction:
            return removal.remove_nodes(transaction, names, self._trail(transaction))

    def remove_instruments(self, names: Sequence[str]) -> Removed:
        with self._transaction() as transaction:
            return removal.remove_instruments(transaction, names, self._trail(transaction))

    def save_openings(self, openings: Sequence[Opening]) -> Saved:
        with self._transaction() as transaction:
            return reference.save_openings(transaction, openings, self._trail(transaction))

    def save_closes(self, closes: Sequence[Close]) -> Saved:
        with self._transaction() as transaction:
            return reference.save_closes(transaction, closes, self._trail(transaction))

    def save_actions(self, actions: Sequence[Action]) -> list[ActionStoredAs]:
        with self._transaction() as transaction:
            return actions_of.save_actions(transaction, actions, self._trail(transaction))

    def save_risk_rules(self, kind: str, rules: Sequence[risk_rules_of.RiskRule], actor: str = "") -> list[ActionStoredAs]:
        with self._transaction() as transaction:
            trail = self._trail(transaction)
            return risk_rules_of.save_risk_rules(transaction, kind, rules, actor or self._actor, trail)

    def save_breaches(self, breaches: Sequence[Breach], highs: Sequence[High]) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            risk_rules_of.save_breaches(transaction, breaches, highs)

    def acknowledge_breach(self, breach: Breach, actor: str, reason: str, ts: int) -> Breach:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            return risk_rules_of.acknowledge_breach(transaction, breach, actor, reason, ts, self._trail(transaction))

    def save_scenario_shifts(self, shifts: Sequence[ScenarioShift]) -> Saved:
        with self._transaction() as transaction:
            return scenario_shifts_of.save_scenario_shifts(transaction, shifts, self._trail(transaction))

    def scenario_shifts(self) -> list[ScenarioShift]:
        return self._read(scenario_shifts_of.scenario_shifts)

    def save_calendars(self, entries: Sequence[CalendarEntry]) -> Saved:
        with self._transaction() as transaction:
            return calendars_of.save_calendars(transaction, entries, self._trail(transaction))

    def save_spot_facts(self, facts: Sequence[SpotFact], compared_with: str = "") -> list[SpotFact]:
        with self._transaction() as transaction:
            return calendars_of.save_spot_facts(transaction, facts, compared_with)

    def save_marks(self, marks: Sequence[StoredMark]) -> Saved:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            return reference.save_marks(transaction, marks, self._next_save(), SystemClock().now())

    def save_option_inputs(self, rows: Sequence[DatedInput]) -> None:
        day = inputs_of.newest_day(rows)
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            inputs_of.save_option_inputs(transaction, rows, self._next_save())
            if day > self._inputs_pruned:
                inputs_of.prune_option_inputs(transaction, day)
        self._inputs_pruned = max(day, self._inputs_pruned)

    def save_manual_marks(self, marks: Sequence[ManualMark], actor: str) -> list[MarkStatus]:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            statuses = manual_marks_of.save_manual_marks(transaction, marks, actor, self._trail(transaction))
            plain = [
                StoredMark(mark.instrument, mark.ts, mark.price, MANUAL)
                for mark, status in zip(marks, statuses, strict=True)
                if status == "applied" and not mark.cleared and mark.expires_ts is None
            ]
            reference.save_marks(transaction, plain, self._next_save(), SystemClock().now())
        return statuses

    def _next_save(self) -> int:
        """The number of a save of marks by the engine, another one each time; 0 for another program."""
        self._mark_saves += 1
        return 0 if self._epoch is None else (self._epoch << 32) + self._mark_saves

    def save_closing_marks(self, date: str, marks: Sequence[StoredMark]) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            struck_of.save_closing_marks(transaction, date, marks)

    def save_close_chunks(self, chunks: Sequence[PackedChunk]) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            struck_of.save_chunks(transaction, chunks)

    def save_struck_close(self, close: StruckClose | PackedClose) -> None:
        packed = struck_of.pack_close(close) if isinstance(close, StruckClose) else close
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            struck_of.save(transaction, packed, self._trail(transaction), self._actor)

    def forget_closes_changed(self, changed: Sequence[ChangedDate]) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            struck_of.forget_changed(transaction, changed)

    def save_cash(self, kind: str, records: Sequence[CashRecord], actor: str = "") -> list[CashSaved]:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            return cash_of.save(transaction, kind, records, SystemClock().now(), self._trail(transaction), actor)

    def record_followed_cash(self) -> None:
        with self._transaction() as transaction:
            record_reference(transaction, self._trail(transaction), (CASH, CARRY))

    def new_close_state(self) -> int:
        return self._read(states_of.next_number)

    def save_close_state_chunks(self, number: int, part: str, first: int, contents: Sequence[bytes]) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            states_of.save_chunks(transaction, number, part, first, contents)

    def save_close_state(self, number: int, state: CloseState) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            states_of.save(transaction, number, state)

    def prune_close_states(self, limit: int) -> int:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            return states_of.prune(transaction, limit)

    def void_close_state(self, reason: str) -> None:
        with self._transaction() as transaction:
            states_of.void(transaction, reason)

    def save_verdict(self, verdict: Verdict, conflict: Trade | None = None) -> int | None:
        store_seq: int | None = None
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            verdicts_of.save_verdict(transaction, verdict)
            trail = self._trail(transaction)
            said: dict[str, object] = {"verdict": verdict.verdict, "comment": verdict.comment}
            if conflict is not None:
                store_seq, before = verdicts_of.accept_conflict(transaction, conflict)
                states_of.void(
                    transaction, f"a person accepted {verdict.id}: row {store_seq} says something else now", [store_seq]
                )
                said |= {"store_seq": store_seq, "replaced": before._asdict()}
                stands = audit.stored_rows(transaction, [store_seq])
                trail.corrections([store_seq], stands, verdict.actor or ENGINE, f"accepted {verdict.id}")
            trail.events([AuditEvent("verdict", verdict.id, said, verdict.actor or ENGINE)])
        return store_seq

    def save_booking(self, verdict: Verdict, trades: Sequence[Trade]) -> list[Stored]:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            verdicts_of.save_verdict(transaction, verdict)
            stored = self._append(transaction, trades) if trades else []
            said: dict[str, object] = {"verdict": verdict.verdict, "comment": verdict.comment}
            said["booked"] = [one.store_seq for one in stored]
            self._trail(transaction).events([AuditEvent("verdict", verdict.id, said, verdict.actor or ENGINE)])
        return stored

    def save_notices(self, notices: Sequence[Notice], up_to: int) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            notices_of.save_notices(transaction, notices)
            if up_to > int(reference.get_meta(transaction, NOTICED_KEY) or -1):
                reference.set_meta(transaction, NOTICED_KEY, str(up_to))

    def record(self, events: Sequence[AuditEvent]) -> None:
        with self._transaction() as transaction:
            self._trail(transaction).events(events)

    def update_feeds(
        self, changes: Mapping[str, Sequence[FeedChange]], events: Sequence[AuditEvent] = ()
    ) -> dict[str, FeedState]:
        with self._transaction() as transaction:
            self._trail(transaction).events(events)  # holds the head of the trail: one program at a time changes feeds
            return feeds_of.update(transaction, changes, SystemClock().now())

    def record_followed(self, store_seqs: Sequence[int]) -> int:
        with self._transaction() as transaction:
            return audit.record_followed(transaction, self._trail(transaction), store_seqs)

    def record_caught_up(self, horizon: str, up_to: int) -> None:
        with self._transaction() as transaction:
            record_caught_up(transaction, self._trail(transaction), horizon, up_to)

    def record_corrections(self, store_seqs: Sequence[int], actor: str, reason: str) -> None:
        with self._transaction() as transaction:
            self._trail(transaction).corrections(store_seqs, audit.stored_rows(transaction, store_seqs), actor, reason)
            states_of.void(transaction, f"rows were corrected, {len(store_seqs):,} of them: {reason}", store_seqs)

    def remember_breaks(
        self, found: Sequence[FoundBreak], *, against: str, epoch: int, watermark: int, ts: int, by: str
    ) -> list[StoredBreak]:
        with self._transaction() as transaction:
            return breaks_of.remember(transaction, found, against=against, epoch=epoch, watermark=watermark, ts=ts, by=by)

    def resolve_breaks(
        self, keys: Sequence[BreakKey], status: BreakStatus, *, against: str, by: str, ts: int, comment: str = ""
    ) -> None:
        with self._transaction() as transaction:
            breaks_of.resolve(transaction, keys, status, against=against, by=by, ts=ts, comment=comment)

    def comment_break(self, break_id: int, comment: str, actor: str) -> StoredBreak | None:
        with self._transaction() as transaction:
            found = breaks_of.comment(transaction, break_id, comment)
            if found is not None:
                said = {"key": list(found.key), "kind": found.kind, "comment": comment}
                self._trail(transaction).events([AuditEvent("break_comment", str(break_id), said, actor)])
            return found

    def save_curve_samples(self, samples: Sequence[Sample], keep_from: int) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            curves_of.save(transaction, samples, keep_from)

    def save_instants(self, instants: Sequence[Instant], keep_from: int) -> None:
        with self._transaction() as transaction:
            self._check_epoch(transaction)
            journal_of.save(transaction, instants, keep_from)

    def is_writable(self) -> bool:
        try:
            with self._transaction() as transaction:
                probes = int(reference.get_meta(transaction, PROBE_KEY) or 0)
                reference.set_meta(transaction, PROBE_KEY, str(probes + 1))
        except LeaseHeld:
            raise
        except StoreError:
            return False
        return True

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, query: Callable[[Transaction], _T]) -> _T:
        return self._read(query)

    def select_trades(self, wanted: TradeFilter, limit: int) -> tuple[list[TradeRow], int]:
        return self._read(trades_of.select, wanted, limit)

    def trades_of_deals(self, deals: Sequence[tuple[str, str]]) -> list[TradeRow]:
        return self._read(trades_of.select_deals, deals)

    def trades_numbered(self, store_seqs: Sequence[int]) -> list[TradeRow]:
        return self._read(trades_of.select_numbered, store_seqs)

    def conflicts(self, limit: int = 1_000) -> list[Conflict]:
        return self._read(trades_of.conflicts, limit)

    def notices(self, limit: int) -> list[StoredNotice]:
        return self._read(notices_of.notices, limit)

    def late_count(self) -> int:
        return self._read(notices_of.late_count)

    def noticed_up_to(self) -> int | None:
        found = self._read(reference.get_meta, NOTICED_KEY)
        return None if found is None else int(found)

    def conflict_ids(self, limit: int) -> list[int]:
        return self._read(trades_of.conflict_ids, limit)

    def conflicts_numbered(self, conflict_ids: Sequence[int]) -> list[Conflict]:
        return self._read(trades_of.conflicts_numbered, conflict_ids)

    def option_inputs(self) -> list[OptionInput]:
        return self._read(inputs_of.option_inputs)

    def option_inputs_of_others(self) -> list[OptionInput]:
        return self._read(inputs_of.option_inputs_of_others)

    def marks_of_others(self) -> list[StoredMark]:
        return self._read(reference.marks_of_others)

    def verdicts(self) -> list[Verdict]:
        return self._read(verdicts_of.verdicts)

    def breaks(self, *, status: str | None = None, limit: int = 1_000_000) -> list[StoredBreak]:
        return self._read(breaks_of.breaks, status=status, limit=limit)

    def curve_samples(self, first_ts: int, last_ts: int) -> list[Sample]:
        return self._read(curves_of.since, first_ts, last_ts)

    def instants_at(self, ts: int) -> list[Instant]:
        return self._read(journal_of.chain_at, ts)

    def journal_span(self) -> tuple[int, int] | None:
        return self._read(journal_of.span)

    def instant_times(self, first_ts: int, last_ts: int) -> list[int]:
        return self._read(journal_of.times, first_ts, last_ts)

    def nodes(self) -> list[Node]:
        return self._read(reference.nodes)

    def instruments(self) -> list[Instrument]:
        return self._read(reference.instruments)

    def openings(self) -> list[Opening]:
        return self._read(reference.openings)

    def marks(self) -> list[StoredMark]:
        return self._read(reference.marks)

    def manual_marks(self, entered_until: int = TS_MAX) -> list[ManualMark]:
        return self._read(manual_marks_of.manual_marks, entered_until)

    def risk_rules(self) -> RiskRules:
        return self._read(risk_rules_of.risk_rules)

    def breaches_of_limits(self, past: int) -> list[Breach]:
        return self._read(risk_rules_of.breaches, past)

    def limit_highs(self) -> list[High]:
        return self._read(risk_rules_of.highs)

    def closes(self, date: str | None = None) -> list[Close]:
        return self._read(reference.closes, date)

    def latest_closes(self, up_to: str) -> list[Close]:
        return self._read(reference.latest_closes, up_to)

    def closes_after(self, date: str, limit: int) -> list[Close]:
        return self._read(reference.closes_after, date, limit)

    def action_rows(self, as_of: int | None = None) -> ActionRows:
        return self._read(actions_of.action_rows, as_of)

    def first_close_date(self, since: str) -> str | None:
        return self._read(struck_of.first_close_date, since)

    def closes_changed(self) -> list[ChangedDate]:
        return self._read(struck_of.closes_changed)

    def closing_marks(self, date: str) -> list[StoredMark]:
        return self._read(struck_of.closing_marks, date)

    def struck_close_dates(self) -> dict[str, int]:
        return self._read(struck_of.dates)

    def struck_close(self, date: str, version: int | None = None) -> StruckClose | None:
        return self._read(struck_of.read, date, version)

    def struck_close_header(self, date: str, version: int | None = None) -> CloseHeader | None:
        return self._read(struck_of.header, date, version)

    def closed_positions(self, date: str, version: int, rollup: str, owners: Sequence[str] | None = None) -> list[ClosedPosition]:
        return self._read(struck_of.positions, date, version, rollup, owners)

    def close_totals(self, rollup: str, owner: str, since_date: str) -> list[OwnerClose]:
        return self._read(struck_of.totals_of, rollup, owner, since_date)

    def calendar_state(self) -> CalendarState:
        return self._read(calendars_of.calendar_state)

    def newest_with_value_date(self) -> int:
        return self._read(calendars_of.newest_with_value_date)

    def close_state(self) -> StoredCloseState | None:
        return self._read(states_of.read)

    def close_state_chunk(self, number: int, part: str, place: int) -> bytes | None:
        return self._read(states_of.chunk, number, part, place)

    def rule_starts(self) -> RuleStarts:
        return self._read(rules_of.rule_starts)

    def reference_revision(self) -> int:
        return int(self._read(reference.get_meta, REVISION_KEY) or 0)

    def watermark(self) -> int:
        return self._read(trades_of.watermark)

    def state(self, watermark: int = 0, trades: int = 0) -> StoreState:
        return self._read(reference.state, EPOCH_KEY, watermark, trades)

    def audit_hash(self, audit_seq: int) -> str | None:
        return self._read(reference.audit_hash, audit_seq)

    def feeds(self, sources: Sequence[str] | None = None) -> dict[str, FeedState]:
        return self._read(feeds_of.states, sources)

    def unrecorded(self, after: int, up_to: int, limit: int) -> tuple[list[int], int]:
        return self._read(audit.unrecorded, after, up_to, limit)

    def audit_horizon(self) -> tuple[str, int]:
        return self._read(audit.horizon)

    def verify_audit(self, head: str | None = None, advance: Advance = lambda count: None) -> AuditReport:
        return self._read(verify, head, advance)

    def audit_entries(self, wanted: AuditFilter, limit: int = 100) -> list[AuditEntry]:
        return self._read(audit.entries, wanted, limit)

    def counts(self) -> TableCounts:
        return self._read(reference.counts)
