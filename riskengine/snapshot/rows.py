"""The rows of a snapshot, with the field names of the public interface.

Pure functions of a snapshot; any thread may call them. A row is a dictionary in the order of its fields; unknown is None, never
0. Amounts without a suffix are in the reporting currency, those with `_local` in the row's `currency`. A row costs a few
microseconds and is made only for a reader that asks for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from riskengine.market.marks import Mark
from riskengine.positions.day_deals import Dealt
from riskengine.positions.ledger import Row
from riskengine.positions.position import NO_FEES
from riskengine.records.fields import to_text
from riskengine.records.types import CASH_DECIMALS, CASH_ONE, MULTIPLIER_DECIMALS, ONE
from riskengine.snapshot.cash_rows import cash_fields
from riskengine.snapshot.day_lines import UNKNOWN_DAY, owner_day, position_day
from riskengine.snapshot.shown_marks import Greeks, option_greeks, shown_mark, unvalued_reason
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table, dealer_number, instrument_number, node_number
from riskengine.valuation.number_pages import (
    DELTA,
    FEES,
    GAMMA,
    GROSS,
    NET,
    NO_RATE,
    REALISED,
    STALE,
    THETA,
    TOTAL,
    UNPRICED,
    UNREALISED,
    VEGA,
)

RowDict = dict[str, Any]

UNKNOWN_AMOUNTS: RowDict = dict.fromkeys(
    (
        "quantity",
        "net_cash",
        "average_price",
        "breakeven_price",
        "total_pnl",
        "realised_pnl",
        "unrealised_pnl",
        "total_pnl_local",
        "realised_pnl_local",
        "unrealised_pnl_local",
        "fees",
        "beside",
        "market_value",
        "delta_base",
        "delta_cash",
        "gamma_cash",
        "vega",
        "theta",
        "bought_quantity",
        "bought_price",
        "sold_quantity",
        "sold_price",
    )
)
"""The unknown amounts of a quarantined position."""

NO_KEY: Mapping[str, str] = {}

QUANTITY_ONE = ONE * 10**MULTIPLIER_DECIMALS
SNAP = 1e-12
"""A long or short side below this share of gross is a rounding error of (gross - |net|) and is shown as 0."""


# -- nodes and dealers -------------------------------------------------------------------------------------------


def node_rows(snapshot: Snapshot) -> list[RowDict]:
    """A row per node of the organisation, parents before children. O(nodes)."""
    return [node_row(snapshot, number) for number in range(len(snapshot.reference.hierarchy))]


def node_row(snapshot: Snapshot, number: int) -> RowDict:
    """One node of the organisation."""
    node = snapshot.reference.hierarchy.nodes[number]
    row: RowDict = {"node": node.node, "level": node.level, "parent": node.parent or None}
    row = _with_amounts(row, snapshot, snapshot.nodes, number)
    row.update(cash_fields(snapshot, number, row))
    return row


def node_and_children(snapshot: Snapshot, name: str) -> list[RowDict]:
    """A node, then its children. Raises UnknownName."""
    number = node_number(snapshot, name)
    return [node_row(snapshot, n) for n in (number, *range(*snapshot.reference.hierarchy.children[number]))]


def dealer_rows(snapshot: Snapshot) -> list[RowDict]:
    """A row per dealer that holds or has held a position, by name. O(dealers)."""
    rows = [dealer_row(snapshot, number) for number in range(snapshot.dealers.size)]
    gone = snapshot.dealers.day.start.ghosts if snapshot.dealers.day is not None else {}
    names = {snapshot.dealer_names[owner] for owner in gone}
    return sorted((row for row in rows if row["position_count"] or row["dealer"] in names), key=lambda row: row["dealer"])


def dealer_row(snapshot: Snapshot, number: int) -> RowDict:
    """One dealer."""
    return _with_amounts({"dealer": snapshot.dealer_names[number]}, snapshot, snapshot.dealers, number)


def _with_amounts(row: RowDict, snapshot: Snapshot, table: Table, owner: int) -> RowDict:
    """The row, with all fields of an owner added behind its key."""
    numbers = table.numbers.of_owner(owner)
    state = table.state(owner)
    quarantined = state.quarantined_count
    unpriced = int(numbers[UNPRICED]) + quarantined
    known = _known_amounts(snapshot, table, owner, unpriced, int(numbers[NO_RATE]) + quarantined)
    net, gross = numbers[NET], numbers[GROSS]
    # The legs of a pair without a mark have rates of their own.
    exposed = known.exposure or (gross > 0.0 and not table.is_broken(owner))
    long, short = (gross + net) / 2.0, (net - gross) / 2.0
    if long <= SNAP * gross:
        long = 0.0
    if -short <= SNAP * gross:
        short = 0.0
    greeks = known.exposure
    row.update(
        {
            "total_pnl": numbers[TOTAL] + 0.0 if known.total else None,
            "realised_pnl": numbers[REALISED] + 0.0 if known.realised else None,
            "unrealised_pnl": numbers[UNREALISED] + 0.0 if known.total else None,
            "fees": numbers[FEES] + 0.0 if known.fees else None,
            "net_exposure": net + 0.0 if exposed else None,
            "gross_exposure": gross if exposed else None,
            "long_exposure": long if exposed else None,
            "short_exposure": short + 0.0 if exposed else None,
            "delta_cash": numbers[DELTA] + 0.0 if greeks else None,
            "gamma_cash": numbers[GAMMA] + 0.0 if greeks else None,
            "vega": numbers[VEGA] + 0.0 if greeks else None,
            "theta": numbers[THETA] + 0.0 if greeks else None,
            "position_count": state.position_count,
            "trade_count": state.trade_count,
            "unpriced_count": unpriced,
            "quarantined_count": quarantined,
            "stale_count": int(numbers[STALE]),
            "last_trade_ts": state.last_trade_ts or None,
            "oldest_mark_ts": _oldest_mark(snapshot, state),
        }
    )
    scale = abs(numbers[DELTA]) + gross
    row.update(owner_day(snapshot, table, owner, row["total_pnl"], row["fees"], scale))
    return row


class KnownAmounts(NamedTuple):
    """Whether at least one position of an owner has each kind of amount; an owner without positions has them all, as 0."""

    total: bool
    realised: bool
    exposure: bool
    fees: bool


ALL_KNOWN, NONE_KNOWN = KnownAmounts(*(True,) * 4), KnownAmounts(*(False,) * 4)


def _known_amounts(snapshot: Snapshot, table: Table, owner: int, unpriced: int, no_rate: int) -> KnownAmounts:
    """Which amounts of an owner are known. O(1) where one position is known in every respect, else O(rows)."""
    state = table.state(owner)
    count = state.position_count
    if table.is_broken(owner):
        return NONE_KNOWN
    if not count or unpriced < count:
        return ALL_KNOWN
    units = snapshot.units
    valued = exposed = count - no_rate  # without the quarantined ones
    for row in state.positions():
        if row.open_count and units.rated.item(row.instrument):
            if not units.priced.item(row.instrument):
                valued -= row.open_count
                exposed -= row.open_count
            elif units.no_delta.item(row.instrument):
                exposed -= row.open_count
    return KnownAmounts(valued > 0, count > no_rate, exposed > 0, _is_any_fee_known(snapshot, table, owner))


def _is_any_fee_known(snapshot: Snapshot, table: Table, owner: int) -> bool:
    """Whether all fees of at least one position are known. O(rows), of the owners below too where no row here says so."""
    if any(row.quarantined < row.position_count and fees_are_known(snapshot, row) for row in table.state(owner).positions()):
        return True
    if table is not snapshot.nodes:
        return False
    return any(_is_any_fee_known(snapshot, table, child) for child in range(*snapshot.reference.hierarchy.children[owner]))


def fees_are_known(snapshot: Snapshot, row: Row) -> bool:
    """Whether every currency of the row's fees has a rate. O(currencies)."""
    known, index = snapshot.rates.fee_known, snapshot.reference.currency_index
    return all(known.item(index[currency]) for currency in row.fees)


def _oldest_mark(snapshot: Snapshot, state: OwnerState) -> int | None:
    held = state.open_instruments()
    if not len(held):
        return None
    times = snapshot.units.mark_ts[held]
    oldest = int(times.min())
    if oldest <= 0:  # one of them has no mark
        times = times[times > 0]
        return int(times.min()) if len(times) else None
    return oldest


# -- positions and ladders ---------------------------------------------------------------------------------------


MadeRows = dict[int, tuple[Row, RowDict]]
"""By instrument number: what is held, and the row that was made of it."""


def ladder_rows(
    snapshot: Snapshot,
    *,
    node: str | None = None,
    dealer: str | None = None,
    exact: bool = False,
    made: MadeRows | None = None,
) -> list[RowDict]:
    """What a node or a dealer (default: the root) holds, by instrument; flat positions too, so that rows add up to their owner.

    `exact` gives all numbers as decimal texts, quantity and net cash to the last digit. `made` are rows made before at the same
    prices, of the same owner: those of which the position is the same object are given again, and the new ones go in. Raises
    UnknownName. O(instruments there), and O(positions below) where an inner node's row stands for one position.
    """
    if dealer is not None:
        table, owner, key = snapshot.dealers, dealer_number(snapshot, dealer), {"dealer": dealer}
    else:
        name = node if node is not None else next(iter(snapshot.reference.hierarchy.names), "")
        table, owner, key = snapshot.nodes, node_number(snapshot, name), {"node": name}
    rows = listed_rows(table, owner, snapshot.reference.ranks)
    known = {} if made is None else made
    new = [row for row in rows if row.instrument not in known or known[row.instrument][0] is not row]
    averages = {} if dealer is not None else _single_averages(snapshot, owner, new)
    for row in new:
        known[row.instrument] = (
            row,
            position_row(
                snapshot,
                row,
                averages.get(row.instrument, row.average),
                key,
                exact=exact,
                broken=table.is_broken(owner, row.instrument),
                at=(table, owner),
            ),
        )
    return [known[row.instrument][1] for row in rows]


def position_rows(
    snapshot: Snapshot, *, node: str | None = None, dealer: str | None = None, instrument: str | None = None, exact: bool = False
) -> Iterator[RowDict]:
    """Positions of the leaves below a node, or of a dealer; of one instrument, or of all. Raises UnknownName at the call."""
    number = None if instrument is None else instrument_number(snapshot, instrument)
    hierarchy = snapshot.reference.hierarchy
    if dealer is not None:
        owners: Iterable[tuple[int, RowDict]] = [(dealer_number(snapshot, dealer), {"dealer": dealer})]
        table = snapshot.dealers
    else:
        below = hierarchy.leaves_below(0 if node is None else node_number(snapshot, node)) if len(hierarchy) else []
        owners = ((hierarchy.index[leaf], {"node": leaf}) for leaf in below)
        table = snapshot.nodes
    return (
        position_row(snapshot, row, row.average, key, exact=exact, at=(table, owner))
        for owner, key in owners
        for row in listed_rows(table, owner, snapshot.reference.ranks)
        if number is None or row.instrument == number
    )


def listed_rows(table: Table, owner: int, ranks: Sequence[int]) -> list[Row]:
    """What an owner holds, in the order of instruments (`Reference.ranks`).

    What it held at the last close and has no trade of any more is among it, as flat rows.
    """
    rows = list(table.state(owner).positions())
    if table.day is not None:
        rows += [Row(number, 0, 0, 0, 0, 0, 1, 0, 0, NO_FEES, 0) for number in table.day.start.ghosts.get(owner, ())]
    return sorted(rows, key=lambda row: ranks[row.instrument])


def _single_averages(snapshot: Snapshot, owner: int, rows: Iterable[Row]) -> dict[int, float | None]:
    """Average prices by instrument, for those rows of a node that stand for exactly one position; other rows net several."""
    wanted = {row.instrument for row in rows if row.average is None and row.position_count == 1 and row.quantity}
    children = snapshot.reference.hierarchy.children
    found: dict[int, float | None] = {}
    waiting = [owner]
    while waiting and len(found) < len(wanted):
        node = waiting.pop()
        first, end = children[node]
        held = [row for row in snapshot.nodes.state(node).positions() if row.instrument in wanted]
        if first == end:
            found.update((row.instrument, row.average) for row in held)
        elif held:
            waiting.extend(range(first, end))
    return found


def position_row(
    snapshot: Snapshot,
    row: Row,
    average: float | None,
    key: Mapping[str, str] = NO_KEY,
    *,
    exact: bool = False,
    broken: bool = False,
    at: tuple[Table, int] | None = None,
) -> RowDict:
    """The row of one position, or of several netted, behind its `key`, a `node` or `dealer`. ACCOUNTING sections 1 and 4.

    All amounts of a quarantined position, and of a sum that was found `broken`, are unknown. `at` is the roll-up and the number
    of its owner, for the lines of the day: without it they are null.
    """
    units, number = snapshot.units, row.instrument
    instrument = snapshot.reference.instruments[number]
    mark, quoted = shown_mark(snapshot, number), units.marks[number]
    priced, rated = units.priced.item(number), units.rated.item(number)
    rate = units.rate.item(number) if rated else None
    size = row.quantity * instrument.contract_multiplier / QUANTITY_ONE
    known = priced or not row.open_count
    value = size * units.price.item(number) if priced else 0.0 if not row.open_count else None
    kept_beside = beside(snapshot, row)
    market_value = _product(value, rate)
    greeks = row_greeks(snapshot, row, size, market_value)
    fees = _fees(snapshot, row)
    dealt = None if at is None else dealt_today(snapshot, *at, number)
    fields = {
        **key,
        "instrument": instrument.instrument,
        "quantity": row.quantity / ONE,
        "net_cash": row.cash / CASH_ONE,
        "average_price": _average_price(row, average, size),
        "breakeven_price": -(row.cash / CASH_ONE) / size if row.quantity else None,
        "bid": None if quoted is None else quoted.bid,
        "ask": None if quoted is None else quoted.ask,
        "mark": None if mark is None else mark.price,
        "mark_source": None if mark is None else mark.source or mark.kind,
        "mark_ts": None if mark is None else mark.ts,
        "currency": instrument.currency,
        **_profits(row, value if known else None, rate, kept_beside),
        "fees": fees,
        "beside": kept_beside,
        "market_value": market_value,
        **greeks,
        "stale": is_stale(snapshot, row),
        "closed": units.closed.item(number),
        "quarantined": broken or bool(row.quarantined),
        "trade_count": row.trade_count,
        "last_trade_ts": row.last_trade_ts or None,
        **_deal_fields(dealt, instrument.contract_multiplier),
        **(UNKNOWN_DAY if at is None or broken else position_day(snapshot, *at, row, fees)),
    }
    return _for_reader(fields, row, dealt, exact, broken)


def dealt_today(snapshot: Snapshot, table: Table, owner: int, number: int) -> Dealt | None:
    """What an owner bought and sold of an instrument in the trading day; None while the engine knows no day. 1 us."""
    if snapshot.deals is None:
        return None
    return snapshot.deals.of(snapshot.dealer_names[owner] if table is snapshot.dealers else owner, number)


def _deal_fields(dealt: Dealt | None, multiplier: int) -> RowDict:
    """Sizes, and average prices per unit: null where nothing was dealt, as where no day is known."""
    if dealt is None:
        return dict.fromkeys(("bought_quantity", "bought_price", "sold_quantity", "sold_price"))
    return {
        "bought_quantity": dealt.bought / ONE,
        "bought_price": _deal_price(dealt.paid, dealt.bought, multiplier),
        "sold_quantity": -dealt.sold / ONE + 0.0,
        "sold_price": _deal_price(dealt.received, dealt.sold, multiplier),
    }


def _deal_price(cash: int, quantity: int, multiplier: int) -> float | None:
    """The nearest double of an average price; `cash` in units of 1e-28, `quantity` of 1e-10, `multiplier` of 1e-8."""
    return -cash / (quantity * multiplier * (CASH_ONE // QUANTITY_ONE)) + 0.0 if quantity else None


def _profits(row: Row, value: float | None, rate: float | None, kept_beside: float | None) -> RowDict:
    """Total, realised and unrealised P&L, in the reporting currency and in the row's; `value` is k q m, None where unknown.

    `kept_beside` is the worth of the amounts beside net cash, in the reporting currency: total and realised count it.
    """
    realised = (row.cash + row.open_cost) / CASH_ONE
    total = None if value is None else row.cash / CASH_ONE + value
    unrealised = None if value is None else value - row.open_cost / CASH_ONE
    return {
        "total_pnl": plus(_product(total, rate), kept_beside),
        "realised_pnl": plus(_product(realised, rate), kept_beside),
        "unrealised_pnl": _product(unrealised, rate),
        "total_pnl_local": total,
        "realised_pnl_local": realised,
        "unrealised_pnl_local": unrealised,
    }


def row_total(snapshot: Snapshot, row: Row, size: float) -> float | None:
    """The `total_pnl` of a row; `size` is k q."""
    units, number = snapshot.units, row.instrument
    if row.open_count and not units.priced.item(number):
        return None
    rate = units.rate.item(number) if units.rated.item(number) else None
    value = size * units.price.item(number) if units.priced.item(number) else 0.0
    return plus(_product(row.cash / CASH_ONE + value, rate), beside(snapshot, row))


def _average_price(row: Row, average: float | None, size: float) -> float | None:
    """The average of the position that the row stands for; of several on one side the open cost over the quantity."""
    if not row.quantity:
        return None
    if average is not None or not row.is_one_sided:
        return average
    cost: float = row.open_cost / CASH_ONE
    return cost / size


def _for_reader(fields: RowDict, row: Row, dealt: Dealt | None, exact: bool, broken: bool) -> RowDict:
    """The row for the reader: amounts are null if unknown, decimal texts if `exact`."""
    if broken or row.quarantined >= row.position_count:
        fields |= UNKNOWN_AMOUNTS
        return decimal_texts(fields) if exact else fields
    if not exact:
        return fields
    texts = {"quantity": to_text(row.quantity), "net_cash": to_text(row.cash, CASH_DECIMALS)}
    if dealt is not None:
        texts |= {"bought_quantity": to_text(dealt.bought), "sold_quantity": to_text(-dealt.sold)}
    return decimal_texts(fields) | texts


def is_stale(snapshot: Snapshot, row: Row) -> bool:
    """Whether a position is valued with a stale price or rate."""
    units, number = snapshot.units, row.instrument
    if not units.rated.item(number):
        return False
    return bool(row.open_count and units.stale_mark.item(number)) or units.stale_rate.item(number)


def row_greeks(snapshot: Snapshot, row: Row, size: float, market_value: float | None) -> RowDict:
    """The delta of a linear instrument is the position itself; those of an open option may be unknown.

    `size` is k q, `market_value` what it is worth in the reporting currency.
    """
    if not snapshot.units.netting.is_option(row.instrument):
        return {"delta_base": size, "delta_cash": market_value, "gamma_cash": 0.0, "vega": 0.0, "theta": 0.0}
    greeks = option_greeks(snapshot, row)
    return dict.fromkeys(Greeks._fields) if greeks is None else greeks._asdict()


def _fees(snapshot: Snapshot, row: Row) -> float | None:
    if not row.fees:
        return 0.0
    if not fees_are_known(snapshot, row):
        return None
    total = 0.0
    for currency, units in sorted(row.fees.items()):
        total += units / ONE * snapshot.rates.fee_value.item(snapshot.reference.currency_index[currency])
    return total


def beside(snapshot: Snapshot, row: Row) -> float | None:
    """What is kept beside net cash, in the reporting currency; None where one of its currencies has no rate."""
    if not row.beside:
        return 0.0
    rates, index = snapshot.rates, snapshot.reference.currency_index
    if not all(rates.fee_known.item(index[currency]) for currency in row.beside):
        return None
    total = 0.0
    for currency, units in sorted(row.beside.items()):
        total += units / CASH_ONE * rates.fee_value.item(index[currency])
    return total


def plus(amount: float | None, other: float | None) -> float | None:
    """A sum, unknown where a part is."""
    return None if amount is None or other is None else amount + other


def _product(amount: float | None, rate: float | None) -> float | None:
    return None if amount is None or rate is None else amount * rate + 0.0


def decimal_texts(row: RowDict) -> RowDict:
    """The same row with every double as decimal text that reads back as the same double (`exact=true`)."""
    return {key: format(Decimal(repr(value)), "f") if isinstance(value, float) else value for key, value in row.items()}


# -- marks -------------------------------------------------------------------------------------------------------


def mark_rows(snapshot: Snapshot) -> list[RowDict]:
    """A row per instrument: its mark, the mark's source, and its age at the snapshot's `as_of`."""
    units, rows = snapshot.units, []
    for number, instrument in enumerate(snapshot.reference.instruments):
        quoted, mark = units.marks[number], shown_mark(snapshot, number)
        is_option = units.netting.is_option(number)
        rows.append(
            {
                "instrument": instrument.instrument,
                "price": mark.price if mark else None,
                "ts": mark.ts if mark else None,
                "source": mark.source if mark else None,
                "kind": mark.kind if mark else None,
                "age_ms": max(0, snapshot.as_of - mark.ts) // 1000 if mark else None,
                "stale": bool(units.stale_mark[number]),
                "closed": bool(units.closed[number]),
                "suspect": quoted.suspect if quoted else None,
                "suspect_ts": quoted.suspect_ts or None if quoted else None,
                "currency": instrument.currency,
                "rate": float(units.rate[number]) if units.rated[number] else None,
                **_own_quote(quoted if is_option else None),
                "unvalued": unvalued_reason(snapshot, number) or None if is_option else None,
                **_by_hand(quoted if mark else None),
            }
        )
    return rows


def _own_quote(mark: Mark | None) -> RowDict:
    """What an option is quoted at, whatever values it."""
    if mark is None or not mark.ts:
        return {"quoted_price": None, "quoted_ts": None, "quoted_source": None}
    return {"quoted_price": mark.price, "quoted_ts": mark.ts, "quoted_source": mark.source}


def _by_hand(mark: Mark | None) -> RowDict:
    """Who set a mark by hand, why, and until when it holds against the feeds."""
    said = None if mark is None else mark.by_hand
    if said is None:
        return {"author": None, "reason": None, "expires_ts": None}
    return {"author": said.author, "reason": said.reason, "expires_ts": said.expires_ts}
