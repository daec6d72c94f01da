"""`riskengine exceptions` and `decide`: what needs a person, from a running engine or the store, and the person's decision."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request

import click
import orjson
from msgspec import structs

from riskengine.cli.start import rebuild_engine
from riskengine.cli.streams import complain, say, say_json_text
from riskengine.cli.terminal import config_option, effective_config, fail, json_option, store_option
from riskengine.clock import SystemClock, utc_text
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.exercise import ExerciseDecision
from riskengine.engine_access import engine_opener
from riskengine.errors import EngineUnreachable, InputError, LeaseHeld
from riskengine.market.trading_day import TradingDay
from riskengine.records.fields import excerpt
from riskengine.records.option_inputs import DatedInput
from riskengine.records.types import Verdict
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.answers.wire import encode
from riskengine.serve.routes.exceptions import (
    DECIDED,
    KINDS,
    check_action,
    check_comment,
    exception_items,
    exception_row,
    is_repeat,
    listed_row,
    same_verdict,
)
from riskengine.snapshot.expired_options import is_booked
from riskengine.snapshot.snapshot import ExceptionItem, verdict_on
from riskengine.store.audit_trail import command_line_actor
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store

ACTIONS = ("accept", "reject", "comment")
ALL_ROWS = 1_000_000
TIMEOUT_S = 120

engine_option = click.option("--engine", metavar="URL", help="A running engine instead of the store.")

Row = Mapping[str, Any]


@click.command(name="exceptions")
@click.option("--kind", type=click.Choice(KINDS), metavar="KIND", help=f"One kind: {', '.join(KINDS)}.")
@engine_option
@store_option
@config_option
@json_option
def exceptions_command(kind: str | None, engine: str | None, store: str | None, config_path: str | None, as_json: bool) -> None:
    """List what needs a person: conflicts, quarantined trades, parked cancels and more."""
    if engine is not None:
        asked = {"limit": str(ALL_ROWS)} | ({} if kind is None else {"kind": kind})
        rows = _ask(engine, f"/v1/exceptions?{urlencode(asked)}")["rows"]
    else:
        rows = _rows_of_store(effective_config(config_path, store), KINDS if kind is None else (kind,))
    if as_json:
        say_json_text(encode({"rows": rows, "total": len(rows)}).decode())
        return
    for row in rows:
        say(_line(row))
    if not rows:
        say("nothing needs a person")


def _rows_of_store(config: Config, kinds: Sequence[str]) -> list[Row]:
    opened = open_store(config.store.url, create=False, read_only=True)
    try:
        snapshot = rebuild_engine(opened, config, None).snapshot
    finally:
        opened.close()
    items = exception_items(snapshot, kinds, TradingDay.of(config.engine))
    return [listed_row(item, verdicts=snapshot.verdicts, now=snapshot.as_of, exact=True) for item in items]


def _line(row: Row) -> str:
    """`quarantined  2026-11-30 17:00:00 UTC  2h  quarantined:file:T1:0:1  ts is ...`, and what a person said."""
    when = "-" if row["ts"] is None else utc_text(row["ts"])
    age = "-" if row["age_s"] is None else _age_text(row["age_s"])
    said = "" if row["verdict_ts"] is None else f"  [{row['verdict'] or 'comment'} by {_safe(row['verdict_by'])}{_comment(row)}]"
    return f"{row['kind']:<18} {when:<23} {age:>4}  {_safe(row['id'])}  {_safe(row['reason'])}{said}"


def _age_text(age_s: float) -> str:
    """An age in its largest whole unit: 40s, 5m, 2h, 12d."""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if age_s >= seconds:
            return f"{int(age_s // seconds)}{unit}"
    return f"{int(age_s)}s"


def _comment(row: Row) -> str:
    return f": {_safe(row['comment'])}" if row["comment"] else ""


def _safe(text: object) -> str:
    """A text of somebody else for a terminal: what is not printable is escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text or ""))


# -- deciding ----------------------------------------------------------------------------------------------------


@click.command(name="decide")
@click.argument("exception_id", metavar="ID")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--comment", default="", metavar="TEXT", help="Why; kept with the decision.")
@engine_option
@store_option
@config_option
def decide_command(
    exception_id: str, action: str, comment: str, engine: str | None, store: str | None, config_path: str | None
) -> None:
    """Decide about an exception (`riskengine exceptions` has the IDs): accept, reject, or only comment."""
    if action == "comment" and not comment.strip():
        raise click.UsageError("comment: --comment says what")
    if engine is not None:
        body = orjson.dumps({"action": action, "comment": comment})
        row = _ask(engine, f"/v1/exceptions/{quote(exception_id, safe='')}", body)
    else:
        row = _decide_in_store(effective_config(config_path, store), exception_id, action, comment)
    say(_line(row))


def _decide_in_store(config: Config, exception_id: str, action: str, comment: str) -> Row:
    """Store a decision as the one writer: the next start takes it into effect. Raises InputError, StoreError."""
    with _as_writer(config) as store:
        engine = rebuild_engine(store, config, None)
        snapshot = engine.snapshot
        items = exception_items(snapshot, KINDS, TradingDay.of(config.engine))
        item = next((item for item in items if item.id == exception_id), None)
        known = snapshot.verdicts.get(exception_id)
        if item is None and (known is None or not known.verdict):
            raise InputError(f"unknown exception {excerpt(exception_id)}; `riskengine exceptions` lists them")
        if item is None:
            gone = ExceptionItem(exception_id, exception_id.partition(":")[0], 0, DECIDED, None, {})
            return exception_row(gone, verdicts={gone.id: _standing(known, action)}, now=snapshot.as_of, exact=True)
        stands = verdict_on(item, snapshot.verdicts)
        if stands is not None and is_repeat(stands, action, comment):
            return exception_row(item, verdicts={item.id: stands}, now=snapshot.as_of, exact=True)
        verdict = _verdict(item, action, comment)
        if verdict.verdict and is_booked(item):
            _book(engine, store, item, verdict)
        else:
            accepts = item.kind == "conflict" and verdict.verdict == "accept"
            store.save_verdict(verdict, item.trade if accepts else None)
        if action == "comment" and stands is not None:  # it decides nothing and leaves what was decided
            verdict = structs.replace(verdict, verdict=stands.verdict)
    return exception_row(item, verdicts={item.id: verdict}, now=snapshot.as_of, exact=True)


def _book(engine: Engine, store: Store, item: ExceptionItem, verdict: Verdict) -> None:
    """Store a decision about an expired option with the trades that carry it out, as a running engine does.

    Stores the spots of cuts too that no engine has noted: they decided. Raises InputError, StoreError.
    """
    decision = ExerciseDecision(verdict.verdict == "accept", verdict.actor, verdict.ts)
    trades = engine.exercise_trades(str(item.detail["instrument"]), decision)
    spots = engine.options.take_cut_spots()
    store.save_option_inputs([DatedInput(engine.trading_day.date_of(spot.ts).isoformat(), spot) for spot in spots])
    store.save_spot_facts(engine.quarantine.spot_dates.prepare(trades, engine.reference.by_symbol))
    store.save_booking(verdict, trades)


def _standing(known: Verdict | None, action: str) -> Verdict:
    assert known is not None, "somebody has decided"
    try:
        return same_verdict(known, action)
    except HttpProblem as problem:
        raise InputError(problem.detail) from None


def _verdict(item: ExceptionItem, action: str, comment: str) -> Verdict:
    try:
        check_action(item, action)
        check_comment(comment)
    except HttpProblem as problem:
        raise InputError(problem.detail) from None
    return Verdict(item.id, "" if action == "comment" else action, comment, command_line_actor(), SystemClock().now())


@contextmanager
def _as_writer(config: Config) -> Iterator[Store]:
    try:
        store = open_store(config.store.url, create=False, writer="riskengine decide")
    except LeaseHeld as held:
        complain(str(held))
        fail("a running engine takes decisions itself: name it by --engine URL")
    try:
        yield store
    finally:
        store.close()


def _ask(engine: str, path: str, body: bytes | None = None) -> Any:
    """The answer of a running engine. Raises EngineUnreachable; a refusal ends the command with the engine's reason."""
    try:
        request = Request(f"{engine.rstrip('/')}{path}", body, {"Content-Type": "application/json"} if body else {})  # noqa: S310
        with engine_opener().open(request, timeout=TIMEOUT_S) as answer:
            return orjson.loads(answer.read())
    except HTTPError as error:
        with error:
            fail(f"{engine}: {_safe(_detail(error))}")
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise EngineUnreachable(f"{engine}: no answer from an engine: {reason}") from None


def _detail(error: HTTPError) -> str:
    try:
        return str(orjson.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the engine answered HTTP {error.code}"
