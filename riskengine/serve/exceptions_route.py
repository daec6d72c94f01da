"""What needs a person: what the engine keeps listed, and what a snapshot shows to be missing."""

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from zoneinfo import ZoneInfo

from starlette.responses import Response

from riskengine.clock import MICROS_PER_SECOND
from riskengine.ledger import Row
from riskengine.serve.answers import Question, RowDict, Rows, list_answer
from riskengine.serve.ordering import Value, sorted_places
from riskengine.serve.shapes import EXCEPTION, names
from riskengine.serve.wire import trade_record
from riskengine.snapshot import ExceptionItem, Snapshot

KINDS = ("conflict", "parked", "unmatched", "quarantined", "late", "unpriced", "suspect", "expired")


async def answer_exceptions(question: Question) -> Response:
    """The work list: of one kind, or all kinds in the order of KINDS; the newest of a kind first."""
    snapshot, values = question.snapshot, question.values
    zone = ZoneInfo(question.gateway.config.engine.day_zone)
    kinds = KINDS if values["kind"] is None else (values["kind"],)
    items = [item for kind in kinds for item in _items(snapshot, kind, zone)]
    row_of = partial(exception_row, exact=question.exact)
    if question.sort is not None:
        field = question.sort.field

        def value_of(item: ExceptionItem) -> Value:
            value = exception_row(item)[field]
            return value if isinstance(value, int | float | str) else None

        places = await sorted_places(items, value_of, descending=question.sort.descending)
        items = [items[place] for place in places.tolist()]
    first = values["offset"]
    shown = items[first : first + values["limit"]]
    return list_answer(question, Rows(question.header(), names(EXCEPTION), shown, row_of, len(items)))


def exception_row(item: ExceptionItem, *, exact: bool = False) -> RowDict:
    """One entry of the work list."""
    trade = item.trade
    instrument = item.detail.get("instrument") if trade is None else trade.instrument
    return {
        "id": item.id,
        "kind": item.kind,
        "ts": item.ts or None,
        "reason": item.reason,
        "instrument": instrument or None,
        "trade": None if trade is None else trade_record(trade, exact=exact),
        "detail": item.detail,
    }


def _items(snapshot: Snapshot, kind: str, zone: ZoneInfo) -> list[ExceptionItem]:
    seen: dict[str, Callable[[], Iterator[ExceptionItem]]] = {
        "unpriced": lambda: _unpriced(snapshot),
        "suspect": lambda: _suspect(snapshot),
        "expired": lambda: _expired(snapshot, zone),
    }
    if kind in seen:
        return list(seen[kind]())
    return sorted(snapshot.exceptions.get(kind, ()), key=lambda item: -item.ts)


def _rows(snapshot: Snapshot) -> list[Row]:
    """What the whole house holds, by instrument."""
    if not len(snapshot.reference.hierarchy):
        return []
    return sorted(snapshot.nodes.state(0).positions(), key=lambda row: row.instrument)


def _unpriced(snapshot: Snapshot) -> Iterator[ExceptionItem]:
    """Instruments that are held and whose price or rate is unknown: their positions add up to the root's unpriced_count."""
    units, reference = snapshot.units, snapshot.reference
    for row in _rows(snapshot):
        number = row.instrument
        instrument = reference.instruments[number]
        if not units.rated[number]:
            count, reason = row.position_count, f"no rate leads from {instrument.currency} to {reference.reporting_currency}"
        elif row.open_count and not units.priced[number]:
            count, reason = row.open_count, "no price has been heard"
        else:
            continue
        detail: dict[str, object] = {"instrument": instrument.instrument, "positions": count}
        yield ExceptionItem(f"unpriced:{instrument.instrument}", "unpriced", 0, reason, None, detail)


def _suspect(snapshot: Snapshot) -> Iterator[ExceptionItem]:
    """Instruments with a level that the mark policy holds back."""
    for number, mark in enumerate(snapshot.units.marks):
        if mark is not None and mark.suspect is not None:
            symbol = snapshot.reference.symbols[number]
            good = mark.price if mark.ts else None
            detail: dict[str, object] = {
                "instrument": symbol, "suspect": mark.suspect, "mark": good, "mark_ts": mark.ts or None,
            }  # fmt: skip
            stays = "there is no mark" if good is None else f"{good} stays the mark"
            reason = f"{mark.suspect} is held back; {stays}"
            yield ExceptionItem(f"suspect:{symbol}", "suspect", mark.suspect_ts, reason, None, detail)


def _expired(snapshot: Snapshot, zone: ZoneInfo) -> Iterator[ExceptionItem]:
    """Open positions in what has expired: at the moment that the instrument says, or at the end of that day in `zone`."""
    now = dt.datetime.fromtimestamp(snapshot.as_of / MICROS_PER_SECOND, zone)
    for row in _rows(snapshot):
        instrument = snapshot.reference.instruments[row.instrument]
        if row.open_count and instrument.expiry and _has_expired(instrument.expiry, now):
            detail: dict[str, object] = {
                "instrument": instrument.instrument, "expiry": instrument.expiry, "positions": row.open_count,
            }  # fmt: skip
            reason = f"expired {instrument.expiry} with {row.open_count} open positions"
            yield ExceptionItem(f"expired:{instrument.instrument}", "expired", 0, reason, None, detail)


def _has_expired(expiry: str, now: dt.datetime) -> bool:
    """`expiry` is a date, or a moment with its offset."""
    if len(expiry) <= len("2026-11-21"):
        return dt.date.fromisoformat(expiry) < now.date()
    return dt.datetime.fromisoformat(expiry) <= now
