"""The cash ladder of a node: what comes in and goes out by currency and value date.

`due` is what has settled: everything whose value date is over. It is worked out from the exact sums of the node's rows, less
the flows that are still to come; so only the trades of the last days are looked at, and the ladder adds up to all there is.
The writer thread gives the trades (`collect`), in bounded steps; the reader's thread makes the ladder from them (`cash_ladder`).

Pairs flow in both currencies, everything else in its cash: shares by the settlement of their market, metals and premiums of FX
options on the spot date, crypto at once. A non-deliverable forward flows by its difference alone, from its fixing on; before that
it is listed beside (`engine.non_deliverable`). Fees flow with their trade. Carry and external movements flow on the trading day
of their time. Futures flow in carry and fees alone, fees on the trading day: their variation is no flow of one date.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.engine.cash_book import NO_NOTIONAL
from riskengine.engine.engine import Engine
from riskengine.engine.non_deliverable import LEG_SCALE, fixing_of, settlement_amount, unfixed_row
from riskengine.market.calendars import Calendars
from riskengine.market.settlement import LONGEST_DAYS, settlement_date, trading_date, value_date_of
from riskengine.market.trading_day import TradingDay
from riskengine.positions.frozen_ids import FrozenIds
from riskengine.positions.ledger import Row
from riskengine.positions.merges import Taken
from riskengine.records.cash import CarryRecord, CashMovement, CashRecord, entry_of
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.fields import to_text
from riskengine.records.forwards import is_non_deliverable
from riskengine.records.types import CASH_DECIMALS, CASH_ONE, CASH_PER_ONE, Instrument, Key, Kind, Trade
from riskengine.snapshot.cash_rows import balances_of
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot, node_number

LOOK_BACK_US = 9 * 86_400 * MICROS_PER_SECOND
"""Trades of so many days are looked at even where those of their instrument have settled: one may have a later value date."""

AT_ONCE = 2_000
"""Positions that the writer looks at in one step: 2 ms."""

DUE, TODAY, TOM, SPOT = "due", "today", "tom", "spot"

Place = tuple[int, int]
"""Leaf and instrument, by number."""

FlowKey = tuple[str, dt.date | None]
"""Currency and value date; None: due."""


class Tail(NamedTuple):
    """A position's row, and its trades since some days ago.

    `behind` is the newest trade that its base stands for, if that is one of those days: those up to it are not in memory, and
    are to be read from the store.
    """

    row: Row
    trades: tuple[Trade, ...]
    behind: Trade | None = None


class LadderTrades(NamedTuple):
    """What the writer gives for a ladder.

    snapshot, node, tails  the snapshot that it is of, the number of the node, and its tails
    records                cash and carry of the last days and those to come
    without_notional       the carry of futures and forwards
    calendars              those in force
    place                  the instrument in whose position a stored trade stands (`Quarantine.place`)
    merged                 what spot took from forwards that are not paid yet
    frozen_ids             which trades are frozen
    """

    snapshot: Snapshot
    node: int
    tails: Mapping[Place, Tail]
    records: tuple[CashRecord, ...]
    without_notional: tuple[CarryRecord, ...]
    calendars: Calendars
    frozen_ids: FrozenIds
    place: Callable[[Trade], Trade]
    merged: tuple[Taken, ...] = ()

    def behind(self) -> dict[Key, Trade]:
        """The positions of which trades are to be read from the store, each with the last of those."""
        names, symbols = self.snapshot.reference.hierarchy.names, self.snapshot.reference.symbols
        return {
            ("node", names[leaf], symbols[number]): tail.behind
            for (leaf, number), tail in self.tails.items()
            if tail.behind is not None
        }

    def with_those_behind(self, read: Mapping[Key, Sequence[Trade]]) -> "LadderTrades":
        """The same with the trades of `behind` as they were read."""
        names, symbols = self.snapshot.reference.hierarchy.names, self.snapshot.reference.symbols
        tails = {
            (leaf, number): Tail(tail.row, (*read.get(("node", names[leaf], symbols[number]), ()), *tail.trades))
            for (leaf, number), tail in self.tails.items()
        }
        return self._replace(tails=tails)


def look_back(trading_day: TradingDay, now: int) -> int:
    """The moment before which every trade has settled, whatever the holidays."""
    return trading_day.close_of(trading_day.date_of(now) - dt.timedelta(days=LONGEST_DAYS))


def places_of(snapshot: Snapshot, node: int, since: int) -> Iterator[tuple[Place, Row]]:
    """The positions at or below a node that must be looked at, with their rows. O(leaves + positions of those that traded)."""
    hierarchy = snapshot.reference.hierarchy
    for name in hierarchy.leaves_below(node):
        leaf = hierarchy.index[name]
        state = snapshot.nodes.state(leaf)
        if state.last_trade_ts >= since:
            for row in state.positions():
                if row.last_trade_ts >= since:
                    yield (leaf, row.instrument), row


def tails_of(engine: Engine, wanted: Iterable[tuple[Place, Row]], since: int) -> dict[Place, Tail]:
    """The tails of positions that still have these rows. Writer thread. 1 us each, and its trades."""
    today, now = engine.trading_day.date_of(engine.snapshot.as_of).isoformat(), engine.snapshot.as_of
    books, found = engine.ledger.organisation.books, dict[Place, Tail]()
    for (leaf, number), row in wanted:
        position = books[leaf].positions.get(number)
        if position is None or books[leaf].rows[position.slot] is not row:
            continue
        unsettled, base = engine.unsettled_since(number), position.base
        is_open = base is not None and (base.newest.ts >= unsettled or base.newest.value_date >= today)
        behind = base.newest if base is not None and is_open else None
        trades, looked_at = position.trades, max(since, min(unsettled, now - LOOK_BACK_US))
        first = len(trades)
        while first and trades[first - 1].ts >= looked_at:
            first -= 1
        found[leaf, number] = Tail(row, tuple(trades[first:]), behind)
    return found


def collect(engine: Engine, *, node: str | None, since: int, known: Mapping[Place, Tail]) -> LadderTrades:
    """What a ladder of a node (None: the root) is made from; `known` are tails that were taken before. Writer thread.

    Raises UnknownName. O(positions that traded since), and the trades of those that are not known.
    """
    snapshot = engine.snapshot
    number = 0 if node is None else node_number(snapshot, node)
    tails: dict[Place, Tail] = {}
    missing: list[tuple[Place, Row]] = []
    for place, row in places_of(snapshot, number, since) if len(snapshot.reference.hierarchy) else ():
        tail = known.get(place)
        if tail is not None and tail.row is row:
            tails[place] = tail
        else:
            missing.append((place, row))
    tails |= tails_of(engine, missing, since)
    return LadderTrades(
        snapshot,
        number,
        tails,
        tuple(engine.cash.since(since)),
        tuple(engine.cash.without_notional),
        engine.calendars,
        engine.processed.frozen_ids,
        engine.quarantine.place,
        _unpaid(engine),
    )


def _unpaid(engine: Engine) -> tuple[Taken, ...]:
    return tuple(engine.merges.unpaid(engine.trading_day.date_of(engine.snapshot.as_of).isoformat()))


def collect_known(
    engine: Engine, *, snapshot: Snapshot, node: int, since: int, known: Mapping[Place, Tail]
) -> LadderTrades | None:
    """The same of a snapshot of which all tails are known; None if a trade has come since. Writer thread. O(records since)."""
    newest = engine.snapshot
    if newest.trade_seq > snapshot.seq or not newest.reference.is_kin(snapshot.reference):
        return None
    records, carry = tuple(engine.cash.since(since)), tuple(engine.cash.without_notional)
    return LadderTrades(
        snapshot,
        node,
        known,
        records,
        carry,
        engine.calendars,
        engine.processed.frozen_ids,
        engine.quarantine.place,
        _unpaid(engine),
    )


def unknown_places(snapshot: Snapshot, node: int, since: int, known: dict[Place, Tail]) -> list[list[tuple[Place, Row]]]:
    """The positions of a snapshot that must be looked at and are not `known`, in steps of AT_ONCE; forgets the others.

    Any thread. O(leaves + positions of those that traded).
    """
    wanted = dict(places_of(snapshot, node, since))
    for place in [place for place, tail in known.items() if wanted.get(place) is not tail.row]:
        del known[place]
    return list(steps_of((place, row) for place, row in wanted.items() if place not in known))


def steps_of(wanted: Iterable[tuple[Place, Row]]) -> Iterator[list[tuple[Place, Row]]]:
    """The positions in steps of AT_ONCE."""
    waiting = iter(wanted)
    while some := list(islice(waiting, AT_ONCE)):
        yield some


class Flows:
    """Exact amounts by currency and value date, units of 1e-28, positive where money comes in."""

    def __init__(self, now: int, trading_day: TradingDay, calendars: Calendars) -> None:
        self.today = trading_day.date_of(now)
        self.trading_day = trading_day
        self.calendars = calendars
        self.amounts: dict[FlowKey, int] = {}

    def add(self, currency: str, date: dt.date | None, units: int) -> None:
        """Add a flow; None, and a date before today, is due."""
        whole = MINOR_UNITS.get(currency)
        if whole is not None:
            currency, units = whole, (2 * units + 100) // 200
        key = currency, date if date is not None and date >= self.today else None
        self.amounts[key] = self.amounts.get(key, 0) + units

    def move(self, currency: str, date: dt.date | None, units: int) -> None:
        """Take a flow out of what is due and put it where it belongs."""
        if date is not None and date >= self.today:
            self.add(currency, None, -units)
            self.add(currency, date, units)


def cash_ladder(taken: LadderTrades, trading_day: TradingDay, currency: str | None = None) -> tuple[list[RowDict], RowDict]:
    """The rows of a ladder, by currency and value date, and the figures beside them. O(trades of the last days). Any thread.

    `awaiting_fixing` beside them: the non-deliverable forwards that are in no row, with what each would pay by its mark of now.
    """
    flows, quarantined, unfixed = flows_of(taken, trading_day)
    rows = _rows(flows, taken.snapshot, currency)
    beside = {"today": flows.today.isoformat(), "totals": _totals(rows), "quarantined_count": quarantined}
    return rows, beside | {"awaiting_fixing": [each for each in unfixed if currency in (None, each["currency"])]}


def flows_of(taken: LadderTrades, trading_day: TradingDay) -> tuple[Flows, int, list[RowDict]]:
    """All flows of a node, how many positions wait for a repair and are not in them, and what waits for its fixing. Any thread.

    O(trades of the last days).
    """
    snapshot = taken.snapshot
    flows = Flows(snapshot.as_of, trading_day, taken.calendars)
    state = snapshot.nodes.state(taken.node) if len(snapshot.reference.hierarchy) else None
    quarantined, unfixed, carried_in = 0, list[RowDict](), _carried_in_cash(taken)
    for row in state.positions() if state is not None else ():
        quarantined += row.quarantined
        instrument = snapshot.reference.instruments[row.instrument]
        if is_non_deliverable(instrument):
            cash = row.cash - carried_in.get(instrument.instrument, 0)
            unfixed += _add_non_deliverable(flows, snapshot, instrument, row, cash)
        else:
            _add_row(flows, instrument, row)
        _add_beside(flows, row)
    for (_, number), tail in taken.tails.items():
        _move_tail(flows, snapshot.reference.instruments[number], tail)
    for each in taken.merged:
        if _is_at_or_below(snapshot, taken.node, each.leaf):
            _move_merged(flows, snapshot.reference.instruments[each.pair], each)
    for code, units in balances_of(snapshot, taken.node).items() if state is not None else ():
        flows.add(code, None, units)
    for carried in taken.without_notional:
        _add_carry(flows, snapshot, taken.node, carried)
    for record in taken.records:
        _move_record(flows, snapshot, taken.node, record)
    return flows, quarantined, unfixed


def add_trades(flows: Flows, trades: Iterable[Trade], instruments: Mapping[str, Instrument]) -> None:
    """Add what trades to come would pay on their value dates. 5 us each. One that waits for its fixing pays nothing."""
    for trade in trades:
        instrument = instruments[trade.instrument]
        if instrument.kind is Kind.FX_FORWARD and not is_non_deliverable(instrument):
            date = settlement_date(instrument, flows.today, flows.calendars)
            flows.add(instrument.base_currency, date, trade.signed_quantity * instrument.multiplier * LEG_SCALE)
            flows.add(instrument.currency, date, trade.cash)
        _move_trade(flows, instrument, trade)


def _add_row(flows: Flows, instrument: Instrument, row: Row) -> None:
    """Everything that a row has had or will have: due, until it is moved."""
    if instrument.kind is Kind.FX:
        flows.add(instrument.base_currency, None, row.quantity * instrument.multiplier * LEG_SCALE)
    if instrument.kind is Kind.FX_FORWARD:
        date = settlement_date(instrument, flows.today, flows.calendars)
        flows.add(instrument.base_currency, date, row.quantity * instrument.multiplier * LEG_SCALE)
        flows.add(instrument.currency, date, row.cash)
    elif instrument.kind is not Kind.FUTURE:
        flows.add(instrument.currency, None, row.cash)


def _add_beside(flows: Flows, row: Row) -> None:
    """Everything that a row has had beside its cash, and its fees: due, until it is moved."""
    for code, units in (row.beside or {}).items():
        flows.add(code, None, units)
    for code, units in row.fees.items():
        flows.add(code, None, -units * CASH_PER_ONE)


def _carried_in_cash(taken: LadderTrades) -> dict[str, int]:
    """How much of the cash of each non-deliverable forward is carry, which flows on its own day whatever the fixing."""
    found: dict[str, int] = {}
    for record in taken.without_notional:
        instrument = taken.snapshot.reference.by_symbol[record.instrument]
        if is_non_deliverable(instrument) and _is_below(taken.snapshot, taken.node, record.desk):
            entry = entry_of(record, instrument)
            found[record.instrument] = found.get(record.instrument, 0) + (0 if entry.is_beside else entry.amount)
    return found


def _add_non_deliverable(flows: Flows, snapshot: Snapshot, forward: Instrument, row: Row, cash: int) -> list[RowDict]:
    """Add what a non-deliverable forward pays on its value date; before its fixing nothing, but what is to be said of it."""
    if not row.quantity and not cash:
        return []
    units = settlement_amount(forward, row.quantity, cash, fixing_of(snapshot, row.instrument))
    if units is None:
        return [unfixed_row(snapshot, row, cash)]
    flows.add(forward.settlement_currency, settlement_date(forward, flows.today, flows.calendars), units)
    return []


def _move_tail(flows: Flows, instrument: Instrument, tail: Tail) -> None:
    """Move the trades of a position to their value dates."""
    for trade in tail.trades:
        _move_trade(flows, instrument, trade)


def _move_trade(flows: Flows, instrument: Instrument, trade: Trade) -> None:
    date = value_date_of(trade, instrument, flows.trading_day, flows.calendars)
    if instrument.kind is Kind.FX:
        flows.move(instrument.base_currency, date, trade.signed_quantity * instrument.multiplier * LEG_SCALE)
    if instrument.kind not in NO_NOTIONAL:
        flows.move(instrument.currency, date, trade.cash)
    if trade.fees:
        paid = trading_date(trade, flows.trading_day) if date is None else date  # a future pays no price, but its fees
        flows.move(trade.fees_currency, paid, -trade.fees * CASH_PER_ONE)


def _move_merged(flows: Flows, pair: Instrument, merged: Taken) -> None:
    """Move what spot took from a forward to the value date of that."""
    date = dt.date.fromisoformat(merged.value_date)
    flows.move(pair.base_currency, date, merged.quantity * pair.multiplier * LEG_SCALE)
    flows.move(pair.currency, date, merged.cash)


def _is_below(snapshot: Snapshot, node: int, name: str) -> bool:
    return _is_at_or_below(snapshot, node, snapshot.reference.hierarchy.index[name])


def _is_at_or_below(snapshot: Snapshot, node: int, number: int) -> bool:
    return number == node or node in snapshot.reference.hierarchy.ancestors[number]


def _add_carry(flows: Flows, snapshot: Snapshot, node: int, record: CarryRecord) -> None:
    """Add the carry of what pays no notional, or take that of a forward out of its value date: due, until it is moved."""
    instrument = snapshot.reference.by_symbol[record.instrument]
    entry = entry_of(record, instrument)
    if entry.is_beside or not _is_below(snapshot, node, record.desk):
        return
    if instrument.kind is Kind.FX_FORWARD and not is_non_deliverable(instrument):
        flows.add(entry.currency, settlement_date(instrument, flows.today, flows.calendars), -entry.amount)
    flows.add(entry.currency, None, entry.amount)


def _move_record(flows: Flows, snapshot: Snapshot, node: int, record: CashRecord) -> None:
    """Put cash and carry of the last days and those to come on the trading day of their time."""
    if not _is_below(snapshot, node, record.node if isinstance(record, CashMovement) else record.desk):
        return
    date, units = flows.trading_day.date_of(record.ts), record.amount * CASH_PER_ONE
    if isinstance(record, CashMovement) and record.ts > snapshot.as_of:
        flows.add(record.currency, date, units)  # not in force: in no sum yet
    else:
        flows.move(record.currency, date, units)


def _rows(flows: Flows, snapshot: Snapshot, currency: str | None) -> list[RowDict]:
    tom = flows.trading_day.next(flows.today)
    names = {flows.today: TODAY, tom: TOM, flows.trading_day.next(tom): SPOT}
    index, rates = snapshot.reference.currency_index, snapshot.rates
    found = []
    for (code, date), units in sorted(flows.amounts.items(), key=lambda flow: (flow[0][0], flow[0][1] or dt.date.min)):
        if not units or currency not in (None, code):
            continue
        number = index[code]
        amount = units / CASH_ONE
        worth = amount * rates.fee_value.item(number) + 0.0 if rates.fee_known.item(number) else None
        text = None if date is None else date.isoformat()
        bucket = DUE if date is None else names.get(date, text)
        row: RowDict = {"currency": code, "value_date": text, "bucket": bucket, "amount": amount, "amount_reporting": worth}
        found.append(row | {"exact": to_text(units, CASH_DECIMALS)})
    return found


def _totals(rows: Iterable[Mapping[str, Any]]) -> list[RowDict]:
    """What each date comes to in the reporting currency; `unpriced_count` counts the currencies without a rate in it."""
    totals: dict[str | None, RowDict] = {}
    for row in sorted(rows, key=lambda row: row["value_date"] or ""):
        total = totals.setdefault(
            row["value_date"],
            {"value_date": row["value_date"], "bucket": row["bucket"], "amount_reporting": None, "unpriced_count": 0},
        )
        if row["amount_reporting"] is None:
            total["unpriced_count"] += 1
        else:
            total["amount_reporting"] = (total["amount_reporting"] or 0.0) + row["amount_reporting"]
    return list(totals.values())
