"""What forwards are worth: their outrights, and the rates of the buckets in which their cash and their delivery stand.

    T = (C + k q F) X D        F the outright, X the rate of the quote currency, D its discount factor from spot to the value date

`F` is spot plus points, else spot times the growth of both rates (`market.rate_curves`). A value date at or before the spot date
is spot: F is S and D is 1. The bucket of the cash has the rate X D, that of the delivery X_base F D / S: both flows at what they
are worth today, which is what makes a forward linear (DESIGN section 3). A forward with a fixing stands still from there on: F is
the fixing, and its cash is worth what it is paid in.

`ForwardMarket` is what curves, fixings and the day say, made anew when one of those changes; a beat costs a few array operations.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.currencies import Rates
from riskengine.market.fixings import Fixing
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import Mark
from riskengine.market.rate_curves import NEVER_OLD, NONE, CarryTerms, CurveNumbers, RateCurves
from riskengine.records.forwards import base_bucket, cash_bucket, pair_symbol, value_date_of
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, FloatArray, Instrument, IntArray, Kind

POINTS, RATES, SPOT, FIXING = "points", "rates", "spot", "fixing"
"""Sources of the mark of a forward: what its outright is made from."""

DERIVED = frozenset({POINTS, RATES, SPOT, FIXING})

FORWARD_MARK = "forward"
"""The kind of such a mark."""

NO_PAIR = -1
_SOURCES = (POINTS, RATES, SPOT, FIXING)


class ForwardTerms(NamedTuple):
    """What the reference data says of its forwards, a place each, in numbers of instruments and of currencies.

    pair        NO_PAIR where none gives its spot
    value_day   ordinal of the value date
    paid_in     currency in which a forward with a fixing is paid; NO_PAIR for those that deliver
    """

    number: IntArray
    pair: IntArray
    quote: IntArray
    base: IntArray
    cash: IntArray
    delivery: IntArray
    value_day: IntArray
    paid_in: IntArray

    @classmethod
    def of(cls, reference: Reference) -> "ForwardTerms":
        """The terms of all forwards with a value date. O(instruments)."""
        rows = [_row(number, each, reference) for number, each in enumerate(reference.instruments) if _is_dated(each)]
        return cls(*(np.array(column, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else [()] * 8)))

    def grown(self, reference: Reference) -> "ForwardTerms":
        """The same with the forwards that a reference has beyond this one's. O(forwards)."""
        last = int(self.number[-1]) if len(self.number) else -1
        first = max(last + 1, reference.loaded)
        more = enumerate(reference.instruments[first:], start=first)
        rows = [_row(number, each, reference) for number, each in more if _is_dated(each)]
        new = zip(*rows, strict=True) if rows else [()] * 8
        return ForwardTerms(*(np.append(old, np.array(c, dtype=np.int64)) for old, c in zip(self, new, strict=True)))


def _is_dated(instrument: Instrument) -> bool:
    return instrument.kind is Kind.FX_FORWARD and bool(value_date_of(instrument))


def _row(number: int, forward: Instrument, reference: Reference) -> tuple[int, ...]:
    index, pair = reference.currency_index, pair_symbol(forward, reference.root.by_symbol)
    paid_in = forward.settlement_currency or forward.base_currency
    return (
        number,
        reference.instrument_index[pair] if pair else NO_PAIR,
        index[forward.currency],
        index[forward.base_currency],
        index[cash_bucket(forward)],
        index[base_bucket(forward)],
        dt.date.fromisoformat(value_date_of(forward)).toordinal(),
        index[paid_in] if forward.fixing_date else NO_PAIR,
    )


class ForwardValues(NamedTuple):
    """Forwards at the prices of one moment, a place each: outright, whether it is known, time of its oldest input, freshness.

    made_of  place in `_SOURCES` of what the outright is made from
    """

    price: FloatArray
    known: BoolArray
    ts: IntArray
    fresh: BoolArray
    made_of: IntArray


SpotDay = Callable[[Instrument], int]
"""The ordinal of the spot date of a pair dealt today."""


class ForwardMarket:
    """What curves and fixings say of all forwards of a reference today. Immutable; any thread.

    `spot_day` gives spot dates; `fixings` are by instrument name. `discounted`: cash to come is worth less than cash
    (`[options] forward_discounting`). Points and rates older than `stale_after_s` are stale; 0: never.
    """

    def __init__(
        self,
        reference: Reference,
        terms: ForwardTerms,
        curves: RateCurves,
        spot_day: SpotDay,
        fixings: Mapping[str, Fixing],
        *,
        discounted: bool = True,
        stale_after_s: float = 0.0,
    ) -> None:
        self.terms = terms
        self._curves, self._fixings, self._discounted = curves, fixings, discounted
        self._reporting = reference.currency_index[reference.reporting_currency]
        self._stale_after = int(stale_after_s * MICROS_PER_SECOND)
        instruments = [reference.instruments[number] for number in terms.number.tolist()]
        pairs = [reference.instruments[pair] if pair != NO_PAIR else None for pair in terms.pair.tolist()]
        spot = np.array(
            [curves.today if pair is None else spot_day(pair) for pair in pairs],
            dtype=np.int64,
        )
        legs = [
            curves.forward_legs(
                each.instrument if pair is None else pair.instrument,
                each.base_currency,
                each.quote_currency,
                discounted=discounted,
            )
            for each, pair in zip(instruments, pairs, strict=True)
        ]
        fixed = [fixings.get(each.instrument) if each.fixing_date else None for each in instruments]
        self.spot_day = spot
        self.fixed = np.array([each is not None for each in fixed], dtype=np.bool_)
        self._fixing = np.array([0.0 if each is None else each.price for each in fixed])
        self._fixing_ts = np.array([0 if each is None else each.ts for each in fixed], dtype=np.int64)
        self.is_spot: BoolArray = (terms.value_day <= spot) & ~self.fixed
        end = np.where(self.is_spot, spot, terms.value_day)
        self.curve_terms: CarryTerms = curves.terms(legs, spot, end)
        self.reasons: list[str] = [
            "" if near or still else _reason(leg, each, pair)
            for leg, each, pair, near, still in zip(
                legs, instruments, pairs, self.is_spot.tolist(), self.fixed.tolist(), strict=True
            )
        ]
        """Why each has no outright or no discount factor; "" where both are known but for the price of the pair."""
        has_outright = np.array([leg.points != NONE or (leg.quote != NONE and leg.base != NONE) for leg in legs], dtype=np.bool_)
        self._has_outright = (has_outright | self.is_spot) & (terms.pair != NO_PAIR)
        quoted = np.array([leg.quote != NONE for leg in legs], dtype=np.bool_)
        self.has_discount: BoolArray = quoted | self.is_spot | self.fixed | (not discounted)
        self.discount: FloatArray = np.where(
            self.is_spot | self.fixed | ~quoted | (not discounted), 1.0, self.curve_terms.discount
        )
        for array in (self.discount, self.is_spot, self.fixed, self.has_discount):
            array.flags.writeable = False

    def grown(self, reference: Reference, spot_day: SpotDay) -> "ForwardMarket":
        """What the same curves and fixings say of the forwards of a reference that was grown from this one's. O(forwards)."""
        return ForwardMarket(
            reference,
            self.terms.grown(reference),
            self._curves,
            spot_day,
            self._fixings,
            discounted=self._discounted,
            stale_after_s=self._stale_after / MICROS_PER_SECOND,
        )

    def __len__(self) -> int:
        return len(self.terms.number)

    def reason_of(self, number: int) -> str:
        """Why an instrument has no outright or no discount factor; "" for what is no forward, and where nothing is missing."""
        at = self.place(number)
        return "" if at is None else self.reasons[at]

    def without_fixing(self, reference: Reference, day: str) -> dict[int, str]:
        """The forwards whose fixing date is before a day (YYYY-MM-DD) and that are not fixed, with that date. O(forwards)."""
        found = {}
        for number, is_fixed in zip(self.terms.number.tolist(), self.fixed.tolist(), strict=True):
            date = reference.instruments[number].fixing_date
            if date and not is_fixed and date < day:
                found[number] = date
        return found

    def fixing_of(self, number: int) -> float | None:
        """At which rate a forward is paid; None for one that is not fixed, and for what is no forward. O(log forwards)."""
        at = self.place(number)
        return self._fixing.item(at) if at is not None and self.fixed.item(at) else None

    def place(self, number: int) -> int | None:
        """The place of an instrument among the forwards; None if it is none. O(log forwards)."""
        at = int(np.searchsorted(self.terms.number, number))
        return at if at < len(self) and int(self.terms.number[at]) == number else None

    # -- at the prices of a moment ---------------------------------------------------------------------------------

    def values(self, price: FloatArray, priced: BoolArray, ts: IntArray, fresh: BoolArray, now: int) -> ForwardValues:
        """Outrights at the marks of a moment, by instrument number. 30 us, and 0.1 us a forward."""
        terms, pair = self.terms, np.maximum(self.terms.pair, 0)
        spot, oldest = price[pair], self.curve_terms.oldest_ts
        outright = np.where(self.is_spot, spot, self.curve_terms.outrights(spot))
        known = self._has_outright & priced[pair] & (terms.pair != NO_PAIR) | self.fixed
        uses_curves = ~self.is_spot & ~self.fixed & (oldest != NEVER_OLD)
        is_old = uses_curves & (oldest < now - self._stale_after) if self._stale_after else np.zeros(len(self), dtype=np.bool_)
        made_of = np.where(self.fixed, 3, np.where(self.is_spot, 2, np.where(self.curve_terms.has_points, 0, 1)))
        return ForwardValues(
            np.where(self.fixed, self._fixing, np.where(known, outright, 0.0)),
            known,
            np.where(self.fixed, self._fixing_ts, np.where(uses_curves, np.minimum(ts[pair], oldest), ts[pair])),
            (fresh[pair] & ~is_old) | self.fixed,
            made_of,
        )

    def put_marks(self, marks: MarkTable, values: ForwardValues) -> list[int]:
        """Put the outrights in force in a table of marks. Returns the numbers of those that moved. O(forwards that moved).

        Where there is none, the forward's own quote stays; a mark that was made before goes.
        """
        number = self.terms.number
        known, made = values.known, np.array([_is_made(marks.marks[each]) for each in number.tolist()], dtype=np.bool_)
        moved = known & ((marks.price[number] != values.price) | (marks.ts[number] != values.ts) | ~marks.priced[number] | ~made)
        for at in np.flatnonzero(moved).tolist():
            mark = Mark(values.price.item(at), values.ts.item(at), _SOURCES[values.made_of.item(at)], FORWARD_MARK)
            marks.put_made(number.item(at), mark)
        gone = np.flatnonzero(~known & made).tolist()
        for at in gone:
            marks.put_made(number.item(at), None)
        return [number.item(at) for at in (*np.flatnonzero(moved).tolist(), *gone)]

    def with_buckets(self, rates: Rates, values: ForwardValues, price: FloatArray, priced: BoolArray) -> Rates:
        """Rates with those of the buckets: of cash X D, of what is delivered X_base F D / S. 50 us."""
        terms = self.terms
        value, known, stale = rates.value.copy(), rates.known.copy(), rates.stale.copy()
        paths = list(rates.paths)
        pair = np.maximum(terms.pair, 0)
        spot = np.where(priced[pair] & (terms.pair != NO_PAIR), price[pair], 0.0)
        cash = value[terms.quote] * self.discount
        cash_known = known[terms.quote] & self.has_discount
        outright, has_outright = price[terms.number], priced[terms.number]  # a forward's own quote among them
        growth = np.divide(outright, spot, out=np.ones(len(self)), where=spot != 0.0)
        delivery = np.where(spot != 0.0, value[terms.base] * growth * self.discount, outright * cash)
        delivery_known = known[terms.base] & self.has_discount & has_outright & cash_known
        if self.fixed.any():
            paid = np.where(terms.paid_in == NO_PAIR, terms.quote, terms.paid_in)
            in_quote = paid == terms.quote
            fixing = np.where(self.fixed, self._fixing, 1.0)
            cash = np.where(self.fixed, value[paid] / np.where(in_quote, 1.0, fixing), cash)
            cash_known = np.where(self.fixed, known[paid], cash_known)
            delivery = np.where(self.fixed, cash * fixing, delivery)
            delivery_known = np.where(self.fixed, cash_known, delivery_known)
        value[terms.cash], known[terms.cash] = np.where(cash_known, cash, 0.0), cash_known
        value[terms.delivery], known[terms.delivery] = np.where(delivery_known, delivery, 0.0), delivery_known
        stale[terms.cash] = stale[terms.quote] & ~self.fixed
        stale[terms.delivery] = stale[terms.base] | (values.known & ~values.fresh)
        for bucket, currency in zip(terms.cash.tolist(), terms.quote.tolist(), strict=True):
            paths[bucket] = paths[currency]
        fee_value, fee_known = rates.fee_value.copy(), rates.fee_known.copy()
        for buckets in (terms.cash, terms.delivery):
            fee_value[buckets], fee_known[buckets] = value[buckets], known[buckets]
        legs, majors = value.copy(), rates.majors
        legs[terms.cash[~has_outright]] = 0.0  # as unknown as what it was dealt for
        if self.fixed.any():
            majors, paid_in = majors.copy(), np.where(terms.paid_in == NO_PAIR, terms.quote, terms.paid_in)[self.fixed]
            majors[terms.cash[self.fixed]] = majors[terms.delivery[self.fixed]] = paid_in
        legs[majors == self._reporting] = 0.0
        for array in (value, known, stale, fee_value, fee_known, majors, legs):
            array.flags.writeable = False
        return Rates(value, known, stale, tuple(paths), fee_value, fee_known, majors, legs)


def as_closed(rates: Rates, reference: Reference, closed: Mapping[str, float]) -> Rates:
    """Rates with those of the buckets as a close had them: each as far from its currency's as it was then. O(currencies)."""
    value, known, fees, fees_known = rates.value.copy(), rates.known.copy(), rates.fee_value.copy(), rates.fee_known.copy()
    legs = rates.legs.copy()
    for bucket in range(reference.plain_currencies, len(reference.currencies)):
        major = reference.majors[bucket]
        was, of_major = closed.get(reference.currencies[bucket]), closed.get(reference.currencies[major])
        if was is not None and of_major and known[major]:
            value[bucket] = fees[bucket] = legs[bucket] = was * (value.item(major) / of_major)
            known[bucket] = fees_known[bucket] = True
    legs[rates.majors == reference.currency_index[reference.reporting_currency]] = 0.0
    return rates._replace(value=value, known=known, fee_value=fees, fee_known=fees_known, legs=legs)


def _is_made(mark: Mark | None) -> bool:
    return mark is not None and mark.kind == FORWARD_MARK


def _reason(legs: CurveNumbers, forward: Instrument, pair: Instrument | None) -> str:
    """Why a forward cannot be valued but for the price of its pair; "" if it can."""
    if pair is None:
        return f"no pair {forward.base_currency}{forward.quote_currency} gives its spot"
    return legs.reason
