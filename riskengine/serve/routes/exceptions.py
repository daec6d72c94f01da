"""The exceptions that need a person: those that the engine lists, and those that a snapshot shows."""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby

import msgspec
from msgspec import structs
from starlette.responses import Response

from riskengine.clock import MICROS_PER_SECOND, utc_text
from riskengine.market.trading_day import TradingDay
from riskengine.positions.ledger import Row
from riskengine.positions.processed import escape_name
from riskengine.records.decode import refusal_text
from riskengine.records.fields import excerpt, micros
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.types import Trade, Verdict
from riskengine.serve.access.permissions import OPS, check, granted_tops
from riskengine.serve.answers.answers import ListAnswer, Question, json_answer, list_answer, stamp
from riskengine.serve.answers.problems import HttpProblem, bad_field, conflict
from riskengine.serve.answers.shapes import EXCEPTION, names
from riskengine.serve.answers.wire import trade_record
from riskengine.serve.routes.lists import Value, sorted_places
from riskengine.serve.routes.trades import check_names, read_body
from riskengine.snapshot.expired_options import expired_option, is_booked, is_over
from riskengine.snapshot.rows import RowDict, fees_are_known
from riskengine.snapshot.shown_marks import unvalued_reason, valued_option
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, node_number, verdict_on
from riskengine.valuation.day_start import ClosePrices
from riskengine.valuation.day_values import UNKNOWN_COUNT
from riskengine.views.grants import EVERYTHING, Grants

MAX_COMMENT_CHARS = 2_000

KINDS = (
    "conflict",
    "parked",
    "unmatched",
    "quarantined",
    "late",
    "off_market",
    "possible_duplicate",
    "unpriced",
    "no_close",
    "no_fixing",
    "suspect",
    "older_rule",
    "waiting",
    "expired",
)


async def answer_exceptions(question: Question) -> Response:
    """The exceptions of one kind, or of all kinds in the order of KINDS; the newest of a kind first."""
    snapshot, values = question.snapshot, question.values
    trading_day = TradingDay.of(question.gateway.config.engine)
    kinds = KINDS if values["kind"] is None else (values["kind"],)
    items = _asked_for(question, exception_items(snapshot, kinds, trading_day, question.grants))
    row_of = partial(listed_row, verdicts=snapshot.verdicts, now=snapshot.as_of, exact=question.exact)
    if question.sort is not None:
        field = question.sort.field

        def value_of(item: ExceptionItem) -> Value:
            value = listed_row(item, verdicts=snapshot.verdicts, now=snapshot.as_of)[field]
            return value if isinstance(value, int | float | str) else None

        places = await sorted_places(items, value_of, descending=question.sort.descending)
        items = [items[place] for place in places.tolist()]
    first = values["offset"]
    page = items[first : first + values["limit"]]
    return list_answer(question, ListAnswer(question.header(), names(EXCEPTION), page, row_of, len(items)))


def _asked_for(question: Question, items: list[ExceptionItem]) -> list[ExceptionItem]:
    """The exceptions about trades below a node, of a dealer, an instrument or a source, where that is asked. O(items).

    Raises UnknownName, Forbidden.
    """
    snapshot, values = question.snapshot, question.values
    check_names(question)
    node, dealer, instrument, source = (values[name] for name in ("node", "dealer", "instrument", "source"))
    if node is dealer is instrument is source is None:
        return items
    hierarchy = snapshot.reference.hierarchy
    desks = None if node is None else {*hierarchy.leaves_below(node_number(snapshot, node))}

    def is_asked_for(item: ExceptionItem) -> bool:
        trade = item.trade
        if trade is None:
            return node is dealer is source is None and item.detail.get("instrument") == instrument
        return (
            (desks is None or trade.desk in desks)
            and dealer in (None, trade.dealer)
            and instrument in (None, trade.instrument)
            and source in (None, trade.source)
        )

    return [item for item in items if is_asked_for(item)]


class VerdictBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a verdict: `verdict` and `action` are two names of one field."""

    action: str = ""
    verdict: str = ""
    comment: str = ""


_decode_body = msgspec.json.Decoder(VerdictBody).decode

ACTIONS = {
    "conflict": ("accept", "reject"),
    "quarantined": ("accept", "reject"),
    "suspect": ("accept", "reject"),
    "parked": ("accept",),
    "unmatched": ("accept",),
    "late": ("accept",),
    "off_market": ("accept",),
    "possible_duplicate": ("accept",),
    "unpriced": ("accept",),
    "no_close": ("accept",),
    "no_fixing": ("accept",),
    "older_rule": ("accept",),
    "waiting": ("accept",),
    "expired": ("accept", "reject"),
}
"""The actions for each kind. `accept` without an effect of its own says that a person has seen the exception."""


async def take_verdict(question: Question) -> Response:
    """Accept, reject or comment on an exception. Raises HttpProblem, Forbidden, StoreUnavailable, EngineNotLive."""
    history = question.gateway.history  # an engine that is not live says so, whatever was sent
    sent = _read_verdict(await read_body(question))
    async with question.gateway.deciding:
        item, verdict = await _decide(question, question.request.path_params["id"], sent)
    newest = history.newest
    row = exception_row(item, verdicts={item.id: verdict}, now=newest.as_of, exact=question.exact)
    return json_answer(stamp(newest) | row)


async def _decide(question: Question, item_id: str, sent: VerdictBody) -> tuple[ExceptionItem, Verdict]:
    """The exception and the verdict that is in force on it: the one sent, or the equal one from before."""
    gateway, principal = question.gateway, question.principal
    snapshot = gateway.history.newest
    trading_day = TradingDay.of(gateway.config.engine)
    item = next(
        (item for kind in KINDS for item in _visible_items(snapshot, kind, trading_day, principal.grants) if item.id == item_id),
        None,
    )
    known = snapshot.verdicts.get(item_id)
    action = sent.action or sent.verdict
    if item is None:
        if known is None or not known.verdict or not principal.grants.see_everything:
            raise HttpProblem(404, f"unknown exception {excerpt(item_id)}")
        check(OPS, principal)
        return ExceptionItem(item_id, item_id.partition(":")[0], 0, DECIDED, None, {}), same_verdict(known, action)
    if action != "comment":
        check(OPS, principal)
    check_action(item, action)
    if action != "comment" and is_booked(item) and not principal.grants.see_everything:
        raise conflict("action", f"{action}: it books the positions of every desk, and the token does not show them all")
    stands = verdict_on(item, snapshot.verdicts)
    if stands is not None and is_repeat(stands, action, sent.comment):
        return item, stands
    verdict = Verdict(item.id, "" if action == "comment" else action, sent.comment, principal.name, gateway.clock.now())
    await gateway.decide(item, verdict)
    if action == "comment" and stands is not None:  # it decides nothing and leaves what was decided
        verdict = structs.replace(verdict, verdict=stands.verdict)
    return item, verdict


DECIDED = "decided, and off the list"


def same_verdict(known: Verdict, action: str) -> Verdict:
    """The verdict that stands on what is not listed any more, if it is this one. Raises HttpProblem: who decided, and when."""
    if action == known.verdict:
        return known
    said = f"{excerpt(known.actor)} decided {known.verdict} at {utc_text(known.ts)}"
    if action not in ("accept", "reject", "comment"):
        raise bad_field("action", f"must be accept, reject or comment: {excerpt(action)}")
    raise conflict("action", f"{action}: it is not listed any more; {said}, and that stands")


def is_repeat(stands: Verdict, action: str, comment: str) -> bool:
    """Whether a person says again what stands (`verdict_on`)."""
    return action == stands.verdict and comment in ("", stands.comment)


def _read_verdict(body: bytes) -> VerdictBody:
    try:
        sent = _decode_body(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(400, f"the body is not a verdict: {refusal_text(error, VerdictBody)}") from None
    if sent.action and sent.verdict and sent.action != sent.verdict:
        raise bad_field("verdict", "contradicts action")
    check_comment(sent.comment)
    return sent


def check_comment(text: str) -> None:
    """Raises HttpProblem if a store could not keep the comment."""
    if len(text) > MAX_COMMENT_CHARS:
        raise bad_field("comment", f"is longer than {MAX_COMMENT_CHARS} characters")
    if "\0" in text:
        raise bad_field("comment", "has a NUL character")


def check_action(item: ExceptionItem, action: str) -> None:
    """Raises HttpProblem if the action does not apply to the exception."""
    if action == "comment":
        return
    if action not in ("accept", "reject"):
        raise bad_field("action", f"must be accept, reject or comment: {excerpt(action)}")
    if action not in ACTIONS[item.kind]:
        raise conflict("action", f"{action}: {item.kind} exceptions end with their cause; a person can only accept them as seen")
    if item.kind == "expired" and action == "reject" and not is_booked(item):
        raise conflict("action", "reject: book what becomes of it as trades; a person can only accept it as seen")
    if item.kind == "quarantined" and item.trade is None and action == "accept":
        raise conflict("action", "accept: this row cannot be applied before its cause is fixed")


def exception_row(item: ExceptionItem, *, verdicts: Mapping[str, Verdict], now: int, exact: bool = False) -> RowDict:
    """The row of an exception, with its age at `now` and its verdict."""
    verdict = verdicts.get(item.id)
    trade = item.trade
    instrument = item.detail.get("instrument") if trade is None else trade.instrument
    return {
        "id": item.id,
        "kind": item.kind,
        "ts": item.ts or None,
        "age_s": max(0, now - item.ts) / MICROS_PER_SECOND if item.ts else None,
        "reason": item.reason,
        "instrument": instrument or None,
        "trade": None if trade is None else trade_record(trade, exact=exact),
        "detail": item.detail,
        "verdict": None if verdict is None else verdict.verdict or None,
        "comment": None if verdict is None else verdict.comment or None,
        "verdict_by": None if verdict is None else verdict.actor,
        "verdict_ts": None if verdict is None else verdict.ts,
    }


def listed_row(item: ExceptionItem, *, verdicts: Mapping[str, Verdict], now: int, exact: bool = False) -> RowDict:
    """The row of an exception that is listed now: what was decided about an earlier one of its id is not its verdict."""
    verdict = verdict_on(item, verdicts)
    return exception_row(item, verdicts={} if verdict is None else {item.id: verdict}, now=now, exact=exact)


def exception_items(
    snapshot: Snapshot, kinds: Iterable[str], trading_day: TradingDay, grants: Grants = EVERYTHING
) -> list[ExceptionItem]:
    """The visible exceptions of these kinds, in their order; the newest of a kind first."""
    return [item for kind in kinds for item in _visible_items(snapshot, kind, trading_day, grants)]


def _visible_items(snapshot: Snapshot, kind: str, trading_day: TradingDay, grants: Grants) -> list[ExceptionItem]:
    """The visible exceptions of a kind.

    One without desk, dealer and instrument is visible only to principals that see everything.
    """
    visible: dict[str, Callable[[], Iterator[ExceptionItem]]] = {
        "unpriced": lambda: _unpriced_items(snapshot, grants),
        "no_close": lambda: _no_close_items(snapshot, grants),
        "no_fixing": lambda: _no_fixing_items(snapshot, grants),
        "suspect": lambda: _suspect_items(snapshot),
        "waiting": lambda: _waiting_items(snapshot, grants),
        "expired": lambda: _expired_items(snapshot, trading_day, grants),
    }
    if kind in visible:
        return list(visible[kind]())
    items: Iterable[ExceptionItem] = snapshot.exceptions.get(kind, ())
    if not grants.see_everything:
        hierarchy = snapshot.reference.hierarchy
        items = [part for item in items if (part := _visible_part(item, grants, hierarchy)) is not None]
    return sorted(items, key=lambda item: -item.ts)


def _waiting_items(snapshot: Snapshot, grants: Grants) -> Iterator[ExceptionItem]:
    """What waits: closes and actions for everybody; visible trades, and what an action leaves open at a visible desk."""
    hierarchy = snapshot.reference.hierarchy
    for item in snapshot.exceptions.get("waiting", ()):
        for_all = grants.see_everything or (item.trade is None and "rollup" not in item.detail)
        part = item if for_all else _visible_part(item, grants, hierarchy)
        if part is not None:
            yield part


def _visible_part(item: ExceptionItem, grants: Grants, hierarchy: Hierarchy) -> ExceptionItem | None:
    """The visible part of an exception, None if there is none. A trade without desk and dealer belongs to nobody."""
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


def _visible_positions(snapshot: Snapshot, grants: Grants) -> list[Row]:
    """The rows of `visible_rows`, of leaves and dealers in place of what is above them. O(positions)."""
    hierarchy = snapshot.reference.hierarchy
    tops = granted_tops(grants, hierarchy)
    return _with_dealers(snapshot, grants, [hierarchy.index[leaf] for top in tops for leaf in hierarchy.leaves_below(top)])


def visible_rows(snapshot: Snapshot, grants: Grants) -> list[Row]:
    """The visible rows of the whole house, by instrument; several of one if several nodes or dealers are visible."""
    return _with_dealers(snapshot, grants, granted_tops(grants, snapshot.reference.hierarchy))


def _with_dealers(snapshot: Snapshot, grants: Grants, nodes: Iterable[int]) -> list[Row]:
    """The rows of some nodes, and those of the visible dealers in other instruments, by instrument."""
    held = [row for node in nodes for row in snapshot.nodes.state(node).positions()]
    if not grants.see_everything:
        known = {row.instrument for row in held}
        numbers = (number for number, name in enumerate(snapshot.dealer_names) if grants.sees_dealer(name))
        of_dealers = (row for number in numbers for row in snapshot.dealers.state(number).positions())
        held += [row for row in of_dealers if row.instrument not in known]  # the others are there by their desks
    return sorted(held, key=lambda row: row.instrument)


def _unpriced_items(snapshot: Snapshot, grants: Grants) -> Iterator[ExceptionItem]:
    """Instruments with positions of which something is unknown: the price, a rate, the delta or the fees.

    Their positions, with the quarantined ones, add up to the root's unpriced_count.
    """
    units, reference = snapshot.units, snapshot.reference
    charged = _unknown_fees(snapshot, grants)
    for number, rows in groupby(visible_rows(snapshot, grants), key=lambda row: row.instrument):
        held = list(rows)
        instrument = reference.instruments[number]
        if not units.rated[number]:
            count = sum(row.position_count - row.quarantined for row in held)
            reason = f"no rate leads from {instrument.currency} to {reference.reporting_currency}"
            reason = _forward_reason(snapshot, number) or reason
        elif not units.priced[number]:
            left = {} if snapshot.adjustments is None else snapshot.adjustments.unadjusted
            count = sum(row.open_count for row in held)
            none = _forward_reason(snapshot, number) or "no price has been received"
            reason = unvalued_reason(snapshot, number) or left.get(instrument.instrument, none)
        elif units.no_delta[number]:
            count, why = sum(row.open_count for row in held), unvalued_reason(snapshot, number)
            reason = "its delta is unknown, and so is its exposure" + (f": {why}" if why else "")
        else:
            count, reason = 0, ""
        if number in charged:
            more, currencies = charged[number]
            count += more
            reason += f"{reason and '; '}fees in {', '.join(sorted(currencies))} have no rate"
        if not count:
            continue
        detail: dict[str, object] = {"instrument": instrument.instrument, "positions": count}
        yield ExceptionItem(f"unpriced:{instrument.instrument}", "unpriced", 0, reason, None, detail)


def _no_fixing_items(snapshot: Snapshot, grants: Grants) -> Iterator[ExceptionItem]:
    """Forwards with open positions whose fixing date is over, and whose fixing nobody has said: they move with spot."""
    market = snapshot.forwards
    waiting = {} if market is None else market.without_fixing(snapshot.reference, snapshot.current_day)
    for number, rows in groupby(visible_rows(snapshot, grants) if waiting else (), key=lambda row: row.instrument):
        count = sum(row.open_count for row in rows)
        if number in waiting and count:
            symbol = snapshot.reference.symbols[number]
            reason = f"its fixing of {waiting[number]} is missing: load a close of that date of it or of its fixing_source"
            detail: dict[str, object] = {"instrument": symbol, "date": waiting[number], "positions": count}
            yield ExceptionItem(f"no_fixing:{escape_name(symbol)}", "no_fixing", 0, reason, None, detail)


def _forward_reason(snapshot: Snapshot, number: int) -> str:
    return "" if snapshot.forwards is None else snapshot.forwards.reason_of(number)


def _no_close_items(snapshot: Snapshot, grants: Grants) -> Iterator[ExceptionItem]:
    """Instruments with positions brought forward from a close that has no price or no rate for them: their day is unknown.

    O(positions at the close), where there are such.
    """
    day, table = snapshot.day, snapshot.nodes.day
    tops = granted_tops(grants, snapshot.reference.hierarchy)
    if day is None or table is None or not any(table.measures(top)[UNKNOWN_COUNT] for top in tops):
        return
    reference = snapshot.reference
    leaves = {reference.hierarchy.index[leaf] for top in tops for leaf in reference.hierarchy.leaves_below(top)}
    counts: dict[int, int] = {}
    for owner, number in table.start.carried():
        if owner in leaves and _is_without_close(snapshot, day.prices, number):
            counts[number] = counts.get(number, 0) + 1
    for number, count in sorted(counts.items()):
        instrument = reference.instruments[number]
        lacks = "price" if math.isnan(day.prices.price[number]) else f"rate of {instrument.currency}"
        reason = f"the close of {day.window.closed} has no {lacks}: the day of {count:,} positions is unknown; load the close"
        detail: dict[str, object] = {"instrument": instrument.instrument, "date": day.window.closed, "positions": count}
        yield ExceptionItem(
            f"no_close:{escape_name(instrument.instrument)}", "no_close", day.window.start_ts, reason, None, detail
        )


def _is_without_close(snapshot: Snapshot, prices: ClosePrices, number: int) -> bool:
    rate = prices.rate[snapshot.reference.cash_currency[number]]
    return math.isnan(prices.price[number]) or math.isnan(prices.published[number]) or math.isnan(rate)


def _unknown_fees(snapshot: Snapshot, grants: Grants) -> dict[int, tuple[int, set[str]]]:
    """By instrument: how many visible positions are unpriced by nothing but their fees, and the currencies of those.

    O(visible rows), and O(positions below) where some have fees without a rate.
    """
    wanted = {row.instrument for row in visible_rows(snapshot, grants) if not fees_are_known(snapshot, row)}
    units, index, known = snapshot.units, snapshot.reference.currency_index, snapshot.rates.fee_known
    found: dict[int, tuple[int, set[str]]] = {}
    for row in _visible_positions(snapshot, grants) if wanted else ():
        number = row.instrument
        if number not in wanted or not units.rated[number] or fees_are_known(snapshot, row):
            continue
        if row.open_count and (not units.priced[number] or units.no_delta[number]):
            continue
        count, currencies = found.setdefault(number, (0, set()))
        currencies.update(code for code in row.fees if not known[index[code]])
        found[number] = (count + 1, currencies)
    return found


def _suspect_items(snapshot: Snapshot) -> Iterator[ExceptionItem]:
    """The levels that the mark policy holds back, one for each instrument and source."""
    for number, mark in enumerate(snapshot.units.marks):
        for level in () if mark is None else mark.suspects:
            symbol = snapshot.reference.symbols[number]
            good = mark.price if mark is not None and mark.ts else None
            detail: dict[str, object] = {
                "instrument": symbol,
                "source": level.source,
                "suspect": level.price,
                "mark": good,
                "mark_ts": mark.ts or None if mark is not None else None,
            }
            stays = "there is no mark" if good is None else f"{good} stays the mark"
            said = f"{level.price} of source {excerpt(level.source)}" if level.source else f"{level.price}"
            item_id = f"suspect:{escape_name(symbol)}" + (f":{escape_name(level.source)}" if level.source else "")
            yield ExceptionItem(item_id, "suspect", level.since, f"{said} is held back; {stays}", None, detail)


def _expired_items(snapshot: Snapshot, trading_day: TradingDay, grants: Grants) -> Iterator[ExceptionItem]:
    """Open positions in expired instruments. An expiry that is a date ends with that day in the zone of the trading day."""
    now = trading_day.local_time(snapshot.as_of)
    hierarchy = snapshot.reference.hierarchy
    leaves = [hierarchy.index[leaf] for top in granted_tops(grants, hierarchy) for leaf in hierarchy.leaves_below(top)]
    for number, rows in groupby(visible_rows(snapshot, grants), key=lambda row: row.instrument):
        instrument = snapshot.reference.instruments[number]
        count = sum(row.open_count for row in rows)
        if (option := valued_option(snapshot, number)) is not None:
            if count and is_over(*option):
                yield expired_option(snapshot, number, count, leaves, grants.sees_dealer)
            continue
        if count and instrument.expiry and _has_expired(instrument.expiry, now):
            detail: dict[str, object] = {
                "instrument": instrument.instrument,
                "expiry": instrument.expiry,
                "positions": count,
            }
            reason = f"expired {instrument.expiry} with {count} open positions"
            since = _expired_at(instrument.expiry, now.tzinfo)
            yield ExceptionItem(f"expired:{instrument.instrument}", "expired", since, reason, None, detail)


def _expired_at(expiry: str, zone: dt.tzinfo | None) -> int:
    """When an expiry was over, microseconds: a date with its day in a zone."""
    if len(expiry) > len("2026-11-21"):
        return micros(dt.datetime.fromisoformat(expiry))
    next_day = dt.date.fromisoformat(expiry) + dt.timedelta(days=1)
    return micros(dt.datetime.combine(next_day, dt.time(), zone))


def _has_expired(expiry: str, now: dt.datetime) -> bool:
    """`expiry` is a date, or a moment with its offset."""
    if len(expiry) <= len("2026-11-21"):
        return dt.date.fromisoformat(expiry) < now.date()
    return dt.datetime.fromisoformat(expiry) <= now
