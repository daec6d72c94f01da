"""From bytes to checked trades and ticks: a bad item is a `Refusal` with field and reason, the rest goes on.

Decoders are built once, here. Loose records (`TradeInput`, `TickInput`) hold what was sent; `TradeCheck` turns trades
into the exact, frozen records of `messages`, the mark rules (`marks`) take ticks. Nothing here reads a clock: the time
of arrival is passed in.
"""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from riskengine.errors import InputError
from riskengine.records.fields import Rejected, currency, date, fixed, integer, name, shown, timestamp
from riskengine.records.types import DECIMALS, Instrument, Kind, Refusal, Trade, cash_and_fill_price

Number = Decimal | None


class TradeInput(msgspec.Struct, kw_only=True, gc=False):
    """A trade as it was sent. Numbers may come as JSON numbers or strings and are exact either way."""

    trade_id: str
    source: str | None = None
    leg: int = 0
    version: int = 1
    action: str = "new"
    ts: int | str | None = None
    source_seq: int = 0
    instrument: str = ""
    desk: str = ""
    dealer: str = ""
    side: str = ""
    quantity: Number = None
    price: Number = None
    fees: Number = None
    fees_currency: str = ""
    value_date: str = ""
    trade_date: str = ""
    booked_ts: int | str | None = None
    contra_amount: Number = None
    legs: int | None = None


class TickInput(msgspec.Struct, gc=False):
    """A tick as it was sent."""

    instrument: str
    ts: int | str
    bid: float | str | None = None
    ask: float | str | None = None
    mid: float | str | None = None
    source: str = ""


_trade_decoder = msgspec.json.Decoder(TradeInput)
_trades_decoder = msgspec.json.Decoder(list[TradeInput])
_ticks_decoder = msgspec.json.Decoder(list[TickInput])
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_raw_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_tick_decoder = msgspec.json.Decoder(TickInput)

_UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)

_Item = TypeVar("_Item")

SMALL_LIST = 1_000
LEAST_ITEM_BYTES = 20
"""The shortest tick has more. A list of half a million numbers would be half a million refusals."""


# -- batches -----------------------------------------------------------------------------------------------------


def decode_trades(body: bytes) -> list[TradeInput | Refusal]:
    """One trade or a list of them. A bad item becomes a Refusal in its place.

    Raises InputError where the body is not JSON, or neither an object nor a list.
    """
    return list(open_trades(body))


def decode_ticks(body: bytes) -> list[TickInput | Refusal]:
    """A list of ticks (or one). Cost 0.15 us a tick. Raises InputError as `decode_trades` does."""
    return list(open_ticks(body))


class ItemParts(Generic[_Item]):
    """A list of which not every item can be decoded, taken apart: `one` decodes an item, or makes a refusal of it."""

    def __init__(self, parts: Sequence[Any], one: Callable[[tuple[int, Any]], _Item | Refusal]) -> None:
        self.parts = parts
        self.one = one

    def __iter__(self) -> Iterator[_Item | Refusal]:
        return map(self.one, enumerate(self.parts))


def open_trades(body: bytes) -> "list[TradeInput] | ItemParts[TradeInput]":
    """What `decode_trades` decodes, as far as it can be done at once. Raises InputError."""
    return _open_list(body, _trades_decoder, _trade_decoder, TradeInput)


def open_ticks(body: bytes) -> "list[TickInput] | ItemParts[TickInput]":
    """What `decode_ticks` decodes, as far as it can be done at once. Raises InputError."""
    return _open_list(body, _ticks_decoder, _tick_decoder, TickInput)


def _open_list(
    body: bytes, whole: msgspec.json.Decoder[list[_Item]], single: msgspec.json.Decoder[_Item], into: type[_Item]
) -> list[_Item] | ItemParts[_Item]:
    is_one = body.lstrip()[:1] == b"{"
    try:
        return [single.decode(body)] if is_one else whole.decode(body)
    except _UNDECODABLE:
        pass
    try:
        raw = _raw_decoder.decode(body)
        parts = [raw] if is_one else _raw_list_decoder.decode(body)
    except _UNDECODABLE as error:
        found = _open_surrogates(body, into)
        if found is None:
            raise InputError(f"not a JSON list of objects: {_reason(error)}") from None
        return found
    check_parts(len(parts), len(body))

    def one(numbered: tuple[int, msgspec.Raw]) -> _Item | Refusal:
        try:
            return single.decode(numbered[1])
        except _UNDECODABLE as error:
            return refused_or_null(error, numbered[0], into, partial(_loads, bytes(numbered[1])))

    return ItemParts(parts, one)


def check_parts(count: int, size: int) -> None:
    """Raise InputError for a list that has so many items in so few bytes that it cannot be one of trades or ticks."""
    if count > max(SMALL_LIST, size // LEAST_ITEM_BYTES):
        raise InputError(f"not a list of trades or ticks: {count} items in {size} bytes")


def refused_or_null(error: Exception, index: int, into: type[_Item], sent: Callable[[], object]) -> _Item | Refusal:
    """An item that its decoder refused with `error`: as it is without what it says is null, where it says so, else a refusal.

    Many writers of JSON send every field; absent is the only thing that null can mean. `sent` decodes the item loosely.
    """
    try:
        item = sent()
        if not isinstance(item, dict) or None not in item.values():
            return refusal_of(error, index)
        return msgspec.convert({key: value for key, value in item.items() if value is not None}, into, strict=True)
    except msgspec.ValidationError as problem:
        return refusal_of(problem, index)
    except (ValueError, ArithmeticError, RecursionError, msgspec.DecodeError):
        return refusal_of(error, index)


def _loads(text: bytes) -> object:
    """JSON with exact numbers. Raises ValueError, ArithmeticError, RecursionError."""
    return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)


def _open_surrogates(body: bytes, into: type[_Item]) -> ItemParts[_Item] | None:
    r"""The items of a body that is JSON but for halves of surrogate pairs (`\ud800`), which msgspec does not read.

    One such name must not cost the sender the rest of the batch: its item is refused here, because a text with half a
    character could be neither stored nor answered. None where that is not what is wrong.
    """
    if b"\\ud" not in body.lower():
        return None
    try:
        sent = _loads(body)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    parts = sent if isinstance(sent, list) else [sent]
    check_parts(len(parts), len(body))

    def one(numbered: tuple[int, Any]) -> _Item | Refusal:
        index, item = numbered
        broken = [key for key, value in item.items() if not _encodable(key, value)] if isinstance(item, dict) else []
        try:
            if broken:
                raise Rejected(broken[0] if _encodable(broken[0]) else "", "has half of a surrogate pair")
            return msgspec.convert(item, into, strict=True)
        except Rejected as error:
            return Refusal(index, error.field, error.reason)
        except _UNDECODABLE as error:
            return refusal_of(error, index)

    return ItemParts(parts, one)


def _encodable(*values: object) -> bool:
    try:
        for value in values:
            str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def refusal_of(error: Exception, index: int) -> Refusal:
    """The field and reason in a decoder's error (msgspec writes the path at its end: ``... - at `$.price` ``)."""
    text = _reason(error)
    reason, at, path = text.rpartition(" - at `")
    if at:
        field = path.rstrip("`").removeprefix("$[...]").removeprefix("$").lstrip(".")
        return Refusal(index, field, reason)
    if "missing required field `" in text:
        return Refusal(index, text.split("`")[1], "is missing")
    return Refusal(index, "", text)


def _reason(error: Exception) -> str:
    """A decoder's error as the end of a sentence."""
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    text = str(error)
    return text if text.startswith("JSON") else text[:1].lower() + text[1:]


def convert(row: Mapping[str, Any], into: type[_Item], *, strict: bool = False) -> _Item:
    """One row of a CSV or NDJSON file as a loose record; empty texts count as absent. Raises Rejected."""
    present = {key: value for key, value in row.items() if value not in ("", None)}
    try:
        return msgspec.convert(present, into, strict=strict)
    except msgspec.ValidationError as error:
        refusal = refusal_of(error, 0)
        raise Rejected(refusal.field, refusal.reason) from None


def split_refusals(items: list[_Item | Refusal]) -> Iterator[tuple[int, _Item]]:
    """The good items of a decoded batch with their places."""
    for index, item in enumerate(items):
        if not isinstance(item, Refusal):
            yield index, item


# -- trades ------------------------------------------------------------------------------------------------------


class TradeCheck:
    """Turns `TradeInput` into `Trade` against the reference data; remembers repeated names so that they share memory.

    `instruments` by symbol, `leaves` the nodes that trades may attach to, `nodes` all of them; fees may be in the currencies of
    the instruments and in `currencies`.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        leaves: Container[str],
        nodes: Container[str],
        currencies: Iterable[str] = (),
    ) -> None:
        self.instruments = instruments
        self.leaves = leaves
        self.nodes = nodes
        self.currencies = {c for i in instruments.values() for c in (i.currency, i.quote_currency, i.base_currency)}
        self.currencies.update(currencies)
        self._names: dict[str, str] = {}

    def __call__(self, sent: TradeInput, received_ts: int, default_source: str) -> Trade:
        """The checked trade. Raises Rejected with the first field that is wrong."""
        if sent.action == "cancel":
            return self._cancel(sent, received_ts, default_source)
        if sent.action not in ("new", "amend"):
            raise Rejected("action", f"must be new, amend or cancel: {shown(sent.action)}")
        instrument = self.instruments.get(sent.instrument)
        if instrument is None:
            raise Rejected("instrument", self._unknown(sent.instrument, "instrument"))
        self._check_desk(sent.desk)
        if sent.side not in ("buy", "sell"):
            raise Rejected("side", f"must be buy or sell: {shown(sent.side)}" if sent.side else "is missing")
        sign = 1 if sent.side == "buy" else -1
        quantity = self._positive(sent.quantity, instrument.quantity_decimals, "quantity")
        price = self._price(sent.price, instrument)
        contra = self._contra(sent.contra_amount)
        cash, fill_price = cash_and_fill_price(sign, quantity, price, contra, instrument.multiplier)
        return Trade(
            **self._identity(sent, default_source),
            action=sent.action,
            ts=timestamp(sent.ts, "ts"),
            source_seq=integer(sent.source_seq, "source_seq"),
            instrument=instrument.instrument,
            desk=self._shared(sent.desk),
            dealer=self._named(sent.dealer, "dealer", required=False),
            side=self._shared(sent.side),
            quantity=quantity,
            price=price,
            fees=0 if sent.fees is None else fixed(sent.fees, DECIMALS, "fees"),
            fees_currency=self._fees_currency(sent.fees_currency, instrument),
            value_date=date(sent.value_date, "value_date"),
            trade_date=date(sent.trade_date, "trade_date"),
            booked_ts=None if sent.booked_ts in (None, "") else timestamp(sent.booked_ts, "booked_ts"),
            contra_amount=contra,
            legs=None if sent.legs is None else integer(sent.legs, "legs", 1, 1_000),
            received_ts=received_ts,
            signed_quantity=sign * quantity,
            cash=cash,
            fill_price=fill_price,
        )

    def _identity(self, sent: TradeInput, default_source: str) -> dict[str, Any]:
        return {
            "source": self._named(sent.source or default_source, "source"),
            "trade_id": name(sent.trade_id, "trade_id"),
            "leg": integer(sent.leg, "leg"),
            "version": integer(sent.version, "version", 1),
        }

    def _cancel(self, sent: TradeInput, received_ts: int, default_source: str) -> Trade:
        """A cancel needs only identity and version; what else it carries is kept where it makes sense."""
        return Trade(
            **self._identity(sent, default_source),
            action="cancel",
            ts=0 if sent.ts in (None, "") else timestamp(sent.ts, "ts"),
            source_seq=integer(sent.source_seq, "source_seq"),
            instrument=self._named(sent.instrument, "instrument", required=False),
            desk=self._named(sent.desk, "desk", required=False),
            dealer=self._named(sent.dealer, "dealer", required=False),
            booked_ts=None if sent.booked_ts in (None, "") else timestamp(sent.booked_ts, "booked_ts"),
            legs=None if sent.legs is None else integer(sent.legs, "legs", 1, 1_000),
            received_ts=received_ts,
        )

    def _check_desk(self, desk: str) -> None:
        if desk not in self.leaves:
            if desk in self.nodes:
                raise Rejected("desk", f"{shown(desk)} has nodes below it; trades attach to leaf nodes")
            raise Rejected("desk", self._unknown(desk, "desk"))

    def _unknown(self, value: str, what: str) -> str:
        return f"unknown {what} {shown(value)}" if value else "is missing"

    def _positive(self, value: Number, decimals: int, field: str) -> int:
        if value is None:
            raise Rejected(field, "is missing")
        units = fixed(value, decimals, field)
        if units <= 0:
            raise Rejected(field, "must be above 0")
        return units

    def _price(self, value: Number, instrument: Instrument) -> int:
        if value is None:
            raise Rejected("price", "is missing")
        price = fixed(value, DECIMALS, "price")
        if price < 0 and instrument.kind is not Kind.FUTURE:
            raise Rejected("price", "must not be negative")
        return price

    def _contra(self, value: Number) -> int | None:
        if value is None:
            return None
        contra = fixed(value, DECIMALS, "contra_amount")
        if contra < 0:
            raise Rejected("contra_amount", "must not be negative: its sign follows from side")
        return contra

    def _fees_currency(self, sent: str, instrument: Instrument) -> str:
        """A currency that some instrument has: in any other, fees could never be valued."""
        if not sent:
            return instrument.currency
        code = currency(sent, "fees_currency")
        if code not in self.currencies:
            raise Rejected("fees_currency", f"no instrument has the currency {shown(code)}")
        return self._shared(code)

    def _named(self, text: str, field: str, *, required: bool = True) -> str:
        """A name that comes again and again: looked at once."""
        return self._names.get(text) or self._shared(name(text, field, required=required))

    def _shared(self, text: str) -> str:
        return self._names.setdefault(text, text)
