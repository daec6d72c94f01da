"""Reads what a cash ladder is made from out of a running engine, in steps that the writer hardly notices. On the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from riskengine.engine.cash_ladder import (
    LadderTrades,
    Place,
    Tail,
    collect,
    collect_known,
    tails_of,
    unknown_places,
)
from riskengine.engine.engine import Engine
from riskengine.snapshot.snapshot import Snapshot, node_number

TRIES = 4
"""How often a ladder of many positions is read again where trades come meanwhile, before the writer looks at all at once."""

AskWriter = Callable[[Callable[[Engine], Any]], Awaitable[Any]]


async def read_ladder_trades(
    newest: Callable[[], Snapshot], on_writer: AskWriter, node: str | None, since: int, known: dict[Place, Tail]
) -> LadderTrades:
    """What the ladder of a node (None: the root) is made from. Of many positions the writer is asked in steps.

    Those that trade meanwhile are read again. `known` are the tails that were read before; they are brought up to date: given
    again the next time, they leave only what has traded since. Raises UnknownName, EngineNotLive.
    """
    for _ in range(TRIES):
        snapshot = newest()
        if not len(snapshot.reference.hierarchy):
            break
        number = 0 if node is None else node_number(snapshot, node)
        wanted = await asyncio.to_thread(unknown_places, snapshot, number, since, known)
        if len(wanted) <= 1 and not known:
            break  # one look of the writer at all is short
        for step in wanted:
            known |= await on_writer(partial(tails_of, wanted=step, since=since))
        look = partial(collect_known, snapshot=snapshot, node=number, since=since, known=dict(known))
        taken: LadderTrades | None = await on_writer(look)
        if taken is not None:
            return taken
    taken = await on_writer(partial(collect, node=node, since=since, known=known))
    known |= taken.tails
    return taken
