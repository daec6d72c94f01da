"""Breaks that reconciliation found, remembered on either database until they are resolved; inside the caller's transaction."""

from collections.abc import Iterable, Sequence

from riskengine.store.results import BreakKey, BreakStatus, FoundBreak, StoredBreak
from riskengine.store.session import Transaction


def remember(
    session: Transaction, found: Sequence[FoundBreak], *, against: str, epoch: int, watermark: int, ts: int, by: str
) -> list[StoredBreak]:
    """What a whole run found: new breaks are opened, known ones seen again, and those that it did not find are gone.

    Returns the open ones. Running it again with the same changes nothing but when and how often they were seen.
    """
    known = {one.key: one for one in breaks(session, status="open") if one.against == against}
    for one in found:
        before = known.pop(one.key, None)
        if before is None:
            session.run(
                "break_insert",
                [
                    (one.kind, against, *one.key, one.here, one.there, one.trades, epoch, watermark, ts, ts),
                ],
            )
        else:
            values = (one.kind, one.here, one.there, one.trades, epoch, watermark, max(ts, before.last_seen_ts), before.break_id)
            session.run("break_seen", [values])
    resolve(session, known, "gone", against=against, by=by, ts=ts)
    return [one for one in breaks(session, status="open") if one.against == against]


def resolve(
    session: Transaction, keys: Iterable[BreakKey], status: BreakStatus, *, against: str, by: str, ts: int, comment: str = ""
) -> None:
    """Close open breaks. Those that are not open are left alone."""
    session.run("break_resolve", ((status, by, ts, comment, comment, against, *key) for key in keys))


def comment(session: Transaction, break_id: int, text: str) -> StoredBreak | None:
    """What a person says of one, open or not; None where there is none of that number."""
    session.run("break_comment", [(text, break_id)])
    return next((StoredBreak._make(row) for row in session.rows("break_by_id", (break_id,))), None)


def breaks(session: Transaction, *, status: str | None = None, limit: int = 1_000_000) -> list[StoredBreak]:
    """Open ones first, then the newest."""
    query = "breaks_all" if status is None else "breaks_of_status"
    values = (limit,) if status is None else (status, limit)
    return [StoredBreak._make(row) for row in session.rows(query, values)]
