"""Limits for tests, as `LimitCheck` makes them, on the house of `tests.world`."""

from typing import Any

from riskengine.limits.judge import Judge, Judgement
from riskengine.limits.rows import limit_rows
from riskengine.records.limits import Limit, LimitCheck, LimitInput
from riskengine.records.reference import Reference
from riskengine.snapshot.snapshot import Snapshot
from tests.world import NOON, REFERENCE


def limit(limit_id: str = "L1", where: Reference = REFERENCE, **fields: Any) -> Limit:
    """A limit on the net exposure of FX1; `fields` replace what is usual."""
    usual: dict[str, Any] = {"limit_id": limit_id, "measure": "net_exposure", "limit": 1_000.0}
    if not {"node", "dealer", "level"} & fields.keys():
        usual["node"] = "FX1"
    sent = LimitInput(**(usual | fields))
    return LimitCheck(where.hierarchy, where.by_symbol, where.currency_index)(sent, NOON, "ann")


def judge_of(*limits: Limit) -> Judge:
    judge = Judge()
    judge.set_limits(limits)
    return judge


def judged(snapshot: Snapshot, *limits: Limit) -> Judgement:
    return judge_of(*limits).judge(snapshot)


def row_of(snapshot: Snapshot, one: Limit) -> dict[str, Any]:
    """The row of a limit of one node or dealer."""
    [row] = limit_rows(judged(snapshot, one))
    return row
