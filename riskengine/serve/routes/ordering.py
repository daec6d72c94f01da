"""Which rows come first: sorting by a field without making rows that nobody will see."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from riskengine.positions.ledger import Row
from riskengine.records.types import CASH_ONE, ONE
from riskengine.serve.answers.turns import in_turns
from riskengine.snapshot.rows import QUANTITY_ONE, position_row
from riskengine.snapshot.snapshot import Snapshot

BESIDE_THE_LOOP_FROM = 5_000
"""Values from which on sorting them is handed to a thread: milliseconds in which the interpreter lock is free."""

AT_ONCE = 5_000
"""Values turned into keys before others get their turn: less than a millisecond."""

Item = TypeVar("Item")
Value = float | int | str | bool | None
Places = npt.NDArray[np.intp]
Held = tuple[str, Row]
"""A position: the name of its owner and the row."""


async def sorted_places(items: Sequence[Item], value_of: Callable[[Item], Value], *, descending: bool) -> Places:
    """Where the items stand, in the order of a value: unknown values last either way, equal ones as they came.

    O(n log n), in turns. A caller that shows a page looks up the items of that page only.
    """
    values = await in_turns(value_of, items)
    parts = [values[first : first + AT_ONCE] for first in range(0, len(values), AT_ONCE)]
    texts: set[str] = set()
    await in_turns(lambda part: texts.update(value for value in part if isinstance(value, str)), parts)
    rank: dict[Value, float] = {text: float(number) for number, text in enumerate(sorted(texts))}
    found = await in_turns(lambda part: _keys(part, rank), parts)
    keys = np.concatenate(found) if found else np.zeros(0)
    if descending:
        keys = -keys
    if len(keys) < BESIDE_THE_LOOP_FROM:
        return np.argsort(keys, kind="stable")
    return await asyncio.to_thread(np.argsort, keys, kind="stable")


def _keys(values: Sequence[Value], rank: Mapping[Value, float]) -> npt.NDArray[np.float64]:
    """Doubles that order as the values do; NaN, which sorts last, for None. Texts order by their code points."""
    return np.array([rank.get(value) for value in values] if rank else values, dtype=np.float64)


def position_value(snapshot: Snapshot, field: str) -> Callable[[Held], Value]:
    """What positions are sorted by: the same value as in their row, for a tenth of the cost where it can be had.

    The expressions are those of `views.position_row`; a test holds them to it.
    """
    quick = _plain_value(field) or _valued(snapshot, field)
    if quick is not None:
        return quick

    def slow(held: Held) -> Value:
        value: Value = position_row(snapshot, held[1], held[1].average)[field]
        return value

    return slow


def _plain_value(field: str) -> Callable[[Held], Value] | None:
    plain: dict[str, Callable[[Held], Value]] = {
        "node": lambda held: held[0],
        "dealer": lambda held: held[0],
        "instrument": lambda held: held[1].instrument,  # numbered in the order of their names
        "quantity": lambda held: held[1].quantity / ONE,
        "net_cash": lambda held: held[1].cash / CASH_ONE,
        "average_price": lambda held: held[1].average if held[1].quantity else None,
        "trade_count": lambda held: held[1].trade_count,
        "last_trade_ts": lambda held: held[1].last_trade_ts or None,
    }
    return plain.get(field)


def _valued(snapshot: Snapshot, field: str) -> Callable[[Held], Value] | None:
    name = field.removesuffix("_local")
    if name not in ("total_pnl", "realised_pnl", "unrealised_pnl", "market_value") or field == "market_value_local":
        return None
    units = snapshot.units
    multipliers = [instrument.multiplier for instrument in snapshot.reference.instruments]
    price: list[float] = units.price.tolist()
    priced: list[bool] = units.priced.tolist()
    rate: list[float] = units.rate.tolist()
    rated: list[bool] = units.rated.tolist()
    in_reporting_currency = field == name

    def value_of(held: Held) -> Value:
        row = held[1]
        number = row.instrument
        if in_reporting_currency and not rated[number]:
            return None
        amount: float
        if name == "realised_pnl":
            amount = (row.cash + row.open_cost) / CASH_ONE
        elif row.open_count and not priced[number]:
            return None
        else:
            amount = row.quantity * multipliers[number] / QUANTITY_ONE * price[number] if priced[number] else 0.0
            if name == "total_pnl":
                amount = row.cash / CASH_ONE + amount
            elif name == "unrealised_pnl":
                amount -= row.open_cost / CASH_ONE
        return amount * rate[number] + 0.0 if in_reporting_currency else amount

    return value_of
