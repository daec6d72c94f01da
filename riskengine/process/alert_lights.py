"""The lights that are red, as an engine sees itself: its writer, trades and prices. Pure.

The page has a light for its connection too, which only a page can see; that of `engine` is what stands behind it.
"""

from typing import NamedTuple

from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.number_pages import STALE, UNPRICED

ENGINE, TRADES, PRICES = "engine", "trades", "prices"

HANGS_AFTER_MS = 2_000
"""A sound engine publishes at least once a second."""


class Seen(NamedTuple):
    """What the lights look at.

    publish_age_ms   time since the newest publication
    tick_age_us      time since the newest tick by its own clock; None before the first
    stale_after_us   when a mark is stale
    """

    state: str
    snapshot: Snapshot
    publish_age_ms: int
    tick_age_us: int | None
    stale_after_us: int


def red_lights(seen: Seen) -> dict[str, str]:
    """The red ones with why. O(open positions of the root)."""
    found: dict[str, str] = {}
    if seen.publish_age_ms > HANGS_AFTER_MS:
        found[ENGINE] = f"the writer has published nothing for {seen.publish_age_ms / 1_000:.0f} s"
    if seen.state == "degraded":
        found[TRADES] = "the store does not answer: no trade can be taken"
    return found | _prices(seen)


def _prices(seen: Seen) -> dict[str, str]:
    snapshot = seen.snapshot
    if not len(snapshot.reference.hierarchy):
        return {}
    state, measures = snapshot.nodes.state(0), snapshot.nodes.measures(0)
    held, opened = state.position_count, state.open_instruments()
    if not held or not len(opened):
        return {}
    unpriced, stale = int(measures.item(UNPRICED)) + state.quarantined_count, int(measures.item(STALE))
    if unpriced >= held:
        return {PRICES: f"none of {held:,} positions is priced"}
    if 2 * stale > held:
        return {PRICES: f"{stale:,} of {held:,} positions are valued with an old price or rate"}
    if snapshot.units.closed[opened].all():
        return {}
    if seen.tick_age_us is None:
        return {PRICES: "no price has come since the start"}
    if seen.tick_age_us > seen.stale_after_us:
        return {PRICES: f"the newest price is {seen.tick_age_us / 1e6:,.0f} s old"}
    return {}
