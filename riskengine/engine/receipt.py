"""The receipt of one cell: the trades and carry of its positions in order, the mark, the rate, and the arithmetic between them.

The writer thread takes a `Cell`, so that trades and snapshot are of one moment; the reader's thread makes the receipt from it.
Every number is text: an exact decimal, or the shortest text that reads back as the same double. A reader that repeats the steps
with integers and IEEE doubles as written gets the cell to the last bit.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

from riskengine.engine.engine import Engine
from riskengine.engine.forward_receipt import forward_receipt
from riskengine.engine.option_receipt import option_receipt
from riskengine.errors import Frozen
from riskengine.positions.adjusted import AdjustedPosition, Entry
from riskengine.positions.adjustments import Terms
from riskengine.positions.freezing import frozen_place
from riskengine.positions.ledger import Row
from riskengine.positions.position import next_average, open_cost
from riskengine.positions.repair import sum_of
from riskengine.records.actions import NO_RATIO
from riskengine.records.cash import CarryEntry
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.fields import json_integer, to_text
from riskengine.records.types import CASH_DECIMALS, CASH_ONE, CASH_PER_ONE, MULTIPLIER_DECIMALS, ONE, Opening, Trade
from riskengine.snapshot.day_lines import day_receipt
from riskengine.snapshot.rows import QUANTITY_ONE, RowDict, beside, decimal_texts, ladder_rows, mark_rows
from riskengine.snapshot.snapshot import Snapshot, Table, dealer_number, instrument_number, node_number
from riskengine.valuation.options.origin import OptionOrigin


class ReceiptPosition(NamedTuple):
    """One position: its owner, its row in the snapshot, its opening balances, effective trades and carry, oldest first.

    `terms` and `entries` are those of corporate actions that act on it, if any do.
    """

    owner: str
    row: Row
    openings: tuple[Opening, ...]
    trades: tuple[Trade, ...]
    carry: tuple[CarryEntry, ...]
    terms: Terms | None = None
    entries: tuple[Entry, ...] = ()


class Cell(NamedTuple):
    """What a node (or a dealer) holds of an instrument: its positions, and the snapshot that shows them.

    `origin` says of an option where its inputs come from.
    """

    snapshot: Snapshot
    node: str | None
    dealer: str | None
    instrument: str
    positions: tuple[ReceiptPosition, ...]
    origin: OptionOrigin | None = None


def cell_of(engine: Engine, *, node: str | None, dealer: str | None, instrument: str) -> Cell:
    """Take a cell. Writer thread, between two batches. Raises UnknownName, Frozen. O(leaves below + trades)."""
    snapshot = engine.snapshot
    number = instrument_number(snapshot, instrument)
    if dealer is not None:
        rollup, owners = engine.ledger.dealers, [(dealer, dealer_number(snapshot, dealer))]
    else:
        hierarchy = snapshot.reference.hierarchy
        below = hierarchy.leaves_below(0 if node is None else node_number(snapshot, node)) if len(hierarchy) else []
        rollup, owners = engine.ledger.organisation, [(leaf, hierarchy.index[leaf]) for leaf in below]
    side = "node" if dealer is None else "dealer"
    keys = [(side, name, instrument) for name, _ in owners]
    frozen = [key for key in keys if frozen_place(engine.ledger, key) is not None]
    if frozen:
        raise Frozen(frozen)
    positions = []
    for name, owner in owners:
        position, row = rollup.books[owner].positions.get(number), rollup.books[owner].row(number)
        if position is not None and row is not None:
            acted = (position.terms, position.folds) if isinstance(position, AdjustedPosition) else (None, ())
            held = (position.openings, tuple(position.trades), position.carry)
            positions.append(ReceiptPosition(name, row, *held, *acted))
    return Cell(snapshot, node, dealer, instrument, tuple(positions), engine.options.origin(instrument))


def receipt(cell: Cell) -> RowDict:
    """Make the receipt of a cell. O(trades), 10 us each; any thread."""
    snapshot, number = cell.snapshot, cell.snapshot.reference.instrument_index[cell.instrument]
    instrument = snapshot.reference.instruments[number]
    rows = ladder_rows(snapshot, node=cell.node, dealer=cell.dealer, exact=True) if cell.positions else []
    row = next((row for row in rows if row["instrument"] == cell.instrument), None)
    mark = next(row for row in mark_rows(snapshot) if row["instrument"] == cell.instrument)
    return {
        "instrument": cell.instrument,
        "currency": instrument.currency,
        "multiplier": to_text(instrument.multiplier, MULTIPLIER_DECIMALS),
        "contract_multiplier": to_text(instrument.contract_multiplier, MULTIPLIER_DECIMALS),
        "strike": (instrument.strike if snapshot.adjustments is None else snapshot.adjustments.strike(instrument)) or None,
        "watermark": snapshot.watermark,
        "row": row,
        "mark": {field: mark[field] for field in ("source", "ts", "kind", "age_ms", "stale")}
        | decimal_texts({"price": mark["price"]}),
        "rate": _rate(snapshot, number),
        "forward": forward_receipt(snapshot, *_place(cell), number),
        "option": option_receipt(snapshot, number, _held(cell), cell.origin),
        "day": day_receipt(snapshot, *_place(cell), number),
        "beside_rates": _beside_rates(cell),
        "actions": _actions(snapshot, cell.instrument),
        "positions": [_position_row(cell, position) for position in cell.positions],
        "arithmetic": list(_arithmetic(cell, number)) if not all(position.row.quarantined for position in cell.positions) else [],
    }


def _held(cell: Cell) -> float | None:
    """The quantity of the cell, None where it is unknown."""
    rows = [position.row for position in cell.positions]
    return None if rows and all(row.quarantined for row in rows) else sum(row.quantity for row in rows) / ONE


def _actions(snapshot: Snapshot, symbol: str) -> list[RowDict]:
    """The corporate actions in force on the instrument, under every name that it had, oldest first."""
    adjustments = snapshot.adjustments
    terms = None if adjustments is None else adjustments.terms.get(symbol)
    found: list[RowDict] = []
    for step in () if terms is None else terms.steps:
        action = step.action
        row: RowDict = {"action_id": action.action_id, "version": action.version, "kind": action.kind.value}
        found.append(row | {"instrument": action.instrument, "ex_date": action.ex_date, "ratio": str(action.ratio)})
    return found


def _place(cell: Cell) -> tuple[Table, int]:
    """The roll-up and the number of the cell's owner."""
    if cell.dealer is not None:
        return cell.snapshot.dealers, dealer_number(cell.snapshot, cell.dealer)
    return cell.snapshot.nodes, 0 if cell.node is None else node_number(cell.snapshot, cell.node)


def _position_row(cell: Cell, position: ReceiptPosition) -> RowDict:
    reference = cell.snapshot.reference
    instrument = reference.by_symbol[cell.instrument]
    steps = list(_steps(position, instrument.contract_multiplier))
    row = position.row
    if row.quarantined:  # all its amounts are unknown, so null and not 0
        unknown: RowDict = dict.fromkeys(("quantity", "net_cash", "average_price", "open_cost", "fees", "beside"))
        return {"owner": position.owner} | unknown | {"trade_count": row.trade_count, "quarantined": True, "steps": steps}
    return {
        "owner": position.owner,
        "quantity": to_text(row.quantity),
        "net_cash": to_text(row.cash, CASH_DECIMALS),
        "average_price": None if row.average is None else repr(row.average),
        "open_cost": to_text(row.open_cost, CASH_DECIMALS),
        "fees": {currency: to_text(units) for currency, units in sorted(row.fees.items())},
        "beside": _beside_texts(row),
        "trade_count": row.trade_count,
        "quarantined": False,
        "steps": steps,
    }


def _steps(position: ReceiptPosition, multiplier: int) -> Iterator[RowDict]:
    """The opening balances, then trades and carry by time, each with the position after it: the table of ACCOUNTING section 1.

    At equal times carry comes first; it changes neither quantity nor average.
    """
    quantity, cash, average = 0, 0, None
    for opening in position.openings:
        signed, price = opening.quantity, opening.average_price / ONE
        if position.terms is not None:
            signed, price = position.terms.fold_opening(opening)
        if signed:
            average = next_average(quantity, average, signed, price)
            quantity += signed
        change = opening.realised * CASH_PER_ONE - opening.quantity * opening.average_price * multiplier
        cash += change
        yield {
            "opening": {"desk": opening.desk, "dealer": opening.dealer, "ts": opening.ts, "realised": to_text(opening.realised)},
            "signed_quantity": to_text(signed),
            "price": repr(price),
        } | _state_after(change, quantity, cash, average, multiplier)
    beside_trades: list[CarryEntry | Entry] = [*position.carry, *position.entries]
    waiting = sorted(beside_trades, key=attrgetter("ts"))
    for trade in position.trades:
        while waiting and waiting[0].ts <= trade.ts:
            quantity, cash, average, step = _entered(waiting.pop(0), quantity, cash, average, multiplier)
            yield step
        signed, price = (trade.signed_quantity, trade.fill_price) if position.terms is None else position.terms.fold(trade)
        if signed:
            average = next_average(quantity, average, signed, price)
            quantity += signed
        cash += trade.cash
        identity = {field: getattr(trade, field) for field in ("source", "trade_id", "leg", "version", "ts")}
        identity["source_seq"] = json_integer(trade.source_seq)
        shown: RowDict = {"trade": identity | {"desk": trade.desk, "dealer": trade.dealer}}
        shown |= {"signed_quantity": to_text(signed), "price": repr(price)}
        yield shown | _split_of(trade, position.terms) | _state_after(trade.cash, quantity, cash, average, multiplier)
    for other in waiting:
        quantity, cash, average, step = _entered(other, quantity, cash, average, multiplier)
        yield step


def _entered(
    entry: Entry | CarryEntry, quantity: int, cash: int, average: float | None, multiplier: int
) -> tuple[int, int, float | None, RowDict]:
    """Quantity, cash and average after carry or after what a corporate action generated, and its step."""
    if isinstance(entry, CarryEntry):
        change = _in_cash(entry)
        step = _carry_step(entry)
    else:
        change = entry.cash
        step = _entry_row(entry)
        if entry.signed:
            average = next_average(quantity, average, entry.signed, entry.price)
        elif entry.cost and average is not None:
            average -= entry.cash / (quantity * multiplier * ONE)
        quantity += entry.signed
    cash += change
    return quantity, cash, average, step | _state_after(change, quantity, cash, average, multiplier)


def _entry_row(entry: Entry) -> RowDict:
    ex_date, action_id = entry.rank
    return {
        "action": {"action_id": action_id, "ex_date": ex_date, "kind": entry.kind, "desk": entry.desk, "dealer": entry.dealer},
        "signed_quantity": to_text(entry.signed),
        "price": repr(entry.price),
    }


def _split_of(trade: Trade, terms: Terms | None) -> RowDict:
    """The ratio of the splits that a trade is dated before, with what it was dealt at; nothing where there is none."""
    ratio = NO_RATIO if terms is None else terms.ratio_of(trade)
    if ratio.new == ratio.old:
        return {}
    dealt = {"signed_quantity": to_text(trade.signed_quantity), "price": repr(trade.fill_price)}
    return {"split": {"ratio": str(ratio), "instrument": trade.instrument, "dealt": dealt}}


def _in_cash(entry: CarryEntry) -> int:
    return 0 if entry.is_beside else entry.amount


def _carry_step(entry: CarryEntry) -> RowDict:
    """A carry entry; `beside` is what it adds beside net cash, in its own currency."""
    carry = {"carry_id": entry.carry_id, "version": entry.version, "type": entry.type, "ts": entry.ts}
    amount = {entry.currency: to_text(entry.amount, CASH_DECIMALS)} if entry.is_beside else {}
    return {"carry": carry, "signed_quantity": "0", "price": None, "beside": amount}


def _beside_texts(row: Row) -> dict[str, str]:
    return {currency: to_text(units, CASH_DECIMALS) for currency, units in sorted((row.beside or {}).items())}


def _state_after(change: int, quantity: int, cash: int, average: float | None, multiplier: int) -> RowDict:
    cost = 0 if average is None else open_cost(quantity / ONE * (multiplier / 10**MULTIPLIER_DECIMALS) * average)
    return {
        "cash": to_text(change, CASH_DECIMALS),
        "quantity_after": to_text(quantity),
        "net_cash_after": to_text(cash, CASH_DECIMALS),
        "average_after": None if average is None else repr(average),
        "realised_after": to_text(cash + cost, CASH_DECIMALS),
    }


def _beside_rates(cell: Cell) -> dict[str, str | None]:
    """The rates of the currencies in which something is kept beside net cash."""
    rates, index = cell.snapshot.rates, cell.snapshot.reference.currency_index
    codes = sorted({code for position in cell.positions for code in position.row.beside or ()})
    known = {code: rates.fee_known.item(index[code]) for code in codes}
    return {code: repr(rates.fee_value.item(index[code])) if known[code] else None for code in codes}


def _rate(snapshot: Snapshot, number: int) -> RowDict:
    """The rate of the cash currency, and the pairs whose product it is, in order, starting from 1.

    Of a minor unit it is a hundredth of that product, which is the rate of `hundredths_of`.
    """
    reference, units = snapshot.reference, snapshot.units
    path = snapshot.rates.paths[reference.cash_currency[number]]
    hops = []
    for hop in path or ():
        mark = units.marks[hop.instrument]
        hops.append(
            {
                "instrument": reference.symbols[hop.instrument],
                "mid": repr(float(units.price[hop.instrument])),
                "inverse": hop.inverse,
                "to": reference.currencies[hop.to],
                "source": mark.source if mark else None,
                "ts": mark.ts if mark else None,
                "stale": bool(units.stale_mark[hop.instrument]),
            }
        )
    return {
        "from": reference.instruments[number].currency,
        "hundredths_of": MINOR_UNITS.get(reference.instruments[number].currency),
        "to": reference.reporting_currency,
        "value": repr(float(units.rate[number])) if units.rated[number] else None,
        "path": hops if path is not None else None,
    }


def _arithmetic(cell: Cell, number: int) -> Iterator[RowDict]:
    """The steps from quantity, cash, mark and rate to the amounts, each as the engine computes it."""
    snapshot, instrument = cell.snapshot, cell.snapshot.reference.instruments[number]
    units = snapshot.units
    quantity = sum(position.row.quantity for position in cell.positions)
    cash = sum(position.row.cash for position in cell.positions)
    cost = sum(position.row.open_cost for position in cell.positions)
    is_open = any(position.row.open_count for position in cell.positions)
    rate = float(units.rate[number]) if units.rated[number] else None
    size = quantity * instrument.contract_multiplier / QUANTITY_ONE
    yield _step("quantity", "q = sum of signed_quantity", to_text(quantity))
    yield _step("net_cash", "C = sum of cash", to_text(cash, CASH_DECIMALS))
    yield _step("open_cost", "K = sum of k q A, each to 15 digits", to_text(cost, CASH_DECIMALS))
    yield _step("size", "k q, as a double", repr(size))
    held = sum_of(position.row for position in cell.positions)
    is_beside = held is not None and bool(held.beside)
    kept_beside = beside(snapshot, held) if held is not None else 0.0
    more = " + beside" if is_beside else ""
    if is_beside:
        formula = "0 + amount x rate of each currency beside net cash, by name"
        yield _step("beside", formula, None if kept_beside is None else repr(kept_beside))
    realised = (cash + cost) / CASH_ONE
    yield _step("realised_pnl_local", "C + K", repr(realised))
    yield _step("realised_pnl", f"realised_pnl_local X{more}", _sum_text(realised, rate, is_beside, kept_beside))
    priced = bool(units.priced[number])
    value = size * float(units.price[number]) if priced else None if is_open else 0.0
    yield _step("value", "size m", None if value is None else repr(value))
    known = value if priced or not is_open else None
    total = None if known is None else cash / CASH_ONE + known
    unrealised = None if known is None else known - cost / CASH_ONE
    yield _step("total_pnl_local", "C + value", None if total is None else repr(total))
    yield _step("unrealised_pnl_local", "value - K", None if unrealised is None else repr(unrealised))
    yield _step("total_pnl", f"total_pnl_local X{more}", _sum_text(total, rate, is_beside, kept_beside))
    yield _step("unrealised_pnl", "unrealised_pnl_local X", _product_text(unrealised, rate))


def _step(name: str, formula: str, result: str | None) -> RowDict:
    return {"name": name, "formula": formula, "result": result}


def _sum_text(amount: float | None, rate: float | None, is_beside: bool, kept_beside: float | None) -> str | None:
    """An amount in the reporting currency, with what is kept beside net cash."""
    if not is_beside:
        return _product_text(amount, rate)
    if amount is None or rate is None or kept_beside is None:
        return None
    return repr(amount * rate + 0.0 + kept_beside)


def _product_text(amount: float | None, rate: float | None) -> str | None:
    return None if amount is None or rate is None else repr(amount * rate + 0.0)
