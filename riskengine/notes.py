"""What people do and are refused at the door, on its way to the audit trail; kept while there is no trail yet. The event loop."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from riskengine.store.audit_chain import AuditEvent

MAX_KEPT = 1_000
"""Notes kept until there is a trail; the oldest make room."""

Record = Callable[[Iterable[AuditEvent]], None]


class Notes:
    """Hands notes on to a trail, in their order."""

    def __init__(self) -> None:
        self._kept: deque[AuditEvent] = deque(maxlen=MAX_KEPT)
        self._record: Record = self._kept.extend

    def hand_to(self, record: Record, first: AuditEvent) -> None:
        """There is a trail now: `first`, then what was kept."""
        record([first, *self._kept])
        self._kept.clear()
        self._record = record

    def note(self, kind: str, subject: str, detail: Mapping[str, Any], actor: str) -> None:
        """Something to be recorded, as an `AuditEvent`."""
        self._record([AuditEvent(kind, subject, detail, actor)])
