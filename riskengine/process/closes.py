"""What people and programs ask of closes: the positions of a struck one, and official prices that they post."""

from collections.abc import Mapping, Sequence
from typing import Any

from riskengine.records.closes import APPLIED, DUPLICATE, REJECTED, ClosedPosition, CloseHeader, CloseOutcome
from riskengine.records.types import Close
from riskengine.store.protocol import Store


def read_close(
    store: Store, date: str | None, rollup: str, owners: Sequence[str] | None
) -> tuple[CloseHeader, list[ClosedPosition]] | None:
    """The newest version of a close (None: of the newest date) and its positions; None if there is none. Raises StoreError.

    A version that comes in between changes no position.
    """
    if date is None:
        date = max(store.struck_close_dates(), default=None)
    header = None if date is None else store.struck_close_header(date)
    if header is None:
        return None
    return header, store.closed_positions(header.date, header.version, rollup, owners)


def save_closes_one_by_one(store: Store, closes: Sequence[Close]) -> list[CloseOutcome]:
    """Store official closes, with the outcome of each. Store thread. Raises StoreError."""
    known = {(each.date, each.instrument): each.price for date in {each.date for each in closes} for each in store.closes(date)}
    refused = {refusal.index: f"{refusal.field}: {refusal.reason}" for refusal in store.save_closes(closes).refused}
    outcomes = []
    for index, close in enumerate(closes):
        key = (close.date, close.instrument)
        before = known.get(key)
        if index in refused:
            outcomes.append(CloseOutcome(REJECTED, refused[index]))
        elif before == close.price:
            outcomes.append(CloseOutcome(DUPLICATE))
        else:
            known[key] = close.price
            outcomes.append(CloseOutcome(APPLIED, "" if before is None else f"a new version: {before!r} -> {close.price!r}"))
    return outcomes


def posted_event(closes: Sequence[Close], outcomes: Sequence[CloseOutcome]) -> tuple[str, str, Mapping[str, Any]]:
    """Kind, subject and details of the entry of the audit trail that says who posted closes; the trail has the prices apart."""
    applied = [close for close, outcome in zip(closes, outcomes, strict=True) if outcome.status == APPLIED]
    return "closes_posted", "", {"closes": len(applied), "dates": sorted({close.date for close in applied})}
