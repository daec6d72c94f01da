"""A private branch of a snapshot: what some owners hold, with trades more, at other prices. The snapshot stays as it is.

A branch is a snapshot too, with the owners asked about in the place of the dealers: the functions of `snapshot` make rows and
exposure of it as of any other. Its numbers come from the code that values nodes (`valuation.node_values`), a node being one owner
of its netted rows. Pure; any thread.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs

from riskengine.market.currencies import CurrencyGraph, Rates
from riskengine.positions.ledger import EMPTY_ROW, Row
from riskengine.records.reference import Reference
from riskengine.records.types import MULTIPLIER_DECIMALS, BoolArray, FloatArray, Trade
from riskengine.scenarios.moves import Moves
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table
from riskengine.valuation.forward_values import ForwardMarket
from riskengine.valuation.node_values import Valuation
from riskengine.valuation.number_pages import PAGE
from riskengine.valuation.options.americans import Americans
from riskengine.valuation.options.models import MarketColumns, PushedColumns, value_options
from riskengine.valuation.options.values import (
    DAYS_A_YEAR,
    EXPIRED,
    FIXED,
    PUSHED,
    QUOTED,
    TAYLOR,
    VOL_POINT,
    OptionValues,
    UnitGreeks,
)
from riskengine.valuation.row_columns import RowColumns
from riskengine.valuation.unit_values import Factors, OptionMarks, Units


class BranchPrices(NamedTuple):
    """What things are worth in a branch."""

    units: Units
    rates: Rates
    forwards: ForwardMarket | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "BranchPrices":
        """Those of the snapshot itself."""
        return cls(snapshot.units, snapshot.rates, snapshot.forwards)


class Pricer:
    """Makes the prices of branches of one snapshot. `held`: by instrument number, which options are to be valued.

    5 ms at first and 1 ms for each branch with 1,000 instruments; an American option adds a millisecond to each.
    """

    def __init__(self, snapshot: Snapshot, held: BoolArray) -> None:
        self._snapshot = snapshot
        self._held = held
        reference = snapshot.reference
        self._graph = CurrencyGraph(reference)
        self._reporting = reference.currency_index[reference.reporting_currency]
        self._currency = np.array(reference.cash_currency, dtype=np.int64)
        self._multiplier = np.array([each.contract_multiplier / 10**MULTIPLIER_DECIMALS for each in reference.instruments])

    def prices(self, moves: Moves) -> BranchPrices:
        """The prices that moves make. Raises nothing: what has no value there is unpriced."""
        units = self._snapshot.units
        price, priced = moves.price.copy(), units.priced.copy()
        fresh = priced & ~units.stale_mark
        rates = self._graph.rates(price, priced, fresh)
        forwards = self._snapshot.forwards
        if forwards is not None and len(forwards):
            forwards = self._moved_forwards(forwards, moves)
            values = forwards.values(price, priced, units.mark_ts, fresh, self._snapshot.as_of)
            number = forwards.terms.number
            own_quote = ~values.known & priced[number] & (price[forwards.terms.pair] != units.price[forwards.terms.pair])
            price[number] = np.where(values.known, values.price, price[number])
            priced[number[own_quote]] = False
            rates = forwards.with_buckets(rates, values, price, priced)
        options = units.options
        if options is not None:
            values_there = self._options(options, moves, price, priced, rates)
            price[values_there.number], priced[values_there.number] = values_there.price, values_there.priced
            greeks = UnitGreeks.of(values_there, options.terms.exposed, rates, self._reporting, len(price))
            options = options._replace(values=values_there, greeks=greeks)
        return BranchPrices(self._units(price, priced, rates, options), rates, forwards)

    def _units(self, price: FloatArray, priced: BoolArray, rates: Rates, options: OptionMarks | None) -> Units:
        units = self._snapshot.units
        rate, rated = rates.value[self._currency], rates.known[self._currency]
        price = np.where(priced, price, 0.0)
        no_delta = units.no_delta if options is None else ~options.greeks.has_delta
        return units._replace(
            price=price,
            priced=priced,
            value=self._multiplier * price * rate,
            rate=rate,
            rated=rated,
            no_delta=no_delta,
            options=options,
        )

    def _moved_forwards(self, forwards: ForwardMarket, moves: Moves) -> ForwardMarket:
        """The same with the rates of both currencies moved; where points make the outright, they stay."""
        if not moves.rate.any():
            return forwards
        terms, curves = forwards.terms, forwards.curve_terms
        moved = copy(forwards)
        quote, base = moves.rate[terms.quote], moves.rate[terms.base]
        moved.curve_terms = curves._replace(rate_quote=curves.rate_quote + quote, rate_base=curves.rate_base + base)
        applies = forwards.discount != 1.0
        moved.discount = np.where(applies, forwards.discount * np.exp(-quote * curves.years), forwards.discount)
        return moved

    # -- options -----------------------------------------------------------------------------------------------

    def _options(self, options: OptionMarks, moves: Moves, price: FloatArray, priced: BoolArray, rates: Rates) -> OptionValues:
        """All options at other spots, vols and rates; those that nobody holds stay as they are."""
        values, terms = options.values, options.terms
        places = np.flatnonzero(self._held[terms.number])
        if not len(places):
            return values
        spot, has_spot = self._spots(options, price, priced, rates)
        market = _market_of(options, moves, spot, has_spot, self._snapshot.as_of)
        is_moved = (spot != np.nan_to_num(values.spot)) | (moves.vol != np.nan_to_num(values.vol))
        # An option of which its own quote alone is known says nothing of another spot or vol.
        market = market._replace(has_quote=market.has_quote & ~((values.source == QUOTED) & is_moved))
        taken: dict[str, Any] = {n: c[places] for n, c in terms._asdict().items() if isinstance(c, np.ndarray)}
        some_terms = terms._replace(**taken)
        some = MarketColumns._make(
            PushedColumns._make(each[places] for each in column) if isinstance(column, PushedColumns) else column[places]
            for column in market
        )
        found = value_options(some_terms, some, places, Americans(terms))
        columns = found._asdict()
        same = values.source[places] == FIXED  # what the cut has decided, or a person
        for name in ("price", "value", "priced", "has_delta", "source", "in_money"):
            columns[name] = np.where(same, getattr(values, name)[places], columns[name])
        kept = {name: getattr(values, name)[places] for name in OptionValues._fields if name not in columns}
        kept |= {"spot": np.where(has_spot, spot, np.nan)[places], "rate_quote": market.rate_quote[places]}
        kept |= {"rate_base": market.rate_base[places]}
        return values.put(places, OptionValues(**(kept | columns)))

    def _spots(self, options: OptionMarks, price: FloatArray, priced: BoolArray, rates: Rates) -> tuple[FloatArray, BoolArray]:
        """The spots of options, moved by the ratio that what gives them has moved by."""
        units, before, terms = self._snapshot.units, self._snapshot.rates, options.terms
        there = np.maximum(terms.spot, 0)
        old, new = units.price[there], price[there]
        has_spot = ~np.isnan(options.values.spot) & (terms.spot >= 0) & priced[there] & (old > 0.0) & (new > 0.0)
        ratio = np.divide(new, old, out=np.ones(len(new)), where=has_spot)
        ratio = np.where(terms.inverse, 1.0 / ratio, ratio)
        crossed = terms.crossed & rates.known[terms.base] & rates.known[terms.quote]
        if crossed.any():
            was = before.value[terms.base[crossed]] / before.value[terms.quote[crossed]]
            ratio[crossed] = rates.value[terms.base[crossed]] / rates.value[terms.quote[crossed]] / was
            has_spot |= crossed
        return np.where(has_spot, np.nan_to_num(options.values.spot) * ratio, 0.0), has_spot


def _market_of(options: OptionMarks, moves: Moves, spot: FloatArray, has_spot: BoolArray, as_of: int) -> MarketColumns:
    """What values every option again: the inputs of the snapshot, moved."""
    values, terms = options.values, options.terms
    has_rates = ~np.isnan(values.rate_quote) & ~np.isnan(values.rate_base)
    quote_moved = moves.rate[terms.exposed.quoted]
    base_moved = np.where(terms.is_pair, moves.rate[np.maximum(terms.base, 0)], 0.0)
    is_sent = (values.source == PUSHED) | (values.source == TAYLOR)
    old_spot = np.nan_to_num(values.spot)
    unit = np.where(terms.in_base, terms.factor * old_spot, terms.factor)
    vol = np.nan_to_num(values.vol)
    sent = PushedColumns(
        is_sent,
        np.full(len(vol), as_of, dtype=np.int64),
        old_spot,
        vol,
        values.price,
        values.delta,
        values.gamma,
        np.divide(values.vega * VOL_POINT, unit, out=np.zeros(len(vol)), where=unit != 0.0),
        np.divide(values.theta / DAYS_A_YEAR, unit, out=np.zeros(len(vol)), where=unit != 0.0),
        np.where(is_sent, moves.vol - vol, 0.0),
    )
    is_expired, is_fixed = values.state == EXPIRED, ~np.isnan(values.fixing)
    nothing = np.full(len(vol), "", dtype=np.object_)
    return MarketColumns(
        spot=spot,
        has_spot=has_spot,
        vol=moves.vol,
        has_vol=(moves.vol > 0.0) & ~is_sent,
        rate_quote=np.where(has_rates, np.nan_to_num(values.rate_quote) + quote_moved, 0.0),
        rate_base=np.where(has_rates, np.nan_to_num(values.rate_base) + base_moved, 0.0),
        has_rates=has_rates,
        quote=values.price,
        has_quote=values.priced,
        years=values.years,
        years_settle=values.years_settle,
        ts=np.full(len(vol), as_of, dtype=np.int64),
        is_expired=is_expired,
        fixing=np.nan_to_num(values.fixing),
        is_fixed=is_fixed,
        is_set=np.zeros(len(vol), dtype=np.bool_),
        pushed=sent,
        implied=np.zeros(len(vol)),
        why_no_vol=nothing,
        why_no_rates=nothing,
        why_not_implied=nothing,
    )


# -- what is held ------------------------------------------------------------------------------------------------------


def with_trades(snapshot: Snapshot, numbers: Sequence[int], trades: Sequence[Trade]) -> list[OwnerState]:
    """What nodes of these numbers would hold after trades, which name instruments of the snapshot. O(rows of nodes with trades).

    A trade moves the position of its desk, and by the difference every node above.
    """
    hierarchy, table = snapshot.reference.hierarchy, snapshot.nodes
    leaves: dict[tuple[int, int], Row] = {}
    changes: dict[int, dict[int, list[tuple[Row, Row]]]] = {}
    for trade in trades:
        leaf, number = hierarchy.index[trade.desk], snapshot.reference.instrument_index[trade.instrument]
        before = leaves.get((leaf, number)) or table.row(leaf, number) or structs.replace(EMPTY_ROW, instrument=number)
        after = leaves[leaf, number] = row_with(before, trade)
        for owner in (leaf, *hierarchy.ancestors[leaf]):
            changes.setdefault(owner, {}).setdefault(number, []).append((before, after))
    return [_changed(table.state(number), changes.get(number, {})) for number in numbers]


def row_with(row: Row, trade: Trade) -> Row:
    """A leaf's row after a trade. 2 us."""
    quantity, cash = row.quantity + trade.signed_quantity, row.cash + trade.cash
    is_open = quantity != 0
    return structs.replace(
        row,
        quantity=quantity,
        cash=cash,
        open_cost=_open_cost(row, trade),
        open_count=int(is_open),
        open_cash=cash if is_open else 0,
        long_count=int(quantity > 0),
        position_count=max(row.position_count, 1),
        trade_count=row.trade_count + 1,
        average=None,
    )


def _open_cost(row: Row, trade: Trade) -> int:
    """The open cost k q A after a trade: what is added comes at its price, what goes goes at the average."""
    held, dealt = row.quantity, trade.signed_quantity
    left = held + dealt
    if held * dealt >= 0:
        return row.open_cost - trade.cash
    if left * held >= 0:
        return row.open_cost * left // held
    return -trade.cash * left // dealt  # the position was turned: what is left of the trade opens it


_SUMMED = ("quantity", "cash", "open_cost", "open_count", "open_cash", "long_count", "position_count", "trade_count")


def _changed(state: OwnerState, changes: Mapping[int, Sequence[tuple[Row, Row]]]) -> OwnerState:
    """What an owner holds after rows below it have changed."""
    if not changes:
        return state
    rows = {row.instrument: row for row in state.positions()}
    for number, moved in changes.items():
        row = rows.get(number) or structs.replace(EMPTY_ROW, instrument=number)
        sums = {name: getattr(row, name) + sum(getattr(b, name) - getattr(a, name) for a, b in moved) for name in _SUMMED}
        rows[number] = structs.replace(row, **sums, average=None)
    count = sum(row.position_count for row in rows.values())
    trades = sum(row.trade_count for row in rows.values())
    return OwnerState((tuple(rows.values()),), count, trades, state.last_trade_ts, state.quarantined_count)


# -- the branch --------------------------------------------------------------------------------------------------------


class Branch:
    """Owners of a snapshot with other holdings, valued at as many prices as asked for."""

    def __init__(self, snapshot: Snapshot, names: Sequence[str], states: Sequence[OwnerState]) -> None:
        """`names` stand for the owners in what is made of the branch. 2 us a row."""
        assert len(names) <= PAGE, "the owners of a branch fit on one page"
        self._snapshot = snapshot
        self._names = tuple(names)
        self.states = tuple(states)
        self._valuation: Valuation | None = None

    def at(self, prices: BranchPrices) -> Snapshot:
        """The branch at these prices: a snapshot whose dealers are its owners, and that shares the rest. 1 ms."""
        reference: Reference = self._snapshot.reference
        factors = Factors(prices.units, prices.rates)
        if self._valuation is None:
            self._valuation = Valuation(reference, None)
            for _ in self.states:
                self._valuation.add_owner()
            leaves = RowColumns((owner, state.positions()) for owner, state in enumerate(self.states))
            self._valuation.take_columns(leaves, RowColumns(()), factors)
        else:
            self._valuation.reprice(factors)
        base = self._snapshot
        return Snapshot(
            epoch=base.epoch,
            seq=base.seq,
            as_of=base.as_of,
            reference=reference,
            nodes=base.nodes,
            dealers=Table(len(self.states), (self.states,), self._valuation.pages),
            dealer_names=self._names,
            units=prices.units,
            rates=prices.rates,
            counts=base.counts,
            exceptions=base.exceptions,
            watermark=base.watermark,
            trade_seq=base.trade_seq,
            last_trade_at=base.last_trade_at,
            verdicts=base.verdicts,
            adjustments=base.adjustments,
            current_day=base.current_day,
            forwards=prices.forwards,
        )
