"""Checks the columns of an instrument that only options and currency pairs have: premium, exercise, cut, fixing.

Pure: raises `Rejected` with column and reason. An option that passes names its `exercise` and `premium_style`; one that names no
exercise was stored by a version that kept these columns without using them, and its price counts as per unit of the underlying.
"""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Protocol

from riskengine.records.fields import Rejected, currency, date, excerpt, fixed, name
from riskengine.records.pairs import PAIR_KINDS
from riskengine.records.premium_styles import PCT_BASE, PCT_QUOTE, PREMIUM_STYLES, QUOTE, scaled_multiplier
from riskengine.records.types import DECIMALS, FX_KINDS, OPTION_KINDS, Instrument, Kind

SETTLEMENTS = ("physical", "cash")
EXERCISES = EUROPEAN, AMERICAN = ("european", "american")
GREEKS = MODEL, PUSHED = ("model", "pushed")
BF_STYLES = ("market", "smile")
DELTA_TYPES = ("spot", "forward", "spot_pa", "forward_pa")

_OPTIONS_ONLY = ("premium_style", "cut", "exercise", "greeks")
_FX_ONLY = ("bf_style", "fixing_date", "fixing_source", "settlement_currency")
_CUT = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9] \S+", re.ASCII)
_NOT_BELOW_OPTIONS = OPTION_KINDS | FX_KINDS


class SentTerms(Protocol):
    """The columns that are checked here, as texts; empty where a row does not say."""

    base_currency: str
    quote_currency: str
    underlying: str
    option_type: str
    expiry: str
    delta_type: str
    premium_currency: str
    premium_style: str
    cut: str
    settlement: str
    exercise: str
    greeks: str
    bf_style: str
    fixing_date: str
    fixing_source: str
    settlement_currency: str


def checked_terms(sent: SentTerms, kind: Kind) -> dict[str, str]:
    """The columns with the defaults of their kind. Raises Rejected for the first that does not fit."""
    _check_columns_of(sent, kind)
    _one_of(sent.settlement, "settlement", SETTLEMENTS)
    _one_of(sent.delta_type, "delta_type", DELTA_TYPES)
    if kind is Kind.FX_FORWARD:
        _check_value_date(sent)
    terms = {
        "underlying": name(sent.underlying, "underlying", required=False),
        "option_type": name(sent.option_type, "option_type", required=False),
        "delta_type": sent.delta_type,
        "settlement": sent.settlement,
        "premium_currency": currency(sent.premium_currency, "premium_currency"),
        "bf_style": _one_of(sent.bf_style, "bf_style", BF_STYLES),
        "fixing_date": _fixing_date(sent),
        "fixing_source": name(sent.fixing_source, "fixing_source", required=False),
        "settlement_currency": currency(sent.settlement_currency, "settlement_currency"),
    }
    if kind not in OPTION_KINDS:
        return terms
    if sent.option_type not in ("call", "put"):
        raise Rejected("option_type", f"must be call or put: {excerpt(sent.option_type)}")
    if kind is Kind.EQUITY_OPTION and not sent.underlying:
        raise Rejected("underlying", "is missing: required for equity_option")
    default = AMERICAN if kind is Kind.EQUITY_OPTION else EUROPEAN
    return terms | {
        **_premium(sent, kind),
        "cut": _cut(sent.cut),
        "exercise": _one_of(sent.exercise, "exercise", EXERCISES) or default,
        "greeks": _one_of(sent.greeks, "greeks", GREEKS),
    }


def unused_style(instrument: Instrument) -> str | None:
    """Why the price of an option of an older store has another unit than its style says; None where it has not."""
    style = instrument.premium_style
    if instrument.kind not in OPTION_KINDS or instrument.exercise or style in ("", QUOTE, PCT_BASE):
        return None
    told = "its price counts as per unit of the underlying, as before the style was used"
    return f"{excerpt(style)}: {told}; load it again with the style that is meant, and --accept-changes"


def check_contract_multiplier(instrument: Instrument) -> None:
    """Refuse an option whose contract multiplier has more than eight decimals. Raises Rejected."""
    if not instrument.premium_style or not instrument.exercise:
        return
    if instrument.premium_style not in PREMIUM_STYLES:
        raise Rejected("premium_style", f"must be one of {', '.join(PREMIUM_STYLES)}: {excerpt(instrument.premium_style)}")
    if instrument.premium_style == PCT_QUOTE and fixed(instrument.strike, DECIMALS, "strike") <= 0:
        raise Rejected("strike", "must be above 0")
    terms = (instrument.premium_style, instrument.quote_currency, instrument.strike)
    if scaled_multiplier(instrument.multiplier, *terms) is None:
        raise Rejected("multiplier", f"x the unit of a price in {instrument.premium_style} has more than 8 decimals")


def known_instrument(symbol: str, instruments: Mapping[str, Instrument], field: str = "instrument") -> Instrument:
    """The instrument that a field names. Raises Rejected where it is missing or unknown."""
    instrument = instruments.get(symbol)
    if instrument is None:
        raise Rejected(field, f"unknown instrument {excerpt(symbol)}" if symbol else "is missing", symbol)
    return instrument


def check_underlying(instrument: Instrument, known: Mapping[str, Instrument]) -> None:
    """Check that an option names an instrument that there is and that can be below it. Raises Rejected.

    An option on a pair need not name it: the pair is found by its currencies.
    """
    symbol = instrument.underlying
    if instrument.kind not in OPTION_KINDS or not symbol:
        return
    below = known_instrument(symbol, known, "underlying")
    if instrument.kind is Kind.EQUITY_OPTION:
        if below.kind in _NOT_BELOW_OPTIONS:
            raise Rejected("underlying", f"{excerpt(symbol)} is of kind {below.kind.value}, and an equity option is on a share")
        if below.quote_currency != instrument.quote_currency:
            told = f"{excerpt(symbol)} is quoted in {below.quote_currency}, the option in {instrument.quote_currency}"
            raise Rejected("underlying", f"{told}: strike and price are in one currency")
    elif below.kind not in PAIR_KINDS:
        raise Rejected("underlying", f"{excerpt(symbol)} is of kind {below.kind.value}, and an fx option is on a pair")
    elif (below.base_currency, below.quote_currency) != (instrument.base_currency, instrument.quote_currency):
        pair = f"{instrument.base_currency} and {instrument.quote_currency}"
        raise Rejected("underlying", f"{excerpt(symbol)} is another pair than {pair}")


def _check_columns_of(sent: SentTerms, kind: Kind) -> None:
    """Refuse a column of another kind: what it says would have no effect."""
    for field in _OPTIONS_ONLY if kind not in OPTION_KINDS else ():
        if getattr(sent, field):
            raise Rejected(field, f"is of options, not of {kind.value}")
    for field in _FX_ONLY if kind not in FX_KINDS and kind is not Kind.METAL else ():
        if getattr(sent, field):
            raise Rejected(field, f"is of currency pairs, not of {kind.value}")


def _check_value_date(sent: SentTerms) -> None:
    if not sent.expiry:
        raise Rejected("expiry", "is missing: a forward's expiry is its value date")
    date(sent.expiry, "expiry")


def _fixing_date(sent: SentTerms) -> str:
    fixing = date(sent.fixing_date, "fixing_date")
    if fixing and not sent.settlement_currency:
        raise Rejected("settlement_currency", "is missing: what is fixed is paid in one currency")
    if fixing and sent.expiry and fixing > sent.expiry[:10]:
        raise Rejected("fixing_date", f"is after the value date {sent.expiry[:10]}")
    return fixing


def _premium(sent: SentTerms, kind: Kind) -> dict[str, str]:
    """Style and currency of the premium, each set by the other where only one is said."""
    style = _one_of(sent.premium_style, "premium_style", PREMIUM_STYLES)
    base, quote = sent.base_currency, sent.quote_currency
    paid_in = currency(sent.premium_currency, "premium_currency")
    if kind is Kind.EQUITY_OPTION and style not in ("", QUOTE):
        raise Rejected("premium_style", f"must be {QUOTE} for {kind.value}: {excerpt(style)}")
    if not style:
        style = PCT_BASE if paid_in and paid_in == base else QUOTE
    due = base if style == PCT_BASE else currency(quote, "quote_currency")
    if paid_in and paid_in != due:
        raise Rejected("premium_currency", f"is {paid_in}, and a price in {style} is paid in {due}")
    return {"premium_style": style, "premium_currency": due if style == PCT_BASE else paid_in}


def _cut(value: str) -> str:
    if not value:
        return value
    if not _CUT.fullmatch(value):
        raise Rejected("cut", f"must be a time and a zone, such as 10:00 America/New_York: {excerpt(value)}")
    zone = value.partition(" ")[2]
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Rejected("cut", f"{excerpt(zone)} is no zone of the tz database") from None
    return value


def _one_of(value: str, field: str, words: tuple[str, ...]) -> str:
    if value and value not in words:
        raise Rejected(field, f"must be one of {', '.join(words)}: {excerpt(value)}")
    return value
