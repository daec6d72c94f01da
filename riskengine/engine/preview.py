"""What would become of trades that are not sent yet: the rules of the engine, asked without changing anything.

The same functions decide as for trades that are applied: `Processed` over the stored versions of their deals, and the quarantine,
the marks and the calendars in force. Pure but for that. Writer thread.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from riskengine.engine.engine import CANCEL_CAME_FIRST, Engine
from riskengine.positions.processed import CONFLICT, PARKED, QUARANTINED, SUPERSEDED, Processed
from riskengine.records.types import CONFLICT_REASON, Identity, Trade

HIGHER_STANDS = "a higher version is stored; that one counts"

Version = tuple[Identity, int]


class Preview(NamedTuple):
    """What would become of one trade.

    status      as `POST /v1/trades` would answer
    reason      why, where that is not plain
    instrument  in whose position it would stand: its pair, or the forward to its value date; "" for a cancel
    notices     what a person would be told of it though it counts, as (kind, sentence): off_market, possible_duplicate
    """

    status: str
    reason: str = ""
    instrument: str = ""
    notices: tuple[tuple[str, str], ...] = ()


class Previewer:
    """Judges a batch in one piece or in several. `stored` are the stored versions of its deals, in store order.

    `unreadable` are versions whose rows the check refuses, with the reason: they stand, and no trade replaces them.
    """

    def __init__(self, stored: Iterable[Trade], unreadable: Mapping[Version, str]) -> None:
        self._stored: Iterable[Trade] = stored
        self._unreadable = unreadable
        self._processed = Processed()

    def judge(self, engine: Engine, trades: Sequence[Trade]) -> list[Preview]:
        """What would become of each if it were sent now, behind those that were judged before. 15 us a trade, nothing changes."""
        quarantine, processed = engine.quarantine, self._processed
        for trade in self._stored:
            placed = quarantine.place(trade)
            processed.admit(placed, quarantine.reason(placed))
        self._stored = ()
        placed_trades = [quarantine.place(trade) for trade in trades]
        notices = engine.would_notice(placed_trades)
        return [self._one(engine, trade, tuple(notices.get(place, ()))) for place, trade in enumerate(placed_trades)]

    def _one(self, engine: Engine, trade: Trade, notices: tuple[tuple[str, str], ...]) -> Preview:
        fault = self._unreadable.get((trade.identity, trade.version))
        if fault is not None:
            return Preview(CONFLICT, f"{CONFLICT_REASON}: {fault}", trade.instrument)
        reason = engine.quarantine.reason(trade)
        status = self._processed.admit(trade, reason).status
        reasons = {QUARANTINED: reason, CONFLICT: CONFLICT_REASON, PARKED: CANCEL_CAME_FIRST, SUPERSEDED: HIGHER_STANDS}
        return Preview(status, reasons.get(status, ""), trade.instrument, notices if status == "applied" else ())
