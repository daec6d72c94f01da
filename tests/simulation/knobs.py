"""What a seed draws: which layers of faults are on, and how often each fault comes.

Each layer is off in a third of the worlds: a fault of one layer hides what another would show (a message that is delivered twice
repairs a cursor that missed it; a sweep repairs an early acknowledgement). Rates are drawn as ranges, not as one number.
"""

import zlib
from random import Random

LAYERS = (
    "network",
    "versions",
    "conflicts",
    "future",
    "forwards",
    "others",
    "corrections",
    "verdicts",
    "crashes",
    "store",
    "goes_back",
    "two_engines",
    "clock",
    "screens",
    "repairs",
    "renewals",
    "bad_prices",
    "bursts",
    "late_commits",
)
LATER_LAYERS = ("abandons", "ahead", "long_lives", "small_limits")
"""Layers that came later: they are drawn from a stream of their own, so that they change no older draw."""
ON_SHARE = 0.6

SMALL_LIMITS: dict[str, tuple[int, ...]] = {
    "COLUMNS_FROM_TRADES": (1, 4),
    "GROUP_FROM_TRADES": (1, 4),
    "TRADES_PER_CHECKPOINT": (2, 5),
    "LONG_HISTORY_TRADES": (3, 8),
    "intake.delivery.CATCH_UP_ROWS": (1, 3),
    "intake.delivery.MAX_HAND_OVERS": (1, 2),
}
"""Limits of the engine that a desk of this size never reaches, and how small they are in some worlds (`small_limits`).

A name behind a module is that module's alone; one by itself is changed wherever a module holds it.
"""


def stream_of(seed: str, name: str) -> Random:
    """A stream of random numbers of its own for each part: what one part draws changes nothing for the others."""
    return Random(f"{seed}/{name}")


class Knobs:
    """The draws of one world."""

    def __init__(self, seed: str, only: frozenset[str] | None = None) -> None:
        random = stream_of(seed, "knobs")
        drawn = {name for name in LAYERS if random.random() < ON_SHARE}
        self.on = frozenset(drawn) if only is None else only
        rate = random.uniform

        def of(layer: str, low: float, high: float) -> float:
            value = rate(low, high)
            return value if layer in self.on else 0.0

        self.lost = of("network", 0.0, 0.2)
        self.duplicated = of("network", 0.0, 0.5)
        self.reordered = of("network", 0.0, 0.4)
        self.answer_lost = of("network", 0.0, 0.2)
        self.corrupted = of("network", 0.0, 0.1)
        self.half = of("network", 0.0, 0.1)
        self.amended = of("versions", 0.0, 0.4)
        self.cancelled = of("versions", 0.0, 0.3)
        self.early = of("versions", 0.0, 0.6)
        self.conflicting = of("conflicts", 0.1, 0.5)
        self.future = of("future", 0.0, 0.2)
        self.forwards = of("forwards", 0.0, 0.2)
        self.others = of("others", 0.0, 0.3)
        self.odd_rows = of("others", 0.0, 0.3)
        self.corrections = of("corrections", 0.0, 2.0)
        self.verdicts = of("verdicts", 1.0, 5.0)
        self.crashes = of("crashes", 0.2, 3.0)
        self.store_faults = of("store", 0.2, 3.0)
        self.goes_back = of("goes_back", 0.5, 3.0)
        self.two_engines = of("two_engines", 0.3, 2.0)
        self.clock_steps = of("clock", 0.2, 1.5)
        self.clients = 1 + int(rate(0.0, 2.99)) if "screens" in self.on else random.choice((0, 1))
        self.stalls = of("screens", 0.2, 3.0)
        self.repairs = of("repairs", 0.2, 2.0)
        self.renewals = of("renewals", 0.1, 0.8)
        self.wild_prices = of("bad_prices", 0.0, 0.05)
        self.bursts = of("bursts", 0.1, 0.8)
        self.late_commits = of("late_commits", 0.2, 0.9)
        if self.late_commits and not self.others:
            self.others = rate(0.1, 0.5)
        self.latency_us = int(10 ** rate(0.0, 4.0))
        self.beat_ms = random.choice((500, 1_000, 1_000, 2_000))
        self.self_audit_s = random.choice((0.0, 5.0, 20.0))
        self.history_days = random.choice((0, 0, 1, 5))
        self.start_from_close = random.random() < 0.3
        self.reconcile_every_s = random.choice((900.0, 900.0, 20.0))
        self.batch_trades = random.choice((4, 256))
        self.trades_a_window = int(rate(3, 14))
        self.tick_pause_us = int(rate(400_000, 2_500_000))
        self.messages_up_to = random.choice((1, 3, 6))
        self.quiet_roll = random.random() < 0.5
        self.near_clock_change = random.random() < 0.25
        self._draw_later(seed, only)

    def _draw_later(self, seed: str, only: frozenset[str] | None) -> None:
        random = stream_of(seed, "later knobs")
        drawn = {name for name in LATER_LAYERS if random.random() < ON_SHARE}
        on = drawn if only is None else only & frozenset(LATER_LAYERS)
        self.on |= on
        abandoned, ahead, running_on = random.uniform(0.1, 0.5), random.uniform(0.2, 0.8), random.uniform(0.3, 0.9)
        self.abandoned = abandoned if "abandons" in on else 0.0
        self.ahead = ahead if "ahead" in on else 0.0
        self.running_on = running_on if "long_lives" in on else 0.0
        self.squared = random.uniform(0.0, 0.3)
        limits = {name: random.choice(values) for name, values in SMALL_LIMITS.items() if random.random() < ON_SHARE}
        self.small_limits = limits if "small_limits" in on else {}
        self.right_behind = random.uniform(0.0, 0.9) if self.late_commits else 0.0
        self.observed = random.uniform(1.0, 4.0)


def number_of(text: str) -> int:
    """A number that a text decides, the same in every process."""
    return zlib.crc32(text.encode())
