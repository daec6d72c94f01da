"""Breaches of limits: since when, how far at worst, and who knows of it. As the store keeps them; a restart loses none."""

from typing import NamedTuple

import msgspec


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One breach of a limit by one node or dealer, from the snapshot that showed it first until the number came back.

    `breach_id` never changes. Times in microseconds: `ended_ts` is None while it lasts, `acknowledged_ts` until a person has
    said that he knows. `worst` is the number furthest beyond the limit, `limit` what the limit was when it began.
    """

    breach_id: str
    limit_id: str
    version: int
    node: str
    dealer: str
    severity: str
    limit: float
    first_seen_ts: int
    last_seen_ts: int
    worst: float
    worst_ts: int
    ended_ts: int | None = None
    acknowledged_by: str = ""
    acknowledged_ts: int | None = None
    reason: str = ""

    @property
    def place(self) -> str:
        """The name of the node or dealer."""
        return self.node or self.dealer

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.ended_ts is None


def breach_id(limit_id: str, place: str, first_seen_ts: int) -> str:
    """The id of a breach that began at a moment."""
    return f"{limit_id}:{place}:{first_seen_ts}"


class High(NamedTuple):
    """The highest `net_day_pnl` of a node or dealer in a trading day (YYYY-MM-DD), and when; reporting currency."""

    node: str
    dealer: str
    day: str
    high: float
    ts: int
