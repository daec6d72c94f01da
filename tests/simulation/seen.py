"""When rows became visible around a roll: a close holds what an engine knew when it was struck."""

from typing import TYPE_CHECKING

from tests.simulation.fibers import MICROS

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS_US = 60 * MICROS
"""How long after the beginning of a roll the rows are looked at."""
STORE_TROUBLE = frozenset({"store_away", "store_hangs", "store_slow", "store_busy", "commit_answer_lost", "commit_refused"})
"""Faults that keep an engine from knowing what is stored."""


class Seen:
    """Looks of the supervisor at the rows that are committed."""

    def __init__(self) -> None:
        self.since: dict[int, int] = {}
        """Wall time of the first look that found each row; 0: it was there before the roll."""
        self.trouble_at = 0
        """When the store was last in trouble."""
        self._looks_until = 0

    def begin(self, world: "World") -> None:
        """A roll begins."""
        self.since = {number: 0 for (number,) in world.look("SELECT store_seq FROM trades")}
        self._looks_until = world.wall_us() + LOOKS_US

    def look(self, world: "World") -> None:
        """Note what is new, while a roll may be going on."""
        now = world.wall_us()
        if now < self._looks_until and world.look("SELECT count(*) FROM trades") != [(len(self.since),)]:
            for (number,) in world.look("SELECT store_seq FROM trades"):
                self.since.setdefault(number, now)
