"""The lifetime of one engine: opened, started, live, failed, stopped; and what the sockets may ask of it. No rules.

A life reads: open the store and become its writer; answer "loading" while the engine is rebuilt beside the loop; go live
(`LiveEngine`) until the process is told to stop; then take nothing more, finish what waits, close.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from riskengine.alerts import Warnings, tells_end
from riskengine.clock import MICROS_PER_SECOND, Clock, SystemClock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Receipt
from riskengine.engine.moment import Known, Moment
from riskengine.engine.preview import Preview
from riskengine.errors import EngineNotLive, RiskEngineError, StartRefused, StoreError
from riskengine.intake.audit_recorder import EarlyEvents, start_event
from riskengine.intake.recall import frozen_since
from riskengine.intake.sources import FeedAction, Sources
from riskengine.limits.judge import Judgement
from riskengine.loop import PendingAnswers, PublishWakeup, pending_answer, start_task
from riskengine.market.clock_skew import ClockSkews
from riskengine.market.closing_prices import closing_rules
from riskengine.market.quote_book import AnyTick
from riskengine.market.spot_dates import SpotDates
from riskengine.market.tick_limits import TicksTaken
from riskengine.observe import Metrics, get_logger
from riskengine.positions.frozen_ids import FrozenIds
from riskengine.process.alert_channels import AlertChannel, open_channels
from riskengine.process.alert_desk import AlertDesk, AlertParts
from riskengine.process.alert_lights import Seen, red_lights
from riskengine.process.closes import posted_event, read_close, save_closes_one_by_one
from riskengine.process.feed_watch import FeedWatch
from riskengine.process.health import Health
from riskengine.process.kept_out import kept_out_numbers
from riskengine.process.limit_desk import StoredLimits
from riskengine.process.live import Calls, LiveEngine, Surroundings
from riskengine.process.log_watch import LogWatch
from riskengine.process.morning_work import needing_a_person
from riskengine.process.preview import preview
from riskengine.process.roll import RollStart, start_roll
from riskengine.process.store_watch import StoreWatch
from riskengine.rebuild.load import Loaded, acceptance, load
from riskengine.rebuild.phases import Morning, summarise
from riskengine.records.actions import Action
from riskengine.records.breaches import Breach
from riskengine.records.cash import CashOutcome, CashRecord
from riskengine.records.closes import ClosedPosition, CloseHeader, CloseOutcome
from riskengine.records.decode import TradeCheck
from riskengine.records.limits import Limit
from riskengine.records.manual_marks import ManualMark, MarkStatus
from riskengine.records.margin_rules import MarginRule
from riskengine.records.option_input_checks import OptionInputCheck
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Close, Key, Trade, Verdict
from riskengine.scenarios.workbench import Workbench
from riskengine.serve.gateway import NO_ATTRIBUTE
from riskengine.snapshot.curves import Curves
from riskengine.snapshot.digest import digest
from riskengine.snapshot.explanation import Explanation, When
from riskengine.snapshot.groups import Parts
from riskengine.snapshot.history import CloseTotals
from riskengine.snapshot.mismatch import Mismatch, accepted_warning
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory, node_number
from riskengine.store.audit_chain import AuditFilter, entry_row
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.results import ActionStoredAs, TradeFilter
from riskengine.store.sqlite.examination import Examination
from riskengine.store.standing import Acknowledged
from riskengine.views.grants import EVERYTHING, Grants

T = TypeVar("T")

log = get_logger("riskengine.process")


class EngineProcess:
    """One engine on one store; what `serve` sees as its `Gateway`. Methods are called on the event loop.

    `accept_mismatch`: go live even if engine and store contradict each other, and have every screen say so. `reason` is
    why, for the audit trail; a store that went back is not accepted without.
    """

    def __init__(self, config: Config, clock: Clock | None = None, *, accept_mismatch: bool = False, reason: str = "") -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.metrics.refresh = self._measure
        self.warnings = Warnings(self.clock)
        """What every screen says as long as it is true, by kind: set and cleared on the loop."""
        self._log_watch = LogWatch(self.warnings)
        self.curves = Curves(config.curves.samples)
        self.deciding = asyncio.Lock()
        """See `Gateway`."""
        self.morning = Morning(self.clock)
        self.live: LiveEngine | None = None
        """The parts of the engine once it is live; they stay when it has failed or stopped."""
        self._state = "starting"
        self._accept_mismatch = accept_mismatch
        self._reason = reason
        self._mismatches: list[Mismatch] = []
        self._store: Store | None = None
        self._examination = Examination()
        self._examining: asyncio.Task[None] | None = None
        self._store_watch: StoreWatch | None = None
        self._epoch = 0
        self._summary: asyncio.Task[None] | None = None
        self._pending = PendingAnswers()
        self._wakeup = PublishWakeup()
        self._stopped = False
        self._sources = Sources()
        self._skews = ClockSkews()
        self._in_force = 0
        self._feed_watch = FeedWatch(self._sources, self._skews, self.warnings, self.clock)
        self._early_events = EarlyEvents()
        self._channels: list[AlertChannel] = []
        self._alerts: AlertDesk | None = None
        self.ended = asyncio.Event()
        """Set when the engine cannot go on; `failure` says why."""
        self.failure: BaseException | None = None

    # -- life --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store and become its one writer. Raises StoreError, StartRefused, ConfigError."""
        self._channels = open_channels(self.config.alerts)
        store = open_store(
            self.config.store.url, writer="riskengine serve", entering=self.morning.enter, beside=self._examination
        )
        try:
            self._store_watch = StoreWatch(self.config, store, self.clock, self.warnings)
            self._epoch, self._mismatches = self._store_watch.take_epoch(self._accept_mismatch, self._reason)
        except RiskEngineError:
            store.close()
            raise
        self._store = store

    async def start(self) -> None:
        """The morning, then live. Raises StoreError, ReferenceDataError, EngineNotLive (abandoned), StartRefused."""
        assert self._store is not None and self._store_watch is not None, "open comes before start"
        self._wakeup.attach(asyncio.get_running_loop())
        self._log_watch.start()
        self._state = "loading"
        loaded = await load(self._store, self.config, self.morning, epoch=self._epoch, now=self.clock.now())
        if loaded.from_close is None:
            await asyncio.to_thread(self._examination.finish)
        self.morning.raise_if_abandoned()
        self._mismatches += loaded.mismatches
        if self._mismatches:
            if not self._accept_mismatch:
                raise StartRefused(self._mismatches)
            self._store.record([acceptance(self._mismatches, self._reason)])
            self.warnings["mismatch"] = accepted_warning(self._mismatches, self._reason)
        await self._sources.follow(self._store.feeds, self.clock.now())
        self.morning.raise_if_abandoned()
        begin = await self._begin_roll(self._store, loaded)
        limits = await asyncio.to_thread(StoredLimits.of, self._store)
        live = self._go_live(self._store, loaded, begin, limits)
        self.morning.enter("live")
        self._store_watch.start(live.newest, self.morning.facts["openings_left_out"], self.morning.facts["unjudged"])
        if loaded.from_close is not None:
            live.close_states.compare_behind(loaded.from_close, self.morning.note)
            self._examining = start_task(self._finish_examination(), log)
        work = partial(needing_a_person, loaded.engine.snapshot, loaded.engine.trading_day, self._store)
        summary = summarise(self.morning, loaded.engine.snapshot, self.config, self._mismatches, work)
        self._summary = asyncio.get_running_loop().create_task(summary)

    async def _finish_examination(self) -> None:
        """After a start from a close, which does not wait for it: damage of the store's file ends the engine all the same."""
        try:
            await asyncio.to_thread(self._examination.finish)
        except StoreError as error:
            self._fail(error)

    async def _begin_roll(self, store: Store, loaded: Loaded) -> RollStart:
        """Make up the rolls that were missed, on the pool: the store is written there until its own thread begins."""
        store.hand_over()
        rules = closing_rules(self.config.engine, loaded.engine.calendars)._replace(splits=loaded.engine.every_split())
        now, rest = self.clock.now(), self.morning.raise_if_abandoned
        begin = await asyncio.to_thread(start_roll, store, self.config, rules, loaded, now, rest)
        store.hand_over()
        self.metrics.closes_struck.inc(len(begin.made_up))
        self.morning.note(closed=begin.closed, made_up=list(begin.made_up))
        return begin

    def abandon_start(self) -> None:
        """Let a start that is under way end with EngineNotLive at its next step."""
        self.morning.abandon()

    def _go_live(self, store: Store, loaded: Loaded, begin: RollStart, limits: StoredLimits) -> LiveEngine:
        surroundings = Surroundings(
            store, self._epoch, self.config, self.clock, self.metrics, self.warnings, self.curves, self._wakeup, self._skews
        )
        calls = Calls(self._fail, self.renew, self._note_gone_back, self.on_store, self.on_writer)
        self.live = live = LiveEngine(surroundings, loaded, calls, begin, limits)
        watermark = loaded.engine.snapshot.watermark
        event = start_event(self.config, epoch=self._epoch, watermark=watermark, revision=loaded.revision)
        self._early_events.hand_to(live.store_thread.trail.record, event)
        live.start()
        self._state = "live"
        self._sources.write_by(self.on_store)
        self._feed_watch.start()
        self._alerts = AlertDesk(self._alert_parts(live))
        self._alerts.start(tells_end(self.warnings, "no alerts are sent"))
        return live

    def _alert_parts(self, live: LiveEngine) -> AlertParts:
        return AlertParts(
            config=self.config.alerts,
            channels=self._channels,
            clock=self.clock,
            warnings=self.warnings,
            metrics=self.metrics,
            epoch=self._epoch,
            breaches=live.limit_desk.open_breaches,
            lights=lambda: red_lights(self._seen(live)),
        )

    def _seen(self, live: LiveEngine) -> Seen:
        """What the lights look at."""
        stale_us = int(self.config.marks.stale_after_s * MICROS_PER_SECOND)
        return Seen(self.state, live.newest(), int(live.writer.publish_age_s * 1_000), self._tick_age(), stale_us)

    async def stop(self) -> None:
        """Finish what waits, store the marks, give up the lease. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        self._log_watch.stop()
        self._feed_watch.stop()
        if self._alerts is not None:
            await self._alerts.stop("" if self.failure is None else repr(self.failure))
        if self.live is not None:
            await self._sources.finish()
            await self.live.sampling.stop()
            await self.live.limit_desk.stop()
        self._state = "stopping" if self.failure is None else "failed"
        if self.live is not None:
            await self.live.stop(lambda: self.failure is not None)
        for task in (self._summary, self._examining):
            if task is not None:
                task.cancel()
        if self._store_watch is not None:
            await self._store_watch.stop()
        self._pending.give_up(EngineNotLive("the engine has stopped"))
        if self._store is not None:
            self._store.close()
            self._store = None

    def _fail(self, error: BaseException) -> None:
        """The engine cannot go on: tell everybody who waits. The next start applies what is stored."""
        self.failure = self.failure or error
        self._state = "failed"
        self._pending.give_up(EngineNotLive("the engine failed before it could answer: send the trades again once it is live"))
        self.ended.set()

    def _note_gone_back(self, text: str, acknowledged: Acknowledged) -> None:
        """The store is behind what was acknowledged: no trade is taken any more, and every screen says so."""
        assert self._store_watch is not None, "a live engine has a store"
        self.metrics.store_went_back.set(1)
        self._store_watch.note_gone_back(text, acknowledged)

    # -- the state ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """See `Gateway`."""
        if self._state == "live" and self.live is not None and self.live.store_thread.trouble is not None:
            return "degraded"
        return self._state

    @property
    def progress(self) -> float:
        """See `Gateway`."""
        return 1.0 if self._state == "live" else self.morning.progress

    @property
    def is_live(self) -> bool:
        """See `Gateway`."""
        return self._state == "live"

    def _when_live(self) -> LiveEngine:
        if self.live is None or not self.is_live:
            raise EngineNotLive(f"the engine is {self._state}")
        return self.live

    @property
    def history(self) -> SnapshotHistory:
        """See `Gateway`."""
        if self.live is None:
            raise EngineNotLive(f"the engine is {self._state}")
        return self.live.history

    @property
    def check(self) -> TradeCheck:
        """See `Gateway`."""
        return self._when_live().renewals.check

    @property
    def spot_dates(self) -> SpotDates:
        """See `Gateway`."""
        return self._when_live().spot_dates

    @property
    def publish_age_ms(self) -> int | None:
        """See `Gateway`."""
        return None if self.live is None else int(self.live.writer.publish_age_s * 1_000)

    def starting(self) -> Mapping[str, Any]:
        """See `Gateway`."""
        return self.morning.view()

    def health(self) -> Mapping[str, Any]:
        """See `Gateway`."""
        return self._health().fields()

    def _health(self) -> Health:
        return Health(
            self.config,
            self._store_watch.witness.store_id if self._store_watch is not None else None,
            self.morning.loaded,
            self._tick_age(),
            self._feed_rows(),
            self._skews.ahead(self.clock.now()),
            self.morning.account(),
            self.live,
        )

    def _measure(self) -> None:
        """Set the gauges that nothing sets in between."""
        self.metrics.set_state(self.state)
        self.metrics.set_warnings(self.warnings)
        self._health().measure(self.metrics)

    def _tick_age(self) -> int | None:
        """The time since the newest tick by its own clock, microseconds; None before the first."""
        newest = 0 if self.live is None else self.live.quotes.newest_ts
        return max(0, self.clock.now() - newest) if newest else None

    def _feed_rows(self) -> list[dict[str, Any]]:
        """A row for each source that beats or sends ticks, by name."""
        now = self.clock.now()
        beating = self._sources.rows(now)
        rows = beating + self._skews.rows((row["source"] for row in beating), now)
        rows.sort(key=lambda row: str(row["source"]))
        return [row | {"clock_skew_ms": self._skews.skew_ms(row["source"], now)} for row in rows]

    # -- trades and prices -------------------------------------------------------------------------------------

    def submit(self, trades: Sequence[Trade], check: TradeCheck | None = None) -> Awaitable[Receipt]:
        """See `Gateway`."""
        live, (done, answer) = self._when_live(), pending_answer()
        live.store_thread.submit(trades, lambda receipt: answer(receipt, receipt.error), check or live.renewals.check)
        self._sources.note_sent(trades, done)
        return self._pending.keep(done)

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> TicksTaken:
        """See `Gateway`."""
        quotes, now = self._when_live().quotes, self.clock.now()
        taken = quotes.offer_counted(ticks, now)
        # Conflated ticks come into force with a beat: those of before this call count now.
        self.metrics.count_ticks(len(ticks), len(taken.refused), taken.coalesced, quotes.in_force - self._in_force)
        self._in_force = quotes.in_force
        if self._skews.note(ticks, taken.newest_ts, bool(taken.refused), now):
            self._feed_watch.look_soon()
        return taken

    def option_input_check(self) -> OptionInputCheck:
        """See `Gateway`."""
        live = self._when_live()
        return live.option_feed.check(live.newest().reference)

    def offer_option_inputs(self, rows: Sequence[OptionInput]) -> list[int]:
        """See `Gateway`."""
        return self._when_live().option_feed.offer(rows)

    def feed_heartbeat(self, source: str, last_seq: int | None) -> str | None:
        """See `Gateway`."""
        refusal = self._sources.heartbeat(source, last_seq, self.clock.now())
        if refusal is not None:
            self.metrics.heartbeats_refused.inc()
        self._feed_watch.look_soon()
        return refusal

    def note_refused(self, numbers: Sequence[tuple[str, int]]) -> Awaitable[None] | None:
        """See `Gateway`."""
        return self._sources.note_refused(numbers)

    async def decide_feed(self, source: str, action: FeedAction, actor: str) -> dict[str, Any] | None:
        """See `Gateway`."""
        self._when_live()
        if not self._sources.knows(source) and not self._skews.knows(source):
            return None
        row = await self._sources.decide(source, action, actor, self.clock.now())
        if action == "retire":
            self._skews.forget(source)
        self._feed_watch.look()
        return row | {"clock_skew_ms": self._skews.skew_ms(source, self.clock.now())}

    # -- other work --------------------------------------------------------------------------------------------

    def on_writer(self, action: Callable[[Engine], T]) -> "asyncio.Future[T]":
        """See `Gateway`."""
        live, (done, answer) = self._when_live(), pending_answer()
        live.store_thread.ask_writer(action, answer)
        return self._pending.keep(done)

    def on_store(self, action: Callable[[Store], T]) -> "asyncio.Future[T]":
        """What `action` returns, run on the store thread between two commits. Raises EngineNotLive, StoreError."""
        live, (done, answer) = self._when_live(), pending_answer()
        live.store_thread.write(action, answer)
        return self._pending.keep(done)

    def renew(self, reason: str) -> "asyncio.Future[None]":
        """Rebuild everything from the store beside the engine and go on with that (`renewal`); done when a snapshot shows it.

        `reason` is for the log. Raises EngineNotLive, and StoreError or ReferenceDataError if the engine stays as it was.
        """
        return self._pending.keep(self._when_live().renewals.renew(reason))

    async def moment(self, ts: int, known: Known, *, whole: bool = False) -> Moment:
        """See `Gateway`."""
        return await self._when_live().moments.at(ts, known, whole=whole)

    async def explain(self, node: str, begin: When, end: When) -> Explanation:
        """See `Gateway`."""
        return await self._when_live().explain_desk.explain(node, begin, end)

    async def save_actions(self, actions: Sequence[Action]) -> list[ActionStoredAs]:
        """See `Gateway`."""
        return await self._when_live().actions.save(actions)

    async def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        """See `Gateway`."""
        await self._when_live().verdicts.decide(item, verdict)

    async def take_cash(self, kind: str, records: Sequence[CashRecord], actor: str) -> list[CashOutcome]:
        """See `Gateway`."""
        return await self._when_live().cash_desk.take(kind, records, actor)

    async def set_marks(self, marks: Sequence[ManualMark], actor: str) -> tuple[list[MarkStatus], int]:
        """See `Gateway`."""
        return await self._when_live().manual_marks.set_marks(marks, actor)

    async def reconcile(self, *, repair: bool, actor: str) -> dict[str, Any]:
        """See `Gateway`."""
        return await self._when_live().reconciler.run(repair=repair, actor=actor)

    async def breaks(self, *, status: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """See `Gateway`."""
        return await self._when_live().reconciler.breaks(status)

    async def comment_break(self, break_id: int, comment: str, actor: str) -> dict[str, Any] | None:
        """See `Gateway`."""
        return await self._when_live().reconciler.comment(break_id, comment, actor)

    # -- questions ---------------------------------------------------------------------------------------------

    def note(self, kind: str, subject: str, detail: Mapping[str, Any], actor: str) -> None:
        """See `Gateway`."""
        self._early_events.note(kind, subject, detail, actor)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Gateway`."""
        return self._wakeup.listen(wake)

    async def select_trades(
        self,
        *,
        node: str | None,
        instrument: str | None,
        dealer: str | None,
        since: int | None,
        versions: str,
        limit: int,
        snapshot: Snapshot,
        grants: Grants = EVERYTHING,
        attributes: Mapping[str, str] = NO_ATTRIBUTE,
        source: str | None = None,
        trade_id: str | None = None,
        action: str | None = None,
        kept_out: bool | None = None,
    ) -> tuple[list[dict[str, Any]], int]:
        """See `Gateway`."""
        if self._store is None:
            raise EngineNotLive(f"the engine is {self._state}")
        desks = None if node is None else snapshot.reference.hierarchy.leaves_below(node_number(snapshot, node))
        wanted = TradeFilter(
            desks,
            instrument,
            dealer,
            since,
            "all" if versions == "all" else "latest",
            snapshot.watermark,
            grants.visible_trades(snapshot.reference.hierarchy, snapshot.dealer_names),
            tuple(attributes.items()),
            source,
            trade_id,
            action,
        )
        if kept_out is not None:
            numbers = await asyncio.to_thread(kept_out_numbers, snapshot, self._store.trades_of_deals)
            wanted = wanted._replace(only=numbers) if kept_out else wanted._replace(but=numbers)
        rows, total = await asyncio.to_thread(self._store.select_trades, wanted, limit)
        return [row._asdict() for row in rows], total

    async def stored_deals(self, deals: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """See `Gateway`."""
        self._when_live()
        assert self._store is not None, "a live engine has a store"
        return [row._asdict() for row in await asyncio.to_thread(self._store.trades_of_deals, deals)]

    async def preview(self, trades: Sequence[Trade], check: TradeCheck) -> list[Preview]:
        """See `Gateway`."""
        self._when_live()
        assert self._store is not None, "a live engine has a store"
        return await preview(trades, check, self._store.trades_of_deals, self.on_writer)

    async def audit_entries(
        self,
        *,
        trade: str | None,
        node: str | None,
        desks: Sequence[str],
        kind: str | None,
        since: int | None,
        until: int | None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """See `Gateway`."""
        if self._store is None:
            raise EngineNotLive(f"the engine is {self._state}")
        wanted = AuditFilter(trade, node, desks, kind, since, until)
        found = await asyncio.to_thread(self._store.audit_entries, wanted, limit)
        return [entry_row(entry) for entry in reversed(found)]

    async def struck_close(
        self, date: str | None, rollup: str, owners: Sequence[str] | None
    ) -> tuple[CloseHeader, list[ClosedPosition]] | None:
        """See `Gateway`."""
        self._when_live()
        assert self._store is not None, "a live engine has a store"
        return await asyncio.to_thread(read_close, self._store, date, rollup, owners)

    async def save_closes(self, closes: Sequence[Close], actor: str) -> list[CloseOutcome]:
        """See `Gateway`."""
        live = self._when_live()
        outcomes = await self.on_store(partial(save_closes_one_by_one, closes=closes))
        live.roll.note_closes_changed()
        live.scenario_desk.note_closes_changed()
        self.note(*posted_event(closes, outcomes), actor)
        return outcomes

    async def frozen_trades(
        self,
        behind: Mapping[Key, Trade],
        since: int,
        frozen: FrozenIds,
        reference: Reference,
        place: Callable[[Trade], Trade],
    ) -> Mapping[Key, Sequence[Trade]]:
        """See `Gateway`."""
        if self._store is None:
            raise EngineNotLive(f"the engine is {self._state}")
        return await asyncio.to_thread(frozen_since, self._store, trade_check(reference), frozen, behind, since, place)

    async def close_totals(self, rollup: str, owner: str, since_date: str) -> CloseTotals:
        """See `Gateway`."""
        if self._store is None:
            raise EngineNotLive(f"the engine is {self._state}")
        return await asyncio.to_thread(self._store.close_totals, rollup, owner, since_date)

    async def ask_scenarios(self, work: Callable[[Workbench], T]) -> T:
        """See `Gateway`."""
        return await self._when_live().scenario_desk.ask(work)

    async def trade_groups(self, snapshot: Snapshot, by: str, *, node: str | None, dealer: str | None) -> Parts:
        """See `Gateway`."""
        return await self._when_live().group_desk.parts(snapshot, by, node=node, dealer=dealer)

    # -- limits ------------------------------------------------------------------------------------------------

    @property
    def limits(self) -> Sequence[Limit]:
        """See `Gateway`."""
        return self._when_live().limit_desk.limits

    @property
    def margin_rules(self) -> Sequence[MarginRule]:
        """See `Gateway`."""
        return self._when_live().limit_desk.margin_rules

    def judgement(self, snapshot: Snapshot) -> Judgement:
        """See `Gateway`."""
        return self._when_live().limit_desk.judgement(snapshot)

    async def save_risk_rules(self, kind: str, rules: Sequence[Limit | MarginRule], actor: str) -> list[str]:
        """See `Gateway`."""
        return await self._when_live().limit_desk.save(kind, rules, actor)

    async def breaches_of_limits(self, *, past: bool) -> list[Breach]:
        """See `Gateway`."""
        return await self._when_live().limit_desk.breaches(past=past)

    async def acknowledge_breach(self, breach: Breach, actor: str, reason: str) -> Breach:
        """See `Gateway`."""
        return await self._when_live().limit_desk.acknowledge(breach, actor, reason)

    async def digest(self, snapshot: Snapshot) -> str:
        """See `Gateway`."""
        return await asyncio.to_thread(digest, snapshot)
