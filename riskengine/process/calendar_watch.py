"""Warns of calendars that are in use without being complete, and of trades that the calendars of today would judge otherwise.

On the event loop; the library is read on the pool, so that a start does not wait for it.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence

from riskengine.alerts import Warnings, tells_end
from riskengine.clock import MICROS_PER_SECOND, Clock, utc_text
from riskengine.engine.worklist import OLDER_RULE
from riskengine.loop import start_task
from riskengine.market.calendars import CalendarGap, Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.observe import get_logger
from riskengine.records.reference import Reference
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot

GAPS = "calendars"
"""The kind of the warning about calendars that are not complete."""

OUTDATED = "value_dates"
"""The kind of the warning about trades whose value dates the calendars of today would judge otherwise."""

NOT_EXACT = "spot_dates"
"""The kind of the warning that value dates are not judged exactly yet."""

LOOK_EVERY_S = 1.0
MAX_NAMED = 5
"""Calendars that the warning says in words; it counts all."""

log = get_logger("riskengine.calendars")


class CalendarWatch:
    """Keeps the two warnings true from `start` to `stop`."""

    def __init__(self, newest: Callable[[], Snapshot], spot_dates: SpotDates, warnings: Warnings, clock: Clock) -> None:
        self._newest = newest
        self._spot_dates = spot_dates
        self._warnings = warnings
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._looked_at: tuple[Reference, Calendars, dt.date] | None = None
        self._listed: object = None

    def start(self) -> None:
        """Begin, once the engine is live."""
        failed = tells_end(self._warnings, "nobody looks whether calendars are complete")
        self._task = start_task(self._run(), log, "calendar_watch_failed", failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Bring the warnings up to date. O(1) while reference data, calendars, the day and exceptions are the same."""
        snapshot, calendars = self._newest(), self._spot_dates.calendars
        today = dt.datetime.fromtimestamp(self._clock.now() // MICROS_PER_SECOND, dt.UTC).date()
        now_used = (snapshot.reference, calendars, today)
        if self._looked_at != now_used:  # reference and calendars compare by identity
            self._looked_at = now_used
            gaps = await asyncio.to_thread(calendars.gaps, snapshot.reference.instruments, today)
            if gaps:
                self._warnings[GAPS] = text_of_gaps(gaps)
            else:
                self._warnings.pop(GAPS, None)
        if snapshot.exceptions is not self._listed:
            self._listed = snapshot.exceptions
            if items := judged_otherwise(snapshot):
                self._warnings[OUTDATED] = text_of_outdated(items)
            else:
                self._warnings.pop(OUTDATED, None)
        if self._spot_dates.exact_since > self._clock.now():
            self._warnings[NOT_EXACT] = text_of_not_exact(self._spot_dates.exact_since)
        else:
            self._warnings.pop(NOT_EXACT, None)


def judged_otherwise(snapshot: Snapshot) -> list[ExceptionItem]:
    """The trades that the calendars of today would judge otherwise, as spot or as a forward; all of them count."""
    return [item for item in snapshot.exceptions.get(OLDER_RULE, ()) if item.detail.get("field") == "value_date"]


def text_of_gaps(gaps: Sequence[CalendarGap]) -> str:
    """What the warning says of incomplete calendars."""
    named = "; ".join(f"{gap.calendar} {gap.reason}" for gap in gaps[:MAX_NAMED])
    more = f"; and {len(gaps) - MAX_NAMED:,} more" if len(gaps) > MAX_NAMED else ""
    return f"{len(gaps):,} calendars in use are not complete: {named}{more}. Load what is missing: riskengine load calendars FILE"


def text_of_outdated(items: Sequence[ExceptionItem]) -> str:
    """What the warning says of trades that would be judged otherwise today."""
    return (
        f"{len(items):,} trades would be judged otherwise by the calendars of today, and stay as they were judged when they came"
        f" (first: {items[0].reason}); riskengine exceptions --kind older_rule lists them"
    )


def text_of_not_exact(since: int) -> str:
    """What the warning says where a row of long ago says that it was received in the future."""
    return (
        f"value dates are judged by weekdays with four days of grace until {utc_text(since)}: when this store learned the exact"
        " rule, a trade in it said that it was received then; correct received_ts of that trade, and exact_spot_since in the"
        " table meta"
    )
