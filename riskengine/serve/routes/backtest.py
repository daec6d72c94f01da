"""The backtest of VaR: a row for each stored close of a node, and what they say of it."""

from functools import partial

from starlette.responses import Response

from riskengine.scenarios.backtest import BacktestDay, backtest_day, verdict_of
from riskengine.scenarios.var import HISTORICAL
from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.shapes import names
from riskengine.serve.answers.var_shapes import BACKTEST_DAY
from riskengine.serve.routes.lists import same_row
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import UnknownName, node_number

DAYS = 250
"""How many stored closes are tested, the newest."""


async def answer_backtest(question: Question) -> Response:
    """The rows, oldest first. Other questions about scenarios have their turn between two days.

    Raises UnknownName, Forbidden, TooBusy, StoreError.
    """
    snapshot, gateway, node = question.snapshot, question.gateway, question.values["node"]
    hierarchy = snapshot.reference.hierarchy
    check_node(question.grants, hierarchy, node)
    node = next(iter(hierarchy.names), None) if node is None else node
    if node is None:
        raise UnknownName("there is no node")
    leaves = hierarchy.leaves_below(node_number(snapshot, node))
    dates, rule = await gateway.ask_scenarios(lambda bench: (bench.history(snapshot).dates, bench.rule(HISTORICAL)))
    found: list[BacktestDay] = []
    for date in dates[-DAYS - 1 : -1]:
        close = await gateway.struck_close(date, "node", leaves)
        if close is not None:
            day = await gateway.ask_scenarios(partial(backtest_day, snapshot=snapshot, date=date, positions=close[1]))
            found += () if day is None else (day,)
    tested = [day for day in found if day.var is not None and day.pnl is not None]
    verdict = verdict_of(len(tested), sum(day.is_exception for day in tested), rule.level)
    rows = [_row(day) for day in found]
    told: RowDict = verdict._asdict()
    if question.exact:
        rows, told = [decimal_texts(row) for row in rows], decimal_texts(told)
    header = question.valued_header() | {"node": node, "method": HISTORICAL, "confidence": str(rule.level)} | told
    return list_answer(question, ListAnswer(header, names(BACKTEST_DAY), rows, same_row, len(rows), items_are_rows=True))


def _row(day: BacktestDay) -> RowDict:
    has_both = day.var is not None and day.pnl is not None
    return day._asdict() | {"exception": day.is_exception if has_both else None}
