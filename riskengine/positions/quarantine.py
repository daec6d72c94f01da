"""Keeps trades out of the positions: until a person lets them in, or until their day comes. Tells spot trades from forwards.

A person decides about times, opening balances, trades in an option of after its cut, and value dates on which no market pays. A
trade whose `trade_date` is after the current trading day waits for that day. A trade on a pair to any other date than its spot
date is a forward (`place`).

The rules of ACCOUNTING sections 2 and 8. Pure: every decision follows from stored facts and the current trading day alone, so a
replay on the same day decides the same.
"""

from collections.abc import Iterable, Mapping, Sequence

from riskengine.clock import MICROS_PER_SECOND, utc_text
from riskengine.config import EngineConfig
from riskengine.market.calendars import Calendars
from riskengine.market.option_cuts import NEVER as NO_CUT
from riskengine.market.option_cuts import last_dealt
from riskengine.market.spot_dates import SpotDates
from riskengine.market.trading_day import TradingDay
from riskengine.positions.processed import exception_id
from riskengine.records.forwards import placed, unplaced
from riskengine.records.rules import FORWARDS_COUNT, NO_STARTS, OPTION_CUTS, TRADE_DATE_WAITS, RuleStarts
from riskengine.records.types import EXERCISE_SOURCE, OPTION_KINDS, Instrument, Kind, Opening, Trade

WAITS = "waits for its trade_date"
"""How the reason begins of a trade that is kept out until its day comes."""

NEVER = 2**63
"""After every received_ts."""

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
        # A store that has rules and not this one is read as the version before forwards left it, for a copy before an upgrade.
        self._forwards_from = rule_starts.get(FORWARDS_COUNT, NEVER if rule_starts else 0)
        self._cuts_from = rule_starts.get(OPTION_CUTS, NEVER if rule_starts else 0)
        self._trading_day = TradingDay.of(config)
        self._last_dealt: dict[str, int] = {}
        self._has_options = any(each.kind in OPTION_KINDS for each in instruments.values())
        self.current_day = current_day
        self._future_limit = int(config.future_limit_s * MICROS_PER_SECOND)
        self.spot_dates = SpotDates(Calendars(), config) if spot_dates is None else spot_dates
        self.openings: dict[tuple[str, str, str], int] = {}
        self.accepted: set[str] = set()

    def open_with(self, opening: Opening) -> None:
        """Keep out trades of this key from before the balance: they are part of it already."""
        key = (opening.desk, opening.dealer, opening.instrument)
        self.openings[key] = max(opening.ts, self.openings.get(key, 0))

    def note_verdict(self, item: str, verdict: str) -> None:
        """What a person decided about an exception, `accept`, `reject`, or "" for nothing any more. O(1)."""
        (self.accepted.add if verdict == "accept" else self.accepted.discard)(item)

    def reason(self, trade: Trade) -> str:
        """Why a trade is kept out, or "" if it may take part. 0.1 us for an ordinary one."""
        if trade.ts - trade.received_ts > self._future_limit:
            reason = f"ts is more than {self._future_limit // MICROS_PER_SECOND} s after it was received"
            return self._unless_accepted(trade, reason) or self._waits(trade)
        if self.openings:
            opened = self.openings.get((trade.desk, trade.dealer, trade.instrument))
            if opened is not None and trade.ts < opened and trade.action != "cancel":
                return self._unless_accepted(trade, "ts is before the opening balance of its position") or self._waits(trade)
        if self._has_options and trade.received_ts >= self._cuts_from and (reason := self.after_cut(trade)):
            return self._unless_accepted(trade, reason) or self._waits(trade)
        if trade.value_date and trade.action != "cancel":
            reason = self._no_market_date(trade)
            return (self._unless_accepted(trade, reason) if reason else "") or self._waits(trade)
        return self._waits(trade)

    def is_ahead(self, trade: Trade) -> bool:
        """Whether a trade is dated after the current trading day, whether or not the rule judges it."""
        return bool(self.current_day) and trade.trade_date > self.current_day

    def counts_early(self, trade: Trade) -> bool:
        """Whether a trade counts before its day, because it was received before the rule came."""
        return self.is_ahead(trade) and trade.received_ts < self._waits_from

    # -- options -----------------------------------------------------------------------------------------------

    def last_dealt(self, symbol: str) -> int:
        """The last moment of which a trade in an instrument can be, microseconds. 0.05 us once it is known."""
        found = self._last_dealt.get(symbol)
        if found is None:
            instrument = self._instruments.get(symbol)
            found = NO_CUT if instrument is None else last_dealt(instrument, self._trading_day)
            self._last_dealt[symbol] = found
        return found

    def _last_of(self, trades: Sequence[Trade]) -> Mapping[str, int]:
        for symbol in {one.instrument for one in trades}:
            self.last_dealt(symbol)
        return self._last_dealt

    def after_cut(self, trade: Trade) -> str:
        """Why a trade is dated too late for its option, whether or not the rule judges it; "" of the engine's own bookings."""
        if trade.ts <= self.last_dealt(trade.instrument) or trade.action == "cancel" or trade.source == EXERCISE_SOURCE:
            return ""
        expired = f"{trade.instrument} had expired ({utc_text(self.last_dealt(trade.instrument))})"
        return f"ts is after its option's cut: {expired}; what books an exercise or an assignment is dated at the cut"

    def older_after_cut(self, trade: Trade) -> str:
        """Why a trade would be kept out for its option's cut, if it had not been received before that rule came; ""."""
        return self.after_cut(trade) if self._has_options and trade.received_ts < self._cuts_from else ""

    # -- days --------------------------------------------------------------------------------------------------

    def _waits(self, trade: Trade) -> str:
        if not trade.trade_date or not self.is_ahead(trade) or trade.received_ts < self._waits_from:
            return ""
        return f"{WAITS} {trade.trade_date}"

    def reasons(self, trades: Sequence[Trade]) -> dict[int, str]:
        """The reasons for those that are kept out, by place. 0.1 us for an ordinary one."""
        limit, day = self._future_limit, self.current_day or LAST_DAY
        last = self._last_of(trades) if self._has_options else None
        if self.openings:
            suspects: Iterable[int] = range(len(trades))
        elif last is not None:
            suspects = [
                place
                for place, one in enumerate(trades)
                if one.value_date or one.trade_date > day or one.ts - one.received_ts > limit or one.ts > last[one.instrument]
            ]
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

    # -- value dates -------------------------------------------------------------------------------------------

    def place(self, trade: Trade) -> Trade:
        """The trade in the instrument whose position it belongs to: its pair, or the forward to its value date (`placed`).

        A person who accepted it accepted it as spot. A trade that has been placed before is placed anew. 3 us with a value date,
        0.1 us without.
        """
        if not trade.value_date or trade.action == "cancel":
            return trade
        sent = unplaced(trade)
        instrument = self._instruments.get(sent.instrument)
        if instrument is None or instrument.kind is not Kind.FX or self._is_spot(sent, instrument):
            return sent
        return sent if self._no_market_date(sent) else placed(sent)

    def _is_spot(self, trade: Trade, pair: Instrument) -> bool:
        return self.spot_dates.verdict(trade, pair).is_spot or self.is_accepted(trade)

    def is_accepted(self, trade: Trade) -> bool:
        """Whether a person let this version of a trade in: its value date then counts as spot. O(1)."""
        return bool(self.accepted) and exception_id("quarantined", trade) in self.accepted

    def _no_market_date(self, trade: Trade) -> str:
        """Why nothing is paid on the value date of a trade on a pair: it was no day of the market, or before the trade; or "".

        A date that counts as spot is one, whatever the calendars of today say.
        """
        sent = unplaced(trade)
        instrument = self._instruments.get(sent.instrument)
        if instrument is None or instrument.kind is not Kind.FX or self.spot_dates.verdict(sent, instrument).is_spot:
            return ""
        fault = self.spot_dates.no_market_date(sent, instrument)
        if not fault and sent.received_ts < self._forwards_from:
            spot = self.spot_dates.verdict(sent, instrument).spot
            kept_out = "was kept out before forwards were valued, and stays out"
            return (
                f"value_date {sent.value_date} is not spot ({spot}): it {kept_out}; an amend that is sent now counts as a forward"
            )
        return f"value_date {sent.value_date} {fault}" if fault else ""

    def outdated_spot(self, trade: Trade) -> str | None:
        """Why the calendars of today would judge a value date that counts otherwise; None where they agree. 2 us."""
        sent = unplaced(trade)
        instrument = self._instruments.get(sent.instrument)
        if not sent.value_date or sent.action == "cancel" or instrument is None or instrument.kind is not Kind.FX:
            return None
        newest = self.spot_dates.newest_spot(sent, instrument)
        is_spot, spot, _ = self.spot_dates.verdict(sent, instrument)
        if (sent.value_date == newest) == is_spot:
            return None
        if is_spot:
            return f"{sent.value_date} was spot by the calendars of its time, and counts; by those of today spot is {newest}"
        counted = f"{sent.value_date} was not spot ({spot}) by the calendars of its time, and is a forward"
        return f"{counted}; by those of today it is spot"
