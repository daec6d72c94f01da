"""What an owner is exposed to: by currency, sector, instrument or kind (ACCOUNTING section 5). Pure functions of a snapshot.

By currency everything counts: the net open position. A pair posts its two legs, an option on it the legs of its hedge at spot
delta and its cash, a metal or a crypto the asset against its cash, every other product its C + k q m in its cash currency, fees
what they cost in their own, and what is kept beside cash what it is. With the external cash of a node the rows sum to its NAV (of
a dealer: to total P&L less fees), and one per cent on a currency moves that by one per cent of its row. Legs are valued at the
rates of their currencies. Where the own mark of a pair, or of an option on it, says something else than the rates of its two
currencies, the difference stands in the row of the reporting currency.

By sector, instrument and kind a row is the exposure of a node that would hold this group alone: currency legs without the
reporting currency, k q m X of products, and of options on those the delta, netted with them. The rows sum to `net_exposure`; long
and short are after netting inside the group.

A row sums what is known; `unpriced_count` counts the positions that it lacks, and its amounts are null if it knows of none.
"""

from collections.abc import Iterable, Mapping
from math import fsum
from typing import NamedTuple

import numpy as np

from riskengine.market.currencies import Rates
from riskengine.positions.ledger import MASK, SHIFT, Row
from riskengine.records.types import CASH_ONE, BoolArray, FloatArray, IntArray
from riskengine.snapshot.exposure_columns import DELTA, FEES, GROUPINGS, LEG, WORTH, ExposureColumns, Groups
from riskengine.snapshot.exposure_renewal import columns_of
from riskengine.snapshot.option_legs import OptionLegs
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot, Table, dealer_number, node_number

CURRENCY = "currency"
BY = (CURRENCY, *GROUPINGS)
"""What exposure is broken down by: the name of the field that identifies a row."""

GOLD = "XAU"
TOP = 5


class Exposure(NamedTuple):
    """The rows of one breakdown, by name, and the figures beside them."""

    rows: list[RowDict]
    summary: RowDict


def exposure(snapshot: Snapshot, by: str, *, node: str | None = None, dealer: str | None = None) -> Exposure:
    """The exposure of a node or a dealer (default: the root) by one of `BY`. Raises UnknownName.

    O(instruments held there) in arrays, whatever the number of positions below; their columns are kept. Any thread.
    """
    place = owner_of(snapshot, node, dealer)
    if place is None:
        return exposure_of(snapshot, ExposureColumns(snapshot.reference, snapshot.units.netting, ()), by)
    _, broken = rows_of(*place)
    return exposure_of(snapshot, columns_of(snapshot, *place, broken), by)


def owner_of(snapshot: Snapshot, node: str | None, dealer: str | None) -> tuple[Table, int] | None:
    """The roll-up and the number of a node or a dealer (default: the root, None if there is none). Raises UnknownName."""
    if dealer is not None:
        return snapshot.dealers, dealer_number(snapshot, dealer)
    if node is None and not len(snapshot.reference.hierarchy):
        return None
    return snapshot.nodes, 0 if node is None else node_number(snapshot, node)


def rows_of(table: Table, owner: int) -> tuple[Iterable[Row], frozenset[int]]:
    """What an owner holds, and the instruments whose sums there were found wrong."""
    return table.state(owner).positions(), frozenset(key & MASK for key in table.broken if key >> SHIFT == owner)


def exposure_of(snapshot: Snapshot, held: ExposureColumns, by: str) -> Exposure:
    """The exposure of what is held, which must be that of the snapshot. O(instruments held), in arrays. Any thread."""
    values = LineValues(snapshot, held)
    balances = _balances(snapshot, held, values)
    instruments = _amounts(snapshot, held, values, held.groups("instrument"))
    rows, unpriced = balances.rows, balances.unpriced
    if by != CURRENCY:
        groups = held.groups(by)
        rows = _group_rows(by, groups, instruments if by == "instrument" else _amounts(snapshot, held, values, groups))
        unpriced = sum(row["unpriced_count"] for row in rows)
    summary = _shorthand(snapshot, balances.rows) | {"quoted_apart": balances.apart, "unpriced_count": unpriced}
    return Exposure(rows, summary | _concentration(held, instruments))


class LineValues:
    """What the lines of an owner are worth at a snapshot's prices, by line.

    local    k q m in the cash currency, of minor units in theirs; `has_local` where it is known
    value    the same in the reporting currency; `has_value` where it is known
    options  what options post
    """

    __slots__ = ("has_local", "has_value", "local", "options", "value")

    def __init__(self, snapshot: Snapshot, held: ExposureColumns) -> None:
        units, number, flat = snapshot.units, held.number, held.open_count == 0
        worth = held.size * units.price[number]
        self.local: FloatArray = np.where(held.in_hundredths, worth / 100.0, worth)
        self.value: FloatArray = worth * units.rate[number]
        self.has_local: BoolArray = units.priced[number] | flat
        self.has_value: BoolArray = self.has_local & (units.rated[number] | flat)
        self.options = OptionLegs(snapshot, held)


# -- by currency -------------------------------------------------------------------------------------------------


class Balances(NamedTuple):
    """The rows by currency, the positions of which a part is unknown, and what pairs are quoted apart from their rates."""

    rows: list[RowDict]
    unpriced: int
    apart: float


def _balances(snapshot: Snapshot, held: ExposureColumns, values: LineValues) -> Balances:
    reference, rates = snapshot.reference, snapshot.rates
    count, own = len(reference.currencies), reference.currency_index[reference.reporting_currency]
    known, unknown, unpriced = _counts(snapshot, held, values)
    for number in held.cash_in:
        has_rate = rates.fee_known.item(number)
        known[number] += has_rate
        unknown[number] += not has_rate
        unpriced += not has_rate
    local, value = np.zeros(count), np.zeros(count)
    priced = held.is_priced
    has_local, has_value = priced & (values.has_local | held.is_asset), priced & values.has_value
    np.add.at(local, held.worth_in[has_local], np.where(held.is_asset, held.size, values.local)[has_local])
    np.add.at(value, held.worth_in[has_value], values.value[has_value])
    options = values.options
    for currency, local_amount, amount in (
        (options.base, options.base_local, options.base_value),
        (options.quote, options.quote_local, options.quote_value),
    ):
        np.add.at(local, currency, local_amount)
        np.add.at(value, currency, amount)
    apart = _apart(snapshot, held, values)
    local[own] += apart
    value[own] += apart
    legs = dict(held.legs)
    for line in np.flatnonzero(priced & ~values.has_local & ~held.is_asset).tolist():
        # The cash is as unknown as what was bought with it.
        legs[held.worth_in.item(line)] -= held.in_whole_units(line, held.rows[line].open_cash)
    for line in np.flatnonzero(options.unknown & held.is_fx_option).tolist():
        legs[held.ends.item(line, 1)] -= held.rows[line].open_cash  # as unknown as its delta
    has_part = np.zeros(count, dtype=np.bool_)
    has_part[held.worth_in[has_local]] = True
    in_buckets = _in_buckets(legs, rates, value, local)
    has_part[options.base] = has_part[options.quote] = True
    rows = []
    for number in sorted({*held.place_currency.tolist(), *held.cash_in, *in_buckets, *([own] if held.rows else [])}):
        leg, fees = legs.get(number, 0), held.fees.get(number, 0)
        rate, fee_rate = rates.value.item(number), rates.fee_value.item(number)
        if rate == fee_rate:  # one rounding: what nets out exactly is exactly 0
            net = (leg - fees) / CASH_ONE * rate + value.item(number)
        else:
            net = leg / CASH_ONE * rate + value.item(number) - fees / CASH_ONE * fee_rate
        is_known = bool(known.item(number)) or not unknown.item(number)
        row = _row(CURRENCY, reference.currencies[number], net, net, is_known)
        is_local_known = is_known or leg or fees or has_part.item(number) or number in in_buckets
        amount = (leg - fees) / CASH_ONE + local.item(number)
        row |= {"net_local": amount + 0.0 if is_local_known else None, "unpriced_count": unknown.item(number)}
        rows.append(row)
    return Balances(_percents(rows), unpriced, apart)


def _in_buckets(legs: Mapping[int, int], rates: Rates, value: FloatArray, local: FloatArray) -> set[int]:
    """Add what legs in buckets of forwards are worth to their currencies. Returns those. O(legs)."""
    found = set()
    for bucket, units in legs.items():
        major = rates.majors.item(bucket)
        if major != bucket and units and rates.known.item(bucket):
            worth, rate = units / CASH_ONE * rates.value.item(bucket), rates.value.item(major)
            value[major] += worth
            local[major] += worth / rate if rate else 0.0
            found.add(major)
    return found


def _counts(snapshot: Snapshot, held: ExposureColumns, values: LineValues) -> tuple[IntArray, IntArray, int]:
    """By currency, how many positions have a known and how many an unknown part in it; and positions with any unknown part."""
    rates, line, currency, part_is = snapshot.rates, held.part_line, held.part_currency, held.part_is
    positions, open_count = held.known[line], held.open_count[line]
    missing = np.where(part_is[DELTA] & values.options.unknown[line], open_count, 0)
    unrated = part_is[LEG] & ~rates.known[held.part_bucket]
    missing[unrated] = positions[unrated]
    missing[part_is[FEES] & ~rates.fee_known[currency]] = positions[part_is[FEES] & ~rates.fee_known[currency]]
    unvalued = part_is[WORTH] & ~values.has_value[line]
    missing[unvalued] = open_count[unvalued]
    lacking = np.zeros(len(held.place_line), dtype=np.int64)
    np.maximum.at(lacking, held.part_place, missing)
    count = len(snapshot.reference.currencies)
    known = _sums(held.place_currency, held.known[held.place_line] - lacking, count)
    unknown = _sums(held.place_currency, held.quarantined[held.place_line] + lacking, count)
    of_line = np.zeros(len(held.rows), dtype=np.int64)
    np.maximum.at(of_line, held.place_line, lacking)
    return known, unknown, int(of_line.sum() + held.quarantined.sum())


def _apart(snapshot: Snapshot, held: ExposureColumns, values: LineValues) -> float:
    """What pairs and options on them are marked beyond the rates of their currencies, in the reporting currency."""
    pairs = held.is_pair & values.has_value & snapshot.rates.known[held.ends[:, 0]]
    at_rates = held.size[pairs] * snapshot.rates.value[held.ends[pairs, 0]]
    options = values.options
    of_options = values.value[options.line] - (options.base_value + options.quote_value)
    return float(np.sum(values.value[pairs] - at_rates) + np.sum(of_options)) + 0.0


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


def gross_of(snapshot: Snapshot, held: ExposureColumns) -> tuple[float, bool]:
    """The gross exposure of all that is held, netted by currency and instrument, and whether it is whole. As `exposure_of`."""
    amounts = _amounts(snapshot, held, LineValues(snapshot, held), held.as_one_group())
    return float((amounts.long - amounts.short).sum()) + 0.0, not amounts.unknown.any()


# -- by sector, instrument, kind ---------------------------------------------------------------------------------


class Amounts(NamedTuple):
    """Longs and shorts by group, after netting by currency and instrument inside it, and its known and unknown positions."""

    long: FloatArray
    short: FloatArray
    known: IntArray
    unknown: IntArray


def _amounts(snapshot: Snapshot, held: ExposureColumns, values: LineValues, groups: Groups) -> Amounts:
    count, rates = len(groups.names), snapshot.rates
    places, parts = _netted(snapshot, held, values, groups)
    unrated = (held.has_foreign_leg & ~rates.known[held.ends]).any(axis=1)
    missing = np.where(unrated, held.known, 0)
    unvalued = ~held.is_pair & np.where(held.is_option, values.options.unknown, ~values.has_value)
    missing[unvalued] = held.open_count[unvalued]
    return Amounts(
        _added(places, np.maximum(parts, 0.0), count),
        _added(places, np.minimum(parts, 0.0), count),
        # Flat positions beside an open one of unknown worth do not make it known: it is null, as its row of the ladder is.
        _sums(groups.of_line, np.where(missing > 0, 0, held.known), count),
        _sums(groups.of_line, held.quarantined + missing, count),
    )


def _netted(snapshot: Snapshot, held: ExposureColumns, values: LineValues, groups: Groups) -> tuple[IntArray, FloatArray]:
    """The exposures of the groups, netted by currency and instrument inside each: the group and the amount of every one.

    An instrument's number stands behind those of the currencies.
    """
    rates, units, options = snapshot.rates, snapshot.units, values.options
    own = snapshot.reference.currency_index[snapshot.reference.reporting_currency]
    width = len(rates.value)
    products = ~held.is_pair & ~held.is_option & values.has_value
    on_products = options.known & ~held.posts_premium
    legs = held.posts_premium[options.line]
    base, quote = legs & (options.base != own), legs & (options.quote != own)
    unpaid = options.unknown & held.posts_premium & (held.ends[:, 1] != own)
    cash = np.array([held.rows[line].open_cash / CASH_ONE for line in np.flatnonzero(unpaid).tolist()])
    greeks = units.options.greeks.net if units.options is not None else np.zeros(len(units.value))
    quantity = held.quantity[on_products]
    entries = (
        (groups.leg_group, rates.majors[groups.leg_currency], groups.leg_amount * rates.legs[groups.leg_currency]),
        (groups.of_line[products], width + held.number[products], values.value[products]),
        (groups.of_line[options.line[base]], options.base[base], options.base_value[base]),
        (groups.of_line[options.line[quote]], options.quote[quote], options.quote_value[quote]),
        (groups.of_line[unpaid], held.ends[unpaid, 1], -cash * rates.value[held.ends[unpaid, 1]]),
        (
            groups.of_line[on_products],
            width + units.netting.product[held.number[on_products]],
            quantity * greeks[held.number[on_products]],
        ),
    )
    group, bucket, amount = (np.concatenate([entry[at] for entry in entries]) for at in range(3))
    if not held.is_option.any() and bool((rates.majors[groups.leg_currency] == groups.leg_currency).all()):
        return group, amount
    span = width + len(units.value)
    keys, place = np.unique(group * span + bucket, return_inverse=True)
    return keys // span, _added(place, amount, len(keys))


def _sums(places: IntArray, counts: IntArray, length: int) -> IntArray:
    """Whole numbers added up by place."""
    found = np.zeros(length, dtype=np.int64)
    np.add.at(found, places, counts)
    return found


def _added(places: IntArray, amounts: FloatArray, length: int) -> FloatArray:
    """Amounts added up by place."""
    found = np.zeros(length)
    np.add.at(found, places, amounts)
    return found


def _group_rows(by: str, groups: Groups, amounts: Amounts) -> list[RowDict]:
    columns = (column.tolist() for column in amounts)
    rows = []
    for name, long, short, known, unknown in zip(groups.names, *columns, strict=True):
        row = _row(by, name, long, short, bool(known) or not unknown)
        row["unpriced_count"] = unknown
        rows.append(row)
    return _percents(rows)


def _row(by: str, name: str, long: float, short: float, is_known: bool) -> RowDict:
    """The first fields of a row."""
    if not is_known:
        return {by: name, "net": None, "long": None, "short": None, "percent": None}
    long, short = max(long, 0.0) + 0.0, min(short, 0.0) + 0.0
    return {by: name, "net": long + short + 0.0, "long": long, "short": short, "percent": None}


def _percents(rows: list[RowDict]) -> list[RowDict]:
    """The rows, with the share of each net in the sum of all longs and shorts."""
    gross = fsum(row["long"] - row["short"] for row in rows if row["net"] is not None)
    for row in rows:
        if row["net"] is not None:
            row["percent"] = row["net"] / gross * 100.0 if gross else 0.0
    return rows


def _concentration(held: ExposureColumns, amounts: Amounts) -> RowDict:
    """How many sectors are held, the largest name and the five largest, of what is exposed by instrument.

    `amounts` are those by instrument: one for each line.
    """
    is_known = (amounts.known > 0) | (amounts.unknown == 0)
    gross = fsum((amounts.long - amounts.short)[is_known].tolist())
    nets = np.where(held.is_pair | held.posts_premium | ~is_known, 0.0, amounts.long + amounts.short)
    largest = np.argsort(-np.abs(nets), kind="stable")[:TOP].tolist()
    top = [
        {"instrument": held.instruments[line].instrument, "net": net, "percent": net / gross * 100.0}
        for line in largest
        if (net := nets.item(line))
    ]
    return {
        "sector_count": len(held.sectors),
        "largest": top[0] if top else None,
        "top_five": top,
        "top_five_percent": sum(abs(row["percent"]) for row in top) + 0.0,
    }
