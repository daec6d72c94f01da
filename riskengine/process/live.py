"""All parts of an engine that is live, made in one place from what was loaded, started and stopped together.

Threads: the event loop owns sockets, decoding and the quote book; the writer thread owns the engine; the store thread owns the
store's write side; a pool answers reads of the store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from riskengine.alerts import Warnings, tells_end
from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import Config
from riskengine.engine.beats import Beats
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.engine.writer import Writer
from riskengine.errors import StoreWentBack
from riskengine.intake.recall import Recall
from riskengine.intake.side_writes import notice_of
from riskengine.intake.store_thread import StoreThread
from riskengine.loop import PublishWakeup
from riskengine.market.clock_skew import ClockSkews
from riskengine.market.closing_book import ClosingMarks
from riskengine.market.closing_prices import CloseTimes, ClosingRules, closing_rules
from riskengine.market.marks import Mark
from riskengine.market.tick_limits import LimitedQuoteBook
from riskengine.market.trading_day import TradingDay
from riskengine.observe import Metrics
from riskengine.process.calendar_watch import CalendarWatch
from riskengine.process.cash_desk import CashDesk
from riskengine.process.close_states import CloseStateParts, CloseStates
from riskengine.process.day_marks import DayMarks
from riskengine.process.explain_desk import ExplainDesk
from riskengine.process.group_desk import GroupDesk
from riskengine.process.journal import Journal
from riskengine.process.limit_desk import LimitDesk, LimitDeskParts, StoredLimits
from riskengine.process.limit_figures import FigureParts, LimitFigures
from riskengine.process.live_actions import LiveActions
from riskengine.process.manual_marks import ManualMarks
from riskengine.process.moments import MomentDesk
from riskengine.process.neighbours import NeighbourParts, Neighbours
from riskengine.process.option_feed import OptionFeed
from riskengine.process.roll import Roll, RollParts, RollStart
from riskengine.process.sampling import OnStore, Sampling
from riskengine.process.scenario_desk import ScenarioDesk
from riskengine.process.strikes import StrikeParts, Strikes
from riskengine.process.verdicts import OnWriter, Verdicts
from riskengine.rebuild.load import Loaded
from riskengine.rebuild.renewal import RenewalParts, Renewals
from riskengine.reconciliation.confirm import ReconcilerParts, compare_beside, trades_standing
from riskengine.reconciliation.reconciler import Reconciler
from riskengine.records.option_inputs import CutSpot, DatedInput
from riskengine.records.reference import trade_check
from riskengine.records.types import Key, StoredMark, Trade
from riskengine.snapshot.curves import Curves
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory
from riskengine.store.protocol import Store
from riskengine.store.standing import Acknowledged
from riskengine.valuation.forward_values import FORWARD_MARK


def _quotes_of(engine: Engine, config: Config) -> LimitedQuoteBook:
    """The quote book as the loaded engine leaves it: with its splits and marks."""
    quotes = LimitedQuoteBook(engine.reference, config.marks, config.engine.future_limit_s, config.ingest)
    if (adjustments := engine.snapshot.adjustments) is not None:
        quotes.take_splits(adjustments.prices())
    quotes.restore({engine.reference.symbols[number]: mark for number, mark in enumerate(engine.marks.marks) if mark is not None})
    return quotes


class Surroundings(NamedTuple):
    """What a live engine stands on: it was there before, and the process goes on with it."""

    store: Store
    epoch: int
    config: Config
    clock: Clock
    metrics: Metrics
    warnings: Warnings
    curves: Curves
    wakeup: PublishWakeup
    skews: ClockSkews


class Calls(NamedTuple):
    """What a live engine asks of its process; each refuses with EngineNotLive once the engine is not live any more.

    failed     the engine cannot go on, called on the loop; refuses nothing
    renew      rebuild everything from the store
    went_back  the store is behind what was acknowledged, called on the loop with a text and what was acknowledged
    on_store, on_writer  have something done on the store thread or the writer thread
    """

    failed: Callable[[BaseException], None]
    renew: Callable[[str], Awaitable[None]]
    went_back: Callable[[str, Acknowledged], None]
    on_store: OnStore
    on_writer: OnWriter


class LiveEngine:
    """The parts of a live engine. Made on the event loop; nothing runs before `start`."""

    def __init__(self, around: Surroundings, loaded: Loaded, calls: Calls, begin: RollStart, limits: StoredLimits) -> None:
        config, engine = around.config, loaded.engine
        self._around = around
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._start_notices = engine.take_noticed()
        self.spot_dates = engine.quarantine.spot_dates
        """What judges value dates, in this engine and in those that take over from it."""
        self.inbox = Inbox(config.inbox.max_trades)
        self.renewals = Renewals(trade_check(engine.reference), loaded.revision)
        self.quotes = _quotes_of(engine, config)
        self.history = SnapshotHistory(engine.snapshot, int(config.server.snapshot_history_s * MICROS_PER_SECOND))
        self.store_thread = self._make_store_thread(loaded)
        self.store_thread.marks.note_stored(
            (engine.reference.symbols[number], lasting.ts)
            for number, mark in enumerate(engine.marks.marks)
            if mark is not None and (lasting := mark.lasting) is not None and mark.kind != FORWARD_MARK  # it is never stored
        )
        self.option_feed = OptionFeed(self.store_thread, config, around.clock, around.metrics, engine.option_market)
        self.writer = self._make_writer(loaded)
        self.renewals.work_on(self._renewal_parts())
        self.cash_desk = CashDesk(around.store, config, around.clock, calls.on_store, calls.on_writer)
        self.cash_desk.go_on(loaded.seen, engine.settlements)
        self.reconciler = Reconciler(self._reconciler_parts())
        self.beats = Beats(
            config.engine.beat_ms / 1_000,
            self.inbox,
            self.quotes,
            self.writer,
            around.warnings,
            around.clock,
            calls.failed,
            self._save_closing,
            self.option_feed.take,
        )
        self.verdicts = self._make_verdicts()
        self.roll = Roll(self._roll_parts(), begin)
        self.manual_marks = ManualMarks(calls.on_store, calls.on_writer, self.quotes, self.beats.hand_over_prices, around.clock)
        self.day_marks = self._make_day_marks()
        on_threads = (calls.on_store, calls.on_writer)
        self.actions = LiveActions(
            around.store, around.clock, self.quotes, self.newest, *on_threads, lambda: self.strikes.begin_stored()
        )
        self.limit_desk = self._make_limit_desk(limits)
        self.neighbours = Neighbours(self._neighbour_parts())
        self.scenario_desk = self._make_scenario_desk()
        self.group_desk = GroupDesk(around.store, config, self.newest)
        self.limit_figures = LimitFigures(self._figure_parts())
        self.close_states = CloseStates(self._close_state_parts())
        self.calendar_watch = CalendarWatch(self.newest, self.spot_dates, around.warnings, around.clock)
        self.journal = Journal(config.journal, self.inbox, calls.on_store, lambda: self.renewals.revision, around.clock.speed)
        self.moments = MomentDesk(around.store, config, self.newest)
        self.explain_desk = ExplainDesk(around.store, config, around.clock, self.newest, self.moments, around.warnings)
        self.sampling = Sampling(around.curves, config.curves, around.store, self.newest, calls.on_store, around.clock.speed)

    def newest(self) -> Snapshot:
        """The newest snapshot. Any thread."""
        return self.history.newest

    def start(self) -> None:
        """Start all threads and tasks."""
        self._save_notices(*self._start_notices)  # what a start had to work out is stored, as what comes later
        for part in (self.store_thread, self.writer, self.reconciler, self.beats, self.roll, self.calendar_watch):
            part.start()
        ended = partial(tells_end, self._around.warnings)
        self.actions.start(ended("corporate actions take no effect on their ex-date"))
        self.close_states.start(ended("the state of no later close is kept, so that the next start takes longer"))
        self.day_marks.start(ended("loaded closes take no effect at the end of their day"))
        self.limit_desk.start(self._around.wakeup.listen, ended("breaches of limits are not stored, and not warned of"))
        self.journal.start(ended("what the screens say is not recorded any more: the past has a hole until the next start"))
        self.sampling.start(ended("the curves of the day get no samples"))
        self.scenario_desk.start(ended("intraday VaR gets no new minutes"))
        self.explain_desk.start(ended("nobody is warned of P&L that is unexplained"))
        self.limit_figures.start(ended("limits on VaR and on cash by value date are unknown"))

    async def stop(self, failed: Callable[[], bool]) -> None:
        """Finish what waits and store the marks. Once `failed` says so, nobody waits for answers of the engine."""
        for jobs in (self.beats, self.roll, self.day_marks, self.actions, self.calendar_watch):
            jobs.stop()
        for desk in (self.limit_figures, self.scenario_desk, self.group_desk, self.explain_desk, self.moments):
            desk.stop()
        for others in (self.renewals, self.reconciler, self.neighbours, self.close_states, self.journal):
            others.stop()
        await asyncio.to_thread(self.store_thread.drain, lambda: not failed() and self.writer.alive)
        # After the drain the writer has taken the last batch of prices, and there is room for what came since.
        self.beats.hand_over_prices()
        self.option_feed.save()
        await asyncio.to_thread(self.writer.stop)
        await asyncio.to_thread(self.store_thread.stop)
        await asyncio.sleep(0)  # the last answers have reached the loop's queue

    # -- the parts ---------------------------------------------------------------------------------------------

    def _make_day_marks(self) -> DayMarks:
        around = self._around
        return DayMarks(
            around.store, around.config, around.clock, self.quotes, self._close_times, lambda: self.neighbours.read_closes()
        )

    def _make_limit_desk(self, stored: StoredLimits) -> LimitDesk:
        around = self._around
        parts = LimitDeskParts(around.store, self.history, self._calls.on_store, around.clock, around.warnings, around.metrics)
        return LimitDesk(parts, stored, around.config.server.snapshot_history_s)

    def _make_store_thread(self, loaded: Loaded) -> StoreThread:
        check = self.renewals.check
        return StoreThread(
            self._around.store,
            self.inbox,
            check,
            self._around.metrics,
            batch_trades=self._around.config.store.batch_trades,
            watermark=loaded.engine.snapshot.watermark,
            bookmark=loaded.bookmark,
            failed=self._fail_from_thread,
            after_read=self._after_read,
            recall=Recall(self._around.store, check, loaded.engine),
            went_back=self._store_went_back,
            spot_dates=self.spot_dates,
        )

    def _make_writer(self, loaded: Loaded) -> Writer:
        config = self._around.config
        return Writer(
            loaded.engine,
            self.inbox,
            self.history,
            self._around.clock,
            self._around.metrics,
            beat_us=config.engine.beat_ms * 1_000,
            store_marks_us=int(config.marks.store_every_s * MICROS_PER_SECOND),
            published=self._around.wakeup.wake,
            save_marks=self._save_marks,
            save_notices=self._save_notices,
            failed=self._fail_from_thread,
            save_cut_spots=self._save_cut_spots,
            self_audit_s=config.engine.self_audit_s,
        )

    def _make_verdicts(self) -> Verdicts:
        on_store, on_writer, hand_over = self._calls.on_store, self._calls.on_writer, self.beats.hand_over_prices
        return Verdicts(on_store, on_writer, self.store_thread.delivery, self.quotes, hand_over)

    def _make_scenario_desk(self) -> ScenarioDesk:
        around = self._around
        return ScenarioDesk(around.store, around.config.scenarios, around.clock, self.newest, lambda: self._rules().trading_day)

    def _figure_parts(self) -> FigureParts:
        around, desk = self._around, self.limit_desk
        return FigureParts(
            store=around.store,
            config=around.config,
            clock=around.clock,
            newest=self.newest,
            scenarios=self.scenario_desk,
            groups=self.group_desk,
            on_writer=self._calls.on_writer,
            wanted=lambda: desk.figure_lines,
            take=desk.take_figures,
        )

    def _close_state_parts(self) -> CloseStateParts:
        around = self._around
        return CloseStateParts(around.store, around.config, around.clock, around.epoch, self._calls.on_store, self.reconciler.run)

    def _renewal_parts(self) -> RenewalParts:
        around = self._around
        return RenewalParts(
            store=around.store,
            config=around.config,
            clock=around.clock,
            epoch=around.epoch,
            inbox=self.inbox,
            writer=self.writer,
            store_thread=self.store_thread,
            quotes=self.quotes,
            warnings=around.warnings,
            metrics=around.metrics,
            newest=self.newest,
            spot_dates=self.spot_dates,
        )

    def _reconciler_parts(self) -> ReconcilerParts:
        around = self._around
        return ReconcilerParts(
            store=around.store,
            config=around.config,
            clock=around.clock,
            metrics=around.metrics,
            inbox=self.inbox,
            store_thread=self.store_thread,
            warnings=around.warnings,
            newest=self.newest,
            standing=self._trades_standing,
            revision=lambda: self.renewals.revision,
            renew=self._calls.renew,
            alone=self.renewals.alone,
            compare=compare_beside(around.config),
            follow_cash=self.cash_desk.follow,
        )

    def _neighbour_parts(self) -> NeighbourParts:
        around = self._around
        return NeighbourParts(
            store=around.store,
            config=around.config,
            clock=around.clock,
            inbox=self.inbox,
            store_thread=self.store_thread,
            quotes=self.quotes,
            close_times=self._close_times,
            newest=self.newest,
            on_store=self._calls.on_store,
            warnings=around.warnings,
            spot_dates=self.spot_dates,
            renew=self._calls.renew,
            closes_changed=self._note_closes_changed,
            scenarios_changed=lambda: self.scenario_desk.note_closes_changed(),
            cash=self.cash_desk,
            take_actions=self.actions.take,
            option_feed=self.option_feed,
            follow_limits=self.limit_desk.follow,
        )

    def _roll_parts(self) -> RollParts:
        around, calls = self._around, self._calls
        strikes = StrikeParts(
            store=around.store,
            config=around.config,
            clock=around.clock,
            inbox=self.inbox,
            on_store=calls.on_store,
            on_writer=calls.on_writer,
            newest=self.newest,
            alone=self.renewals.alone,
        )
        self.strikes = Strikes(strikes)
        return RollParts(
            store=around.store,
            config=around.config,
            clock=around.clock,
            quotes=self.quotes,
            skews=around.skews,
            warnings=around.warnings,
            metrics=around.metrics,
            on_store=calls.on_store,
            strikes=self.strikes,
            save_closing=self._save_closing,
            rules=lambda: self._rules()._replace(splits=self.quotes.splits),
            inputs=self.option_feed,
        )

    def _rules(self) -> ClosingRules:
        return closing_rules(self._around.config.engine, self.spot_dates.calendars)

    def _close_times(self) -> CloseTimes:
        return CloseTimes(self.newest().reference.instruments, self._rules())

    # -- between the parts -------------------------------------------------------------------------------------

    def _after_read(self, store: Store) -> None:
        """On the store thread, after each read of what others wrote."""
        self.renewals.check_reference(store)
        self.neighbours.look(store)

    def _note_closes_changed(self) -> None:
        """Somebody has written closes."""
        self.roll.note_closes_changed()
        self.scenario_desk.note_closes_changed()

    def _trades_standing(self, keys: Collection[Key]) -> Awaitable[Mapping[Key, list[Trade]]]:
        return self._calls.on_writer(lambda engine: trades_standing(engine, keys))

    def _save_marks(self, marks: Sequence[tuple[int, Mark]]) -> None:
        """On the writer thread: closes are in the store already, and so is what a person holds over another mark."""
        symbols = self.history.newest.reference.symbols
        lasting = ((symbols[number], mark.lasting) for number, mark in marks)
        self.store_thread.save_marks(
            StoredMark(symbol, mark.ts, mark.price, mark.source, mark.kind)
            for symbol, mark in lasting
            if mark is not None and mark.ts and mark.kind != "close"
        )

    def _save_cut_spots(self, cut_spots: Sequence[CutSpot]) -> None:
        """On the writer thread."""
        day_of = TradingDay.of(self._around.config.engine).date_of
        self.store_thread.save_option_inputs(DatedInput(day_of(each.ts).isoformat(), each) for each in cut_spots)

    def _save_closing(self, closing: ClosingMarks) -> None:
        """On the loop, before the writer gets marks from the cutoff on."""
        self.store_thread.save_closing_marks(
            closing.date,
            (StoredMark(symbol, mark.ts, mark.price, mark.source, mark.kind) for symbol, mark in closing.marks.items()),
        )

    def _save_notices(self, items: Sequence[ExceptionItem], up_to: int) -> None:
        """On the writer thread, and before it runs."""
        self.store_thread.save_notices(map(notice_of, items), up_to)

    def _store_went_back(self, error: StoreWentBack) -> None:
        """On the store thread."""
        acknowledged = self._around.store.acknowledged
        assert acknowledged is not None, "only a writer with an epoch finds that its store went back"
        reached = max(acknowledged.watermark, self.store_thread.delivery.watermark)
        self._loop.call_soon_threadsafe(self._calls.went_back, str(error), acknowledged._replace(watermark=reached))

    def _fail_from_thread(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self._calls.failed, error)
