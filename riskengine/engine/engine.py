"""The deterministic core: trades and marks in, snapshots out.

No clock, thread, socket or log in here: time is passed in, and the same list of events gives the same snapshots to the last
bit. One thread calls it (the writer). Trades take effect in `apply`, prices in `beat`; `publish` makes one immutable
snapshot of everything up to now, at the cost of what was touched since the last.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.table_builder import TableBuilder
from riskengine.engine.worklist import WorkList
from riskengine.market.currencies import CurrencyGraph
from riskengine.market.marks import Mark, MarkTable
from riskengine.positions.batches import COLUMNS_FROM_TRADES, NOWHERE, PositionChanges
from riskengine.positions.freezing import Recalled, thaw
from riskengine.positions.ledger import Ledger
from riskengine.positions.places import place_of, trades_under
from riskengine.positions.position import LateFold
from riskengine.positions.processed import APPLIED, CONFLICT, DUPLICATE, PARKED, QUARANTINED, SUPERSEDED, Decision, Processed
from riskengine.positions.quarantine import Quarantine
from riskengine.positions.repair import Repaired, repair, set_aside
from riskengine.records.reference import Reference
from riskengine.records.types import ANOTHER_STANDS, Key, Opening, Trade, Verdict
from riskengine.snapshot.snapshot import Counts, ExceptionItem, Snapshot
from riskengine.valuation.node_values import Valuation
from riskengine.valuation.unit_values import ContractTerms, Factors, Units


class Outcome(NamedTuple):
    """What became of one trade. `late`: it was refolded behind newer ones, outside the tolerance window."""

    status: str
    late: bool = False
    reason: str = ""


NOT_AS_FROZEN = "the store does not hold the trades any more that it was made of"

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
        self.marks = MarkTable(reference, config.marks, config.engine.future_limit_s)
        self._graph = CurrencyGraph(reference)
        self._terms = ContractTerms.of(reference)
        self._tolerance = int(config.engine.tolerance_s * MICROS_PER_SECOND)
        self._counts = dict.fromkeys((APPLIED, DUPLICATE, CONFLICT, SUPERSEDED, PARKED, QUARANTINED, "late"), 0)
        self._work = WorkList()
        self.decided: list[tuple[ExceptionItem, Verdict]] = []
        """What people decided since the start, for an engine that takes over."""
        self._watermark = 0
        self._last_trade_at = 0
        self._fresh = self.marks.fresh(now)
        self._priced = self.marks.priced.copy()
        self._rates = self._graph.rates(self.marks.price, self._priced, self._fresh)
        self._units = Units.of(self._terms, self.marks, self._priced, self._fresh, self._rates)
        self._factors = Factors(self._units, self._rates)
        self._organisation = TableBuilder(self.ledger.organisation, Valuation(reference, reference.hierarchy))
        self._dealers = TableBuilder(self.ledger.dealers, Valuation(reference, None))
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

    def apply(
        self, trades: Sequence[Trade], now: int, watermark: int = 0, told: Callable[[float], None] | None = None
    ) -> list[Outcome]:
        """Take a batch in its order of arrival; nothing is visible before `publish`. 6 us a trade.

        `watermark` is the highest store_seq that the state then holds. `told` hears now and then how much of a batch of hundreds
        of thousands is done. Raises nothing: every trade gets an outcome.
        """
        moves = PositionChanges(told)
        outcomes = [PLAIN] * len(trades)
        others = self._sort_out(trades, now, moves, outcomes) if len(trades) >= COLUMNS_FROM_TRADES else None
        if others is None:
            others = self._sort_out_each(trades, now, moves, outcomes)
        for late in moves.apply(self.ledger, self._tolerance):
            outcomes[late.place] = self._note_late(late.trade, late.fold, now)
        self._counts[APPLIED] += len(trades) - others
        self._watermark = max(self._watermark, watermark)
        if trades:
            self._last_trade_at = now
        return outcomes

    def _sort_out_each(self, trades: Sequence[Trade], now: int, moves: PositionChanges, outcomes: list[Outcome]) -> int:
        """Decide which trades count, and how they move; how many are no plain new ones."""
        enter, quarantine, move = self.processed.enter, self.quarantine.reason, moves.enter
        others = 0
        for place, trade in enumerate(trades):
            reason = quarantine(trade)
            if reason or not enter(trade):
                outcomes[place] = self._admit(trade, reason, now, moves, place)
                others += 1
            else:
                move(trade, place)
        return others

    def _sort_out(self, trades: Sequence[Trade], now: int, moves: PositionChanges, outcomes: list[Outcome]) -> int | None:
        """The same for a large batch, the plain new ones first; None, and nothing is done, where they cannot be told at once."""
        reasons = self.quarantine.reasons(trades)
        others = self.processed.enter_all(trades, reasons)
        if others is None:
            return None
        since = 0
        for place in others:
            moves.enter_all(trades, since, place)
            outcomes[place] = self._admit(trades[place], reasons.get(place, ""), now, moves, place)
            since = place + 1
        moves.enter_all(trades, since, len(trades))
        return len(others)

    def _admit(self, trade: Trade, reason: str, now: int, moves: PositionChanges, place: int) -> Outcome:
        """Take anything but a plain new trade: another version, a cancel, one leg of several, one to quarantine."""
        status, removed, added, other = self.processed.admit(trade, reason)
        self._counts[status] += 1
        if removed is not None:
            moves.leave(removed)
        if added is not None:
            moves.enter(added, place if removed is None and status == APPLIED else NOWHERE)
        return self._note(trade, status, other, now)

    def _note(self, trade: Trade, status: str, other: Trade | None, now: int) -> Outcome:
        """What became of a trade that did not simply take effect; conflicts are kept for the work list."""
        if status == DUPLICATE:
            return OUTCOMES[DUPLICATE]
        if status == CONFLICT:
            assert other is not None, "a conflict is with a version that stands"
            self._work.note_conflict(trade, other, now)
            return Outcome(CONFLICT, False, ANOTHER_STANDS)
        if status == QUARANTINED:
            return Outcome(QUARANTINED, False, self.processed.quarantined[trade.identity, trade.version][1])
        if status == PARKED:
            return Outcome(PARKED, False, "a cancel whose trade has not come yet")
        return OUTCOMES[status]

    def _note_late(self, trade: Trade, fold: LateFold, now: int) -> Outcome:
        self._counts["late"] += 1
        mark = self.marks.marks[self.reference.instrument_index[trade.instrument]]
        reason = self._work.note_late(trade, fold, mark.price if mark is not None and mark.ts else None, now)
        return Outcome(APPLIED, True, reason)

    def note_kept_apart(self, trade: Trade, now: int) -> None:
        """List a conflict with a row that is no trade: what stands there cannot be read."""
        self._counts[CONFLICT] += 1
        self._work.note_conflict(trade, None, now)

    def recall_conflict(self, trade: Trade) -> None:
        """List a conflict from before the start, unless the version that stands says the same by now. O(versions)."""
        others = [other for other in self.processed.versions(trade.identity) if other.version == trade.version]
        if not others:
            self.note_kept_apart(trade, trade.received_ts)
        elif not others[0].same_economics(trade):
            self._counts[CONFLICT] += 1
            self._work.note_conflict(trade, others[0], trade.received_ts)

    def quarantine_row(self, store_seq: int, received_ts: int, reason: str) -> None:
        """List a stored row that could not be read as a trade: somebody else wrote it, or its reference data is missing."""
        self._work.note_unreadable(store_seq, received_ts, reason)

    def thaw(self, recalled: Recalled) -> None:
        """Take back what was frozen and is about to be touched. Where the store has something else by now, the key is set aside.

        Before the trades that touch it, on the writer thread once it is live. Nothing that is shown changes. O(what was read).
        """
        for key in thaw(self.ledger, self.processed, recalled):
            self.set_aside_key(key, NOT_AS_FROZEN, self.snapshot.as_of)

    # -- verdicts ----------------------------------------------------------------------------------------------

    def recall_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """What people decided before the start. Before the first trade: the replay judges by it."""
        for verdict in verdicts:
            self._work.note_verdict(verdict)
            if verdict.verdict == "accept":
                self.quarantine.accepted.add(verdict.id)

    def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Take what a person decided about an exception, once it is stored.

        Accepting a conflict puts its economics in the place of the version that stands; rejecting one takes it off the list.
        Accepting a quarantined version lets it take part. O(versions).
        """
        trade, settles = item.trade, False
        if item.kind == "conflict" and trade is not None:
            if verdict.verdict == "accept":
                self._move(self.processed.replace(trade, self.quarantine.reason(trade)))
                settles = True
        elif item.kind == "quarantined" and verdict.verdict == "accept":
            self.quarantine.accepted.add(item.id)
            if trade is not None and (trade.identity, trade.version) in self.processed.quarantined:
                self._move(self.processed.release(trade))
        self._work.note_verdict(verdict, settles=settles)
        self.decided.append((item, verdict))

    def _move(self, decision: Decision) -> None:
        if decision.removed is not None:
            self.ledger.remove(decision.removed)
        if decision.added is not None:
            self.ledger.add(decision.added, self._tolerance)

    # -- repair ------------------------------------------------------------------------------------------------

    def trades_of(self, keys: Iterable[Key]) -> list[Trade]:
        """Every version in memory of the trades that stand in the positions of some keys. O(versions)."""
        known = self.processed.versions
        return [version for trade in trades_under(self.ledger, keys) for version in known(trade.identity) or [trade]]

    def repair(
        self,
        keys: Collection[Key],
        versions: Iterable[Trade],
        now: int,
        unreadable: Iterable[tuple[int, int, str]] = (),
        store_seqs: Iterable[int] = (),
    ) -> Repaired:
        """Make the state under `keys` what the store says, whatever it was; visible, all of it, with the next publication.

        `versions` is every stored version, in store order, of every identity that the engine (`trades_of`) or the store has under
        those keys, and `store_seqs` the numbers of their rows; `unreadable` are those that cannot be read as trades:
        (store_seq, received_ts, reason). An identity that the engine has there and the store has not is forgotten. Read them when
        everything that was committed has gone to the writer and nothing more is: on the store thread, which then puts the call.
        A key may name an inner node, or have an empty instrument: then sums are made anew. O(trades of the keys), plus the
        rows of their owners.
        """
        repaired = repair(self.ledger, self.processed, self.quarantine.reason, keys, versions)
        self._work.note_repaired(self.processed, keys, {*repaired.changed, *repaired.forgotten}, store_seqs)
        for key in repaired.aside:
            self._work.note_quarantined(key, NOT_AS_FROZEN, now)
        for store_seq, received_ts, reason in unreadable:
            self._work.note_unreadable(store_seq, received_ts, reason)
        return repaired

    def set_aside_key(self, key: Key, reason: str, now: int, missing: Trade | None = None) -> bool:
        """Set a key aside that broke an invariant: unknown, listed and left out of what is above it until `repair` names it.

        `missing` is a trade that should stand there. Returns False where the key is set aside already. Visible with the next
        publication.
        """
        place = place_of(self.ledger, key)
        assert place is not None, "a key that broke an invariant is known"
        set_aside(place, missing)
        return self._work.note_quarantined(key, reason, now)

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
        if flags_same and rates_same:
            self._units = self._units.with_prices(self._terms, self.marks)
            self._factors = self._factors.with_prices(self._units)
        else:
            self._units = Units.of(self._terms, self.marks, self._priced, self._fresh, self._rates)
            self._factors = Factors(self._units, self._rates)
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

    # -- snapshots ---------------------------------------------------------------------------------------------

    def publish(self, now: int, *, at_once: bool = False) -> Snapshot:
        """Freeze what changed since the last publication into a new snapshot. O(touched), not O(book).

        `at_once`: in long steps, where nobody waits meanwhile.
        """
        nodes, nodes_changed = self._organisation.table(self._factors, at_once=at_once)
        dealers, dealers_changed = self._dealers.table(self._factors, at_once=at_once)
        self._seq += 1
        if nodes_changed or dealers_changed or self._seq == 1:
            self._trade_seq = self._seq
        self._work.listed(self.processed, now)
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
                counts[APPLIED],
                counts[DUPLICATE],
                counts[CONFLICT],
                counts[SUPERSEDED],
                counts["late"],
                len(self.processed.parked),
                len(self.processed.quarantined) + self._work.quarantined_count,
                len(self.processed.unmatched),
            ),
            exceptions=self._work.exceptions,
            verdicts=self._work.verdicts,
            watermark=self._watermark,
            trade_seq=self._trade_seq,
            last_trade_at=self._last_trade_at,
        )
        return self.snapshot

    def check(self) -> None:
        """Assert every invariant that can be checked without asking the store. O(everything); for tests and self-audit."""
        self.ledger.check()
        for published in (self._organisation, self._dealers):
            published.check(self._factors)
