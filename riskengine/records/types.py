"""The records that all rooms share: reference data, trades, prices, decisions of people, samples.

Numbers of a trade are exact integers in units of 1e-10 (`ONE` is 1.0): no binary float stands between a message and the
ledger. Cash is an exact integer in units of 1e-28 (`CASH_ONE` is 1.0), fine enough for quantity (10 decimals) x price (10) x
multiplier (8). Both are unbounded Python integers. Times (`ts`) are microseconds since the epoch, UTC.

Records are frozen. The numerous ones hold only atoms and stay out of garbage collection (`gc=False`).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
import msgspec.structs
import numpy as np
import numpy.typing as npt

from riskengine.records.premium_styles import scaled_multiplier

DECIMALS = 10
ONE = 10**DECIMALS
MULTIPLIER_DECIMALS = 8
CASH_DECIMALS = 2 * DECIMALS + MULTIPLIER_DECIMALS
CASH_ONE = 10**CASH_DECIMALS
CASH_PER_ONE = CASH_ONE // ONE
"""Cash units in one unit (1e-10) of an amount such as fees or contra_amount."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]
ObjectArray = npt.NDArray[np.object_]


# -- reference data ------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    """The kind of an instrument; decides its exposure and the checks on its prices."""

    FX = "fx"
    FX_FORWARD = "fx_forward"
    EQUITY = "equity"
    CRYPTO = "crypto"
    METAL = "metal"
    FUTURE = "future"
    FX_OPTION = "fx_option"
    EQUITY_OPTION = "equity_option"


FX_KINDS = frozenset({Kind.FX, Kind.FX_FORWARD, Kind.FX_OPTION})
LEG_KINDS = frozenset({Kind.FX, Kind.FX_FORWARD})
"""Kinds with exposure by currency leg (ACCOUNTING section 5); all others have it by instrument."""
OPTION_KINDS = frozenset({Kind.FX_OPTION, Kind.EQUITY_OPTION})
WORTHLESS_KINDS = frozenset({Kind.EQUITY, Kind.CRYPTO, Kind.FX_OPTION, Kind.EQUITY_OPTION})
"""Kinds that can become worthless: a mark or a close of them may be 0."""


def small_lot(kind: Kind, multiplier: int) -> str | None:
    """Why a multiplier (units of 1e-8) is too small for an instrument of this kind; None if it is not.

    The multiplier of an fx kind is a lot size. One below 1 says that the price is for more than one unit of the base: taken as a
    rate, the price would be wrong by that factor.
    """
    if kind not in FX_KINDS or multiplier >= 10**MULTIPLIER_DECIMALS:
        return None
    return f"of {kind.value} is a lot size and must be 1 or more: quote the price for one unit of the base currency"


class Node(msgspec.Struct, frozen=True):
    """A node of the organisation tree. `parent` is empty for the root; `level` is only a label."""

    node: str
    level: str = ""
    parent: str = ""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A traded instrument. `multiplier` is k, the lot size, an integer in units of 1e-8 (100_000_000 is 1)."""

    instrument: str
    kind: Kind
    quote_currency: str
    base_currency: str = ""
    price_decimals: int = 5
    quantity_decimals: int = 2
    multiplier: int = 10**MULTIPLIER_DECIMALS
    sector: str = ""
    underlying: str = ""
    option_type: str = ""
    strike: str = ""
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

    @property
    def currency(self) -> str:
        """The cash currency: that of net cash, marks and every `_local` figure."""
        return self.premium_currency or self.quote_currency

    @property
    def contract_multiplier(self) -> int:
        """Cash of one unit at a price of 1, in units of 1e-8: k times what the unit of its price is (`premium_styles`).

        Everything that is a quantity times a price takes it; `multiplier`, the lot size, multiplies quantities and deltas alone.
        An option of an older store names no exercise: its price counts as it did then, per unit. 0.1 us.
        """
        if not self.premium_style or not self.exercise:
            return self.multiplier
        scaled = scaled_multiplier(self.multiplier, self.premium_style, self.quote_currency, self.strike)
        assert scaled is not None, "checked when it was loaded or read"
        return scaled

    @property
    def posts_legs(self) -> bool:
        """Whether its exposure is that of its two currency legs, not that of a product."""
        return self.kind in LEG_KINDS


# -- trades and balances -------------------------------------------------------------------------------------------


class Identity(NamedTuple):
    """The identity of a trade over all its versions. Strings sort by code point, which is the order of their UTF-8 bytes."""

    source: str
    trade_id: str
    leg: int


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One version of an executed deal (or its cancel), checked against the reference data.

    `quantity`, `price`, `fees`, `contra_amount` are in units of 1e-10, `quantity` > 0 (0 in a cancel without one).
    The check derives three fields: `signed_quantity` (buy > 0), `cash` (exact change of net cash in units of 1e-28, negative for
    a buy) and `fill_price`, the nearest double of the price of the fill.
    Example: buy 2 EURUSD at 1.5 has signed_quantity 2 * ONE, cash -3 * CASH_ONE and fill_price 1.5.
    Hot code passes the fields by position, which costs a fifth of 24 keywords.
    """

    source: str
    trade_id: str
    leg: int = 0
    version: int = 1
    action: str = "new"
    ts: int = 0
    source_seq: int = 0
    instrument: str = ""
    desk: str = ""
    dealer: str = ""
    side: str = "buy"
    quantity: int = 0
    price: int = 0
    fees: int = 0
    fees_currency: str = ""
    value_date: str = ""
    trade_date: str = ""
    booked_ts: int | None = None
    contra_amount: int | None = None
    legs: int | None = None
    received_ts: int = 0
    signed_quantity: int = 0
    cash: int = 0
    fill_price: float = 0.0

    @property
    def identity(self) -> Identity:
        return Identity(self.source, self.trade_id, self.leg)

    def same_economics(self, other: "Trade") -> bool:
        """Whether another delivery of this identity and version is a duplicate, not a conflict (ACCOUNTING section 2).

        Compares every column but `booked_ts` and those that the engine adds; for a cancel only the action.
        """
        if self.action == "cancel" or other.action == "cancel":
            return self.action == other.action
        return economics(self) == economics(other)


class Attributes(NamedTuple):
    """What a trade carries outside its economics, "" where it says nothing. No number depends on it."""

    counterparty: str = ""
    account: str = ""
    broker: str = ""
    order_id: str = ""
    strategy: str = ""
    comment: str = ""


NO_ATTRIBUTES = Attributes()

EXERCISE_SOURCE = "exercise"
"""The source of the trades that book what became of an option after its cut (`engine.exercise`)."""


class AttributedTrade(Trade, frozen=True, gc=False):
    """A trade on its way to the store, with attributes. The engine gets it without them (`without_attributes`).

    The store keeps the attributes and answers for them: a million trades in memory need none.
    """

    attributes: Attributes = NO_ATTRIBUTES


def attributes_of(trade: Trade) -> Attributes:
    """The attributes of a trade that is not stored yet; none of a trade that was read from the store."""
    return trade.attributes if type(trade) is AttributedTrade else NO_ATTRIBUTES


def with_attributes(trade: Trade, attributes: Attributes) -> Trade:
    """The same trade with attributes; the trade itself where there are none. 1 us."""
    return AttributedTrade(*(*msgspec.structs.astuple(trade), attributes)) if any(attributes) else trade


def without_attributes(trades: Sequence[Trade]) -> Sequence[Trade]:
    """The same trades as the engine keeps them; the same list where none has attributes. 0.03 us each, 1 us for one that has."""
    if AttributedTrade not in set(map(type, trades)):
        return trades
    return [Trade(*msgspec.structs.astuple(one)[:-1]) if type(one) is AttributedTrade else one for one in trades]


def economics(trade: Trade) -> tuple[object, ...]:
    """The columns that must be equal in two deliveries of one version; of a forward the pair and its value date."""
    is_dated = trade.value_date and trade.instrument.endswith(trade.value_date)
    return (
        trade.action,
        trade.ts,
        trade.source_seq,
        trade.instrument[: -len(trade.value_date) - 1] if is_dated else trade.instrument,
        trade.desk,
        trade.dealer,
        trade.side,
        trade.quantity,
        trade.price,
        trade.fees,
        trade.fees_currency,
        trade.value_date,
        trade.trade_date,
        trade.contra_amount,
        trade.legs,
    )


def order_key(trade: Trade) -> tuple[int, int, str, str, int]:
    """The sort key of a trade among those of its position: by the fields of its source, never by arrival."""
    return (trade.ts, trade.source_seq, trade.source, trade.trade_id, trade.leg)


def cash_and_fill_price(sign: int, quantity: int, price: int, contra_amount: int | None, multiplier: int) -> tuple[int, float]:
    """A trade's change of net cash (exact, units of 1e-28) and the price of its fill (nearest double).

    `sign` is 1 for a buy and -1 for a sell; `quantity` > 0, `price` and `contra_amount` are in units of 1e-10,
    `multiplier` in units of 1e-8. A contra_amount is the exact cash and replaces quantity x price.
    """
    if contra_amount is None:
        return -sign * quantity * price * multiplier, price / ONE
    return -sign * contra_amount * CASH_PER_ONE, contra_amount * 10**MULTIPLIER_DECIMALS / (multiplier * quantity)


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """An opening balance of (desk, dealer, instrument): a position brought forward, not a trade.

    `quantity` is signed, in units of 1e-10; `average_price`, `realised` and `fees` too (in the instrument's currency).
    """

    desk: str
    instrument: str
    ts: int
    quantity: int
    dealer: str = ""
    average_price: int = 0
    realised: int = 0
    fees: int = 0


# -- prices --------------------------------------------------------------------------------------------------------


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One price message. An absent side is None; `mid` stands for both sides."""

    instrument: str
    ts: int
    bid: float | None = None
    ask: float | None = None
    mid: float | None = None
    source: str = ""


class StoredMark(msgspec.Struct, frozen=True, gc=False):
    """The last mark of an instrument in the store, from `load marks` or the engine, which saves changed marks once a second.

    `kind` is `quote` (a mid) or `one_sided`; the next one-sided quote depends on it.
    """

    instrument: str
    ts: int
    price: float
    source: str = ""
    kind: str = "quote"


class Close(msgspec.Struct, frozen=True, gc=False):
    """An official closing price: the mark of an instrument without a newer price."""

    date: str
    instrument: str
    price: float


# -- answers and decisions -----------------------------------------------------------------------------------------


CONFLICT_REASON = "another trade with the same identity and version was stored first; that one counts"
"""The reason of a conflict, in answers, files and the work list."""


class Refusal(msgspec.Struct, frozen=True):
    """Why one item of a batch was refused: its place in the batch, the field and the reason, for the sender.

    Of a trade also its source and its number there, as far as they could be read: the number has come.
    """

    index: int
    field: str
    reason: str
    source: str | None = None
    source_seq: int = 0

    @property
    def text(self) -> str:
        """The field, if there is one, and the reason."""
        return f"{self.field}: {self.reason}" if self.field else self.reason


class Verdict(msgspec.Struct, frozen=True):
    """A person's decision on an exception: `accept`, `reject`, or empty for only a comment. The newest verdict counts."""

    id: str
    verdict: str = ""
    comment: str = ""
    actor: str = ""
    ts: int = 0


class Notice(msgspec.Struct, frozen=True):
    """What the engine noticed about one version of a trade when it came: `late`, `off_market` or `possible_duplicate`.

    Stored then, because a mark of the moment decided it. `id` is that of the exception; `detail` is a JSON object.
    """

    id: str
    kind: str
    ts: int
    reason: str
    detail: str
    source: str
    trade_id: str
    leg: int
    version: int


# -- positions and samples -----------------------------------------------------------------------------------------


Key = tuple[str, str, str]
"""Roll-up ("node" or "dealer"), owner, instrument; an empty instrument stands for all that the owner holds."""

MEASURES = (
    "total_pnl",
    "realised_pnl",
    "unrealised_pnl",
    "fees",
    "net_exposure",
    "gross_exposure",
    "day_pnl",
    "nav",
)
"""The sampled fields of a row of a node or dealer, in the reporting currency. A stored sample names its own: older have fewer."""


NO_AMOUNTS: FloatArray = np.empty((len(MEASURES), 0))
NO_AMOUNTS.flags.writeable = False


class Sample(NamedTuple):
    """The sampled fields of nodes and dealers at one moment.

    `amounts` has shape (MEASURES, nodes), `of_dealers` (MEASURES, dealers). Samples from before dealers were sampled have none.
    """

    ts: int
    epoch: int
    seq: int
    nodes: tuple[str, ...]
    amounts: FloatArray
    dealers: tuple[str, ...] = ()
    of_dealers: FloatArray = NO_AMOUNTS
