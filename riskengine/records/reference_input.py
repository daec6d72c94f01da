"""Checks reference data and prices from files: nodes, instruments, opening balances, closes and marks.

A loose record (`*Input`) holds a row of a file; `check_*` turns it into the frozen record of `types` or raises `Rejected`.
`hierarchy` checks that the nodes form a tree.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from riskengine.records.currency_units import AS_THEY_ARE, PriceUnits, move_quote, places_between, quoted_places
from riskengine.records.fields import Rejected, currency, date, excerpt, fixed, integer, name, quote, timestamp, to_text
from riskengine.records.instrument_terms import check_contract_multiplier, checked_terms, known_instrument
from riskengine.records.types import (
    DECIMALS,
    FX_KINDS,
    MULTIPLIER_DECIMALS,
    OPTION_KINDS,
    WORTHLESS_KINDS,
    Close,
    Instrument,
    Kind,
    Node,
    Opening,
    StoredMark,
    small_lot,
)

_KINDS = {kind.value: kind for kind in Kind}


class NodeInput(msgspec.Struct, kw_only=True):
    """A row of a nodes file."""

    node: str
    level: str = ""
    parent: str = ""


class InstrumentInput(msgspec.Struct, kw_only=True):
    """A row of an instruments file."""

    instrument: str
    kind: str
    quote_currency: str
    base_currency: str = ""
    price_decimals: int = 5
    quantity_decimals: int = 2
    multiplier: Decimal = Decimal(1)
    sector: str = ""
    underlying: str = ""
    option_type: str = ""
    strike: Decimal | None = None
    expiry: str = ""
    delta_type: str = ""
    calendar: str = ""
    premium_currency: str = ""
    premium_style: str = ""
    cut: str = ""
    settlement: str = ""
    exercise: str = ""
    greeks: str = ""
    bf_style: str = ""
    fixing_date: str = ""
    fixing_source: str = ""
    settlement_currency: str = ""


class OpeningInput(msgspec.Struct, kw_only=True):
    """A row of a positions (opening balances) file."""

    desk: str
    instrument: str
    ts: int | str
    quantity: Decimal
    dealer: str = ""
    average_price: Decimal | None = None
    realised: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)


class CloseInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A row of a closes file, or a posted close. `source` and `currency` say in which unit its price is; they are not stored."""

    date: str
    instrument: str
    price: float | str
    source: str = "file"
    currency: str = ""


class MarkInput(msgspec.Struct, kw_only=True):
    """A row of a marks file. `currency` says in which unit its price is; it is not stored."""

    instrument: str
    ts: int | str
    price: float | str
    source: str = "file"
    currency: str = ""


def check_node(sent: NodeInput) -> Node:
    """A node with valid names. Raises Rejected."""
    if sent.parent and sent.parent == sent.node:
        raise Rejected("parent", f"{excerpt(sent.node)} is its own parent")
    return Node(
        node=name(sent.node, "node"),
        level=name(sent.level, "level", required=False),
        parent=name(sent.parent, "parent", required=False),
    )


def check_instrument(sent: InstrumentInput) -> Instrument:
    """An instrument whose columns fit its kind; whether its underlying is known the caller checks. Raises Rejected."""
    kind = _KINDS.get(sent.kind)
    if kind is None:
        raise Rejected("kind", f"must be one of {', '.join(_KINDS)}: {excerpt(sent.kind)}")
    _check_against_kind(sent, kind)
    multiplier = fixed(sent.multiplier, MULTIPLIER_DECIMALS, "multiplier") // 10 ** (DECIMALS - MULTIPLIER_DECIMALS)
    if multiplier <= 0:
        raise Rejected("multiplier", "must be above 0")
    if (reason := small_lot(kind, multiplier)) is not None:
        raise Rejected("multiplier", reason)
    instrument = Instrument(
        instrument=name(sent.instrument, "instrument"),
        kind=kind,
        base_currency=currency(sent.base_currency, "base_currency"),
        quote_currency=currency(sent.quote_currency, "quote_currency"),
        price_decimals=integer(sent.price_decimals, "price_decimals", 0, 12),
        quantity_decimals=integer(sent.quantity_decimals, "quantity_decimals", 0, DECIMALS),
        multiplier=multiplier,
        strike=_strike(sent.strike),
        expiry=_expiry(sent.expiry),
        sector=name(sent.sector, "sector", required=False),
        calendar=name(sent.calendar, "calendar", required=False),
        **checked_terms(sent, kind),
    )
    check_contract_multiplier(instrument)
    return instrument


def _check_against_kind(sent: InstrumentInput, kind: Kind) -> None:
    if kind in FX_KINDS and not sent.base_currency:
        raise Rejected("base_currency", f"is missing: required for {kind.value}")
    if kind in FX_KINDS and sent.base_currency == sent.quote_currency:
        raise Rejected("base_currency", "is the same as quote_currency")
    if not sent.quote_currency:
        raise Rejected("quote_currency", "is missing")
    if (kind in OPTION_KINDS or kind is Kind.FUTURE) and not sent.expiry:
        raise Rejected("expiry", f"is missing: required for {kind.value}")
    if kind in OPTION_KINDS and sent.strike is None:
        raise Rejected("strike", f"is missing: required for {kind.value}")


def _strike(value: Decimal | None) -> str:
    """The shortest text of a strike, so that 1.10 and 1.1 are one instrument."""
    if value is None:
        return ""
    units = fixed(value, DECIMALS, "strike")
    if units <= 0:
        raise Rejected("strike", "must be above 0")
    return to_text(units)


def _expiry(value: str) -> str:
    """A date, a moment with its offset from UTC, or empty."""
    if len(value) <= len("2026-11-21"):
        return date(value, "expiry")
    date(value[:10], "expiry")
    timestamp(value, "expiry")
    return value


def check_opening(sent: OpeningInput, instruments: Mapping[str, Instrument]) -> Opening:
    """An opening balance of a known instrument. The caller checks the desk. Raises Rejected."""
    instrument = known_instrument(sent.instrument, instruments)
    quantity = fixed(sent.quantity, instrument.quantity_decimals, "quantity")
    if quantity and sent.average_price is None:
        raise Rejected("average_price", "is missing: required unless quantity is 0")
    average_price = 0 if sent.average_price is None else fixed(sent.average_price, DECIMALS, "average_price")
    if average_price < 0 and instrument.kind is not Kind.FUTURE:
        raise Rejected("average_price", "must not be negative")
    return Opening(
        desk=name(sent.desk, "desk"),
        dealer=name(sent.dealer, "dealer", required=False),
        instrument=sent.instrument,
        ts=timestamp(sent.ts, "ts"),
        quantity=quantity,
        average_price=average_price,
        realised=fixed(sent.realised, DECIMALS, "realised"),
        fees=fixed(sent.fees, DECIMALS, "fees"),
    )


def check_close(sent: CloseInput, instruments: Mapping[str, Instrument], units: PriceUnits = AS_THEY_ARE) -> Close:
    """A closing price of a known instrument. `units` as for `check_mark`. Raises Rejected."""
    instrument = known_instrument(sent.instrument, instruments)
    if not sent.date:
        raise Rejected("date", "is missing")
    return Close(date(sent.date, "date"), instrument.instrument, _mark_price(_in_own_unit(sent, instrument, units), instrument))


def check_mark(sent: MarkInput, instruments: Mapping[str, Instrument], units: PriceUnits = AS_THEY_ARE) -> StoredMark:
    """A mark of a known instrument. `units` are those of sources that quote in another unit than the instrument's.

    Raises Rejected.
    """
    instrument = known_instrument(sent.instrument, instruments)
    return StoredMark(
        instrument=instrument.instrument,
        ts=timestamp(sent.ts, "ts"),
        price=_mark_price(_in_own_unit(sent, instrument, units), instrument),
        source=name(sent.source, "source", required=False),
    )


def _in_own_unit(sent: CloseInput | MarkInput, instrument: Instrument, units: PriceUnits) -> float | str:
    """The price in the instrument's cash currency: from the unit that the row names, else from that of its source."""
    if sent.currency:
        places = places_between(sent.currency, instrument.currency)
        if places is None:
            reason = f"is {excerpt(sent.currency)}, and {instrument.instrument} is dealt in {instrument.currency}"
            raise Rejected("currency", reason)
    else:
        places = quoted_places(units, sent.source, instrument.currency)
    moved = move_quote(sent.price, places) if places else sent.price
    return "" if moved is None else moved


def _mark_price(value: float | str, instrument: Instrument) -> float:
    """A mark or a close: of a future any number, above 0 for what cannot become worthless, else 0 too."""
    price = quote(value, "price")
    if instrument.kind is Kind.FUTURE or price > 0 or (price == 0 and instrument.kind in WORTHLESS_KINDS):
        return price
    if instrument.kind in WORTHLESS_KINDS:
        raise Rejected("price", "must not be negative")
    raise Rejected("price", "must be above 0")
