"""Limits and margin of the nodes of a what-if, before and after."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from riskengine.limits.branched import BranchedNodes, BranchVar, branched_limits
from riskengine.limits.check import RuleOutcome
from riskengine.limits.figures import IntendedTrade
from riskengine.limits.judge import STATES, Judgement
from riskengine.limits.lines import LimitLine, day_of
from riskengine.records.limits import EXPECTED_SHORTFALL, VAR
from riskengine.records.margin_rules import MarginRule
from riskengine.scenarios.margin import margin_of, margin_row, rules_in_force
from riskengine.scenarios.whatif import WhatIfAnswer
from riskengine.serve.access.limit_grants import sees_limit
from riskengine.serve.answers.answers import Question
from riskengine.serve.answers.whatif_shapes import MARGIN_NUMBERS
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot


class BoundRows(NamedTuple):
    """The rows of `limits` and `margin`."""

    limits: list[RowDict]
    margin: list[RowDict]


class WhatIfBounds(NamedTuple):
    """What is asked: the limits of a judgement (None: none) and margin rules, of visible nodes among those asked about."""

    judgement: Judgement | None
    visible: frozenset[int]
    rules: Sequence[MarginRule]

    @classmethod
    def of(cls, question: Question, judgement: Judgement | None, numbers: Sequence[int], *, with_margin: bool) -> "WhatIfBounds":
        """Those of nodes of these numbers that the caller may see. Raises EngineNotLive."""
        snapshot, grants = question.snapshot, question.grants
        hierarchy = snapshot.reference.hierarchy
        names = {hierarchy.names[number] for number in numbers}
        lines = () if judgement is None else judgement.lines
        visible = frozenset(
            at
            for at, line in enumerate(lines)
            if line.node in names and sees_limit(grants, hierarchy, line.node, line.dealer, line.limit.measure)
        )
        rules = question.gateway.margin_rules if with_margin else ()
        shown = [
            rule
            for rule in rules_in_force(rules, day_of(snapshot))
            if rule.node in names and (grants.nodes is None or grants.sees_below(hierarchy, rule.node))
        ]
        return cls(judgement, visible, shown)

    @property
    def need_var(self) -> bool:
        """Whether a limit among them is on VaR or expected shortfall."""
        lines = () if self.judgement is None else self.judgement.lines
        return any(lines[at].limit.measure in (VAR, EXPECTED_SHORTFALL) for at in self.visible)

    def work_out(self, snapshot: Snapshot, found: WhatIfAnswer, trades: Sequence[IntendedTrade]) -> BoundRows:
        """The rows of an answer. O(lines); of a scenario margin twice 2 ms a cell of its grid."""
        var = {
            row["node"]: BranchVar(row["after"]["var"], row["after"]["es"], row["after"]["var_unknown_count"])
            for row in found.rows
            if "var" in row["after"]
        }
        nodes = BranchedNodes(snapshot, found.before, found.after, trades, var)
        return BoundRows(self._limits(nodes), [_margin_row(nodes, rule) for rule in self.rules])

    def _limits(self, nodes: BranchedNodes) -> list[RowDict]:
        judgement = self.judgement
        if judgement is None:
            return []
        visible = {judgement.lines[at].key: at for at in self.visible}
        rules = branched_limits(nodes, judgement, lambda line: line.key in visible)
        return [_limit_row(judgement, visible[rule.line.key], rule.line, rule) for rule in rules if rule.line is not None]


def _limit_row(judgement: Judgement, at: int, line: LimitLine, rule: RuleOutcome) -> RowDict:
    limit = line.limit
    return {
        "line": line.key,
        "limit_id": limit.limit_id,
        "node": line.node,
        "measure": limit.measure,
        "currency": limit.currency or None,
        "instrument": limit.instrument or None,
        "side": limit.side,
        "severity": limit.severity,
        "limit": limit.limit,
        "before": _known(rule.before),
        "after": _known(rule.after),
        "headroom_before": _known(judgement.headroom.item(at)),
        "headroom_after": _known(rule.headroom),
        "state_before": STATES[judgement.state.item(at)],
        "state_after": STATES[rule.state],
        "outcome": rule.outcome,
        "reason": rule.reason,
    }


def _margin_row(nodes: BranchedNodes, rule: MarginRule) -> RowDict:
    before = margin_row(nodes.snapshot, rule)
    change, reason = nodes.available_change(rule.node)
    available = before["available_cash"]
    after_cash = None if available is None or math.isnan(change) else available + change
    state = nodes.after.dealers.state(nodes.after.dealer_names.index(rule.node))
    after = margin_of(nodes.after, rule, state, after_cash)
    sides = {name: {field: row[field] for field in MARGIN_NUMBERS} for name, row in (("before", before), ("after", after))}
    return {"rule_id": rule.rule_id, "version": rule.version, "kind": rule.kind, "node": rule.node, **sides, "reason": reason}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value + 0.0
