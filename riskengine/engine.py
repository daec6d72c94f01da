"""The deterministic core: trades and marks in, snapshots out.

No clock, thread, socket or log in here: time is passed in, and the same list of events gives the same snapshots to the last
bit. One thread calls it (the writer). Trades take effect in `apply`, prices in `beat`; `publish` makes one immutable
snapshot of everything up to now, at the cost of what was touched since the last.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.currencies import CurrencyGraph
from riskengine.hierarchy import Reference
from riskengine.ledger import MASK, SHIFT, Changes, Ledger, Rollup
from riskengine.marks import Mark, MarkTable
from riskengine.messages import MULTIPLIER_DECIMALS, Opening, Trade
from riskengine.position import LateFold
from riskengine.processed import APPLIED, CONFLICT, DUPLICATE, PARKED, QUARANTINED, SUPERSEDED, Processed, Quarantine
from riskengine.snapshot import EMPTY_STATE, ROWS_PAGE, Counts, ExceptionItem, OwnerState, Snapshot, Table
from riskengine.valuation import PAGE, Factors, Units, Valuation

MAX_NOTICES = 10_000
"""Late trades and conflicts kept for the work list; older notices make room (the counts stay right)."""


ANOTHER_STANDS = "another trade of the same identity and version was stored first; it stands"


class Outcome(NamedTuple):
    """What became of one trade. `late`: it was refolded behind newer ones, outside the tolerance window."""

    status: str
    late: bool = False
    reason: str = ""


OUTCOMES = {status: Outcome(status) for status in (APPLIED, DUPLICATE, SUPERSEDED, PARKED)}
PLAIN = OUTCOMES[APPLIED]


class Engine:
    """The state of one writer. `snapshot` is the last one published; reading it needs no lock."""

    def __init__(self, reference: Reference, config: Config | None = None, *, epoch: int = 0, now: int = 0) -> None:
        config = config or Config()
        self.reference = reference
        self.processed = Processed()
        self.quarantine = Quarantine(reference.by_symbol, config.engine)
        self.ledger = Ledger(reference)
        self.marks = MarkTable(reference, config.marks)
        self._graph = CurrencyGraph(reference)
        self._multiplier = np.array([i.multiplier / 10**MULTIPLIER_DECIMALS for i in reference.instruments])
        self._cash_currency = np.array(reference.cash_currency, dtype=np.int64)
        self._tolerance = int(config.engine.tolerance_s * MICROS_PER_SECOND)
        self._counts = dict.fromkeys((APPLIED, DUPLICATE, CONFLICT, SUPERSEDED, PARKED, QUARANTINED, "late"), 0)
        self._late: deque[ExceptionItem] = deque(maxlen=MAX_NOTICES)
        self._conflicts: dict[str, ExceptionItem] = {}
        self._unreadable: dict[int, ExceptionItem] = {}
        self._exceptions: Mapping[str, tuple[ExceptionItem, ...]] = {}
        self._exceptions_changed = False
        self._listed_revision = 0
        self._watermark = 0
        self._last_trade_at = 0
        self._fresh = self.marks.fresh(now)
        self._priced = self.marks.priced.copy()
        self._rates = self._graph.rates(self.marks.price, self._priced, self._fresh)
        self._units: Units
        self._factors: Factors
        self._value_units(prices_only=False)
        self._organisation = Published(self.ledger.organisation, Valuation(reference, reference.hierarchy))
        self._dealers = Published(self.ledger.dealers, Valuation(reference, None))
        self._epoch = epoch
        self._seq = 0
        self._trade_seq = 0
        self.snapshot = self.publish(now)

    # -- trades ------------------------------------------------------------------------------------------------

    def open_with(self, openings: Iterable[Opening]) -> None:
        """Balances brought forward, before the trades of their positions."""
        for opening in openings:
            self.ledger.open_with(opening)
            self.quarantine.open_with(opening)

    def apply(self, trades: Sequence[Trade], now: int, watermark: int = 0) -> list[Outcome]:
        """Take a batch in its order of arrival; nothing is visible before `publish`. 6 us a trade.

        `watermark` is the highest store_seq that the state then holds. Raises nothing: every trade gets an outcome.
        """
        enter, quarantine, add, tolerance = self.processed.enter, self.quarantine.reason, self.ledger.add, self._tolerance
        outcomes: list[Outcome] = []
        entered = 0
        for trade in trades:
            reason = quarantine(trade)
            if reason or not enter(trade):
                outcomes.append(self._admit(trade, reason, now))
                continue
            entered += 1
            fold = add(trade, tolerance)
            outcomes.append(PLAIN if fold is None else self._note_late(trade, fold, now))
        self._counts[APPLIED] += entered
        self._watermark = max(self._watermark, watermark)
        if trades:
            self._last_trade_at = now
        return outcomes

    def _admit(self, trade: Trade, reason: str, now: int) -> Outcome:
        """Take anything but a plain new trade: another version, a cancel, one leg of several, one to quarantine."""
        status, removed, added, other = self.processed.admit(trade, reason)
        self._counts[status] += 1
        if removed is not None:
            self.ledger.remove(removed)
        fold = None if added is None else self.ledger.add(added, self._tolerance)
        if added is not None and fold is not None and removed is None and status == APPLIED:
            return self._note_late(added, fold, now)
        return self._note(trade, status, other, now)

    def _note(self, trade: Trade, status: str, other: Trade | None, now: int) -> Outcome:
        """What became of a trade that did not simply take effect; conflicts are kept for the work list."""
        if status == DUPLICATE:
            return OUTCOMES[DUPLICATE]
        if status == CONFLICT:
            assert other is not None, "a conflict is with a version that stands"
            self._note_conflict(trade, other, now)
            return Outcome(CONFLICT, False, ANOTHER_STANDS)
        if status == QUARANTINED:
            return Outcome(QUARANTINED, False, self.processed.quarantined[trade.identity, trade.version][1])
        if status == PARKED:
            return Outcome(PARKED, False, "a cancel whose trade has not come yet")
        return OUTCOMES[status]

    def _note_late(self, trade: Trade, fold: LateFold, now: int) -> Outcome:
        self._counts["late"] += 1
        self._exceptions_changed = True
        reason = f"{fold.late_by / MICROS_PER_SECOND:.3f} s older than the newest trade of its position"
        number = self.reference.instrument_index[trade.instrument]
        mark = self.marks.marks[number]
        price = mark.price if mark is not None and mark.ts else None
        detail: dict[str, object] = {
            "late_by_s": fold.late_by / MICROS_PER_SECOND, "before": fold.before.split(price), "after": fold.after.split(price),
        }  # fmt: skip
        self._late.append(ExceptionItem(_id("late", trade), "late", now, reason, trade, detail))
        return Outcome(APPLIED, True, reason)

    def recall_conflict(self, trade: Trade) -> None:
        """List a conflict from before the start, unless the version that stands says the same by now. O(versions)."""
        for other in self.processed.versions(trade.identity):
            if other.version == trade.version and not other.same_economics(trade):
                self._counts[CONFLICT] += 1
                self._note_conflict(trade, other, trade.received_ts)

    def _note_conflict(self, trade: Trade, other: Trade, now: int) -> None:
        """List what was kept apart from `other`, once however often it comes."""
        number, item_id = 1, _id("conflict", trade)
        while (listed := self._conflicts.get(item_id)) is not None:
            if listed.trade is not None and listed.trade.same_economics(trade):
                return
            number += 1
            item_id = f"{_id('conflict', trade)}:{number}"
        if len(self._conflicts) >= MAX_NOTICES:
            del self._conflicts[next(iter(self._conflicts))]
        self._conflicts[item_id] = ExceptionItem(item_id, "conflict", now, ANOTHER_STANDS, trade, {"stands": other})
        self._exceptions_changed = True

    def quarantine_row(self, store_seq: int, received_ts: int, reason: str) -> None:
        """List a stored row that could not be read as a trade: somebody else wrote it, or its reference data is missing."""
        item = ExceptionItem(f"quarantined:row:{store_seq}", "quarantined", received_ts, reason, None, {"store_seq": store_seq})
        self._unreadable[store_seq] = item
        self._exceptions_changed = True

    # -- prices ------------------------------------------------------------------------------------------------

    def beat(self, marks: Mapping[int, Mark], now: int) -> bool:
        """Put changed marks in force and revalue what they touch. Returns whether anything a reader sees has changed."""
        moved = self.marks.take(marks)
        fresh = self.marks.fresh(now)
        flags_same = np.array_equal(fresh, self._fresh) and np.array_equal(self.marks.priced, self._priced)
        if not marks and flags_same:
            return False
        self._fresh, self._priced = fresh, self.marks.priced.copy()
        rates_same = self._take_rates()
        self._value_units(prices_only=flags_same and rates_same)
        few = len(moved) * 8 <= len(self.reference.instruments)
        for published in (self._organisation, self._dealers):
            if flags_same and rates_same and few:
                published.valuation.reprice_some(moved, self._factors)
            else:
                published.valuation.reprice(self._factors)
        return True

    def _take_rates(self) -> bool:
        """Rates from the marks in force. Returns whether they are what they were. O(currencies)."""
        before = self._rates
        self._rates = self._graph.rates(self.marks.price, self._priced, self._fresh)
        return all(np.array_equal(old, new) for old, new in zip(before[:3], self._rates[:3], strict=True))

    def _value_units(self, *, prices_only: bool) -> None:
        """Unit values from the marks in force. O(instruments)."""
        table = self.marks
        if prices_only:
            units = self._units
            rate, rated, stale_mark, stale_rate = units.rate, units.rated, units.stale_mark, units.stale_rate
        else:
            rate, rated = self._rates.value[self._cash_currency], self._rates.known[self._cash_currency]
            stale_mark, stale_rate = ~self._fresh & self._priced, self._rates.stale[self._cash_currency]
        arrays = (
            table.price.copy(), self._priced, self._multiplier * table.price * rate, rate, rated, table.ts.copy(),
            stale_mark, stale_rate,
        )  # fmt: skip
        for array in arrays:
            array.flags.writeable = False
        self._units = Units(*arrays, tuple(table.marks))
        self._factors = self._factors.repriced(self._units) if prices_only else Factors(self._units, self._rates)

    # -- snapshots ---------------------------------------------------------------------------------------------

    def publish(self, now: int) -> Snapshot:
        """Freeze what changed since the last publication into a new snapshot. O(touched), not O(book)."""
        nodes, nodes_changed = self._organisation.table(self._factors)
        dealers, dealers_changed = self._dealers.table(self._factors)
        self._seq += 1
        if nodes_changed or dealers_changed or self._seq == 1:
            self._trade_seq = self._seq
        if self._exceptions_changed or self._listed_revision != self.processed.revision:
            self._exceptions = self._list_exceptions(now)
            self._exceptions_changed = False
            self._listed_revision = self.processed.revision
        counts = self._counts
        self.snapshot = Snapshot(
            epoch=self._epoch,
            seq=self._seq,
            as_of=now,
            reference=self.reference,
            nodes=nodes,
            dealers=dealers,
            dealer_names=tuple(self.ledger.dealer_index),
            units=self._units,
            rates=self._rates,
            counts=Counts(
                counts[APPLIED], counts[DUPLICATE], counts[CONFLICT], counts[SUPERSEDED], counts["late"],
                len(self.processed.parked), len(self.processed.quarantined) + len(self._unreadable),
                len(self.processed.unmatched),
            ),
            exceptions=self._exceptions,
            watermark=self._watermark,
            trade_seq=self._trade_seq,
            last_trade_at=self._last_trade_at,
        )  # fmt: skip
        return self.snapshot

    def _list_exceptions(self, now: int) -> Mapping[str, tuple[ExceptionItem, ...]]:
        processed = self.processed
        return {
            "conflict": tuple(self._conflicts.values()),
            "late": tuple(self._late),
            "parked": tuple(
                ExceptionItem(_id("parked", trade), "parked", trade.received_ts, "a cancel whose trade has not come", trade)
                for trade in processed.parked.values()
            ),
            "quarantined": tuple(
                ExceptionItem(_id("quarantined", trade), "quarantined", trade.received_ts, reason, trade)
                for trade, reason in processed.quarantined.values()
            ) + tuple(self._unreadable.values()),
            "unmatched": tuple(
                ExceptionItem(
                    f"unmatched:{source}:{trade_id}", "unmatched", now, f"{present} of {legs} legs have come",
                    None, {"source": source, "trade_id": trade_id},
                )
                for (source, trade_id), (present, legs) in processed.unmatched.items()
            ),
        }  # fmt: skip

    def check(self) -> None:
        """Assert every invariant that can be checked without asking the store. O(everything); for tests and self-audit."""
        self.ledger.check()
        for published in (self._organisation, self._dealers):
            published.check(self._factors)


class Published:
    """One roll-up's way into snapshots: frozen rows by owner in pages, beside the pages of numbers."""

    def __init__(self, rollup: Rollup, valuation: Valuation) -> None:
        self.rollup = rollup
        self.valuation = valuation
        self._pages: tuple[tuple[OwnerState, ...], ...] = tuple(
            (EMPTY_STATE,) * min(PAGE, valuation.size - first) for first in range(0, valuation.size, PAGE)
        )

    def table(self, factors: Factors) -> tuple[Table, bool]:
        """The table of this moment, and whether a trade changed it since the last call."""
        while self.valuation.size < len(self.rollup.books):
            self.valuation.add_owner()
            if self.valuation.size % PAGE == 1:
                self._pages = (*self._pages, ())
            self._pages = (*self._pages[:-1], (*self._pages[-1], EMPTY_STATE))
        changes = self.rollup.settle()
        if changes is None:
            slots = {owner: range(0, len(book.rows), ROWS_PAGE) for owner, book in enumerate(self.rollup.books)}
            self._freeze_states(slots)
            self.valuation.take_all(self.rollup.books, factors)
        elif changes:
            self._freeze_states(self._slots_of(changes))
            self.valuation.take(changes, factors)
        return Table(self.valuation.size, self._pages, self.valuation.pages), changes is None or bool(changes)

    def _slots_of(self, changes: Changes) -> dict[int, list[int]]:
        """Where the changed rows stand, by owner."""
        slots: dict[int, list[int]] = {}
        for key in changes:
            owner = key >> SHIFT
            slot = self.rollup.books[owner].slot(key & MASK)
            assert slot is not None, "a row that changed stands somewhere"
            slots.setdefault(owner, []).append(slot)
        return slots

    def _freeze_states(self, slots: Mapping[int, Iterable[int]]) -> None:
        """New states for some owners, of which these rows have changed. O(owners + a page of rows for each)."""
        pages = list(self._pages)
        copies: dict[int, list[OwnerState]] = {}
        for owner, changed in slots.items():
            number, at = divmod(owner, PAGE)
            page = copies.get(number)
            if page is None:
                page = copies[number] = list(pages[number])
            book = self.rollup.books[owner]
            rows = list(page[at].pages)
            rows.extend(() for _ in range(len(rows) * ROWS_PAGE, len(book.rows), ROWS_PAGE))
            for first in {slot // ROWS_PAGE for slot in changed}:
                rows[first] = tuple(book.rows[first * ROWS_PAGE : (first + 1) * ROWS_PAGE])
            page[at] = OwnerState(tuple(rows), book.count, book.trades, book.last_trade_ts)
        for number, page in copies.items():
            pages[number] = tuple(page)
        self._pages = tuple(pages)

    def check(self, factors: Factors) -> None:
        """Assert that the published numbers are those that a full revaluation gives, to the bit."""
        published = self.valuation.pages
        self.valuation.reprice(factors)
        for before, after in zip(published, self.valuation.pages, strict=True):
            assert np.array_equal(before, after), "numbers kept by differences are not those of a full revaluation"
        self.valuation.pages = published


def _id(kind: str, trade: Trade) -> str:
    return f"{kind}:{trade.source}:{trade.trade_id}:{trade.leg}:{trade.version}"
