"""The sources of trades in the store: which of their numbers have come, and what people said of them.

A change reads the rows, changes them and writes them back. One program does so at a time: the caller holds the head of the audit
trail (PostgreSQL), or the one write transaction (SQLite).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from riskengine.records.numbers import FeedChange, FeedState, NumberSet, Range, parse_ranges, ranges_text
from riskengine.store.queries import Transaction

Numbers = Mapping[str, Sequence[Range]]
"""Numbers that have come, as ranges by source."""


def states(transaction: Transaction, sources: Sequence[str] | None = None) -> dict[str, FeedState]:
    """The state of these sources, None: of all. Sources without a row are left out."""
    if sources is None:
        rows = transaction.rows("feeds")
    else:
        rows = transaction.rows("feeds_of", (transaction.array(list(sources)),)) if sources else []
    return {row[0]: _state_of(row) for row in rows}


def take_numbers(transaction: Transaction, numbers: Numbers, ts: int) -> None:
    """Note that these numbers have come. Two statements, none for no numbers."""
    update(transaction, {source: [partial(_take, runs=runs)] for source, runs in numbers.items()}, ts)


def update(transaction: Transaction, changes: Mapping[str, Iterable[FeedChange]], ts: int) -> dict[str, FeedState]:
    """Change the state of sources, and return it. A source without a row gets one."""
    if not changes:
        return {}
    found = states(transaction, list(changes))
    for source, todo in changes.items():
        state = found.setdefault(source, FeedState(source))
        for change in todo:
            change(state)
    transaction.run("feed_save", [(*_row_of(state), ts) for state in found.values()])
    return found


def _take(state: FeedState, runs: Sequence[Range]) -> None:
    state.take(runs)


def _row_of(state: FeedState) -> tuple[Any, ...]:
    came, anew = state.came, state.anew
    known = (state.source, came.highest, ranges_text(came.missing), came.joined, state.promised, ranges_text(state.acknowledged))
    return (*known, None if anew is None else anew.text(), state.anew_seq, int(state.retired))


def _state_of(row: Sequence[Any]) -> FeedState:
    """The state in a row. Where somebody has put other text into a column, everything up to the cursor counts as come."""
    source, cursor, missing, joined, promised, acknowledged, anew, anew_seq, retired = row
    try:
        came = NumberSet(cursor, parse_ranges(missing), joined)
        since = None if anew is None else NumberSet.parse(anew)
        return FeedState(source, came, promised, parse_ranges(acknowledged), since, anew_seq, bool(retired))
    except (TypeError, ValueError):
        return FeedState(source, NumberSet(int(cursor)), promised)
