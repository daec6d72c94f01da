"""The table `actions`: every version of every corporate action. Inside the caller's transaction."""

from collections.abc import Sequence

from riskengine.records.actions import (
    ACTION_FIELDS,
    Action,
    ActionKind,
    ActionRows,
    PriceBefore,
    RefusedAction,
    action_from_values,
    action_values,
    highest_versions,
)
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import ActionStoredAs
from riskengine.store.tables.versions import judge_versions


def actions(transaction: Transaction) -> list[Action | RefusedAction]:
    """Every version by (action_id, version). 5 us each."""
    return [action_from_values(row) for row in transaction.rows("actions")]


def action_rows(transaction: Transaction, as_of: int | None = None) -> ActionRows:
    """All actions, without those received after `as_of`, and the closes that splits need."""
    rows = tuple(row for row in actions(transaction) if as_of is None or row.received_ts <= as_of)
    splits = {(row.instrument, row.ex_date) for row in rows if isinstance(row, Action) and row.kind is ActionKind.SPLIT}
    closes = {}
    for instrument, ex_date in sorted(splits):
        found = transaction.rows("close_before", (instrument, ex_date))
        if found:
            closes[instrument, ex_date] = PriceBefore(*found[0])
    return ActionRows(rows, closes)


def save_actions(transaction: Transaction, records: Sequence[Action], trail: Trail) -> list[ActionStoredAs]:
    """Insert by (action_id, version) and record in the trail: one outcome for each record, in order.

    A stored version is never rewritten: one that says something else is a conflict, and is not stored.
    """
    outcomes, new = judge_versions(
        records,
        {(each.action_id, each.version): each for each in actions(transaction)},
        lambda record: (record.action_id, record.version),
        lambda record, before: isinstance(before, Action) and before.says_the_same(record),
    )
    rows = [action_values(each) for each in new]
    transaction.run("action_insert", rows)
    trail.records("actions", ACTION_FIELDS, rows)
    return outcomes


def instruments_named(transaction: Transaction) -> set[str]:
    """The instruments that actions in force or to come name."""
    counting = (row for row in highest_versions(actions(transaction)) if isinstance(row, Action))
    return {symbol for row in counting for symbol in (row.instrument, row.into) if symbol}
