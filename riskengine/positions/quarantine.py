"""Keeps trades out of the positions: until a person lets them in, or until their day comes.

A person decides about times, opening balances and value dates. A trade whose `trade_date` is after the current trading day waits
for that day.

The rules of ACCOUNTING sections 2 and 8. Pure: every decision follows from stored facts and the current trading day alone, so a
replay on the same day decides the same.
"""

from collections.abc import Iterable, Mapping, Sequence

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import EngineConfig
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.positions.processed import exception_id
from riskengine.records.rules import NO_STARTS, TRADE_DATE_WAITS, RuleStarts
from riskengine.records.types import Instrument, Kind, Opening, Trade

WAS_NOT_SPOT = "was not spot"
"""Part of the reason of a trade that the calendars of today would let in."""

WAITS = "waits for its trade_date"
"""How the reason begins of a trade that is kept out until its day comes."""

LAST_DAY = "9999-12-31"
"""After every day."""


def is_waiting(reason: str) -> bool:
    """Whether a trade that is kept out for this reason waits for its day, and for no person."""
    return reason.startswith(WAITS)


class Quarantine:
    """Why a trade is kept out of the positions, from stored facts alone.

    openings     times of opening balances by (desk, dealer, instrument), microseconds
    accepted     exceptions (`exception_id`) that a person let in; they wait for their day all the same
    current_day  the trading day that is running, YYYY-MM-DD; "": none is known, and no trade waits
    spot_dates   judges value dates; None: by the published calendars, and nothing is stored yet
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        config: EngineConfig,
        spot_dates: SpotDates | None = None,
        rule_starts: RuleStarts = NO_STARTS,
        current_day: str = "",
    ) -> None:
        self._instruments = instruments
        self._waits_from = rule_starts.get(TRADE_DATE_WAITS, 0)
        self.current_day = current_day
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
            return self._unless_accepted(trade, reason) or self._waits(trade)
        if self.openings:
            opened = self.openings.get((trade.desk, trade.dealer, trade.instrument))
            if opened is not None and trade.ts < opened and trade.action != "cancel":
                return self._unless_accepted(trade, "ts is before the opening balance of its position") or self._waits(trade)
        if trade.value_date and trade.action != "cancel":
            reason = self._not_spot(trade)
            return (self._unless_accepted(trade, reason) if reason else "") or self._waits(trade)
        return self._waits(trade)

    def is_ahead(self, trade: Trade) -> bool:
        """Whether a trade is dated after the current trading day, whether or not the rule judges it."""
        return bool(self.current_day) and trade.trade_date > self.current_day

    def counts_early(self, trade: Trade) -> bool:
        """Whether a trade counts before its day, because it was received before the rule came."""
        return self.is_ahead(trade) and trade.received_ts < self._waits_from

    def _waits(self, trade: Trade) -> str:
        if not trade.trade_date or not self.is_ahead(trade) or trade.received_ts < self._waits_from:
            return ""
        return f"{WAITS} {trade.trade_date}"

    def reasons(self, trades: Sequence[Trade]) -> dict[int, str]:
        """The reasons for those that are kept out, by place. 0.1 us for an ordinary one."""
        limit, day = self._future_limit, self.current_day or LAST_DAY
        if self.openings:
            suspects: Iterable[int] = range(len(trades))
        else:
            suspects = [
                place
                for place, one in enumerate(trades)
                if one.value_date or one.trade_date > day or one.ts - one.received_ts > limit
            ]
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
