"""Reconciliation beside the live engine: on a timer, on demand, with its repair.

A run compares what the engine holds with what the store says at the same watermark, twice if they differ (`confirm`). It keeps
breaks in the store, reports them by log, metric, warning and status, and repairs them on request: the affected keys are refolded
from the store's rows, as one new snapshot; a tree that differs is rebuilt whole. Nothing is ever invented: a trade that the store
does not hold is dropped. Runs one at a time, on the event loop; a child process compares, the store thread reads for a repair.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import orjson

from riskengine.clock import MICROS_PER_SECOND
from riskengine.engine.engine import Engine
from riskengine.errors import RiskEngineError, StoreUnavailable
from riskengine.loop import pending_answer, start_task
from riskengine.market.trading_day import TradingDay
from riskengine.observe import get_logger
from riskengine.positions.repair import Repaired
from riskengine.reconciliation.confirm import Compared, ReconcilerParts, catch_up, confirmed_breaks, differing_trades
from riskengine.reconciliation.self_repair import SelfRepair
from riskengine.reconciliation.stored_keys import StoredKeys, stored_keys, vanished_rows
from riskengine.records.types import Identity, Key
from riskengine.snapshot.compare import HIERARCHY, KINDS, NODE, Break, found_rows, holding_row
from riskengine.snapshot.rows import RowDict
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.protocol import Store
from riskengine.store.results import FoundBreak, StoredBreak

MAX_DETAILED = 100
"""Breaks whose trades a report names; for more breaks it gives figures only."""

MAX_TRADES = 20
"""Trades that a report names for one break."""

AGAINST = "store"

RETRY_S = 0.5
"""Pause before writing again what the store did not take."""

SELF_AUDIT = "self-audit"
"""The actor of a run after the engine found something wrong with itself."""

log = get_logger("riskengine.reconcile")


class Reconciler:
    """All runs of one engine. `last` is the newest report, None before the first."""

    def __init__(self, parts: ReconcilerParts) -> None:
        self._parts = parts
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.last: RowDict | None = None

    def start(self) -> None:
        """Begin to run on the timer, if the configuration has one, and whenever the self-audit has set something aside."""
        parts, settings = self._parts, self._parts.config.reconcile
        refold = self.refold if settings.repair_self_audit else None
        self_repair = SelfRepair(parts.newest, parts.warnings, refold, partial(self.run, repair=False, actor=SELF_AUDIT))
        self._tasks = [
            start_task(job, log)
            for job in (self_repair.run(), self._recheck_open(), *([self._on_timer()] if settings.every_s else ()))
        ]

    def stop(self) -> None:
        """No more runs."""
        for task in self._tasks:
            task.cancel()

    async def _recheck_open(self) -> None:
        """If breaks were open when the last engine ended, run once to see whether they still are."""
        try:
            if await asyncio.to_thread(self._parts.store.breaks, status="open", limit=1):
                await self.run(repair=False, actor="engine")
        except RiskEngineError as error:
            log.warning("reconciliation_failed", error=str(error))

    async def _on_timer(self) -> None:
        parts = self._parts
        trading_day = TradingDay.of(parts.config.engine)
        while True:
            await asyncio.sleep(parts.config.reconcile.every_s)
            if not trading_day.is_open(parts.clock.now()):
                continue
            try:
                await self.run(repair=False, actor="engine")
            except RiskEngineError as error:
                log.warning("reconciliation_failed", error=str(error))

    async def run(self, *, repair: bool, actor: str) -> RowDict:
        """One run, after any that is under way; its report. Raises StoreError, EngineNotLive, and what `compare` raises."""
        async with self._lock:
            try:
                report = await self._run(repair, actor)
            except RiskEngineError:
                self._parts.metrics.reconciliations["failed"].inc()
                raise
            self.last = report
            return report

    async def _run(self, repair: bool, actor: str) -> RowDict:
        parts = self._parts
        started = parts.clock.now()
        found = await confirmed_breaks(parts)
        trades = await self._differing_trades([*found.breaks.values()][:MAX_DETAILED])
        open_breaks = await self._remember(found, trades)
        parts.metrics.reconciliations["breaks" if found.breaks else "clean"].inc()
        repaired: set[Key] = set()
        if found.breaks:
            log.error(
                "breaks_found",
                breaks=len(found.breaks),
                kinds=count_by_kind(found.breaks.values()),
                first=_key_text(next(iter(found.breaks))),
            )
            self._show_open(open_breaks)
            if repair:
                repaired = await self._repair(found.breaks, actor)
        left = [one for one in open_breaks if one.key not in repaired]
        self._show_open(left)
        seen = {one.key: one for one in open_breaks}
        snapshot = found.snapshot
        return {
            "clean": not found.breaks,
            "against": AGAINST,
            "compared": found.compared,
            "epoch": snapshot.epoch,
            "seq": snapshot.seq,
            "watermark": snapshot.watermark,
            "started_ts": started,
            "took_ms": max(0, parts.clock.now() - started) // 1_000,
            "breaks": [
                row
                | {
                    "trades": trades.get(each.key, []),
                    "repaired": each.key in repaired,
                    "first_seen_ts": seen[each.key].first_seen_ts if each.key in seen else started,
                    "age_s": max(0, started - seen[each.key].first_seen_ts) / MICROS_PER_SECOND if each.key in seen else 0.0,
                }
                for each in found.breaks.values()
                for row in found_rows(each)
            ],
            "open": len(left),
        }

    async def _differing_trades(self, breaks: list[Break]) -> dict[Key, list[RowDict]]:
        """Trades behind each break that only one side has, or has with other columns."""
        keys = [each.key for each in breaks if each.kind != HIERARCHY]
        if not keys:
            return {}
        return {key: found[:MAX_TRADES] for key, found in (await differing_trades(self._parts, keys)).items()}

    async def _remember(self, found: Compared, trades: Mapping[Key, list[RowDict]]) -> list[StoredBreak]:
        parts = self._parts
        rows = [
            FoundBreak(
                each.kind,
                each.key,
                _json(holding_row(each.here)),
                _json(holding_row(each.there)),
                orjson.dumps(trades.get(each.key, [])).decode(),
            )
            for each in found.breaks.values()
        ]
        epoch, watermark, now = found.snapshot.epoch, found.snapshot.watermark, parts.clock.now()

        def remember(store: Store) -> list[StoredBreak]:
            return store.remember_breaks(rows, against=AGAINST, epoch=epoch, watermark=watermark, ts=now, by="reconciliation")

        breaks: list[StoredBreak] = await self._write(remember)
        return breaks

    def _show_open(self, left: Sequence[StoredBreak]) -> None:
        metrics = self._parts.metrics
        metrics.breaks_open.set(len(left))
        metrics.breaks_open_by_kind.clear()
        kinds = count_by_kind(left)
        for kind, count in kinds.items():
            metrics.breaks_open_by_kind.labels(kind).set(count)
        if left:
            by_kind = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
            self._parts.warnings["breaks"] = f"positions that differ from the store: {len(left):,} ({by_kind}); see /v1/breaks"
        else:
            self._parts.warnings.pop("breaks", None)

    async def breaks(self, status: str | None) -> tuple[list[RowDict], RowDict | None]:
        """Stored breaks, open ones first, and the last report. Raises StoreError."""
        found = await asyncio.to_thread(self._parts.store.breaks, status=status)
        return [break_row(one, self._parts.clock.now()) for one in found], self.last

    async def comment(self, break_id: int, comment: str, actor: str) -> RowDict | None:
        """Store a person's comment on a break; its row, None if there is no such break. Raises StoreError."""
        found: StoredBreak | None = await self._write(lambda store: store.comment_break(break_id, comment, actor))
        return None if found is None else break_row(found, self._parts.clock.now())

    # -- repair ------------------------------------------------------------------------------------------------

    async def _repair(self, breaks: Mapping[Key, Break], actor: str) -> set[Key]:
        """Take the store's values; returns the keys that agree afterwards."""
        parts = self._parts
        if any(_is_tree_break(each) for each in breaks.values()):
            await parts.renew("the tree differs from the store's")
            tree = [list(key) for key, each in breaks.items() if _is_tree_break(each)]
            await self._record([], AuditEvent("repair", "", {"keys": tree, "rebuilt": True}, actor))
        keys = [each.key for each in breaks.values() if not _is_tree_break(each)]
        if keys:
            await self._record_repair(*await self._refold_keys(keys), actor)
        again = await confirmed_breaks(parts)
        settled = {key for key in breaks if key not in again.breaks}
        now = parts.clock.now()
        await self._write(lambda store: store.resolve_breaks(sorted(settled), "repaired", against=AGAINST, by=actor, ts=now))
        log.info("repaired", keys=len(settled), left=len(breaks) - len(settled), seq=parts.newest().seq, by=actor)
        return settled

    async def refold(self, keys: list[Key]) -> None:
        """Refold keys that the self-audit has set aside from the store's rows. Raises StoreError, EngineNotLive."""
        async with self._lock:
            await self._record_repair(*await self._refold_keys(keys), SELF_AUDIT)

    async def _refold_keys(self, keys: list[Key]) -> tuple[Repaired, StoredKeys]:
        """Refold keys from their stored rows; never during a renewal, whose engine may have read the rows before they changed."""
        parts = self._parts
        while True:
            await catch_up(parts)
            async with parts.alone:
                here = await parts.standing(keys)
                done, answer = pending_answer()
                identities = {trade.identity for trades in here.values() for trade in trades}

                def failed(_: Any, error: Exception | None, answer: Callable[..., None] = answer) -> None:
                    if error is not None:
                        answer(None, error)

                parts.store_thread.write(partial(self._read_and_refold, keys, identities, answer), failed)
                found: tuple[Repaired, StoredKeys] | None = await done
            if found is not None:
                return found
            await parts.renew("reference data changed")  # the engine was about to follow

    def _read_and_refold(self, keys: list[Key], identities: set[Identity], answer: Callable[..., None], store: Store) -> None:
        """On the store thread: nothing can be committed between this read and the call to the writer.

        Answers None if the rows were read by other reference data than the engine was made from: they might not fit it.
        """
        self._parts.store_thread.hand_over_all()
        newest = self._parts.newest()
        read = stored_keys(store, self._parts.config, keys, identities, newest.current_day, newest.actions_day)
        if read.revision != self._parts.revision():
            answer(None, None)
            return
        unreadable = [(row.store_seq, row.row.received_ts, f"{row.field}: {row.reason}") for row in read.unreadable]
        self._parts.store_thread.delivery.recall_rows(read.versions)
        now = self._parts.clock.now()

        def refold(engine: Engine) -> Callable[[], None]:
            repaired = engine.repair(keys, read.versions, now, unreadable, [row.store_seq for row in read.rows])
            return lambda: answer((repaired, read), None)

        self._parts.inbox.put_call(refold)

    async def _record_repair(self, repaired: Repaired, read: StoredKeys, actor: str) -> None:
        """Record that the audit trail goes by what the store says now, and who had it taken over."""
        changed = {*repaired.changed, *repaired.forgotten}
        rows = [row.store_seq for row in read.rows if Identity(row.source, row.trade_id, row.leg) in changed]
        if repaired.forgotten:
            up_to = self._parts.newest().watermark
            rows += await asyncio.to_thread(self._parts.store.read, partial(vanished_rows, up_to=up_to))
        event = AuditEvent(
            "repair",
            "",
            {
                "keys": [list(key) for key in repaired.keys],
                "changed": [list(each) for each in repaired.changed],
                "forgotten": [list(each) for each in repaired.forgotten],
            },
            actor,
        )
        await self._record(rows, event)

    async def _record(self, rows: list[int], event: AuditEvent) -> None:
        """Write to the audit trail, now or as soon as the store takes it: no repair is ever missing there."""

        def record(store: Store) -> None:
            if rows:
                store.record_corrections(rows, event.actor, "repair took the store's values")
            store.record([event])

        async def until_stored() -> None:
            while True:
                await asyncio.sleep(RETRY_S)
                with suppress(StoreUnavailable):
                    await self._write(record)
                    return

        try:
            await self._write(record)
        except StoreUnavailable as error:
            log.warning("repair_not_recorded_yet", error=str(error))
            self._tasks.append(start_task(until_stored(), log))

    def _write(self, action: Callable[[Store], Any]) -> "asyncio.Future[Any]":
        """What `action` returns, run on the store thread between two commits. Raises StoreError."""
        done, answer = pending_answer()
        self._parts.store_thread.write(action, answer)
        return done


# -- rows of reports ---------------------------------------------------------------------------------------------


def break_row(one: StoredBreak, now: int) -> RowDict:
    """A stored break as `/v1/breaks` shows it."""
    return {
        "break_id": one.break_id,
        "kind": one.kind,
        "against": one.against,
        "rollup": one.rollup,
        "node": one.owner if one.rollup == NODE else None,
        "dealer": None if one.rollup == NODE else one.owner,
        "instrument": one.instrument or None,
        "here": one.here and orjson.loads(one.here),
        "there": one.there and orjson.loads(one.there),
        "trades": orjson.loads(one.trades),
        "epoch": one.epoch,
        "watermark": one.watermark,
        "first_seen_ts": one.first_seen_ts,
        "last_seen_ts": one.last_seen_ts,
        "times_seen": one.times_seen,
        "age_s": max(0, (one.resolved_ts or now) - one.first_seen_ts) / MICROS_PER_SECOND,
        "status": one.status,
        "comment": one.comment,
        "resolved_by": one.resolved_by,
        "resolved_ts": one.resolved_ts,
    }


def _json(value: RowDict | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _is_tree_break(each: Break) -> bool:
    return each.kind == HIERARCHY and not each.key[2]


def count_by_kind(breaks: Iterable[Break | StoredBreak]) -> dict[str, int]:
    """How many breaks there are of each kind that occurs, in the order of KINDS."""
    found = Counter(each.kind for each in breaks)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _key_text(key: Key) -> str:
    return " ".join(filter(None, key))
