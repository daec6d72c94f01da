"""Lists: which rows, in which order, which page of them. Rows that nobody will see are not made."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.responses import Response

from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.params import Sort
from riskengine.serve.answers.shapes import Fields, names
from riskengine.serve.answers.turns import Item, map_in_turns
from riskengine.serve.answers.wire import ROWS_PER_SLICE
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import instrument_number

MIN_THREADED_VALUES = 5_000
"""From this many values on, a thread sorts them: it takes milliseconds and releases the interpreter lock."""

KEYS_PER_TURN = 5_000
"""Values turned into sort keys before the loop is given back: less than a millisecond."""

Value = float | int | str | bool | None
Places = npt.NDArray[np.intp]


async def answer_page(
    question: Question, fields: Fields, items: Sequence[Any], row_of: Callable[[Any], RowDict], *, cut: bool = True
) -> Response:
    """Sort the items, cut out the page, and answer with its rows and the settings that decide their numbers."""
    total = len(items)
    first, end = 0, total
    if cut:
        first, end = question.values["offset"], question.values["offset"] + question.values["limit"]
    if question.sort is None:
        items = items[first:end]
    else:
        places = await places_by_field(items, question.sort, row_of)
        items = [items[place] for place in places[first:end]]
    visible_row = (lambda item: decimal_texts(row_of(item))) if question.exact else row_of
    return list_answer(question, ListAnswer(question.valued_header(), names(fields), items, visible_row, total))


def row_filter(question: Question) -> Callable[[RowDict], bool]:
    """Whether `instrument=` and `stale=` let a row pass. Raises UnknownName."""
    instrument, stale = question.values["instrument"], question.values["stale"]
    if instrument is not None:
        instrument_number(question.snapshot, instrument)
    return lambda row: instrument in (None, row["instrument"]) and (stale is None or row["stale"] is stale)


async def make_rows(rows_at_most: int, make: Callable[[], list[RowDict]]) -> list[RowDict]:
    """The rows that `make` returns: made on the loop if they are few, in a thread if they are many."""
    return make() if rows_at_most <= ROWS_PER_SLICE else await asyncio.to_thread(make)


def same_row(row: RowDict) -> RowDict:
    """The `row_of` of items that are rows."""
    return row


# -- sorting -----------------------------------------------------------------------------------------------------


async def places_by_field(items: Sequence[Any], sort: Sort, row_of: Callable[[Any], RowDict]) -> list[int]:
    """The indices of the items, in the order of a field of their rows."""

    def value_of(item: Any) -> Value:
        value: Value = row_of(item)[sort.field]
        return value

    found: list[int] = (await sorted_places(items, value_of, descending=sort.descending)).tolist()
    return found


async def sorted_places(items: Sequence[Item], value_of: Callable[[Item], Value], *, descending: bool) -> Places:
    """The indices of the items, in the order of a value: unknown values last either way, equal ones as they came.

    O(n log n), in turns. A caller that shows one page looks up the items of that page only.
    """
    values = await map_in_turns(value_of, items)
    parts = [values[first : first + KEYS_PER_TURN] for first in range(0, len(values), KEYS_PER_TURN)]
    texts: set[str] = set()
    await map_in_turns(lambda part: texts.update(value for value in part if isinstance(value, str)), parts)
    rank: dict[Value, float] = {text: float(number) for number, text in enumerate(sorted(texts))}
    found = await map_in_turns(lambda part: _keys(part, rank), parts)
    keys = np.concatenate(found) if found else np.zeros(0)
    if descending:
        keys = -keys
    if len(keys) < MIN_THREADED_VALUES:
        return np.argsort(keys, kind="stable")
    return await asyncio.to_thread(np.argsort, keys, kind="stable")


def _keys(values: Sequence[Value], rank: Mapping[Value, float]) -> npt.NDArray[np.float64]:
    """Doubles in the order of the values; NaN, which sorts last, for None. Texts are ordered by code point."""
    return np.array([rank.get(value) for value in values] if rank else values, dtype=np.float64)
