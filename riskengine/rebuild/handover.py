"""Hands the running state over to a rebuilt engine: what the store does not record is carried over; the rest is as rebuilt.

The new engine was rebuilt from the store, perhaps by other reference data: its trades, positions, balances, conflicts, verdicts,
and its counts of applied, superseded and late trades are those of a fresh start. From the old engine it takes over

- the number of the last snapshot, the watermark, the time of the last trade;
- the calendars in force: they may have been loaded while the new engine was built;
- marks in force with the levels held back beside them, by symbol, unless the store has a newer one (somebody loaded it), and
  which of them are still to be stored; vols, rates and Greeks, the newest of each subject;
- how many duplicates and conflicts have arrived; when a late trade or a conflict was noticed first;
- what people decided while the new engine was being built.

A conflict or a verdict may have come after its rows were read: it is taken again here, which changes nothing where it is known.
Writer thread, between two batches. `Engine.state_to_carry` and `Engine.carry_on` know what an engine keeps.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress

from riskengine.background import Rests, short_switch_interval
from riskengine.engine.engine import Engine, Judge
from riskengine.errors import Frozen
from riskengine.market.marks import Mark


def hand_over(engine: Engine, before: Engine, judge: Judge, now: int) -> None:
    """Have `engine` go on where `before` ends: its next snapshot follows that of `before`. O(instruments + notices)."""
    engine.take_calendars(before.calendars)
    with suppress(Frozen):  # then it is taken with the recall that it needs, as soon as the engine is live
        # As they were read last: later than those that the engine was built from.
        engine.take_actions(before.action_rows, now, before.actions_day)
    _take_marks(engine, before, now)
    engine.carry_on(before.state_to_carry(), judge)


def _take_marks(engine: Engine, before: Engine, now: int) -> None:
    """The newer of what is in force and what the store had."""
    index, table = engine.reference.instrument_index, engine.marks
    carried: dict[int, Mark] = {}
    unsaved: set[int] = set()
    for symbol, mark in before.marks.quoted().items():
        number, old = index.get(symbol), before.reference.instrument_index[symbol]
        if number is None:
            continue
        mark = table.of_now(symbol, mark)
        stored = table.marks[number]
        # What a person holds, or no longer holds, the live engine knows best.
        if stored is None or mark.is_held or stored.is_held or mark.ts >= stored.ts:
            carried[number] = mark
            if old in before.marks.unsaved:
                unsaved.add(number)
    engine.beat(carried, now, tuple(before.option_market))
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
        with short_switch_interval():
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
