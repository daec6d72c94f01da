"""What the sockets may ask of the rest: the one protocol between `serve` and the process behind it.

`process` implements it, tests can put something small behind it. Everything here is called on the event loop unless it says
otherwise.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.decode import TradeCheck
from riskengine.inbox import Receipt
from riskengine.marks import AnyTick
from riskengine.messages import Refusal, Trade
from riskengine.observe import Metrics
from riskengine.snapshot import Snapshot, SnapshotHistory


class Gateway(Protocol):
    """The engine as the edge sees it."""

    config: Config
    clock: Clock
    metrics: Metrics

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
    def history(self) -> SnapshotHistory:
        """The newest snapshots. Raises EngineNotLive before the engine is live. Any thread."""
        ...

    @property
    def check(self) -> TradeCheck:
        """The door for trades. Raises EngineNotLive before the engine is live."""
        ...

    def submit(self, trades: Sequence[Trade]) -> Awaitable[Receipt]:
        """Make trades durable and apply them, in order, all in one snapshot.

        Raises InboxFull, StoreUnavailable or EngineNotLive, and then nothing was stored.
        """
        ...

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> list[Refusal]:
        """Take ticks; they are in a snapshot after the next beat. Raises EngineNotLive."""
        ...

    def feed_heartbeat(self, source: str, last_seq: int | None) -> None:
        """A publisher says that it is alive and what it sent last."""
        ...

    async def select_trades(
        self, *, node: str | None, instrument: str | None, dealer: str | None, since: int | None, versions: str, limit: int,
        snapshot: Snapshot,
    ) -> tuple[list[dict[str, Any]], int]:  # fmt: skip
        """Stored trades that `snapshot` holds, newest first, and how many there are in all; numbers as exact decimal texts."""
        ...

    async def digest(self, snapshot: Snapshot) -> str:
        """The digest of a snapshot, worked out beside the loop."""
        ...

    def health(self) -> Mapping[str, Any]:
        """What `/v1/status` says beyond the snapshot: feeds with their ages, writer lag, last reconciliation, store."""
        ...

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called on the loop after publications (once for several). Returns what ends it."""
        ...
