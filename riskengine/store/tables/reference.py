"""The tables `nodes`, `instruments`, `openings`, `marks`, `closes` and `meta`. Inside the caller's transaction."""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from riskengine.clock import MICROS_PER_SECOND
from riskengine.errors import StoreCorrupt, StoreError
from riskengine.records.actions import ACTION_FIELDS
from riskengine.records.fields import Rejected, excerpt, fixed, to_text
from riskengine.records.instrument_terms import check_contract_multiplier
from riskengine.records.types import DECIMALS, MULTIPLIER_DECIMALS, Close, Instrument, Kind, Node, Opening, Refusal, StoredMark
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import Saved, StoreState, TableCounts

_INSTRUMENT_FIELDS = (
    "instrument",
    "kind",
    "base_currency",
    "quote_currency",
    "price_decimals",
    "quantity_decimals",
    "multiplier",
    "sector",
    "underlying",
    "option_type",
    "strike",
    "expiry",
    "delta_type",
    "calendar",
    "premium_currency",
    "premium_style",
    "cut",
    "settlement",
    "exercise",
    "greeks",
    "bf_style",
    "fixing_date",
    "fixing_source",
    "settlement_currency",
)
FIRST_INSTRUMENT_FIELDS = 18
"""The columns of instruments that every version of the audit trail recorded. Those after them came later, and were empty."""

_NODE_FIELDS = ("node", "level", "parent")
_OPENING_FIELDS = ("desk", "dealer", "instrument", "ts", "quantity", "average_price", "realised", "fees")
_CLOSE_FIELDS = ("date", "instrument", "price")
CALENDAR_FIELDS = ("calendar", "entry", "date", "kind", "open", "close", "zone", "comment")
"""The columns of the table `calendars`, in the order of its query."""

SCENARIO_FIELDS = (
    "scenario",
    "factor",
    "instrument",
    "currency",
    "sector",
    "everything",
    "relative",
    "absolute",
    "comment",
)
"""The columns of the table `scenario_shifts`, in the order of its query."""

MARK_AHEAD_US = 3600 * MICROS_PER_SECOND
"""How far ahead of the clock a tick, and so a mark, may be at most (`[engine] future_limit_s`)."""


class RecordedTable(NamedTuple):
    """A table whose records go into the audit trail: its columns, of which the first `key` name a record.

    Entries of an earlier version may have the first `first` columns alone; the others were empty texts then. 0: all of them.
    """

    columns: tuple[str, ...]
    key: int
    first: int = 0

    def widened(self, columns: Sequence[str], records: Iterable[list[Any]]) -> list[list[Any]]:
        """Recorded rows with every column of today. Raises ValueError for columns that no version of the table had."""
        size = len(columns)
        if tuple(columns) != self.columns[:size] or size < (self.first or len(self.columns)):
            raise ValueError("its columns are not those of the table")
        missing = [""] * (len(self.columns) - size)
        return [[*record, *missing] for record in records]


RECORDED = {
    "nodes": RecordedTable(_NODE_FIELDS, 1),
    "instruments": RecordedTable(_INSTRUMENT_FIELDS, 1, FIRST_INSTRUMENT_FIELDS),
    "openings": RecordedTable(_OPENING_FIELDS, 3),
    "closes": RecordedTable(_CLOSE_FIELDS, 2),
    "calendars": RecordedTable(CALENDAR_FIELDS, 3),
    "cash": RecordedTable(("cash_id", "version", "node", "currency", "ts", "amount", "comment"), 2),
    "carry": RecordedTable(("carry_id", "version", "desk", "dealer", "instrument", "currency", "ts", "amount", "type"), 2),
    "actions": RecordedTable(ACTION_FIELDS, 2),
    "scenario_shifts": RecordedTable(SCENARIO_FIELDS, 6),
}
"""By the name of the table; the query that reads all of a table has the same name."""

_Record = TypeVar("_Record")
_Key = TypeVar("_Key")


# -- nodes and instruments ---------------------------------------------------------------------------------------


def nodes(transaction: Transaction) -> list[Node]:
    """All nodes by name."""
    return [Node(*row) for row in transaction.rows("nodes")]


def save_nodes(transaction: Transaction, records: Sequence[Node], trail: Trail) -> Saved:
    """Insert or update by name, and record the changes in the trail."""
    stored = {node.node: node for node in nodes(transaction)}
    saved, changed = compare(records, stored, lambda node: node.node)
    rows = [(node.node, node.level, node.parent) for node in changed]
    transaction.run("node_save", rows)
    trail.records("nodes", _NODE_FIELDS, rows)
    return saved


def instruments(transaction: Transaction) -> list[Instrument]:
    """All instruments by symbol. Raises StoreError naming an instrument that cannot be read."""
    return [_instrument(row) for row in transaction.rows("instruments")]


def save_instruments(transaction: Transaction, records: Sequence[Instrument], trail: Trail) -> Saved:
    """Insert or update by symbol, and record the changes in the trail."""
    stored = {instrument.instrument: instrument for instrument in instruments(transaction)}
    saved, changed = compare(records, stored, lambda instrument: instrument.instrument)
    rows = [_instrument_values(instrument) for instrument in changed]
    transaction.run("instrument_save", rows)
    trail.records("instruments", _INSTRUMENT_FIELDS, rows)
    return saved


def compare(
    records: Iterable[_Record], stored: dict[_Key, _Record], key: Callable[[_Record], _Key]
) -> tuple[Saved, list[_Record]]:
    """The outcomes, counted, and the records to write, in order. `stored` takes them over."""
    inserted = updated = duplicate = 0
    changed = []
    for record in records:
        before = stored.get(key(record))
        if before == record:
            duplicate += 1
            continue
        inserted += before is None
        updated += before is not None
        stored[key(record)] = record
        changed.append(record)
    return Saved(inserted, updated, duplicate), changed


def _instrument(row: tuple[Any, ...]) -> Instrument:
    values = dict(zip(_INSTRUMENT_FIELDS, row, strict=True))
    try:
        exact = fixed(values["multiplier"], MULTIPLIER_DECIMALS, "multiplier")
        if exact <= 0:
            raise Rejected("multiplier", "must be above 0")
    except Rejected as rejected:
        raise StoreError(f"instrument {excerpt(row[0])} in the store: {rejected}") from None
    values["multiplier"] = exact // 10 ** (DECIMALS - MULTIPLIER_DECIMALS)
    values["kind"] = Kind(values["kind"])
    instrument = Instrument(**values)
    try:
        check_contract_multiplier(instrument)
    except Rejected as rejected:
        raise StoreError(f"instrument {excerpt(row[0])} in the store: {rejected}") from None
    return instrument


def _instrument_values(instrument: Instrument) -> tuple[Any, ...]:
    values = {field: getattr(instrument, field) for field in _INSTRUMENT_FIELDS}
    values["kind"] = instrument.kind.value
    values["multiplier"] = to_text(instrument.multiplier, MULTIPLIER_DECIMALS)
    return tuple(values.values())


# -- balances ----------------------------------------------------------------------------------------------------


def openings(transaction: Transaction) -> list[Opening]:
    """All opening balances by (desk, dealer, instrument)."""
    return [_opening(row) for row in transaction.rows("openings")]


def save_openings(transaction: Transaction, records: Sequence[Opening], trail: Trail) -> Saved:
    """Insert and record in the trail. An equal balance is a duplicate, a different one is refused."""
    stored = {(opening.desk, opening.dealer, opening.instrument): opening for opening in openings(transaction)}
    known = _instrument_names(transaction)
    duplicate, new, refused = 0, [], []
    for index, opening in enumerate(records):
        key = (opening.desk, opening.dealer, opening.instrument)
        before = stored.get(key)
        if before == opening:
            duplicate += 1
        elif before is not None:
            fields = [field for field in opening.__struct_fields__ if getattr(before, field) != getattr(opening, field)]
            refused.append(Refusal(index, fields[0], "differs from the opening balance that is stored"))
        elif opening.instrument not in known:
            refused.append(_unknown_instrument(index, opening.instrument))
        else:
            stored[key] = opening
            new.append(opening)
    rows = [_opening_values(opening) for opening in new]
    transaction.run("opening_insert", rows)
    trail.records("openings", _OPENING_FIELDS, rows)
    return Saved(inserted=len(new), duplicate=duplicate, refused=tuple(refused))


def _opening(row: tuple[Any, ...]) -> Opening:
    desk, dealer, instrument, ts, *numbers = row
    names = ("quantity", "average_price", "realised", "fees")
    try:
        exact = {field: fixed(text, DECIMALS, field) for field, text in zip(names, numbers, strict=True)}
    except Rejected as rejected:
        place = f"{excerpt(desk)}, {excerpt(dealer)}, {excerpt(instrument)}"
        raise StoreError(f"opening balance of {place} in the store: {rejected}") from None
    return Opening(desk=desk, dealer=dealer, instrument=instrument, ts=ts, **exact)


def _opening_values(opening: Opening) -> tuple[Any, ...]:
    numbers = (opening.quantity, opening.average_price, opening.realised, opening.fees)
    return (opening.desk, opening.dealer, opening.instrument, opening.ts, *map(to_text, numbers))


# -- prices ------------------------------------------------------------------------------------------------------


def marks(transaction: Transaction) -> list[StoredMark]:
    """The stored mark of each instrument."""
    return [StoredMark(*row) for row in transaction.rows("marks")]


def marks_of_others(transaction: Transaction) -> list[StoredMark]:
    """The stored marks that no engine saved. O(those)."""
    return [StoredMark(*row) for row in transaction.rows("marks_of_others")]


def save_marks(transaction: Transaction, records: Sequence[StoredMark], save: int, now: int) -> Saved:
    """Keep the mark with the newest ts, on ties the later one. Cost 5 us a mark and 2 us for each stored one.

    A stored mark from ahead of the clock gives way to every other one, as it does in a running engine: kept, it would be in
    force again after each start. `save` is the number of this save if the engine makes it, another one each time; 0: another
    program. `now` is the time.
    """
    latest = now + MARK_AHEAD_US
    stored = {mark.instrument: mark for mark in marks(transaction)}
    known = _instrument_names(transaction)
    changed: dict[str, StoredMark] = {}
    inserted = updated = duplicate = superseded = 0
    refused = []
    for index, mark in enumerate(records):
        before = stored.get(mark.instrument)
        if before == mark:
            duplicate += 1
        elif before is not None and mark.ts < before.ts <= latest:
            superseded += 1
        elif mark.instrument not in known:
            refused.append(_unknown_instrument(index, mark.instrument))
        else:
            inserted += before is None
            updated += before is not None
            stored[mark.instrument] = changed[mark.instrument] = mark
    values = ((mark.instrument, mark.ts, mark.price, mark.source, mark.kind, save) for mark in changed.values())
    transaction.run("mark_save", values)
    return Saved(inserted, updated, duplicate, superseded, tuple(refused))


def closes(transaction: Transaction, date: str | None) -> list[Close]:
    """The closes of a date, or of all dates (None)."""
    if date is None:
        return _closes(transaction.rows("closes"))
    return _closes(transaction.rows("closes_of_date", (date,)))


def latest_closes(transaction: Transaction, up_to: str) -> list[Close]:
    """The newest close of each instrument among those dated up to a date, included."""
    return _closes(transaction.rows("latest_closes", (up_to,)))


def closes_after(transaction: Transaction, date: str, limit: int) -> list[Close]:
    """The first closes dated after a date, by date."""
    return _closes(transaction.rows("closes_after", (date, limit)))


def _closes(rows: Iterable[tuple[Any, ...]]) -> list[Close]:
    """The closes of rows. Raises StoreCorrupt for one of another program that is no close: it names what to correct."""
    found = [Close(*row) for row in rows]
    for close in found:
        try:
            dt.date.fromisoformat(close.date)
        except ValueError:
            reason = f"the table closes has a close of {close.instrument} on {close.date}, which is no date: correct it"
            raise StoreCorrupt(reason) from None
        if not math.isfinite(close.price):
            raise StoreCorrupt(f"the table closes has {close.price} for {close.instrument} on {close.date}: correct it")
    return found


def save_closes(transaction: Transaction, records: Sequence[Close], trail: Trail) -> Saved:
    """Insert and record in the trail. An equal close is a duplicate; another price is a new version, which counts from then on.

    Cost 5 us a close and 2 us for each of its date.
    """
    known = _instrument_names(transaction)
    stored = {
        (close.date, close.instrument): close.price
        for date in {close.date for close in records}
        for close in closes(transaction, date)
    }
    changed, inserted, updated, duplicate, refused = [], 0, 0, 0, []
    for index, close in enumerate(records):
        before = stored.get((close.date, close.instrument))
        if close.instrument not in known:
            refused.append(_unknown_instrument(index, close.instrument))
        elif before == close.price:
            duplicate += 1
        else:
            inserted += before is None
            updated += before is not None
            stored[close.date, close.instrument] = close.price
            changed.append((close.date, close.instrument, close.price))
    transaction.run("close_save", changed)
    trail.records("closes", _CLOSE_FIELDS, changed)
    return Saved(inserted, updated, duplicate, refused=tuple(refused))


def _instrument_names(transaction: Transaction) -> set[str]:
    return {row[0] for row in transaction.rows("instrument_names")}


def _unknown_instrument(index: int, instrument: str) -> Refusal:
    return Refusal(index, "instrument", f"unknown instrument {excerpt(instrument)}")


# -- the store itself --------------------------------------------------------------------------------------------


def counts(transaction: Transaction) -> TableCounts:
    """Rows in each table."""
    return TableCounts._make(transaction.rows("counts")[0])


def state(transaction: Transaction, epoch_key: str, watermark: int, trades: int) -> StoreState:
    """How far the store has come. `trades` is the count up to `watermark`; only later rows are counted now."""
    found = transaction.rows("standing", (epoch_key, watermark))[0]
    store_id, epoch, highest, received_ts, more, audit_seq, audit_hash, issued = found
    return StoreState(store_id, int(epoch), highest, received_ts, trades + more, audit_seq, audit_hash, issued)


def audit_hash(transaction: Transaction, audit_seq: int) -> str | None:
    """The hash of an entry of the audit trail, None if there is no such entry."""
    found = transaction.rows("audit_hash_at", (audit_seq,))
    return str(found[0][0]) if found else None


def get_meta(transaction: Transaction, key: str) -> str | None:
    """A value of the table `meta`, None if it has no such key."""
    found = transaction.rows("meta_get", (key,))
    return str(found[0][0]) if found else None


def set_meta(transaction: Transaction, key: str, value: str) -> None:
    """Set a value of the table `meta`."""
    transaction.run("meta_set", [(key, value)])
