"""The tables `risk_rules`, `limit_breaches` and `limit_highs`: limits and margin rules by version, and what became of limits.

Inside the caller's transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from riskengine.records.breaches import Breach, High
from riskengine.records.fields import Rejected
from riskengine.records.limits import LIMIT, Limit, limit_of_terms, terms_of
from riskengine.records.margin_rules import MARGIN, MarginRule, margin_rule_of_terms
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import ActionStoredAs, RefusedRule, RiskRules
from riskengine.store.tables.versions import judge_versions

ENTRIES: Mapping[str, str] = {LIMIT: "limits", MARGIN: "margin"}
"""The kinds of entries in the audit trail, by kind of rule."""
ACKNOWLEDGED = "limit_breach"

RiskRule = Limit | MarginRule


def risk_rules(transaction: Transaction) -> RiskRules:
    """Every version of every limit and margin rule by id and version, and the rows that are none. 5 us each."""
    limits: list[Limit] = []
    margin: list[MarginRule] = []
    refused: list[RefusedRule] = []
    for kind, rule_id, version, terms, author, entered_ts in transaction.rows("risk_rules"):
        try:
            read: Callable[[str, str, int], RiskRule] = limit_of_terms if kind == LIMIT else margin_rule_of_terms
            found = read(terms, author, entered_ts)
            if (found.rule_id, found.version) != (rule_id, version):
                raise Rejected("terms", "names another id or version than its row")
        except Rejected as error:
            refused.append(RefusedRule(kind, rule_id, version, str(error)))
            continue
        if isinstance(found, Limit):
            limits.append(found)
        else:
            margin.append(found)
    return RiskRules(tuple(limits), tuple(margin), tuple(refused))


def save_risk_rules(
    transaction: Transaction, kind: str, rules: Sequence[RiskRule], actor: str, trail: Trail
) -> list[ActionStoredAs]:
    """Insert versions of rules of one kind, each with an entry in the trail: one outcome for each, in order.

    A stored version is never rewritten: one that says something else is a conflict, and is not stored.
    """
    everything = risk_rules(transaction)
    known: Sequence[RiskRule] = everything.limits if kind == LIMIT else everything.margin
    stored: dict[tuple[str, int], Any] = {(each.rule_id, each.version): each for each in known}
    stored |= {(each.rule_id, each.version): None for each in everything.refused if each.kind == kind}
    outcomes, new = judge_versions(
        rules,
        stored,
        lambda rule: (rule.rule_id, rule.version),
        lambda rule, before: before is not None and rule.says_as(before),
    )
    transaction.run(
        "risk_rule_insert",
        [(kind, each.rule_id, each.version, terms_of(each), each.author, each.entered_ts) for each in new],
    )
    trail.events([AuditEvent(ENTRIES[kind], each.rule_id, _detail(each), actor) for each in new])
    return outcomes


def _detail(rule: RiskRule) -> dict[str, object]:
    detail: dict[str, object] = msgspec.json.decode(terms_of(rule))
    return {key: repr(value) if isinstance(value, float) else value for key, value in detail.items() if value not in ("", None)}


def breaches(transaction: Transaction, past: int) -> list[Breach]:
    """The open breaches and the newest `past` of those that have ended, newest first."""
    return [_breach(row) for row in transaction.rows("breaches", (past,))]


def save_breaches(transaction: Transaction, found: Sequence[Breach], highs: Sequence[High]) -> None:
    """Store how breaches stand, without their acknowledgements, and highs of the day."""
    transaction.run(
        "breach_save",
        [
            (
                each.breach_id,
                each.limit_id,
                each.version,
                each.node,
                each.dealer,
                each.severity,
                each.limit,
                each.first_seen_ts,
                each.last_seen_ts,
                each.worst,
                each.worst_ts,
                each.ended_ts,
            )
            for each in found
        ],
    )
    transaction.run("limit_high_save", highs)


def acknowledge_breach(transaction: Transaction, breach: Breach, actor: str, reason: str, ts: int, trail: Trail) -> Breach:
    """Note in the row of a breach and in the trail who knows of it, and why. A later word replaces an earlier one."""
    save_breaches(transaction, [breach], [])
    transaction.run("breach_acknowledge", [(actor, ts, reason, breach.breach_id)])
    detail = {"limit_id": breach.limit_id, "node": breach.node, "dealer": breach.dealer, "reason": reason}
    trail.events([AuditEvent(ACKNOWLEDGED, breach.breach_id, detail, actor)])
    [row] = transaction.rows("breach_of_id", (breach.breach_id,))
    return _breach(row)


def highs(transaction: Transaction) -> list[High]:
    """The newest high of the day of each node and dealer."""
    return [High._make(row) for row in transaction.rows("limit_highs")]


def _breach(row: Sequence[Any]) -> Breach:
    return Breach(
        breach_id=row[0],
        limit_id=row[1],
        version=row[2],
        node=row[3],
        dealer=row[4],
        severity=row[5],
        limit=row[6],
        first_seen_ts=row[7],
        last_seen_ts=row[8],
        worst=row[9],
        worst_ts=row[10],
        ended_ts=row[11],
        acknowledged_by=row[12],
        acknowledged_ts=row[13],
        reason=row[14],
    )
