"""Why the P&L of a node moved between two instants, by instrument, and the sums."""

from decimal import Decimal
from typing import Any

from starlette.responses import Response

from riskengine.records.types import ONE
from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer, policies, stamp
from riskengine.serve.answers.explain_shapes import EXPLAIN
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.shapes import names
from riskengine.serve.routes.lists import make_rows, places_by_field, same_row
from riskengine.snapshot.explain import EXACT, NET_LINES, ExplainedRow, Worth
from riskengine.snapshot.explanation import Explanation, ToldInstant, When, is_alarming
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot, UnknownName


async def answer_explain(question: Question) -> Response:
    """The explanation of a node (without one: the root), from an instant or a close (the last one) to another (now).

    Raises UnknownName, Forbidden, HttpProblem, InputError, BeforeTheStore, TooBusy, StoreError, EngineNotLive.
    """
    values, snapshot = question.values, question.snapshot
    node = _node(question, snapshot)
    first, last = values["from"], values["to"]
    _check_times(question, first, last)
    found = await question.gateway.explain(node, first, last)
    gateway = question.gateway
    shown = _number if not question.exact else _text
    header = stamp(found.snapshot) | {
        "reporting_currency": gateway.config.engine.reporting_currency,
        "policies": policies(gateway.config),
        **beside(found, gateway.config.explain.tolerance, shown),
    }
    moved = found.found.rows
    rows = await make_rows(len(moved), lambda: [explain_row(row, found.snapshot, shown) for row in moved])
    if question.sort is not None:
        numbers = [explain_row(row, found.snapshot, _number) for row in moved] if question.exact else rows
        rows = [rows[place] for place in await places_by_field(numbers, question.sort, same_row)]
    return list_answer(question, ListAnswer(header, names(EXPLAIN), rows, same_row, len(rows), items_are_rows=True))


def _node(question: Question, snapshot: Snapshot) -> str:
    """The node in the question. Raises UnknownName, Forbidden."""
    node: str | None = question.values["node"]
    hierarchy = snapshot.reference.hierarchy
    if node not in hierarchy.index and node in snapshot.dealer_names and question.grants.see_everything:
        raise UnknownName(f"unknown node {node!r}: it is a dealer, and P&L is explained of nodes")
    check_node(question.grants, hierarchy, node)
    if node is None:
        node = next(iter(hierarchy.names), None)
    if node is None or node not in hierarchy.index:
        raise UnknownName("there is no node" if node is None else f"unknown node {node!r}")
    return node


def _check_times(question: Question, first: When, last: When) -> None:
    """Neither is in the future; of two times and two dates the first is not after the last. Raises HttpProblem."""
    now = question.gateway.clock.now()
    for name, when in (("from", first), ("to", last)):
        if isinstance(when, int) and when > now:
            raise bad_field(name, f"is in the future: now is {now}")
    if (isinstance(first, int) and isinstance(last, int) and first > last) or (
        isinstance(first, str) and isinstance(last, str) and first > last
    ):
        raise bad_field("from", "is after to")


def _number(amount: Decimal | float | int | None) -> Any:
    """The nearest double of a decimal; a double or an integer as it is."""
    return float(amount) + 0.0 if isinstance(amount, Decimal) else amount


def _text(amount: Decimal | float | int | None) -> Any:
    """A decimal text that loses nothing; an integer as it is."""
    if isinstance(amount, float):
        amount = Decimal(repr(amount))
    return format(amount.normalize(EXACT), "f") if isinstance(amount, Decimal) else amount


def beside(found: Explanation, tolerance: float, shown: Any) -> RowDict:
    """What stands beside the rows: both ends, the sums of the lines, what is alarming."""
    worth = found.found.begin, found.found.end
    return {
        "node": found.node,
        "from": _end(found.begin, worth[0], shown),
        "to": _end(found.end, worth[1], shown),
        "total_pnl": shown(_change(worth[0].total, worth[1].total)),
        "net_pnl": shown(_change(worth[0].net, worth[1].net)),
        "lines": {name: shown(found.found.lines[name]) for name in NET_LINES},
        "tolerance": shown(tolerance),
        "alarmed": is_alarming(found.found, tolerance),
    }


def _change(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    return None if before is None or after is None else EXACT.subtract(after, before)


def _end(instant: ToldInstant, worth: Worth, shown: Any) -> RowDict:
    """One end of the span."""
    return {
        "ts": instant.ts,
        "close": instant.close,
        "exact_at": instant.exact_at,
        "total_pnl": shown(worth.total),
        "fees": shown(worth.fees),
        "net_pnl": shown(worth.net),
        "position_count": worth.positions,
        "unpriced_count": worth.unknown,
        "unknown": list(instant.unknown),
    }


def explain_row(row: ExplainedRow, snapshot: Snapshot, shown: Any) -> RowDict:
    """The row of one instrument."""
    instrument = snapshot.reference.by_symbol.get(row.instrument)
    total, fees = row.change, row.lines["fees"]
    return {
        "instrument": row.instrument,
        "currency": None if instrument is None else instrument.currency,
        "quantity_from": shown(EXACT.divide(Decimal(row.begin.quantity), Decimal(ONE))),
        "quantity_to": shown(EXACT.divide(Decimal(row.end.quantity), Decimal(ONE))),
        "mark_from": shown(row.marks[0]),
        "mark_to": shown(row.marks[1]),
        "rate_from": shown(row.rates[0]),
        "rate_to": shown(row.rates[1]),
        **{name: shown(row.lines[name]) for name in NET_LINES if name != "fees"},
        "total_pnl": shown(total),
        "fees": shown(fees),
        "net_pnl": shown(None if total is None or fees is None else EXACT.add(total, fees)),
        "unpriced_count": max(row.begin.unknown + row.begin.aside, row.end.unknown + row.end.aside),
        "reason": row.reason or None,
    }
