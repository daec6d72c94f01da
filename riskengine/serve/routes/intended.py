"""Trades to come, of checks and of what-ifs: in whose position they would stand, and a snapshot that values it."""

import datetime as dt
from collections.abc import Iterable

from riskengine.limits.lines import day_of
from riskengine.market.spot_dates import SpotDates
from riskengine.records.fields import Rejected
from riskengine.records.forwards import placed
from riskengine.records.reference import Reference
from riskengine.records.types import Instrument, Kind, Trade
from riskengine.snapshot.snapshot import Snapshot
from riskengine.snapshot.with_forwards import with_forwards


def place_intended(trade: Trade, reference: Reference, spot_dates: SpotDates) -> Trade:
    """The trade in the instrument of its position: its own, or the forward to its value date. Raises Rejected.

    A day on which no market pays is refused: such a trade would be kept out of the positions until a person has decided.
    """
    pair = reference.by_symbol.get(trade.instrument)
    if not trade.value_date or pair is None or pair.kind is not Kind.FX:
        return trade
    judged = spot_dates.of_intended(trade, pair)
    if judged.no_market:
        raise Rejected("value_date", f"{judged.no_market}: the trade would be kept out of the positions", trade.value_date)
    return trade if judged.is_spot else placed(trade)


def valuing(snapshot: Snapshot, trades: Iterable[Trade], spot_dates: SpotDates) -> Snapshot:
    """The snapshot, with the forwards of these trades that nobody holds yet. O(trades); 1 ms where there are such."""
    reference = snapshot.reference.with_forwards(trade.instrument for trade in trades)
    day = day_of(snapshot)

    def spot_day(pair: Instrument) -> int:
        return dt.date.fromisoformat(spot_dates.intended_spot(pair, day)).toordinal()

    return with_forwards(snapshot, reference, spot_day)
