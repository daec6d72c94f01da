"""Reads of a snapshot: tree, positions, ladder, dealers, marks. Everything in one answer is of one moment."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from starlette.responses import Response

from riskengine.engine.receipt import cell_of, receipt
from riskengine.errors import EngineNotLive
from riskengine.records.hierarchy import Hierarchy
from riskengine.serve.access.permissions import check_dealer, check_node, check_row, granted_tops
from riskengine.serve.answers.answers import ListAnswer, Question, json_answer, list_answer, policies, stamp
from riskengine.serve.answers.params import Sort
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.shapes import DEALER, MARK, NODE, OF_DEALER, OF_NODE, POINT, Fields, names
from riskengine.serve.answers.turns import in_turns
from riskengine.serve.answers.wire import ROWS_AT_ONCE
from riskengine.serve.routes.ordering import Held, Value, position_value, sorted_places
from riskengine.snapshot.curves import Point
from riskengine.snapshot.rows import RowDict, dealer_row, decimal_texts, is_stale, ladder_rows, mark_rows, node_row, position_row
from riskengine.snapshot.snapshot import OwnerState, SeqGone, dealer_number, instrument_number, node_number
from riskengine.views.grants import HIDDEN_PARENT

MAX_KEPT_NODES = 256
"""Nodes of a tree whose leaves are remembered."""


async def answer_nodes(question: Question) -> Response:
    """All of the tree that is shown, parents before children; never cut."""
    return await _nodes(question, question.grants.visible_nodes(question.snapshot.reference.hierarchy))


async def answer_node(question: Question) -> Response:
    """One node, then those of its children that are shown. Raises UnknownName, NotAllowed."""
    snapshot, grants, name = question.snapshot, question.grants, question.request.path_params["node"]
    hierarchy = snapshot.reference.hierarchy
    check_row(grants, hierarchy, name)
    number = node_number(snapshot, name)
    children = (child for child in range(*hierarchy.children[number]) if grants.sees_row(hierarchy, hierarchy.names[child]))
    return await _nodes(question, [number, *children])


async def _nodes(question: Question, numbers: Sequence[int]) -> Response:
    snapshot, grants = question.snapshot, question.grants
    hierarchy = snapshot.reference.hierarchy

    def row_of(number: int) -> RowDict:
        row = node_row(snapshot, number)
        return row | HIDDEN_PARENT if grants.hides_parent(hierarchy, number) else row

    return await _answer(question, NODE, numbers, row_of, cut=False)


async def answer_dealers(question: Question) -> Response:
    """A row per dealer with positions, by name."""
    snapshot, sees = question.snapshot, question.grants.sees_dealer
    dealers, dealer_names = snapshot.dealers, snapshot.dealer_names
    held = [number for number in range(dealers.size) if dealers.state(number).position_count and sees(dealer_names[number])]
    held.sort(key=dealer_names.__getitem__)
    return await _answer(question, DEALER, held, lambda number: dealer_row(snapshot, number))


async def answer_marks(question: Question) -> Response:
    """A row per instrument, by name."""
    snapshot = question.snapshot
    wanted = _wanted(question)
    rows = await _beside(len(snapshot.reference.instruments), lambda: list(filter(wanted, mark_rows(snapshot))))
    return await _answer(question, MARK, rows, _same)


async def answer_ladder(question: Question) -> Response:
    """What a node or dealer holds by instrument; never cut. Raises UnknownName, NotAllowed."""
    snapshot, values = question.snapshot, question.values
    node, dealer = _one_owner(question)
    if dealer is None:
        check_node(question.grants, snapshot.reference.hierarchy, node)
    if dealer is not None:
        fields, rows_at_most = OF_DEALER, len(snapshot.dealers.state(dealer_number(snapshot, dealer)).rows)
    elif not len(snapshot.reference.hierarchy) and node is None:
        return await _answer(question, OF_NODE, [], _same, cut=False)
    else:
        number = 0 if node is None else node_number(snapshot, node)
        fields, rows_at_most = OF_NODE, len(snapshot.nodes.state(number).rows)

    _check_sort(question, fields)
    wanted = _wanted(question)

    def rows(exact: bool) -> list[RowDict]:
        found = list(filter(wanted, ladder_rows(snapshot, node=node, dealer=dealer, exact=exact)))
        return found if values["flat"] else [row for row in found if row["quantity"] is None or float(row["quantity"])]

    made = await _beside(rows_at_most, lambda: rows(question.exact))
    if question.exact and question.sort is not None:  # texts do not sort as numbers
        numbers = await _beside(rows_at_most, lambda: rows(False))
        made = [made[place] for place in await _places(numbers, question.sort, _same)]
    elif question.sort is not None:
        made = [made[place] for place in await _places(made, question.sort, _same)]
    return list_answer(question, ListAnswer(question.valued_header(), names(fields), made, _same, len(made), made=True))


async def answer_positions(question: Question) -> Response:
    """Positions of the leaves below a node, or of a dealer. Without a sort only those shown are looked at.

    Raises UnknownName, NotAllowed.
    """
    snapshot, values = question.snapshot, question.values
    node, dealer = _one_owner(question)
    key, fields = ("node", OF_NODE) if dealer is None else ("dealer", OF_DEALER)
    _check_sort(question, fields)
    first, end = values["offset"], values["offset"] + values["limit"]
    owners = _owners(question, node, dealer)
    instrument, stale, sort = values["instrument"], values["stale"], question.sort
    if instrument is None and stale is None and sort is None:
        shown, total = await _page(owners, first, end)
    else:
        number = None if instrument is None else instrument_number(snapshot, instrument)
        found: list[Held] = []
        await in_turns(lambda owner: found.extend(_held(owner, number)), owners)
        if stale is not None:
            flags = await in_turns(lambda held: is_stale(snapshot, held[1]), found)
            found = [held for held, flag in zip(found, flags, strict=True) if flag is stale]
        total = len(found)
        if sort is None:
            shown = found[first:end]
        else:
            places = await sorted_places(found, position_value(snapshot, sort.field), descending=sort.descending)
            shown = [found[place] for place in places[first:end].tolist()]
    exact = question.exact

    def row_of(held: Held) -> RowDict:
        name, row = held
        return position_row(snapshot, row, row.average, {key: name}, exact=exact)

    return list_answer(question, ListAnswer(question.valued_header(), names(fields), shown, row_of, total))


Owner = tuple[str, OwnerState]


def _owners(question: Question, node: str | None, dealer: str | None) -> Iterator[Owner]:
    """Whose positions are meant, in the order of the answer. Raises UnknownName, NotAllowed at once."""
    snapshot, grants = question.snapshot, question.grants
    if dealer is not None:
        return iter([(dealer, snapshot.dealers.state(dealer_number(snapshot, dealer)))])
    hierarchy, state = snapshot.reference.hierarchy, snapshot.nodes.state
    if node is None:
        tops = granted_tops(grants, hierarchy)
    else:
        check_node(grants, hierarchy, node)
        tops = [node_number(snapshot, node)]
    return ((name, state(leaf)) for top in tops for name, leaf in leaves_below(hierarchy, top))


_leaves_below: WeakKeyDictionary[Hierarchy, dict[int, tuple[tuple[str, int], ...]]] = WeakKeyDictionary()
"""By node, for as long as somebody shows the tree."""


def leaves_below(hierarchy: Hierarchy, number: int) -> tuple[tuple[str, int], ...]:
    """Names and numbers of the leaves at or below a node. O(nodes below) when first asked for; a tree never changes. The loop."""
    known = _leaves_below.setdefault(hierarchy, {})
    if number not in known:
        if len(known) >= MAX_KEPT_NODES:
            known.clear()
        known[number] = tuple((leaf, hierarchy.index[leaf]) for leaf in hierarchy.leaves_below(number))
    return known[number]


def _held(owner: Owner, instrument: int | None = None) -> list[Held]:
    """The positions of an owner, by instrument; or the one in `instrument`."""
    name, state = owner
    rows = [row for row in state.rows if row is not None and (instrument is None or row.instrument == instrument)]
    rows.sort(key=lambda row: row.instrument)
    return [(name, row) for row in rows]


async def _page(owners: Iterator[Owner], first: int, end: int) -> tuple[list[Held], int]:
    """The positions of places `first` to `end`, and how many there are; owners outside are only counted."""
    found: list[Held] = []
    before = 0

    def look(owner: Owner) -> None:
        nonlocal before
        count = owner[1].position_count
        if before < end and before + count > first:
            found.extend(_held(owner)[max(first - before, 0) : end - before])
        before += count

    await in_turns(look, owners)
    return found, before


def _wanted(question: Question) -> Callable[[RowDict], bool]:
    """Whether `instrument=` and `stale=` let a row pass. Raises UnknownName."""
    instrument, stale = question.values["instrument"], question.values["stale"]
    if instrument is not None:
        instrument_number(question.snapshot, instrument)
    return lambda row: instrument in (None, row["instrument"]) and (stale is None or row["stale"] is stale)


def _one_owner(question: Question) -> tuple[str | None, str | None]:
    """The node or the dealer that is asked about. Raises Problem, and NotAllowed for a dealer."""
    node, dealer = question.values["node"], question.values["dealer"]
    if node is not None and dealer is not None:
        raise bad_field("dealer", "goes with no node: ask for one of them")
    if dealer is not None:
        check_dealer(question.grants, dealer)
    return node, dealer


def _check_sort(question: Question, fields: Fields) -> None:
    """Rows of a node have no dealer, and the other way round."""
    sort = question.sort
    if sort is not None and sort.field not in names(fields):
        raise bad_field("sort", f"is not a field of these rows: {sort.field!r}")


async def _answer(
    question: Question, fields: Fields, items: Sequence[Any], row_of: Callable[[Any], RowDict], *, cut: bool = True
) -> Response:
    """Sort, cut, and answer with the settings that decide the numbers."""
    total = len(items)
    first, end = 0, total
    if cut:
        first, end = question.values["offset"], question.values["offset"] + question.values["limit"]
    if question.sort is None:
        items = items[first:end]
    else:
        places = await _places(items, question.sort, row_of)
        items = [items[place] for place in places[first:end]]
    shown = (lambda item: decimal_texts(row_of(item))) if question.exact else row_of
    return list_answer(question, ListAnswer(question.valued_header(), names(fields), items, shown, total))


async def _places(items: Sequence[Any], sort: Sort, row_of: Callable[[Any], RowDict]) -> list[int]:
    def value_of(item: Any) -> Value:
        value: Value = row_of(item)[sort.field]
        return value

    found: list[int] = (await sorted_places(items, value_of, descending=sort.descending)).tolist()
    return found


async def _beside(rows: int, make: Callable[[], list[RowDict]]) -> list[RowDict]:
    """Rows made at once where they are few, in a thread where they are many."""
    return make() if rows <= ROWS_AT_ONCE else await asyncio.to_thread(make)


def _same(row: RowDict) -> RowDict:
    return row


DEFAULT_MEASURE = "total_pnl"


async def answer_history(question: Question) -> Response:
    """The curve of one measure of a node, without a name that of the root: oldest first, the snapshot's own point last.

    Raises UnknownName, and NotAllowed where the node's row is not shown.
    """
    snapshot, values = question.snapshot, question.values
    hierarchy = snapshot.reference.hierarchy
    measure, bucket_us = values["measure"], values["bucket"] or 0
    header = question.valued_header() | {"measure": measure, "bucket_s": bucket_us / 1e6 if bucket_us else None}
    node: str | None = values["node"] if values["node"] is not None else next(iter(hierarchy.names), None)
    if node is None:
        return list_answer(question, ListAnswer(header | {"node": None}, names(POINT), [], _row, 0))
    check_row(question.grants, hierarchy, node)
    newest = snapshot.as_of, node_row(snapshot, node_number(snapshot, node))[measure]
    points = question.gateway.curves.points(node, measure, values["since"] or 0, newest, bucket_us)
    row_of = _exact_row if question.exact else _row
    return list_answer(question, ListAnswer(header | {"node": node}, names(POINT), points, row_of, len(points)))


def _row(point: Point) -> RowDict:
    return point._asdict()


def _exact_row(point: Point) -> RowDict:
    return decimal_texts(point._asdict())


async def answer_receipt(question: Question) -> Response:
    """The receipt of what a node (without one: the root) or a dealer holds of an instrument.

    Of now, or with `seq=` of a snapshot since the last trade: the engine holds its trades as they are. Raises UnknownName,
    EngineNotLive, Problem, NotAllowed, SnapshotGone, SnapshotNotYet.
    """
    values, gateway = question.values, question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    node, dealer, instrument = values["node"], values["dealer"], values["instrument"]
    if instrument is None:
        raise bad_field("instrument", "is missing: a receipt is for one instrument")
    if node is not None and dealer is not None:
        raise bad_field("dealer", "goes with no node: ask for one of them")
    if dealer is not None:
        check_dealer(question.grants, dealer)
    else:
        check_node(question.grants, gateway.history.newest.reference.hierarchy, node)
    wanted = question.snapshot if values["seq"] is not None else None
    cell = await gateway.on_writer(partial(cell_of, node=node, dealer=dealer, instrument=instrument))
    if wanted is not None:
        if wanted.reference is not cell.snapshot.reference or cell.snapshot.trade_seq > wanted.seq:
            raise SeqGone(f"trades have come since seq {wanted.seq}: a receipt is of the trades that there are")
        cell = cell._replace(snapshot=wanted)
    made = await asyncio.to_thread(receipt, cell)
    shown = policies(gateway.config)
    owner = {"dealer": dealer} if dealer is not None else {"node": node}
    return json_answer(
        stamp(cell.snapshot) | {"reporting_currency": shown["reporting_currency"], "policies": shown} | owner | made
    )
