"""What an owner is exposed to: by currency, sector, instrument or kind (ACCOUNTING section 5). Pure functions of a snapshot.

By currency everything counts: the net open position. A pair posts its two legs, a metal or a crypto the asset against its cash,
every other product its C + k q m in its cash currency, fees what they cost in their own. So the rows sum to total P&L less fees,
and one per cent on a currency is one per cent of its row. Legs are valued at the rates of their currencies. Where a pair's own
mark says something else than the rates of its two currencies, the difference stands in the row of the reporting currency.

By sector, instrument and kind a row is the exposure of a node that would hold this group alone: currency legs without the
reporting currency, and k q m X of products. The rows sum to `net_exposure`; long and short are after netting inside the group.

A row sums what is known; `unpriced_count` counts the positions that it lacks, and its amounts are null if it knows of none.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from riskengine.positions.ledger import Row
from riskengine.records.types import (
    CASH_ONE,
    CASH_PER_ONE,
    MULTIPLIER_DECIMALS,
    ONE,
    OPTION_KINDS,
    Instrument,
    Kind,
)
from riskengine.snapshot.rows import QUANTITY_ONE, RowDict
from riskengine.snapshot.snapshot import Snapshot, dealer_number, node_number

CURRENCY = "currency"
GROUPINGS: Mapping[str, Callable[[Instrument], str]] = {
    "sector": lambda instrument: instrument.sector,
    "instrument": lambda instrument: instrument.instrument,
    "kind": lambda instrument: instrument.kind.value,
}
BY = (CURRENCY, *GROUPINGS)
"""What exposure is broken down by: the name of the field that identifies a row."""

GOLD = "XAU"
ASSET_KINDS = frozenset({Kind.METAL, Kind.CRYPTO})
"""Their base currency, where they name one, is an asset that is held against cash."""
TOP = 5

LEG_SCALE = CASH_ONE // (ONE * 10**MULTIPLIER_DECIMALS)
"""Turns k q in units of 1e-18 into units of 1e-28, those of cash."""


class Exposure(NamedTuple):
    """The rows of one breakdown, by name, and the figures beside them."""

    rows: list[RowDict]
    summary: RowDict


def exposure(snapshot: Snapshot, by: str, *, node: str | None = None, dealer: str | None = None) -> Exposure:
    """The exposure of a node or a dealer (default: the root) by one of `BY`. Raises UnknownName.

    O(instruments held there), about 5 us each, whatever the number of positions below. Any thread.
    """
    lines = _lines(snapshot, node, dealer)
    balances, unpriced, apart = _balances(snapshot, lines)
    currencies = _percents([_balance_row(snapshot, code, balance) for code, balance in sorted(balances.items())])
    rows = currencies
    if by != CURRENCY:
        groups = _groups(snapshot, lines, GROUPINGS[by])
        rows = _percents([{by: name} | group.amounts(snapshot) for name, group in sorted(groups.items())])
        unpriced = sum(row["unpriced_count"] for row in rows)
    summary = _shorthand(snapshot, currencies) | {"quoted_apart": apart, "unpriced_count": unpriced}
    return Exposure(rows, summary | _concentration(snapshot, lines))


# -- what is held ------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """What an owner holds of one instrument.

    size       k q of the positions whose amounts are known
    local      k q m in the cash currency; None where an open position has no price
    value      the same in the reporting currency; None where it has no price or rate
    known      positions whose amounts are known; the `quarantined` ones come on top
    """

    instrument: Instrument
    row: Row
    size: float
    local: float | None
    value: float | None
    known: int
    quarantined: int


def _lines(snapshot: Snapshot, node: str | None, dealer: str | None) -> list[Line]:
    """A line per instrument held, in the order of their names. Raises UnknownName."""
    if dealer is not None:
        table, owner = snapshot.dealers, dealer_number(snapshot, dealer)
    elif node is None and not len(snapshot.reference.hierarchy):
        return []
    else:
        table, owner = snapshot.nodes, 0 if node is None else node_number(snapshot, node)
    units, lines = snapshot.units, []
    price: list[float] = units.price.tolist()
    priced: list[bool] = units.priced.tolist()
    rate: list[float] = units.rate.tolist()
    rated: list[bool] = units.rated.tolist()
    for row in sorted(table.state(owner).positions(), key=lambda row: row.instrument):
        number = row.instrument
        instrument = snapshot.reference.instruments[number]
        if table.is_broken(owner, number):
            lines.append(Line(instrument, _without_amounts(row), 0.0, 0.0, 0.0, 0, row.position_count))
            continue
        size = row.quantity * instrument.multiplier / QUANTITY_ONE
        local = size * price[number] if priced[number] else None if row.open_count else 0.0
        value = None if local is None or (row.open_count and not rated[number]) else local * rate[number]
        lines.append(Line(instrument, row, size, local, value, row.position_count - row.quarantined, row.quarantined))
    return lines


def _without_amounts(row: Row) -> Row:
    """A row of a sum that was found wrong: nothing in it is known."""
    return Row(row.instrument, 0, 0, 0, 0, 0, row.position_count, 0, 0, {}, 0)


# -- by currency -------------------------------------------------------------------------------------------------


class Balance:
    """The net open position in one currency.

    legs     exact, units of 1e-28, valued at the currency's rate
    local    more in the currency, with its worth in the reporting currency in `value`
    fees     exact, units of 1e-28, valued at the rate for fees
    known, unknown   how many positions have a known and an unknown part in it
    has_local        whether anything in the currency itself is known
    """

    __slots__ = ("fees", "has_local", "known", "legs", "local", "unknown", "value")

    def __init__(self) -> None:
        self.has_local = False
        self.legs = 0
        self.local = 0.0
        self.value = 0.0
        self.fees = 0
        self.known = 0
        self.unknown = 0


class Balances:
    """The balances of an owner while they are added up. `unknown` counts the positions of which any part is unknown."""

    def __init__(self, snapshot: Snapshot) -> None:
        reference = snapshot.reference
        self.of: dict[str, Balance] = {}
        self.rate: dict[str, float] = dict(zip(reference.currencies, snapshot.rates.value.tolist(), strict=True))
        self.rated: dict[str, bool] = dict(zip(reference.currencies, snapshot.rates.known.tolist(), strict=True))
        self.fee_rated: dict[str, bool] = dict(zip(reference.currencies, snapshot.rates.fee_known.tolist(), strict=True))
        self.reporting = reference.reporting_currency
        self.apart = 0.0
        self.unknown = 0

    def balance(self, code: str) -> Balance:
        """The balance of a currency."""
        found = self.of.get(code)
        if found is None:
            found = self.of[code] = Balance()
        return found

    def add(self, line: Line) -> None:
        """Add all parts of a line. O(currencies of its fees)."""
        instrument, row = line.instrument, line.row
        lacking: dict[str, int] = {}
        """How many of the line's positions have an unknown part, by each currency that it touches."""
        cash, price_unknown = row.cash, row.open_count if line.value is None else 0
        code, base = instrument.currency, instrument.base_currency
        if instrument.posts_legs:
            self._leg(base, row.quantity * instrument.multiplier * LEG_SCALE, line, lacking)
            self._apart(line)
        elif instrument.kind is Kind.FX_OPTION:
            lacking |= dict.fromkeys((base, instrument.quote_currency, code), row.open_count) if row.open_count else {}
            cash -= row.open_cash  # as unknown as what was bought with it
        elif instrument.kind in ASSET_KINDS and base:
            self._worth(base, line.size, line)
            lacking[base] = price_unknown
        else:
            lacking[code] = price_unknown
            if line.local is None:
                cash -= row.open_cash
            else:
                self._worth(code, line.local, line)
        self._leg(code, cash, line, lacking)
        self._fees(line, lacking)
        for touched, unknown in lacking.items():
            balance = self.balance(touched)
            balance.known += line.known - unknown
            balance.unknown += unknown + line.quarantined
        self.unknown += max(lacking.values()) + line.quarantined

    def _worth(self, code: str, local: float, line: Line) -> None:
        """An amount of a currency or an asset, worth the line's value."""
        balance = self.balance(code)
        balance.local += local
        balance.value += line.value or 0.0
        balance.has_local = True

    def _leg(self, code: str, amount: int, line: Line, lacking: dict[str, int]) -> None:
        """An amount of a currency, at its rate."""
        balance = self.balance(code)
        balance.legs += amount
        balance.has_local = balance.has_local or amount != 0
        unknown = line.known if amount and not self.rated[code] else 0
        lacking[code] = max(lacking.get(code, 0), unknown)

    def _fees(self, line: Line, lacking: dict[str, int]) -> None:
        for code, units in line.row.fees.items():
            balance = self.balance(code)
            balance.fees += units * CASH_PER_ONE
            balance.has_local = True
            lacking[code] = max(lacking.get(code, 0), 0 if self.fee_rated[code] else line.known)

    def _apart(self, line: Line) -> None:
        """What a pair's own mark says beyond the rates of its currencies: in the reporting currency."""
        base = line.instrument.base_currency
        if line.value is not None and self.rated[base]:
            self.apart += line.value - line.size * self.rate[base]


def _balances(snapshot: Snapshot, lines: Iterable[Line]) -> tuple[dict[str, Balance], int, float]:
    """The balances by currency, how many positions have an unknown part, and what pairs are quoted apart from their rates."""
    balances = Balances(snapshot)
    for line in lines:
        balances.add(line)
    if balances.of:
        own = balances.balance(balances.reporting)
        own.local += balances.apart
        own.value += balances.apart
    return balances.of, balances.unknown, balances.apart


def _balance_row(snapshot: Snapshot, code: str, balance: Balance) -> RowDict:
    number = snapshot.reference.currency_index[code]
    rate, fee_rate = snapshot.rates.value.item(number), snapshot.rates.fee_value.item(number)
    if rate == fee_rate:  # one rounding, so that what nets out exactly is exactly 0
        net = (balance.legs - balance.fees) / CASH_ONE * rate + balance.value
    else:
        net = balance.legs / CASH_ONE * rate + balance.value - balance.fees / CASH_ONE * fee_rate
    known = bool(balance.known) or not balance.unknown
    local = (balance.legs - balance.fees) / CASH_ONE + balance.local
    return {
        CURRENCY: code,
        "net": net + 0.0 if known else None,
        "long": max(net, 0.0) if known else None,
        "short": min(net, 0.0) + 0.0 if known else None,
        "percent": None,
        "net_local": local + 0.0 if known or balance.has_local else None,
        "unpriced_count": balance.unknown,
    }


def _shorthand(snapshot: Snapshot, currencies: Iterable[RowDict]) -> RowDict:
    """The larger of longs and shorts over currencies other than the reporting one, plus |gold|."""
    others = [row for row in currencies if row[CURRENCY] != snapshot.reference.reporting_currency]
    known = [row for row in others if row["net"] is not None]
    if others and not known:
        return dict.fromkeys(("shorthand", "long", "short", "gold"))
    plain = [row for row in known if row[CURRENCY] != GOLD]
    long, short = sum(row["long"] for row in plain) + 0.0, sum(row["short"] for row in plain) + 0.0
    gold = next((row["net"] for row in others if row[CURRENCY] == GOLD), 0.0)
    return {"shorthand": max(long, -short) + abs(gold or 0.0), "long": long, "short": short, "gold": gold}


# -- by sector, instrument, kind ---------------------------------------------------------------------------------


class Group:
    """The exposure of some instruments together: exact currency legs, and what the products come to."""

    __slots__ = ("known", "legs", "products", "unknown")

    def __init__(self) -> None:
        self.legs: dict[int, int] = {}
        self.products: list[float] = []
        self.known = 0
        self.unknown = 0

    def amounts(self, snapshot: Snapshot) -> RowDict:
        """Net, long and short after netting by currency and instrument."""
        rates = snapshot.rates.value
        parts = [units / CASH_ONE * rates.item(currency) for currency, units in sorted(self.legs.items())] + self.products
        known = bool(self.known) or not self.unknown
        return {
            "net": sum(parts) + 0.0 if known else None,
            "long": sum(part for part in parts if part > 0.0) + 0.0 if known else None,
            "short": sum(part for part in parts if part < 0.0) + 0.0 if known else None,
            "percent": None,
            "unpriced_count": self.unknown,
        }


def _groups(snapshot: Snapshot, lines: Iterable[Line], group_of: Callable[[Instrument], str]) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    index, rated = snapshot.reference.currency_index, snapshot.rates.known.tolist()
    reporting = index[snapshot.reference.reporting_currency]
    for line in lines:
        instrument, row = line.instrument, line.row
        name = group_of(instrument)
        group = groups.get(name)
        if group is None:
            group = groups[name] = Group()
        unknown = 0
        if instrument.posts_legs:
            base = row.quantity * instrument.multiplier * LEG_SCALE
            for currency, units in ((index[instrument.base_currency], base), (index[instrument.currency], row.cash)):
                if currency != reporting:
                    group.legs[currency] = group.legs.get(currency, 0) + units
                    unknown = max(unknown, line.known if units and not rated[currency] else 0)
        elif instrument.kind in OPTION_KINDS or line.value is None:
            unknown = row.open_count  # an option's exposure is by its delta, which is not known
        else:
            group.products.append(line.value)
        group.known += line.known - unknown
        group.unknown += unknown + line.quarantined
    return groups


def _percents(rows: list[RowDict]) -> list[RowDict]:
    """The rows, with the share of each net in the sum of all longs and shorts."""
    gross = sum(row["long"] - row["short"] for row in rows if row["net"] is not None)
    for row in rows:
        if row["net"] is not None:
            row["percent"] = row["net"] / gross * 100.0 if gross else 0.0
    return rows


def _concentration(snapshot: Snapshot, lines: list[Line]) -> RowDict:
    """How many sectors are held, the largest name and the five largest, of what is exposed by instrument."""
    names = {line.instrument.instrument for line in lines if not line.instrument.posts_legs and line.row.open_count}
    groups = _groups(snapshot, lines, GROUPINGS["instrument"])
    rows = _percents([{"instrument": name} | group.amounts(snapshot) for name, group in sorted(groups.items())])
    held = [row for row in rows if row["instrument"] in names and row["net"]]
    held.sort(key=lambda row: -abs(row["net"]))
    top = [{field: row[field] for field in ("instrument", "net", "percent")} for row in held[:TOP]]
    return {
        "sector_count": len({line.instrument.sector for line in lines if line.row.open_count and line.instrument.sector}),
        "largest": top[0] if top else None,
        "top_five": top,
        "top_five_percent": sum(abs(row["percent"]) for row in top) + 0.0,
    }
