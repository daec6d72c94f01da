"""What the sockets may ask of the rest: the one protocol between `serve` and the process behind it.

`process` implements it, tests can put something small behind it. Everything here is called on the event loop unless it says
otherwise.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from starlette.types import Scope

from riskengine.alerts import Warnings
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Receipt
from riskengine.market.marks import AnyTick
from riskengine.market.tick_limits import TicksTaken
from riskengine.observe import Metrics
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Trade, Verdict
from riskengine.snapshot.curves import Curves
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory
from riskengine.views.grants import EVERYTHING, Grants, Principal

T = TypeVar("T")


class Gateway(Protocol):
    """The engine as the edge sees it."""

    config: Config
    clock: Clock
    metrics: Metrics
    warnings: Warnings
    curves: Curves

    @property
    def state(self) -> str:
        """`starting`, `loading`, `live`, `degraded` (live, but the store is away), `stopping` or `failed`."""
        ...

    @property
    def progress(self) -> float:
        """Of the start, 0 to 1."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether snapshots may be shown: `live` or `degraded`."""
        ...

    @property
    def publish_age_ms(self) -> int | None:
        """Since the newest snapshot was published, by a clock that is never set; None before the first.

        A snapshot comes each second at least: a writer that hangs shows here.
        """
        ...

    @property
    def history(self) -> SnapshotHistory:
        """The newest snapshots. Raises EngineNotLive before the engine is live. Any thread."""
        ...

    @property
    def check(self) -> TradeCheck:
        """The door for trades. Raises EngineNotLive before the engine is live."""
        ...

    def submit(self, trades: Sequence[Trade], check: TradeCheck) -> Awaitable[Receipt]:
        """Make trades durable and apply them, in order, all in one snapshot.

        `check` is the door that let them in. Where other reference data is in force by the time they are stored, they are judged
        again, and one that does not fit that is `rejected`.

        Raises InboxFull, StoreUnavailable or EngineNotLive, and then nothing was stored.
        """
        ...

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> TicksTaken:
        """Take ticks; they are in a snapshot after the next beat. Raises EngineNotLive."""
        ...

    def feed_heartbeat(self, source: str, last_seq: int | None) -> None:
        """A publisher says that it is alive and what it sent last."""
        ...

    def on_writer(self, action: Callable[[Engine], T]) -> Awaitable[T]:
        """What `action` returns, run on the writer thread between two batches, where trades and snapshot are of one moment.

        Answered when a snapshot is published that shows what it did. Raises EngineNotLive, and what `action` does of
        RiskEngineError or UnknownName.
        """
        ...

    async def reconcile(self, *, repair: bool, actor: str) -> dict[str, Any]:
        """Compare engine and store now; the report. `repair` has the engine take the store's values where they differ.

        Raises EngineNotLive, StoreError.
        """
        ...

    async def breaks(self, *, status: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Remembered breaks, open ones first, and the last report. Raises EngineNotLive, StoreError."""
        ...

    async def comment_break(self, break_id: int, comment: str, actor: str) -> dict[str, Any] | None:
        """Note what a person says of a break; its row, None where there is no such break. Raises EngineNotLive, StoreError."""
        ...

    async def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Store what a person decided about an exception and let it take effect; a snapshot shows it when this returns.

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
    ) -> tuple[list[dict[str, Any]], int]:
        """Stored trades that `snapshot` holds and `grants` show, newest first, and how many; numbers as decimal texts."""
        ...

    async def digest(self, snapshot: Snapshot) -> str:
        """The digest of a snapshot, worked out beside the loop."""
        ...

    def starting(self) -> Mapping[str, Any]:
        """How far the start is: phase, progress, trades_loaded, trades_total, seconds, remaining_s."""
        ...

    def health(self) -> Mapping[str, Any]:
        """What `/v1/status` says beyond the snapshot: feeds, writer lag, last reconciliation, store, the start."""
        ...

    def note(self, kind: str, subject: str, detail: Mapping[str, Any], actor: str) -> None:
        """Put into the audit trail what somebody did or was refused, soon; before there is a trail, as soon as there is one."""
        ...

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called on the loop after publications (once for several). Returns what ends it."""
        ...


PRINCIPAL = "riskengine.principal"
"""Where the scope of a request that was let in says who it comes from."""


def principal_of(scope: Scope) -> Principal:
    """Who a request comes from. The middleware has let it in."""
    principal: Principal = scope[PRINCIPAL]
    return principal
