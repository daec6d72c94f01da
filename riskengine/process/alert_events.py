"""What is told of limits, warnings and lights: when something begins and ends, once each, whatever flickers. Pure; no clock.

Conditions are looked at again and again. One is told once it has held for a moment (a hard breach at once), and is over once it
has not been seen for a longer one; what comes back meanwhile is the same event.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple
from zoneinfo import ZoneInfo

from riskengine.clock import MICROS_PER_SECOND

BREACHES, WARNINGS, LIGHTS = "breaches", "warnings", "lights"
ABOUT = (BREACHES, WARNINGS, LIGHTS)
"""What alerts can be about."""

BEGAN, ENDED = "began", "ended"


class AlertCondition(NamedTuple):
    """Something that holds now.

    key      the same as long as it is the same thing
    about    one of ABOUT
    title    a few words, for the subject of a mail
    text     a sentence
    urgent   a hard breach: told at once
    since    when it began, microseconds
    """

    key: str
    about: str
    title: str
    text: str
    urgent: bool
    since: int


class AlertEvent(NamedTuple):
    """A condition began or ended (`what`), at a time in microseconds."""

    what: str
    at: int
    condition: AlertCondition


class _Standing:
    """A condition since it was first seen."""

    __slots__ = ("condition", "first_seen", "last_seen", "told")

    def __init__(self, condition: AlertCondition, now: int) -> None:
        self.condition = condition
        self.first_seen = now
        self.last_seen = now
        self.told = False


class AlertBook:
    """Makes events of conditions. What is not urgent is told after `holds_us`, and over after `settle_us` without it."""

    def __init__(self, holds_us: int, settle_us: int) -> None:
        self._holds_us = holds_us
        self._settle_us = settle_us
        self._standing: dict[str, _Standing] = {}

    def look(self, now: int, conditions: Iterable[AlertCondition]) -> list[AlertEvent]:
        """The events since the last look, ends first. O(conditions)."""
        began = []
        for condition in conditions:
            known = self._standing.get(condition.key)
            if known is None:
                known = self._standing[condition.key] = _Standing(condition, now)
            known.condition, known.last_seen = condition, now
            if not known.told and (condition.urgent or now - known.first_seen >= self._holds_us):
                known.told = True
                began.append(AlertEvent(BEGAN, condition.since, condition))
        ended = []
        for key, standing in [*self._standing.items()]:
            if standing.last_seen < now and now - standing.last_seen >= self._settle_us:
                del self._standing[key]
                if standing.told:
                    ended.append(AlertEvent(ENDED, standing.last_seen, standing.condition))
        return ended + began


class QuietHours(NamedTuple):
    """The hours of every day in which nothing is told, in a zone, HH:MM; `begin` after `end`: over midnight. Empty: none."""

    begin: str
    end: str
    zone: str

    def holds(self, now: int) -> bool:
        """Whether a moment, in microseconds, is inside."""
        if not self.begin:
            return False
        at = dt.datetime.fromtimestamp(now / MICROS_PER_SECOND, ZoneInfo(self.zone)).strftime("%H:%M")
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end
