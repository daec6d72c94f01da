"""The table `manual_marks`: marks that people set by hand. Inside the caller's transaction."""

from collections.abc import Sequence

from riskengine.records.fields import TS_MAX
from riskengine.records.manual_marks import ManualMark, MarkStatus
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction

ENTRY = "manual_mark"
"""The kind of its entries in the audit trail."""


def manual_marks(transaction: Transaction, entered_until: int = TS_MAX) -> list[ManualMark]:
    """The newest mark set by hand of each instrument, of those entered until a moment: in force or expired, or cleared."""
    return [
        ManualMark(
            instrument=instrument,
            ts=ts,
            price=0.0 if price is None else price,
            author=author,
            reason=reason,
            expires_ts=expires_ts,
            cleared=price is None,
            entered_ts=entered_ts,
        )
        for instrument, ts, price, author, reason, expires_ts, entered_ts in transaction.rows("manual_marks", (entered_until,))
    ]


def save_manual_marks(transaction: Transaction, marks: Sequence[ManualMark], actor: str, trail: Trail) -> list[MarkStatus]:
    """Store marks in order, each with an entry in the trail; returns what became of each."""
    newest = {mark.instrument: mark for mark in manual_marks(transaction)}
    statuses: list[MarkStatus] = []
    new: list[ManualMark] = []
    for mark in marks:
        before = newest.get(mark.instrument)
        status = _status(mark, before)
        statuses.append(status)
        if status == "applied":
            newest[mark.instrument] = mark
            new.append(mark)
    transaction.run("manual_mark_insert", map(_values, new))
    trail.events([AuditEvent(ENTRY, mark.instrument, _detail(mark), actor) for mark in new])
    return statuses


def _status(mark: ManualMark, before: ManualMark | None) -> MarkStatus:
    if before is None:
        return "duplicate" if mark.cleared else "applied"  # there is nothing to clear
    if mark.says_the_same(before) or (mark.cleared and not before.holds(mark.entered_ts)):
        return "duplicate"
    stands = before.holds(mark.entered_ts) or (before.expires_ts is None and not before.cleared and mark.expires_ts is None)
    return "superseded" if stands and mark.ts < before.ts else "applied"


def _values(mark: ManualMark) -> tuple[object, ...]:
    price = None if mark.cleared else mark.price
    return (mark.instrument, mark.ts, price, mark.author, mark.reason, mark.expires_ts, mark.entered_ts)


def _detail(mark: ManualMark) -> dict[str, object]:
    said: dict[str, object] = {"action": "clear"} if mark.cleared else {"action": "set", "price": repr(mark.price)}
    return said | {"ts": mark.ts, "author": mark.author, "reason": mark.reason, "expires_ts": mark.expires_ts}
