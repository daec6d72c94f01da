"""What the screens must say, worked out from the rows of the store and the list of true trades. Shares no code with the engine.

Quantities and cash are `Fraction`s of decimal texts; the average price is one double, folded in the order that ACCOUNTING gives.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from tests.simulation.house import RATE_PAIRS, TERMS

FUTURE_US = 60_000_000

COLUMNS = (
    "store_seq, source, trade_id, leg, version, action, ts, source_seq, instrument, desk, dealer, side, quantity, price, fees,"
    " fees_currency, value_date, trade_date, received_ts"
)
READ_TRADES = f"SELECT {COLUMNS} FROM trades ORDER BY store_seq"


class Row(NamedTuple):
    """One stored version of a trade."""

    store_seq: int
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
    received_ts: int

    @property
    def identity(self) -> tuple[str, str, int]:
        return self.source, self.trade_id, self.leg

    @property
    def exception(self) -> str:
        """The name of the exception that it is while it is kept out."""
        return f"quarantined:{self.source}:{self.trade_id}:{self.leg}:{self.version}"

    @property
    def symbol(self) -> str:
        """The instrument of its position: the forward where it names a value date (here never the spot date)."""
        return f"{self.instrument}@{self.value_date}" if self.value_date else self.instrument


class Held(NamedTuple):
    """One position."""

    quantity: Fraction
    cash: Fraction
    average: float | None
    fees: Mapping[str, Fraction]
    trades: int


def counts(row: Row, accepted: Callable[[Row], bool], desks: Iterable[str], day: str) -> bool:
    """Whether a version takes part: readable, not from the future unless a person said so, its day not yet to come."""
    if row.action != "cancel" and (row.desk not in desks or row.instrument not in TERMS):
        return False
    if row.trade_date and row.trade_date > day:
        return False
    return (row.ts or 0) - row.received_ts <= FUTURE_US or accepted(row)


def effective(rows: Iterable[Row], accepted: Callable[[Row], bool], desks: Iterable[str], day: str) -> list[Row]:
    """The highest version of each identity that takes part, unless that is a cancel.

    A trade that a person let in counts as spot, whatever its value date (`positions.quarantine`).
    """
    tops: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        if counts(row, accepted, desks, day):
            top = tops.get(row.identity)
            if top is None or top.version < row.version:
                tops[row.identity] = row
    standing = [row for row in tops.values() if row.action != "cancel"]
    return [row._replace(value_date="") if row.value_date and accepted(row) else row for row in standing]


def fold(rows: Iterable[Row]) -> Held:
    """One position from its trades, by the table of ACCOUNTING section 1."""
    quantity, cash, average = Fraction(0), Fraction(0), None
    fees: dict[str, Fraction] = {}
    ordered = sorted(rows, key=lambda row: (row.ts, row.source_seq, row.source.encode(), row.trade_id.encode(), row.leg))
    for row in ordered:
        terms = TERMS[row.instrument]
        size, price = Fraction(row.quantity or 0), Fraction(row.price or 0)
        change = size if row.side == "buy" else -size
        if quantity == 0:
            average = float(price)
        elif quantity * change > 0:
            assert average is not None
            held, more = float(abs(quantity)), float(size)
            average = (held * average + more * float(price)) / (held + more)
        elif size == abs(quantity):
            average = None
        elif size > abs(quantity):
            average = float(price)
        quantity += change
        cash -= terms.multiplier * change * price
        if Fraction(row.fees or 0):
            currency = row.fees_currency or terms.currency
            fees[currency] = fees.get(currency, Fraction(0)) + Fraction(row.fees)
    return Held(quantity, cash, average, fees, len(ordered))


def positions(rows: Iterable[Row], by: str) -> dict[tuple[str, str], Held]:
    """Positions by (desk or dealer, instrument)."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((getattr(row, by), row.symbol), []).append(row)
    return {key: fold(group) for key, group in grouped.items()}


def rate(currency: str, marks: Mapping[str, float]) -> float | None:
    """What one unit of a currency is in dollars."""
    if currency == "USD":
        return 1.0
    pair, power = RATE_PAIRS[currency]
    price = marks.get(pair)
    return None if price is None else price if power > 0 else 1.0 / price


class Worth(NamedTuple):
    """Amounts in dollars; None where unknown. `scale` measures rounding errors."""

    total: float | None
    unrealised: float | None
    fees: float | None
    scale: float


def worth(symbol: str, held: Held, marks: Mapping[str, float]) -> Worth:
    """What a position comes to. A forward is unpriced here: nobody sends points or rates."""
    instrument, at, _ = symbol.partition("@")
    terms = TERMS[instrument]
    price, cross = marks.get(symbol), rate(terms.currency, marks)
    fees: float | None = 0.0
    for currency, amount in held.fees.items():
        known = rate(currency, marks)
        fees = None if known is None or fees is None else fees + float(amount) * known
    size = float(held.quantity * terms.multiplier)
    if cross is None or (held.quantity and price is None) or at:
        return Worth(None, None, fees, 0.0)
    value = size * (price or 0.0)
    unrealised = 0.0 if held.average is None else size * ((price or 0.0) - held.average)
    scale = abs(value * cross) + abs(float(held.cash) * cross) + 1.0
    return Worth((float(held.cash) + value) * cross, unrealised * cross, fees, scale)


def near(shown: Any, wanted: float | None, scale: float) -> bool:
    """Whether a shown amount is the right one, but for rounding."""
    if shown is None or wanted is None:
        return shown is None and wanted is None
    return abs(float(shown) - wanted) <= 1e-9 * scale + 1e-9
