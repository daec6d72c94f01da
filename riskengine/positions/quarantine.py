"""Keeps trades out of the positions until a person lets them in: by their times, opening balances and value dates.

The rules of ACCOUNTING section 2. Pure: every decision follows from stored facts alone, so a replay decides the same.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import EngineConfig
from riskengine.market.trading_day import TradingDay, spot_date
from riskengine.positions.processed import exception_id
from riskengine.records.types import Instrument, Kind, Opening, Trade


class Quarantine:
    """Why a trade is kept out of the positions, from stored facts alone.

    openings  times of opening balances by (desk, dealer, instrument), microseconds
    accepted  exceptions (`exception_id`) that a person let in
    """

    def __init__(self, instruments: Mapping[str, Instrument], config: EngineConfig) -> None:
        self._instruments = instruments
        self._future_limit = int(config.future_limit_s * MICROS_PER_SECOND)
        self._trading_day = TradingDay.of(config)
        self.openings: dict[tuple[str, str, str], int] = {}
        self.accepted: set[str] = set()

    def open_with(self, opening: Opening) -> None:
        """Keep out trades of this key from before the balance: they are part of it already."""
        key = (opening.desk, opening.dealer, opening.instrument)
        self.openings[key] = max(opening.ts, self.openings.get(key, 0))

    def reason(self, trade: Trade) -> str:
        """Why a trade is kept out, or "" if it may take part. 0.1 us for an ordinary one."""
        if trade.ts - trade.received_ts > self._future_limit:
            reason = f"ts is more than {self._future_limit // MICROS_PER_SECOND} s after it was received"
            return self._unless_accepted(trade, reason)
        if self.openings:
            opened = self.openings.get((trade.desk, trade.dealer, trade.instrument))
            if opened is not None and trade.ts < opened and trade.action != "cancel":
                return self._unless_accepted(trade, "ts is before the opening balance of its position")
        if trade.value_date and trade.action != "cancel":
            reason = self._not_spot(trade)
            return self._unless_accepted(trade, reason) if reason else ""
        return ""

    def reasons(self, trades: Sequence[Trade]) -> dict[int, str]:
        """The reasons for those that are kept out, by place. 0.1 us for an ordinary one."""
        limit = self._future_limit
        if self.openings:
            suspects: Iterable[int] = range(len(trades))
        else:
            suspects = [place for place, one in enumerate(trades) if one.value_date or one.ts - one.received_ts > limit]
        found = ((place, self.reason(trades[place])) for place in suspects)
        return {place: reason for place, reason in found if reason}

    def _unless_accepted(self, trade: Trade, reason: str) -> str:
        return "" if self.accepted and exception_id("quarantined", trade) in self.accepted else reason

    def _not_spot(self, trade: Trade) -> str:
        """Why the value date of a spot pair is not its spot date, or "".

        A later date makes it a forward, whose points would show as phantom P&L. A spot date may lie up to four
        days beyond the weekday rule, because holidays push it.
        """
        instrument = self._instruments.get(trade.instrument)
        if instrument is None or instrument.kind is not Kind.FX:
            return ""
        traded = dt.date.fromisoformat(trade.trade_date) if trade.trade_date else self._trading_day.date_of(trade.ts)
        spot = spot_date(traded, instrument.base_currency, instrument.quote_currency)
        value = dt.date.fromisoformat(trade.value_date)
        if spot <= value <= spot + dt.timedelta(days=4):
            return ""
        return f"value_date {trade.value_date} is not spot ({spot.isoformat()}); forwards are not valued"
