"""Tells people by webhook and e-mail of breaches, warnings and lights that turn red. On the event loop; sending is not.

Every second what holds is looked at, and what began or ended goes into a message: one for all that came close together. In the
quiet hours it is held back and summed up at their end. Each channel sends its messages in order on a thread of its own, and tries
again at longer and longer intervals; meanwhile a warning stands, and nobody waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from riskengine.alerts import Warnings
from riskengine.background import BackgroundThread
from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import AlertsConfig
from riskengine.loop import Failed, start_task
from riskengine.observe import Metrics, get_logger
from riskengine.process.alert_channels import AlertChannel, NotDelivered
from riskengine.process.alert_events import BEGAN, BREACHES, LIGHTS, WARNINGS, AlertBook, AlertCondition, AlertEvent, QuietHours
from riskengine.process.alert_messages import MOST_NAMED, AlertMessage
from riskengine.process.limit_desk import BREACHED
from riskengine.records.breaches import Breach
from riskengine.records.limits import HARD

LOOK_EVERY_S = 1.0
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
LAST_WAIT_S = 3.0
"""Longest wait at the end for messages to go out."""

MOST_WAITING = 1_000
"""Messages that wait for one channel; of more the oldest are dropped, and counted."""

MOST_HELD = 10_000
"""Events of the quiet hours that are kept; more are counted alone."""

UNDELIVERED = "alerts_failed"
"""The kind of the warning that channels do not deliver."""

log = get_logger("riskengine.alerts")


class AlertParts(NamedTuple):
    """What alerts are made of. `breaches` are those that last, each with its measure; `lights` are those that are red."""

    config: AlertsConfig
    channels: Sequence[AlertChannel]
    clock: Clock
    warnings: Warnings
    metrics: Metrics
    epoch: int
    breaches: Callable[[], Iterable[tuple[Breach, str]]]
    lights: Callable[[], Mapping[str, str]]


class AlertDesk:
    """The alerts of one process, from `start` to `stop`. Without channels nothing is done."""

    def __init__(self, parts: AlertParts) -> None:
        config = parts.config
        self._parts = parts
        speed = parts.clock.speed
        self._book = AlertBook(*(int(each * MICROS_PER_SECOND * speed) for each in (config.holds_s, config.settle_s)))
        self._quiet = QuietHours(config.quiet_begin, config.quiet_end, config.quiet_zone)
        self._held: list[AlertEvent] = []
        self._held_total = 0
        self._waiting: list[AlertEvent] = []
        self._count = 0
        self._last_message = -1e9
        self._red_since: dict[str, int] = {}
        self._troubles: dict[str, str] = {}
        self._outboxes = [AlertOutbox(channel, self._note_trouble, parts.metrics) for channel in parts.channels]
        self._task: asyncio.Task[None] | None = None

    def start(self, failed: Failed | None = None) -> None:
        """Begin. `failed` is called if an error ends it."""
        if not self._outboxes:
            return
        for outbox in self._outboxes:
            outbox.start(failed)
        self._task = start_task(self._run(), log, "alerts_ended", failed)
        log.info("alerts_on", channels=[channel.name for channel in self._parts.channels])

    async def stop(self, failure: str = "") -> None:
        """End; messages that wait have LAST_WAIT_S to go out, what is not sent then is said in the log.

        `failure` says why the engine cannot go on: that is told whatever the hour.
        """
        if self._task is None:
            return
        self._task.cancel()
        if failure and LIGHTS in self._parts.config.about:
            now = self._parts.clock.now()
            ends = AlertCondition("light:failed", LIGHTS, "the engine has failed", f"it ends: {failure}", True, now)
            self._waiting.append(AlertEvent(BEGAN, now, ends))
        self._send_waiting()
        await asyncio.gather(*(outbox.stop(LAST_WAIT_S) for outbox in self._outboxes))
        if self._held_total:
            log.warning("alerts_held_lost", events=self._held_total)

    async def _run(self) -> None:
        while True:
            self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self, monotonic: float) -> None:
        """Look at what holds, and queue a message of what is to be told. O(what holds)."""
        now = self._parts.clock.now()
        events = self._book.look(now, self._conditions(now))
        is_quiet = self._quiet.holds(now)
        for event in events:
            if is_quiet and not (event.condition.urgent and self._parts.config.hard_in_quiet):
                self._held_total += 1
                if len(self._held) < MOST_HELD:
                    self._held.append(event)
            else:
                self._waiting.append(event)
        if not is_quiet and self._held_total:
            held, total = self._held, self._held_total
            self._held, self._held_total = [], 0
            self._queue(held, total, held=True)
        if monotonic >= self._last_message + self._parts.config.gather_s and self._waiting:
            self._last_message = monotonic
            self._send_waiting()

    def _send_waiting(self) -> None:
        if self._waiting:
            events, self._waiting = self._waiting, []
            self._queue(events, len(events), held=False)

    def _queue(self, events: Sequence[AlertEvent], total: int, *, held: bool) -> None:
        parts = self._parts
        self._count += 1
        number = f"{parts.epoch}-{self._count}"
        message = AlertMessage(number, parts.config.name, tuple(events[:MOST_NAMED]), total, held, parts.clock.now())
        for outbox in self._outboxes:
            outbox.put(message)

    def _note_trouble(self, channel: str, text: str) -> None:
        """Say on every screen what a channel does not deliver; "": nothing."""
        if text:
            self._troubles[channel] = text
        else:
            self._troubles.pop(channel, None)
        if self._troubles:
            self._parts.warnings[UNDELIVERED] = "; ".join(self._troubles.values())
        else:
            self._parts.warnings.pop(UNDELIVERED, None)

    # -- what holds --------------------------------------------------------------------------------------------

    def _conditions(self, now: int) -> list[AlertCondition]:
        config, found = self._parts.config, list[AlertCondition]()
        if BREACHES in config.about:
            found += [
                condition_of_breach(breach, measure)
                for breach, measure in self._parts.breaches()
                if config.breaches == "all" or breach.severity == HARD
            ]
        if WARNINGS in config.about:
            found += [
                AlertCondition(f"warning:{row['kind']}", WARNINGS, f"warning {row['kind']}", row["text"], False, row["since"])
                for row in self._parts.warnings.rows()
                if row["kind"] != BREACHED or BREACHES not in config.about  # each of them is told by itself
            ]
        if LIGHTS in config.about:
            red = self._parts.lights()
            self._red_since = {name: self._red_since.get(name, now) for name in red}
            found += [
                AlertCondition(f"light:{name}", LIGHTS, f"{name} red", text, False, self._red_since[name])
                for name, text in red.items()
            ]
        return found


def condition_of_breach(breach: Breach, measure: str) -> AlertCondition:
    """What is told of a breach."""
    title = f"{breach.severity} breach of {breach.limit_id} by {breach.place}"
    text = f"{measure} {breach.worst:,.2f} at worst, limit {breach.limit:,.2f}"
    return AlertCondition(
        f"breach:{breach.limit_id}:{breach.place}", BREACHES, title, text, breach.severity == HARD, breach.first_seen_ts
    )


class AlertOutbox:
    """The messages that wait for one channel, sent in order, each until it is delivered.

    `note_trouble` is told the channel's name and what it does not deliver, "" for nothing.
    """

    def __init__(self, channel: AlertChannel, note_trouble: Callable[[str, str], None], metrics: Metrics) -> None:
        self._channel = channel
        self._note_trouble = note_trouble
        self._metrics = metrics
        self._thread = BackgroundThread(f"alerts-{channel.name}")
        self._messages: deque[AlertMessage] = deque()
        self._there = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._tries = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, failed: Failed | None = None) -> None:
        """Begin to send."""
        self._task = start_task(self._run(), log, "alerts_ended", failed)

    async def stop(self, wait_s: float) -> None:
        """End, once nothing waits or `wait_s` are over."""
        if self._task is None:
            return
        if self._messages and not self._tries:
            await asyncio.wait([asyncio.ensure_future(self._empty.wait())], timeout=wait_s)
        self._task.cancel()
        if self._messages:
            log.warning("alerts_not_sent", channel=self._channel.name, messages=len(self._messages))

    def put(self, message: AlertMessage) -> None:
        """Queue a message. O(1)."""
        self._messages.append(message)
        self._empty.clear()
        self._there.set()
        while len(self._messages) > MOST_WAITING:
            del self._messages[1]  # the first may be on its way
            self._count("dropped")
            log.warning("alert_dropped", channel=self._channel.name)

    async def _run(self) -> None:
        while True:
            await self._there.wait()
            if not self._messages:
                self._there.clear()
                continue
            message = self._messages[0]
            try:
                note = await self._thread.run(partial(self._channel.send, message))
            except NotDelivered as error:
                self._note_failure(str(error))
                await asyncio.sleep(min(FIRST_RETRY_S * 2 ** min(self._tries - 1, 10), LONGEST_RETRY_S))
            else:
                self._messages.popleft()
                self._note_success(note)
                if not self._messages:
                    self._empty.set()

    def _note_failure(self, reason: str) -> None:
        self._tries += 1
        self._count("failed")
        log.warning("alert_not_delivered", channel=self._channel.name, tries=self._tries, reason=reason)
        waiting, name = len(self._messages), self._channel.name
        self._note_trouble(name, f"alerts by {name} are not delivered ({reason}): {waiting:,} wait, and are tried again")

    def _note_success(self, note: str) -> None:
        self._tries = 0
        self._count("sent")
        if note:
            log.warning("alert_recipients_refused", channel=self._channel.name, reason=note)
        self._note_trouble(self._channel.name, f"alerts by {self._channel.name} do not reach everybody: {note}" if note else "")

    def _count(self, outcome: str) -> None:
        self._metrics.alerts[self._channel.name, outcome].inc()
