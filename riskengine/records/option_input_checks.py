"""Checks vols, rates and Greeks as they are sent: files, requests, frames (INTERFACE sections 5 and 10).

A loose record (`VolInput`, `RateInput`, `GreeksInput`) holds what was sent; `OptionInputCheck` turns it into the record of
`option_inputs`, or raises `Rejected` with field and reason. Vols and rates are fractions: what can only be meant in per cent is
refused. Nothing here reads a clock.
"""

import datetime as dt
import math
from collections.abc import Mapping

import msgspec

from riskengine.clock import MICROS_PER_SECOND
from riskengine.records.currency_units import MINOR_UNITS, one_spelling
from riskengine.records.fields import MAX_MAGNITUDE, MAX_TEXT, Rejected, date, excerpt, micros, name, timestamp
from riskengine.records.instrument_terms import PUSHED, known_instrument
from riskengine.records.option_inputs import (
    DISCOUNT,
    POINTS,
    RATE,
    YIELD,
    OptionInput,
    PushedGreeks,
    RateRow,
    SurfaceRow,
    Vol,
)
from riskengine.records.pairs import PAIR_KINDS, quoted_pairs
from riskengine.records.types import OPTION_KINDS, Instrument, Kind

Number = float | str | None

MAX_VOL = 5.0
"""The highest vol, a fraction: 500 %."""

MAX_RATE = 1.0
"""The highest rate or yield, a fraction, either sign: 100 % continuously compounded."""

_MOST_DELTA = 1.5
"""What no delta is beyond, either sign; times strike over spot where that is more, for the premium-adjusted ones of puts."""

LEAST_SPOT = 1e-12
"""The smallest price that is quoted; what is divided by a smaller one is no number any more."""

_WINGS = (("rr25", "bf25"), ("rr10", "bf10"))
_SURFACE = ("atm", "rr25", "bf25", "rr10", "bf10")
_DAY_US = 86_400 * MICROS_PER_SECOND
_EPOCH = dt.date(1970, 1, 1)


class VolInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A vol of one option (`instrument`, `vol`), or of a pair or underlying at one expiry (`pair`, `expiry`, `atm` and wings)."""

    instrument: str = ""
    pair: str = ""
    expiry: str = ""
    ts: int | str | None = None
    vol: Number = None
    atm: Number = None
    rr25: Number = None
    bf25: Number = None
    rr10: Number = None
    bf10: Number = None
    source: str = ""


class RateInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A point of a curve: `rate` or `df` of a `currency`, `rate` (a yield) of an `underlying`, `points` of a `pair`."""

    currency: str = ""
    underlying: str = ""
    pair: str = ""
    date: str = ""
    ts: int | str | None = None
    rate: Number = None
    df: Number = None
    points: Number = None
    source: str = ""


class GreeksInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Value and Greeks of one option from an outside model, as quoted, before the multiplier."""

    instrument: str = ""
    ts: int | str | None = None
    source: str = ""
    spot: Number = None
    vol: Number = None
    value: Number = None
    delta: Number = None
    gamma: Number = None
    vega: Number = None
    theta: Number = None


SentInput = VolInput | RateInput | GreeksInput


class OptionInputCheck:
    """Checks what is sent against the instruments of one moment. O(instruments) to make, 5 us a row."""

    def __init__(self, instruments: Mapping[str, Instrument], future_limit_s: float) -> None:
        self._instruments = instruments
        self._future_limit_s = future_limit_s
        self._pairs = {base + quote: symbol for (base, quote), symbol in quoted_pairs(instruments.values()).items()}
        codes = {code for each in instruments.values() for code in (each.currency, each.quote_currency, each.base_currency)}
        self.currencies = frozenset(MINOR_UNITS.get(code, code) for code in codes if code)
        """Currencies that can have rates."""

    def __call__(self, sent: SentInput, now: int) -> OptionInput:
        """The checked record; `now` in microseconds. Raises Rejected for the first bad field."""
        if isinstance(sent, VolInput):
            return self._vol(sent, now) if sent.instrument or not sent.pair else self._surface(sent, now)
        return self._rate(sent, now) if isinstance(sent, RateInput) else self._greeks(sent, now)

    def names_of(self, field: str) -> list[str]:
        """The known names that a field may have, for the one that comes near an unknown one."""
        if field == "currency":
            return sorted(self.currencies)
        if field == "instrument":
            return [symbol for symbol, each in self._instruments.items() if each.kind in OPTION_KINDS]
        return [symbol for symbol, each in self._instruments.items() if each.kind not in OPTION_KINDS]

    def _vol(self, sent: VolInput, now: int) -> Vol:
        if sent.pair or sent.expiry:
            raise Rejected("pair" if sent.pair else "expiry", "is of a surface, and instrument of one option: send two rows")
        for field in _SURFACE:
            if getattr(sent, field) not in (None, ""):
                raise Rejected(field, "is of a surface: it has pair and expiry instead of instrument")
        option = self._option(sent.instrument, now)
        return Vol(option.instrument, self._ts(sent.ts, now), _vol(sent.vol, "vol"), _source(sent.source))

    def _surface(self, sent: VolInput, now: int) -> SurfaceRow:
        if sent.vol not in (None, ""):
            raise Rejected("vol", "is of one option: a surface has atm")
        pair = self._below_options(sent.pair, "pair")
        expiry = _coming_date(sent.expiry, "expiry", now)
        ts, atm = self._ts(sent.ts, now), _vol(sent.atm, "atm")
        wings: dict[str, float | None] = {}
        for reversal, fly in _WINGS:
            wings[reversal] = rr = _difference(getattr(sent, reversal), reversal)
            wings[fly] = bf = _difference(getattr(sent, fly), fly)
            if (rr is None) != (bf is None):
                raise Rejected(reversal if rr is None else fly, "is missing: a wing has a risk reversal and a butterfly")
            if rr is not None and bf is not None and atm + bf - abs(rr) / 2 <= 0:
                raise Rejected(reversal, "takes the vol of a wing to 0 or below")
        return SurfaceRow(pair, expiry, ts, atm, **wings, source=_source(sent.source))

    def _rate(self, sent: RateInput, now: int) -> RateRow:
        subjects = [field for field in ("currency", "underlying", "pair") if getattr(sent, field)]
        if len(subjects) != 1:
            reason = (
                "is missing, as are underlying and pair" if not subjects else f"stands beside {subjects[1]}: one row says one"
            )
            raise Rejected(subjects[0] if subjects else "currency", reason)
        field = subjects[0]
        kinds = {"currency": ("rate", "df"), "underlying": ("rate",), "pair": ("points",)}[field]
        given = [column for column in ("rate", "df", "points") if getattr(sent, column) not in (None, "")]
        for column in given:
            if column not in kinds:
                raise Rejected(column, f"is not of a row with {field}, which has {' or '.join(kinds)}")
        if len(given) != 1:
            reason = f"stands beside {given[1]}: one row says one" if given else "is missing"
            raise Rejected(given[0] if given else kinds[0], reason)
        subject = self._rate_subject(sent, field)
        ends, ts = _coming_date(sent.date, "date", now), self._ts(sent.ts, now)
        kind = {"rate": YIELD if field == "underlying" else RATE, "df": DISCOUNT, "points": POINTS}[given[0]]
        value = _number(getattr(sent, given[0]), given[0])
        _check_rate(kind, value, ends, ts)
        return RateRow(subject, kind, ends, ts, value, _source(sent.source))

    def _rate_subject(self, sent: RateInput, field: str) -> str:
        if field == "currency":
            code = MINOR_UNITS.get(one_spelling(sent.currency), sent.currency)
            if code not in self.currencies:
                raise Rejected("currency", f"no instrument has the currency {excerpt(code)}", code)
            return code
        if field == "pair":
            return self._pair(sent.pair)
        symbol = self._below_options(sent.underlying, "underlying")
        if self._instruments[symbol].kind is Kind.FX:
            raise Rejected("underlying", f"{excerpt(symbol)} is a pair, whose base has rates, no yield")
        return symbol

    def _greeks(self, sent: GreeksInput, now: int) -> PushedGreeks:
        option = self._option(sent.instrument, now)
        if option.greeks != PUSHED:
            reason = f"{excerpt(option.instrument)} is valued by the model: its column greeks does not say pushed"
            raise Rejected("instrument", reason)
        spot = _number(sent.spot, "spot")
        if spot <= 0:
            raise Rejected("spot", "must be above 0")
        if spot < LEAST_SPOT:
            raise Rejected("spot", f"is below {LEAST_SPOT:g}, the smallest price")
        value = _number(sent.value, "value")
        if value < 0:
            raise Rejected("value", "must not be negative: an option is a right")
        delta, gamma, vega, theta = (_number(getattr(sent, field), field) for field in ("delta", "gamma", "vega", "theta"))
        if abs(delta) > _MOST_DELTA * max(1.0, float(option.strike) / spot):
            raise Rejected("delta", "is beyond what an option has: a delta is a fraction, 0.33 is 33 %")
        ts, vol, source = self._ts(sent.ts, now), _vol(sent.vol, "vol"), _source(sent.source)
        return PushedGreeks(option.instrument, ts, spot, vol, value, delta, gamma, vega, theta, source)

    # -- subjects ----------------------------------------------------------------------------------------------

    def _option(self, symbol: str, now: int) -> Instrument:
        instrument = known_instrument(symbol, self._instruments)
        if instrument.kind not in OPTION_KINDS:
            raise Rejected("instrument", f"{excerpt(symbol)} is of kind {instrument.kind.value}, not an option")
        if has_expired(instrument.expiry, now):
            raise Rejected("instrument", f"{excerpt(symbol)} expired on {instrument.expiry[:10]}")
        return instrument

    def _pair(self, sent: str) -> str:
        """The symbol of a pair, by its name or its two currencies (EURUSD, EUR/USD)."""
        instrument = self._instruments.get(sent)
        symbol = sent if instrument is not None else self._pairs.get(sent.replace("/", ""), "")
        if not symbol:
            raise Rejected("pair", f"unknown instrument {excerpt(sent)}", sent)
        if self._instruments[symbol].kind not in PAIR_KINDS:
            raise Rejected("pair", f"{excerpt(symbol)} is of kind {self._instruments[symbol].kind.value}, not a pair")
        return symbol

    def _below_options(self, sent: str, field: str) -> str:
        """The symbol of a pair or an underlying."""
        symbol = sent if sent in self._instruments else self._pairs.get(sent.replace("/", ""), sent)
        instrument = known_instrument(symbol, self._instruments, field)
        if instrument.kind in OPTION_KINDS or instrument.kind is Kind.FX_FORWARD:
            raise Rejected(field, f"{excerpt(symbol)} is of kind {instrument.kind.value}, not what options are on")
        return symbol

    def _ts(self, sent: int | str | None, now: int) -> int:
        ts = timestamp(sent, "ts")
        if ts > now + self._future_limit_s * MICROS_PER_SECOND:
            raise Rejected("ts", f"is more than {self._future_limit_s:g} s ahead of the clock")
        return ts


def has_expired(expiry: str, now: int) -> bool:
    """Whether an option's expiry lies behind a moment: its time, or, of a date, the end of that day (UTC)."""
    if len(expiry) > len("2026-11-21"):
        return micros(dt.datetime.fromisoformat(expiry)) < now
    return bool(expiry) and expiry < _day_text(now)


def _day_text(ts: int) -> str:
    return (_EPOCH + dt.timedelta(days=ts // _DAY_US)).isoformat()


def _coming_date(sent: str, field: str, now: int) -> str:
    if not sent:
        raise Rejected(field, "is missing")
    if date(sent, field) < _day_text(now):
        raise Rejected(field, f"is past: {sent}")
    return sent


def _check_rate(kind: str, value: float, ends: str, ts: int) -> None:
    if kind in (RATE, YIELD) and abs(value) > MAX_RATE:
        raise Rejected("rate", f"is beyond {MAX_RATE:g}: a rate is a fraction, 0.045 is 4.5 %")
    if kind != DISCOUNT:
        return
    if value <= 0:
        raise Rejected("df", "must be above 0")
    days = (dt.date.fromisoformat(ends) - _EPOCH).days - ts // _DAY_US
    if days <= 0:
        raise Rejected("date", "must be after the day of ts: a discount factor runs from that day")
    if abs(math.log(value)) * 365 / days > MAX_RATE:
        raise Rejected("df", f"stands for a rate beyond {MAX_RATE:g}: is it a rate?")


def _vol(sent: Number, field: str) -> float:
    value = _number(sent, field)
    if value <= 0:
        raise Rejected(field, "must be above 0")
    if value > MAX_VOL:
        raise Rejected(field, f"is above {MAX_VOL:g}: a vol is a fraction, 0.0825 is 8.25 %")
    return value


def _difference(sent: Number, field: str) -> float | None:
    if sent in (None, ""):
        return None
    value = _number(sent, field)
    if abs(value) > MAX_VOL:
        raise Rejected(field, f"is beyond {MAX_VOL:g}: a vol is a fraction, 0.0825 is 8.25 %")
    return value


def _number(sent: Number, field: str) -> float:
    """A double: what models compute has no fixed number of decimals."""
    if sent is None or sent == "":
        raise Rejected(field, "is missing")
    try:
        if isinstance(sent, str) and (len(sent) > MAX_TEXT or "_" in sent or not sent.isascii()):
            raise ValueError
        value = float(sent)
    except ValueError:
        raise Rejected(field, f"is not a number: {excerpt(str(sent))}") from None
    if not math.isfinite(value):
        raise Rejected(field, "is not a finite number")
    if abs(value) > MAX_MAGNITUDE:
        raise Rejected(field, "is larger than 1e15")
    return value


def _source(sent: str) -> str:
    return name(sent, "source", required=False)
