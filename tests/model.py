"""The model: the rules of the engine again, as naively as possible and without a line of its code.

Every version of every trade stays in a list, every tick too, and each question is answered from scratch in exact fractions
after everything that happens. Doubles appear where the rules say so: prices, average prices and rates.
"""

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

Row = Mapping[str, Any]
Answer = TypeVar("Answer")

SECOND = 1_000_000
STALE_AFTER = 60 * SECOND
RELEASE_AFTER = 2 * SECOND
FUTURE_LIMIT = 60 * SECOND
TOLERANCE = 5 * SECOND
ZERO = Fraction(0)


@lru_cache(10_000)
def number(value: Any) -> Fraction:
    return ZERO if value is None else Fraction(value)


def identity(row: Row) -> tuple[str, str, int]:
    return row["source"], row["trade_id"], row.get("leg", 0)


def version(row: Row) -> int:
    return int(row.get("version", 1))


def is_cancel(row: Row) -> bool:
    return bool(row.get("action") == "cancel")


def in_order(row: Row) -> tuple[int, int, bytes, bytes, int]:
    source, trade_id, leg = identity(row)
    return row["ts"], row.get("source_seq", 0), source.encode(), trade_id.encode(), leg


class Spec(NamedTuple):
    """What the model needs to know of an instrument."""

    kind: str
    base: str
    quote: str
    multiplier: Fraction = Fraction(1)


class Held(NamedTuple):
    """One position, from scratch."""

    symbol: str
    quantity: Fraction
    cash: Fraction
    average: float | None
    fees: dict[str, Fraction]
    trades: int
    last_trade_ts: int


class Worth(NamedTuple):
    """The worth of one or more positions in the reporting currency; None if unknown."""

    total: Fraction | None
    realised: Fraction | None
    unrealised: Fraction | None
    fees: Fraction | None
    unpriced: int
    stale: int
    scale: Fraction
    """The sum of the absolute amounts: the measure for rounding errors."""


class Exposure(NamedTuple):
    net: Fraction
    gross: Fraction


class Quote(NamedTuple):
    price: float
    ts: int
    kind: str


class Heard(NamedTuple):
    """A price that a source said and that is not believed yet."""

    price: float
    ts: int
    kind: str
    came: int


def near(price: float, other: float, limit: float) -> bool:
    """Whether a price lies within a fraction of another; without a fraction, or from 0, always."""
    return not limit or not other or abs(Fraction(price) - Fraction(other)) <= Fraction(limit) * abs(Fraction(other))


class MarkOf:
    """The mark of one instrument on paper (ACCOUNTING section 8): the good one, and what each suspect source said in a row."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.good: Quote | None = None
        self.by = ""
        self.left: float | None = None
        self.said: dict[str, list[Heard]] = {}

    def clock(self, now: int, ts: int = 0) -> None:
        """Event time or the clock has moved on: believe what has held and is newest, forget what nobody has said for long."""
        for source, row in sorted(self.said.items(), key=lambda item: item[1][-1].ts):
            held = ts - row[0].ts >= RELEASE_AFTER or now - row[0].came >= RELEASE_AFTER
            at = max(ts, row[-1].ts + now - row[-1].came)
            newest = self.good is None or row[-1].ts >= self.good.ts
            if source in self.said and held and newest and not self.opposed(source, row, at):
                self.believe(source, row[-1])
            elif source in self.said and (ts - row[-1].ts > STALE_AFTER or now - row[-1].came > STALE_AFTER):
                del self.said[source]

    def opposed(self, source: str, row: list[Heard], at: int) -> bool:
        """One print, or the price that the mark has left, beside a mark that another source keeps."""
        if self.good is None or self.by == source:
            return False
        return (len(row) == 1 and self.good.ts >= at - STALE_AFTER) or self.lags(source, row[-1].price, at)

    def lags(self, source: str, price: float, at: int) -> bool:
        if self.left is None or self.good is None or self.by == source:
            return False
        return near(price, self.left, self.limit) and self.good.ts >= at - RELEASE_AFTER

    def believe(self, source: str, heard: Heard) -> None:
        self.left = self.good.price if self.good is not None and self.by != source else None
        self.by = source
        self.good = Quote(*heard[:3])
        self.said = {
            other: row for other, row in self.said.items() if other != source and not near(row[-1].price, heard.price, self.limit)
        }

    def hear(self, source: str, bid: float | None, ask: float | None, ts: int, now: int) -> None:
        self.clock(now, ts)
        good, keeps = self.good, False
        if bid is not None and ask is not None:
            new = Quote(float((Fraction(bid) + Fraction(ask)) / 2), ts, "quote")
        elif good is not None and good.kind == "quote" and ts - good.ts <= STALE_AFTER:
            keeps = True
            new = Quote(max(good.price, bid) if bid is not None else min(good.price, ask or 0.0), ts, "one_sided")
        else:
            new = Quote(bid if bid is not None else ask or 0.0, ts, "one_sided")
        if good is not None and ts < good.ts:
            return
        wide = self.limit * (3 if good is not None and ts - good.ts > STALE_AFTER else 1)
        if good is None or near(new.price, good.price, wide):
            if self.said.pop(source, None) is not None:
                self.left = None
            self.by = self.by if keeps else source
            self.good = good._replace(price=new.price) if keeps and good is not None else new
            return
        row = self.said.get(source, [])
        if row and ts < row[-1].ts:
            return
        row = [*row, Heard(*new, now)]
        while not all(near(later.price, one.price, self.limit) for at, one in enumerate(row) for later in row[at + 1 :]):
            row = row[1:]
        agreeing = [other for name, other in self.said.items() if name != source and near(new.price, other[-1].price, self.limit)]
        held = ts - row[0].ts >= RELEASE_AFTER or now - row[0].came >= RELEASE_AFTER
        if agreeing or ((len(row) == 3 or held) and not self.lags(source, new.price, ts)):
            self.believe(source, row[-1])
        else:
            self.said[source] = row


def average_after(quantity: Fraction, average: float | None, change: Fraction, price: float) -> float | None:
    """The table of ACCOUNTING section 1, case by case, in doubles."""
    if quantity == 0:
        return price
    if quantity * change > 0:
        assert average is not None
        held, more = float(abs(quantity)), float(abs(change))
        return (held * average + more * price) / (held + more)
    if abs(change) < abs(quantity):
        return average
    return None if abs(change) == abs(quantity) else price


class Model:
    """A dealing house on paper. `take` and `ticks` note what happened; everything else is worked out at each call."""

    def __init__(
        self,
        parents: Mapping[str, str],
        specs: Mapping[str, Spec],
        reporting: str,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        """`limits`: how far a quote may move the mark of an instrument; none for those that are not named."""
        self.limits = limits or {}
        self.parents = parents
        self.specs = specs
        self.reporting = reporting
        self.versions: list[Row] = []
        self.openings: list[Row] = []
        self.ticks: list[Row | None] = []
        self.priced_at = 0
        self._answers: dict[Hashable, tuple[Any, Any]] = {}
        self._answered_at: tuple[int, ...] = ()

    def answer(self, question: Hashable, about: Any, work_out: Callable[[], Answer]) -> Answer:
        """Worked out once for all that has happened so far: those who hold the engine against it ask the same many times.

        `about` is what the question is about and is kept, so that its `id` in `question` stays its own.
        """
        now = (len(self.versions), len(self.openings), len(self.ticks), self.priced_at)
        if self._answered_at != now:
            self._answers, self._answered_at = {}, now
        if question not in self._answers:
            self._answers[question] = work_out(), about
        found: Answer = self._answers[question][0]
        return found

    # -- which trades count ------------------------------------------------------------------------------------

    def take(self, row: Row) -> str:
        """Note a delivered row. Returns its outcome."""
        same = [other for other in self.versions if identity(other) == identity(row)]
        for other in same:
            if version(other) == version(row):
                return "duplicate" if self.economics(other) == self.economics(row) else "conflict"
        self.versions.append(row)
        if self.quarantined(row):
            return "quarantined"
        if self.top([*same, row]) is not row:
            return "superseded"
        return "parked" if all(map(is_cancel, [*same, row])) else "applied"

    def economics(self, row: Row) -> tuple[Any, ...]:
        if is_cancel(row):
            return ("cancel",)
        currency = row.get("fees_currency") or self.specs[row["instrument"]].quote
        contra = row.get("contra_amount")
        return (
            row.get("action", "new"),
            *in_order(row)[:2],
            row["instrument"],
            row["desk"],
            row.get("dealer", ""),
            row["side"],
            number(row["quantity"]),
            number(row["price"]),
            number(row.get("fees")),
            currency,
            row.get("value_date"),
            row.get("trade_date"),
            None if contra is None else number(contra),
            row.get("legs"),
        )

    def quarantined(self, row: Row) -> bool:
        if row.get("ts", 0) - row["received_ts"] > FUTURE_LIMIT:
            return True
        if is_cancel(row):
            return False
        if self.is_forward(row) and not self.is_market_date(row):
            return True
        key = (row["desk"], row.get("dealer", ""), row["instrument"])
        return any(key == (o["desk"], o["dealer"], o["instrument"]) and row["ts"] < o["ts"] for o in self.openings)

    def is_forward(self, row: Row) -> bool:
        return bool(row.get("value_date")) and self.specs[row["instrument"]].kind == "fx" and not self.is_spot(row)

    def is_market_date(self, row: Row) -> bool:
        """A weekday from the day of the trade on. For weeks without holidays."""
        day, dealt = dt.date.fromisoformat(row["value_date"]), dt.datetime.fromtimestamp(row["ts"] // SECOND, dt.UTC).date()
        return day.isoweekday() <= 5 and day >= dealt

    def place(self, row: Row) -> str:
        """The instrument of the position that a trade belongs to: a forward has one for each value date."""
        return f"{row['instrument']}@{row['value_date']}" if self.is_forward(row) else str(row["instrument"])

    def spec(self, symbol: str) -> Spec:
        """Of a forward that of its pair, but its cash stands in a bucket that has no rate: there are no rates here."""
        pair, at, _ = symbol.partition("@")
        return self.specs[symbol] if not at else self.specs[pair]._replace(kind="forward")

    def is_spot(self, row: Row) -> bool:
        """Two weekdays after the trade, one for dollar-Canada. For trades before 17:00 New York, in weeks without holidays."""
        day = dt.datetime.fromtimestamp(row["ts"] // SECOND, dt.UTC).date()
        ahead = [day + dt.timedelta(days=n) for n in range(1, 10)]
        spot = [one for one in ahead if one.isoweekday() <= 5][0 if row["instrument"] == "USDCAD" else 1]
        return spot == dt.date.fromisoformat(row["value_date"])

    def top(self, rows: Iterable[Row]) -> Row | None:
        return max((row for row in rows if not self.quarantined(row)), key=version, default=None)

    def identities(self) -> dict[tuple[str, str, int], list[Row]]:
        found: dict[tuple[str, str, int], list[Row]] = {}
        for row in self.versions:
            found.setdefault(identity(row), []).append(row)
        return found

    def effective(self) -> list[Row]:
        tops = (self.top(rows) for rows in self.identities().values())
        return [row for row in tops if row is not None and not is_cancel(row)]

    def is_effective(self, row: Row) -> bool:
        return any(identity(other) == identity(row) for other in self.effective())

    def is_late(self, row: Row) -> bool:
        """Whether a row, not yet taken, is older than the newest trade of its position by more than the tolerance."""
        key = (row["desk"], self.place(row))
        newest = max((other["ts"] for other in self.effective() if (other["desk"], self.place(other)) == key), default=0)
        return bool(newest - row["ts"] > TOLERANCE)

    def parked(self) -> set[tuple[str, str, int]]:
        return {key for key, rows in self.identities().items() if all(map(is_cancel, rows))}

    def unmatched(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Deals with missing legs: how many have come, and how many there should be."""
        deals: dict[tuple[str, str], dict[int, int]] = {}
        for (source, trade_id, leg), rows in self.identities().items():
            counts_sent = [row["legs"] for row in sorted(rows, key=version) if row.get("legs")]
            deals.setdefault((source, trade_id), {})[leg] = counts_sent[-1] if counts_sent else 0
        counts = {}
        for deal, legs in deals.items():
            expected = max(legs.values())
            if len(legs) < expected:
                counts[deal] = (len(legs), expected)
        return counts

    # -- positions ---------------------------------------------------------------------------------------------

    def positions(self, by: str) -> dict[tuple[str, str], Held]:
        """Every position by (desk or dealer, instrument)."""
        return self.answer(("positions", by), None, lambda: self._positions(by))

    def _positions(self, by: str) -> dict[tuple[str, str], Held]:
        rows, opened = self.effective(), self.openings
        keys = {(row.get(by, ""), self.place(row)) for row in (*rows, *opened)}
        return {
            key: self.fold(
                key[1],
                [row for row in opened if (row.get(by, ""), self.place(row)) == key],
                [row for row in rows if (row.get(by, ""), self.place(row)) == key],
            )
            for key in keys
        }

    def fold(self, symbol: str, openings: list[Row], rows: list[Row]) -> Held:
        spec = self.spec(symbol)
        quantity, cash, average = ZERO, ZERO, None
        fees: dict[str, Fraction] = {}
        for row in sorted(openings, key=lambda o: (o["ts"], o["desk"], o["dealer"])):
            change, price = number(row["quantity"]), number(row["average_price"])
            cash += number(row["realised"]) - spec.multiplier * change * price
            fees[spec.quote] = fees.get(spec.quote, ZERO) + number(row["fees"])
            if change:
                average = average_after(quantity, average, change, float(price))
                quantity += change
        for row in sorted(rows, key=in_order):
            sign = 1 if row["side"] == "buy" else -1
            size, price = number(row["quantity"]), number(row["price"])
            if row.get("contra_amount") is not None:
                price = number(row["contra_amount"]) / (spec.multiplier * size)
            average = average_after(quantity, average, sign * size, float(price))
            quantity += sign * size
            cash -= sign * spec.multiplier * size * price
            currency = row.get("fees_currency") or spec.quote
            fees[currency] = fees.get(currency, ZERO) + number(row.get("fees"))
        fees = {currency: amount for currency, amount in fees.items() if amount}
        return Held(symbol, quantity, cash, average, fees, len(rows), max((row["ts"] for row in rows), default=0))

    def average_of(self, positions: Iterable[Held]) -> float | None:
        """The average price of a row that nets these positions of one instrument: of those that are open, on one side."""
        held = [one for one in positions if one.quantity]
        if not held or len({one.quantity > 0 for one in held}) > 1:
            return None
        cost = sum((one.quantity * Fraction(one.average or 0) for one in held), ZERO)
        return float(cost / sum((one.quantity for one in held), ZERO))

    def below(self, node: str) -> Callable[[str], bool]:
        """Whether a desk lies at or below a node."""

        def lies(desk: str) -> bool:
            while desk and desk != node:
                desk = self.parents[desk]
            return desk == node

        return lies

    # -- marks and rates ---------------------------------------------------------------------------------------

    def marks(self) -> dict[str, Quote]:
        """All ticks, one after the other, by the rules (no limit on crossing). None is a restart; {"beat": now} the clock."""
        return self.answer("marks", None, self._marks)

    def _marks(self) -> dict[str, Quote]:
        states: dict[str, MarkOf] = {}
        for tick in self.ticks:
            if tick is None or "beat" in tick:
                for state in states.values():
                    if tick is None:
                        state.said = {}
                    else:
                        state.clock(tick["beat"])
                continue
            symbol, ts = tick["instrument"], tick["ts"]
            state = states.setdefault(symbol, MarkOf(self.limits.get(symbol, 0.0)))
            state.hear(tick.get("source", ""), tick["bid"], tick["ask"], ts, tick.get("came", 0))
        return {symbol: state.good for symbol, state in states.items() if state.good is not None}

    def rate(self, currency: str, marks: Mapping[str, Quote]) -> tuple[Fraction, bool] | None:
        """A currency in the reporting one, and whether it hangs on a stale pair; None where no path leads there."""
        return self.answer(("rate", currency, id(marks)), marks, lambda: self._rate(currency, marks))

    def _rate(self, currency: str, marks: Mapping[str, Quote]) -> tuple[Fraction, bool] | None:
        edges = {s: spec for s, spec in self.specs.items() if spec.kind == "fx" and spec.multiplier >= 1}
        pairs = {s: (spec.base, spec.quote) for s, spec in edges.items() if s in marks}
        fresh = {s: pair for s, pair in pairs.items() if marks[s].ts >= self.priced_at - STALE_AFTER}
        for usable in (fresh, pairs):
            paths = list(self.walks(currency, (currency,), (), usable))
            if paths:
                _, corners, symbols = min((len(corners), corners, symbols) for corners, symbols in paths)
                rate = 1.0
                for here, symbol in zip(corners, symbols, strict=False):
                    mid = marks[symbol].price
                    rate *= mid if pairs[symbol][0] == here else 1.0 / mid
                return Fraction(rate), usable is pairs
        return None

    def fee_rate(self, currency: str, marks: Mapping[str, Quote]) -> Fraction | None:
        """The rate of fees: a currency's own, or that of a crypto's mark in its base."""
        own = self.rate(currency, marks)
        if own is not None:
            return own[0]
        found = []
        for symbol, spec in self.specs.items():
            cash = self.rate(spec.quote, marks)
            if spec.kind == "crypto" and spec.base == currency and symbol in marks and cash is not None:
                stale = cash[1] or marks[symbol].ts < self.priced_at - STALE_AFTER
                found.append((stale, spec.quote != self.reporting, spec.quote, symbol, Fraction(marks[symbol].price) * cash[0]))
        return min(found)[-1] if found else None

    def walks(
        self, here: str, corners: tuple[str, ...], symbols: tuple[str, ...], pairs: Mapping[str, tuple[str, str]]
    ) -> Iterable[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Every path to the reporting currency that visits no currency twice."""
        if here == self.reporting:
            yield corners, symbols
            return
        for symbol, ends in pairs.items():
            if here in ends:
                there = ends[0] if ends[1] == here else ends[1]
                if there not in corners:
                    yield from self.walks(there, (*corners, there), (*symbols, symbol), pairs)

    # -- worth -------------------------------------------------------------------------------------------------

    def worth(self, held: Held, marks: Mapping[str, Quote]) -> Worth:
        """One position."""
        return self.answer(("worth", id(held), id(marks)), (held, marks), lambda: self._worth(held, marks))

    def _worth(self, held: Held, marks: Mapping[str, Quote]) -> Worth:
        spec, mark = self.spec(held.symbol), marks.get(held.symbol)
        rated = self.rate(spec.quote, marks) if spec.kind != "forward" else None
        fees: Fraction | None = ZERO
        for currency, amount in held.fees.items():
            one = self.fee_rate(currency, marks)
            fees = None if fees is None or one is None else fees + amount * one
        unknown_fees = int(fees is None)
        if rated is None:
            return Worth(None, None, None, fees, 1, 0, ZERO)
        rate, stale = rated
        cost = spec.multiplier * held.quantity * Fraction(held.average or 0)
        realised = (held.cash + cost) * rate
        if not held.quantity:
            return Worth(realised, realised, ZERO, fees, unknown_fees, stale, abs(held.cash * rate))
        if mark is None:
            return Worth(None, realised, None, fees, 1, stale, abs(held.cash * rate))
        value = spec.multiplier * held.quantity * Fraction(mark.price)
        stale = stale or mark.ts < self.priced_at - STALE_AFTER
        scale = (abs(held.cash) + abs(value) + abs(cost)) * rate
        return Worth((held.cash + value) * rate, realised, (value - cost) * rate, fees, unknown_fees, stale, scale)

    def worth_of(self, positions: Iterable[Held], marks: Mapping[str, Quote]) -> Worth:
        """The worth of several positions: the sum of the known ones, unknown if none is known, and the count of the others."""
        each = [self.worth(held, marks) for held in positions]

        def added(field: str) -> Fraction | None:
            known = [getattr(one, field) for one in each if getattr(one, field) is not None]
            return sum(known, ZERO) if known or not each else None

        unpriced, stale = sum(one.unpriced for one in each), sum(one.stale for one in each)
        scale = sum((one.scale for one in each), ZERO)
        return Worth(added("total"), added("realised"), added("unrealised"), added("fees"), unpriced, stale, scale)

    def exposure(self, positions: Iterable[Held], marks: Mapping[str, Quote]) -> Exposure:
        """By currency leg and by product, netted, in the reporting currency."""
        legs: dict[tuple[str, str], Fraction] = {}
        for held in positions:
            spec = self.spec(held.symbol)
            size = spec.multiplier * held.quantity
            if spec.kind == "forward":
                continue  # nothing is known of what its flows are worth
            if spec.kind == "fx":
                posted = [("", spec.base, size), ("", spec.quote, held.cash)]
            else:
                mark = marks.get(held.symbol)
                posted = [(held.symbol, spec.quote, size * Fraction(mark.price))] if mark else []
            for product, currency, amount in posted:
                if product or currency != self.reporting:
                    legs[product, currency] = legs.get((product, currency), ZERO) + amount
        worth = []
        for (_, currency), amount in legs.items():
            rated = self.rate(currency, marks)
            worth.append(ZERO if rated is None else amount * rated[0])
        return Exposure(sum(worth, ZERO), sum(map(abs, worth), ZERO))
