"""The start as one visible state machine: lease, schema, reference, marks, replay, integrity, compare, live.

`Morning` is the account of it: the current phase and since when, the progress of the replay, what was found. Any thread may read
it; each part is written by the thread that runs it, one after the other. `load` runs the phases from reference to compare on a
thread of the pool, while the loop answers "loading 73 %"; the writer thread gets the engine when it goes live.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.errors import EngineNotLive
from riskengine.observe import get_logger
from riskengine.records.hierarchy import Hierarchy
from riskengine.snapshot.digest import digest
from riskengine.snapshot.mismatch import Mismatch
from riskengine.snapshot.rows import node_row
from riskengine.snapshot.snapshot import Snapshot

PHASES = ("lease", "schema", "reference", "marks", "replay", "integrity", "compare", "live")
BEGINS = dict(zip(PHASES, (0.0, 0.0, 0.1, 0.12, 0.12, 0.9, 0.92, 1.0), strict=True))
"""Progress of the start when a phase begins, as on a store of a million trades, where the replay is nearly all of it."""

FACTS = (
    "store",
    "epoch",
    "trades_total",
    "openings",
    "openings_left_out",
    "unjudged",
    "closed",
    "made_up",
    "from_close",
    "from_close_refused",
    "rows_behind",
    "watermark",
    "counts",
    "unreadable",
    "compared",
    "mismatches",
    "needs_a_person",
    "nodes",
    "nodes_below",
    "digest",
)
"""Fields of the summary beside phases and times; null until they are known."""

MAX_NODES = 40
"""Nodes in the summary: whole levels of the tree from the top, as far as they fit on a page."""
SUMMARY_FIELDS = (
    "node",
    "level",
    "parent",
    "position_count",
    "day_pnl",
    "total_pnl",
    "realised_pnl",
    "unrealised_pnl",
    "trade_count",
    "unpriced_count",
)
"""Of each node in the summary; `day_pnl` is against the last close, null where there is none."""
MIN_ESTIMATE_S = 0.3
"""How long a replay must have run before the remaining time is estimated."""

log = get_logger("riskengine.start")


class Phase(NamedTuple):
    """One phase: when it began (microseconds since the epoch) and how long it took; None while it runs, and for `live`."""

    phase: str
    started_ts: int
    seconds: float | None = None


class Morning:
    """The account of one start; a `Listener` of `rebuild`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phases: tuple[Phase, ...] = ()
        self._entered_at = self._began_at = time.perf_counter()
        self._share = 0.0
        self._logged = 0
        self.facts: Mapping[str, Any] = dict.fromkeys(FACTS)
        """Known fields of the summary, by name; replaced, never changed."""
        self._final_account: Mapping[str, Any] | None = None
        self._abandoned = False
        self._on_abandon: list[Callable[[], None]] = []
        self.loaded = 0
        """Trades applied so far."""
        self.complete = asyncio.Event()
        """Set once the engine is live and everything in `account` is known."""

    # -- what happens ------------------------------------------------------------------------------------------

    def enter(self, phase: str) -> None:
        """End the current phase and begin the next. Raises EngineNotLive if the start was abandoned."""
        now = time.perf_counter()
        assert PHASES[len(self._phases)] == phase, f"the morning goes from phase to phase: {phase} is not the next"
        if not self._phases:
            self._began_at = now
        else:
            self._phases = (*self._phases[:-1], self._phases[-1]._replace(seconds=round(now - self._entered_at, 3)))
        self._phases = (*self._phases, Phase(phase, self._clock.now()))
        self._entered_at = now
        self._log_ended()
        if phase == "live":
            log.info("live", store=self.facts["store"], epoch=self.facts["epoch"], trades=self.loaded, seconds=self.seconds)
        self.raise_if_abandoned()

    def _log_ended(self) -> None:
        """Log one line for each phase that has ended; none before the store is open: a refusal there logs its own line."""
        ended = self._phases[:-1]
        if len(ended) > PHASES.index("schema"):
            for phase in ended[self._logged :]:
                log.info("start_phase", phase=phase.phase, seconds=phase.seconds, trades=self.loaded)
            self._logged = len(ended)

    def advance(self, share: float, loaded: int) -> None:
        """See `Listener`. Raises EngineNotLive if the start was abandoned."""
        self._share, self.loaded = share, loaded
        self.raise_if_abandoned()

    def note(self, **facts: Any) -> None:
        """Add to the summary, by the names of `FACTS`."""
        assert facts.keys() <= set(FACTS)
        self.facts = {**self.facts, **facts}
        self._final_account = None

    def abandon(self) -> None:
        """Let the start end with EngineNotLive at its next step."""
        self._abandoned = True
        for action in self._on_abandon:
            action()

    def on_abandon(self, action: Callable[[], None]) -> None:
        """Have `action` called when the start is abandoned, to end what it waits for."""
        self._on_abandon.append(action)

    def raise_if_abandoned(self) -> None:
        """Raises EngineNotLive if the start was abandoned."""
        if self._abandoned:
            raise EngineNotLive("stopped during the start")

    # -- the account -------------------------------------------------------------------------------------------

    @property
    def phase(self) -> str | None:
        """The current phase; None before the first."""
        return self._phases[-1].phase if self._phases else None

    @property
    def progress(self) -> float:
        """Of the whole start, 0 to 1; never falls."""
        phase = self.phase
        if phase is None:
            return 0.0
        begins = BEGINS[phase]
        return begins + (BEGINS["integrity"] - begins) * self._share if phase == "replay" else begins

    @property
    def seconds(self) -> float:
        """Since the start began; once live, how long it took."""
        if not self._phases:
            return 0.0
        end = self._entered_at if self.phase == "live" else time.perf_counter()
        return round(end - self._began_at, 3)

    def view(self) -> dict[str, Any]:
        """The progress. `remaining_s` is an estimate from the replay's speed so far, None until there is one."""
        return {
            "phase": self.phase,
            "progress": round(self.progress, 4),
            "trades_loaded": self.loaded,
            "trades_total": self.facts.get("trades_total"),
            "seconds": self.seconds,
            "remaining_s": self._remaining(),
        }

    def account(self) -> Mapping[str, Any]:
        """Everything, as `/v1/status` shows it under `start`: `view`, the phases, and the summary as far as it is known."""
        if self._final_account is not None:
            return self._final_account
        account = {**self.view(), "phases": [phase._asdict() for phase in self._phases], **self.facts}
        if self.complete.is_set():
            self._final_account = account
        return account

    def _remaining(self) -> float | None:
        if self.phase == "live":
            return 0.0
        if self.phase != "replay":
            return None
        took = time.perf_counter() - self._entered_at
        if took < MIN_ESTIMATE_S or not self._share:
            return None
        whole = took / self._share
        after = (1.0 - BEGINS["integrity"]) / (BEGINS["integrity"] - BEGINS["replay"])
        return round(whole * (1.0 - self._share + after), 1)


async def summarise(
    morning: Morning,
    snapshot: Snapshot,
    config: Config,
    mismatches: Iterable[Mismatch],
    needing_a_person: Callable[[], Mapping[str, Any]],
) -> None:
    """Complete the summary once the engine is live: it takes seconds, and the start does not wait for it.

    `needing_a_person` counts what waits for somebody; it is called on a thread of the pool.
    """
    hierarchy = snapshot.reference.hierarchy
    nodes = await asyncio.to_thread(summary_nodes, snapshot)
    morning.note(
        needs_a_person=await asyncio.to_thread(needing_a_person),
        watermark=snapshot.watermark,
        counts=snapshot.counts._asdict(),
        nodes=nodes,
        nodes_below=len(hierarchy) - len(nodes),
        unreadable=sum("store_seq" in item.detail for item in snapshot.exceptions.get("quarantined", ())),
        mismatches=[mismatch._asdict() for mismatch in mismatches],
    )
    morning.note(digest=await asyncio.to_thread(digest, snapshot))
    morning.complete.set()
    if config.log.format == "json":
        log.info("started", **morning.account())


def summary_nodes(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The upper levels of the tree, parents before children: some fields of their rows. O(nodes shown)."""
    rows = (node_row(snapshot, number) for number in range(_summary_size(snapshot.reference.hierarchy)))
    return [{name: row[name] for name in SUMMARY_FIELDS} for row in rows]


def _summary_size(hierarchy: Hierarchy) -> int:
    """How many nodes from the top make up whole levels that fit; at least the first level."""
    depths = [len(ancestors) for ancestors in hierarchy.ancestors]
    if len(depths) <= MAX_NODES:
        return len(depths)
    cut = depths[MAX_NODES]
    return max(1, depths.index(cut))
