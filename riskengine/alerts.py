"""Warnings that every screen shows while they hold: one sentence a kind, and since when.

Examples: `breaks`, the engine differs from the store; `mismatch`, it went live although the start found a difference. The event
loop sets and clears them. The dictionary is replaced, never changed in place, so that any thread may read it.
"""

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NamedTuple

from riskengine.clock import Clock
from riskengine.observe import get_logger

log = get_logger("riskengine.alerts")


TASK_ENDED = "task_ended"
"""The kind that says what a live engine has stopped to do, because a task of it ended with an error."""


class Alert(NamedTuple):
    """A warning's sentence, and when its kind was set: microseconds since the epoch."""

    text: str
    since: int


class Warnings(MutableMapping[str, str]):
    """Kind -> sentence, in the order in which kinds were set. A new sentence for a kind keeps its place and its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alerts: dict[str, Alert] = {}

    def __getitem__(self, kind: str) -> str:
        return self._alerts[kind].text

    def __setitem__(self, kind: str, text: str) -> None:
        known = self._alerts.get(kind)
        self.set(kind, text, self._clock.now() if known is None else known.since)

    def set(self, kind: str, text: str, since: int) -> None:
        """Set a warning that says itself since when it holds, in microseconds since the epoch."""
        known = self._alerts.get(kind)
        if known is None or known.text != text:
            log.warning("warning_set", kind=kind, text=text)
        self._alerts = {**self._alerts, kind: Alert(text, since)}

    def __delitem__(self, kind: str) -> None:
        if kind not in self._alerts:
            raise KeyError(kind)
        self._alerts = {known: alert for known, alert in self._alerts.items() if known != kind}
        log.info("warning_cleared", kind=kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._alerts)

    def __len__(self) -> int:
        return len(self._alerts)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `/v1/status`: kind, text, since."""
        return [{"kind": kind, **alert._asdict()} for kind, alert in self._alerts.items()]


def tells_end(warnings: Warnings, effect: str) -> Callable[[BaseException], None]:
    """What a task that ends with an error is to call: it adds `effect`, what is not done any more, to TASK_ENDED."""

    def tell(error: BaseException) -> None:
        told = f"{effect} until the next start: {error!r}"
        warnings[TASK_ENDED] = f"{warnings[TASK_ENDED]}; {told}" if TASK_ENDED in warnings else told

    return tell
