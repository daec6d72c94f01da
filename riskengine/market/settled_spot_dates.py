"""Compares stored spot dates with calendars that may have changed, and has what differs judge from then on.

The same for an engine that starts, for one that is live, and for `riskengine load calendars`.
"""

from hashlib import blake2b
from importlib.metadata import version
from typing import Protocol

import msgspec

from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.records.calendars import SpotFact

RULE_VERSION = 2
"""Rises with every change of the rule that makes a spot date of two calendars, or of their sources: stored ones are compared."""


class SpotStore(Protocol):
    """The part of a store that keeps spot dates."""

    def newest_with_value_date(self) -> int: ...
    def save_spot_facts(self, facts: list[SpotFact], compared_with: str = "") -> list[SpotFact]: ...


def fingerprint(calendars: Calendars) -> str:
    """Names what spot dates are made from: the library's version, the rule's, and what was loaded. 2 ms."""
    entries = msgspec.json.encode(sorted((each.key, each.kind) for each in calendars.entries))
    return f"holidays {version('holidays')}, rule {RULE_VERSION}, loaded {blake2b(entries, digest_size=8).hexdigest()}"


def settle(store: SpotStore, spot_dates: SpotDates, compared_with: str, now: int) -> list[SpotFact]:
    """Compare the stored spot dates with the calendars, and have what differs judge the trades that are received from now on.

    Stored verdicts stay. Nothing is compared where the store was with the same calendars (`compared_with` of its state). Returns
    what differs. On the thread that writes the store. Raises StoreError.
    """
    mark = fingerprint(spot_dates.calendars)
    if compared_with == mark:
        return []
    changed = spot_dates.changed_facts()
    if changed:
        since = max(now, store.newest_with_value_date() + 1)
        changed = spot_dates.changed_facts(since)
    spot_dates.adopt(store.save_spot_facts(changed, mark))
    return changed
