"""The tables `vols`, `vol_surfaces`, `rates`, `greeks` and `cut_spots`: of each subject the newest row of each trading day.

A start reads them all and takes the newest of each subject; a close that is struck late, or a moment of the past, the newest of
before it. Rows of a subject older than KEEP_DAYS are removed, but for its newest. Inside the caller's transaction.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from riskengine.errors import StoreCorrupt
from riskengine.records.fields import Rejected, date
from riskengine.records.option_inputs import (
    DISCOUNT,
    POINTS,
    RATE,
    YIELD,
    CutSpot,
    DatedInput,
    OptionInput,
    PushedGreeks,
    RateRow,
    SurfaceRow,
    Vol,
)
from riskengine.store.queries import Transaction

KEEP_DAYS = 10
"""Trading days behind the newest one that is saved, in calendar days, whose rows are kept."""

TABLES: dict[str, type[OptionInput]] = {
    "vols": Vol,
    "vol_surfaces": SurfaceRow,
    "rates": RateRow,
    "greeks": PushedGreeks,
    "cut_spots": CutSpot,
}
"""The record of each table. A query of the same name reads it, `_of_others`, `_save`, `_prune` and `_delete` do what they say."""

_TABLE_OF: dict[type[Any], str] = {record: table for table, record in TABLES.items()}
_SUBJECT_KIND = {RATE: "currency", DISCOUNT: "currency", YIELD: "underlying", POINTS: "pair"}


def option_inputs(transaction: Transaction) -> list[OptionInput]:
    """Every stored row, those of earlier days first. 2 us each. Raises StoreCorrupt for a row that can be none."""
    return _read(transaction, "{}")


def option_inputs_of_others(transaction: Transaction) -> list[OptionInput]:
    """The stored rows that no engine saved, as `option_inputs`."""
    return _read(transaction, "{}_of_others")


def _read(transaction: Transaction, query: str) -> list[OptionInput]:
    found: list[OptionInput] = []
    for table, record in TABLES.items():
        for row in transaction.rows(query.format(table)):
            found.append(_record(table, record, row))
    return found


def _record(table: str, record: type[OptionInput], row: tuple[Any, ...]) -> OptionInput:
    if record is not RateRow:
        made = record(*row)
        _check_date(table, made.expiry if isinstance(made, SurfaceRow) else "")
        return made
    subject, end, ts, kind, value, source = row
    _check_date(table, end)
    return RateRow(subject, kind, end, ts, value, source)


def _check_date(table: str, text: str) -> None:
    """Raise StoreCorrupt for a date of another program that is none: it names what to correct."""
    try:
        date(text, "date")
    except Rejected as rejected:
        raise StoreCorrupt(f"the table {table} has a row whose {rejected}: correct it") from None


def save_option_inputs(transaction: Transaction, rows: Sequence[DatedInput], save: int) -> None:
    """Keep each row unless a newer one of its subject and day is there. 10 us a row.

    `save` is the number of this save if the engine makes it, another one each time; 0: another program.
    """
    tables = sorted(rows, key=lambda dated: _TABLE_OF[type(dated.row)])
    for table, of_table in groupby(tables, key=lambda dated: _TABLE_OF[type(dated.row)]):
        values = _VALUES[TABLES[table]]
        transaction.run(f"{table}_save", [(*values(dated), save) for dated in of_table])


def _vol_values(dated: DatedInput) -> tuple[Any, ...]:
    row = dated.row
    assert isinstance(row, Vol)
    return row.instrument, dated.day, row.ts, float(row.vol), row.source


def _surface_values(dated: DatedInput) -> tuple[Any, ...]:
    row = dated.row
    assert isinstance(row, SurfaceRow)
    wings = (row.rr25, row.bf25, row.rr10, row.bf10)
    return (row.pair, row.expiry, dated.day, row.ts, float(row.atm), *wings, row.source)


def _rate_values(dated: DatedInput) -> tuple[Any, ...]:
    row = dated.row
    assert isinstance(row, RateRow)
    return _SUBJECT_KIND[row.kind], row.subject, row.date, dated.day, row.ts, row.kind, float(row.value), row.source


def _greeks_values(dated: DatedInput) -> tuple[Any, ...]:
    row = dated.row
    assert isinstance(row, PushedGreeks)
    numbers = (row.spot, row.vol, row.value, row.delta, row.gamma, row.vega, row.theta)
    return (row.instrument, dated.day, row.ts, *map(float, numbers), row.source)


def _cut_spot_values(dated: DatedInput) -> tuple[Any, ...]:
    row = dated.row
    assert isinstance(row, CutSpot)
    return row.instrument, dated.day, row.ts, float(row.price), row.source


_VALUES: dict[type[Any], Callable[[DatedInput], tuple[Any, ...]]] = {
    Vol: _vol_values,
    SurfaceRow: _surface_values,
    RateRow: _rate_values,
    PushedGreeks: _greeks_values,
    CutSpot: _cut_spot_values,
}
"""The columns of a row, in the order of its query."""


def newest_day(rows: Iterable[DatedInput]) -> str:
    """The newest trading day of rows; "" of none."""
    return max((dated.day for dated in rows), default="")


def prune_option_inputs(transaction: Transaction, day: str) -> None:
    """Remove the rows of more than KEEP_DAYS before a trading day, but for the newest of each subject. O(removed)."""
    before = (dt.date.fromisoformat(day) - dt.timedelta(days=KEEP_DAYS)).isoformat()
    for table in TABLES:
        transaction.run(f"{table}_prune", [(before,)])


def delete_inputs_of(transaction: Transaction, instrument: str) -> None:
    """Remove all rows about an instrument that is removed."""
    for table in TABLES:
        transaction.run(f"{table}_delete", [(instrument,)])
