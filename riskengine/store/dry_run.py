"""A store that answers what a load would come to, and stores nothing (`riskengine load --dry-run`).

It judges by the rules of the tables themselves: their functions run in a transaction that reads and does not write. What was
"stored" before is remembered for trades, in a temporary database, so that memory does not grow with the file; give it the whole
of a file of other records at once.
"""

import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from riskengine.clock import SystemClock
from riskengine.records.actions import Action
from riskengine.records.calendars import CalendarEntry, CalendarState
from riskengine.records.cash import CashRecord
from riskengine.records.limits import Limit
from riskengine.records.margin_rules import MarginRule
from riskengine.records.numbers import Range
from riskengine.records.option_inputs import DatedInput, OptionInput
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import Close, Instrument, Node, Opening, StoredMark, Trade
from riskengine.store.audit_chain import AuditEntry, AuditEvent
from riskengine.store.audit_trail import Trail, command_line_actor
from riskengine.store.protocol import Store
from riskengine.store.queries import Transaction
from riskengine.store.results import ActionStoredAs, CashRows, CashSaved, Changes, Saved, Stored, TradeFilter
from riskengine.store.tables import actions as actions_of
from riskengine.store.tables import calendars, reference, risk_rules, scenario_shifts
from riskengine.store.tables import cash as cash_of
from riskengine.store.tables.trades import other_attributes
from riskengine.store.trade_rows import TradeRow, row_of, same_as_row

T = TypeVar("T")

_Version = tuple[str, str, int, int]
"""Source, trade_id, leg and version of a trade."""


class DryRun:
    """The part of a store that a load uses; see `protocol.Store`. Memory: bounded; disk: the trades that it was given."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._currencies = {instrument.instrument: instrument.currency for instrument in store.instruments()}
        self._new = _NewTrades()
        self._inputs: list[OptionInput] = []
        self._entries: dict[tuple[str, bool, str], CalendarEntry] = {}

    def nodes(self) -> list[Node]:
        """See `Store`."""
        return self._store.nodes()

    def instruments(self) -> list[Instrument]:
        """See `Store`."""
        return self._store.instruments()

    def openings(self) -> list[Opening]:
        """See `Store`."""
        return self._store.openings()

    def closes(self, date: str | None = None) -> list[Close]:
        """See `Store`."""
        return self._store.closes(date)

    def select_trades(self, wanted: TradeFilter, limit: int) -> tuple[list[TradeRow], int]:
        """See `Store`."""
        return self._store.select_trades(wanted, limit)

    def trades_of_deals(self, deals: Sequence[tuple[str, str]]) -> list[TradeRow]:
        """See `Store`; with the trades that would be stored."""
        return [*self._store.trades_of_deals(deals), *(row for deal in set(deals) for row in self._new.of_deal(deal))]

    def append_trades(self, trades: Sequence[Trade]) -> list[Stored]:
        """What `Store` would answer, with store_seq 0 for a new trade."""
        rows = self._store.trades_of_deals(list({(trade.source, trade.trade_id) for trade in trades}))
        stored = {(row.source, row.trade_id, row.leg, row.version): row for row in rows}
        return [self._outcome(trade, stored) for trade in trades]

    def _outcome(self, trade: Trade, stored: Mapping[_Version, TradeRow]) -> Stored:
        version = (trade.source, trade.trade_id, trade.leg, trade.version)
        row = stored.get(version)
        if row is not None:
            return self._compared(trade, row)
        first = self._new.add(trade)
        return Stored(0, "inserted") if first is None else self._compared(trade, first)

    def _compared(self, trade: Trade, row: TradeRow) -> Stored:
        if same_as_row(trade, row, self._currencies.get(row.instrument, "")):
            return Stored(row.store_seq, "existing", other_attributes(trade, row))
        return Stored(row.store_seq, "conflict")

    def save_nodes(self, nodes: Sequence[Node]) -> Saved:
        """See `Store`."""
        return self._read(lambda reading: reference.save_nodes(reading, nodes, _NoTrail(reading)))

    def save_instruments(self, instruments: Sequence[Instrument]) -> Saved:
        """See `Store`."""
        return self._read(lambda reading: reference.save_instruments(reading, instruments, _NoTrail(reading)))

    def save_openings(self, openings: Sequence[Opening]) -> Saved:
        """See `Store`."""
        return self._read(lambda reading: reference.save_openings(reading, openings, _NoTrail(reading)))

    def save_closes(self, closes: Sequence[Close]) -> Saved:
        """See `Store`."""
        return self._read(lambda reading: reference.save_closes(reading, closes, _NoTrail(reading)))

    def save_calendars(self, entries: Sequence[CalendarEntry]) -> Saved:
        """See `Store`; `calendar_state` has them from then on."""
        self._entries |= {entry.key: entry for entry in entries}
        return self._read(lambda reading: calendars.save_calendars(reading, entries, _NoTrail(reading)))

    def calendar_state(self) -> CalendarState:
        """See `Store`; with the entries that would be stored."""
        state = self._store.calendar_state()
        entries = {entry.key: entry for entry in state.entries} | self._entries
        return state._replace(entries=tuple(entries.values()))

    def save_marks(self, marks: Sequence[StoredMark]) -> Saved:
        """See `Store`."""
        return self._read(lambda reading: reference.save_marks(reading, marks, 0, SystemClock().now()))

    def option_inputs(self) -> list[OptionInput]:
        """See `Store`; with those that would be stored."""
        return [*self._store.option_inputs(), *self._inputs]

    def save_option_inputs(self, rows: Sequence[DatedInput]) -> None:
        """See `Store`; `option_inputs` has them from then on."""
        self._inputs += (dated.row for dated in rows)

    def save_cash(self, kind: str, records: Sequence[CashRecord]) -> list[CashSaved]:
        """See `Store`."""
        now = SystemClock().now()
        return self._read(lambda reading: cash_of.save(reading, kind, records, now, _NoTrail(reading)))

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        """See `Store`."""
        return self._store.cash_beyond(seen)

    def save_actions(self, actions: Sequence[Action]) -> list[ActionStoredAs]:
        """See `Store`."""
        return self._read(lambda reading: actions_of.save_actions(reading, actions, _NoTrail(reading)))

    def save_scenario_shifts(self, shifts: Sequence[ScenarioShift]) -> Saved:
        """See `Store`."""
        return self._read(lambda reading: scenario_shifts.save_scenario_shifts(reading, shifts, _NoTrail(reading)))

    def scenario_shifts(self) -> list[ScenarioShift]:
        """See `Store`."""
        return self._store.scenario_shifts()

    def save_risk_rules(self, kind: str, rules: Sequence[Limit | MarginRule]) -> list[ActionStoredAs]:
        """See `Store`."""
        return self._read(lambda reading: risk_rules.save_risk_rules(reading, kind, rules, "", _NoTrail(reading)))

    def _read(self, query: Callable[["_Reading"], T]) -> T:
        return self._store.read(lambda transaction: query(_Reading(transaction)))


class _NewTrades:
    """The trades that would be stored, in a temporary database of SQLite: up to `_CACHE_KIB` in memory, the rest on disk."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        key = ", ".join(_VERSION_COLUMNS)
        self._db.execute(f"CREATE TABLE new ({', '.join(TradeRow._fields)}, PRIMARY KEY ({key})) WITHOUT ROWID")
        self._db.execute("BEGIN")  # never committed: nothing of it is to outlive the command

    def add(self, trade: Trade) -> TradeRow | None:
        """Keep a trade; the row with its identity and version that is there already, which stays, if there is one."""
        row = row_of(trade, 0)
        if self._db.execute(_INSERT, row).rowcount:
            return None
        return TradeRow._make(self._db.execute(f"{_OF_DEAL} AND leg = ? AND version = ?", row[:4]).fetchone())

    def of_deal(self, deal: tuple[str, str]) -> list[TradeRow]:
        """The rows of a deal, given by source and trade_id."""
        return list(map(TradeRow._make, self._db.execute(_OF_DEAL, deal)))


_CACHE_KIB = 32_768
_VERSION_COLUMNS = TradeRow._fields[:4]
_INSERT = f"INSERT OR IGNORE INTO new VALUES ({', '.join('?' * len(TradeRow._fields))})"  # noqa: S608 - question marks
_OF_DEAL = "SELECT * FROM new WHERE source = ? AND trade_id = ?"


class _Reading:
    """A transaction whose writes do nothing."""

    def __init__(self, transaction: Transaction) -> None:
        self.rows = transaction.rows
        self.raw_row = transaction.raw_row
        self.array = transaction.array

    def run(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        """Write nothing."""

    def save_entries(self, entries: Sequence[AuditEntry], head: str, next_runs: Mapping[str, Range], ts: int) -> Collection[str]:
        """Write nothing."""
        return ()


class _NoTrail(Trail):
    """A trail that records nothing."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction, command_line_actor(), lambda epoch, head: None)

    def events(self, events: Iterable[AuditEvent]) -> None:
        """Record nothing."""

    def records(self, *_: object) -> None:
        """Record nothing."""
