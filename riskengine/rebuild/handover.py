"""Hands the running state over to a rebuilt engine: what the store does not record is carried over; the rest is as rebuilt.

The new engine was rebuilt from the store, perhaps by other reference data: its trades, positions, balances, conflicts, verdicts,
and its counts of applied, superseded and late trades are those of a fresh start. From the old engine it takes over

- the number of the last snapshot, the watermark, the time of the last trade;
- marks in force with the levels held back beside them, by symbol, unless the store has a newer one (somebody loaded it), and
  which of them are still to be stored;
- how many duplicates and conflicts have arrived; when a late trade or a conflict was noticed first;
- what people decided while the new engine was being built.

A conflict or a verdict may have come after its rows were read: it is taken again here, which changes nothing where it is known.
Writer thread, between two batches; the one module beside `engine` that knows what an engine keeps.
"""

import threading
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from riskengine.background import Rests, giving_way
from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark
from riskengine.positions.processed import APPLIED, CONFLICT, DUPLICATE
from riskengine.records.types import Trade

Judge = Callable[[Trade], Trade | None]
"""The same trade by other reference data; None if it does not fit that."""


def hand_over(engine: Engine, before: Engine, judge: Judge, now: int) -> None:
    """Have `engine` go on where `before` ends: its next snapshot follows that of `before`. O(instruments + notices)."""
    _take_marks(engine, before, now)
    for item, verdict in before.decided:
        if engine._work.verdict(item.id) != verdict:
            engine.decide(replace(item, trade=None if item.trade is None else judge(item.trade)), verdict)
    engine.decided[:] = before.decided
    counts, counted = engine._counts, before._counts
    for item in before._work.conflicts.values():
        if item.trade is not None and (trade := judge(item.trade)) is not None:
            engine.recall_conflict(trade)
    engine._work.date_as(before._work)
    # Whoever sends a conflict again is counted again, which no store tells; what only the store knew of comes on top.
    counts[CONFLICT] = counted[CONFLICT] + len(engine._work.conflicts.keys() - before._work.conflicts.keys())
    counts[DUPLICATE] = counted[DUPLICATE]
    if counts[APPLIED] <= counted[APPLIED]:
        engine._last_trade_at = before._last_trade_at
    engine._watermark = max(engine._watermark, before._watermark)
    engine._seq = before._seq
    engine._trade_seq = before._seq + 1


def _take_marks(engine: Engine, before: Engine, now: int) -> None:
    """The newer of what is in force and what the store had."""
    index, table = engine.reference.instrument_index, engine.marks
    carried: dict[int, Mark] = {}
    unsaved: set[int] = set()
    for old, mark in enumerate(before.marks.marks):
        number = index.get(before.reference.symbols[old])
        if mark is None or number is None:
            continue
        stored = table.marks[number]
        if stored is None or mark.ts >= stored.ts:
            carried[number] = mark
            if old in before.marks.unsaved:
                unsaved.add(number)
    engine.beat(carried, now)
    table.unsaved = unsaved


PIECES = 64
"""Pieces freed in one go: a tenth of a millisecond."""


class GradualRelease:
    """Frees a replaced engine and its last snapshot piece by piece, `wait_s` from now. The caller must drop its references."""

    def __init__(self, engine: Engine, wait_s: float) -> None:
        self._held: list[object] = [engine]
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(wait_s,), name="riskengine-dismantling", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Free it now; returns when that is done."""
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
    """Most of what an engine consists of: positions, which hold the trades, and the rows of its last snapshot by owner."""
    for rollup in (engine.ledger.organisation, engine.ledger.dealers):
        yield from (position for _, _, position in rollup.positions())
    for table in (engine.snapshot.nodes, engine.snapshot.dealers):
        yield from (state for page in table.states for state in page)
