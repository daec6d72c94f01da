"""Makes the trades that book what becomes of an option after its cut: exercise, assignment, abandonment, cash settlement.

Of each (desk, dealer) that holds the option one deal: its quantity closed at 0 and, where it is exercised for delivery, the
underlying dealt at the strike, as a second leg of the same trade_id; in cash its quantity closed at what the option holds.
Trades are of the time of the cut, so that they settle as the exercise does (of that of a balance of their position, where that is
younger). Booking changes no value while the spot stands still. Writer thread.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

from msgspec import structs

from riskengine.errors import Frozen, InputError
from riskengine.market.spot_dates import SpotDates
from riskengine.positions.adjusted import AdjustedPosition
from riskengine.positions.adjustments import Adjustments
from riskengine.positions.ledger import Ledger
from riskengine.positions.position import Position
from riskengine.records.decode import TradeCheck, TradeInput
from riskengine.records.fields import MAX_TEXT, Rejected
from riskengine.records.reference import Reference
from riskengine.records.types import (
    EXERCISE_SOURCE,
    MULTIPLIER_DECIMALS,
    ONE,
    Instrument,
    Key,
    Kind,
    Trade,
)
from riskengine.snapshot.expired_options import ASSIGN, EXERCISE, SETTLE, action_on
from riskengine.valuation.options.book import OptionBook
from riskengine.valuation.options.netting import NOT
from riskengine.valuation.options.values import EXPIRED, HELD_DECIMALS


class OptionHolding(NamedTuple):
    """An open quantity (signed, units of 1e-10) of an expired option. `booked`: deals of `EXERCISE_SOURCE` that it has had."""

    desk: str
    dealer: str
    quantity: int
    booked: int


class ExerciseInputs(NamedTuple):
    """What trades are made from: the state of an engine, on its thread. `openings` are times of balances by holder and name."""

    reference: Reference
    ledger: Ledger
    options: OptionBook
    adjustments: Adjustments | None
    openings: Mapping[tuple[str, str, str], int]
    spot_dates: SpotDates
    check: TradeCheck


class ExerciseDecision(NamedTuple):
    """Whether what is suggested is done, or its opposite; by whom, when (microseconds)."""

    accepts: bool
    author: str
    ts: int


def exercise_trades(around: ExerciseInputs, symbol: str, decision: ExerciseDecision) -> list[Trade]:
    """The trades of all holders of an expired option; none where nobody holds it any more. O(trades in it).

    Raises InputError where they cannot be made, Frozen where trades must be recalled first.
    """
    values, place = around.options.values, around.options.terms.place.get(symbol)
    if values is None or place is None or values.state[place] != EXPIRED:
        raise InputError(f"{symbol} is no option that has expired")
    terms = around.options.terms
    is_cash, in_money = bool(terms.is_cash[place]), bool(values.in_money[place])
    if not values.has_delta[place] and (is_cash or decision.accepts):
        raise InputError(f"{symbol}: {values.reason[place] or 'its value is unknown'}")
    number = terms.number.item(place)
    made: list[Trade] = []
    for holding in holdings(around, number):
        done = action_on(quantity=holding.quantity, in_money=in_money == decision.accepts, is_cash=is_cash)
        price = Decimal(repr(round(values.price.item(place), HELD_DECIMALS))) if done == SETTLE else Decimal(0)
        made += _deal(around, place, holding, done, price, decision)
    return made


def holdings(around: ExerciseInputs, number: int) -> Iterator[OptionHolding]:
    """Who holds an instrument, by desk and dealer, in the order of the tree. Raises InputError, Frozen."""
    reference, ledger = around.reference, around.ledger
    frozen: list[Key] = []
    held: list[tuple[str, Position]] = []
    for owner, book in enumerate(ledger.organisation.books):
        position = book.positions.get(number)
        if position is None or (not position.quantity and not position.quarantined):
            continue
        desk, symbol = reference.hierarchy.names[owner], reference.symbols[number]
        if position.quarantined:
            raise InputError(f"the position of {desk} in {symbol} is set aside: repair it first")
        if position.is_frozen:
            frozen.append(("node", desk, symbol))
        held.append((desk, position))
    if frozen:
        raise Frozen(frozen)
    for desk, position in held:
        yield from _by_dealer(desk, position)


def _by_dealer(desk: str, position: Position) -> Iterator[OptionHolding]:
    quantities: dict[str, int] = {}
    booked: dict[str, int] = {}
    for opening in position.openings:
        signed = position.terms.fold_opening(opening)[0] if isinstance(position, AdjustedPosition) else opening.quantity
        quantities[opening.dealer] = quantities.get(opening.dealer, 0) + signed
    for trade in position.folded_trades():
        quantities[trade.dealer] = quantities.get(trade.dealer, 0) + trade.signed_quantity
        booked[trade.dealer] = booked.get(trade.dealer, 0) + (trade.source == EXERCISE_SOURCE)
    assert sum(quantities.values()) == position.quantity, "the holdings of dealers add up to that of their desk"
    for dealer, quantity in sorted(quantities.items()):
        if quantity:
            yield OptionHolding(desk, dealer, quantity, booked.get(dealer, 0))


def _deal(
    around: ExerciseInputs,
    place: int,
    holding: OptionHolding,
    done: str,
    price: Decimal,
    decision: ExerciseDecision,
) -> Iterator[Trade]:
    """The legs of one holder's deal."""
    option = around.reference.instruments[around.options.terms.number.item(place)]
    delivers = done in (EXERCISE, ASSIGN)
    word = "accepted" if decision.accepts else "rejected"
    closing = TradeInput(
        trade_id=_trade_id(option.instrument, holding),
        source=EXERCISE_SOURCE,
        instrument=option.instrument,
        desk=holding.desk,
        dealer=holding.dealer,
        side="sell" if holding.quantity > 0 else "buy",
        quantity=Decimal(abs(holding.quantity)) / ONE,
        price=price,
        legs=2 if delivers else None,
        comment=f"{done} of {option.instrument}, {word} by {decision.author}",
        store_seq=0,  # as a row of an engine: no sender may use its source, and no unit of a source moves its price
    )
    yield _checked(around, closing, option, place, decision.ts)
    if delivers:
        underlying, delivery = _delivery(around, place, option, holding, closing)
        yield _checked(around, delivery, underlying, place, decision.ts)


def _delivery(
    around: ExerciseInputs, place: int, option: Instrument, holding: OptionHolding, closing: TradeInput
) -> tuple[Instrument, TradeInput]:
    """The leg in the underlying: bought by who holds calls or is short of puts, at the strike."""
    terms = around.options.terms
    spot = terms.spot.item(place)
    if spot == NOT:
        pair = option.base_currency + option.quote_currency
        raise InputError(f"{option.instrument}: no instrument quotes {pair}, in which its exercise could be booked: load one")
    underlying = around.reference.instruments[spot]
    strike = Decimal(option.strike if around.adjustments is None else around.adjustments.strike(option))
    base = Decimal(abs(holding.quantity) * option.multiplier) / (ONE * 10**MULTIPLIER_DECIMALS)
    buys = (holding.quantity > 0) == (terms.sign[place] > 0.0)
    lot = Decimal(underlying.multiplier) / 10**MULTIPLIER_DECIMALS
    if terms.inverse[place]:  # the quote currency against the base: so much of it, for exactly the base
        quantity, price, contra = base * strike / lot, round(1 / strike, 10), base
        buys = not buys
    else:
        quantity, price, contra = base / lot, strike, None
    sent = structs.replace(
        closing,
        leg=1,
        instrument=underlying.instrument,
        side="buy" if buys else "sell",
        quantity=quantity,
        price=price,
        contra_amount=contra,
    )
    return underlying, sent


def _checked(around: ExerciseInputs, sent: TradeInput, instrument: Instrument, place: int, now: int) -> Trade:
    """The trade at the time of the cut, on a pair with the spot date of then. Raises InputError."""
    opened = around.openings.get((sent.desk, sent.dealer, instrument.instrument), 0)
    sent = structs.replace(sent, ts=max(around.options.terms.expiry_ts.item(place), opened))
    try:
        trade = around.check(sent, now, EXERCISE_SOURCE)
        if instrument.kind is Kind.FX:
            spot_day = around.spot_dates.newest_spot(trade, instrument)
            trade = around.check(structs.replace(sent, value_date=spot_day), now, EXERCISE_SOURCE)
    except Rejected as rejected:
        raise InputError(f"{sent.instrument}: its exercise cannot be booked: {rejected}") from None
    return trade


def _trade_id(symbol: str, holding: OptionHolding) -> str:
    """The same for the same holding, another one for what is left over or comes later."""
    text = ":".join((symbol, holding.desk, holding.dealer, str(holding.booked + 1)))
    return text if len(text) <= MAX_TEXT else blake2b(text.encode(), digest_size=16).hexdigest()
