"""A struck close once more, with other prices: what a later version of it comes to."""

import datetime as dt
from collections.abc import Iterable, Mapping

from riskengine.config import Config
from riskengine.engine.closing import ClosingDay, ClosingRows, Overrides, make_close
from riskengine.engine.engine import Engine
from riskengine.positions.day_window import Held
from riskengine.positions.ledger import SHIFT
from riskengine.rebuild.day import day_after
from riskengine.records.closes import ClosedPosition, ClosePrice, StruckClose
from riskengine.records.reference import Reference
from riskengine.store.protocol import Store


def restrike(
    store: Store, config: Config, reference: Reference, close: StruckClose, prices: Mapping[str, ClosePrice], now: int
) -> StruckClose:
    """The next version of a close: the same positions with other prices, valued against the close before it as published.

    By the reference data in force. Rates are those of the marks of the close. 10 us a position; any thread. Raises StoreError.
    """
    engine = Engine(reference, config, epoch=0, now=close.ts)
    date = dt.date.fromisoformat(close.date)
    previous = store.struck_close(engine.trading_day.previous(date).isoformat())
    if previous is not None:
        versions = [store.struck_close(previous.date, version) for version in range(1, previous.version)]
        start = day_after(engine, previous, [each for each in versions if each is not None], [])
        engine.begin_day(start, engine.day_values(start))
    dealers = engine.number_dealers(each.owner for each in close.dealers)
    engine.publish(close.ts)
    rows = ClosingRows(
        engine.snapshot,
        _overrides(close.nodes, reference.hierarchy.index, reference),
        _overrides(close.dealers, dealers, reference),
        dealers,
        close.openings,
    )
    return make_close(rows, prices, ClosingDay(close.date, close.ts, now, close.version + 1), config)


def _overrides(positions: Iterable[ClosedPosition], owners: Mapping[str, int], reference: Reference) -> Overrides:
    """The positions of a close by leaf key, without those whose node or instrument exists no more."""
    known = reference.instrument_index
    return {
        owners[each.owner] << SHIFT | known[each.instrument]: Held(
            each.quantity, each.cash, each.average, dict(each.fees), dict(each.beside)
        )
        for each in positions
        if each.owner in owners and each.instrument in known
    }
