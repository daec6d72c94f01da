"""Rows as bytes: JSON and CSV, in slices that hold the event loop only briefly.

orjson writes the JSON; numbers that are not finite become null. Times are integers, unknown is null (empty in CSV).
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from riskengine.files.spreadsheet import escape_formula, is_plain_number
from riskengine.records.fields import MAX_INTEGER, json_integer, to_text
from riskengine.records.types import Trade
from riskengine.serve.answers.shapes import NUMBERS
from riskengine.serve.answers.turns import Item
from riskengine.snapshot.rows import RowDict

JSON = "application/json"
CSV = "text/csv; charset=utf-8; header=present"

ROWS_PER_SLICE = 200
"""Rows made and encoded before other tasks run: about a millisecond."""

TRADE_NUMBERS = ("quantity", "price", "fees", "contra_amount")
"""The columns of a trade that are exact decimals."""


def encode(value: object) -> bytes:
    """A value as JSON. Trades become their columns, named tuples become objects."""
    return orjson.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Trade):
        return trade_record(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    raise TypeError(f"not for the wire: {type(value).__name__}")


def trade_record(trade: Trade, *, exact: bool = False) -> RowDict:
    """The columns of a trade as it was sent (INTERFACE section 5) and `received_ts`; of a cancel only those that it has."""
    cancel = trade.action == "cancel"
    contra = trade.contra_amount
    record = {
        "source": trade.source,
        "trade_id": trade.trade_id,
        "leg": trade.leg,
        "version": trade.version,
        "action": trade.action,
        "ts": trade.ts or None,
        "source_seq": json_integer(trade.source_seq),
        "instrument": trade.instrument,
        "desk": trade.desk,
        "dealer": trade.dealer,
        "side": "" if cancel else trade.side,
        "quantity": None if cancel else to_text(trade.quantity),
        "price": None if cancel else to_text(trade.price),
        "fees": to_text(trade.fees),
        "fees_currency": trade.fees_currency,
        "value_date": trade.value_date,
        "trade_date": trade.trade_date,
        "booked_ts": trade.booked_ts,
        "contra_amount": None if contra is None else to_text(contra),
        "legs": trade.legs,
        "received_ts": trade.received_ts,
    }
    return record if exact else with_doubles(record)


def with_doubles(record: RowDict) -> RowDict:
    """A trade's columns, with the nearest doubles in place of exact decimal texts."""
    record = with_safe_integers(record)
    return record | {name: _double(record[name]) for name in TRADE_NUMBERS}


def with_safe_integers(record: RowDict) -> RowDict:
    """A trade's columns; a `source_seq` that a JSON number cannot carry is a text."""
    return record if record["source_seq"] <= MAX_INTEGER else record | {"source_seq": json_integer(record["source_seq"])}


def _double(text: str | None) -> float | None:
    """The double; None for a text that is no number: another program wrote it, and the row is quarantined."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def json_list(header: Mapping[str, Any], rows: Sequence[RowDict], total: int | None) -> bytes:
    """A whole list answer: the header, `rows` and `total`."""
    return encode({**header, "rows": rows, "total": total})


def json_slices(
    header: Mapping[str, Any], items: Sequence[Item], row_of: Callable[[Item], RowDict], total: int | None
) -> Iterator[bytes]:
    """The bytes of `json_list`, a slice at a time; rows exist only while their slice is encoded."""
    head = encode(header)
    yield (head[:-1] + b"," if len(head) > 2 else head[:-1]) + b'"rows":['
    for first in range(0, len(items), ROWS_PER_SLICE):
        text = encode([row_of(item) for item in items[first : first + ROWS_PER_SLICE]])
        yield b"," + text[1:-1] if first else text[1:-1]
    yield b'],"total":' + encode(total) + b"}"


def csv_slices(fields: Sequence[str], items: Sequence[Item], row_of: Callable[[Item], RowDict]) -> Iterator[bytes]:
    """RFC 4180 with a header line, safe to open in a spreadsheet.

    Numbers are as in JSON, unknown is empty, booleans are `true` and `false`, an object is its JSON. A text that a spreadsheet
    would take for a formula, or that begins with an apostrophe, gets an apostrophe in front: remove one leading apostrophe from
    each text to get the original. Numbers are never changed, whatever their sign.
    """
    yield _csv_lines([fields])
    numeric = [field in NUMBERS for field in fields]
    for first in range(0, len(items), ROWS_PER_SLICE):
        rows = (row_of(item) for item in items[first : first + ROWS_PER_SLICE])
        yield _csv_lines([list(map(_cell, map(row.get, fields), numeric)) for row in rows])


def _csv_lines(lines: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


def _cell(value: object, numeric: bool) -> object:
    """A value as `csv` writes it. `numeric`: a text may be an exact number."""
    if isinstance(value, str):
        return value if numeric and is_plain_number(value) else escape_formula(value)
    if isinstance(value, bool):
        return str(value).lower()
    return escape_formula(encode(value).decode()) if isinstance(value, dict | list) else value
