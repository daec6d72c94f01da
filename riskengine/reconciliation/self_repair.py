"""What becomes of keys that the self-audit has set aside.

Every screen says so, they are folded anew from the store's rows, and the engine is compared with the store, which shows that
nothing else is wrong. On the event loop; the engine goes on meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from riskengine.errors import RiskEngineError
from riskengine.observe import get_logger
from riskengine.records.types import Key
from riskengine.snapshot.snapshot import Snapshot

LOOK_EVERY_S = 0.25
"""How soon a key that was set aside is noticed here. A look costs a microsecond."""

RETRY_S = 5.0
"""How long to wait after the store failed."""

WARNING = "set_aside"

log = get_logger("riskengine.mender")


class SelfRepair:
    """Watches what is `newest`. `mend` folds keys anew, None where a person is to decide; `compare` is a run without repair."""

    def __init__(
        self,
        newest: Callable[[], Snapshot],
        warnings: MutableMapping[str, str],
        mend: Callable[[list[Key]], Awaitable[None]] | None,
        compare: Callable[[], Awaitable[Any]],
    ) -> None:
        self._newest = newest
        self._warnings = warnings
        self._mend = mend
        self._compare = compare
        self._asked: set[Key] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        seen: object = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            snapshot = self._newest()
            if snapshot.exceptions is not seen:
                seen = snapshot.exceptions
                await self._look(snapshot.keys_set_aside())

    async def _look(self, keys: list[Key]) -> None:
        if keys:
            self._warnings[WARNING] = (
                f"positions or sums that broke an invariant and are unknown until repaired: {len(keys):,}, see /v1/exceptions"
            )
        else:
            self._warnings.pop(WARNING, None)
        self._asked &= set(keys)
        while not self._asked.issuperset(keys):
            try:
                if self._mend is not None:
                    await self._mend(keys)
                    log.info("mended", keys=len(keys), first=keys[0])
                await self._compare()
                self._asked.update(keys)
            except RiskEngineError as error:
                log.warning("not_mended", keys=len(keys), error=str(error))
                await asyncio.sleep(RETRY_S)
