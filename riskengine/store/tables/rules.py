"""The table `rules`: from which row on each stricter rule judges. Migrations write it. Inside the caller's transaction."""

from riskengine.records.rules import RuleStarts
from riskengine.store.queries import Transaction


def rule_starts(transaction: Transaction) -> RuleStarts:
    """The first store_seq that each rule judges, by the name of the rule."""
    return dict(transaction.rows("rule_starts"))
