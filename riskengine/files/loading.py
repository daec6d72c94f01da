"""`riskengine load`: puts the records of files into the store, counts every outcome and reports every refusal. Idempotent."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec import structs

from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import Config
from riskengine.errors import InputError, ReferenceDataError
from riskengine.files.instrument_changes import changes_worth, with_known_underlyings
from riskengine.files.lines import display_name
from riskengine.files.records import (
    ACTIONS,
    CALENDARS,
    CARRY,
    CASH,
    CLOSES,
    INSTRUMENTS,
    LIMITS,
    MARGIN_RULES,
    MARKS,
    NODES,
    OPENINGS,
    RATES,
    SCENARIOS,
    TRADES,
    VOLS,
    ColumnOptions,
    Shape,
    read_actions,
    read_calendars,
    read_carry,
    read_cash,
    read_closes,
    read_instruments,
    read_limits,
    read_margin_rules,
    read_marks,
    read_nodes,
    read_openings,
    read_rates,
    read_scenarios,
    read_trades,
    read_vols,
)
from riskengine.files.refused import RefusedLines
from riskengine.market.option_market import OptionMarket
from riskengine.market.trading_day import TradingDay
from riskengine.records.actions import ACTION_CONFLICT, Action
from riskengine.records.calendars import CalendarEntry, CalendarState
from riskengine.records.cash import CASH_CONFLICT_REASON, CarryRow, CashRecord, EntryCheck, opening_times
from riskengine.records.decode import TradeCheck, TradeInput, has_rounded_fees
from riskengine.records.fields import to_text
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.limits import ANOTHER_STORED, LIMIT, Limit, LimitCheck
from riskengine.records.margin_rules import MARGIN, MarginRule, MarginRuleCheck
from riskengine.records.option_input_checks import OptionInputCheck
from riskengine.records.option_inputs import DatedInput, OptionInput
from riskengine.records.reference import Reference, trade_check
from riskengine.records.scenario_shifts import HISTORICAL_SHOCKS, ScenarioShift, ScenarioShiftCheck
from riskengine.records.types import (
    CONFLICT_REASON,
    MULTIPLIER_DECIMALS,
    Close,
    Identity,
    Instrument,
    Node,
    Opening,
    Refusal,
    StoredMark,
    Trade,
)
from riskengine.store.results import ActionStoredAs, CashRows, CashSaved, Changes, Saved, Stored, TradeFilter
from riskengine.store.trade_rows import TradeRow

SHAPES: Mapping[str, Shape] = {
    "nodes": NODES,
    "instruments": INSTRUMENTS,
    "calendars": CALENDARS,
    "positions": OPENINGS,
    "closes": CLOSES,
    "marks": MARKS,
    "vols": VOLS,
    "rates": RATES,
    "cash": CASH,
    "carry": CARRY,
    "actions": ACTIONS,
    "scenarios": SCENARIOS,
    "limits": LIMITS,
    "margin": MARGIN_RULES,
    "trades": TRADES,
}
"""Kinds of records, in an order in which each needs only those before it, with the columns of their files."""

KINDS = tuple(SHAPES)

BATCH = 5_000

SHOWN_FILES = 10
"""Files that are named of those that failed alike."""

OTHER_ATTRIBUTES = "other_attributes"
"""Duplicates that differ outside the economics, counted beside: what the store has stays, an amend changes it."""

PARKED_REASON = "parked: a cancel whose trade has not come"

_Record = TypeVar("_Record")
_Stored = TypeVar("_Stored", Node, Instrument, CalendarEntry, ScenarioShift)

Numbered = Iterator[tuple[int, _Record | Refusal]]

Judge = Callable[[Trade], str]
"""Why the engine keeps a stored trade out of the positions, or ""."""


def let_in(trade: Trade) -> str:
    """The judge who keeps nothing out."""
    return ""


class LoadStore(Protocol):
    """What a load asks of a store; `store.dry_run` answers it without storing anything."""

    def nodes(self) -> list[Node]: ...
    def instruments(self) -> list[Instrument]: ...
    def openings(self) -> list[Opening]: ...
    def select_trades(self, wanted: TradeFilter, limit: int) -> tuple[list[TradeRow], int]: ...
    def trades_of_deals(self, deals: Sequence[tuple[str, str]]) -> list[TradeRow]: ...
    def append_trades(self, trades: Sequence[Trade]) -> list[Stored]: ...
    def closes(self, date: str | None = None) -> list[Close]: ...
    def save_nodes(self, nodes: Sequence[Node]) -> Saved: ...
    def save_instruments(self, instruments: Sequence[Instrument]) -> Saved: ...
    def save_openings(self, openings: Sequence[Opening]) -> Saved: ...
    def calendar_state(self) -> CalendarState: ...
    def save_calendars(self, entries: Sequence[CalendarEntry]) -> Saved: ...
    def save_closes(self, closes: Sequence[Close]) -> Saved: ...
    def save_marks(self, marks: Sequence[StoredMark]) -> Saved: ...
    def option_inputs(self) -> list[OptionInput]: ...
    def save_option_inputs(self, rows: Sequence[DatedInput]) -> None: ...
    def save_cash(self, kind: str, records: Sequence[CashRecord]) -> list[CashSaved]: ...
    def cash_beyond(self, seen: Changes | None) -> CashRows: ...

    def save_actions(self, actions: Sequence[Action]) -> list[ActionStoredAs]: ...
    def save_scenario_shifts(self, shifts: Sequence[ScenarioShift]) -> Saved: ...
    def scenario_shifts(self) -> list[ScenarioShift]: ...
    def save_risk_rules(self, kind: str, rules: Sequence[Limit | MarginRule]) -> list[ActionStoredAs]: ...


class FieldChange(NamedTuple):
    """A stored record that a line changes: its name, the column, the value before and after."""

    line: int
    name: str
    field: str
    old: str
    new: str


class LoadReport:
    """Counts the outcomes of lines, over one or more files, and passes each line that was not taken to `refuse` at once.

    `changed` gets each change of a stored record. `failures` are the reasons why files were not read, or not to their end; the
    first of each reason goes to `complain` at once, the files that it repeats itself in by `tell_repeated_failures`.
    `refused_lines`, if given, gets every line that was not taken.
    """

    def __init__(
        self,
        refuse: Callable[[str, Refusal], None],
        advance: Callable[[int], None],
        complain: Callable[[str], None],
        changed: Callable[[str, FieldChange], None] = lambda path, change: None,
        refused_lines: RefusedLines | None = None,
    ) -> None:
        self._refuse = refuse
        self._advance = advance
        self._complain = complain
        self._changed = changed
        self._refused_lines = refused_lines
        self.failures: list[str] = []
        self._failed: dict[str, list[str]] = {}
        self.changes: list[FieldChange] = []
        self.counts: dict[str, int] = dict.fromkeys(
            ("lines", "inserted", "updated", "duplicate", "conflict", "quarantined", "parked", "rounded", "refused"), 0
        )

    @property
    def is_clean(self) -> bool:
        """Whether every file was read to its end, and no line was refused or in conflict."""
        return not (self.counts["refused"] or self.counts["conflict"] or self.failures)

    def add_refusal(self, path: str, refusal: Refusal, outcome: str = "refused") -> None:
        """Report a line that was refused, or (another `outcome`) stored and not counted among the positions."""
        self.add(outcome)
        self._refuse(path, refusal)
        if self._refused_lines is not None:
            self._refused_lines.write(path, refusal)

    def add_failure(self, path: str, reason: str) -> None:
        """Report a file that was not read, or not to its end."""
        name = display_name(path)
        reason = reason.removeprefix(f"{name}: ")
        told = f"{name}: {reason}"
        self.failures.append(told)
        files = self._failed.setdefault(reason, [])
        if not files:
            self._complain(told)
        files.append(name)

    def tell_repeated_failures(self) -> None:
        """Say once of each failure in how many more files it was, and in which."""
        for reason, (_, *more) in self._failed.items():
            if more:
                names = ", ".join(more[:SHOWN_FILES]) + (", ..." if len(more) > SHOWN_FILES else "")
                self._complain(f"{len(more):,} more {'file' if len(more) == 1 else 'files'} ({names}): {reason}")

    def add_change(self, path: str, change: FieldChange) -> None:
        """Report a change of a stored record."""
        self.changes.append(change)
        self._changed(path, change)

    def add(self, outcome: str, count: int = 1) -> None:
        """Count lines with an outcome."""
        if count:
            self.counts[outcome] = self.counts.get(outcome, 0) + count

    def hold(self, line: int) -> None:
        """Keep a line, whose outcome only the end of the file shows."""
        if self._refused_lines is not None:
            self._refused_lines.hold(line)

    def count_lines(self, lines: int) -> None:
        """Count lines that were read and reported."""
        self.counts["lines"] += lines
        self._advance(lines)

    def end_batch(self) -> None:
        """The lines of a batch have been reported."""
        if self._refused_lines is not None:
            self._refused_lines.forget()

    def end_file(self) -> None:
        """The lines of a file have been reported."""
        if self._refused_lines is not None:
            self._refused_lines.forget(whole_file=True)


class Target(NamedTuple):
    """Where a load goes: the store, the rules of the engine, and who hears of every line.

    `judge` is for trades. `accept_changes` lets instruments that have trades change what those are worth. `whole` takes a file in
    one batch. `author` enters limits and margin rules.
    """

    store: LoadStore
    config: Config
    clock: Clock
    report: LoadReport
    judge: Judge = let_in
    accept_changes: bool = False
    whole: bool = False
    author: str = ""


def load(kind: str, paths: Sequence[str], options: ColumnOptions, target: Target) -> None:
    """Load files of one kind, in order. Raises StoreError; batches committed before stay.

    Of a damaged file the good lines before the damage are loaded (of nodes: none); the other files load as usual.
    """
    for path in paths:
        before = target.report.counts["lines"]
        try:
            if kind == "nodes":
                _load_nodes(path, options, target)
            elif kind == "instruments":
                _load_instruments(path, options, target)
            elif kind == "calendars":
                _load_calendars(path, options, target)
            elif kind == "trades":
                _load_trades(path, options, target)
            elif kind in ("cash", "carry"):
                _load_cash(kind, path, options, target)
            elif kind in ("vols", "rates"):
                _load_option_inputs(kind, path, options, target)
            elif kind == "actions":
                _load_actions(path, options, target)
            elif kind == "scenarios":
                _load_scenarios(path, options, target)
            elif kind in ("limits", "margin"):
                _load_risk_rules(kind, path, options, target)
            else:
                _load_records(kind, path, options, target)
        except (InputError, ReferenceDataError) as error:
            target.report.add_failure(path, f"{error}{_taken_before(kind, target.report.counts['lines'] - before)}")
        target.report.end_file()


def _taken_before(kind: str, lines: int) -> str:
    """What became of the lines before the damage of a file, as the rest of a sentence."""
    if not lines:
        return ""
    if kind == "nodes":
        return "; none of its nodes is taken"
    return f"; of the {lines:,} lines before that the good ones are taken, as counted"


def _batches(path: str, records: Numbered[_Record], report: LoadReport, whole: bool) -> Iterator[list[tuple[int, _Record]]]:
    """Good records in batches; refusals go to the report. Raises InputError after the good records before the damage."""
    batch: list[tuple[int, _Record]] = []
    damage: InputError | None = None
    remaining = iter(records)
    while True:
        try:
            line, record = next(remaining)
        except StopIteration:
            break
        except InputError as error:
            damage = error
            break
        if isinstance(record, Refusal):
            report.add_refusal(path, record)
            report.count_lines(1)
            continue
        batch.append((line, record))
        if len(batch) == BATCH and not whole:
            yield batch
            report.count_lines(len(batch))
            report.end_batch()
            batch = []
    if batch:
        yield batch
        report.count_lines(len(batch))
    if damage is not None:
        raise damage


# -- nodes, instruments, balances, prices ------------------------------------------------------------------------


def _load_nodes(path: str, options: ColumnOptions, target: Target) -> None:
    """Store all nodes of a file at once: with those in the store they must form one tree, else none is stored."""
    store = target.store
    everything = [item for batch in _batches(path, read_nodes(path, options), target.report, True) for item in batch]
    if not everything:
        return
    nodes = [node for _, node in everything]
    stored, replaced = store.nodes(), {node.node for node in nodes}
    Hierarchy((*(node for node in stored if node.node not in replaced), *nodes))
    _check_desks(stored, nodes, store)
    known = {node.node: node for node in stored}
    changes = [change for line, node in everything for change in _changes(line, node.node, known.get(node.node), node)]
    _count(path, everything, store.save_nodes(nodes), target.report)
    for change in changes:
        target.report.add_change(path, change)


def _check_desks(stored: Sequence[Node], nodes: Sequence[Node], store: LoadStore) -> None:
    """Raise ReferenceDataError for nodes below a desk with trades or balances: those attach to leaves."""
    parents = {node.parent for node in stored}
    desks = {node.node for node in stored} - parents
    carried = {row.desk for row in store.cash_beyond(None).rows if isinstance(row, CarryRow)}
    for desk in sorted(desks & {node.parent for node in nodes}):
        _, trades = store.select_trades(TradeFilter(desks=[desk]), 1)
        if trades or desk in carried or any(opening.desk == desk for opening in store.openings()):
            raise ReferenceDataError(f"node {desk!r} has trades or balances: nodes cannot be put below it")


def _load_instruments(path: str, options: ColumnOptions, target: Target) -> None:
    """Store instruments. One that has trades keeps what those are worth, unless `accept_changes` says otherwise."""
    report, store = target.report, target.store
    known = {instrument.instrument: instrument for instrument in store.instruments()}
    held = {opening.instrument for opening in store.openings()}
    held |= {row.instrument for row in store.cash_beyond(None).rows if isinstance(row, CarryRow)}
    records = with_known_underlyings(read_instruments(path, options), known, options.near, report.hold)
    for batch in _batches(path, records, report, target.whole):
        taken: list[tuple[int, Instrument]] = []
        changes: list[FieldChange] = []
        for line, instrument in batch:
            symbol = instrument.instrument
            before = known.get(symbol)
            of_line = _changes(line, symbol, before, instrument)
            terms = [change for change in of_line if before is not None and changes_worth(change.field, before, instrument)]
            if terms and not target.accept_changes and (symbol in held or _is_traded(store, symbol)):
                report.add_refusal(path, _refused_change(terms))
                continue
            known[symbol] = instrument
            taken.append((line, instrument))
            changes += of_line
        _count(path, taken, store.save_instruments([instrument for _, instrument in taken]), report)
        for change in changes:
            report.add_change(path, change)


def _load_calendars(path: str, options: ColumnOptions, target: Target) -> None:
    """Store calendar entries; one that replaces another is told."""
    report, store = target.report, target.store
    known = {entry.key: entry for entry in store.calendar_state().entries}
    for batch in _batches(path, read_calendars(path, options), report, target.whole):
        for line, entry in batch:
            told = f"{entry.calendar} {entry.date or 'always'}"
            for change in _changes(line, told, known.get(entry.key), entry):
                report.add_change(path, change)
            known[entry.key] = entry
        _count(path, batch, store.save_calendars([entry for _, entry in batch]), report)


def _is_traded(store: LoadStore, symbol: str) -> bool:
    _, count = store.select_trades(TradeFilter(instrument=symbol, versions="all"), 1)
    return count > 0


def _refused_change(terms: Sequence[FieldChange]) -> Refusal:
    line, symbol, field, *_ = terms[0]
    told = ", ".join(f"{change.field} {change.old} -> {change.new}" for change in terms)
    reason = f"{symbol} has trades or balances, and their worth would change: {told}; --accept-changes takes it"
    return Refusal(line, field, reason)


def _changes(line: int, name: str, old: _Stored | None, new: _Stored) -> list[FieldChange]:
    """The columns in which a record differs from the stored one."""
    if old is None or old == new:
        return []
    before, after = structs.asdict(old), structs.asdict(new)
    return [
        FieldChange(line, name, field, _value_text(field, before[field]), _value_text(field, after[field]))
        for field in after
        if before[field] != after[field]
    ]


def _value_text(field: str, value: Any) -> str:
    if field == "multiplier":
        return to_text(value, MULTIPLIER_DECIMALS)
    return str(value) if value != "" else "empty"


def _load_records(kind: str, path: str, options: ColumnOptions, target: Target) -> None:
    store = target.store
    instruments = {instrument.instrument: instrument for instrument in store.instruments()}
    records: Numbered[Any]
    save: Callable[[Any], Saved]
    if kind == "closes":
        records, save = read_closes(path, options, instruments, target.config.price_units), store.save_closes
    elif kind == "marks":
        marks = read_marks(path, options, instruments, target.config.price_units)
        records, save = _check_marks_are_past(marks, target), store.save_marks
    else:
        leaves = Hierarchy(store.nodes()).leaves
        records, save = _check_desks_exist(read_openings(path, options, instruments), leaves, options), store.save_openings
    batch: list[tuple[int, Any]]
    for batch in _batches(path, records, target.report, target.whole):
        loaded: list[Any] = [record for _, record in batch]
        changes = _new_prices(batch, store) if kind == "closes" else ()
        _count(path, batch, save(loaded), target.report)
        for change in changes:
            target.report.add_change(path, change)


def _new_prices(batch: Sequence[tuple[int, Any]], store: LoadStore) -> list[FieldChange]:
    """The lines that give a stored close another price: each is a new version of it."""
    dates = {close.date for _, close in batch}
    known = {(each.date, each.instrument): each.price for date in dates for each in store.closes(date)}
    changes = []
    for line, close in batch:
        before = known.get((close.date, close.instrument))
        if before is not None and before != close.price:
            changes.append(FieldChange(line, f"{close.instrument} {close.date}", "price", repr(before), repr(close.price)))
        known[close.date, close.instrument] = close.price
    return changes


def _check_marks_are_past(records: Numbered[StoredMark], target: Target) -> Numbered[StoredMark]:
    """Refuse marks further ahead of the clock than ticks may be: such a price would be in force until its time has come."""
    limit_s = target.config.engine.future_limit_s
    latest = target.clock.now() + int(limit_s * MICROS_PER_SECOND)
    for line, record in records:
        if isinstance(record, StoredMark) and record.ts > latest:
            yield line, Refusal(line, "ts", f"is more than {limit_s:g} s ahead of the clock")
        else:
            yield line, record


def _check_desks_exist(records: Numbered[Opening], leaves: Iterable[str], options: ColumnOptions) -> Numbered[Opening]:
    known = frozenset(leaves)
    for line, record in records:
        if isinstance(record, Opening) and record.desk not in known:
            hint = options.near("desk", record.desk)
            yield line, Refusal(line, "desk", f"unknown desk {record.desk!r}, or not a leaf node{hint}")
        else:
            yield line, record


def _count(path: str, batch: Sequence[tuple[int, Any]], saved: Saved, report: LoadReport) -> None:
    report.add("inserted", saved.inserted)
    report.add("updated", saved.updated)
    report.add("duplicate", saved.duplicate)
    report.add("superseded", saved.superseded)
    for refusal in saved.refused:
        report.add_refusal(path, Refusal(batch[refusal.index][0], refusal.field, refusal.reason))


def _load_option_inputs(kind: str, path: str, options: ColumnOptions, target: Target) -> None:
    """Store vols or rates, the newest of each subject; an older one than is stored is superseded, and not stored."""
    store, report, engine, now = target.store, target.report, target.config.engine, target.clock.now()
    check = OptionInputCheck({each.instrument: each for each in store.instruments()}, engine.future_limit_s)
    known, day_of = OptionMarket(store.option_inputs(), now), TradingDay.of(engine).date_of
    read = read_vols if kind == "vols" else read_rates
    records: Numbered[Any] = read(path, options, check, now)
    for batch in _batches(path, records, report, target.whole):
        kept: list[DatedInput] = []
        for _, row in batch:
            before = known.in_force(row)
            if known.take((row,), now).older:
                report.add("superseded")
            elif row == before:
                report.add("duplicate")
            else:
                report.add("inserted" if before is None else "updated")
                kept.append(DatedInput(day_of(row.ts).isoformat(), row))
        if kept:
            store.save_option_inputs(kept)


# -- cash and carry ----------------------------------------------------------------------------------------------


def _load_cash(kind: str, path: str, options: ColumnOptions, target: Target) -> None:
    """Store external movements or carry, and say of each record that the engine will keep out of the numbers why."""
    store, report, config = target.store, target.report, target.config.engine
    reference = Reference(store.nodes(), store.instruments(), config.reporting_currency)
    check = EntryCheck(trade_check(reference), opening_times(store.openings()), config.future_limit_s)
    records: Numbered[Any] = read_cash(path, options, check) if kind == "cash" else read_carry(path, options, check)
    for batch in _batches(path, records, report, target.whole):
        saved = store.save_cash(kind, [record for _, record in batch])
        for (line, record), (outcome, received_ts) in zip(batch, saved, strict=True):
            if outcome == "conflict":
                report.add_refusal(path, Refusal(line, "", f"conflict: {CASH_CONFLICT_REASON}"), "conflict")
            elif outcome == "existing":
                report.add("duplicate")
            elif reason := check.kept_out(structs.replace(record, received_ts=received_ts)):
                report.add_refusal(path, Refusal(line, "", f"quarantined: {reason}"), "quarantined")
            else:
                report.add(outcome)


# -- corporate actions -------------------------------------------------------------------------------------------


def _load_actions(path: str, options: ColumnOptions, target: Target) -> None:
    """Store versions of corporate actions; one that says something else than the stored one is a conflict, and stays out."""
    store, report = target.store, target.report
    instruments = {instrument.instrument: instrument for instrument in store.instruments()}
    for batch in _batches(path, read_actions(path, options, instruments, target.clock.now()), report, target.whole):
        outcomes = store.save_actions([action for _, action in batch])
        for (line, _), outcome in zip(batch, outcomes, strict=True):
            if outcome == "conflict":
                report.add_refusal(path, Refusal(line, "", f"conflict: {ACTION_CONFLICT}"), "conflict")
            else:
                report.add("duplicate" if outcome == "existing" else outcome)


# -- scenarios ---------------------------------------------------------------------------------------------------


def _load_scenarios(path: str, options: ColumnOptions, target: Target) -> None:
    """Store shifts of scenarios; one that replaces another is told."""
    store, report = target.store, target.report
    known = {shift.key: shift for shift in store.scenario_shifts()}
    check = ScenarioShiftCheck({each.instrument: each for each in store.instruments()}, HISTORICAL_SHOCKS)
    for batch in _batches(path, read_scenarios(path, options, check), report, target.whole):
        for line, shift in batch:
            what = shift.instrument or shift.currency or shift.sector or "all"
            for change in _changes(line, f"{shift.scenario} {shift.factor} {what}", known.get(shift.key), shift):
                report.add_change(path, change)
            known[shift.key] = shift
        _count(path, batch, store.save_scenario_shifts([shift for _, shift in batch]), report)


# -- limits and margin rules -------------------------------------------------------------------------------------


def _load_risk_rules(kind: str, path: str, options: ColumnOptions, target: Target) -> None:
    """Store versions of limits or margin rules; one that says something else than the stored one is a conflict, and stays out."""
    store, report, now = target.store, target.report, target.clock.now()
    reference = Reference(store.nodes(), store.instruments(), target.config.engine.reporting_currency)
    records: Numbered[Any]
    if kind == "limits":
        check = LimitCheck(reference.hierarchy, reference.by_symbol, reference.currency_index)
        records = read_limits(path, options, check, now, target.author)
    else:
        records = read_margin_rules(path, options, MarginRuleCheck(reference.hierarchy), now, target.author)
    for batch in _batches(path, records, report, target.whole):
        rules: list[Any] = [record for _, record in batch]
        outcomes = store.save_risk_rules(LIMIT if kind == "limits" else MARGIN, rules)
        for (line, _), outcome in zip(batch, outcomes, strict=True):
            if outcome == "conflict":
                report.add_refusal(path, Refusal(line, "version", f"conflict: {ANOTHER_STORED}"), "conflict")
            else:
                report.add("duplicate" if outcome == "existing" else outcome)


# -- trades ------------------------------------------------------------------------------------------------------


def _load_trades(path: str, options: ColumnOptions, target: Target) -> None:
    """Store trades, and say of each that the engine will keep out of the positions why.

    Whether the trade of a cancel has come shows at the end of the file.
    """
    store, report = target.store, target.report
    currency, units = target.config.engine.reporting_currency, target.config.price_units
    reference = Reference(store.nodes(), store.instruments(), currency, price_units=units)
    check = partial(_check_counting, trade_check(reference), report)
    cancels: list[tuple[int, Identity]] = []
    damage: InputError | None = None
    try:
        for batch in _batches(path, read_trades(path, options, check, target.clock.now), report, False):
            stored = store.append_trades([trade for _, trade in batch])
            for (line, trade), one in zip(batch, stored, strict=True):
                _report_trade(path, line, trade, one, target, cancels)
    except InputError as error:
        damage = error
    _report_cancels(path, cancels, target)
    if damage is not None:
        raise damage


def _check_counting(check: TradeCheck, report: LoadReport, sent: TradeInput, received_ts: int, default_source: str) -> Trade:
    """The checked trade; counts it if its fees were rounded. Raises Rejected."""
    trade = check(sent, received_ts, default_source)
    if has_rounded_fees(sent):
        report.add("rounded")
    return trade


def _report_trade(
    path: str, line: int, trade: Trade, stored: Stored, target: Target, cancels: list[tuple[int, Identity]]
) -> None:
    report = target.report
    if stored.outcome == "conflict":
        report.add_refusal(path, Refusal(line, "", f"conflict: {CONFLICT_REASON}"), "conflict")
    elif stored.outcome == "existing":
        report.add("duplicate")
        report.add(OTHER_ATTRIBUTES, bool(stored.other_attributes))
    elif reason := target.judge(trade):
        report.add_refusal(path, Refusal(line, "", f"quarantined: {reason}"), "quarantined")
    elif trade.action == "cancel":
        cancels.append((line, trade.identity))
        report.hold(line)
    else:
        report.add("inserted")


def _report_cancels(path: str, cancels: Sequence[tuple[int, Identity]], target: Target) -> None:
    """Report the cancels of a file: parked where the store has no version of their trade that is no cancel."""
    for first in range(0, len(cancels), BATCH):
        some = cancels[first : first + BATCH]
        rows = target.store.trades_of_deals(list({(identity.source, identity.trade_id) for _, identity in some}))
        dealt = {Identity(row.source, row.trade_id, row.leg) for row in rows if row.action != "cancel"}
        for line, identity in some:
            if identity in dealt:
                target.report.add("inserted")
            else:
                target.report.add_refusal(path, Refusal(line, "", PARKED_REASON), "parked")
