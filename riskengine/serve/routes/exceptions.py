"""What needs a person: what the engine keeps listed, and what a snapshot shows to be missing."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby

import msgspec
from msgspec import structs
from starlette.responses import Response

from riskengine.market.trading_day import TradingDay
from riskengine.positions.ledger import Row
from riskengine.records.fields import excerpt
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.types import Trade, Verdict
from riskengine.serve.access.permissions import OPS, check, granted_tops
from riskengine.serve.answers.answers import ListAnswer, Question, json_answer, list_answer, stamp
from riskengine.serve.answers.problems import HttpProblem, bad_field, not_for
from riskengine.serve.answers.shapes import EXCEPTION, names
from riskengine.serve.answers.wire import trade_record
from riskengine.serve.routes.ordering import Value, sorted_places
from riskengine.serve.routes.trades import read_body
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot
from riskengine.views.grants import Grants

MAX_COMMENT = 2_000

KINDS = ("conflict", "parked", "unmatched", "quarantined", "late", "unpriced", "suspect", "expired")


async def answer_exceptions(question: Question) -> Response:
    """The work list: of one kind, or all kinds in the order of KINDS; the newest of a kind first."""
    snapshot, values = question.snapshot, question.values
    trading_day = TradingDay.of(question.gateway.config.engine)
    kinds = KINDS if values["kind"] is None else (values["kind"],)
    items = [item for kind in kinds for item in _items(snapshot, kind, trading_day, question.grants)]
    row_of = partial(exception_row, verdicts=snapshot.verdicts, exact=question.exact)
    if question.sort is not None:
        field = question.sort.field

        def value_of(item: ExceptionItem) -> Value:
            value = exception_row(item, verdicts=snapshot.verdicts)[field]
            return value if isinstance(value, int | float | str) else None

        places = await sorted_places(items, value_of, descending=question.sort.descending)
        items = [items[place] for place in places.tolist()]
    first = values["offset"]
    shown = items[first : first + values["limit"]]
    return list_answer(question, ListAnswer(question.header(), names(EXCEPTION), shown, row_of, len(items)))


class Decided(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent to decide about an exception: `verdict` and `action` are two names of one word."""

    action: str = ""
    verdict: str = ""
    comment: str = ""


_decoder = msgspec.json.Decoder(Decided)

WORDS = {
    "conflict": ("accept", "reject"),
    "quarantined": ("accept", "reject"),
    "suspect": ("accept", "reject"),
    "parked": ("accept",),
    "unmatched": ("accept",),
    "late": ("accept",),
    "unpriced": ("accept",),
    "expired": ("accept",),
}
"""What can be decided about a kind; `accept` of what has no effect of its own says that a person has seen it."""


async def take_verdict(question: Question) -> Response:
    """Accept, reject or comment on an exception. Raises Problem, NotAllowed, StoreUnavailable, EngineNotLive."""
    gateway, snapshot, principal = question.gateway, question.snapshot, question.principal
    sent = _read(await read_body(question))
    item_id = question.request.path_params["id"]
    trading_day = TradingDay.of(gateway.config.engine)
    item = next(
        (item for kind in KINDS for item in _items(snapshot, kind, trading_day, principal.grants) if item.id == item_id), None
    )
    if item is None:
        raise HttpProblem(404, f"unknown exception {excerpt(item_id)}")
    word = sent.action or sent.verdict
    if word != "comment":
        check(OPS, principal)
    _check_word(item, word)
    known = snapshot.verdicts.get(item.id)
    if word == "comment" and known is not None:
        word = known.verdict  # a comment leaves standing what was decided
    verdict = Verdict(item.id, "" if word == "comment" else word, sent.comment, principal.name, gateway.clock.now())
    await gateway.decide(item, verdict)
    newest = gateway.history.newest
    return json_answer(stamp(newest) | exception_row(item, verdicts={item.id: verdict}, exact=question.exact))


def _read(body: bytes) -> Decided:
    try:
        sent = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(400, f"the body is not a verdict: {error}") from None
    if sent.action and sent.verdict and sent.action != sent.verdict:
        raise bad_field("verdict", "says something else than action")
    check_comment(sent.comment)
    return sent


def check_comment(text: str) -> None:
    """Raises Problem where a store could not keep what a person says."""
    if len(text) > MAX_COMMENT:
        raise bad_field("comment", f"is longer than {MAX_COMMENT} characters")
    if "\0" in text:
        raise bad_field("comment", "has a character that a text cannot have")


def _check_word(item: ExceptionItem, word: str) -> None:
    """Raises Problem where nothing of the kind can be decided about the exception."""
    if word == "comment":
        return
    if word not in ("accept", "reject"):
        raise bad_field("action", f"must be accept, reject or comment: {excerpt(word)}")
    if word not in WORDS[item.kind]:
        raise not_for("action", f"{word}: {item.kind} exceptions end when their cause does, a person can only have seen them")
    if item.kind == "quarantined" and item.trade is None and word == "accept":
        raise not_for("action", "accept: this row cannot take part before its cause is mended")


def exception_row(item: ExceptionItem, *, verdicts: Mapping[str, Verdict], exact: bool = False) -> RowDict:
    """One entry of the work list, with what a person said of it."""
    verdict = verdicts.get(item.id)
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
        "verdict": None if verdict is None else verdict.verdict or None,
        "comment": None if verdict is None else verdict.comment or None,
        "verdict_by": None if verdict is None else verdict.actor,
        "verdict_ts": None if verdict is None else verdict.ts,
    }


def _items(snapshot: Snapshot, kind: str, trading_day: TradingDay, grants: Grants) -> list[ExceptionItem]:
    """Those of a kind that are shown. What is about no desk, dealer or instrument is for whoever sees everything."""
    seen: dict[str, Callable[[], Iterator[ExceptionItem]]] = {
        "unpriced": lambda: _unpriced(snapshot, grants),
        "suspect": lambda: _suspect(snapshot),
        "expired": lambda: _expired(snapshot, trading_day, grants),
    }
    if kind in seen:
        return list(seen[kind]())
    items: Iterable[ExceptionItem] = snapshot.exceptions.get(kind, ())
    if not grants.see_everything:
        hierarchy = snapshot.reference.hierarchy
        items = [shown for item in items if (shown := _shown(item, grants, hierarchy)) is not None]
    return sorted(items, key=lambda item: -item.ts)


def _shown(item: ExceptionItem, grants: Grants, hierarchy: Hierarchy) -> ExceptionItem | None:
    """As much of an exception as is shown, None where that is nothing. A trade without desk and dealer is nobody's."""
    trade, detail = item.trade, item.detail
    if trade is None:
        rollup, owner = detail.get("rollup"), str(detail.get("owner", ""))
        if rollup is None:
            return None
        return item if (grants.sees_below(hierarchy, owner) if rollup == "node" else grants.sees_dealer(owner)) else None
    if not (trade.desk or trade.dealer) or not grants.sees_trade(hierarchy, trade.desk, trade.dealer):
        return None
    other = detail.get("stands")
    if isinstance(other, Trade) and not grants.sees_trade(hierarchy, other.desk, other.dealer):
        return structs.replace(item, detail=detail | {"stands": None})
    if "before" in detail and not grants.sees_below(hierarchy, trade.desk):  # what the desk's position was is not the dealer's
        return structs.replace(item, detail={"late_by_s": detail.get("late_by_s")})
    return item


def _rows(snapshot: Snapshot, grants: Grants) -> list[Row]:
    """What is shown of what the whole house holds, by instrument; several of one where several nodes or dealers are shown."""
    tops = granted_tops(grants, snapshot.reference.hierarchy)
    held = [row for top in tops for row in snapshot.nodes.state(top).positions()]
    if not grants.see_everything:
        known = {row.instrument for row in held}
        numbers = (number for number, name in enumerate(snapshot.dealer_names) if grants.sees_dealer(name))
        of_dealers = (row for number in numbers for row in snapshot.dealers.state(number).positions())
        held += [row for row in of_dealers if row.instrument not in known]  # the others are there already, by their desks
    return sorted(held, key=lambda row: row.instrument)


def _unpriced(snapshot: Snapshot, grants: Grants) -> Iterator[ExceptionItem]:
    """Instruments that are held and whose price or rate is unknown.

    Their positions, with the quarantined ones, add up to the root's unpriced_count.
    """
    units, reference = snapshot.units, snapshot.reference
    for number, rows in groupby(_rows(snapshot, grants), key=lambda row: row.instrument):
        held = list(rows)
        instrument = reference.instruments[number]
        if not units.rated[number]:
            count = sum(row.position_count - row.quarantined for row in held)
            reason = f"no rate leads from {instrument.currency} to {reference.reporting_currency}"
        elif not units.priced[number]:
            count, reason = sum(row.open_count for row in held), "no price has been heard"
        else:
            count = 0
        if not count:
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
                "instrument": symbol,
                "suspect": mark.suspect,
                "mark": good,
                "mark_ts": mark.ts or None,
            }
            stays = "there is no mark" if good is None else f"{good} stays the mark"
            reason = f"{mark.suspect} is held back; {stays}"
            yield ExceptionItem(f"suspect:{symbol}", "suspect", mark.suspect_ts, reason, None, detail)


def _expired(snapshot: Snapshot, trading_day: TradingDay, grants: Grants) -> Iterator[ExceptionItem]:
    """Open positions in what has expired: at the moment that the instrument says, or at the end of that day in its zone."""
    now = trading_day.local_time(snapshot.as_of)
    for number, rows in groupby(_rows(snapshot, grants), key=lambda row: row.instrument):
        instrument = snapshot.reference.instruments[number]
        count = sum(row.open_count for row in rows)
        if count and instrument.expiry and _has_expired(instrument.expiry, now):
            detail: dict[str, object] = {
                "instrument": instrument.instrument,
                "expiry": instrument.expiry,
                "positions": count,
            }
            reason = f"expired {instrument.expiry} with {count} open positions"
            yield ExceptionItem(f"expired:{instrument.instrument}", "expired", 0, reason, None, detail)


def _has_expired(expiry: str, now: dt.datetime) -> bool:
    """`expiry` is a date, or a moment with its offset."""
    if len(expiry) <= len("2026-11-21"):
        return dt.date.fromisoformat(expiry) < now.date()
    return dt.datetime.fromisoformat(expiry) <= now
