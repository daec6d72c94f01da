"""Why the P&L of an owner moved between two instants, line by line (ACCOUNTING section 9). Pure; any thread.

With 0 the first instant and 1 the last, k the multiplier, m marks, X rates of the cash currency, P0 the total that was known at
the first, and q0, C0, T0 = C0 + k q0 m0 the same as it is known at the last, of each instrument:

    price        k q0 (m1 - m0) X1                 translation  T0 (X1 - X0)
    trades       (C1 - C0 - carry + k (q1 - q0) m1) X1    corrections  (T0 - P0) X0
    carry        carry X1                          fees         F0 X0 - F1 X1

Amounts beside net cash count at their own rates: what came since as carry. Of an option the price line is 0, and its move stands
in delta, gamma, vega and theta, a second-order step from the Greeks at 0; `unexplained` is what they leave.

All of it is exact: marks and rates are the shortest decimals of their doubles, everything after that is a sum of products. So the
lines sum to the change of the total to the last digit, changes of neighbouring spans sum to the change of both, and of what is no
option nothing is left unexplained.
"""

import math
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from typing import NamedTuple, Protocol

from riskengine.positions.adjustments import CloseChanges, scaled
from riskengine.positions.position import NO_FEES
from riskengine.records.actions import NO_RATIO, Ratio
from riskengine.records.types import CASH_DECIMALS, DECIMALS, MULTIPLIER_DECIMALS, OPTION_KINDS, Instrument

EXACT = Context(prec=4_000, traps=[Inexact, InvalidOperation])
"""Sums and products of decimals, which end with an error where they would have to round."""

LINES = (
    "price",
    "delta",
    "gamma",
    "vega",
    "theta",
    "trades",
    "carry",
    "translation",
    "corrections",
    "unpriced",
    "unexplained",
)
"""The lines whose sum is the change of `total_pnl`; with `fees` they sum to that of `net_pnl`."""
GREEKS = ("delta", "gamma", "vega", "theta")
NET_LINES = (*LINES, "fees")

NOTHING = Decimal(0)
PERCENT_OF_VOL = 100.0
DAYS_A_YEAR = 365.0
DAY_US = 86_400 * 1_000_000


class HeldThen(NamedTuple):
    """What an owner had of one instrument, as far as it is known. Units of 1e-10, cash, carry and beside of 1e-28.

    carry    the part of `cash` that is carry, counted from the same moment at both ends of a span
    beside   amounts beside net cash, by currency            fees   by currency
    unknown  positions whose worth is not known: without a price or a rate; their amounts are left out
    aside    positions that are set aside, which are left out too
    """

    quantity: int = 0
    cash: int = 0
    carry: int = 0
    beside: Mapping[str, int] = NO_FEES
    fees: Mapping[str, int] = NO_FEES
    positions: int = 0
    unknown: int = 0
    aside: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it is worth nothing at any price."""
        return not (self.quantity or self.cash or self.beside)


NOT_HELD = HeldThen()


class OptionPoint(NamedTuple):
    """One unit of base of an option where a span begins: raw derivatives, vega per 1.00 of vol and theta per year, and inputs."""

    value: float
    delta: float
    gamma: float
    vega: float
    theta: float
    spot: float
    vol: float
    ts: int
    cut_ts: int


class PricesThen(Protocol):
    """The market of one instant; None where it is unknown."""

    def price(self, symbol: str) -> float | None:
        """The mark, in the instrument's cash currency."""
        ...

    def rate(self, symbol: str) -> float | None:
        """The rate of the instrument's cash currency."""
        ...

    def currency(self, code: str) -> float | None:
        """The rate of a currency as amounts beside cash and fees take it."""
        ...


class HeldSide(NamedTuple):
    """What one owner had, by instrument, in a market."""

    held: Mapping[str, HeldThen]
    prices: PricesThen

    def of(self, symbol: str) -> HeldThen:
        """What it had of one."""
        return self.held.get(symbol, NOT_HELD)


class SpanBegin(NamedTuple):
    """The first instant: as it was known then, and as it is known at the last one; both by the names and units of then."""

    known: HeldSide
    restated: HeldSide
    options: Mapping[str, OptionPoint]


class OptionsNow(Protocol):
    """Spot and vol of an option at the last instant, nan where unknown, and the time of that instant."""

    def spot_and_vol(self, symbol: str) -> tuple[float, float]: ...
    @property
    def ts(self) -> int: ...


class SpanEnd(NamedTuple):
    """The last instant. `changes` are those of corporate actions that came into force since the first."""

    known: HeldSide
    options: OptionsNow
    changes: CloseChanges


class ExplainedRow(NamedTuple):
    """The lines of one instrument, by name in `lines`, None where unknown; 0 is known to be 0.

    begin, end          what was held, and at which mark and rate (None: unknown)
    opening, closing    what it was worth, total P&L in the reporting currency, as far as it is known
    reason              why Greeks or `unpriced` stand where they do, else ""
    """

    instrument: str
    begin: HeldThen
    end: HeldThen
    marks: tuple[float | None, float | None]
    rates: tuple[float | None, float | None]
    lines: Mapping[str, Decimal | None]
    opening: Decimal
    closing: Decimal
    fees: tuple[Decimal, Decimal]
    reason: str

    @property
    def change(self) -> Decimal | None:
        """The change of the total P&L; None where nothing of it is known."""
        if all(self.lines[line] is None for line in LINES):
            return None
        return EXACT.subtract(self.closing, self.opening)


class Worth(NamedTuple):
    """What an owner was worth at one instant: total P&L and fees as far as known, and of how many positions they are not.

    total, fees are None where there are positions and none is known.
    """

    total: Decimal | None
    fees: Decimal | None
    positions: int
    unknown: int

    @property
    def net(self) -> Decimal | None:
        """Total P&L after fees."""
        return None if self.total is None or self.fees is None else EXACT.subtract(self.total, self.fees)


class Explained(NamedTuple):
    """The answer: a row for each instrument that was held or has moved, by name, and the sums of their lines."""

    rows: tuple[ExplainedRow, ...]
    lines: Mapping[str, Decimal | None]
    begin: Worth
    end: Worth


def number(amount: float | None) -> Decimal:
    """The shortest decimal of a double; 0 for what is unknown and multiplies nothing."""
    return NOTHING if amount is None else Decimal(repr(float(amount)))


def explain(
    begin: SpanBegin, end: SpanEnd, instruments: Mapping[str, Instrument], rest: Callable[[], None] = lambda: None
) -> Explained:
    """Explain the change from one instant to another. 0.1 ms an instrument; `rest` is called after each."""
    rows = []
    for symbol, now in _pairs(begin, end):
        with localcontext(EXACT):
            rows.append(_row(symbol, now, begin, end, instruments))
        rest()
    with localcontext(EXACT):
        rows.sort(key=lambda row: row.instrument)
        sums: dict[str, Decimal | None] = {name: _sum(rows, name) for name in NET_LINES}
        worth = [
            _worth(rows, [row.opening for row in rows], [row.fees[0] for row in rows], [row.begin for row in rows]),
            _worth(rows, [row.closing for row in rows], [row.fees[1] for row in rows], [row.end for row in rows]),
        ]
    return Explained(tuple(rows), sums, *worth)


def _pairs(begin: SpanBegin, end: SpanEnd) -> list[tuple[str, HeldThen]]:
    """The instruments of a span as they are named where it begins, each with what was held of it in the end.

    Where a name was given up for one that was held too, the latter has all of it, and of the former nothing was left.
    """
    renamed = end.changes.renamed
    symbols = sorted({*begin.known.held, *begin.restated.held})
    left = dict(end.known.held)
    pairs = [(symbol, left.pop(symbol, NOT_HELD)) for symbol in symbols if symbol not in renamed]
    pairs += [(symbol, left.pop(renamed[symbol], NOT_HELD)) for symbol in symbols if symbol in renamed]
    return pairs + sorted(left.items())


def _sum(rows: list[ExplainedRow], name: str) -> Decimal | None:
    """The sum of what is known of a line; None where nothing is, and something should be."""
    known = [amount for row in rows if (amount := row.lines[name]) is not None]
    return None if rows and not known else sum(known, NOTHING)


def _worth(rows: list[ExplainedRow], totals: list[Decimal], fees: list[Decimal], held: list[HeldThen]) -> Worth:
    positions, unknown = sum(each.positions for each in held), sum(each.unknown + each.aside for each in held)
    if positions and unknown >= positions:
        return Worth(None, None, positions, unknown)
    return Worth(sum(totals, NOTHING), sum(fees, NOTHING), positions, unknown)


class _Amounts(NamedTuple):
    """What one side had of an instrument, in decimals: `worth` is k q m, in the cash currency."""

    quantity: Decimal
    cash: Decimal
    carry: Decimal
    worth: Decimal
    beside: Mapping[str, Decimal]

    @classmethod
    def of(cls, held: HeldThen, multiplier: Decimal, price: float | None) -> "_Amounts":
        quantity = Decimal(held.quantity).scaleb(-DECIMALS)
        return cls(
            quantity,
            Decimal(held.cash).scaleb(-CASH_DECIMALS),
            Decimal(held.carry).scaleb(-CASH_DECIMALS),
            multiplier * quantity * number(price),
            {code: Decimal(units).scaleb(-CASH_DECIMALS) for code, units in held.beside.items()},
        )

    @property
    def total(self) -> Decimal:
        """T in the cash currency."""
        return self.cash + self.worth

    def in_reporting(self, rate: Decimal, prices: PricesThen) -> Decimal:
        """The total P&L."""
        return self.total * rate + sum((amount * number(prices.currency(code)) for code, amount in self.beside.items()), NOTHING)


def _row(symbol: str, now: HeldThen, begin: SpanBegin, end: SpanEnd, instruments: Mapping[str, Instrument]) -> ExplainedRow:
    """The row of what is named `symbol` where the span begins, under the name that it has at the end."""
    name = end.changes.renamed.get(symbol, symbol)
    ratio = end.changes.ratios.get(symbol, NO_RATIO)
    was, held = begin.known.of(symbol), begin.restated.of(symbol)
    multiplier = Decimal(instruments[name].contract_multiplier).scaleb(-MULTIPLIER_DECIMALS)
    first, before, last = begin.known.prices, begin.restated.prices, end.known.prices
    rates = first.rate(symbol), last.rate(name)
    published = _Amounts.of(was, multiplier, first.price(symbol))
    restated = _Amounts.of(held, multiplier, before.price(symbol))
    closing = _Amounts.of(now, multiplier, last.price(name))
    opening_pnl, closing_pnl = published.in_reporting(number(rates[0]), first), closing.in_reporting(number(rates[1]), last)
    reason = _unknown_reason((was, held, now), (symbol, name), begin, end)
    if reason:
        lines: dict[str, Decimal | None] = dict.fromkeys(LINES)
        lines["unpriced"] = None if _is_nothing_known(was, now) else closing_pnl - opening_pnl
    else:
        carried = scaled(held.quantity, ratio.new, ratio.old) if ratio != NO_RATIO else held.quantity
        span = _Span(published, restated, closing, Decimal(carried).scaleb(-DECIMALS), multiplier)
        lines = _lines(span, number(rates[0]), number(rates[1]), first, last, number(last.price(name)))
        if instruments[name].kind in OPTION_KINDS:
            reason = _move_to_greeks(lines, span, begin.options.get(symbol), (name, ratio), end, instruments[name])
    fees = _fees(was, first), _fees(now, last)
    lines["fees"] = fees[0] - fees[1]
    marks = first.price(symbol), last.price(name)
    return ExplainedRow(name, was, now, marks, rates, lines, opening_pnl, closing_pnl, fees, reason)


def _is_nothing_known(was: HeldThen, now: HeldThen) -> bool:
    """Whether positions were held, and of none of them anything is known at either end: their change is unknown, not 0."""
    sides = [each for each in (was, now) if each.positions]
    return bool(sides) and all(each.unknown + each.aside >= each.positions for each in sides)


def _fees(held: HeldThen, prices: PricesThen) -> Decimal:
    """Fees in currencies that have a rate."""
    return sum((Decimal(units).scaleb(-DECIMALS) * number(prices.currency(code)) for code, units in held.fees.items()), NOTHING)


def _unknown_reason(held: tuple[HeldThen, HeldThen, HeldThen], names: tuple[str, str], begin: SpanBegin, end: SpanEnd) -> str:
    """Why the lines of an instrument cannot be told apart; "" where they can."""
    was, restated, now = held
    symbol, name = names
    if was.unknown or restated.unknown or now.unknown:
        return "positions without a price or a rate"
    if was.aside != now.aside:
        return "positions were set aside or repaired"
    if not (was.is_empty and restated.is_empty) and begin.known.prices.rate(symbol) is None:
        return "no rate at the beginning"
    if not (was.is_empty and restated.is_empty and now.is_empty) and end.known.prices.rate(name) is None:
        return "no rate at the end"
    if (was.quantity and begin.known.prices.price(symbol) is None) or (
        restated.quantity and begin.restated.prices.price(symbol) is None
    ):
        return "no price at the beginning"
    if (restated.quantity or now.quantity) and end.known.prices.price(name) is None:
        return "no price at the end"
    sides = ((begin.known.prices, was.beside), (begin.known.prices, restated.beside))
    everywhere = {*was.beside, *restated.beside, *now.beside}
    missing = [code for prices, beside in sides for code in beside if prices.currency(code) is None]
    missing += [code for code in everywhere if end.known.prices.currency(code) is None]
    return f"no rate of {missing[0]}" if missing else ""


class _Span(NamedTuple):
    """The two ends in decimals; `carried` is the quantity at the first, restated, in the units of the last."""

    published: _Amounts
    restated: _Amounts
    closing: _Amounts
    carried: Decimal
    multiplier: Decimal


def _lines(
    span: _Span, before: Decimal, rate: Decimal, first: PricesThen, last: PricesThen, mark: Decimal
) -> dict[str, Decimal | None]:
    """The lines of an instrument of which everything is known. They sum to the change by algebra, whatever went in."""
    published, restated, closing, carried, multiplier = span
    carry = closing.carry - restated.carry
    traded = closing.cash - restated.cash - carry + multiplier * (closing.quantity - carried) * mark
    lines: dict[str, Decimal | None] = dict.fromkeys(LINES, NOTHING)
    beside_carry = beside_moved = beside_corrected = NOTHING
    for code in sorted({*published.beside, *restated.beside, *closing.beside}):
        was, held, now = (each.beside.get(code, NOTHING) for each in (published, restated, closing))
        old, new = number(first.currency(code)), number(last.currency(code))
        beside_carry += (now - held) * new
        beside_moved += held * (new - old)
        beside_corrected += (held - was) * old
    lines["price"] = (multiplier * carried * mark - restated.worth) * rate
    lines["trades"] = traded * rate
    lines["carry"] = carry * rate + beside_carry
    lines["translation"] = restated.total * (rate - before) + beside_moved
    lines["corrections"] = (restated.total - published.total) * before + beside_corrected
    return lines


def _move_to_greeks(
    lines: dict[str, Decimal | None],
    span: _Span,
    point: OptionPoint | None,
    name: tuple[str, Ratio],
    end: SpanEnd,
    instrument: Instrument,
) -> str:
    """Tell the price line of an option apart. Returns why a part of it is unknown, else ""."""
    move = lines["price"] or NOTHING
    lines["price"] = NOTHING
    quantity = span.restated.quantity
    if not quantity:
        lines["unexplained"] = move
        return ""
    parts: dict[str, float | None] = dict.fromkeys(GREEKS)
    reason = "no Greeks at the beginning"
    if point is not None:
        rate = end.known.prices.rate(name[0])
        lots = float(quantity) * instrument.multiplier / 10**MULTIPLIER_DECIMALS * (0.0 if rate is None else rate)
        parts, reason = _greek_lines(point, lots, name, end.options, instrument)
    found = {greek: None if amount is None else number(amount) for greek, amount in parts.items()}
    lines.update(found)
    lines["unexplained"] = move - sum((amount for amount in found.values() if amount is not None), NOTHING)
    return reason


def _greek_lines(
    point: OptionPoint, lots: float, name: tuple[str, Ratio], now: OptionsNow, instrument: Instrument
) -> tuple[dict[str, float | None], str]:
    """What each Greek explains, in the reporting currency, and why one is unknown; `lots` is k q X.

    An option whose premium is in its base currency is worth V / S of it: its derivatives are those of V / S.
    """
    symbol, ratio = name
    spot, vol = now.spot_and_vol(symbol)
    delta, gamma, vega, theta = point.delta, point.gamma, point.vega, point.theta
    at = point.spot
    if instrument.base_currency and instrument.currency == instrument.base_currency:
        worth = point.value / at
        gamma = gamma / at - 2.0 * delta / at**2 + 2.0 * worth / at**2
        delta, vega, theta = (delta - worth) / at, vega / at, theta / at
    lines: dict[str, float | None] = dict.fromkeys(GREEKS, None)
    step = spot * ratio.new / ratio.old - at
    if math.isfinite(step):
        lines["delta"], lines["gamma"] = lots * delta * step + 0.0, lots * gamma * step * step / 2.0 + 0.0
    if math.isfinite(vol - point.vol):
        lines["vega"] = lots * vega * (vol - point.vol) + 0.0
    until = min(now.ts, max(point.ts, point.cut_ts)) if point.cut_ts else now.ts
    lines["theta"] = lots * theta * (until - point.ts) / DAY_US / DAYS_A_YEAR + 0.0
    lines = {greek: amount if amount is None or math.isfinite(amount) else None for greek, amount in lines.items()}
    missing = [greek for greek, amount in lines.items() if amount is None]
    return lines, f"no {' and '.join(missing)}: spot or vol is unknown" if missing else ""
