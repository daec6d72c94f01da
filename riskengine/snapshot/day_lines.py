"""The lines of the day of one row: what moved since the last close, and why (ACCOUNTING section 8). Pure; any thread.

With 0 the last close and 1 now, quantity and cash at 0 restated from all trades of earlier days, P0 the total as published then:

    day_position_pnl     k q0 (m1 - m0) X1            day_translation_pnl  T0 (X1 - X0)
    day_carry_pnl        dividends and financing X1   correction_pnl       (T0 - P0) X0
    day_trading_pnl      (C1 - C0 + k (q1 - q0) m1) X1 - carry

`day_pnl` is their sum, T1 X1 - P0 X0, before fees; `net_day_pnl` is after those of the day. A line whose q0, T0 or P0 is 0 is 0,
close or none. The lines of a position are unknown together: where one is, all are null, and the sums above leave the position out
and count it (`day_unknown_count`).
"""

import math
from typing import Any

from riskengine.positions.ledger import Row
from riskengine.positions.position import NO_FEES
from riskengine.records.fields import to_text
from riskengine.records.types import CASH_DECIMALS, CASH_ONE, MULTIPLIER_DECIMALS, ONE
from riskengine.snapshot.snapshot import Snapshot, Table
from riskengine.valuation.day_start import DayStart, Start
from riskengine.valuation.day_values import (
    CARRY,
    CORRECTION,
    POSITION,
    START,
    START_FEES,
    TRANSLATION,
    UNKNOWN_COUNT,
    UNKNOWN_TOTAL,
)

RowDict = dict[str, Any]

LINES = ("day_position_pnl", "day_carry_pnl", "day_trading_pnl", "day_translation_pnl", "correction_pnl")
"""The five lines, whose sum is `day_pnl`."""
DAY_LINES = ("day_pnl", *LINES, "net_day_pnl", "month_pnl", "year_pnl", "day_start_ts")
UNKNOWN_DAY: RowDict = dict.fromkeys(DAY_LINES)

QUANTITY_ONE = ONE * 10**MULTIPLIER_DECIMALS

SNAP = 1e-13
"""A line that is what is left of others is 0 below this share of them: that much is rounding."""


def owner_day(snapshot: Snapshot, table: Table, owner: int, total: float | None, fees: float | None, scale: float) -> RowDict:
    """The fields of the day of a node or dealer, whose total P&L and fees are given. `scale` is the size of its amounts. O(1)."""
    day = table.day
    if day is None or snapshot.day is None:
        return UNKNOWN_DAY | {"day_unknown_count": 0}
    numbers = day.measures(owner).tolist()
    unknown, count = int(numbers[UNKNOWN_COUNT]), table.state(owner).position_count
    start_ts = snapshot.day.window.start_ts
    if total is None or (unknown and unknown >= count):
        return UNKNOWN_DAY | {"day_start_ts": start_ts, "day_unknown_count": unknown}
    position, translation, carry, correction = (numbers[at] for at in (POSITION, TRANSLATION, CARRY, CORRECTION))
    day_pnl = total - numbers[UNKNOWN_TOTAL] - numbers[START]
    trading = day_pnl - position - translation - carry - correction
    size = scale + abs(numbers[START]) + abs(total)
    if abs(trading) <= SNAP * size:
        trading, day_pnl = 0.0, position + translation + carry + correction
    month, year = day.start.owner_to_date.get(owner, (0.0, 0.0))
    return {
        "day_pnl": day_pnl + 0.0,
        "day_position_pnl": position + 0.0,
        "day_carry_pnl": carry + 0.0,
        "day_trading_pnl": trading + 0.0,
        "day_translation_pnl": translation + 0.0,
        "correction_pnl": correction + 0.0,
        "net_day_pnl": None if fees is None else day_pnl - (fees - numbers[START_FEES]) + 0.0,
        "month_pnl": _to_date(month, day_pnl),
        "year_pnl": _to_date(year, day_pnl),
        "day_start_ts": start_ts,
        "day_unknown_count": unknown,
    }


def position_day(snapshot: Snapshot, table: Table, owner: int, row: Row, fees: float | None) -> RowDict:
    """The fields of the day of one position, or of several netted; `fees` are its fees now. O(log positions)."""
    day, begun = table.day, snapshot.day
    if day is None or begun is None:
        return UNKNOWN_DAY
    start = day.start.start(owner, row.instrument)
    lines = None if start is None or row.quarantined else _lines(snapshot, begun, start, row)
    if lines is None or start is None:
        return UNKNOWN_DAY | {"day_start_ts": begun.window.start_ts}
    day_pnl = sum(lines.values())
    charged = _start_fees(snapshot, table, owner, row.instrument)
    return {
        "day_pnl": day_pnl + 0.0,
        **lines,
        "net_day_pnl": None if fees is None or charged is None else day_pnl - (fees - charged) + 0.0,
        "month_pnl": _to_date(start.month, day_pnl),
        "year_pnl": _to_date(start.year, day_pnl),
        "day_start_ts": begun.window.start_ts,
    }


def day_receipt(snapshot: Snapshot, table: Table, owner: int, instrument: int) -> RowDict | None:
    """What the lines of a row are worked out from: the position at the last close, restated and as published, price and rate.

    Exact decimal texts; null where unknown. None where the engine knows no day. O(log positions).
    """
    day, begun = table.day, snapshot.day
    if day is None or begun is None:
        return None
    start = day.start.start(owner, instrument)
    prices, reference = begun.prices, snapshot.reference
    rate = prices.rate.item(reference.cash_currency[instrument])
    return {
        "closed": begun.window.closed,
        "start_ts": begun.window.start_ts,
        "quantity": None if start is None else to_text(start.quantity),
        "net_cash": None if start is None else to_text(start.cash, CASH_DECIMALS),
        "published_quantity": None if start is None else to_text(start.published_quantity),
        "published_net_cash": None if start is None else to_text(start.published_cash, CASH_DECIMALS),
        "carry": None if start is None else to_text(start.carry, CASH_DECIMALS),
        "beside": None
        if start is None
        else {code: to_text(units, CASH_DECIMALS) for code, units in sorted(start.beside.items())},
        "price": _text_or_none(prices.price.item(instrument)),
        "published_price": _text_or_none(prices.published.item(instrument)),
        "rate": _text_or_none(rate),
    }


def _text_or_none(amount: float) -> str | None:
    return None if math.isnan(amount) else repr(amount)


def _lines(snapshot: Snapshot, day: DayStart, start: Start, row: Row) -> RowDict | None:
    """The five lines of a position; None where one of them is unknown."""
    units, number = snapshot.units, row.instrument
    reference = snapshot.reference
    if not units.rated.item(number):
        return None
    rate, scale = units.rate.item(number), reference.instruments[number].contract_multiplier / QUANTITY_ONE
    was_open = bool(start.quantity or start.published_quantity)
    carried = was_open or bool(start.cash or start.published_cash)
    if (was_open or row.open_count) and not units.priced.item(number):
        return None
    carry, moved, corrected_beside = _beside_lines(snapshot, day, start, row)
    if carry is None or moved is None or corrected_beside is None:
        return None
    price, before = units.price.item(number), 0.0
    closed, published = day.prices.price.item(number), day.prices.published.item(number)
    if carried:
        before = day.prices.rate.item(reference.cash_currency[number])
    if math.isnan(before) or (was_open and (math.isnan(closed) or math.isnan(published))):
        return None
    worth = start.quantity * scale * closed if start.quantity else 0.0
    was_published = start.published_quantity * scale * published if start.published_quantity else 0.0
    corrected = (start.cash - start.published_cash) / CASH_ONE + (worth - was_published)
    traded = (row.quantity - start.quantity) * scale * price if row.quantity != start.quantity else 0.0
    held = start.quantity * scale * (price - closed) if start.quantity else 0.0
    return {
        "day_position_pnl": held * rate + 0.0,
        "day_carry_pnl": start.carry / CASH_ONE * rate + carry + 0.0,
        "day_trading_pnl": ((row.cash - start.cash - start.carry) / CASH_ONE + traded) * rate + 0.0,
        "day_translation_pnl": ((start.cash / CASH_ONE + worth) * (rate - before) if carried else 0.0) + moved + 0.0,
        "correction_pnl": corrected * before + corrected_beside + 0.0,
    }


def _beside_lines(snapshot: Snapshot, day: DayStart, start: Start, row: Row) -> tuple[float | None, float | None, float | None]:
    """What amounts beside net cash add to carry, translation and correction, each at its own rates; None where one is unknown."""
    carry = moved = corrected = 0.0
    now, rates, index = row.beside or NO_FEES, snapshot.rates, snapshot.reference.currency_index
    for code in sorted({*now, *start.beside, *start.published_beside}):
        at, then, first = index.get(code), start.beside.get(code, 0), start.published_beside.get(code, 0)
        before = math.nan if at is None else day.prices.rate.item(at)
        if at is None or not rates.fee_known.item(at) or ((then or first) and math.isnan(before)):
            return None, None, None
        rate = rates.fee_value.item(at)
        carry += (now.get(code, 0) - then) / CASH_ONE * rate
        if then or first:
            moved += then / CASH_ONE * (rate - before)
            corrected += (then - first) / CASH_ONE * before
    return carry, moved, corrected


def _start_fees(snapshot: Snapshot, table: Table, owner: int, instrument: int) -> float | None:
    """The fees at the close, at the rates of now; None where a currency has none."""
    assert table.day is not None, "asked for a position of a day"
    total, rates, index = 0.0, snapshot.rates, snapshot.reference.currency_index
    for currency, units in table.day.start.fees_of(owner, instrument).items():
        at = index.get(currency)
        if at is None or not rates.fee_known.item(at):
            return None
        total += units / ONE * rates.fee_value.item(at)
    return total


def _to_date(before: float, day_pnl: float) -> float | None:
    return None if math.isnan(before) else before + day_pnl + 0.0
