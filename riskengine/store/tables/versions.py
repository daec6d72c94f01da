"""Judges versions of records that are never rewritten: corporate actions, limits, margin rules."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from riskengine.store.results import ActionStoredAs

_Record = TypeVar("_Record")
_Stored = TypeVar("_Stored")

Version = tuple[str, int]
"""An id and a version."""


def judge_versions(
    records: Iterable[_Record],
    stored: dict[Version, _Stored | _Record],
    version_of: Callable[[_Record], Version],
    says_the_same: Callable[[_Record, _Stored | _Record], bool],
) -> tuple[list[ActionStoredAs], list[_Record]]:
    """One outcome for each record, in order, and those to insert. `stored` takes them over. O(stored + records).

    A stored version that says something else makes the record a conflict; one below the highest of its id is superseded.
    """
    highest: dict[str, int] = {}
    for name, number in stored:
        highest[name] = max(number, highest.get(name, 0))
    outcomes: list[ActionStoredAs] = []
    new: list[_Record] = []
    for record in records:
        version = name, number = version_of(record)
        if version in stored:
            outcomes.append("existing" if says_the_same(record, stored[version]) else "conflict")
            continue
        outcomes.append("superseded" if number < highest.get(name, 0) else "inserted")
        highest[name] = max(number, highest.get(name, 0))
        stored[version] = record
        new.append(record)
    return outcomes, new
