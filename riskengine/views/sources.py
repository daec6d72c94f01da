"""The sources of views: roll-ups, ladders, exposures, risks and the status make the rows of a view from one snapshot.

A source also gives two tokens for a snapshot, which tell cheaply whether its rows can have changed: a token is another object if
they can. No clock, thread, task or socket. One thread uses a source, with snapshots in ascending order.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import is_not
from typing import Protocol

from riskengine.positions.day_deals import DayDeals
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.snapshot.exposure import Exposure, exposure
from riskengine.snapshot.risk import Risk, risk
from riskengine.snapshot.rows import MadeRows, RowDict, dealer_row, ladder_rows, node_row
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table, UnknownName, dealer_number, node_number
from riskengine.valuation.number_pages import PAGE
from riskengine.valuation.unit_values import Units
from riskengine.views.grants import HIDDEN_PARENT, Grants


class Source(Protocol):
    """The rows of one view. `key` names the field that identifies a row; it is empty if there is only one row."""

    key: tuple[str, ...]

    def trade_token(self, snapshot: Snapshot) -> object:
        """Another object after every trade that this view shows. O(1) unless the source says otherwise."""
        ...

    def price_token(self, snapshot: Snapshot) -> object:
        """Another object after everything else that changes rows. O(1)."""
        ...

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """The rows of a snapshot, which must not be older than that of the last call."""
        ...

    def summary(self, snapshot: Snapshot) -> RowDict:
        """Figures that stand beside the rows of the snapshot of the last call; empty for most views."""
        ...


NO_SUMMARY: RowDict = {}


class OwnerRows:
    """All rows of a roll-up. After trades alone, it makes only the rows of the owners that they changed."""

    def __init__(self) -> None:
        self._rows: list[RowDict] = []
        self._made_from: tuple[Reference, Units, Table] | None = None
        self._seq = -1

    def table(self, snapshot: Snapshot) -> Table:
        """The roll-up whose rows these are."""
        raise AssertionError("a roll-up is of nodes or of dealers")

    def row(self, snapshot: Snapshot, owner: int) -> RowDict:
        """The row of one owner."""
        raise AssertionError("a roll-up is of nodes or of dealers")

    def all_rows(self, snapshot: Snapshot) -> list[RowDict]:
        """The rows of all owners, by number. A row that changed is another object.

        O(owners) after prices, O(owners on touched pages) after trades alone, O(1) for later calls with the same snapshot.
        """
        table, rows = self.table(snapshot), self._rows
        if snapshot.seq == self._seq:
            return rows
        self._seq = snapshot.seq
        owners: Iterable[int] = range(table.size)
        if self._made_from is not None:
            reference, units, before = self._made_from
            if not reference.is_kin(snapshot.reference):
                rows.clear()
            elif units is snapshot.units:
                owners = changed_owners(before, table)
        for owner in owners:
            if owner < len(rows):
                rows[owner] = self.row(snapshot, owner)
            else:
                rows.append(self.row(snapshot, owner))
        self._made_from = (snapshot.reference, snapshot.units, table)
        return rows


class AllNodes(OwnerRows):
    """The organisation's roll-up."""

    def table(self, snapshot: Snapshot) -> Table:
        """See `OwnerRows`."""
        return snapshot.nodes

    def row(self, snapshot: Snapshot, owner: int) -> RowDict:
        """See `OwnerRows`."""
        return node_row(snapshot, owner)


class AllDealers(OwnerRows):
    """The dealers' roll-up."""

    def table(self, snapshot: Snapshot) -> Table:
        """See `OwnerRows`."""
        return snapshot.dealers

    def row(self, snapshot: Snapshot, owner: int) -> RowDict:
        """See `OwnerRows`."""
        return dealer_row(snapshot, owner)


class GrantedRows:
    """The rows of a roll-up that one access class may see. All classes share the rows of `owners`."""

    key: tuple[str, ...]

    def __init__(self, owners: OwnerRows, grants: Grants) -> None:
        self._owners = owners
        self._grants = grants
        self._pages: object = None
        self._states: list[OwnerState] = []
        self._token: object = None

    def numbers(self, snapshot: Snapshot) -> Sequence[int] | None:
        """Numbers of the owners that the class may see; None for all."""
        raise AssertionError("rows are of nodes or of dealers")

    def trade_token(self, snapshot: Snapshot) -> object:
        """See `Source`. O(1) if the class may see everything or no trade came, else O(owners that it may see)."""
        table = self._owners.table(snapshot)
        if table.states is self._pages:
            return self._token
        numbers = self.numbers(snapshot)
        if numbers is None:
            return table.states
        self._pages = table.states
        states = [table.state(number) for number in numbers]
        if len(states) != len(self._states) or any(map(is_not, states, self._states)):
            self._states, self._token = states, object()
        return self._token

    def price_token(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return snapshot.units

    def summary(self, snapshot: Snapshot) -> RowDict:
        """See `Source`."""
        return NO_SUMMARY


class Nodes(GrantedRows):
    """The nodes that an access class may see, parents first. A row does not name a parent that the class may not see."""

    key: tuple[str, ...] = ("node",)

    def __init__(self, owners: OwnerRows, grants: Grants) -> None:
        super().__init__(owners, grants)
        self._hierarchy: Hierarchy | None = None
        self._numbers: Sequence[int] = ()
        self._hiding: frozenset[int] = frozenset()
        """The nodes among `_numbers` whose rows must not name their parents."""

    def numbers(self, snapshot: Snapshot) -> Sequence[int] | None:
        """See `GrantedRows`. Kept here for a tree, because there may be more access classes than `grants` caches."""
        if self._grants.nodes is None:
            return None
        hierarchy, grants = snapshot.reference.hierarchy, self._grants
        if self._hierarchy is not hierarchy:
            self._hierarchy, self._numbers = hierarchy, grants.visible_nodes(hierarchy)
            self._hiding = frozenset(number for number in self._numbers if grants.hides_parent(hierarchy, number))
        return self._numbers

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`."""
        every, numbers = self._owners.all_rows(snapshot), self.numbers(snapshot)
        if numbers is None:
            return every
        hiding = self._hiding
        return [every[n] | HIDDEN_PARENT if n in hiding else every[n] for n in numbers]


class Dealers(GrantedRows):
    """The dealers with positions that an access class may see, by name: the rows of `dealer_rows`."""

    key: tuple[str, ...] = ("dealer",)

    def numbers(self, snapshot: Snapshot) -> Sequence[int] | None:
        """See `GrantedRows`."""
        granted = self._grants.dealers
        if granted is None:
            return None
        return [number for number, name in enumerate(snapshot.dealer_names) if name in granted] if granted else ()

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`."""
        every, numbers = self._owners.all_rows(snapshot), self.numbers(snapshot)
        rows = every if numbers is None else [every[number] for number in numbers]
        return sorted((row for row in rows if row["position_count"]), key=lambda row: str(row["dealer"]))


class OfOneOwner:
    """Rows about one node or dealer (default: the root). The constructor raises UnknownName.

    An owner that other reference data has removed since holds nothing until it comes back.
    """

    def __init__(self, snapshot: Snapshot, node: str | None, dealer: str | None) -> None:
        self.node, self.dealer = node, dealer
        self._reference = snapshot.reference
        self._owner: int | None = self._number(snapshot)

    def _number(self, snapshot: Snapshot) -> int:
        if self.dealer is not None:
            return dealer_number(snapshot, self.dealer)
        root = next(iter(snapshot.reference.hierarchy.names), "")
        return node_number(snapshot, root if self.node is None else self.node)

    def trade_token(self, snapshot: Snapshot) -> object:
        """See `Source`. O(dealers) while the dealer is gone, and once for other reference data."""
        if not snapshot.reference.is_kin(self._reference) or self._owner is None:
            self._reference = snapshot.reference
            try:
                self._owner = self._number(snapshot)
            except UnknownName:
                self._owner = None
                return None
        if self.dealer is not None and self._owner >= len(snapshot.dealer_names):
            return None  # the snapshot is older than the one with which the dealer came back
        return (snapshot.nodes if self.dealer is None else snapshot.dealers).state(self._owner)

    def price_token(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return snapshot.units


class Ladder(OfOneOwner):
    """What a node or a dealer holds, by instrument. After trades alone, it makes only the rows that they changed."""

    key: tuple[str, ...] = ("instrument",)

    def __init__(self, snapshot: Snapshot, node: str | None, dealer: str | None) -> None:
        super().__init__(snapshot, node, dealer)
        self._made: MadeRows = {}
        self._made_at: tuple[Reference, Units, DayDeals | None] | None = None

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`. O(instruments there), 0.3 us each after trades alone, else 10 us."""
        if self.trade_token(snapshot) is None:
            return ()
        deals = None if snapshot.deals is None else snapshot.deals.log
        before, self._made_at = self._made_at, (snapshot.reference, snapshot.units, deals)
        is_same = before is not None and all(one is other for one, other in zip(before, self._made_at, strict=True))
        if not is_same or snapshot.nodes.broken or snapshot.dealers.broken:
            self._made = {}
        return ladder_rows(snapshot, node=self.node, dealer=self.dealer, made=self._made)

    def summary(self, snapshot: Snapshot) -> RowDict:
        """See `Source`."""
        return NO_SUMMARY


class OwnerExposure(OfOneOwner):
    """What a node or a dealer is exposed to, by one of `exposure.BY`; beside the rows the figures of `exposure`."""

    def __init__(self, snapshot: Snapshot, node: str | None, dealer: str | None, by: str) -> None:
        super().__init__(snapshot, node, dealer)
        self.key: tuple[str, ...] = (by,)
        self._by = by
        self._made: tuple[Snapshot, Exposure] | None = None

    def _exposure(self, snapshot: Snapshot) -> Exposure | None:
        """None while the owner is gone. O(instruments there) for the first call with a snapshot."""
        if self._made is None or self._made[0] is not snapshot:
            if self.trade_token(snapshot) is None:
                return None
            self._made = snapshot, exposure(snapshot, self._by, node=self.node, dealer=self.dealer)
        return self._made[1]

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`. O(instruments there)."""
        made = self._exposure(snapshot)
        return () if made is None else made.rows

    def summary(self, snapshot: Snapshot) -> RowDict:
        """See `Source`."""
        made = self._exposure(snapshot)
        return NO_SUMMARY if made is None else made.summary


class OwnerRisk(OfOneOwner):
    """The options of a node or a dealer and their hedges; beside the rows the sums of `risk`."""

    key: tuple[str, ...] = ("instrument",)

    def __init__(self, snapshot: Snapshot, node: str | None, dealer: str | None) -> None:
        super().__init__(snapshot, node, dealer)
        self._made: tuple[Snapshot, Risk] | None = None

    def _risk(self, snapshot: Snapshot) -> Risk | None:
        """None while the owner is gone. O(options and hedges there) for the first call with a snapshot."""
        if self._made is None or self._made[0] is not snapshot:
            if self.trade_token(snapshot) is None:
                return None
            self._made = snapshot, risk(snapshot, node=self.node, dealer=self.dealer)
        return self._made[1]

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`. O(instruments there)."""
        made = self._risk(snapshot)
        return () if made is None else made.rows

    def summary(self, snapshot: Snapshot) -> RowDict:
        """See `Source`."""
        made = self._risk(snapshot)
        return NO_SUMMARY if made is None else made.summary


class LimitLines:
    """The limits that an access class may see, and how they stand. Like the status they move with prices, at most so often."""

    key: tuple[str, ...] = ("line",)

    def __init__(self, limits: Callable[[Snapshot], Iterable[RowDict]]) -> None:
        self._limits = limits

    def trade_token(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return None

    def price_token(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return snapshot

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`. O(limits)."""
        return self._limits(snapshot)

    def summary(self, snapshot: Snapshot) -> RowDict:
        """See `Source`."""
        return NO_SUMMARY


class Status:
    """One row about the engine itself. It changes with every snapshot, and a trade alone does not cause a push."""

    key: tuple[str, ...] = ()

    def __init__(self, status: Callable[[Snapshot], RowDict]) -> None:
        self._status = status

    def trade_token(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return None

    def price_token(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return snapshot

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`."""
        return (self._status(snapshot),)

    def summary(self, snapshot: Snapshot) -> RowDict:
        """See `Source`."""
        return NO_SUMMARY


def changed_owners(before: Table, now: Table) -> Iterator[int]:
    """Owners whose state or numbers differ from `before`, and new owners. O(pages + owners on touched pages)."""
    for page, states in enumerate(now.states):
        old_states = before.states[page] if page < len(before.states) else ()
        if states is old_states and now.numbers.shares(page, before.numbers):
            continue
        known = len(old_states)
        differs = now.numbers.differs(page, before.numbers) if known else ()
        for column, state in enumerate(states):
            if column >= known or differs[column] or state is not old_states[column]:
                yield page * PAGE + column
