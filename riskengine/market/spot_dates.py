"""Spot dates, and the verdict on a value date: whether it is the spot date of its pair (ACCOUNTING sections 2 and 8).

On any other date such a trade is a forward, unless no market pays on that date; that is judged by facts of the same kind.

The verdict is given once. When the first trade of a pair and a trade date comes, its spot date is worked out from the calendars
of that moment and stored (`SpotFact`); it judges all trades of that pair and date from then on, whatever a newer library or a
loaded calendar says. If calendars change their mind, a new fact judges the trades that are received afterwards; the earlier ones
that it would judge otherwise are listed (`SpotDates.newest_spot`) and stay as they are.

A trade date is the date that the trade names, else that of its moment: by the engine's boundary, and for a pair with the New
Zealand dollar from 07:00 in Auckland on; never a Saturday, Sunday, 25 December or 1 January. No loaded calendar moves it.

Trades received before a store knew this rule count as they did: two weekdays (USDCAD and its like: one) and four days of grace.
"""

import datetime as dt
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import EngineConfig
from riskengine.market.calendars import Calendars
from riskengine.market.trading_day import TradingDay
from riskengine.records.calendars import CalendarState, SpotFact
from riskengine.records.types import Instrument, Kind, Trade

NEXT_DAY_CURRENCIES = frozenset({"CAD", "TRY", "PHP", "RUB"})
"""Currencies that settle one business day after the trade against the dollar; all others settle after two."""

STRICT_CURRENCIES = frozenset({"ARS", "CLP", "MXN"})
"""Currencies for which a dollar holiday on the first of the two days counts."""

_DOLLAR = "USD"
_DAY = dt.timedelta(days=1)
_SATURDAY = 5
_MINUTE = 60 * MICROS_PER_SECOND
_MINUTES_KEPT = 100_000

Pair = tuple[str, str, str]
"""Base, quote and trade date (or PAYS and a value date): what a fact is about."""


def spot_date(traded: dt.date, base: str, quote: str, calendars: Calendars) -> dt.date:
    """The spot date of a pair dealt on `traded`. 4 us where the days are known.

    Against the dollar: two days (CAD, TRY, PHP, RUB: one) that are good in the other currency, of which the last must be good in
    the dollar too; a dollar holiday on the first counts only against ARS, CLP and MXN. A cross has the later of its dollar legs,
    or the first day from there on that is good in both and in the dollar. The order of the pair does not matter.
    """
    legs = [currency for currency in (base, quote) if currency != _DOLLAR]
    good = calendars.is_business_day
    day = max((_dollar_leg(traded, currency, calendars) for currency in legs), default=traded)
    while not all(good(currency, day) for currency in (*legs, _DOLLAR)):
        day += _DAY
    return day


def _dollar_leg(traded: dt.date, currency: str, calendars: Calendars) -> dt.date:
    good = calendars.is_business_day
    day = traded
    if currency not in NEXT_DAY_CURRENCIES:
        day += _DAY
        while not (good(currency, day) and (currency not in STRICT_CURRENCIES or good(_DOLLAR, day))):
            day += _DAY
    day += _DAY
    while not (good(currency, day) and good(_DOLLAR, day)):
        day += _DAY
    return day


# -- the rule of before ------------------------------------------------------------------------------------------

GRACE = dt.timedelta(days=4)
"""How far beyond the weekday rule a value date could lie, because holidays push it."""

_OLD_NEXT_DAY_PAIRS = frozenset(("USD", currency) for currency in NEXT_DAY_CURRENCIES)


def weekday_spot_date(traded: dt.date, base: str, quote: str) -> dt.date:
    """The spot date by weekdays alone, the rule of stores that are older than calendars."""
    left = 1 if (base, quote) in _OLD_NEXT_DAY_PAIRS else 2
    day = traded
    while left:
        day += _DAY
        left -= day.weekday() < _SATURDAY
    return day


# -- trade dates -------------------------------------------------------------------------------------------------


class TradeDates:
    """The trade date of a moment, as the market counts it. 0.2 us for a minute that was asked for before."""

    def __init__(self, config: EngineConfig) -> None:
        self._day = TradingDay.of(config)
        self._auckland = TradingDay("07:00", "Pacific/Auckland")
        self._known: dict[tuple[int, bool], str] = {}

    def of(self, ts: int, base: str, quote: str) -> str:
        """The date (YYYY-MM-DD) on which a pair was dealt at `ts`."""
        key = (ts // _MINUTE, "NZD" in (base, quote))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MINUTES_KEPT:
                self._known.clear()
            found = self._known[key] = self._work_out(ts, rolls_in_auckland=key[1]).isoformat()
        return found

    def _work_out(self, ts: int, *, rolls_in_auckland: bool) -> dt.date:
        if not rolls_in_auckland:
            return self._day.date_of(ts)
        begun = self._auckland.last_boundary(ts)  # at 07:00 of a date that date begins, where elsewhere a boundary ends one
        return begun if self._auckland.is_business_day(begun) else self._auckland.next(begun)

    def by_weekdays(self, ts: int) -> dt.date:
        """The trade date by the rule of older stores: weekdays alone."""
        day = self._day.last_boundary(ts) + _DAY
        while day.weekday() >= _SATURDAY:
            day += _DAY
        return day


# -- verdicts ----------------------------------------------------------------------------------------------------


class SpotVerdict(NamedTuple):
    """Whether a value date is the spot date `spot` of its trade; `grace` says that the rule of older stores let it be later."""

    is_spot: bool
    spot: str
    grace: bool = False


class IntendedDate(NamedTuple):
    """A value date of a trade to come: spot, a day on which no market pays (`no_market` says why), or a forward's."""

    is_spot: bool = False
    no_market: str = ""


PAYS = "pays "
"""In a fact that says whether a pair pays on a date, stands before the date in the place of a trade date."""


def _payment(pair: Instrument, date: str) -> Pair:
    return pair.base_currency, pair.quote_currency, PAYS + date


def _work_out(pair: Pair, calendars: Calendars) -> str:
    """What calendars say of a pair: its spot date; of a payment the currencies in which its date is a holiday, "" if in none."""
    base, quote, traded = pair
    if not traded.startswith(PAYS):
        return spot_date(dt.date.fromisoformat(traded), base, quote, calendars).isoformat()
    date = dt.date.fromisoformat(traded.removeprefix(PAYS))
    return " and ".join(code for code in (base, quote) if not calendars.is_business_day(code, date))


class SpotDates:
    """Judges value dates: by stored facts, and by calendars where there is none yet. Any thread.

    `exact_since`: trades received before that moment count by the rule of older stores. `calendars` are those by which new facts
    are made; the owner replaces them.
    """

    def __init__(self, calendars: Calendars, config: EngineConfig, facts: Iterable[SpotFact] = (), exact_since: int = 0) -> None:
        self.calendars = calendars
        self._dates = TradeDates(config)
        self.exact_since = exact_since
        self._facts: dict[Pair, tuple[SpotFact, ...]] = {}
        self._unsaved: dict[Pair, SpotFact] = {}
        self._lock = threading.Lock()
        self._minds_changed = False
        self.adopt(facts)

    @classmethod
    def of(cls, state: CalendarState, config: EngineConfig) -> "SpotDates":
        """What judges value dates, as a store has it."""
        return cls(Calendars(state.entries), config, state.facts, state.exact_since)

    @property
    def may_differ(self) -> bool:
        """Whether there may be trades that today's calendars judge otherwise than the fact that counts."""
        return self._minds_changed or bool(self.exact_since)

    def adopt(self, facts: Iterable[SpotFact]) -> bool:
        """Take facts as the store has them: the stored word counts. Whether a known spot date is another one now."""
        taken: dict[Pair, list[SpotFact]] = {}
        is_changed = False
        for fact in facts:
            taken.setdefault((fact.base, fact.quote, fact.traded), []).append(fact)
        with self._lock:
            for pair, known in taken.items():
                known.sort(key=lambda one: one.since_ts)
                is_changed = is_changed or self._facts.get(pair, (known[-1],))[-1].spot != known[-1].spot
                self._facts[pair] = tuple(known)
                self._unsaved.pop(pair, None)
                self._minds_changed = self._minds_changed or len(known) > 1
        return is_changed

    def unsaved(self) -> list[SpotFact]:
        """The facts that no store has yet: save them, and `adopt` what is stored then."""
        with self._lock:
            return list(self._unsaved.values())

    def prepare(self, trades: Iterable[Trade], instruments: Mapping[str, Instrument]) -> list[SpotFact]:
        """Work out the spot dates that these trades need; returns what no store has yet. 0.1 us a trade without a value date."""
        for trade in trades:
            if trade.value_date and trade.action != "cancel":
                instrument = instruments.get(trade.instrument)
                if instrument is not None and instrument.kind is Kind.FX:
                    facts = self._of(self._pair(trade, instrument))
                    if all(trade.value_date != fact.spot for fact in facts):
                        self._of(_payment(instrument, trade.value_date))
        return self.unsaved() if self._unsaved else []

    def verdict(self, trade: Trade, instrument: Instrument) -> SpotVerdict:
        """The verdict that counts on the value date of a trade on a spot pair. 1 us."""
        if trade.received_ts < self.exact_since:
            return self._older_verdict(trade, instrument)
        fact = self._in_force(self._of(self._pair(trade, instrument)), trade)
        return SpotVerdict(trade.value_date == fact.spot, fact.spot)

    def _in_force(self, facts: Sequence[SpotFact], trade: Trade) -> SpotFact:
        """The fact that judges a trade: the newest of those that were there when it was received."""
        fact = facts[0]
        for later in facts[1:]:
            if trade.received_ts >= later.since_ts:
                fact = later
        return fact

    def no_market_date(self, trade: Trade, pair: Instrument) -> str:
        """Why no market pays a trade on its value date: a weekend, a holiday, or before the trade; "" where one does. 2 us.

        A pair pays on days that are good in both its currencies. The date of the trade is its own, or that of its moment.
        """
        date = dt.date.fromisoformat(trade.value_date)
        _, _, traded = self._pair(trade, pair)
        if trade.value_date < traded:
            return f"is before the trade ({traded})"
        if date.weekday() >= _SATURDAY:
            return f"is a {date:%A}"
        shut = self._in_force(self._of(_payment(pair, trade.value_date)), trade).spot
        return f"is a holiday in {shut}" if shut else ""

    def spot_of_day(self, pair: Instrument, traded: str) -> str:
        """The spot date of a pair dealt on a day (YYYY-MM-DD), by the first fact: whatever calendars say later. 0.3 us."""
        return self._of((pair.base_currency, pair.quote_currency, traded))[0].spot

    def spot_at(self, pair: Instrument, ts: int) -> tuple[str, str]:
        """Trade date and spot date of a pair that is dealt at a moment, by the newest fact or else by calendars. 5 us.

        It makes no fact: the first trade of the day does.
        """
        base, quote = pair.base_currency, pair.quote_currency
        dealt = (base, quote, self._dates.of(ts, base, quote))
        facts = self._facts.get(dealt)
        return dealt[2], facts[-1].spot if facts else _work_out(dealt, self.calendars)

    def of_intended(self, trade: Trade, pair: Instrument) -> IntendedDate:
        """How the value date of a trade to come would be judged if it were booked now. 10 us.

        It makes no fact: the trade does, once it is booked.
        """
        dealt, paid = self._pair(trade, pair), _payment(pair, trade.value_date)
        date = dt.date.fromisoformat(trade.value_date)
        if trade.value_date == self._newest(dealt):
            return IntendedDate(is_spot=True)
        if trade.value_date < dealt[2]:
            return IntendedDate(no_market=f"is before the trade ({dealt[2]})")
        if date.weekday() >= _SATURDAY:
            return IntendedDate(no_market=f"is a {date:%A}")
        shut = self._newest(paid)
        return IntendedDate(no_market=f"is a holiday in {shut}" if shut else "")

    def intended_spot(self, pair: Instrument, traded: str) -> str:
        """The spot date of a pair that would be dealt on a day (YYYY-MM-DD). It makes no fact. 5 us."""
        return self._newest((pair.base_currency, pair.quote_currency, traded))

    def _newest(self, pair: Pair) -> str:
        facts = self._facts.get(pair)
        return facts[-1].spot if facts else _work_out(pair, self.calendars)

    def trade_date(self, trade: Trade, pair: Instrument) -> str:
        """The date on which the market counts a trade on a pair as dealt. 0.3 us."""
        return self._pair(trade, pair)[2]

    def newest_spot(self, trade: Trade, instrument: Instrument) -> str:
        """The spot date of the pair and date of a trade by the newest calendars, whatever counts. 1 us."""
        return self._of(self._pair(trade, instrument))[-1].spot

    def every_verdict(self, instrument: Instrument, ts: int, value_date: str, trade_date: str) -> set[bool]:
        """The verdicts on a value date, whenever the trade was received: one of them, or both."""
        trade = Trade("", "", ts=ts, instrument=instrument.instrument, value_date=value_date, trade_date=trade_date)
        found = {value_date == fact.spot for fact in self._of(self._pair(trade, instrument))}
        return found | {self._older_verdict(trade, instrument).is_spot} if self.exact_since else found

    def _pair(self, trade: Trade, instrument: Instrument) -> Pair:
        base, quote = instrument.base_currency, instrument.quote_currency
        return base, quote, trade.trade_date or self._dates.of(trade.ts, base, quote)

    def _of(self, pair: Pair) -> tuple[SpotFact, ...]:
        facts = self._facts.get(pair)
        if facts is None:
            base, quote, traded = pair
            with self._lock:
                said = _work_out(pair, self.calendars)
                facts = self._facts.get(pair)
                if facts is None:
                    first = SpotFact(base, quote, traded, 0, said)
                    facts = self._facts[pair] = (first,)
                    self._unsaved[pair] = first
        return facts

    def _older_verdict(self, trade: Trade, instrument: Instrument) -> SpotVerdict:
        traded = dt.date.fromisoformat(trade.trade_date) if trade.trade_date else self._dates.by_weekdays(trade.ts)
        spot = weekday_spot_date(traded, instrument.base_currency, instrument.quote_currency)
        value = dt.date.fromisoformat(trade.value_date)
        return SpotVerdict(spot <= value <= spot + GRACE, spot.isoformat(), True)

    def changed_facts(self, since_ts: int = 0) -> list[SpotFact]:
        """The facts that the calendars would make otherwise, for trades received from `since_ts` on. 5 us a fact."""
        calendars = self.calendars
        with self._lock:
            newest = [facts[-1] for facts in self._facts.values()]
        found = []
        for known in newest:
            spot = _work_out((known.base, known.quote, known.traded), calendars)
            if spot != known.spot:
                found.append(SpotFact(known.base, known.quote, known.traded, max(since_ts, known.since_ts + 1), spot))
        return found


def described(facts: Sequence[SpotFact], named: int = 3) -> str:
    """Facts in words, the first few by name: for a message about what calendars would change."""
    first = ", ".join(f"{one.base}{one.quote} of {one.traded} to {one.spot or 'yes'}" for one in facts[:named])
    return first + (f" and {len(facts) - named:,} more" if len(facts) > named else "")


def text_of_changes(facts: Sequence[SpotFact]) -> str:
    """What changed calendars mean for the trades that came before, for people."""
    return (
        f"{len(facts):,} spot dates that have judged trades are others by the calendars of today: {described(facts)}."
        " They judge the trades that come from now on; earlier ones keep their verdict, and those that would be judged otherwise"
        " are listed (riskengine exceptions --kind older_rule, --kind quarantined)"
    )
