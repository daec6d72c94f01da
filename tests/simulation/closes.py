"""The closes against the oracle: one a day, and the newest holds what was known when it was struck, dated before the boundary.

What an engine knew then is not always certain from outside: a row that came in the last seconds before the strike may be on
either side. The positions that such a row touches are left out; no other is. A trade dated after the boundary is in no close,
whenever it came.
"""

import datetime as dt
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.simulation import oracle
from tests.simulation.fibers import MICROS
from tests.simulation.house import LATER_DESK, TERMS
from tests.simulation.oracle import Row

if TYPE_CHECKING:
    from tests.simulation.world import World

MARGIN_US = 3 * MICROS
"""A row that was visible for so long before the strike was known then, if the store was well."""
TROUBLE_US = 60 * MICROS
"""So long before a strike the store must have been well."""

Verdicts = dict[str, tuple[str, int]]


def closes(world: "World", rows: list[Row], verdicts: Verdicts) -> str:
    """One close for each day that has ended, no other; and the newest holds what had been dealt before the boundary."""
    struck = world.look("SELECT date, version, struck_ts FROM struck_closes ORDER BY date, version")
    ended = world.date.isoformat()
    if not struck or struck[-1][0] != ended:
        return f"close: the newest close is of {struck[-1][0] if struck else 'no day'}, and {ended} has ended"
    if len({date for date, version, _ in struck if version == 1}) != sum(version == 1 for _, version, _ in struck):
        return "close: a day has two first closes"
    days = [date for date, version, _ in struck if version == 1]
    day = world.date
    for date in reversed(days):
        if date != day.isoformat():
            return f"close: {date} is struck, and should be {day}"
        day = _day_before(world, day)
    return _newest_close(world, rows, verdicts, ended, struck[-1][2])


def _day_before(world: "World", day: dt.date) -> dt.date:
    before = day - dt.timedelta(days=1)
    while world._business(before) != before:
        before -= dt.timedelta(days=1)
    return before


def _newest_close(world: "World", rows: list[Row], verdicts: Verdicts, date: str, struck_ts: int) -> str:
    late = {name for name, (_, ts) in verdicts.items() if ts > struck_ts - MARGIN_US}
    if world.upset_on == world.date or any(name.startswith("conflict") for name in late):
        return ""
    unsure = _unsure_identities(world, rows, late, struck_ts)
    left_out = {(row.desk, symbol) for row in rows if row.identity in unsure for symbol in (row.symbol, row.instrument)}
    if world.desk_came_on == world.date:
        left_out |= {(LATER_DESK, symbol) for symbol in TERMS}
    known = [row for row in rows if world.seen.since.get(row.store_seq, struck_ts) < struck_ts]
    boundary = world.boundary(world.date)
    accepted = {name for name, (verdict, ts) in verdicts.items() if verdict == "accept" and ts <= struck_ts}
    effective = oracle.effective(known, lambda row: row.exception in accepted, world.desks, date)
    dated = [row for row in effective if (row.trade_date <= date if row.trade_date else (row.ts or 0) < boundary)]
    answer = world.ask_now("GET", "/v1/closes", date=date, node="ALL", exact="true")
    if answer is None or answer.status != 200:
        return f"answer: GET /v1/closes: {answer}"
    wanted = oracle.positions(dated, "desk")
    shown = {(row["node"], row["instrument"]): row for row in answer.values["rows"]}
    world.count("closes_compared")
    for key in sorted((wanted.keys() | shown.keys()) - left_out):
        world.count("closed_positions_compared")
        held, row = wanted.get(key), shown.get(key)
        if held is None or row is None:
            if held is not None and held.quantity == 0:
                continue
            return f"close: {date} {key} is {'missing' if row is None else 'there, and should not be'}"
        if Fraction(row["quantity"] or 0) != held.quantity or Fraction(row["net_cash"] or 0) != held.cash:
            return f"close: {date} {key} has {row['quantity']}, {row['net_cash']}; should be {held}"
    return ""


def _unsure_identities(world: "World", rows: list[Row], late: set[str], struck_ts: int) -> set[tuple[str, str, int]]:
    """Trades of which nobody outside can say what the engine knew of them when it struck the close."""
    seen = world.seen
    margin = MARGIN_US if not struck_ts - TROUBLE_US < seen.trouble_at <= struck_ts else TROUBLE_US
    day_began = world.boundary(world.date) - 86_400 * MICROS
    edited = {key[:3] for key, ts in world.edits.items() if ts > day_began}
    unsure = {
        row.identity
        for row in rows
        if struck_ts - margin < seen.since.get(row.store_seq, struck_ts + MICROS) <= struck_ts + MICROS or row.exception in late
    }
    return unsure | edited
