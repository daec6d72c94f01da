"""Once a beat, hands changed prices to the writer, warns of prices held back, and checks that the writer still publishes.

Runs on the event loop. Delays do not add up: a beat is due one period after the last was due. If that has passed, it comes at
once, and the beats missed are left out.
"""

import asyncio
from collections.abc import Callable, Sequence

from riskengine.alerts import Warnings
from riskengine.clock import Clock, utc_text
from riskengine.engine.inbox import Inbox
from riskengine.engine.writer import Writer
from riskengine.loop import start_task
from riskengine.market.closing_book import ClosingMarks, ClosingQuoteBook
from riskengine.observe import get_logger
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import OptionInput

STALLED_AFTER_S = 2.0
"""The writer publishes at least once a second; one that has published nothing for this long hangs."""

STALLED = (
    f"the writer hangs: it has published nothing for more than {STALLED_AFTER_S:.0f} s; newer trades and prices are not shown"
)

SUSPECT = "suspect"
"""The kind of the warning of prices that are held back."""

HELD_BY_HAND = "held_by_hand"
"""The kind of the warning of prices that people hold against the feeds."""

MAX_NAMED = 3
"""Instruments that the warning names; it counts all."""

log = get_logger("riskengine.beats")


class Beats:
    """Runs from `start` to `stop`. `failed` gets the error of ours that ended it, if any.

    `save_closing` gets closing marks that are kept apart, before the writer gets any mark from their cutoff on. `take_inputs`
    returns the vols, rates and Greeks that have changed since its last call.
    """

    def __init__(
        self,
        period_s: float,
        inbox: Inbox,
        quotes: ClosingQuoteBook,
        writer: Writer,
        warnings: Warnings,
        clock: Clock,
        failed: Callable[[BaseException], None],
        save_closing: Callable[[ClosingMarks], None] = lambda marks: None,
        take_inputs: Callable[[], Sequence[OptionInput]] = tuple,
    ) -> None:
        self._period_s = period_s
        self._inbox = inbox
        self._quotes = quotes
        self._writer = writer
        self._warnings = warnings
        self._clock = clock
        self._failed = failed
        self._save_closing = save_closing
        self._take_inputs = take_inputs
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the beats. Once, on the loop."""
        self._task = start_task(self._run(), log, "beat_failed", self._failed)

    def stop(self) -> None:
        """End the beats."""
        if self._task is not None:
            self._task.cancel()

    def hand_over_prices(self) -> bool:
        """Give the writer what changed, marks and inputs of options, unless it has not taken the last batch. Whether it has."""
        if not self._inbox.takes_prices:
            return False
        marks = self._quotes.take(self._clock.now())
        if (closing := self._quotes.take_closing()) is not None:
            self._save_closing(closing)
        inputs = self._take_inputs()
        if marks or inputs:
            self._inbox.put_prices(marks, self._quotes.reference, inputs)
        return True

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())
            self.hand_over_prices()
            self._warn_of_suspects()
            self._warn_of_held_by_hand()
            self._check_writer()

    def _warn_of_suspects(self) -> None:
        """Keep the warning of prices that are held back up to date. O(suspects)."""
        held = self._quotes.suspects
        if held:
            self._warnings[SUSPECT] = suspect_text(held)
        elif SUSPECT in self._warnings:
            del self._warnings[SUSPECT]

    def _warn_of_held_by_hand(self) -> None:
        """Keep the warning of prices that people hold against the feeds up to date. O(those set by hand)."""
        held = self._quotes.held_by_hand()
        if held:
            self._warnings[HELD_BY_HAND] = held_text(held)
        elif HELD_BY_HAND in self._warnings:
            del self._warnings[HELD_BY_HAND]

    def _check_writer(self) -> None:
        """Raise the warning `stalled` while the writer hangs. O(1)."""
        if self._writer.publish_age_s > STALLED_AFTER_S:
            self._warnings["stalled"] = STALLED
        else:
            self._warnings.pop("stalled", None)


def held_text(held: Sequence[ManualMark]) -> str:
    """The warning of the prices that people hold against the feeds: which, by whom, until when."""
    said = [f"{mark.instrument} by {mark.author} until {utc_text(mark.expires_ts or 0)}" for mark in held[:MAX_NAMED]]
    named = ", ".join(said) + (f" and {len(held) - MAX_NAMED:,} more" if len(held) > MAX_NAMED else "")
    what = "price is" if len(held) == 1 else "prices are"
    return f"{len(held):,} {what} set by hand and held against the feeds ({named}); /v1/marks says why, an action clear ends it"


def suspect_text(held: Sequence[str]) -> str:
    """The warning of the instruments of which a price is held back."""
    named = ", ".join(held[:MAX_NAMED]) + (f" and {len(held) - MAX_NAMED:,} more" if len(held) > MAX_NAMED else "")
    what = "price is" if len(held) == 1 else "prices are"
    return (
        f"{len(held):,} {what} held back, too far from the last good mark ({named}): that mark stays until the price is confirmed"
        " or a person decides (exceptions of kind suspect)"
    )
