"""The model with days: priced forwards, their merges into spot, and options up to and after their cut. Not a line of the engine.

What there is to know is kept in lists, and every question is answered from scratch. For weeks without holidays, and for trades of
before 17:00 New York.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise
from math import exp
from typing import Any, NamedTuple

from tests.model import SECOND, ZERO, Exposure, Held, Model, Quote, Row, Spec, Worth, average_after, in_order, number

DAY = dt.timedelta(days=1)


class OptionTerms(NamedTuple):
    """What the model needs to know of an option on a pair, its price in the quote currency."""

    pair: str
    sign: int
    strike: Fraction
    cut: int
    is_cash: bool = False


class Pushed(NamedTuple):
    """Greeks from outside, as quoted, at a spot."""

    spot: float
    value: float
    delta: float
    gamma: float


class Entry(NamedTuple):
    """What a merge adds to a position: signed quantity at a price."""

    ts: int
    day: dt.date
    symbol: str
    desk: str
    dealer: str
    signed: Fraction
    price: float


def business_day(date: dt.date) -> dt.date:
    while date.isoweekday() > 5:
        date += DAY
    return date


def spot_of(pair: str, day: dt.date) -> dt.date:
    """Two weekdays later, one for dollar-Canada."""
    first = business_day(day + DAY)
    return first if pair == "USDCAD" else business_day(first + DAY)


def day_of(ts: int) -> dt.date:
    return dt.datetime.fromtimestamp(ts // SECOND, dt.UTC).date()


def noon_of(day: dt.date) -> int:
    return int(dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC).timestamp()) * SECOND


class DatedModel(Model):
    """See the module. `rates` are flat, by currency; `points` of a pair are linear between dates and flat outside."""

    def __init__(
        self,
        parents: Mapping[str, str],
        specs: Mapping[str, Spec],
        options: Mapping[str, OptionTerms],
        rates: Mapping[str, float],
        points: Mapping[str, Mapping[dt.date, float]],
        day: dt.date,
    ) -> None:
        super().__init__(parents, specs, "USD")
        self.options = options
        self.rates = rates
        self.points = points
        self.day = day
        self.pushed: dict[str, Pushed] = {}
        self.at_cut: dict[str, float] = {}
        """What the pair of an option was worth at its cut."""

    def forget(self) -> None:
        """Something else has happened than trades and ticks: no answer of before holds."""
        self._answered_at = ()

    # -- which trades count ------------------------------------------------------------------------------------

    def quarantined(self, row: Row) -> bool:
        if super().quarantined(row):
            return True
        option = None if row.get("action") == "cancel" else self.options.get(row["instrument"])
        return option is not None and row["ts"] > option.cut and row["source"] != "exercise"

    def spec(self, symbol: str) -> Spec:
        """Of a forward that of its pair."""
        return self.specs[symbol.partition("@")[0]]

    # -- merges ------------------------------------------------------------------------------------------------

    def merge_day(self, symbol: str, ts: int) -> dt.date:
        """The day that begins with the merge of what was dealt then: the first after it on which spot is at the value date."""
        pair, _, text = symbol.partition("@")
        value_date, day = dt.date.fromisoformat(text), business_day(day_of(ts) + DAY)
        while spot_of(pair, day) < value_date:
            day = business_day(day + DAY)
        return day

    def merges(self) -> list[tuple[str, Entry]]:
        """What every holder of a forward has given over so far, as (forward, entry of the spot position)."""
        return self.answer("merges", None, self._merges)

    def _merges(self) -> list[tuple[str, Entry]]:
        dealt: dict[tuple[str, str, str], dict[dt.date, list[Row]]] = {}
        for row in sorted(self.effective(), key=in_order):
            symbol = self.place(row)
            if "@" in symbol and (day := self.merge_day(symbol, row["ts"])) <= self.day:
                dealt.setdefault((symbol, row["desk"], row.get("dealer", "")), {}).setdefault(day, []).append(row)
        found = []
        for (symbol, desk, dealer), by_day in dealt.items():
            for day, rows in by_day.items():
                held = self.fold(symbol, [], rows)
                if held.quantity:
                    price = float(Decimal(held.average or 0.0).quantize(Decimal("1e-10"), ROUND_HALF_EVEN))
                    before = day - DAY
                    while before.isoweekday() > 5:
                        before -= DAY
                    at = noon_of(before) + 9 * 3_600 * SECOND  # near the boundary: no trade is of between
                    found.append((symbol, Entry(at, day, symbol, desk, dealer, held.quantity, price)))
        return found

    # -- positions ---------------------------------------------------------------------------------------------

    def _positions(self, by: str) -> dict[tuple[str, str], Held]:
        rows = self.effective()
        of_rows: dict[tuple[str, str], list[Row]] = {}
        entries: dict[tuple[str, str], list[Entry]] = {}
        for row in rows:
            of_rows.setdefault((row.get(by, ""), self.place(row)), []).append(row)
        for symbol, entry in self.merges():
            owner = entry.desk if by == "desk" else entry.dealer
            entries.setdefault((owner, symbol.partition("@")[0]), []).append(entry)
            entries.setdefault((owner, symbol), []).append(entry._replace(signed=-entry.signed))
        return {key: self.merged(key[1], of_rows.get(key, []), entries.get(key, [])) for key in {*of_rows, *entries}}

    def merged(self, symbol: str, rows: list[Row], entries: list[Entry]) -> Held:
        """A position from its trades and the entries of merges, in order of time."""
        plain = self.fold(symbol, [], rows)
        if not entries:
            return plain
        multiplier, quantity, average, cash = self.spec(symbol).multiplier, ZERO, None, plain.cash
        items: list[tuple[Any, Fraction, float]] = []
        for row in rows:
            size, price = number(row["quantity"]), float(number(row["price"]))
            items.append(((row["ts"], 1, in_order(row)), size if row["side"] == "buy" else -size, price))
        for each in entries:
            key = (each.day.isoformat(), each.symbol, each.desk, each.dealer)
            items.append(((each.ts, 0, key), each.signed, each.price))
            cash -= multiplier * each.signed * Fraction(Decimal(repr(each.price)))
        for _, change, price in sorted(items, key=lambda item: item[0]):
            average = average_after(quantity, average, change, price)
            quantity += change
        return plain._replace(quantity=quantity, cash=cash, average=average)

    # -- what forwards are worth -------------------------------------------------------------------------------

    def outright(self, symbol: str, marks: Mapping[str, Quote]) -> tuple[float | None, float | None]:
        """The price of a forward, and the discount factor of its cash; None for what is unknown."""
        pair, _, text = symbol.partition("@")
        spec, value_date, spot_date = self.specs[pair], dt.date.fromisoformat(text), spot_of(pair, self.day)
        spot = marks[pair].price if pair in marks else None
        if value_date <= spot_date:
            return spot, 1.0
        years = (value_date - spot_date).days / 365
        quote, base = self.rates.get(spec.quote), self.rates.get(spec.base)
        discount = None if quote is None else exp(-quote * years)
        if spot is None:
            return None, discount
        if pair in self.points:
            return spot + self.points_at(pair, value_date), discount
        return (None if quote is None or base is None else spot * exp((quote - base) * years)), discount

    def points_at(self, pair: str, date: dt.date) -> float:
        rows = sorted(self.points[pair].items())
        if date <= rows[0][0] or date >= rows[-1][0]:
            return rows[0][1] if date <= rows[0][0] else rows[-1][1]
        (low, near), (high, far) = next((one, two) for one, two in pairwise(rows) if one[0] <= date <= two[0])
        return near + (date - low).days / (high - low).days * (far - near)

    # -- what options are worth --------------------------------------------------------------------------------

    def is_exercised(self, symbol: str) -> bool:
        option = self.options[symbol]
        return option.sign * (self.at_cut[symbol] - float(option.strike)) > 0.0  # prices are doubles: 1.1 is at 1.1

    def held_price(self, symbol: str) -> Fraction:
        """What an option that is settled in cash pays, to eight decimals."""
        option = self.options[symbol]
        amount = float(max(option.sign * (Fraction(self.at_cut[symbol]) - option.strike), ZERO))
        return Fraction(Decimal(repr(round(amount, 8))))

    def option_price(self, symbol: str, marks: Mapping[str, Quote]) -> Fraction | None:
        option, spot = self.options[symbol], marks[self.options[symbol].pair].price
        if symbol in self.at_cut:
            if option.is_cash:
                return self.held_price(symbol)
            return option.sign * (Fraction(spot) - option.strike) if self.is_exercised(symbol) else ZERO
        if symbol in self.pushed:
            sent = self.pushed[symbol]
            moved = Fraction(spot) - Fraction(sent.spot)
            return max(Fraction(sent.value) + Fraction(sent.delta) * moved + Fraction(sent.gamma) * moved * moved / 2, ZERO)
        return Fraction(marks[symbol].price) if symbol in marks else None

    def book(self, symbol: str, *, accepts: bool) -> list[dict[str, Any]]:
        """The rows that a decision about an expired option comes to: closed at what it is worth, and delivered at the strike."""
        option, rows = self.options[symbol], []
        exercised = not option.is_cash and self.is_exercised(symbol) == accepts
        price = self.held_price(symbol) if option.is_cash and accepts else ZERO
        for desk in sorted({row["desk"] for row in self.effective()}):
            own = [row for row in self.effective() if (row["desk"], row["instrument"]) == (desk, symbol)]
            for dealer in sorted({row.get("dealer", "") for row in own}):
                mine = [row for row in own if row.get("dealer", "") == dealer]
                held = self.fold(symbol, [], mine).quantity
                if held:
                    booked = sum(row["source"] == "exercise" for row in mine)
                    usual = {"source": "exercise", "trade_id": f"{symbol}:{desk}:{dealer}:{booked + 1}", "ts": option.cut}
                    usual |= {"desk": desk, "dealer": dealer, "quantity": abs(held), "version": 1, "action": "new"}
                    closing = {"instrument": symbol, "side": "sell" if held > 0 else "buy", "price": price, "leg": 0}
                    rows.append(usual | closing)
                    if exercised:
                        side = "buy" if (held > 0) == (option.sign > 0) else "sell"
                        rows.append(usual | {"instrument": option.pair, "side": side, "price": option.strike, "leg": 1})
        return rows

    # -- worth -------------------------------------------------------------------------------------------------

    def _worth(self, held: Held, marks: Mapping[str, Quote]) -> Worth:
        spec, price, discount = self.spec(held.symbol), None, Fraction(1)
        rated = self.rate(spec.quote, marks)
        if "@" in held.symbol:
            outright, factor = self.outright(held.symbol, marks)
            price = None if outright is None else Fraction(outright)
            rated = None if factor is None else rated
            discount = Fraction(factor or 0.0)
        elif held.symbol in self.options:
            price = self.option_price(held.symbol, marks)
        else:
            return super()._worth(held, marks)
        fees = sum((amount * (self.fee_rate(code, marks) or 0) for code, amount in held.fees.items()), ZERO)
        if rated is None:
            return Worth(None, None, None, fees, 1, 0, ZERO)
        rate = rated[0] * discount
        cost = spec.multiplier * held.quantity * Fraction(held.average or 0)
        realised = (held.cash + cost) * rate
        if not held.quantity:
            return Worth(realised, realised, ZERO, fees, 0, 0, abs(held.cash * rate))
        if price is None:
            return Worth(None, realised, None, fees, 1, 0, abs(held.cash * rate))
        value = spec.multiplier * held.quantity * price
        scale = (abs(held.cash) + abs(value) + abs(cost)) * rate
        return Worth((held.cash + value) * rate, realised, (value - cost) * rate, fees, 0, 0, scale)

    def exposure(self, positions: Iterable[Held], marks: Mapping[str, Quote]) -> Exposure:
        """Legs at what they are worth today; of forwards both flows. Not for open options, which need a model of their own."""
        legs: dict[str, Fraction] = {}
        for held in positions:
            assert held.symbol not in self.options or not held.quantity, "an option is exposed by its delta"
            spec, size = self.spec(held.symbol), self.spec(held.symbol).multiplier * held.quantity
            base, cash = size, held.cash
            if "@" in held.symbol:
                outright, factor = self.outright(held.symbol, marks)
                if outright is None or factor is None:
                    continue
                base = size * Fraction(outright * factor) / Fraction(marks[held.symbol.partition("@")[0]].price)
                cash = held.cash * Fraction(factor)
            for currency, amount in ((spec.base, base), (spec.quote, cash)):
                if currency != self.reporting:
                    legs[currency] = legs.get(currency, ZERO) + amount
        rates = {currency: self.rate(currency, marks) for currency in legs}
        worth = [amount * rated[0] for currency, amount in legs.items() if (rated := rates[currency]) is not None]
        return Exposure(sum(worth, ZERO), sum(map(abs, worth), ZERO))
