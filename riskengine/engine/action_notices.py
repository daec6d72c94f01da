"""What a person should know of corporate actions: those that wait, and what they leave open.

They are those whose ex-date has not begun, rows that cannot be put in force, and fractions that nothing says the worth of.
Options that a split leaves without terms are listed as `unpriced`.
"""

from collections.abc import Iterator

from riskengine.positions.adjustments import Adjustments
from riskengine.positions.generated import ActionLedger
from riskengine.positions.processed import escape_name
from riskengine.records.actions import Action, ActionKind
from riskengine.records.fields import to_text
from riskengine.snapshot.snapshot import ExceptionItem

WAITING = "waiting"


def action_items(adjustments: Adjustments, ledger: ActionLedger) -> tuple[ExceptionItem, ...]:
    """The exceptions of kind `waiting` about corporate actions, each with its way out. O(those)."""
    return (*_waiting(adjustments), *_refused(adjustments), *_kept(ledger))


def describe(action: Action) -> str:
    """An action in words: `split 4:1 of AAA`."""
    if action.kind is ActionKind.SPLIT:
        return f"split {action.ratio} of {action.instrument}"
    if action.kind is ActionKind.DIVIDEND:
        return f"dividend {to_text(action.amount)} {action.currency} of {action.instrument}"
    if action.kind is ActionKind.SYMBOL_CHANGE:
        return f"change of {action.instrument} to {action.into}"
    return f"spin-off of {action.into} from {action.instrument}, {action.ratio}"


def _item(action_id: str, version: int | str, ts: int, reason: str, detail: dict[str, object]) -> ExceptionItem:
    return ExceptionItem(f"{WAITING}:action:{escape_name(action_id)}:{version}", WAITING, ts, reason, None, detail)


def _waiting(adjustments: Adjustments) -> Iterator[ExceptionItem]:
    for action in adjustments.waiting:
        detail: dict[str, object] = {"action_id": action.action_id, "instrument": action.instrument, "date": action.ex_date}
        reason = f"the {describe(action)} takes effect when the trading day {action.ex_date} begins"
        yield _item(action.action_id, action.version, action.received_ts, reason, detail)


def _refused(adjustments: Adjustments) -> Iterator[ExceptionItem]:
    for row in adjustments.refused:
        reason = f"corporate action {row.action_id} is not in force: {row.reason}; send a higher version, or a cancel"
        yield _item(row.action_id, row.version, row.received_ts, reason, {"action_id": row.action_id})


def _kept(ledger: ActionLedger) -> Iterator[ExceptionItem]:
    for holder, action_id, (kind, name, units) in ledger.kept():
        fraction, place = to_text(units), f"{escape_name(holder.desk)}:{escape_name(holder.dealer)}"
        where = f"the fraction {fraction} of {name} at {holder.desk}, dealer {holder.dealer or '(none)'},"
        if kind is ActionKind.SPLIT:
            reason = f"{where} is not paid in cash: load a close of {name} dated before the ex-date, or book it"
        else:
            reason = f"{where} is not given: nobody gets a part of a unit; book the cash that is paid for it"
        detail: dict[str, object] = {"action_id": action_id, "instrument": name, "rollup": "node", "owner": holder.desk}
        yield _item(action_id, f"fraction:{place}", 0, reason, detail | {"dealer": holder.dealer, "fraction": fraction})
