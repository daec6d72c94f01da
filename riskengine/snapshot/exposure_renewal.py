"""The columns of owners' exposures, kept from one question to the next: after trades only the lines that they changed are new.

A total may hold ten thousand instruments, whose columns take longer to make than their exposure; a trade changes one of them.
What is renewed has the same exact sums as what is made anew, because those are sums of integers. Columns are immutable: threads
that ask together at worst make the same twice.
"""

from collections.abc import Collection, Sequence
from copy import copy
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.reference import Reference
from riskengine.snapshot.cash_rows import balances_of
from riskengine.snapshot.exposure_columns import ExposureColumns, Groups
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table
from riskengine.valuation.cash_values import NO_BALANCES, Balances
from riskengine.valuation.options.netting import NettingTerms

MOST_KEPT = 16
"""Owners whose columns are kept."""

FEW = 500
"""Lines that are renewed at most; where more have changed, all are made anew."""

BY_INSTRUMENT = "instrument"
"""The grouping that every exposure needs."""

_OF_PARTS = ("part_", "place_")
"""Columns whose entries are not lines begin so."""


class _Kept(NamedTuple):
    """Columns and what they were made of. `line_of` has the line of each instrument, `leg_of` the entry of each leg's group."""

    state: OwnerState
    broken: Collection[int]
    cash: Balances
    columns: ExposureColumns
    line_of: dict[int, int]
    leg_of: dict[tuple[int, int], int]


_Changed = list[tuple[Row, Row]]
"""Rows before and after."""

_kept: WeakKeyDictionary[Reference, dict[tuple[bool, int], _Kept]] = WeakKeyDictionary()


def columns_of(snapshot: Snapshot, table: Table, owner: int, broken: frozenset[int]) -> ExposureColumns:
    """The columns of an owner, whose sums of the instruments in `broken` were found wrong.

    O(1) where no trade has changed it since the last question, O(pages + changed lines) after trades, else O(lines). Any thread.
    """
    is_node = table is snapshot.nodes
    state, cash = table.state(owner), balances_of(snapshot, owner) if is_node else NO_BALANCES
    owners = _kept.setdefault(snapshot.reference, {})
    known = owners.get((is_node, owner))
    if known is not None and known.broken == broken and known.cash == cash:
        if known.state is state:
            return known.columns
        renewed = _renewed(snapshot, known, state)
        if renewed is not None:
            owners[is_node, owner] = renewed
            return renewed.columns
    columns = ExposureColumns(snapshot.reference, snapshot.units.netting, state.positions(), broken, cash)
    line_of = {row.instrument: line for line, row in enumerate(columns.rows)}
    while len(owners) >= MOST_KEPT and (is_node, owner) not in owners:
        owners.pop(next(iter(owners)), None)
    owners[is_node, owner] = _Kept(state, broken, cash, columns, line_of, _legs(columns.groups(BY_INSTRUMENT)))
    return columns


def _legs(groups: Groups) -> dict[tuple[int, int], int]:
    return {key: at for at, key in enumerate(zip(groups.leg_group.tolist(), groups.leg_currency.tolist(), strict=True))}


def _renewed(snapshot: Snapshot, known: _Kept, state: OwnerState) -> _Kept | None:
    """What is kept with the rows of another state; None where other lines are held, or hold other things, than before."""
    changed = _changed(known.state, state)
    if changed is None or len(changed) > FEW or any(row.instrument in known.broken for _, row in changed):
        return None
    columns = renewed_columns(known.columns, changed, snapshot.units.netting, known.line_of, known.leg_of)
    return None if columns is None else known._replace(state=state, columns=columns)


def _changed(before: OwnerState, after: OwnerState) -> _Changed | None:
    """The rows that differ; None where a row has come or gone."""
    if len(before.pages) != len(after.pages):
        return None
    found: _Changed = []
    for old_page, new_page in zip(before.pages, after.pages, strict=True):
        if old_page is new_page:
            continue
        if len(old_page) != len(new_page):
            return None
        for old, new in zip(old_page, new_page, strict=True):
            if old is new:
                continue
            if old is None or new is None or old.instrument != new.instrument:
                return None
            found.append((old, new))
    return found


def renewed_columns(
    columns: ExposureColumns,
    changed: _Changed,
    netting: NettingTerms,
    line_of: dict[int, int],
    leg_of: dict[tuple[int, int], int],
) -> ExposureColumns | None:
    """The columns with other rows on some lines; None where a line posts in another place than before. O(changed), and copies."""
    if not changed:
        return columns
    before, after = (ExposureColumns(columns.reference, netting, rows) for rows in zip(*changed, strict=True))
    if not _post_alike(before, after):
        return None
    lines = np.array([line_of[row.instrument] for row in after.rows], dtype=np.int64)
    made = copy(columns)
    made.rows = list(columns.rows)
    for line, row in zip(lines.tolist(), after.rows, strict=True):
        made.rows[line] = row
    for name, column in _line_columns(after):
        whole = getattr(columns, name).copy()
        whole[lines] = column
        setattr(made, name, whole)
    made.legs = _moved(columns.legs, before.legs, after.legs)
    made.fees = _moved(columns.fees, before.fees, after.fees)
    groups = _regrouped(columns.groups(BY_INSTRUMENT), after.groups(BY_INSTRUMENT), lines, leg_of)
    if groups is None:
        return None
    made.keep_groups(BY_INSTRUMENT, groups)
    return made


def _post_alike(before: ExposureColumns, after: ExposureColumns) -> bool:
    """Whether lines post in the same places, known or not, and none has been opened or closed."""
    same_open = np.array_equal(before.open_count > 0, after.open_count > 0)
    if not same_open or set(before.legs) != set(after.legs) or set(before.fees) != set(after.fees):
        return False
    parts = ("part_place", "part_line", "part_currency", "part_bucket", "place_line", "place_currency")
    return all(np.array_equal(getattr(before, name), getattr(after, name)) for name in parts) and all(
        np.array_equal(before.part_is[role], after.part_is[role]) for role in after.part_is
    )


def _line_columns(columns: ExposureColumns) -> Sequence[tuple[str, "np.ndarray[Any, Any]"]]:
    return [
        (name, each) for name, each in vars(columns).items() if isinstance(each, np.ndarray) and not name.startswith(_OF_PARTS)
    ]


def _moved(sums: dict[int, int], before: dict[int, int], after: dict[int, int]) -> dict[int, int]:
    """Exact sums with other amounts in the place of some of before."""
    found = dict(sums)
    for code, units in chain(after.items(), ((code, -units) for code, units in before.items())):
        found[code] = found.get(code, 0) + units
    return found


def _regrouped(groups: Groups, after: Groups, lines: "np.ndarray[Any, Any]", leg_of: dict[tuple[int, int], int]) -> Groups | None:
    """The legs by instrument, with those of some lines in place of what they were; None where they have other legs."""
    amounts = groups.leg_amount.copy()
    group_of = groups.of_line[lines]
    here = np.zeros(len(after.names), dtype=np.int64)
    here[after.of_line] = group_of
    for group, currency, amount in zip(
        here[after.leg_group].tolist(), after.leg_currency.tolist(), after.leg_amount, strict=True
    ):
        at = leg_of.get((group, currency))
        if at is None:
            return None
        amounts[at] = amount
    return groups._replace(leg_amount=amounts)
