"""An engine that was replaced is given back to the system in small pieces.

Dropping it at once would hold the interpreter, and with it everybody, for as long as it takes to free millions of objects: most
of a second for a million trades. So a thread keeps hold of the pieces while what binds them goes, and lets go of a few at a time.
"""

import threading
from collections.abc import Iterator

from riskengine.background import Rests, giving_way
from riskengine.engine.engine import Engine

PIECES = 64
"""Let go at once: a tenth of a millisecond."""


class Dismantling:
    """Lets go of an engine that nobody calls any more, and of its last snapshot, after `wait_s`. The caller must forget both."""

    def __init__(self, engine: Engine, wait_s: float) -> None:
        self._held: list[object] = [engine]
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(wait_s,), name="riskengine-dismantling", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait no longer; returns when it is done."""
        self._hurry.set()
        self._thread.join()

    def _run(self, wait_s: float) -> None:
        self._hurry.wait(wait_s)  # readers of its snapshots go on meanwhile
        held, rests = self._held, Rests()
        engine = held.pop()
        assert isinstance(engine, Engine)
        with giving_way():
            for count, piece in enumerate(_pieces(engine)):
                held.append(piece)
                if not count % PIECES:
                    rests.rest_if_due()
            del engine, piece
            while held:
                del held[-PIECES:]
                rests.rest_if_due()


def _pieces(engine: Engine) -> Iterator[object]:
    """What an engine mostly consists of: positions, which hold the trades, and the rows of its last snapshot by owner."""
    for rollup in (engine.ledger.organisation, engine.ledger.dealers):
        yield from (position for _, _, position in rollup.positions())
    for table in (engine.snapshot.nodes, engine.snapshot.dealers):
        yield from (state for page in table.states for state in page)
