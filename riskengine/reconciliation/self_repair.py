"""Repairs keys that the self-audit has set aside.

Every screen says that they are unknown; they are refolded from the store's rows; then the engine is compared with the store,
which shows that nothing else is wrong. On the event loop; the engine goes on meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from riskengine.errors import RiskEngineError
from riskengine.observe import get_logger
from riskengine.records.types import Key
from riskengine.snapshot.snapshot import Snapshot

LOOK_EVERY_S = 0.25
"""How often to check for keys that were set aside. A check costs a microsecond."""

RETRY_S = 5.0
"""How long to wait after the store failed."""

WARNING = "set_aside"

log = get_logger("riskengine.mender")


class SelfRepair:
    """Watches the `newest` snapshot. `refold` repairs keys, None: a person is to decide. `compare` is a run without repair."""

    def __init__(
        self,
        newest: Callable[[], Snapshot],
        warnings: MutableMapping[str, str],
        refold: Callable[[list[Key]], Awaitable[None]] | None,
        compare: Callable[[], Awaitable[Any]],
    ) -> None:
        self._newest = newest
        self._warnings = warnings
        self._refold = refold
        self._compare = compare
        self._handled: set[Key] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        seen: object = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            snapshot = self._newest()
            if snapshot.exceptions is not seen:
                seen = snapshot.exceptions
                await self._handle(snapshot.keys_set_aside())

    async def _handle(self, keys: list[Key]) -> None:
        if keys:
            self._warnings[WARNING] = (
                f"positions or sums that broke an invariant and are unknown until repaired: {len(keys):,}; see /v1/exceptions"
            )
        else:
            self._warnings.pop(WARNING, None)
        self._handled &= set(keys)
        while not self._handled.issuperset(keys):
            try:
                if self._refold is not None:
                    await self._refold(keys)
                    log.info("mended", keys=len(keys), first=keys[0])
                await self._compare()
                self._handled.update(keys)
            except RiskEngineError as error:
                log.warning("not_mended", keys=len(keys), error=str(error))
                await asyncio.sleep(RETRY_S)
