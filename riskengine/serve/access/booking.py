"""What a token that books may post: trades of the source `manual`, on desks of its own, by dealers of its own.

An amend or a cancel changes a trade that is such a trade already; whose deal an identity is, the store says. A refused item says
the same of a name that is hidden and of one that does not exist. A principal with the role `feed` posts whatever it likes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from riskengine.records.decode import TradeInput
from riskengine.records.fields import excerpt
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.types import Refusal
from riskengine.views.grants import Grants, Principal

BOOKED = "manual"
"""The source of trades that people book."""

Deal = tuple[str, str]
"""Source and trade_id."""

NOT_OWN = "is not one that this token books for"
NO_SUCH_TRADE = "there is no trade of this token's own desks and dealers under this name"
TAKEN = "is the name of a trade that is not this token's own: choose another"


def books_by_grants(principal: Principal) -> bool:
    """Whether what a principal posts is cut to its grants."""
    return "feed" not in principal.roles


def as_bookings(items: Sequence[TradeInput | Refusal]) -> list[TradeInput | Refusal]:
    """The items as bookings: source `manual` where none is named; another one, or a number of a feed, is refused. O(items)."""
    return [_as_booking(index, item) for index, item in enumerate(items)]


def _as_booking(index: int, item: TradeInput | Refusal) -> TradeInput | Refusal:
    if isinstance(item, Refusal):
        return Refusal(index, item.field, item.reason)  # without source and number: those of feeds are no booker's to use up
    if item.source not in (None, "", BOOKED):
        return Refusal(index, "source", f"must be {BOOKED}, or left out: {excerpt(item.source or '')}")
    if item.source_seq not in (0, "0", ""):
        return Refusal(index, "source_seq", "numbers the trades of a feed: a booking has none")
    return msgspec.structs.replace(item, source=BOOKED, source_seq=0)


def deals_of(items: Iterable[TradeInput | Refusal]) -> list[Deal]:
    """The deals that items are about, each once."""
    return list({(BOOKED, item.trade_id): None for item in items if isinstance(item, TradeInput)})


def only_own(
    items: Sequence[TradeInput | Refusal], stored: Iterable[Mapping[str, Any]], grants: Grants, hierarchy: Hierarchy
) -> list[TradeInput | Refusal]:
    """The items of `as_bookings`; those that are not of the token's own desks and dealers are refused. O(items + stored).

    `stored` are the rows of their deals. An item counts as stored for those behind it.
    """
    deals = _Deals(stored, grants, hierarchy)
    return [item if isinstance(item, Refusal) else deals.judge(index, item) for index, item in enumerate(items)]


class _Deals:
    """Whose the deals are that a batch touches, and which legs of them are known."""

    def __init__(self, stored: Iterable[Mapping[str, Any]], grants: Grants, hierarchy: Hierarchy) -> None:
        self._grants = grants
        self._hierarchy = hierarchy
        self._foreign: set[str] = set()
        self._known: set[tuple[str, int]] = set()
        for row in stored:
            if row["action"] == "cancel" and not (row["desk"] or row["dealer"]):
                continue  # it says nothing of whose the trade is; another version does, or none is there yet
            if grants.owns_trade(hierarchy, row["desk"], row["dealer"]):
                self._known.add((row["trade_id"], row["leg"]))
            else:
                self._foreign.add(row["trade_id"])

    def judge(self, index: int, item: TradeInput) -> TradeInput | Refusal:
        refusal = self._refusal(item)
        if refusal is not None:
            return Refusal(index, *refusal)
        self._known.add((item.trade_id, item.leg))
        return item

    def _refusal(self, item: TradeInput) -> tuple[str, str] | None:
        """Field and reason, None for an own trade. What the check of every trade refuses is left to that."""
        is_cancel = item.action == "cancel"
        if self._grants.nodes is not None and item.desk and not self._grants.sees_below(self._hierarchy, item.desk):
            return "desk", f"{excerpt(item.desk)} {NOT_OWN}"
        if not self._grants.sees_dealer(item.dealer) and not (is_cancel and not item.dealer):
            return "dealer", f"{excerpt(item.dealer)} {NOT_OWN}" if item.dealer else "is missing: this token books for its own"
        if is_cancel or item.action == "amend" or item.version not in (None, 1):
            known = item.trade_id not in self._foreign and (item.trade_id, item.leg) in self._known
            return None if known else ("trade_id", NO_SUCH_TRADE)
        return ("trade_id", TAKEN) if item.trade_id in self._foreign else None
