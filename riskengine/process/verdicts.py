"""What a person decided when the store did not say whether it took it.

A commit whose answer was lost may have gone through. The person is told that the store is away; once it is back the store itself
says whether the verdict is there, and then it takes effect, as it would after a start. On the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable

from riskengine.errors import EngineNotLive, StoreError
from riskengine.observe import get_logger
from riskengine.records.types import Verdict
from riskengine.store.protocol import Store

RETRY_S = 0.5

log = get_logger("riskengine.decisions")


async def settle(
    verdict: Verdict, on_store: Callable[[Callable[[Store], bool]], Awaitable[bool]], take_effect: Callable[[], Awaitable[None]]
) -> None:
    """Ask until the store answers; `on_store` asks on the store thread, behind whatever was under way there."""
    while True:
        await asyncio.sleep(RETRY_S)
        try:
            if await on_store(lambda store: verdict in store.verdicts()):
                await take_effect()
                log.info("verdict_was_stored", id=verdict.id, verdict=verdict.verdict)
            return
        except EngineNotLive:
            return  # the next start reads it
        except StoreError:
            continue
