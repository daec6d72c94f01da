"""Bodies of every kind of record: decoded, then each item checked. What is accepted says what was sent, no more and no less."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from riskengine.errors import InputError
from riskengine.market.quote_book import QuoteBook
from riskengine.records.actions import ActionInput, check_action
from riskengine.records.calendars import CalendarInput, check_calendar
from riskengine.records.cash import CarryInput, CashInput, EntryCheck
from riskengine.records.decode import TradeInput, decode_ticks, decode_trades, open_items
from riskengine.records.fields import Rejected, to_text
from riskengine.records.limits import LimitCheck, LimitInput
from riskengine.records.manual_marks import check_manual_mark, decode_marks
from riskengine.records.margin_rules import MarginRuleCheck, MarginRuleInput
from riskengine.records.option_input_checks import GreeksInput, OptionInputCheck, RateInput, VolInput
from riskengine.records.reference import trade_check
from riskengine.records.reference_input import (
    CloseInput,
    InstrumentInput,
    MarkInput,
    NodeInput,
    OpeningInput,
    check_close,
    check_instrument,
    check_mark,
    check_node,
    check_opening,
)
from riskengine.records.scenario_shifts import ScenarioShiftCheck, ScenarioShiftInput
from riskengine.records.types import Refusal, Trade
from tests.fuzz.house import house, sound_rows
from tests.fuzz.mutation import Draw
from tests.fuzz.rules import Violation, refusal, rejected, unreadable
from tests.world import NOON, SECOND, mark_settings

FUTURE_LIMIT_S = 60.0
BOOK_LASTS = 2_000
"""Ticks that one book of quotes takes before it is made anew."""


class Kind(NamedTuple):
    """How one kind of body is decoded, and how an item of it is checked."""

    decode: Callable[[bytes], Sequence[Any]]
    check: Callable[[Any], Any]
    fields: tuple[str, ...] = ()


def _opened(into: Any) -> Callable[[bytes], Sequence[Any]]:
    return lambda body: list(open_items(body, into))


def kinds() -> dict[str, Kind]:
    """Every kind of record by the name of its template."""
    where = house()
    instruments, hierarchy = where.by_symbol, where.hierarchy
    trades = trade_check(where)
    entries = EntryCheck(trades)
    inputs = OptionInputCheck(instruments, FUTURE_LIMIT_S)
    limits = LimitCheck(hierarchy, instruments, where.currencies)
    margin, shifts = MarginRuleCheck(hierarchy), ScenarioShiftCheck(instruments, ("covid",))
    checks: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "cash": (CashInput, lambda sent: entries.cash(sent, NOON)),
        "carry": (CarryInput, lambda sent: entries.carry(sent, NOON)),
        "actions": (ActionInput, lambda sent: check_action(sent, instruments, NOON)),
        "closes": (CloseInput, lambda sent: check_close(sent, instruments)),
        "marks": (MarkInput, lambda sent: check_mark(sent, instruments)),
        "vols": (VolInput, lambda sent: inputs(sent, NOON)),
        "rates": (RateInput, lambda sent: inputs(sent, NOON)),
        "greeks": (GreeksInput, lambda sent: inputs(sent, NOON)),
        "limits": (LimitInput, lambda sent: limits(sent, NOON, "ann")),
        "margin": (MarginRuleInput, lambda sent: margin(sent, NOON, "ann")),
        "scenarios": (ScenarioShiftInput, shifts),
        "calendars": (CalendarInput, check_calendar),
        "nodes": (NodeInput, check_node),
        "instruments": (InstrumentInput, check_instrument),
        "positions": (OpeningInput, lambda sent: check_opening(sent, instruments)),
    }
    found = {name: Kind(_opened(into), check, into.__struct_encode_fields__) for name, (into, check) in checks.items()}
    found["trades"] = Kind(decode_trades, lambda sent: as_sent(sent, trades(sent, NOON, "http")), TradeInput.__struct_fields__)
    found["manual_marks"] = Kind(
        decode_marks, lambda sent: check_manual_mark(sent, instruments, NOON, 60 * SECOND, "ann"), ("currency", "expires_ts")
    )
    found["ticks"] = Kind(decode_ticks, Quotes(), ("bid", "ask", "mid", "source"))
    return found


class Quotes:
    """The rules of marks, which check ticks: a book that forgets now and then."""

    def __init__(self) -> None:
        self._left = 0
        self._book: QuoteBook

    def __call__(self, sent: Any) -> None:
        """Offer one tick. Raises Rejected with the reason for which the book refused it."""
        if not self._left:
            self._book, self._left = QuoteBook(house(), mark_settings(), FUTURE_LIMIT_S), BOOK_LASTS
        self._left -= 1
        for refused in self._book.offer([sent], NOON):
            raise Rejected(refused.field, refused.reason)
        if self._left % 50 == 0:
            self._book.take()


def as_sent(sent: TradeInput, trade: Trade) -> Trade:
    """The trade. Raises Violation where an accepted one is another than was sent."""
    named = {field: getattr(sent, field) for field in ("trade_id", "leg", "desk", "side", "instrument", "dealer", "action")}
    if trade.action != "cancel":
        for field, value in named.items():
            if getattr(trade, field) != value:
                raise Violation(f"{field}: {value!r} was sent, and {getattr(trade, field)!r} is in the trade")
        if sent.quantity is None or Decimal(to_text(trade.quantity)) != sent.quantity:
            raise Violation(f"quantity: {sent.quantity!r} was sent, and {to_text(trade.quantity)} is in the trade")
        if not sent.currency and Decimal(to_text(trade.price)) != sent.price:
            raise Violation(f"price: {sent.price!r} was sent, and {to_text(trade.price)} is in the trade")
        if (sent.contra_amount is None) != (trade.contra_amount is None):
            raise Violation("an exact amount came or went")
    return trade


class Records:
    """Bodies of one kind."""

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self._kind = kind
        self._rows = sound_rows(name)

    def draw(self, draw: Draw) -> bytes:
        """One record or a few, JSON."""
        if draw.chance(0.02):
            return draw.written(draw.value(dict(draw.pick(self._rows))))
        return draw.written(draw.some(lambda: draw.record(draw.pick(self._rows), self._kind.fields)))

    def check(self, data: bytes) -> str:
        """Decode a body and check its items."""
        try:
            items = self._kind.decode(data)
        except InputError as error:
            return unreadable(error)
        last = "empty"
        for place, item in enumerate(items):
            if isinstance(item, Refusal):
                if item.index != place:
                    raise Violation(f"item {place} is refused as item {item.index}")
                last = refusal(item)
                continue
            try:
                self._kind.check(item)
                last = "accepted"
            except Rejected as error:
                last = rejected(error)
        return last


def targets() -> list[Records]:
    """A door for every kind."""
    return [Records(name, kind) for name, kind in kinds().items()]
