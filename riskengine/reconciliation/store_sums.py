"""The store's own account of every position: sums over its raw rows, made without the engine's ledger or memory.

An independent account: of each trade the highest version that is not quarantined counts, unless it is a cancel, and is added to
the position of its desk and to that of its dealer; opening balances are added to both. Nearly all rows are the first and only
version of a trade; they are added up in columns (`trade_columns`). The rest are judged one by one, by the same check and the same
rules of quarantine as anywhere. All of it is read in one transaction, at one watermark.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from riskengine.clock import MICROS_PER_SECOND, SystemClock
from riskengine.config import Config
from riskengine.market.forward_roll import ForwardRoll
from riskengine.market.spot_dates import SpotDates
from riskengine.positions.quarantine import Quarantine
from riskengine.reconciliation.store_actions import StoreActions
from riskengine.reconciliation.store_forwards import StoreForwards
from riskengine.records.cash import CarryRecord, EntryCheck, StoredCashRow
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.decode import TradeCheck
from riskengine.records.fields import MAX_INTEGER, MAX_SEQUENCE, TS_MAX, TS_MIN, Rejected, date
from riskengine.records.fingerprints import join_parts, trade_fingerprint
from riskengine.records.types import CASH_PER_ONE, DECIMALS, Identity, Instrument, Key, Kind, Node, Opening, Trade
from riskengine.records.types import IntArray as Ints
from riskengine.snapshot.compare import DEALER, NO_FEES, NODE, NOTHING, Fees, Holding, plus
from riskengine.store.protocol import Store
from riskengine.store.queries import Transaction
from riskengine.store.sql_store import REVISION_KEY
from riskengine.store.tables import reference
from riskengine.store.tables import verdicts as verdicts_of
from riskengine.store.tables.actions import action_rows
from riskengine.store.tables.calendars import calendar_state
from riskengine.store.tables.cash import cash_rows
from riskengine.store.tables.rules import rule_starts
from riskengine.store.tables.trade_columns import (
    COUNT,
    FEES_WIDTH,
    LIMB,
    NOTIONAL,
    PRINTS,
    QUANTITY,
    KeySums,
    SumsPage,
    SumsReader,
    fees_limbs,
    join_limbs,
    pages,
)
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

Owned = dict[str, dict[str, Holding]]
"""By owner and instrument."""

ROWS_AT_ONCE = 5_000
MINUTE = 60 * MICROS_PER_SECOND


class StoreSide(NamedTuple):
    """The account of a store at a watermark.

    nodes, dealers  what each leaf node or dealer holds, by instrument; the caller may change them
    parents         the parent of every node, "" of the root
    revision        of the reference data by which trades were judged (`Store.reference_revision`)
    has_actions     whether the store knows corporate actions: then the account is one of its moment
    """

    nodes: Owned
    dealers: Owned
    parents: Mapping[str, str]
    watermark: int
    revision: int
    has_actions: bool = False

    def of(self, rollup: str) -> Owned:
        """The holdings of one roll-up."""
        return self.nodes if rollup == NODE else self.dealers

    def side(self) -> dict[Key, Holding]:
        """All holdings by key. O(keys)."""
        return {
            (rollup, owner, instrument): held
            for rollup in (NODE, DEALER)
            for owner, row in self.of(rollup).items()
            for instrument, held in row.items()
        }


class Rules:
    """The rules by which trades of this store count: reference data, balances and verdicts as they are stored.

    `current_day` is the trading day that is running: trades dated later wait; "": none waits. `as_of`, microseconds since the
    epoch, leaves out later balances, verdicts and corporate actions. Of those the ones count whose ex-date is `actions_day` or
    earlier; "": that of `current_day`, or of the clock.
    """

    def __init__(
        self,
        transaction: Transaction,
        config: Config,
        as_of: int | None = None,
        current_day: str = "",
        actions_day: str = "",
    ) -> None:
        until = TS_MAX if as_of is None else as_of
        self.revision = int(reference.get_meta(transaction, REVISION_KEY) or 0)
        self.nodes: list[Node] = reference.nodes(transaction)
        self.instruments: dict[str, Instrument] = {each.instrument: each for each in reference.instruments(transaction)}
        parents = {node.parent for node in self.nodes}
        self.leaves = frozenset(node.node for node in self.nodes if node.node not in parents)
        reporting = config.engine.reporting_currency
        names = {node.node for node in self.nodes}
        starts = rule_starts(transaction)
        self.check = TradeCheck(self.instruments, self.leaves, names, (reporting,), starts)
        spot_dates = SpotDates.of(calendar_state(transaction), config.engine)
        self.quarantine = Quarantine(self.instruments, config.engine, spot_dates, starts, current_day)
        self.openings: list[Opening] = [
            opening
            for opening in reference.openings(transaction)
            if opening.desk in self.leaves and opening.instrument in self.instruments and opening.ts <= until
        ]
        for opening in self.openings:
            self.quarantine.open_with(opening)
        for verdict in verdicts_of.verdicts(transaction):
            if verdict.verdict and verdict.ts <= until:
                self.quarantine.note_verdict(verdict.id, verdict.verdict)
        entries = EntryCheck(self.check, self.quarantine.openings, config.engine.future_limit_s)
        self.carry = _carry_that_counts(cash_rows(transaction), entries, until)
        trading_day = spot_dates.calendars.trading_day(config.engine)
        day = actions_day or current_day or trading_day.date_of(SystemClock().now() if as_of is None else as_of).isoformat()
        self.actions = StoreActions(action_rows(transaction, as_of), self.instruments, day, trading_day)
        roll = ForwardRoll(spot_dates, trading_day)
        self.forwards = StoreForwards(self.instruments, self.quarantine, roll, day)
        self.future_limit = int(config.engine.future_limit_s * MICROS_PER_SECOND)

    def effective(self, rows: Iterable[TradeRow]) -> Iterator[Trade]:
        """The versions that count of some trades, whose versions may come in any order: one of each at most. 10 us a row."""
        highest: dict[Identity, Trade] = {}
        for row in rows:
            trade = trade_from_row(row, self.check)
            if isinstance(trade, RefusedRow) or self.quarantine.reason(trade):
                continue
            known = highest.get(trade.identity)
            if known is None or known.version < trade.version:
                highest[trade.identity] = trade
        return (self.forwards.placed(trade) for trade in highest.values() if trade.action != "cancel")

    def add_all(self, add: Callable[[Trade | Opening | CarryRecord, str, Holding], None], trades: Iterable[Trade]) -> None:
        """Call `add` with what trades, all balances and carry add to positions in an instrument, and whose they are."""
        acted: list[Trade] = []
        merged: list[Trade] = []
        place_of, is_acted = self.actions.place_of, self.actions.acted.__contains__
        for trade in trades:
            holding = holding_of(trade)
            if is_acted(trade.instrument):
                acted.append(trade)
                holding = holding._replace(quantity=0, cash=0)  # those come from all of them together
            add(trade, place_of(trade.instrument), holding)
            if self.forwards.is_merged(trade.instrument):
                merged.append(trade)
        for opening in self.openings:
            holding = self.opening_holding(opening)
            if is_acted(opening.instrument):
                holding = holding._replace(quantity=0, cash=opening.realised * CASH_PER_ONE)
            add(opening, place_of(opening.instrument), holding)
        for record in self.carry:
            add(record, place_of(record.instrument), self.carry_holding(record))
        balances = [opening for opening in self.openings if is_acted(opening.instrument)]
        for held in self.actions.holdings(acted, balances):
            whose = Opening(desk=held.desk, dealer=held.dealer, instrument=held.instrument, ts=0, quantity=held.quantity)
            add(whose, held.instrument, Holding(held.quantity, held.cash, 0, 0, NO_FEES, held.beside))
        opened = [opening for opening in self.openings if self.forwards.is_merged(opening.instrument)]
        for gone in self.forwards.moved(merged, opened):
            holder = Opening(desk=gone.desk, dealer=gone.dealer, instrument=gone.forward, ts=0, quantity=gone.quantity)
            add(holder, gone.forward, Holding(-gone.quantity, -gone.cash, 0, 0, NO_FEES))
            add(holder, gone.pair, Holding(gone.quantity, gone.cash, 0, 0, NO_FEES))

    def opening_holding(self, opening: Opening) -> Holding:
        """What an opening balance adds to a position."""
        instrument = self.instruments[opening.instrument]
        cost = opening.quantity * opening.average_price * instrument.contract_multiplier
        fees = _fees(instrument.currency, opening.fees)
        return Holding(opening.quantity, opening.realised * CASH_PER_ONE - cost, 0, 0, fees)

    def carry_holding(self, record: CarryRecord) -> Holding:
        """What a carry record adds to a position: cash, or an amount beside it."""
        cash_currency = self.instruments[record.instrument].currency
        units = record.amount * CASH_PER_ONE
        if record.currency == cash_currency:
            return Holding(0, units, 0, 0)
        if record.currency == MINOR_UNITS.get(cash_currency):
            return Holding(0, 100 * units, 0, 0)
        return Holding(0, 0, 0, 0, NO_FEES, {record.currency: units})


def _carry_that_counts(rows: Iterable[StoredCashRow], check: EntryCheck, until: int) -> list[CarryRecord]:
    """Of each carry record the highest version that takes part, unless that says that there is nothing; received by `until`."""
    highest: dict[str, CarryRecord] = {}
    for row in rows:
        with suppress(Rejected):
            record = check.stored(row)
            if isinstance(record, CarryRecord) and record.received_ts <= until:
                known = highest.get(record.carry_id)
                if known is None or known.version < record.version:
                    highest[record.carry_id] = record
    return [record for record in highest.values() if record.amount]


def keys_of(trade: Trade | Opening | CarryRecord, symbol: str = "") -> tuple[Key, Key]:
    """The two positions, in its own instrument or in another, that a trade, balance or carry record belongs to."""
    symbol = symbol or trade.instrument
    return (NODE, trade.desk, symbol), (DEALER, trade.dealer, symbol)


def holding_of(trade: Trade) -> Holding:
    """What a trade adds to a position."""
    return Holding(trade.signed_quantity, trade.cash, 1, trade_fingerprint(trade), _fees(trade.fees_currency, trade.fees))


def _fees(currency: str, units: int) -> Fees:
    return {currency: units} if units else NO_FEES


def store_side(store: Store, config: Config, watermark: int, current_day: str = "", actions_day: str = "") -> StoreSide:
    """The store's own account of everything up to number `watermark`, on a trading day (`Rules`). Any thread. Raises StoreError.

    Costs 3 us for each row that is the first and only version, 15 us for any other and those on which corporate actions act.
    """
    own = partial(_store_side, config=config, watermark=watermark, current_day=current_day, actions_day=actions_day)
    return store.read(own)


def _store_side(transaction: Transaction, config: Config, watermark: int, current_day: str, actions_day: str) -> StoreSide:
    rules = Rules(transaction, config, current_day=current_day, actions_day=actions_day)
    plain = PlainSums(transaction, rules, watermark)
    nodes, dealers = plain.by_owner()
    sides = {NODE: nodes, DEALER: dealers}
    rules.add_all(partial(_add, sides), rules.effective(_rows(transaction, plain.odd)))
    parents = {node.node: node.parent for node in rules.nodes}
    return StoreSide(nodes, dealers, parents, watermark, rules.revision, rules.actions.has_rows)


def _add(sides: Mapping[str, Owned], what: Trade | Opening | CarryRecord, symbol: str, holding: Holding) -> None:
    for rollup, owner, instrument in keys_of(what, symbol):
        held = sides[rollup].setdefault(owner, {})
        held[instrument] = plus(held.get(instrument, NOTHING), holding)


def _rows(transaction: Transaction, numbers: Sequence[int]) -> Iterator[TradeRow]:
    for first in range(0, len(numbers), ROWS_AT_ONCE):
        some = transaction.array(numbers[first : first + ROWS_AT_ONCE])
        yield from map(TradeRow._make, transaction.rows("trades_by_store_seq", (some,)))


class PlainSums:
    """The sums of a store's plain rows; `odd` are the numbers of all others."""

    def __init__(self, transaction: Transaction, rules: Rules, watermark: int) -> None:
        acted = rules.actions.acted  # their rows are odd: what becomes of them is worked out from all of them together
        plain = (each for each in rules.instruments.values() if each.instrument not in acted)
        self._instruments = [each for each in plain if not rules.forwards.is_merged(each.instrument)]
        self.odd: list[int] = []
        upto = {"watermark": watermark}
        early = [row[0] for row in transaction.rows("before_openings", upto)] if rules.openings else []
        versioned = frozenset(f"{source}\0{trade_id}".encode() for source, trade_id in transaction.rows("versioned", upto))
        self._reader = SumsReader(
            rules.leaves,
            self._instruments,
            sorted(rules.check.currencies),
            _date_check(rules),
            versioned,
            early,
            [rules.quarantine.last_dealt(each.instrument) for each in self._instruments],
        )
        values = {
            "ts_min": TS_MIN,
            "ts_end": TS_MAX,
            "max_integer": MAX_INTEGER,
            "max_sequence": MAX_SEQUENCE,
            "future_limit": rules.future_limit,
            "watermark": watermark,
        }
        self._sums = KeySums()
        self._fees = {NODE: KeySums(FEES_WIDTH), DEALER: KeySums(FEES_WIDTH)}
        for columns, numbers_and_legs in pages(transaction, values):
            page = self._reader.page(columns, numbers_and_legs)
            self.odd += page.odd
            self._sums.add((page.desks * _DEALERS + page.dealers) * len(self._instruments) + page.instruments, page.sums)
            self._add_fees(page)

    def _add_fees(self, page: SumsPage) -> None:
        charged = np.flatnonzero(page.fees)
        if not len(charged):
            return
        fees, instruments, currencies = fees_limbs(page.fees[charged]), page.instruments[charged], page.currencies[charged]
        for rollup, owners in ((NODE, page.desks[charged]), (DEALER, page.dealers[charged])):
            keys = (owners * len(self._instruments) + instruments) * len(self._reader.currencies.names) + currencies
            self._fees[rollup].add(keys, fees)

    def by_owner(self) -> tuple[Owned, Owned]:
        """The holdings of desks and of dealers. O(positions)."""
        keys, sums = self._sums.totals()
        count = max(len(self._instruments), 1)
        desks, dealers, instruments = keys // count // _DEALERS, keys // count % _DEALERS, keys % count
        reader = self._reader
        return (
            self._of(desks * count + instruments, sums, reader.desks.names, self._fees_by_key(NODE)),
            self._of(dealers * count + instruments, sums, reader.dealers.names, self._fees_by_key(DEALER)),
        )

    def _fees_by_key(self, rollup: str) -> dict[int, dict[str, int]]:
        """The fees of each key that has some, by currency."""
        keys, sums = self._fees[rollup].totals()
        if not len(keys):
            return {}
        names = self._reader.currencies.names
        places = keys // len(names)
        owners, units = places.tolist(), join_limbs(sums, LIMB)
        codes = [names[number] for number in (keys % len(names)).tolist()]
        found = {place: {code: one} for place, code, one in zip(owners, codes, units, strict=True)}
        for at in np.flatnonzero(np.diff(places) == 0).tolist():  # further currencies of the same key: the last one stands there
            found[owners[at]][codes[at]] = units[at]
        return found

    def _of(self, keys: Ints, sums: Ints, owners: Sequence[str], fees: Mapping[int, Fees]) -> Owned:
        folding = KeySums()
        folding.add(keys, sums)
        keys, sums = folding.totals()
        if not len(keys):
            return {}
        numbers = keys % len(self._instruments)
        symbols = [each.instrument for each in self._instruments]
        units = [10 ** (DECIMALS - each.quantity_decimals) for each in self._instruments]
        cash_units = [-unit * each.contract_multiplier for unit, each in zip(units, self._instruments, strict=True)]
        places = numbers.tolist()
        quantities = [units[at] * one for at, one in zip(places, join_limbs(sums[QUANTITY], LIMB), strict=True)]
        cash = [cash_units[at] * one for at, one in zip(places, join_limbs(sums[NOTIONAL], LIMB), strict=True)]
        prints = join_parts(*(join_limbs(sums[part], 32) for part in PRINTS))
        charged = map(fees.get, keys.tolist(), repeat(NO_FEES))
        figures = zip(quantities, cash, sums[COUNT].tolist(), prints, charged, repeat(NO_FEES), strict=False)
        holdings = map(_holding, figures)
        starts = np.flatnonzero(np.diff(keys // len(self._instruments), prepend=-1)).tolist()
        held = list(zip([symbols[at] for at in places], holdings, strict=True))
        ends = [*starts[1:], len(held)]
        return {
            owners[keys.item(first) // len(self._instruments)]: dict(held[first:end])
            for first, end in zip(starts, ends, strict=True)
        }


_holding: Callable[[tuple[Any, ...]], Holding] = partial(tuple.__new__, Holding)
"""`Holding._make` at a third of its cost."""

_DEALERS = 1 << 24
"""More dealers than there can be."""


def _date_check(rules: Rules) -> Callable[[bytes, int, bytes, bytes], bool]:
    """Tells whether a plain row of an instrument, traded at a time, counts with its value_date and trade_date.

    Only if it counts whenever it was received: what a calendar of another day judged otherwise is judged row by row.
    """

    @lru_cache(maxsize=65_536)
    def judge(symbol: bytes, minute: int, value_date: bytes, trade_date: bytes) -> bool:
        try:
            valued, traded = date(value_date.decode(), "value_date"), date(trade_date.decode(), "trade_date")
            instrument = rules.instruments[symbol.decode()]
        except (Rejected, UnicodeDecodeError, KeyError):
            return False
        if rules.quarantine.current_day and traded > rules.quarantine.current_day:
            return False  # when it was received decides
        if not valued or instrument.kind is not Kind.FX:
            return True
        return rules.quarantine.spot_dates.every_verdict(instrument, minute * MINUTE, valued, traded) == {True}

    def is_dated(symbol: bytes, ts: int, value_date: bytes, trade_date: bytes) -> bool:
        return judge(symbol, ts // MINUTE, value_date, trade_date)

    return is_dated
