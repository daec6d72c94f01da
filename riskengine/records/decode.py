"""Decodes JSON into trades and ticks, and checks trades against the reference data.

Loose records (`TradeInput`, `TickInput`) hold the fields as sent. `TradeCheck` turns a `TradeInput` into an exact, frozen
`Trade`; the mark rules (`market.quote_book`) take ticks as they are. A bad item becomes a `Refusal` with field and reason, and
the rest of its batch goes on. Nothing here reads a clock: callers pass the time of arrival.
"""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from riskengine.errors import InputError
from riskengine.nearest import unknown
from riskengine.records.actions import ActionInput
from riskengine.records.currency_units import (
    AS_THEY_ARE,
    MINOR_UNITS,
    PriceUnits,
    move_point,
    one_spelling,
    places_between,
    quoted_places,
)
from riskengine.records.fields import (
    MAX_TEXT,
    Rejected,
    currency,
    date,
    excerpt,
    fixed,
    free_text,
    integer,
    is_finer,
    name,
    rounded,
    sequence,
    timestamp,
)
from riskengine.records.forwards import name_parts
from riskengine.records.rules import CONTRA_AMOUNT_SIGN, FEES_CURRENCY, NO_STARTS, RuleStarts, judges
from riskengine.records.types import (
    DECIMALS,
    EXERCISE_SOURCE,
    MULTIPLIER_DECIMALS,
    Attributes,
    Instrument,
    Kind,
    Refusal,
    Trade,
    cash_and_fill_price,
    with_attributes,
)

Number = Decimal | None


class TradeInput(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A trade as sent. Numbers may be JSON numbers or strings; both are exact.

    `currency` is a check and not stored. `store_seq` and `received_ts` are known and ignored: what was read can be sent again.
    """

    trade_id: str
    source: str | None = None
    leg: int = 0
    version: int | None = None
    action: str = "new"
    ts: int | str | None = None
    source_seq: int | str = 0
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
    currency: str = ""
    counterparty: str = ""
    account: str = ""
    broker: str = ""
    order_id: str = ""
    strategy: str = ""
    comment: str = ""
    store_seq: Any = None
    received_ts: Any = None


class TickInput(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A tick as sent."""

    instrument: str
    ts: int | str
    bid: float | str | None = None
    ask: float | str | None = None
    mid: float | str | None = None
    source: str = ""


_trade_decoder = msgspec.json.Decoder(TradeInput)
_trades_decoder = msgspec.json.Decoder(list[TradeInput])
_ticks_decoder = msgspec.json.Decoder(list[TickInput])
_action_decoder = msgspec.json.Decoder(ActionInput)
_actions_decoder = msgspec.json.Decoder(list[ActionInput])
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_raw_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_tick_decoder = msgspec.json.Decoder(TickInput)

_UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)

_Item = TypeVar("_Item")

SMALL_LIST = 1_000
LEAST_ITEM_BYTES = 20
"""The shortest tick is longer. Without this bound a body of half a million numbers would give half a million refusals."""


# -- batches -----------------------------------------------------------------------------------------------------


def decode_trades(body: bytes) -> list[TradeInput | Refusal]:
    """One trade or a list of trades. A bad item becomes a Refusal in its place.

    Raises InputError if the body is not JSON, or neither an object nor a list.
    """
    return list(open_trades(body))


def decode_ticks(body: bytes) -> list[TickInput | Refusal]:
    """One tick or a list of ticks. Cost 0.15 us a tick. Raises InputError as `decode_trades` does."""
    return list(open_ticks(body))


class ItemParts(Generic[_Item]):
    """The undecoded items of a list with at least one bad item. Iteration decodes each with `one`, which may return a refusal."""

    def __init__(self, parts: Sequence[Any], one: Callable[[tuple[int, Any]], _Item | Refusal]) -> None:
        self.parts = parts
        self.one = one

    def __iter__(self) -> Iterator[_Item | Refusal]:
        return map(self.one, enumerate(self.parts))


def open_trades(body: bytes) -> "list[TradeInput] | ItemParts[TradeInput]":
    """Decode trades in one call; if an item is bad, leave the items to a lazy `ItemParts`. Raises InputError."""
    return open_list(body, _trades_decoder, _trade_decoder, TradeInput)


def open_ticks(body: bytes) -> "list[TickInput] | ItemParts[TickInput]":
    """Decode ticks in one call; if an item is bad, leave the items to a lazy `ItemParts`. Raises InputError."""
    return open_list(body, _ticks_decoder, _tick_decoder, TickInput)


def open_items(body: bytes, into: type[_Item]) -> "list[_Item] | ItemParts[_Item]":
    """Decode one item or a list of items of another record in one call, as `open_trades`. Raises InputError."""
    return open_list(body, msgspec.json.Decoder(list[into]), msgspec.json.Decoder(into), into)  # type: ignore[valid-type]


def open_list(
    body: bytes, whole: msgspec.json.Decoder[list[_Item]], single: msgspec.json.Decoder[_Item], into: type[_Item]
) -> list[_Item] | ItemParts[_Item]:
    """Decode one record or a list of them in one call; a bad item leaves all to a lazy `ItemParts`. Raises InputError."""
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
            return retry_without_nulls(error, numbered[0], into, partial(_loads, bytes(numbered[1])))

    return ItemParts(parts, one)


def check_parts(count: int, size: int) -> None:
    """Raise InputError for a list with too many items for its size in bytes to hold trades or ticks."""
    if count > max(SMALL_LIST, size // LEAST_ITEM_BYTES):
        raise InputError(f"not a list of trades or ticks: {count} items in {size} bytes")


def retry_without_nulls(error: Exception, index: int, into: type[_Item], sent: Callable[[], object]) -> _Item | Refusal:
    """Decode an item, which its decoder refused with `error`, without its null fields; a refusal if that fails too.

    Many writers of JSON send every field, and null can only mean absent. `sent` decodes the item loosely.
    """
    item: object = None
    try:
        item = sent()
        if not isinstance(item, dict) or None not in item.values():
            return with_number(refusal_of(error, index, into), item)
        return msgspec.convert({key: value for key, value in item.items() if value is not None}, into, strict=True)
    except msgspec.ValidationError as problem:
        return with_number(refusal_of(problem, index, into), item)
    except (ValueError, ArithmeticError, RecursionError, msgspec.DecodeError):
        return refusal_of(error, index, into)


def with_number(refusal: Refusal, item: object) -> Refusal:
    """The refusal with the source and its number of a loosely decoded trade, if they can be read."""
    if not isinstance(item, dict):
        return refusal
    source, number = item.get("source"), item.get("source_seq")
    if type(number) is str and number.isascii() and number.isdigit() and len(number) < 20:
        number = int(number)
    if type(number) is not int or not 0 < number < 2**63 or not isinstance(source, str | None):
        return refusal
    try:
        name(source or "", "source", required=False)
    except Rejected:
        return refusal
    return msgspec.structs.replace(refusal, source=source, source_seq=number)


def _loads(text: bytes) -> object:
    """JSON with exact numbers. Raises ValueError, ArithmeticError, RecursionError."""
    return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)


def _open_surrogates(body: bytes, into: type[_Item]) -> ItemParts[_Item] | None:
    r"""The items of a body with halves of surrogate pairs (`\ud800`), which msgspec does not read; None if it has another fault.

    Refuses the items that have them, because half a character can be neither stored nor sent back; the others are decoded.
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
            return with_number(Refusal(index, error.field, error.reason), item)
        except _UNDECODABLE as error:
            return with_number(refusal_of(error, index, into), item)

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


_NAMES = {
    "TradeInput": "trade",
    "TickInput": "tick",
    "CashInput": "movement",
    "CarryInput": "carry record",
    "CloseInput": "close",
    "ManualMarkInput": "mark",
    "LimitInput": "limit",
    "MarginRuleInput": "margin rule",
    "VolInput": "vol",
    "RateInput": "rate",
    "GreeksInput": "row of Greeks",
    "IngestFrame": "frame",
    "FeedHeartbeat": "heartbeat",
}
_UNKNOWN_FIELD = "object contains unknown field `"


def refusal_of(error: Exception, index: int, into: type[Any] | None = None) -> Refusal:
    """A decoder's error as a refusal. msgspec writes the path at the end of its text: ``... - at `$.price` ``.

    `into` is the record that was expected: a field that it does not have is refused with the nearest one that it has.
    """
    text = _reason(error)
    if into is not None and text.startswith(_UNKNOWN_FIELD):
        field = text.removeprefix(_UNKNOWN_FIELD).partition("` - at `$")[0].removesuffix("`")
        what = _NAMES.get(into.__name__, "record")
        return Refusal(index, field[:MAX_TEXT], unknown(field, into.__struct_encode_fields__, f"a field of a {what}"))
    reason, at, path = text.rpartition(" - at `")
    if at:
        field = path.rstrip("`").removeprefix("$[...]").removeprefix("$").lstrip(".")
        return Refusal(index, field, reason)
    if "missing required field `" in text:
        return Refusal(index, text.split("`")[1], "is missing")
    return Refusal(index, "", text)


def refusal_text(error: Exception, into: type[Any]) -> str:
    """A decoder's error as the rest of a sentence; `into` as for `refusal_of`."""
    return refusal_of(error, 0, into).text


def _reason(error: Exception) -> str:
    """A decoder's error, worded as the end of a sentence."""
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    text = str(error)
    return text if text.startswith("JSON") else text[:1].lower() + text[1:]


def convert(row: Mapping[str, Any], into: type[_Item], *, strict: bool = False) -> _Item:
    """A row of a CSV or NDJSON file as a loose record; empty texts count as absent. Raises Rejected."""
    present = {key: value for key, value in row.items() if value not in ("", None)}
    try:
        return msgspec.convert(present, into, strict=strict)
    except msgspec.ValidationError as error:
        refusal = refusal_of(error, 0, into)
        raise Rejected(refusal.field, refusal.reason) from None


def split_refusals(items: list[_Item | Refusal]) -> Iterator[tuple[int, _Item]]:
    """The items of a decoded batch that are no refusals, with their places."""
    for index, item in enumerate(items):
        if not isinstance(item, Refusal):
            yield index, item


# -- trades ------------------------------------------------------------------------------------------------------

_ABOUT_100 = (50, 200)
"""Between these factors an amount is in another unit than a price in a minor one."""

_MOST_DIGITS = 40
"""Numbers of more digits before or behind the point are refused as they are."""

NAMED_ATTRIBUTES = Attributes._fields[:-1]
"""The attributes of a trade that are names, and that trades can be searched by: all but the comment."""

OWN_SOURCE = (
    f"'{EXERCISE_SOURCE}' is the engine's own, of what it books for expired options: send trades under another source,"
    " those that undo such a booking among them"
)
"""Why a trade of that source is refused, unless it was read from an engine (`store_seq`)."""

MAX_NAMED = 12
"""Currencies that a refusal names."""


def _wrong_sign(contra: int, price: int) -> str:
    """Why an exact cash amount contradicts its price, or ""."""
    if (contra > 0) - (contra < 0) == (price > 0) - (price < 0):
        return ""
    if not price:
        return "must be 0: it has the sign of the price, which is 0"
    if not contra:
        return "must not be 0: it has the sign of the price, which is not 0"
    if price > 0:
        return "must not be negative: it has the sign of the price, and side says who pays"
    return "must be negative: it has the sign of the price, which is negative"


def has_rounded_fees(sent: TradeInput) -> bool:
    """Whether the check rounds the fees of a trade: senders are told how many."""
    return sent.fees is not None and is_finer(sent.fees)


def has_attributes(sent: TradeInput) -> bool:
    """Whether a trade says anything outside its economics. 0.1 us."""
    return bool(sent.counterparty or sent.account or sent.broker or sent.order_id or sent.strategy or sent.comment)


def _checked_attributes(sent: TradeInput) -> Attributes:
    """The attributes of a trade. Raises Rejected."""
    names = [name(getattr(sent, field), field, required=False) for field in NAMED_ATTRIBUTES]
    return Attributes._make([*names, free_text(sent.comment, "comment")])


def _in_cash_currency(sent: TradeInput, instrument: Instrument) -> TradeInput:
    """The same trade with price and contra_amount in the instrument's cash currency, exact. Raises Rejected for another one."""
    places = places_between(sent.currency, instrument.currency)
    if places is None:
        reason = f"is {excerpt(sent.currency)}, and {instrument.instrument} is dealt in {instrument.currency}"
        raise Rejected("currency", f"{reason}: it is a check, and fees have fees_currency")
    return _moved(sent, places)


def _check_one_unit(sent: TradeInput, instrument: Instrument) -> None:
    """Refuse a row in a minor unit whose contra_amount is about 100 times quantity x price, or 1/100: one is in whole ones.

    Other differences are the sender's to make: a contra_amount may have what a price does not show. Raises Rejected.
    """
    whole = MINOR_UNITS.get(sent.currency)
    if whole is None or not sent.contra_amount or not sent.price or not sent.quantity:
        return
    contra, price, quantity = amounts = (sent.contra_amount, sent.price, sent.quantity)
    if not all(each.is_finite() and abs(each.adjusted()) < _MOST_DIGITS for each in amounts):
        return  # refused as a number
    product = abs(quantity * price * instrument.contract_multiplier).scaleb(-MULTIPLIER_DECIMALS)
    low, high = sorted((abs(contra), product))
    if not _ABOUT_100[0] * low <= high <= _ABOUT_100[1] * low:
        return
    field = "contra_amount" if high == product else "price"
    what = "quantity x price" if instrument.multiplier == 10**MULTIPLIER_DECIMALS else "quantity x price x multiplier"
    sum_text = f"{product.normalize():f} {sent.currency} ({quantity:f} x {price:f})"
    reason = f"is {excerpt(format(contra, 'f'))}, but {what} is {sum_text}"
    way_out = f"write both in {sent.currency}, or both in {whole} with that as currency, or leave contra_amount out"
    raise Rejected(
        "contra_amount", f"{reason}, about {'1/100' if field == 'price' else '100 times'} of it: is {field} in {whole}? {way_out}"
    )


def _moved(sent: TradeInput, places: int) -> TradeInput:
    """The same trade, price and contra_amount in another unit: their decimal points moved. Raises Rejected."""
    if not places:
        return sent
    amounts = {field: getattr(sent, field) for field in ("price", "contra_amount")}
    return msgspec.structs.replace(sent, **{field: _moved_amount(amount, places, field) for field, amount in amounts.items()})


def _moved_amount(amount: Number, places: int, field: str) -> Number:
    if amount is None:
        return None
    fixed(amount, min(DECIMALS, DECIMALS + places), field)  # refused in the unit in which it was sent
    return move_point(amount, places)


class TradeCheck:
    """Checks a `TradeInput` against the reference data and makes it a `Trade`. Equal names share one string.

    `instruments` are by symbol; trades attach to `leaves`, which are some of `nodes`. Fees may be in `currencies`: those of
    instruments that can have a rate, and the `more_currencies` named. `rule_starts` says from which stored row on each of the
    stricter rules judges (`records.rules`). `price_units` are the units of sources that quote in another than the instrument's:
    what comes in is converted; what is stored, or says by a `store_seq` that it was read from an engine, has been.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        leaves: Container[str],
        nodes: Container[str],
        more_currencies: Iterable[str] = (),
        rule_starts: RuleStarts = NO_STARTS,
        price_units: PriceUnits = AS_THEY_ARE,
    ) -> None:
        self.instruments = instruments
        self.leaves = leaves
        self.nodes = nodes
        self.rule_starts = rule_starts
        self.price_units = price_units
        cash = {code for each in instruments.values() for code in (each.currency, each.quote_currency)} | {*more_currencies}
        cash |= {MINOR_UNITS[code] for code in cash if code in MINOR_UNITS}
        bases = {each.base_currency for each in instruments.values() if each.kind is not Kind.METAL}
        self.currencies = (cash | bases) - {""}
        """Currencies of fees that have a rate, or will have one once their pair has a price."""
        self._metals = {each.base_currency for each in instruments.values()} - self.currencies - {""}
        self._names: dict[str, str] = {}

    def __call__(self, sent: TradeInput, received_ts: int, default_source: str, store_seq: int | None = None) -> Trade:
        """The checked trade. Raises Rejected for the first bad field.

        `store_seq` is the number of a stored row, 0 of one without a number that was stored before; None: not stored yet. Only
        one that is not stored yet keeps its attributes: the store has those of the others.
        """
        trade = self._trade(sent, received_ts, default_source, store_seq)
        if store_seq is not None or not has_attributes(sent):
            return trade
        return with_attributes(trade, _checked_attributes(sent))

    def _trade(self, sent: TradeInput, received_ts: int, default_source: str, store_seq: int | None) -> Trade:
        if sent.action == "cancel":
            return self._cancel(sent, received_ts, default_source, store_seq)
        if sent.action not in ("new", "amend"):
            raise Rejected("action", f"must be new, amend or cancel: {excerpt(sent.action)}")
        instrument = self.instruments.get(sent.instrument)
        if instrument is None:
            raise self._unknown_instrument(sent.instrument)
        if sent.fees is not None:
            sent = self._with_fees_unit(sent)
        if sent.currency:
            if store_seq is None:
                _check_one_unit(sent, instrument)
            sent = _in_cash_currency(sent, instrument)
        elif store_seq is None and self.price_units and sent.store_seq is None:
            source = sent.source or default_source
            sent = _moved(sent, quoted_places(self.price_units, source, instrument.currency))
        self._check_desk(sent.desk)
        if sent.side not in ("buy", "sell"):
            raise Rejected("side", f"must be buy or sell: {excerpt(sent.side)}" if sent.side else "is missing")
        sign = 1 if sent.side == "buy" else -1
        quantity = self._positive(sent.quantity, instrument.quantity_decimals, "quantity")
        price = self._price(sent.price, instrument)
        contra = self._contra(sent.contra_amount, price, store_seq)
        fees = 0 if sent.fees is None else rounded(sent.fees, "fees")
        cash, fill_price = cash_and_fill_price(sign, quantity, price, contra, instrument.contract_multiplier)
        return Trade(
            **self._identity(sent, default_source, store_seq),
            action=sent.action,
            ts=timestamp(sent.ts, "ts"),
            source_seq=sequence(sent.source_seq, "source_seq"),
            instrument=instrument.instrument,
            desk=self._intern(sent.desk),
            dealer=self._checked_name(sent.dealer, "dealer", required=False),
            side=self._intern(sent.side),
            quantity=quantity,
            price=price,
            fees=fees,
            fees_currency=self._fees_currency(sent.fees_currency, fees, instrument, store_seq),
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

    def _identity(self, sent: TradeInput, default_source: str, store_seq: int | None) -> dict[str, Any]:
        if store_seq is None and sent.store_seq is None and (sent.source or default_source) == EXERCISE_SOURCE:
            raise Rejected("source", OWN_SOURCE)
        if sent.version is None and sent.action != "new":
            raise Rejected("version", f"is missing: {'an amend' if sent.action == 'amend' else 'a cancel'} names its version")
        return {
            "source": self._checked_name(sent.source or default_source, "source"),
            "trade_id": name(sent.trade_id, "trade_id"),
            "leg": integer(sent.leg, "leg"),
            "version": 1 if sent.version is None else integer(sent.version, "version", 1),
        }

    def _cancel(self, sent: TradeInput, received_ts: int, default_source: str, store_seq: int | None) -> Trade:
        """A cancel needs only identity and version; of its other fields it keeps those that describe it."""
        return Trade(
            **self._identity(sent, default_source, store_seq),
            action="cancel",
            ts=0 if sent.ts in (None, "") else timestamp(sent.ts, "ts"),
            source_seq=sequence(sent.source_seq, "source_seq"),
            instrument=self._checked_name(sent.instrument, "instrument", required=False),
            desk=self._checked_name(sent.desk, "desk", required=False),
            dealer=self._checked_name(sent.dealer, "dealer", required=False),
            booked_ts=None if sent.booked_ts in (None, "") else timestamp(sent.booked_ts, "booked_ts"),
            legs=None if sent.legs is None else integer(sent.legs, "legs", 1, 1_000),
            received_ts=received_ts,
        )

    def _check_desk(self, desk: str) -> None:
        if desk not in self.leaves:
            if desk in self.nodes:
                raise Rejected("desk", f"{excerpt(desk)} has nodes below it; trades attach to leaf nodes")
            raise Rejected("desk", self._unknown(desk, "desk"), desk)

    def _unknown_instrument(self, symbol: str) -> Rejected:
        forward = name_parts(symbol)
        if forward is not None and forward.pair in self.instruments:
            named = f"send {forward.pair} with value_date {forward.value_date}"
            return Rejected("instrument", f"{excerpt(symbol)} is a forward that the engine makes: {named}")
        return Rejected("instrument", self._unknown(symbol, "instrument"), symbol)

    def _unknown(self, value: str, what: str) -> str:
        return f"unknown {what} {excerpt(value)}" if value else "is missing"

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

    def _contra(self, value: Number, price: int, store_seq: int | None) -> int | None:
        if value is None:
            return None
        contra = fixed(value, DECIMALS, "contra_amount")
        if judges(self.rule_starts, CONTRA_AMOUNT_SIGN, store_seq):
            reason = _wrong_sign(contra, price)
            if reason:
                raise Rejected("contra_amount", reason)
        elif contra < 0:
            raise Rejected("contra_amount", "must not be negative: side gives its sign")
        return contra

    def _with_fees_unit(self, sent: TradeInput) -> TradeInput:
        """The same trade with the unit of its fees named: `fees_currency`, or the row's `currency`, in which its amounts are.

        Fees in a minor unit that no instrument has are told in the whole one, exact.
        """
        unit = one_spelling(sent.fees_currency or sent.currency)
        if sent.fees is None or not unit:
            return sent
        if unit in MINOR_UNITS and unit not in self.currencies:
            return msgspec.structs.replace(sent, fees=move_point(sent.fees, -2), fees_currency=MINOR_UNITS[unit])
        return sent if unit == sent.fees_currency else msgspec.structs.replace(sent, fees_currency=unit)

    def _fees_currency(self, sent: str, fees: int, instrument: Instrument, store_seq: int | None) -> str:
        """The fees' currency: one that has a rate, or will have one. That of fees of 0 need only be known."""
        if not sent:
            return instrument.currency
        code = currency(sent, "fees_currency")
        if code not in self.currencies:
            if code not in self._metals:
                raise Rejected("fees_currency", f"no instrument has the currency {excerpt(code)}")
            if fees and judges(self.rule_starts, FEES_CURRENCY, store_seq):
                raise Rejected("fees_currency", self._never_rated(code))
        return self._intern(code)

    def _never_rated(self, code: str) -> str:
        possible = sorted(self.currencies)
        more = f" and {len(possible) - MAX_NAMED} more" if len(possible) > MAX_NAMED else ""
        return f"{excerpt(code)} is a metal, and fees in it never get a rate; possible: {', '.join(possible[:MAX_NAMED])}{more}"

    def broken_rule(self, trade: Trade) -> tuple[str, str] | None:
        """The field and the reason for which a stricter rule would refuse this trade now; None if none would. 0.1 us.

        A trade that counts and breaks a rule is from a row that is older than the rule.
        """
        if trade.fees_currency not in self.currencies and trade.fees:
            return "fees_currency", self._never_rated(trade.fees_currency)
        if trade.contra_amount is not None and (reason := _wrong_sign(trade.contra_amount, trade.price)):
            return "contra_amount", reason
        return None

    def _checked_name(self, text: str, field: str, *, required: bool = True) -> str:
        """A checked name; a repeated one skips the check."""
        return self._names.get(text) or self._intern(name(text, field, required=required))

    def _intern(self, text: str) -> str:
        return self._names.setdefault(text, text)
