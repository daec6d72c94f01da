"""Turns a trade into a row of the store, and a row back into the same trade, to the last digit.

Pure functions, the same for every database. A row as the engine writes it is converted directly. Any other row (another program
wrote it, or the reference data changed since) goes through `TradeCheck`, like a message, so one set of rules decides. Both ways
give the same `Trade`; a test compares them.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from riskengine.records.decode import TradeCheck, TradeInput, convert
from riskengine.records.fields import MAX_INTEGER, MAX_SEQUENCE, TS_MAX, TS_MIN, Rejected, currency, date, fixed, name, to_text
from riskengine.records.forwards import unplaced
from riskengine.records.types import (
    DECIMALS,
    Attributes,
    Trade,
    attributes_of,
    cash_and_fill_price,
    economics,
    with_attributes,
)

DEFAULT_SOURCE = "file"
"""The source of a row that names no source (INTERFACE section 5)."""

STORED_BEFORE = 0
"""The store_seq of a record that passed its check long ago and has no number here: no rule that came later judges it."""

_WHOLE_DIGITS = 15
_SCALE: tuple[int, ...] = tuple(10 ** (DECIMALS - decimals) for decimals in range(DECIMALS + 1))


class TradeRow(NamedTuple):
    """A row of `trades`: the columns of the economics and of booking, the two that the store adds, the attributes.

    Decimals are exact text. Times are microseconds since the epoch. NULL is None: in the optional columns, and in a cancel also
    in ts, quantity and price.
    """

    source: str
    trade_id: str
    leg: int
    version: int
    action: str
    ts: int | None
    source_seq: int
    instrument: str
    desk: str
    dealer: str
    side: str
    quantity: str | None
    price: str | None
    fees: str
    fees_currency: str
    value_date: str
    trade_date: str
    booked_ts: int | None
    contra_amount: str | None
    legs: int | None
    store_seq: int
    received_ts: int
    counterparty: str = ""
    account: str = ""
    broker: str = ""
    order_id: str = ""
    strategy: str = ""
    comment: str = ""

    @property
    def attributes(self) -> Attributes:
        """What the row says outside its economics."""
        return Attributes._make(self[_ATTRIBUTES_FROM:])


class RefusedRow(NamedTuple):
    """A stored row that the check refuses: its number, the field and the reason. It stays in the store and may fit later."""

    store_seq: int
    field: str
    reason: str
    row: TradeRow

    @property
    def received_ts(self) -> int:
        """When the row was received, microseconds since the epoch."""
        return self.row.received_ts

    @property
    def field_and_reason(self) -> str:
        """One line for a person: the field, then why its value is refused."""
        return f"{self.field}: {self.reason}"


ATTRIBUTES = Attributes._fields
"""The columns outside the economics, in the order of every row."""

COLUMNS = TradeRow._fields[: -2 - len(ATTRIBUTES)]
"""All other columns of INTERFACE section 5, in the order of every row."""

_ATTRIBUTES_FROM = len(COLUMNS) + 2

RowValues = tuple[str | int | None, ...]

PLAIN_VALUES = len(COLUMNS) + 1
"""How many of the values of a row are no attributes."""


def row_values(trade: Trade) -> RowValues:
    """The values that the store keeps of a trade: `COLUMNS`, received_ts, `ATTRIBUTES`; of a forward on its pair. Cost 4 us."""
    trade = unplaced(trade)
    attributes = attributes_of(trade)
    if trade.action == "cancel":
        return (
            trade.source,
            trade.trade_id,
            trade.leg,
            trade.version,
            "cancel",
            trade.ts or None,
            trade.source_seq,
            trade.instrument,
            trade.desk,
            trade.dealer,
            "",
            None,
            None,
            "0",
            "",
            "",
            "",
            trade.booked_ts,
            None,
            trade.legs,
            trade.received_ts,
            *attributes,
        )
    contra = trade.contra_amount
    return (
        trade.source,
        trade.trade_id,
        trade.leg,
        trade.version,
        trade.action,
        trade.ts,
        trade.source_seq,
        trade.instrument,
        trade.desk,
        trade.dealer,
        trade.side,
        to_text(trade.quantity),
        to_text(trade.price),
        to_text(trade.fees) if trade.fees else "0",
        trade.fees_currency,
        trade.value_date,
        trade.trade_date,
        trade.booked_ts,
        None if contra is None else to_text(contra),
        trade.legs,
        trade.received_ts,
        *attributes,
    )


def row_of(trade: Trade, store_seq: int) -> TradeRow:
    """The row that the store keeps of a trade under a number; of a forward, one on its pair."""
    values = row_values(trade)
    columns = len(COLUMNS)
    return TradeRow._make((*values[:columns], store_seq, *values[columns:]))


def without_empty_attributes(values: RowValues) -> RowValues:
    """The values of a row as the audit trail hashes them: a row without attributes as before there were any. 0.1 us."""
    return values if any(values[PLAIN_VALUES:]) else values[:PLAIN_VALUES]


def trade_from_row(row: TradeRow, check: TradeCheck) -> Trade | RefusedRow:
    """The trade of a row, checked against today's reference data; never raises. Cost 6 us, rows that are not plain 20 us.

    Without the attributes, which stay in the store; whatever they are, they refuse no row.
    Example: the row of a buy of 2 EURUSD at "1.5" gives a `Trade` equal to the one that was stored.
    """
    try:
        trade = _plain_trade(row, check)
        if trade is None:
            said = dict(zip(TradeRow._fields, row[:_ATTRIBUTES_FROM], strict=False))
            trade = check(convert(said, TradeInput), row.received_ts, DEFAULT_SOURCE, row.store_seq)
        return trade
    except Rejected as rejected:
        return RefusedRow(row.store_seq, rejected.field, rejected.reason, printable_row(row))


def check_again(trade: Trade, check: TradeCheck) -> Trade | RefusedRow:
    """A stored trade that older reference data accepted, as a start would now read it from the store. Cost 10 us."""
    return trade_from_row(row_of(trade, STORED_BEFORE), check)


def check_new_again(trade: Trade, check: TradeCheck) -> Trade | RefusedRow:
    """A trade that is not stored yet, with its attributes, by newer reference data than accepted it. Every rule judges it.

    Cost 10 us.
    """
    found = trade_from_row(row_of(trade, MAX_INTEGER), check)
    return found if isinstance(found, RefusedRow) else with_attributes(found, attributes_of(trade))


def replay(rows: Iterable[TradeRow], check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
    """(store_seq, trade or refused row) for each row, in their order: what a start applies."""
    for row in rows:
        yield row.store_seq, trade_from_row(row, check)


def _plain_trade(row: TradeRow, check: TradeCheck) -> Trade | None:
    """The trade of a row as the engine writes it, or None if the row is not plain."""
    # Unpacked at once: attribute by attribute costs 1 us more.
    # fmt: off
    (source, trade_id, leg, version, action, ts, source_seq, symbol, desk, dealer, side, quantity_text, price_text, fees_text,
     fees_currency, value_date, trade_date, booked_ts, contra_text, legs, _, received_ts, *_) = row
    # fmt: on
    instrument = check.instruments.get(symbol)
    if instrument is None or desk not in check.leaves or contra_text is not None or legs is not None:
        return None
    try:
        if not (TS_MIN <= ts < TS_MAX and 0 <= source_seq <= MAX_SEQUENCE):  # type: ignore[operator]
            return None
        if not (0 <= leg <= MAX_INTEGER and 1 <= version <= MAX_INTEGER):
            return None
        quantity = _units(quantity_text, instrument.quantity_decimals)  # type: ignore[arg-type]
        price = _units(price_text, DECIMALS)  # type: ignore[arg-type]
        if quantity <= 0 or price < 0 or not (booked_ts is None or TS_MIN <= booked_ts < TS_MAX):
            return None
        if (side != "buy" and side != "sell") or (action != "new" and action != "amend"):
            return None
        if fees_currency and fees_currency not in check.currencies:
            return None
        sign = 1 if side == "buy" else -1
        cash, fill_price = cash_and_fill_price(sign, quantity, price, None, instrument.contract_multiplier)
        return Trade(
            source=_shared_name(source),
            trade_id=name(trade_id, "trade_id"),
            leg=leg,
            version=version,
            action="new" if action == "new" else "amend",
            ts=ts,  # type: ignore[arg-type]
            source_seq=source_seq,
            instrument=instrument.instrument,
            desk=_shared_name(desk),
            dealer=_shared_name(dealer) if dealer else "",
            side="buy" if sign == 1 else "sell",
            quantity=quantity,
            price=price,
            fees=0 if fees_text == "0" else fixed(fees_text, DECIMALS, "fees"),
            fees_currency=_shared_currency(fees_currency) if fees_currency else instrument.currency,
            value_date=value_date and date(value_date, "value_date"),
            trade_date=trade_date and date(trade_date, "trade_date"),
            booked_ts=booked_ts,
            received_ts=received_ts,
            signed_quantity=sign * quantity,
            cash=cash,
            fill_price=fill_price,
        )
    except (Rejected, TypeError, AttributeError):  # `TradeCheck` then reports the field, in its own order
        return None


@lru_cache(maxsize=65_536)
def _shared_name(text: str) -> str:
    """The checked name, the same object each time: a million trades share a few thousand names. Raises Rejected."""
    return name(text, "")


@lru_cache(maxsize=1_024)
def _shared_currency(text: str) -> str:
    return currency(text, "")


def _units(text: str, decimals: int) -> int:
    """A plain decimal text as an integer in units of 1e-10; -1 for anything but digits and at most one point."""
    whole, _, part = text.partition(".")
    digits = whole + part
    if not (digits.isdigit() and digits.isascii()) or len(whole) > _WHOLE_DIGITS or len(part) > decimals:
        return -1
    return int(digits) * _SCALE[len(part)]


def same_as_row(trade: Trade, row: TradeRow, currency_of_instrument: str) -> bool:
    """Whether a stored row and `trade`, of one identity and version, have the same economics (`Trade.same_economics`).

    `currency_of_instrument` is the fees_currency of a row that has none. A row that is not a trade differs from every trade.
    """
    if trade.action == "cancel" or row.action == "cancel":
        return trade.action == row.action
    try:
        contra = row.contra_amount
        stored = Trade(
            source=row.source,
            trade_id=row.trade_id,
            leg=row.leg,
            version=row.version,
            action=row.action,
            ts=row.ts or 0,
            source_seq=row.source_seq,
            instrument=row.instrument,
            desk=row.desk,
            dealer=row.dealer,
            side=row.side,
            quantity=_fixed(row.quantity, "quantity"),
            price=_fixed(row.price, "price"),
            fees=_fixed(row.fees, "fees"),
            fees_currency=row.fees_currency or currency_of_instrument,
            value_date=row.value_date,
            trade_date=row.trade_date,
            contra_amount=None if contra is None else _fixed(contra, "contra_amount"),
            legs=row.legs,
        )
    except Rejected:
        return False
    return economics(stored) == economics(trade)


def _fixed(text: str | None, field: str) -> int:
    if not isinstance(text, str):
        raise Rejected(field, "is missing")
    return fixed(text, DECIMALS, field)


def printable_row(row: TradeRow) -> TradeRow:
    """The row with bytes that are not UTF-8 replaced: it can be displayed and sent."""
    return TradeRow._make(_printable_value(value) for value in row)


def _printable_value(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
