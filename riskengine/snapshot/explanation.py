"""The answer to a question about P&L: the two ends as they were found, and what was explained between them (`explain`)."""

from typing import NamedTuple

from riskengine.snapshot.explain import NOTHING, Explained
from riskengine.snapshot.snapshot import Snapshot

When = int | str | None
"""An instant: microseconds, or the date of a close; None: the last close where a span begins, now where it ends."""


class ToldInstant(NamedTuple):
    """One end of a span, as it was found.

    ts        its time, microseconds: of a close the boundary, else that whose numbers these are
    close     the date of the close; None where it is none
    exact_at  the recorded instant of a moment; None where nothing was recorded, and of a close or a snapshot of now
    unknown   sentences: what could not be restored as it was
    """

    ts: int
    close: str | None
    exact_at: int | None
    unknown: tuple[str, ...]


class Explanation(NamedTuple):
    """The answer to one question about a node, of the snapshot that stands where the span ends."""

    node: str
    begin: ToldInstant
    end: ToldInstant
    snapshot: Snapshot
    found: Explained


def is_alarming(found: Explained, tolerance: float) -> bool:
    """Whether more is unexplained than is allowed, in the reporting currency."""
    unexplained = found.lines["unexplained"]
    return unexplained is not None and abs(unexplained) > tolerance


def unexplained_warning(answer: Explanation, tolerance: float, currency: str) -> str:
    """The sentence of the warning; "" where there is nothing to warn of."""
    if not is_alarming(answer.found, tolerance):
        return ""
    amount = answer.found.lines["unexplained"]
    largest = max(answer.found.rows, key=lambda row: abs(row.lines["unexplained"] or NOTHING))
    return (
        f"{amount:,.0f} {currency} of the day's P&L of {answer.node} is unexplained, more than [explain] tolerance "
        f"({tolerance:,.0f}), most of it in {largest.instrument}: look at its vols, rates and quote (GET /v1/explain), load "
        "what is wrong, or raise the tolerance"
    )
