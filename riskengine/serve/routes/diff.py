"""What differs between two moments: every cell of nodes, dealers and positions, by name."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from starlette.responses import Response

from riskengine.background import Rests, short_switch_interval
from riskengine.engine.moment import Known
from riskengine.serve.access.permissions import check_node, granted_tops
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer, policies, stamp, told_of
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.shapes import DIFFERENCE, names
from riskengine.serve.routes.lists import same_row
from riskengine.serve.routes.positions import owner_asked
from riskengine.snapshot.differences import differences
from riskengine.snapshot.rows import RowDict, dealer_row, decimal_texts, node_row, position_rows
from riskengine.snapshot.snapshot import Snapshot, UnknownName, instrument_number, node_number
from riskengine.views.grants import HIDDEN_PARENT, Grants

NODES, DEALERS, POSITIONS = "nodes", "dealers", "positions"
LISTS = (NODES, DEALERS, POSITIONS)
"""What is compared, in the order of the answer."""

_OWNERS = {NODES: "node", DEALERS: "dealer"}


class Side(NamedTuple):
    """One of the two moments: its snapshot, and what the answer says of it."""

    snapshot: Snapshot
    told: RowDict


class Wanted(NamedTuple):
    """Which cells are asked for, and of whom. None: all."""

    grants: Grants
    node: str | None
    dealer: str | None
    instrument: str | None
    of: str | None
    field: str | None
    exact: bool


async def answer_diff(question: Question) -> Response:
    """The cells that differ, nodes first, then dealers, then positions. Made in a thread, which rests often.

    Raises HttpProblem, UnknownName, Forbidden, and as a read with `as_of=` BeforeTheStore, TooBusy, StoreError, EngineNotLive.
    """
    values, newest = question.values, question.snapshot
    node, dealer = owner_asked(question)
    if dealer is None and node is not None:
        check_node(question.grants, newest.reference.hierarchy, node)
    _check_times(question)
    before = await _side(question, values["from"], values["from_known"])
    after = await _side(question, values["to"], values["to_known"])
    wanted = Wanted(question.grants, node, dealer, values["instrument"], values["of"], values["field"], question.exact)
    _check_names(wanted, before.snapshot, after.snapshot)
    rows = await asyncio.to_thread(partial(_found, wanted, before.snapshot, after.snapshot))
    settings = policies(question.gateway.config)
    header = stamp(after.snapshot) | {"reporting_currency": settings["reporting_currency"], "policies": settings}
    header |= {"from": before.told, "to": after.told}
    page = rows[values["offset"] : values["offset"] + values["limit"]]
    return list_answer(question, ListAnswer(header, names(DIFFERENCE), page, same_row, len(rows), items_are_rows=True))


def _check_times(question: Question) -> None:
    values, now = question.values, question.gateway.clock.now()
    if values["from"] is None:
        raise bad_field("from", "is missing: a difference is between two moments")
    for name in ("from", "to"):
        if values[name] is not None and values[name] > now:
            raise bad_field(name, f"is in the future: now is {now}")
    if values["to"] is None and values["to_known"] == "now":
        raise bad_field("to_known", "goes with to: the newest snapshot is what is known now")
    if values["to"] is not None and values["from"] > values["to"]:
        raise bad_field("from", "is after to")


async def _side(question: Question, ts: int | None, known: Known) -> Side:
    """The moment `ts`; None: the newest snapshot."""
    if ts is None:
        snapshot = question.snapshot
        return Side(snapshot, stamp(snapshot) | {"asked": None, "exact_at": snapshot.as_of, "known": known, "unknown": []})
    moment = await question.gateway.moment(ts, known)
    return Side(moment.engine.snapshot, stamp(moment.engine.snapshot) | told_of(moment))


def _check_names(wanted: Wanted, *snapshots: Snapshot) -> None:
    """Raises UnknownName for what neither of the moments knows."""
    if wanted.dealer is not None and not any(wanted.dealer in each.dealer_names for each in snapshots):
        raise UnknownName(f"unknown dealer {wanted.dealer!r}")
    if wanted.node is not None and not any(wanted.node in each.reference.hierarchy.index for each in snapshots):
        raise UnknownName(f"unknown node {wanted.node!r}")
    if wanted.instrument is not None and not any(wanted.instrument in each.reference.instrument_index for each in snapshots):
        instrument_number(snapshots[-1], wanted.instrument)


# -- the rows of one moment --------------------------------------------------------------------------------------


def _node_rows(snapshot: Snapshot, wanted: Wanted) -> Iterator[RowDict]:
    """The visible nodes at and below the one asked for."""
    hierarchy = snapshot.reference.hierarchy
    if wanted.dealer is not None or (wanted.node is not None and wanted.node not in hierarchy.index):
        return
    top = None if wanted.node is None else node_number(snapshot, wanted.node)
    for number in wanted.grants.visible_nodes(hierarchy):
        if top is None or number == top or top in hierarchy.ancestors[number]:
            row = node_row(snapshot, number)
            row = row | HIDDEN_PARENT if wanted.grants.hides_parent(hierarchy, number) else row
            yield decimal_texts(row) if wanted.exact else row


def _dealer_rows(snapshot: Snapshot, wanted: Wanted) -> Iterator[RowDict]:
    """The visible dealers with positions."""
    if wanted.node is not None:
        return
    for number, name in enumerate(snapshot.dealer_names):
        if wanted.dealer in (None, name) and wanted.grants.sees_dealer(name) and snapshot.dealers.state(number).position_count:
            row = dealer_row(snapshot, number)
            yield decimal_texts(row) if wanted.exact else row


def _position_rows(snapshot: Snapshot, wanted: Wanted) -> Iterator[RowDict]:
    """Positions of the dealer, or of the visible leaves below the node asked for."""
    if wanted.instrument is not None and wanted.instrument not in snapshot.reference.instrument_index:
        return
    find = partial(position_rows, snapshot, instrument=wanted.instrument, exact=wanted.exact)
    if wanted.dealer is not None:
        yield from find(dealer=wanted.dealer) if wanted.dealer in snapshot.dealer_names else ()
        return
    hierarchy = snapshot.reference.hierarchy
    tops = [wanted.node] if wanted.node else [hierarchy.names[top] for top in granted_tops(wanted.grants, hierarchy)]
    for top in tops:
        if top in hierarchy.index:
            yield from find(node=top)


_ROWS: dict[str, Callable[[Snapshot, Wanted], Iterator[RowDict]]] = {
    NODES: _node_rows,
    DEALERS: _dealer_rows,
    POSITIONS: _position_rows,
}


# -- what differs ------------------------------------------------------------------------------------------------


def _found(wanted: Wanted, before: Snapshot, after: Snapshot) -> list[RowDict]:
    """A row for each cell that differs. 60 us a position. In a thread."""
    rests = Rests()
    rows: list[RowDict] = []

    def resting(made: Iterator[RowDict]) -> Iterator[RowDict]:
        for row in made:
            rests.rest_if_due()
            yield row

    with short_switch_interval():
        for name in LISTS:
            if wanted.of in (None, name) and (name == POSITIONS or wanted.instrument is None):
                key = _key_of(name, wanted)
                sides = (resting(_ROWS[name](each, wanted)) for each in (before, after))
                rows += _rows_of(name, key, wanted.field, *sides)
    return rows


def _key_of(name: str, wanted: Wanted) -> tuple[str, ...]:
    if name == POSITIONS:
        return ("node" if wanted.dealer is None else "dealer", "instrument")
    return (_OWNERS[name],)


def _rows_of(
    name: str, key: tuple[str, ...], field: str | None, before: Iterator[RowDict], after: Iterator[RowDict]
) -> Iterator[RowDict]:
    nobody = {"list": name, "node": None, "dealer": None, "instrument": None}
    for each in differences(before, after, key):
        if field in (None, each.field):
            said = {"field": each.field, "kind": each.kind, "from": each.before, "to": each.after, "change": each.change}
            yield nobody | dict(zip(key, each.key, strict=True)) | said
