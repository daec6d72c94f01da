"""What accounts must hold, over HTTP: margin rules in force, worked out beside the loop."""

from starlette.responses import Response

from riskengine.limits.lines import day_of
from riskengine.scenarios.margin import margin_row, rules_in_force
from riskengine.scenarios.workbench import Workbench
from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import Question
from riskengine.serve.answers.shapes import MARGIN
from riskengine.serve.routes.lists import answer_page, same_row
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import node_number


async def answer_margin(question: Question) -> Response:
    """A row for each rule in force of a visible account. Raises UnknownName, Forbidden, TooBusy, EngineNotLive."""
    snapshot, node, grants = question.snapshot, question.values["node"], question.grants
    hierarchy = snapshot.reference.hierarchy
    if node is not None:
        check_node(grants, hierarchy, node)
        node_number(snapshot, node)
    rules = [
        rule
        for rule in rules_in_force(question.gateway.margin_rules, day_of(snapshot))
        if node in (None, rule.node) and (grants.nodes is None or grants.sees_below(hierarchy, rule.node))
    ]

    def work(_: Workbench) -> list[RowDict]:
        return [margin_row(snapshot, rule) for rule in rules]

    rows = await question.gateway.ask_scenarios(work) if rules else []
    return await answer_page(question, MARGIN, rows, same_row)
