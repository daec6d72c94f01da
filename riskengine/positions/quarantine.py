"""Keeps trades out of the positions until a person lets them in: by their times, opening balances and value dates.

The rules of ACCOUNTING section 2. Pure: every decision follows from stored facts alone, so a replay decides the same.
"""

from collections.abc import Iterable, Mapping, Sequence

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import EngineConfig
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.positions.processed import exception_id
from riskengine.records.types import Instrument, Kind, Opening, Trade

WAS_NOT_SPOT = "was not spot"
"""Part of the reason of a trade that the calendars of today would let in."""


class Quarantine:
    """Why a trade is kept out of the positions, from stored facts alone.

    openings    times of opening balances by (desk, dealer, instrument), microseconds
    accepted    exceptions (`exception_id`) that a person let in
    spot_dates  judges value dates; None: by the published calendars, and nothing is stored yet
    """

    def __init__(self, instruments: Mapping[str, Instrument], config: EngineConfig, spot_dates: SpotDates | None = None) -> None:
        self._instruments = instruments
        self._future_limit = int(config.future_limit_s * MICROS_PER_SECOND)
        self.spot_dates = SpotDates(Calendars(), config) if spot_dates is None else spot_dates
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

        A later date makes it a forward, whose points would show as phantom P&L.
        """
        instrument = self._instruments.get(trade.instrument)
        if instrument is None or instrument.kind is not Kind.FX:
            return ""
        is_spot, spot, _ = self.spot_dates.verdict(trade, instrument)
        if is_spot:
            return ""
        if self.spot_dates.may_differ and trade.value_date == self.spot_dates.newest_spot(trade, instrument):
            changed = "by those of today it is, and a person may accept it"
            return f"value_date {trade.value_date} {WAS_NOT_SPOT} ({spot}) by the calendars of its time; {changed}"
        return f"value_date {trade.value_date} is not spot ({spot}); forwards are not valued"

    def outdated_spot(self, trade: Trade) -> str | None:
        """Why the calendars of today would keep out a trade that counts as spot; None where they agree with that. 2 us."""
        instrument = self._instruments.get(trade.instrument)
        if not trade.value_date or trade.action == "cancel" or instrument is None or instrument.kind is not Kind.FX:
            return None
        newest = self.spot_dates.newest_spot(trade, instrument)
        if trade.value_date == newest or not self.spot_dates.verdict(trade, instrument).is_spot:
            return None
        return f"{trade.value_date} was spot by the calendars of its time, and counts; by those of today spot is {newest}"
