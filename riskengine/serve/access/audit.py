"""What is told of access: who was refused and who did what, to the metrics and to the audit trail.

The trail is for good, and a flood must not fill it: what happens again within a minute is counted, and told once at its end.
Event loop only.
"""

import asyncio
from typing import Any

from starlette.types import Scope

from riskengine.serve.access.origins import STRANGER, address_of
from riskengine.serve.gateway import PRINCIPAL, Gateway

WINDOW_S = 60.0
MAX_DISTINCT_ENTRIES = 100
"""Different things told apart in one window; further ones are told together."""

MAX_PATH_CHARS = 200

_Key = tuple[str, str, str, str]
"""Kind of entry, who, why or from where, path."""


class AccessAudit:
    """Counts and tells. The first of its kind within a window is told at once, the others as a number."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._again: dict[_Key, int] = {}
        self._window: asyncio.TimerHandle | None = None

    def refused(self, reason: str, scope: Scope) -> None:
        """A request was refused; `reason` is one of `observe.REFUSALS`."""
        self._gateway.metrics.refusals[reason].inc()
        who = scope.get(PRINCIPAL, STRANGER).name or f"stranger at {address_of(scope) or 'no address'}"
        self._tell(("refused", who, reason, scope["path"][:MAX_PATH_CHARS]))

    def ended(self, name: str, title: str, path: str) -> None:
        """A websocket of somebody was ended because of their token."""
        self._gateway.metrics.refusals["token"].inc()
        self._tell(("refused", name, title, path))

    def did(self, kind: str, name: str, scope: Scope) -> None:
        """Somebody logged in or out."""
        self._tell((kind, name, address_of(scope), ""))

    def flush(self) -> None:
        """Tell what was counted and not told yet."""
        if self._window is not None:
            self._window.cancel()
            self._window = None
        again, self._again = self._again, {}
        for key, count in again.items():
            if count:
                self._note(key, count)

    def _tell(self, key: _Key) -> None:
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(WINDOW_S, self.flush)
        if key not in self._again and len(self._again) >= MAX_DISTINCT_ENTRIES:
            kind, _, why, _ = key
            key = (kind, "others", why if kind == "refused" else "", "")
        if key in self._again:
            self._again[key] += 1
        else:
            self._again[key] = 0
            self._note(key, 1)

    def _note(self, key: _Key, count: int) -> None:
        kind, who, why, path = key
        detail: dict[str, Any] = {"reason": why, "path": path} if kind == "refused" else {"address": why}
        self._gateway.note(kind, path, detail | {"count": count}, who)
