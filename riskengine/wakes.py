"""How the event loop learns that something was published: woken once, however much happened before it runs."""

import asyncio
from collections.abc import Callable


class Wakes:
    """Listeners are called on the loop that `on` named; `ring` may be called by any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[], None]] = []
        self._scheduled = False

    def on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Which loop to wake, from now on."""
        self._loop = loop

    def ring(self, _: object = None) -> None:
        """Have every listener called soon. Returns at once."""
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._scheduled = False
        for listener in tuple(self._listeners):  # one may end itself
            listener()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each ring (once for several). Returns what ends it."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)
