"""VaR and expected shortfall of a node or a dealer with what contributes to it, and of every node."""

from functools import partial

from starlette.responses import Response

from riskengine.scenarios.tail import ES_CONVENTION
from riskengine.scenarios.var import INSTRUMENT, NODE, OwnerVar, Scenarios, every_inner_node, owner_var
from riskengine.scenarios.workbench import Workbench
from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.shapes import names
from riskengine.serve.answers.var_shapes import NODE_VAR, VAR_BY
from riskengine.serve.routes.lists import same_row
from riskengine.serve.routes.positions import owner_asked
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import OwnerState, Snapshot, UnknownName, dealer_number, node_number
from riskengine.views.grants import HIDDEN_PARENT


async def answer_var(question: Question) -> Response:
    """The figures of one owner, with rows by child, instrument or scenario. Without a node or a dealer it is that of the root.

    Raises UnknownName, Forbidden, HttpProblem, TooBusy, StoreError.
    """
    snapshot, values = question.snapshot, question.values
    node, dealer = owner_asked(question)
    if dealer is None:
        check_node(question.grants, snapshot.reference.hierarchy, node)
        node = next(iter(snapshot.reference.hierarchy.names), None) if node is None else node
    state, children = _owner(snapshot, node, dealer)
    by = values["by"] or (NODE if children else INSTRUMENT)
    if by == NODE and not children:
        raise bad_field("by", "is node, and this owner has no children: ask by instrument or by scenario")
    found, told = await question.gateway.ask_scenarios(
        partial(_work_out, snapshot=snapshot, method=values["method"], state=state, by=by, children=children)
    )
    beside = told | {"by": by, "node": node, "dealer": dealer, "var": found.var, "es": found.es, "set_aside": found.set_aside}
    beside["unknown"] = [{"instrument": name, "reason": reason} for name, reason in found.unknown]
    beside["carried"] = [{"instrument": name, "scenarios": count} for name, count in found.carried]
    rows = found.rows
    if question.exact:
        rows = [decimal_texts(row) for row in rows]
        beside |= decimal_texts({"var": found.var, "es": found.es})
    header = question.valued_header() | beside
    return list_answer(question, ListAnswer(header, names(VAR_BY[by]), rows, same_row, len(rows), items_are_rows=True))


async def answer_every_var(question: Question) -> Response:
    """A row for each visible node that has children, parents first. Raises TooBusy, StoreError."""
    snapshot, grants = question.snapshot, question.grants
    hierarchy = snapshot.reference.hierarchy
    method = question.values["method"]

    def work(bench: Workbench) -> tuple[list[RowDict], RowDict]:
        scenarios = bench.scenarios(snapshot, method)
        return every_inner_node(scenarios, bench.rule(method), bench.holdings), rule_row(bench, scenarios, method)

    rows, told = await question.gateway.ask_scenarios(work)
    rows = [
        row | HIDDEN_PARENT if grants.hides_parent(hierarchy, hierarchy.index[row["node"]]) else row
        for row in rows
        if grants.sees_row(hierarchy, row["node"])
    ]
    if question.exact:
        rows = [decimal_texts(row) for row in rows]
    header = question.valued_header() | told
    return list_answer(question, ListAnswer(header, names(NODE_VAR), rows, same_row, len(rows), items_are_rows=True))


def _owner(snapshot: Snapshot, node: str | None, dealer: str | None) -> tuple[OwnerState, list[tuple[str, OwnerState]]]:
    """What the owner holds, and what each of its children does. Raises UnknownName."""
    if dealer is not None:
        return snapshot.dealers.state(dealer_number(snapshot, dealer)), []
    if node is None:
        raise UnknownName("there is no node")
    number, hierarchy, table = node_number(snapshot, node), snapshot.reference.hierarchy, snapshot.nodes
    return table.state(number), [(hierarchy.names[n], table.state(n)) for n in range(*hierarchy.children[number])]


def _work_out(
    bench: Workbench,
    snapshot: Snapshot,
    method: str,
    state: OwnerState,
    by: str,
    children: list[tuple[str, OwnerState]],
) -> tuple[OwnerVar, RowDict]:
    scenarios = bench.scenarios(snapshot, method)
    return owner_var(scenarios, bench.rule(method), state, by, children, bench.holdings), rule_row(bench, scenarios, method)


def rule_row(bench: Workbench, scenarios: Scenarios, method: str) -> RowDict:
    """By which rule, and from which scenarios, figures were made."""
    rule, shifts = bench.rule(method), scenarios.shifts
    return {
        "method": method,
        "confidence": str(rule.level),
        "es_convention": ES_CONVENTION,
        "scenarios": scenarios.size,
        "fewest": rule.fewest,
        "begins": shifts.begins or None,
        "ends": shifts.names[-1] if shifts.names else None,
    }
