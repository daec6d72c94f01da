"""Positions: the ladder of one owner, the positions of many, the receipt that reproduces one. An owner is a node or a dealer."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from weakref import WeakKeyDictionary

from starlette.responses import Response

from riskengine.engine.receipt import Cell, cell_of, receipt
from riskengine.errors import EngineNotLive, Frozen
from riskengine.positions.ledger import Row
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.types import CASH_ONE, ONE
from riskengine.serve.access.permissions import check_dealer, check_node, granted_tops
from riskengine.serve.answers.answers import ListAnswer, Question, json_answer, list_answer, stamp
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.shapes import OF_DEALER, OF_NODE, Fields, names
from riskengine.serve.answers.turns import map_in_turns
from riskengine.serve.routes.lists import Value, answer_page, make_rows, places_by_field, row_filter, same_row, sorted_places
from riskengine.snapshot.rows import QUANTITY_ONE, RowDict, beside, is_stale, ladder_rows, listed_rows, plus, position_row
from riskengine.snapshot.snapshot import SeqGone, Snapshot, Table, dealer_number, instrument_number, node_number

MAX_CACHED_NODES = 256
"""Nodes of one tree whose leaves are remembered."""

Owner = tuple[str, Table, int]
"""A leaf or a dealer: name, roll-up and number there."""

OwnedRow = tuple[str, Row]
"""A position: the name of its owner and the row."""


# -- the ladder --------------------------------------------------------------------------------------------------


async def answer_ladder(question: Question) -> Response:
    """What a node or dealer holds by instrument; never cut. Raises UnknownName, Forbidden."""
    snapshot, values = question.snapshot, question.values
    node, dealer = owner_asked(question)
    if dealer is None:
        check_node(question.grants, snapshot.reference.hierarchy, node)
    if dealer is not None:
        fields, rows_at_most = OF_DEALER, len(snapshot.dealers.state(dealer_number(snapshot, dealer)).rows)
    elif not len(snapshot.reference.hierarchy) and node is None:
        return await answer_page(question, OF_NODE, [], same_row, cut=False)
    else:
        number = 0 if node is None else node_number(snapshot, node)
        fields, rows_at_most = OF_NODE, len(snapshot.nodes.state(number).rows)

    _check_sort(question, fields)
    passes = row_filter(question)

    def make(exact: bool) -> list[RowDict]:
        found = list(filter(passes, ladder_rows(snapshot, node=node, dealer=dealer, exact=exact)))
        return found if values["flat"] else [row for row in found if row["quantity"] is None or float(row["quantity"])]

    rows = await make_rows(rows_at_most, lambda: make(question.exact))
    if question.exact and question.sort is not None:  # texts do not sort as numbers
        numbers = await make_rows(rows_at_most, lambda: make(False))
        rows = [rows[place] for place in await places_by_field(numbers, question.sort, same_row)]
    elif question.sort is not None:
        rows = [rows[place] for place in await places_by_field(rows, question.sort, same_row)]
    answer = ListAnswer(question.valued_header(), names(fields), rows, same_row, len(rows), items_are_rows=True)
    return list_answer(question, answer)


# -- the positions of many leaves, or of a dealer ----------------------------------------------------------------


async def answer_positions(question: Question) -> Response:
    """Positions of the leaves below a node, or of a dealer. Without a sort or a filter only the page itself is read.

    Raises UnknownName, Forbidden.
    """
    snapshot, values = question.snapshot, question.values
    ranks = snapshot.reference.ranks
    node, dealer = owner_asked(question)
    key, fields = ("node", OF_NODE) if dealer is None else ("dealer", OF_DEALER)
    _check_sort(question, fields)
    first, end = values["offset"], values["offset"] + values["limit"]
    owners = _owners(question, node, dealer)
    instrument, stale, sort = values["instrument"], values["stale"], question.sort
    if instrument is None and stale is None and sort is None:
        page, total = await _page(owners, ranks, first, end)
    else:
        number = None if instrument is None else instrument_number(snapshot, instrument)
        found: list[OwnedRow] = []
        await map_in_turns(lambda owner: found.extend(_positions_of(owner, ranks, number)), owners)
        if stale is not None:
            flags = await map_in_turns(lambda position: is_stale(snapshot, position[1]), found)
            found = [position for position, flag in zip(found, flags, strict=True) if flag is stale]
        total = len(found)
        if sort is None:
            page = found[first:end]
        else:
            places = await sorted_places(found, sort_value(snapshot, sort.field, dealer), descending=sort.descending)
            page = [found[place] for place in places[first:end].tolist()]
    exact = question.exact

    def row_of(position: OwnedRow) -> RowDict:
        name, row = position
        return position_row(snapshot, row, row.average, {key: name}, exact=exact, at=place_of(snapshot, name, dealer))

    return list_answer(question, ListAnswer(question.valued_header(), names(fields), page, row_of, total))


def _owners(question: Question, node: str | None, dealer: str | None) -> Iterator[Owner]:
    """The dealer, or the leaves below the node, in the order of the answer. Raises UnknownName, Forbidden at once."""
    snapshot, grants = question.snapshot, question.grants
    if dealer is not None:
        number = dealer_number(snapshot, dealer)
        return iter([(dealer, snapshot.dealers, number)])
    hierarchy, nodes = snapshot.reference.hierarchy, snapshot.nodes
    if node is None:
        tops = granted_tops(grants, hierarchy)
    else:
        check_node(grants, hierarchy, node)
        tops = [node_number(snapshot, node)]
    return ((name, nodes, leaf) for top in tops for name, leaf in leaves_below(hierarchy, top))


_leaves_below: WeakKeyDictionary[Hierarchy, dict[int, tuple[tuple[str, int], ...]]] = WeakKeyDictionary()
"""By tree and node, for as long as a snapshot holds the tree."""


def leaves_below(hierarchy: Hierarchy, number: int) -> tuple[tuple[str, int], ...]:
    """Names and numbers of the leaves at or below a node. O(nodes below) once; a tree never changes. Event loop only."""
    cached = _leaves_below.setdefault(hierarchy, {})
    if number not in cached:
        if len(cached) >= MAX_CACHED_NODES:
            cached.clear()
        cached[number] = tuple((leaf, hierarchy.index[leaf]) for leaf in hierarchy.leaves_below(number))
    return cached[number]


def _positions_of(owner: Owner, ranks: Sequence[int], instrument: int | None = None) -> list[OwnedRow]:
    """The positions of an owner, by instrument (`Reference.ranks`); or the one in `instrument`."""
    name, table, number = owner
    return [(name, row) for row in listed_rows(table, number, ranks) if instrument is None or row.instrument == instrument]


async def _page(owners: Iterator[Owner], ranks: Sequence[int], first: int, end: int) -> tuple[list[OwnedRow], int]:
    """Positions `first` to `end`, and how many there are in all. Owners outside the page are only counted."""
    found: list[OwnedRow] = []
    before = 0

    def take(owner: Owner) -> None:
        nonlocal before
        _, table, number = owner
        count = table.state(number).position_count
        if table.day is not None:
            count += len(table.day.start.ghosts.get(number, ()))
        if before < end and before + count > first:
            found.extend(_positions_of(owner, ranks)[max(first - before, 0) : end - before])
        before += count

    await map_in_turns(take, owners)
    return found, before


# -- sorting positions without making their rows -----------------------------------------------------------------


def place_of(snapshot: Snapshot, name: str, dealer: str | None) -> tuple[Table, int]:
    """The roll-up and the number of an owner: `dealer`, or the node of that name. O(1), O(dealers) for a dealer."""
    if dealer is not None:
        return snapshot.dealers, dealer_number(snapshot, dealer)
    return snapshot.nodes, snapshot.reference.hierarchy.index[name]


def sort_value(snapshot: Snapshot, field: str, dealer: str | None = None) -> Callable[[OwnedRow], Value]:
    """Returns a function from a position to the value of `field` in its row, mostly at a tenth of the row's cost.

    The positions are of leaves, or all of one `dealer`. The expressions are those of `snapshot.rows.position_row`; a test holds
    them to it.
    """
    quick = _plain_value(field) or _valued(snapshot, field)
    if quick is not None:
        return quick

    def slow(position: OwnedRow) -> Value:
        name, row = position
        value: Value = position_row(snapshot, row, row.average, at=place_of(snapshot, name, dealer))[field]
        return value

    return slow


def _plain_value(field: str) -> Callable[[OwnedRow], Value] | None:
    """For fields that need no price."""
    plain: dict[str, Callable[[OwnedRow], Value]] = {
        "node": lambda position: position[0],
        "dealer": lambda position: position[0],
        "instrument": lambda position: position[1].instrument,  # numbered in the order of their names
        "quantity": lambda position: position[1].quantity / ONE,
        "net_cash": lambda position: position[1].cash / CASH_ONE,
        "average_price": lambda position: position[1].average if position[1].quantity else None,
        "trade_count": lambda position: position[1].trade_count,
        "last_trade_ts": lambda position: position[1].last_trade_ts or None,
    }
    return plain.get(field)


def _valued(snapshot: Snapshot, field: str) -> Callable[[OwnedRow], Value] | None:
    """For amounts: unknown without a rate, and open positions without a price."""
    name = field.removesuffix("_local")
    if name not in ("total_pnl", "realised_pnl", "unrealised_pnl", "market_value") or field == "market_value_local":
        return None
    units = snapshot.units
    multipliers = [instrument.contract_multiplier for instrument in snapshot.reference.instruments]
    price: list[float] = units.price.tolist()
    priced: list[bool] = units.priced.tolist()
    rate: list[float] = units.rate.tolist()
    rated: list[bool] = units.rated.tolist()
    in_reporting_currency = field == name

    def value_of(position: OwnedRow) -> Value:
        row = position[1]
        number = row.instrument
        if in_reporting_currency and not rated[number]:
            return None
        amount: float
        if name == "realised_pnl":
            amount = (row.cash + row.open_cost) / CASH_ONE
        elif row.open_count and not priced[number]:
            return None
        else:
            amount = row.quantity * multipliers[number] / QUANTITY_ONE * price[number] if priced[number] else 0.0
            if name == "total_pnl":
                amount = row.cash / CASH_ONE + amount
            elif name == "unrealised_pnl":
                amount -= row.open_cost / CASH_ONE
        if not in_reporting_currency:
            return amount
        worth = amount * rate[number] + 0.0
        if row.beside and name in ("total_pnl", "realised_pnl"):
            return plus(worth, beside(snapshot, row))
        return worth

    return value_of


# -- the receipt -------------------------------------------------------------------------------------------------


async def answer_receipt(question: Question) -> Response:
    """The receipt of what a node (without one: the root) or a dealer holds of an instrument.

    It is of the newest snapshot, with `seq=` of one since the last trade (the engine holds its trades only as they are now), or
    of the moment of `as_of=`.
    Raises UnknownName, EngineNotLive, HttpProblem, Forbidden, SeqGone, SnapshotNotYet.
    """
    values, gateway = question.values, question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    instrument = values["instrument"]
    if instrument is None:
        raise bad_field("instrument", "is missing: a receipt is for one instrument")
    node, dealer = owner_asked(question)
    moment = question.moment
    if dealer is None:
        hierarchy = (gateway.history.newest if moment is None else question.snapshot).reference.hierarchy
        check_node(question.grants, hierarchy, node)
    take = partial(cell_of, node=node, dealer=dealer, instrument=instrument)
    if moment is not None:
        try:
            cell = await asyncio.to_thread(take, moment.engine)
        except Frozen:
            moment = await gateway.moment(moment.asked, moment.known, whole=True)
            cell = await asyncio.to_thread(take, moment.engine)
        return await _receipt_answer(question, cell)
    requested = question.snapshot if values["seq"] is not None else None
    cell = await gateway.on_writer(take)
    if requested is not None:
        if not requested.reference.is_kin(cell.snapshot.reference) or cell.snapshot.trade_seq > requested.seq:
            raise SeqGone(f"trades have come since seq {requested.seq}: a receipt shows the trades of now")
        cell = cell._replace(snapshot=requested)
    return await _receipt_answer(question, cell)


async def _receipt_answer(question: Question, cell: Cell) -> Response:
    content = await asyncio.to_thread(receipt, cell)
    owner = {"dealer": cell.dealer} if cell.dealer is not None else {"node": cell.node}
    return json_answer(question.valued_header() | stamp(cell.snapshot) | owner | content)


# -- what was asked ----------------------------------------------------------------------------------------------


def owner_asked(question: Question) -> tuple[str | None, str | None]:
    """The node or the dealer in the question. Raises HttpProblem if both are given, Forbidden for a hidden dealer."""
    node, dealer = question.values["node"], question.values["dealer"]
    if node is not None and dealer is not None:
        raise bad_field("dealer", "cannot be combined with node: name one of them")
    if dealer is not None:
        check_dealer(question.grants, dealer)
    return node, dealer


def _check_sort(question: Question, fields: Fields) -> None:
    """Rows of a node have no dealer, and rows of a dealer no node. Raises HttpProblem."""
    sort = question.sort
    if sort is not None and sort.field not in names(fields):
        raise bad_field("sort", f"is not a field of these rows: {sort.field!r}")
