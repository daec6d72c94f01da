"""The deterministic core: trades and marks in, snapshots out.

No clock, thread, socket or log: callers pass the time in, and the same events give the same snapshots to the last bit. Only
the writer thread calls it. `apply` takes trades, `beat` takes prices, and `publish` makes one immutable snapshot of the state;
it costs what was touched since the last snapshot.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.action_notices import action_items
from riskengine.engine.cash_book import CashBook, CashTaken
from riskengine.engine.closing import ClosingRows
from riskengine.engine.closing_options import ClosingOptions
from riskengine.engine.day_state import DayState
from riskengine.engine.exercise import ExerciseDecision, ExerciseInputs, exercise_trades
from riskengine.engine.forward_book import ForwardBook
from riskengine.engine.noticing import Noticing
from riskengine.engine.table_builder import TableBuilder
from riskengine.engine.worklist import Notices, WorkList
from riskengine.errors import Frozen
from riskengine.market.calendars import Calendars
from riskengine.market.currencies import CurrencyGraph, Rates
from riskengine.market.fixings import Fixing
from riskengine.market.forward_roll import ForwardRoll
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import Mark
from riskengine.market.option_market import OptionMarket
from riskengine.market.sessions import MarketHours
from riskengine.market.split_prices import SplitPrices
from riskengine.market.spot_dates import SpotDates
from riskengine.market.trading_day import DayClock
from riskengine.positions.adjustments import Adjustments, CloseChanges
from riskengine.positions.batches import COLUMNS_FROM_TRADES, NOWHERE, PositionChanges
from riskengine.positions.day_window import DayWindow
from riskengine.positions.freezing import Recalled, thaw
from riskengine.positions.generated import ActionLedger
from riskengine.positions.ledger import Ledger
from riskengine.positions.merges import MergeLedger
from riskengine.positions.places import place_of, trades_under
from riskengine.positions.position import LateFold
from riskengine.positions.processed import APPLIED, CONFLICT, DUPLICATE, PARKED, QUARANTINED, SUPERSEDED, Processed
from riskengine.positions.quarantine import Quarantine, is_waiting
from riskengine.positions.repair import Repaired, repair, set_aside
from riskengine.positions.settled_cash import SettledCash
from riskengine.records.actions import NO_ACTIONS, ActionRows
from riskengine.records.cash import EntryCheck, StoredCashRow
from riskengine.records.instrument_terms import unused_style
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference, trade_check
from riskengine.records.rules import judges_all
from riskengine.records.types import (
    CONFLICT_REASON,
    EXERCISE_SOURCE,
    BoolArray,
    Close,
    Identity,
    Key,
    Opening,
    Trade,
    Verdict,
    small_lot,
)
from riskengine.snapshot.snapshot import Counts, ExceptionItem, Snapshot
from riskengine.valuation.day_start import DayStart
from riskengine.valuation.day_values import DayValues
from riskengine.valuation.node_values import Valuation
from riskengine.valuation.options.book import OptionBook, SpotPrices
from riskengine.valuation.unit_values import ContractTerms, Factors, Units


class Outcome(NamedTuple):
    """What became of one trade. `late`: it was folded in behind newer trades, outside the tolerance window."""

    status: str
    late: bool = False
    reason: str = ""


Judge = Callable[[Trade], Trade | None]
"""Returns the same trade by other reference data; None if it does not fit that."""


class CarriedState(NamedTuple):
    """What an engine knows that the store does not record: a successor carries it on.

    seq            of its newest snapshot
    watermark      highest store_seq in its state
    last_trade_at  when it last applied a trade, microseconds, 0 before the first
    applied, duplicates, conflicts, late
                   how many trades had that outcome since the start
    notices        late trades and conflicts, with the time at which each was first noticed
    decided        exceptions that people decided since the start, with their verdicts, oldest first
    current_day    the trading day that is running
    cash           the records of cash and carry as they were followed; None: as the store has them
    """

    seq: int
    watermark: int
    last_trade_at: int
    applied: int
    duplicates: int
    conflicts: int
    late: int
    notices: Notices
    decided: Sequence[tuple[ExceptionItem, Verdict]]
    current_day: str
    cash: Sequence[StoredCashRow] | None = None


CANCEL_CAME_FIRST = "a cancel whose trade has not come yet"

NOT_AS_FROZEN = "the store no longer holds the trades that this position was built from"

OUTCOMES = {status: Outcome(status) for status in (APPLIED, DUPLICATE, SUPERSEDED, PARKED)}
PLAIN = OUTCOMES[APPLIED]


class Engine:
    """The state of one writer. `snapshot` is the newest; any thread reads it without a lock.

    `option_market` has the vols, rates and Greeks in force.
    """

    def __init__(
        self,
        reference: Reference,
        config: Config | None = None,
        *,
        epoch: int = 0,
        now: int = 0,
        spot_dates: SpotDates | None = None,
        current_day: str | None = None,
    ) -> None:
        """`spot_dates` judges value dates, and has the calendars in force; None: the published ones.

        `current_day` is the trading day that is running, YYYY-MM-DD; None: the day of `now`, none if that is 0.
        """
        config = config or Config()
        self.reference = reference
        self.processed = Processed()
        self._config = config.engine
        self.ledger = Ledger(reference)
        self.quarantine = Quarantine(reference.by_symbol, config.engine, spot_dates, reference.rule_starts)
        self.marks = MarkTable(reference, config.marks, config.engine.future_limit_s)
        calendars = self.quarantine.spot_dates.calendars
        self._settled: SettledCash | None = None
        self._day_clock = DayClock(calendars.trading_day(config.engine), config.engine.tolerance_s)
        self.quarantine.current_day = self._day_clock.begin(now, current_day)
        self.take_calendars(calendars)
        self._graph = CurrencyGraph(reference)
        self._terms = ContractTerms.of(reference)
        self.forwards = ForwardBook(reference, config.options, self.quarantine.spot_dates, self.quarantine.current_day)
        self._begin_actions()
        self._tolerance = int(config.engine.tolerance_s * MICROS_PER_SECOND)
        self._counts = dict.fromkeys((APPLIED, DUPLICATE, CONFLICT, SUPERSEDED, PARKED, QUARANTINED, "late"), 0)
        self._work = WorkList()
        self._check = trade_check(reference)
        self._has_older_rows = not judges_all(reference.rule_starts)
        self._note_older_instruments()
        self.option_market = OptionMarket()
        self._early: list[Trade] = []
        """Trades that count before their day, because they came before the rule that would have them wait."""
        self._noticing = Noticing(reference, config, self.ledger, self._work)
        self._decided: list[tuple[ExceptionItem, Verdict]] = []
        self._watermark = 0
        self._last_trade_at = 0
        self._begin_values(now, config, calendars)
        self._organisation = TableBuilder(self.ledger.organisation, Valuation(reference, reference.hierarchy))
        self._dealers = TableBuilder(self.ledger.dealers, Valuation(reference, None))
        self._day = DayState(reference, self.ledger, (self._organisation, self._dealers))
        self._begin_cash(config)
        self._roll_forwards(self.actions_day)
        self._epoch = epoch
        self._seq = self._trade_seq = 0
        self.snapshot = self.publish(now)

    def _begin_values(self, now: int, config: Config, calendars: Calendars) -> None:
        """Value everything by the marks that there are."""
        self._priced_at = now
        self._fresh = self.forwards.mark(self.marks, self.marks.fresh(now), now).fresh
        self._priced = self.marks.priced.copy()
        self._rates: Rates = self._rates_now()
        self.options = OptionBook(self.reference, self.option_market, config.options, config.engine, calendars)
        self.options.revalue(self._prices(now), now)
        self._units, self._factors = self._make_units(self.marks.shut(now))
        self._valued = (self.reference, self._units, self._factors)
        """For other threads: units and factors, and the reference data that they are of."""

    def _note_older_instruments(self) -> None:
        """List instruments of an older store whose multiplier is no lot size, and options whose price has another unit."""
        for instrument in self.reference.instruments:
            if (reason := unused_style(instrument)) is not None:
                self._work.note_older_instrument(instrument.instrument, "premium_style", reason)
            if (reason := small_lot(instrument.kind, instrument.multiplier)) is not None:
                told = f"{reason}; it goes on with its positions, and its mark gives no currency rate"
                self._work.note_older_instrument(instrument.instrument, "multiplier", told)

    def _begin_actions(self) -> None:
        self.actions = ActionLedger(self.ledger)
        self.merges = MergeLedger(self.ledger, ForwardRoll(self.quarantine.spot_dates, self.trading_day))
        self.action_rows = NO_ACTIONS
        """Corporate actions as they were read last (`take_actions`)."""
        self._listed_actions = -1

    def _begin_cash(self, config: Config) -> None:
        node_cash = self._organisation.valuation.node_cash
        assert node_cash is not None, "the organisation has nodes"
        self._node_cash = node_cash
        entries = EntryCheck(self._check, self.quarantine.openings, config.engine.future_limit_s)
        self.cash = CashBook(self.ledger, node_cash, entries)
        self.settlements: Mapping[str, tuple[int, float]] = {}
        """As they were given last; replaced, never changed."""
        self._settled = SettledCash(self.reference, self.ledger.organisation, self.trading_day, self.calendars)

    # -- trades ------------------------------------------------------------------------------------------------

    def place(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """The trades in the instruments whose positions they belong to (`Quarantine.place`), which the engine then knows.

        A forward that no trade has made yet is made here, without a pause: O(instruments), 2 ms for 20,000. 0.1 us an ordinary
        trade.
        """
        if not any(trade.value_date for trade in trades):
            return trades
        found = [*map(self.quarantine.place, trades)]
        known = self.reference.instrument_index
        self.know({trade.instrument for trade in found if trade.value_date and trade.instrument not in known})
        return found

    def know(self, symbols: Iterable[str]) -> None:
        """Make the forwards among these names that are not known yet. O(names), and as `place`."""
        reference = self.reference.with_forwards(sorted(symbols))
        if reference is self.reference:
            return
        parts = (self.ledger, self.merges, self.marks, self._graph, self._noticing, self._settled_cash, self.cash, self.forwards)
        for part in parts:
            part.grow(reference)
        self._terms = self._terms.grown(reference)
        for builder in (self._organisation, self._dealers):
            builder.valuation.grow(reference)
        self._value_made(reference)
        self._day.grow(reference, self._units)
        self.reference = reference  # last: another thread that reads it finds it valued

    def _value_made(self, reference: Reference) -> None:
        """Value instruments that were just made: no other number changes by that. O(instruments)."""
        now = self._priced_at
        self._fresh = self.forwards.mark(self.marks, self.marks.fresh(now), now).fresh
        self._priced = self.marks.priced.copy()
        self._take_rates()
        self.options.grow(reference)
        self._units, self._factors = self._make_units(self.marks.shut(now))
        self._valued = (reference, self._units, self._factors)

    def open_with(self, openings: Iterable[Opening]) -> None:
        """Take balances brought forward. Call it before the trades of their positions."""
        balances = list(openings)
        self.ledger.open_with(balances)
        self._day.note_openings(balances)
        for opening in balances:
            self.quarantine.open_with(opening)

    def apply(
        self,
        trades: Sequence[Trade],
        now: int,
        watermark: int = 0,
        progress: Callable[[float], None] | None = None,
        *,
        notice: bool = False,
        noticed: bool = False,
    ) -> list[Outcome]:
        """Take a batch in its order of arrival; readers see nothing before `publish`. 6 us a trade.

        `watermark` is the highest store_seq in the state after the batch. `progress` gets now and then which part of a batch of
        hundreds of thousands is done, 0 to 1. `notice`: the trades come now, so that what the marks and the other trades say of
        them is noticed. `noticed`: they were taken by a live engine before, and what it noticed is stored (`recall_notices`): who
        comes late among them is not worked out again, because other verdicts may be in force than then. Without either, late
        trades alone are noticed. Raises nothing: every trade gets an outcome.
        """
        trades = self.place(trades)
        if self._has_older_rows or self.quarantine.spot_dates.may_differ:
            self._note_older(trades)
        sights = self._noticing.look_at(trades, self.marks.marks) if notice else ()
        changes = PositionChanges(progress)
        outcomes = [PLAIN] * len(trades)
        others = self._enter_all(trades, now, changes, outcomes) if len(trades) >= COLUMNS_FROM_TRADES else None
        if others is None:
            others = self._enter_each(trades, now, changes, outcomes)
        for late in changes.apply(self.ledger, self._tolerance):
            if not noticed and late.trade.source != EXERCISE_SOURCE:  # of the cut by nature
                outcomes[late.place] = self._note_late(late.trade, late.fold, now)
        for sight in sights:
            if outcomes[sight.place].status == APPLIED:
                self._noticing.note(trades[sight.place], sight, now)
        self._counts[APPLIED] += len(trades) - others
        self._watermark = max(self._watermark, watermark)
        if trades:
            self._last_trade_at = now
        return outcomes

    def _note_older(self, trades: Iterable[Trade]) -> None:
        """List the trades whose rows are older than a rule that would refuse them. 0.06 us for an ordinary one."""
        rated, broken_rule = self._check.currencies, self._check.broken_rule
        outdated = self.quarantine.outdated_spot if self.quarantine.spot_dates.may_differ else None
        counts_early, older_after_cut = self.quarantine.counts_early, self.quarantine.older_after_cut
        for trade in trades:
            if outdated is not None and trade.value_date and (reason := outdated(trade)) is not None:
                self._work.note_older_rule(trade, "value_date", reason)
            if trade.contra_amount is not None or trade.fees_currency not in rated:
                broken = broken_rule(trade)
                if broken is not None:
                    self._work.note_older_rule(trade, *broken)
            if reason := older_after_cut(trade):
                self._work.note_older_rule(trade, "ts", reason)
            if trade.trade_date and counts_early(trade):
                self._early.append(trade)
                self._work.note_older_rule(trade, "trade_date", "is after the current trading day, and counts already")

    def _enter_each(self, trades: Sequence[Trade], now: int, changes: PositionChanges, outcomes: list[Outcome]) -> int:
        """Decide trade by trade which positions change. Returns how many are anything but plain new trades."""
        enter, quarantine, change = self.processed.enter, self.quarantine.reason, changes.enter
        others = 0
        for place, trade in enumerate(trades):
            reason = quarantine(trade)
            if reason or not enter(trade):
                outcomes[place] = self._admit(trade, reason, now, changes, place)
                others += 1
            else:
                change(trade, place)
        return others

    def _enter_all(self, trades: Sequence[Trade], now: int, changes: PositionChanges, outcomes: list[Outcome]) -> int | None:
        """Do the same for a large batch at once. Returns None, and does nothing, if the batch must be decided trade by trade."""
        reasons = self.quarantine.reasons(trades)
        others = self.processed.enter_all(trades, reasons)
        if others is None:
            return None
        since = 0
        for place in others:
            changes.enter_all(trades, since, place)
            outcomes[place] = self._admit(trades[place], reasons.get(place, ""), now, changes, place)
            since = place + 1
        changes.enter_all(trades, since, len(trades))
        return len(others)

    def _admit(self, trade: Trade, reason: str, now: int, changes: PositionChanges, place: int) -> Outcome:
        """Take anything but a plain new trade: a repeat, another version, a cancel, a leg, or one to quarantine for `reason`."""
        status, removed, added, other = self.processed.admit(trade, reason)
        self._counts[status] += 1
        if removed is not None:
            changes.leave(removed)
        if added is not None:
            changes.enter(added, place if removed is None and status == APPLIED else NOWHERE)
        if removed is not added:
            self._work.note_standing(trade.identity)
        return self._outcome_of(trade, status, other, now)

    def _outcome_of(self, trade: Trade, status: str, other: Trade | None, now: int) -> Outcome:
        """The outcome of a trade that `processed` admitted as `status`. Lists a conflict; `other` is the version that stands."""
        if status == DUPLICATE:
            return OUTCOMES[DUPLICATE]
        if status == CONFLICT:
            assert other is not None, "a conflict is with a version that stands"
            self._work.note_conflict(trade, other, now)
            return Outcome(CONFLICT, False, CONFLICT_REASON)
        if status == QUARANTINED:
            return Outcome(QUARANTINED, False, self.processed.quarantined[trade.identity, trade.version][1])
        if status == PARKED:
            return Outcome(PARKED, False, CANCEL_CAME_FIRST)
        return OUTCOMES[status]

    def _note_late(self, trade: Trade, fold: LateFold, now: int) -> Outcome:
        self._counts["late"] += 1
        mark = self.marks.marks[self.ledger.numbers[trade.instrument]]
        reason = self._work.note_late(trade, fold, mark.price if mark is not None and mark.ts else None, now)
        return Outcome(APPLIED, True, reason)

    def take_noticed(self) -> tuple[list[ExceptionItem], int]:
        """What was noticed since the last call, to be stored, and the store_seq up to which all has been. Writer thread."""
        return self._work.take_unsaved(), self._watermark

    def recall_notices(self, stored: Iterable[ExceptionItem], late: int) -> None:
        """List what was noticed of trades before the start, as it was stored then. Call it after the last trade. O(notices).

        `late` is how many late trades are stored, those that `stored` has no room for included.
        """
        self._counts["late"] += late - self._work.recall_notices(stored)

    def without_a_mark(self, trades: Iterable[Trade]) -> list[Trade]:
        """Those of trades about to be applied that came in time to be compared with a mark, and there is none of their time."""
        return self._noticing.without_a_mark(self.place([*trades]), self.marks.marks)

    def would_notice(self, trades: Sequence[Trade]) -> dict[int, list[tuple[str, str]]]:
        """What would be noticed of placed trades if they came now, by place: kind and sentence. Nothing is listed. 1 us a trade.

        Forwards that no trade has made yet have no marks, and nothing is noticed of them.
        """
        known = self.reference.instrument_index
        places = [place for place, trade in enumerate(trades) if trade.instrument in known]
        found: dict[int, list[tuple[str, str]]] = {}
        for sight in self._noticing.look_at([trades[place] for place in places], self.marks.marks):
            place = places[sight.place]
            told = self._noticing.told(trades[place], sight)
            if told not in found.setdefault(place, []):
                found[place].append(told)
        return found

    def note_kept_apart(self, trade: Trade, now: int) -> None:
        """List a conflict with a stored row of the same identity and version that cannot be read as a trade."""
        self._counts[CONFLICT] += 1
        self._work.note_conflict(trade, None, now)

    def recall_conflict(self, trade: Trade) -> None:
        """List a conflict from before the start, unless the version that stands now has the same economics. O(versions)."""
        [trade] = self.place([trade])
        others = [other for other in self.processed.versions(trade.identity) if other.version == trade.version]
        if not others:
            self.note_kept_apart(trade, trade.received_ts)
        elif not others[0].same_economics(trade):
            self._counts[CONFLICT] += 1
            self._work.note_conflict(trade, others[0], trade.received_ts)

    def follow_conflicts(self, trades: Iterable[Trade]) -> None:
        """List conflicts that another program stored, but for those that are listed. O(versions)."""
        for trade in trades:
            if not self._work.lists_conflict(trade):
                self.recall_conflict(trade)

    def forget_conflicts(self, item_ids: Iterable[str]) -> None:
        """List conflicts no more that another program deleted from the store. O(those)."""
        self._work.forget_conflicts(item_ids)

    def note_waiting(self, closes: Iterable[Close]) -> None:
        """List the stored closes that wait for the end of their day, in place of those listed before. O(those)."""
        self._work.note_waiting(closes)

    def quarantine_row(self, store_seq: int, received_ts: int, reason: str) -> None:
        """List a stored row that cannot be read as a trade: another program wrote it, or its reference data is missing."""
        self._work.note_unreadable(store_seq, received_ts, reason)

    def thaw(self, recalled: Recalled) -> None:
        """Take back frozen history that the next trades touch. If the store has changed there since, the key is set aside.

        Call it before those trades; on the writer thread once the engine is live. No published figure changes. O(trades read).
        """
        versions = [self.place(each) for each in recalled.versions]
        positions = [(key, self.place(trades)) for key, trades in recalled.positions]
        for key in thaw(self.ledger, self.processed, Recalled(versions, positions)):
            self.set_aside_key(key, NOT_AS_FROZEN, self.snapshot.as_of)

    def count_frozen(self, applied: int, superseded: int, now: int) -> None:
        """Count the rows of identities that came frozen, from the state of a close, as if they had been applied. At a start."""
        self._counts[APPLIED] += applied
        self._counts[SUPERSEDED] += superseded
        if applied:
            self._last_trade_at = now

    def admit(self, trades: Sequence[Trade], now: int) -> list[Trade]:
        """Take rows of before a close, in store order, that are not done. Returns the trades of them that count.

        Those are to `enter` the positions, once what they touch is thawed. All versions of a trade are among `trades`.
        """
        trades = self.place(trades)
        if self._has_older_rows or self.quarantine.spot_dates.may_differ:
            self._note_older(trades)
        for trade in trades:
            status = self.processed.admit(trade, self.quarantine.reason(trade)).status
            self._counts[status] += 1
            self._work.note_standing(trade.identity)
        if trades:
            self._last_trade_at = now
        standing = (self.processed.effective(identity) for identity in dict.fromkeys(trade.identity for trade in trades))
        return [trade for trade in standing if trade is not None]

    def enter(self, trades: Sequence[Trade]) -> None:
        """Put trades that `admit` returned into the positions. 4 us each."""
        changes = PositionChanges()
        for trade in trades:
            changes.enter(trade)
        changes.apply(self.ledger, self._tolerance)

    # -- cash and carry ----------------------------------------------------------------------------------------

    def take_cash(self, rows: Iterable[StoredCashRow], now: int, *, is_all: bool = False) -> CashTaken:
        """Take stored records of cash and carry; `is_all`: all others are gone. Known ones change nothing. 10 us a new row."""
        before = self.cash.kept_out_count
        taken = self.cash.take(rows, now, is_all=is_all)
        if taken.changed and (before or taken.kept_out):
            self._work.note_cash_kept_out(self.cash.kept_out)
        return taken

    def set_settlements(self, prices: Mapping[str, tuple[int, float]]) -> None:
        """The last settlement of each future: time and price by symbol (other instruments may be among them)."""
        self.settlements = prices
        self._settled_cash.set_settlements(prices)

    def take_fixings(self, fixings: Mapping[str, Fixing]) -> None:
        """At which rates non-deliverable forwards are paid: all that are known, by name."""
        self.forwards.take_fixings(fixings)
        self._settled_cash.set_fixings({symbol: fixing.price for symbol, fixing in fixings.items()})

    def settled_moments(self) -> dict[str, int]:
        """The moment before which trades have settled, by pair and by future with a settlement price, microseconds."""
        return self._settled_cash.moments()

    def unsettled_since(self, number: int) -> int:
        """The moment since which trades of an instrument may not have settled. O(1) once a day and instrument, else 50 us."""
        return self._settled_cash.unsettled_since(number)

    def _bring_cash(self, now: int, *, at_once: bool) -> None:
        """Put movements in force whose time has come, and bring up to date what has been settled. O(what is due)."""
        self.cash.advance(now)
        self._settled_cash.set_time(now)
        for owner, instrument, change, unsettled in self._settled_cash.changes(at_once=at_once):
            if change:
                self._node_cash.settle(owner, instrument, change)
            if unsettled:
                self._node_cash.note_unsettled(owner, unsettled)

    # -- verdicts ----------------------------------------------------------------------------------------------

    def recall_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Take what people decided before the start. Call it before the first trade: the replay needs the verdicts."""
        for verdict in verdicts:
            self._work.note_verdict(verdict)
            if verdict.verdict:
                self.quarantine.note_verdict(verdict.id, verdict.verdict)

    def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Apply what a person decided about an exception, once the verdict is stored. O(versions).

        An accepted conflict replaces the version that stands, or the row that is no trade (`store_seq` in the item's detail); a
        rejected one leaves the list. An accepted quarantined version takes part from now on, a rejected one does not. Judges the
        record that the store holds from now on, by the rules of a start.
        """
        trade = item.trade
        accepts = verdict.verdict == "accept"
        if item.kind == "conflict" and trade is not None and accepts:
            others = (one for one in self.processed.versions(trade.identity) if one.version != trade.version)
            self._judge_again(trade.identity, [*others, trade])
            self._work.note_replaced(trade, item.detail.get("store_seq"))
        elif item.kind == "quarantined" and verdict.verdict:
            self.quarantine.note_verdict(item.id, verdict.verdict)
            if trade is not None and (versions := self.processed.versions(trade.identity)):
                self._judge_again(trade.identity, versions)
        self._work.note_verdict(verdict)
        self._decided.append((item, verdict))

    def exercise_trades(self, symbol: str, decision: ExerciseDecision) -> list[Trade]:
        """The trades that book a decision about an expired option, at all who hold it. See `engine.exercise`. Writer thread."""
        around = ExerciseInputs(
            self.reference,
            self.ledger,
            self.options,
            self.ledger.adjustments,
            self.quarantine.openings,
            self.quarantine.spot_dates,
            self._check,
        )
        return exercise_trades(around, symbol, decision)

    def follow_verdict(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Take what another program stored that a person decided, unless this or a later word is known. O(versions)."""
        known = self._work.verdict(verdict.id)
        if known is None or known.ts <= verdict.ts and known != verdict:
            self.decide(item, verdict)

    def forget_verdict(self, item: ExceptionItem) -> None:
        """Undo a verdict that another program deleted from the store, as a start would not know it. O(versions).

        A record that took the place of another one by the verdict is what is stored, and stays.
        """
        self._work.forget_verdict(item.id)
        self._decided[:] = [decided for decided in self._decided if decided[0].id != item.id]
        self.quarantine.note_verdict(item.id, "")
        if item.kind == "quarantined" and item.trade is not None and (versions := self.processed.versions(item.trade.identity)):
            self._judge_again(item.trade.identity, versions)

    def _judge_again(self, identity: Identity, versions: Iterable[Trade]) -> None:
        placed = self.place([*versions])
        decision = self.processed.judge_again(identity, [(one, self.quarantine.reason(one)) for one in placed])
        self._work.note_standing(identity)
        if decision.removed is not None:
            self.ledger.remove(decision.removed)
        if decision.added is not None:
            self.ledger.add(decision.added, self._tolerance)
            self._note_older((decision.added,))

    # -- the trading day ---------------------------------------------------------------------------------------

    def set_current_day(self, date: str, now: int) -> int:
        """Begin a trading day (YYYY-MM-DD): trades that waited for it take part from now on. Returns how many. O(waiting).

        They are judged as at a start on that day. A day before the current one changes nothing. `now` is the time. Writer thread.
        """
        if date <= self.quarantine.current_day:
            return 0
        self.quarantine.current_day = date
        self._day_clock.note(date)
        if self.ledger.adjustments is None:  # else with those, once the close is struck
            self._roll_forwards(self.actions_day)
        due = [trade for trade, reason in self.processed.quarantined.values() if is_waiting(reason) and trade.trade_date <= date]
        for identity in dict.fromkeys(trade.identity for trade in due):
            self._judge_again(identity, self.processed.versions(identity))
        early, self._early = self._early, []
        self._work.forget_older(early)
        self._note_older(early)
        if due:
            self._last_trade_at = now
        return len(due)

    # -- repair ------------------------------------------------------------------------------------------------

    def trades_of(self, keys: Iterable[Key]) -> list[Trade]:
        """Every version in memory of the trades in the positions of `keys`. O(versions)."""
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
        """Rebuild the state under `keys` from what the store has. Readers see all of it at once with the next publication.

        `versions` is every stored version, in store order, of every identity that the engine (`trades_of`) or the store has under
        those keys; `store_seqs` are the numbers of their rows. `unreadable` lists rows that cannot be read as trades, as
        (store_seq, received_ts, reason). The engine forgets an identity there that the store does not have.
        Read them on the store thread, once every committed row has gone to the writer and before the next commit; the store
        thread then puts the call to this. A key may name an inner node, or have an empty instrument: then its sums are added up
        again. O(trades of the keys + rows of their owners).
        """
        stored = list(self.place([*versions]))
        repaired = repair(self.ledger, self.processed, self.quarantine.reason, keys, stored)
        self.merges.put_back()
        self._work.forget_older(stored)
        self._note_older(stored)
        self._work.note_repaired(self.processed, keys, {*repaired.changed, *repaired.forgotten}, store_seqs)
        for key in repaired.aside:
            self._work.note_quarantined(key, NOT_AS_FROZEN, now)
        for store_seq, received_ts, reason in unreadable:
            self._work.note_unreadable(store_seq, received_ts, reason)
        return repaired

    def set_aside_key(self, key: Key, reason: str, now: int, missing: Trade | None = None) -> bool:
        """Set aside a key that broke an invariant: its amounts are unknown, sums leave it out, and it is listed until `repair`.

        `missing` is a trade that the key should have and lacks. Returns False if the key was set aside before. Readers see it
        with the next publication.
        """
        place = place_of(self.ledger, key)
        assert place is not None, "a key that broke an invariant exists"
        set_aside(place, missing)
        return self._work.note_quarantined(key, reason, now)

    # -- handover ----------------------------------------------------------------------------------------------

    def state_to_carry(self) -> CarriedState:
        """What the store does not record of this engine, for `carry_on` of its successor. O(notices). Writer thread."""
        counts = self._counts
        return CarriedState(
            self._seq,
            self._watermark,
            self._last_trade_at,
            counts[APPLIED],
            counts[DUPLICATE],
            counts[CONFLICT],
            counts["late"],
            self._work.notices(),
            tuple(self._decided),
            self.quarantine.current_day,
            self.cash.rows(),
        )

    def carry_on(self, state: CarriedState, judge: Judge) -> None:
        """Continue where another engine ended: the next snapshot follows its newest. O(notices). Writer thread.

        The trades of notices and verdicts may have been read before those came, so they are taken again here, by this engine's
        reference data (`judge`); a trade that is already known changes nothing.
        """
        if state.cash is not None:
            self.take_cash(state.cash, self.snapshot.as_of, is_all=True)
        for item, verdict in state.decided:
            if self._work.verdict(item.id) != verdict:
                self.decide(replace(item, trade=None if item.trade is None else judge(item.trade)), verdict)
        self._decided[:] = state.decided
        items = (*state.notices.late.values(), *state.notices.noticed.values())
        noticed = ((item, None if item.trade is None else judge(item.trade)) for item in items)
        found = self._work.late_count
        found -= self._work.recall_notices(replace(item, trade=trade) for item, trade in noticed if trade is not None)
        self._counts["late"] = state.late + found  # those that this engine alone has seen
        for item in state.notices.conflicts.values():
            if item.trade is not None and (trade := judge(item.trade)) is not None:
                self.recall_conflict(trade)
        self._work.keep_times_of(state.notices)
        # A conflict that is sent again counts again, which no store records; conflicts that only the store knew of come on top.
        self._counts[CONFLICT] = state.conflicts + self._work.count_conflicts_beyond(state.notices)
        self._counts[DUPLICATE] = state.duplicates
        if self._counts[APPLIED] <= state.applied:
            self._last_trade_at = state.last_trade_at
        self.set_current_day(state.current_day, self.snapshot.as_of)
        self._watermark = max(self._watermark, state.watermark)
        self._seq = state.seq
        self._trade_seq = state.seq + 1

    # -- corporate actions -------------------------------------------------------------------------------------

    @property
    def actions_day(self) -> str:
        """The trading day by which corporate actions are in force: the one after the last close, else the one that is running."""
        return self._day.start.window.current if self._day.start is not None else self.quarantine.current_day

    def take_actions(self, rows: ActionRows, now: int, day: str = "") -> None:
        """Put in force, from the next publication on, the corporate actions of a store with an ex-date of `day` or earlier.

        Without a day `actions_day` counts. Call it at the start before balances and trades, and whenever an action or a close has
        changed; `begin_day` does it itself. Positions of the instruments concerned fold again, marks from before an ex-date are
        divided. O(their trades), O(actions) if nothing is new. Raises Frozen where trades must be recalled first, and then has
        done nothing.
        """
        day = day or self.actions_day or self.trading_day.date_of(now).isoformat()
        adjustments = Adjustments(rows, self.reference.by_symbol, day, self.trading_day)
        if frozen := self.actions.frozen_keys(adjustments):
            raise Frozen(frozen)
        self.action_rows = rows
        carried = self.cash.carry_of(self.actions.concerned_symbols(adjustments))
        self.ledger.change_carry(carried, ())  # it goes with the positions, under whatever name they stand
        self.actions.put_in_force(adjustments)
        self.ledger.change_carry((), carried)
        self._listed_actions = -1
        self.options.take_actions(adjustments)
        unsaved = set(self.marks.unsaved)
        self._reprice(self.marks.take_splits(adjustments.prices()), now)
        self.marks.unsaved = unsaved
        self._roll_forwards(day)

    def _roll_forwards(self, day: str) -> None:
        """Value forwards by a trading day, and merge those into spot whose date is spot on it. O(positions in forwards)."""
        self.merges.set_day(day)
        self.forwards.begin_day(day)

    def every_split(self) -> SplitPrices:
        """What all splits that are known, those to come too, make of prices. O(actions)."""
        return Adjustments(self.action_rows, self.reference.by_symbol, "9999-12-31", self.trading_day).prices()

    def close_changes(self, window: DayWindow) -> CloseChanges:
        """What the actions between a close and the day that follows it make of that close. O(actions); any thread."""
        rows, by_symbol = self.action_rows, self.reference.by_symbol
        return Adjustments(rows, by_symbol, window.current, self.trading_day).since(window.closed)

    def _refresh_actions(self) -> None:
        """Bring what actions generate, and what is listed of them, up to date. O(1) if nothing has changed."""
        self.merges.refresh()
        self.actions.refresh()
        if self._listed_actions != self.actions.revision and self.ledger.adjustments is not None:
            self._listed_actions = self.actions.revision
            self._work.note_actions(action_items(self.ledger.adjustments, self.actions))

    # -- prices ------------------------------------------------------------------------------------------------

    @property
    def _settled_cash(self) -> SettledCash:
        assert self._settled is not None, "made before the first publication"
        return self._settled

    def take_calendars(self, calendars: Calendars) -> None:
        """Put calendars in force: which markets are shut, and the engine's own days. Value dates are judged as before."""
        self.calendars = calendars
        self.trading_day = calendars.trading_day(self._config)
        self._day_clock.follow(self.trading_day)
        if self._settled is not None:
            self._settled.follow(self.trading_day, calendars)
            self.merges.follow(ForwardRoll(self.quarantine.spot_dates, self.trading_day))
            self.options.take_calendars(calendars)
        self.marks.hours = MarketHours(self.reference.instruments, calendars, self.trading_day)

    def beat(self, marks: Mapping[int, Mark], now: int, inputs: Sequence[OptionInput] = ()) -> bool:
        """Put changed marks in force and revalue what depends on them. Returns whether anything that readers see has changed.

        `inputs` are vols, rates and Greeks, in order of arrival; older ones than those in force have no effect.
        Where the clock has passed the end of the trading day and its tolerance, the next one begins.
        """
        begun = self._day_clock.has_ended(now) and self.set_current_day(self._day_clock.date_of(now), now) > 0
        if inputs:
            changed = self.option_market.take(inputs, now)
            self.options.take(changed)
            if changed.rates:
                self.forwards.take_rates(self.option_market.rate_rows())
        return self._reprice(marks, now) or begun

    def _reprice(self, marks: Mapping[int, Mark], now: int) -> bool:
        self._priced_at = now
        repriced = self.marks.take(marks)
        is_changed = self.forwards.is_changed
        made = self.forwards.mark(self.marks, self.marks.fresh(now), now)
        fresh = made.fresh
        repriced = sorted({*repriced, *made.moved}) if made.moved else repriced
        shut = self.marks.shut(now)
        flags_same = (
            np.array_equal(fresh, self._fresh)
            and np.array_equal(self.marks.priced, self._priced)
            and (shut is self._units.closed or np.array_equal(shut, self._units.closed))
        )
        before, rates_same = self._rates, True
        if not flags_same or is_changed or made.moved or self._moves_rates(repriced):
            self._fresh, self._priced = fresh, self.marks.priced.copy()
            rates_same = self._take_rates()
        revalued = self.options.revalue(self._prices(now), now)
        if not marks and flags_same and not revalued.is_changed and not is_changed and not made.moved:
            return False
        flags_same = flags_same and rates_same and revalued.flags_same
        if flags_same:
            self._units = self._units.with_prices(self._terms, self.marks, self.options.marks(self._rates))
            self._factors = self._factors.with_prices(self._units, self._rates)
        else:
            self._units, self._factors = self._make_units(shut)
        self._valued = (self.reference, self._units, self._factors)
        moved = self._rates.fee_value != before.fee_value
        fees_moved = np.flatnonzero(moved).tolist() if moved.any() else ()
        few = (len(repriced) + len(revalued.numbers)) * 8 <= len(self.reference.instruments)
        if few and revalued.numbers:
            repriced = sorted({*repriced, *revalued.numbers})
        for builder in (self._organisation, self._dealers):
            if flags_same:
                builder.valuation.reprice_prices(repriced if few else None, self._factors, fees_moved)
            else:
                builder.valuation.reprice(self._factors)
            if builder.day is None:
                continue
            if flags_same and few and not fees_moved:
                builder.day.reprice_some(repriced, self._units, self._factors)
            else:
                builder.day.reprice(self._units, self._factors)
        return True

    def _prices(self, now: int) -> SpotPrices:
        return SpotPrices.of(self.marks, self._priced, self._fresh, self._rates, now)

    def _make_units(self, shut: BoolArray) -> tuple[Units, Factors]:
        """Unit values made anew from prices, flags and rates in force."""
        options = self.options.marks(self._rates)
        units = Units.of(self._terms, self.marks, self._priced, self._fresh, self._rates, shut, options)
        return units, Factors(units, self._rates)

    def _moves_rates(self, repriced: Collection[int]) -> bool:
        """Whether new prices of these instruments may be new rates. O(those)."""
        return bool(repriced) and (self.forwards.has_any or self._graph.uses_any(repriced))

    def _take_rates(self) -> bool:
        """Work out the rates from the marks in force. Returns whether they are unchanged. O(currencies)."""
        before = self._rates
        self._rates = self._rates_now()
        return all(np.array_equal(old, new) for old, new in zip(before[:3], self._rates[:3], strict=True))

    def _rates_now(self) -> Rates:
        return self.forwards.with_buckets(self._graph.rates(self.marks.price, self._priced, self._fresh), self.marks)

    # -- the day -----------------------------------------------------------------------------------------------

    def close_rows(self, window: DayWindow, following: DayWindow, inputs: Iterable[OptionInput] | None = None) -> ClosingRows:
        """What positions were at the end of the day `window`, for `make_close`. Call it right after `publish`. Writer thread.

        From here on trades are dated by the day `following`. `inputs` are the vols, rates and Greeks of before the end; None:
        those in force that are. O(positions that have traded for the day after + rows).
        """
        rows = self._day.close_rows(self.snapshot, window, following, self.cash.own_movements(window.end_ts))
        self._units = self._units._replace()  # what was dealt in the day is that of the next: readers look at every row again
        given = self.option_market if inputs is None else (*inputs, *self.option_market.cut_spots.values())
        market = OptionMarket((each for each in given if each.ts < window.end_ts), window.end_ts)
        options = ClosingOptions(tuple(market), self.calendars, self.ledger.adjustments)
        forwards = self.forwards.market_by(market.rate_rows())
        return rows._replace(options=options if self.options else None, forwards=forwards)

    def number_dealers(self, names: Iterable[str]) -> dict[str, int]:
        """The number of every dealer, those of a close that have no trade among them. O(dealers)."""
        for name in names:
            self.ledger.dealer_number(name)
        return dict(self.ledger.dealer_index)

    def day_values(self, start: DayStart) -> dict[str, DayValues]:
        """The lines of a day that begins, valued now. O(positions). Any thread, while no trade comes in, or the writer's."""
        books = (self.ledger.organisation.books, self.ledger.dealers.books)
        reference, units, factors = self._valued
        start = start.grown(reference)
        tables = (("node", start.nodes, reference.hierarchy), ("dealer", start.dealers, None))
        return {
            name: DayValues(reference, hierarchy, table, start.prices, held, units, factors)
            for (name, table, hierarchy), held in zip(tables, books, strict=True)
        }

    def begin_day(self, start: DayStart, values: Mapping[str, DayValues]) -> None:
        """Put the start of a day in force, and the corporate actions of that day; readers see it with the next publication.

        O(corrections), O(trades of the instruments that actions concern). Writer thread. Raises Frozen as `take_actions`.
        """
        if self.ledger.adjustments is not None:
            self.take_actions(self.action_rows, self.snapshot.as_of, start.window.current)
        self._roll_forwards(start.window.current)
        self._day.begin(start, values, self._units, self._factors)
        self.cash.begin_day(start.window.start_ts)
        self._units = self._units._replace()  # readers look at every row again

    # -- snapshots ---------------------------------------------------------------------------------------------

    def publish(self, now: int, *, at_once: bool = False) -> Snapshot:
        """Freeze what changed since the last publication into a new snapshot. O(touched), not O(book).

        `at_once` works in long steps, for a time when no other thread needs the interpreter.
        """
        self._refresh_actions()
        self._bring_cash(now, at_once=at_once)
        nodes_changed = self._organisation.settle(self._units, self._factors, at_once=at_once)
        dealers_changed = self._dealers.settle(self._units, self._factors, at_once=at_once)
        if self._day.restate(self._units, self._factors):
            self._units = self._units._replace()  # readers look at every row again
        self._seq += 1
        if nodes_changed or dealers_changed or self._seq == 1:
            self._trade_seq = self._seq
        self._work.refresh(self.processed, now)
        counts = self._counts
        self.snapshot = Snapshot(
            epoch=self._epoch,
            seq=self._seq,
            as_of=now,
            reference=self.reference,
            nodes=self._organisation.table(),
            dealers=self._dealers.table(),
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
                self._work.quarantined_count,
                len(self.processed.unmatched),
                self._work.waiting_count,
            ),
            exceptions=self._work.exceptions,
            verdicts=self._work.verdicts,
            watermark=self._watermark,
            trade_seq=self._trade_seq,
            last_trade_at=self._last_trade_at,
            adjustments=self.ledger.adjustments,
            day=self._day.start,
            current_day=self.quarantine.current_day,
            forwards=self.forwards.market,
            deals=self.ledger.deals_so_far,
        )
        return self.snapshot

    def check(self) -> None:
        """Assert every invariant that needs no store. O(everything): for tests and `riskengine rebuild`."""
        self.ledger.check()
        for builder in (self._organisation, self._dealers):
            builder.check(self._factors)
