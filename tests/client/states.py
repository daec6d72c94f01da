"""Waits for a state of a subscription."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from riskengine.client import State
from tests.client.wrong_engine import PATIENCE_S


async def state_where(subscription: Any, holds: Any) -> State:
    """The first state of which something holds."""
    async with asyncio.timeout(PATIENCE_S):
        async for state in subscription:
            if holds(state):
                return state
    raise AssertionError


def next_state_where(subscription: Any, holds: Callable[[State], bool], seconds: float = 30.0) -> State:
    deadline = time.monotonic() + seconds
    while True:
        state: State = subscription.next(deadline - time.monotonic())
        if holds(state):
            return state
