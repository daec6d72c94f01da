"""Records access: refusals, logins and logouts, in the metrics and the audit trail.

The trail is permanent, and a flood must not fill it: repetitions within a minute are counted and written once at its end. Event
loop only.
"""

import asyncio
from typing import Any

from starlette.types import Scope

from riskengine.serve.access.origins import STRANGER, address_of
from riskengine.serve.gateway import PRINCIPAL, Gateway

WINDOW_S = 60.0
MAX_DISTINCT_ENTRIES = 100
"""Distinct entries in one window; further ones are counted together."""

MAX_PATH_CHARS = 200

_Key = tuple[str, str, str, str]
"""Kind of entry, name, reason or address, path."""


class AccessAudit:
    """Counts and writes entries. The first of its kind in a window is written at once, the repetitions as a number."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._repeats: dict[_Key, int] = {}
        self._window: asyncio.TimerHandle | None = None

    def record_refusal(self, reason: str, scope: Scope) -> None:
        """Record a refused request; `reason` is one of `observe.REFUSALS`."""
        self._gateway.metrics.refusals[reason].inc()
        who = scope.get(PRINCIPAL, STRANGER).name or f"stranger at {address_of(scope) or 'no address'}"
        self._record(("refused", who, reason, scope["path"][:MAX_PATH_CHARS]))

    def record_ended_session(self, name: str, title: str, path: str) -> None:
        """Record a websocket that was closed because of its token."""
        self._gateway.metrics.refusals["token"].inc()
        self._record(("refused", name, title, path))

    def record_login(self, kind: str, name: str, scope: Scope) -> None:
        """Record a login or a logout."""
        self._record((kind, name, address_of(scope), ""))

    def flush(self) -> None:
        """Write the repetitions that were counted."""
        if self._window is not None:
            self._window.cancel()
            self._window = None
        repeats, self._repeats = self._repeats, {}
        for key, count in repeats.items():
            if count:
                self._write(key, count)

    def _record(self, key: _Key) -> None:
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(WINDOW_S, self.flush)
        if key not in self._repeats and len(self._repeats) >= MAX_DISTINCT_ENTRIES:
            kind, _, why, _ = key
            key = (kind, "others", why if kind == "refused" else "", "")
        if key in self._repeats:
            self._repeats[key] += 1
        else:
            self._repeats[key] = 0
            self._write(key, 1)

    def _write(self, key: _Key, count: int) -> None:
        kind, who, why, path = key
        detail: dict[str, Any] = {"reason": why, "path": path} if kind == "refused" else {"address": why}
        self._gateway.note(kind, path, detail | {"count": count}, who)
