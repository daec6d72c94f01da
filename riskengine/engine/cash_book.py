"""The cash and carry records of one engine: every version that the store holds, and which of them count.

The highest version of an id that takes part counts, whatever the order of arrival; one that takes no part (a node that nobody has
loaded, a time from ahead) is kept out and listed, and the version before it counts. Carry stands in positions. An external
movement comes into force at its time. The same records give the same state, at a start and live. Writer thread only.
"""

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from sortedcontainers import SortedKeyList

from riskengine.positions.ledger import Ledger
from riskengine.records.cash import CARRY, CASH, KEPT_OUT, CarryRecord, CashMovement, CashRow, EntryCheck, StoredCashRow
from riskengine.records.fields import Rejected
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_PER_ONE, Kind
from riskengine.valuation.cash_values import NodeCash

NO_NOTIONAL = frozenset({Kind.FUTURE, Kind.FX_FORWARD})
"""Kinds of which nothing is paid with the trade."""

RecordId = tuple[str, str]
"""The kind of a record, `cash` or `carry`, and its id."""


class KeptOutRecord(NamedTuple):
    """A version of a record that takes no part: its kind, id, version and time of arrival, and why."""

    kind: str
    record_id: str
    version: int
    received_ts: int
    reason: str


class CashTaken(NamedTuple):
    """What became of rows: which were new or said something else, and the versions among them that take no part."""

    changed: int
    kept_out: tuple[KeptOutRecord, ...]


def _time_order(record: CashMovement | CarryRecord) -> tuple[int, str]:
    return record.ts, record.record_id


class CashBook:
    """All versions by id, the one of each that counts, and the movements that wait for their time."""

    def __init__(self, ledger: Ledger, node_cash: NodeCash, check: EntryCheck) -> None:
        self._ledger = ledger
        self._node_cash = node_cash
        self._check = check
        self._index = ledger.reference.hierarchy.index
        self._kind_of = {symbol: each.kind for symbol, each in ledger.reference.by_symbol.items()}
        self._versions: dict[RecordId, dict[int, StoredCashRow]] = {}
        self._standing: dict[RecordId, CashMovement | CarryRecord] = {}
        self._kept_out: dict[RecordId, tuple[KeptOutRecord, ...]] = {}
        self._waiting: SortedKeyList = SortedKeyList(key=lambda movement: (movement.ts, movement.cash_id))
        self._in_force: dict[str, CashMovement] = {}
        self._by_time: SortedKeyList = SortedKeyList(key=_time_order)
        self._without_notional: dict[str, CarryRecord] = {}
        self._now = 0

    def grow(self, reference: Reference) -> None:
        """Know the forwards that a reference has beyond this one's. O(new ones)."""
        new = reference.instruments[len(self._kind_of) :]
        self._kind_of.update((each.instrument, each.kind) for each in new)

    @property
    def kept_out(self) -> Iterator[KeptOutRecord]:
        """The versions that take no part, in no order."""
        return (each for versions in self._kept_out.values() for each in versions)

    @property
    def kept_out_count(self) -> int:
        """How many those are. O(ids that have some)."""
        return sum(map(len, self._kept_out.values()))

    def rows(self) -> list[StoredCashRow]:
        """Every version of every record, as the store has it. O(records)."""
        return [row for versions in self._versions.values() for row in versions.values()]

    @property
    def movements(self) -> Iterator[CashMovement]:
        """The external movements that count, in force or not yet."""
        return (each for each in self._standing.values() if isinstance(each, CashMovement))

    def carry_of(self, instruments: Container[str]) -> list[CarryRecord]:
        """The carry that counts of some instruments. O(records)."""
        return [each for each in self._standing.values() if isinstance(each, CarryRecord) and each.instrument in instruments]

    @property
    def waiting(self) -> Iterator[CashMovement]:
        """The external movements whose time has not come, by time."""
        return iter(self._waiting)

    def since(self, ts: int) -> Iterator[CashMovement | CarryRecord]:
        """The records that count and are dated from a moment on, those to come included. O(log n + those)."""
        return self._by_time.irange_key(min_key=(ts, ""))  # type: ignore[no-any-return]

    def own_movements(self, until: int) -> dict[tuple[int, str], int]:
        """The external movements in force that are dated before a moment, by node number and currency, units of 1e-28."""
        sums = self._node_cash.own_movements
        for node, currency, units in self._moved_since(until):
            sums[node, currency] = sums.get((node, currency), 0) - units
        return {key: units for key, units in sums.items() if units}

    def begin_day(self, start_ts: int) -> None:
        """A trading day has begun: the movements dated in it are kept apart from those before."""
        self._node_cash.begin_day(start_ts, list(self._moved_since(start_ts)))

    def _moved_since(self, ts: int) -> Iterator[tuple[int, str, int]]:
        for record in self.since(ts):
            if isinstance(record, CashMovement) and record.cash_id in self._in_force:
                yield self._index[record.node], record.currency, record.amount * CASH_PER_ONE

    @property
    def without_notional(self) -> Iterator[CarryRecord]:
        """The carry of futures and forwards, whose net cash is no money of its date."""
        return iter(self._without_notional.values())

    def in_force_before(self, ts: int) -> dict[str, dict[str, int]]:
        """The movements from before a moment, by node and currency, units of 1e-10: what a day brought forward. O(records)."""
        found: dict[str, dict[str, int]] = {}
        for movement in self._in_force.values():
            if movement.ts < ts:
                of_node = found.setdefault(movement.node, {})
                of_node[movement.currency] = of_node.get(movement.currency, 0) + movement.amount
        return found

    def take(self, rows: Iterable[StoredCashRow], now: int, *, is_all: bool = False) -> CashTaken:
        """Take rows of the store; `is_all`: all other records are gone. 10 us a row that is new, 1 us one that is known."""
        self._now = max(now, self._now)
        changed: dict[RecordId, None] = {}
        seen: dict[RecordId, dict[int, StoredCashRow]] = {}
        count = 0
        for row in rows:
            key = (CASH if isinstance(row, CashRow) else CARRY, row[0])
            known = self._versions.get(key, {})
            seen.setdefault(key, {})[row.version] = row
            if known.get(row.version) != row:
                count += 1
                changed[key] = None
        if is_all:
            gone = {key for key, versions in self._versions.items() if versions.keys() - seen.get(key, {}).keys()}
            count += len(gone)
            changed |= dict.fromkeys(sorted(gone))
        for key in changed:
            versions = seen.get(key, {}) if is_all else self._versions.get(key, {}) | seen.get(key, {})
            if versions:
                self._versions[key] = versions
            else:
                self._versions.pop(key, None)
        self._judge(changed)
        return CashTaken(count, tuple(each for key in changed for each in self._kept_out.get(key, ())))

    def advance(self, now: int) -> bool:
        """Put the movements in force whose time has come. Returns whether there were any. O(1) where there are none."""
        self._now = max(now, self._now)
        came = False
        while self._waiting and self._waiting[0].ts <= self._now:
            movement = self._waiting.pop(0)
            self._move(movement, 1)
            came = True
        return came

    def _judge(self, keys: Iterable[RecordId]) -> None:
        """Find which version of these ids counts, and let it take the place of the one that did."""
        leaving: list[CarryRecord] = []
        entering: list[CarryRecord] = []
        for key in keys:
            before = self._standing.pop(key, None)
            now = self._find_standing(key)
            if now is not None:
                self._standing[key] = now
            if before == now:
                continue
            if before is not None:
                self._by_time.remove(before)
                self._without_notional.pop(before.record_id, None)
            if now is not None:
                self._by_time.add(now)
                if isinstance(now, CarryRecord) and self._kind_of[now.instrument] in NO_NOTIONAL:
                    self._without_notional[now.carry_id] = now
            if isinstance(before, CarryRecord):
                leaving.append(before)
            elif before is not None:
                self._take_back(before)
            if isinstance(now, CarryRecord):
                entering.append(now)
            elif now is not None:
                self._enter(now)
        self._ledger.change_carry(leaving, entering)

    def _find_standing(self, key: RecordId) -> CashMovement | CarryRecord | None:
        """The version of an id that counts; None if none does, or the highest says that there is nothing."""
        kind, record_id = key
        kept_out: list[KeptOutRecord] = []
        found: CashMovement | CarryRecord | None = None
        for version, row in sorted(self._versions.get(key, {}).items(), reverse=True):
            try:
                found = self._check.stored(row)
                break
            except Rejected as rejected:
                reason = rejected.reason if rejected.field == KEPT_OUT else str(rejected)
                received = row.received_ts if isinstance(row.received_ts, int) else 0
                kept_out.append(KeptOutRecord(kind, str(record_id), int(version), received, reason))
        self._kept_out.pop(key, None)
        if kept_out:
            self._kept_out[key] = tuple(kept_out)
        return found if found is not None and found.amount else None

    def _enter(self, movement: CashMovement) -> None:
        if movement.ts <= self._now:
            self._move(movement, 1)
        else:
            self._waiting.add(movement)

    def _take_back(self, movement: CashMovement) -> None:
        if movement.cash_id in self._in_force:
            self._move(movement, -1)
        else:
            self._waiting.remove(movement)

    def _move(self, movement: CashMovement, sign: int) -> None:
        if sign > 0:
            self._in_force[movement.cash_id] = movement
        else:
            del self._in_force[movement.cash_id]
        units = sign * movement.amount * CASH_PER_ONE
        self._node_cash.move(self._index[movement.node], movement.currency, units, movement.ts)
