"""The protocol between `serve` and the process behind it: everything that routes and websockets may ask.

`process` implements it; tests put something small behind it. Called on the event loop unless a method says otherwise.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar

from starlette.types import Scope

from riskengine.alerts import Warnings
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Receipt
from riskengine.engine.moment import Known, Moment
from riskengine.engine.preview import Preview
from riskengine.limits.judge import Judgement
from riskengine.market.quote_book import AnyTick
from riskengine.market.spot_dates import SpotDates
from riskengine.market.tick_limits import TicksTaken
from riskengine.observe import Metrics
from riskengine.positions.frozen_ids import FrozenIds
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
from riskengine.records.reference import Reference
from riskengine.records.types import Close, Key, Trade, Verdict
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.curves import Curves
from riskengine.snapshot.explanation import Explanation, When
from riskengine.snapshot.groups import Parts
from riskengine.snapshot.history import CloseTotals
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory
from riskengine.views.grants import EVERYTHING, Grants, Principal

T = TypeVar("T")

NO_ATTRIBUTE: Mapping[str, str] = MappingProxyType({})


class Gateway(Protocol):
    """The engine as `serve` sees it."""

    config: Config
    clock: Clock
    metrics: Metrics
    warnings: Warnings
    curves: Curves
    deciding: asyncio.Lock
    """Held while a person's verdict is looked up and decided: the second of two sees what the first has decided."""

    @property
    def state(self) -> str:
        """`starting`, `loading`, `live`, `degraded` (live, but the store is unavailable), `stopping` or `failed`."""
        ...

    @property
    def progress(self) -> float:
        """Progress of the start, 0 to 1."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether snapshots may be read: `live` or `degraded`."""
        ...

    @property
    def publish_age_ms(self) -> int | None:
        """Age of the newest snapshot in ms by the monotonic clock; None before the first.

        The writer publishes at least once a second, so a writer that hangs shows here.
        """
        ...

    @property
    def history(self) -> SnapshotHistory:
        """The newest snapshots. Raises EngineNotLive before the engine is live. Any thread."""
        ...

    @property
    def check(self) -> TradeCheck:
        """The check that trades must pass. Raises EngineNotLive before the engine is live."""
        ...

    @property
    def spot_dates(self) -> SpotDates:
        """What judges value dates, with the calendars in force. Raises EngineNotLive before the engine is live."""
        ...

    def submit(self, trades: Sequence[Trade], check: TradeCheck) -> Awaitable[Receipt]:
        """Make trades durable and apply them, in order, all in one snapshot.

        `check` is the check that they passed. If other reference data is in force when they are stored, they are checked again; a
        trade that no longer fits is `rejected`.

        Raises InboxFull, StoreUnavailable or EngineNotLive, and then nothing was stored.
        """
        ...

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> TicksTaken:
        """Take ticks; the snapshot after the next beat shows them. Raises EngineNotLive."""
        ...

    def option_input_check(self) -> OptionInputCheck:
        """The check that vols, rates and Greeks must pass. Raises EngineNotLive."""
        ...

    def offer_option_inputs(self, rows: Sequence[OptionInput]) -> list[int]:
        """Take checked vols, rates and Greeks; the snapshot after the next beat shows them. Raises EngineNotLive.

        Returns the places of those without effect, because a newer one of their subject is in force.
        """
        ...

    def feed_heartbeat(self, source: str, last_seq: int | None) -> str | None:
        """Note that a publisher is alive, and the highest `source_seq` that it has sent. Returns why not, None where it did."""
        ...

    def note_refused(self, numbers: Sequence[tuple[str, int]]) -> Awaitable[None] | None:
        """Note that refused trades had these sources and numbers. Await the result to have that stored; None: it is."""
        ...

    async def decide_feed(
        self, source: str, action: Literal["acknowledge", "restart", "retire"], actor: str
    ) -> dict[str, Any] | None:
        """Store and carry out a person's word on a source, and return its row of `feeds`; None if nobody knows the source.

        Raises EngineNotLive, StoreError.
        """
        ...

    def on_writer(self, action: Callable[[Engine], T]) -> Awaitable[T]:
        """Run `action` on the writer thread between two batches, where trades and snapshot are of one moment; its result.

        The answer comes when a published snapshot shows what `action` did. Raises EngineNotLive, and any RiskEngineError or
        UnknownName that `action` raises.
        """
        ...

    async def moment(self, ts: int, known: Known, *, whole: bool = False) -> Moment:
        """The engine as it was at a time that is not in the future, or as is known now of then (`engine.moment`).

        `whole`: with every trade in memory, as receipts need it.

        Raises EngineNotLive, BeforeTheStore, TooBusy where too many such questions wait, StoreError.
        """
        ...

    async def explain(self, node: str, begin: When, end: When) -> Explanation:
        """Why the P&L of a node moved between two instants (`snapshot.explain`), neither in the future.

        Raises EngineNotLive, UnknownName (a close that was never struck), InputError where the end is before the beginning,
        BeforeTheStore, TooBusy where too many such questions wait, StoreError.
        """
        ...

    async def take_cash(self, kind: str, records: Sequence[CashRecord], actor: str) -> list[CashOutcome]:
        """Make records of one kind, `cash` or `carry`, durable and take them; when this returns, a published snapshot shows them.

        Raises EngineNotLive, StoreError.
        """
        ...

    async def set_marks(self, marks: Sequence[ManualMark], actor: str) -> tuple[list[MarkStatus], int]:
        """Store marks that a person sets by hand and put them in force; what became of each, and the `seq` that shows them.

        Raises StoreError, EngineNotLive.
        """
        ...

    async def reconcile(self, *, repair: bool, actor: str) -> dict[str, Any]:
        """Compare engine and store now and return the report.

        With `repair` the engine takes the store's values where they differ. Raises EngineNotLive, StoreError.
        """
        ...

    async def breaks(self, *, status: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Remembered breaks, open ones first, and the last report. Raises EngineNotLive, StoreError."""
        ...

    async def comment_break(self, break_id: int, comment: str, actor: str) -> dict[str, Any] | None:
        """Add a person's comment to a break and return its row; None if there is no such break.

        Raises EngineNotLive, StoreError.
        """
        ...

    async def save_actions(self, actions: Sequence[Action]) -> Sequence[str]:
        """Store corporate actions; when this returns, a published snapshot shows those whose ex-date has begun.

        One outcome for each, in order: `inserted`, `existing`, `superseded` (stored, and a higher version stands) or `conflict`
        (not stored). Raises EngineNotLive, StoreError.
        """
        ...

    async def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Store a person's verdict on an exception and apply it; when this returns, a published snapshot shows it.

        Raises StoreError, and then nothing was decided, and EngineNotLive.
        """
        ...

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
        """Stored trades that `snapshot` holds and `grants` allow, newest first, and their total; numbers as decimal texts.

        `attributes` are values that the attributes of these names must have. With `versions="latest"`, `action` is that of the
        highest version. `kept_out`: only those that the snapshot keeps out of the positions (quarantined, parked, waiting), or
        only the others.
        """
        ...

    async def frozen_trades(
        self,
        behind: Mapping[Key, Trade],
        since: int,
        frozen: FrozenIds,
        reference: Reference,
        place: Callable[[Trade], Trade],
    ) -> Mapping[Key, Sequence[Trade]]:
        """Frozen trades of positions since a time, up to one of each, read from the store; `frozen` says which are frozen.

        `place` gives the instrument in whose position a trade stands.

        Neither the writer nor the store thread waits for it. Raises EngineNotLive, StoreError. 15 us for each trade since.
        """
        ...

    async def close_totals(self, rollup: str, owner: str, since_date: str) -> CloseTotals:
        """The amounts of a "node" or a "dealer" at the closes dated `since_date` (YYYY-MM-DD) or later, every version.

        Raises EngineNotLive, StoreError.
        """
        ...

    async def stored_deals(self, deals: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """Every stored version of every leg of these deals, given by source and trade_id; numbers as decimal texts.

        Raises EngineNotLive, StoreError.
        """
        ...

    async def preview(self, trades: Sequence[Trade], check: TradeCheck) -> list[Preview]:
        """What would become of trades that passed `check` if they were submitted now, in order; nothing changes.

        Raises EngineNotLive, StoreError.
        """
        ...

    async def struck_close(
        self, date: str | None, rollup: str, owners: Sequence[str] | None
    ) -> tuple[CloseHeader, list[ClosedPosition]] | None:
        """The newest version of a close, without a date of the newest date, and its positions; None if there is none.

        `rollup` is "node" or "dealer"; of `owners` only, None: of all. Raises EngineNotLive, StoreError.
        """
        ...

    async def save_closes(self, closes: Sequence[Close], actor: str) -> list[CloseOutcome]:
        """Store official closes, and supersede the closes that they change soon. Raises EngineNotLive, StoreError."""
        ...

    async def ask_scenarios(self, work: Callable[[Workbench], T]) -> T:
        """What `work` returns or raises, beside the loop, one question at a time. `work` reads snapshots and changes nothing.

        Raises EngineNotLive, TooBusy where too many questions wait, StoreError.
        """
        ...

    async def trade_groups(self, snapshot: Snapshot, by: str, *, node: str | None, dealer: str | None) -> Parts:
        """What the effective trades of a node (None: the root) or a dealer come to, by instrument and by `snapshot.groups.BY`.

        They are the trades that the snapshot has, where it proves them. Raises UnknownName, SeqGone, EngineNotLive, StoreError;
        TooBusy while the trades are being read from the store.
        """
        ...

    @property
    def limits(self) -> Sequence[Limit]:
        """Every stored version of every limit. Raises EngineNotLive."""
        ...

    @property
    def margin_rules(self) -> Sequence[MarginRule]:
        """Every stored version of every margin rule. Raises EngineNotLive."""
        ...

    def judgement(self, snapshot: Snapshot) -> Judgement:
        """How all limits stand at a snapshot of the last seconds. Raises EngineNotLive, SeqGone."""
        ...

    async def save_risk_rules(self, kind: str, rules: Sequence[Limit | MarginRule], actor: str) -> list[str]:
        """Store limits or margin rules (`kind` is "limit" or "margin") and put them in force; one outcome for each, in order.

        As of corporate actions: `inserted`, `existing`, `superseded` or `conflict`. Raises EngineNotLive, StoreError.
        """
        ...

    async def breaches_of_limits(self, *, past: bool) -> list[Breach]:
        """The breaches of limits that last, with `past` also those that have ended, newest first.

        Raises EngineNotLive, StoreError.
        """
        ...

    async def acknowledge_breach(self, breach: Breach, actor: str, reason: str) -> Breach:
        """Store that a person knows of a breach, and why it may stand. Raises EngineNotLive, StoreError."""
        ...

    async def digest(self, snapshot: Snapshot) -> str:
        """The digest of a snapshot, computed off the loop."""
        ...

    def starting(self) -> Mapping[str, Any]:
        """Progress of the start: phase, progress, trades_loaded, trades_total, seconds, remaining_s."""
        ...

    def health(self) -> Mapping[str, Any]:
        """What `/v1/status` reports beyond the snapshot: feeds, writer lag, last reconciliation, store, the start."""
        ...

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
        """The newest entries of the audit trail that match, newest first (`shapes.AUDIT`); `desks` are the leaves below `node`.

        Raises EngineNotLive, StoreError.
        """
        ...

    def note(self, kind: str, subject: str, detail: Mapping[str, Any], actor: str) -> None:
        """Add an entry to the audit trail soon: what somebody did or was refused. Kept until the trail exists."""
        ...

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called on the loop after publications (once for several). Returns the function that ends it."""
        ...


PRINCIPAL = "riskengine.principal"
"""Key in the scope of an admitted request: its principal."""


def principal_of(scope: Scope) -> Principal:
    """The principal of a request that the admission middleware has let in."""
    principal: Principal = scope[PRINCIPAL]
    return principal
