"""A gateway over a real engine, without store, threads or beats: trades and ticks take effect when they are sent.

And two ways to talk to the application behind it: in this process (`ask`), and over sockets (`serving`, `Client`).
"""

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import uvicorn
from msgspec import structs
from starlette.types import ASGIApp

from riskengine.alerts import Warnings
from riskengine.clock import Clock, ManualClock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Receipt
from riskengine.engine.moment import Known, Moment
from riskengine.engine.preview import Preview, Previewer
from riskengine.errors import BeforeTheStore, EngineNotLive
from riskengine.limits.judge import Judge, Judgement
from riskengine.market.option_input_book import OptionInputBook
from riskengine.market.quote_book import AnyTick
from riskengine.market.spot_dates import SpotDates
from riskengine.market.tick_limits import LimitedQuoteBook, TicksTaken
from riskengine.market.trading_day import TradingDay
from riskengine.observe import Metrics
from riskengine.positions.adjustments import NO_CHANGES
from riskengine.records.actions import Action, ActionRows
from riskengine.records.breaches import Breach
from riskengine.records.cash import CashOutcome, CashRecord, stored_row
from riskengine.records.closes import ClosedPosition, CloseHeader, CloseOutcome, StruckClose
from riskengine.records.decode import TradeCheck
from riskengine.records.fields import to_text
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.limits import LIMIT, Limit
from riskengine.records.manual_marks import ManualMark, MarkStatus
from riskengine.records.margin_rules import MARGIN, MarginRule
from riskengine.records.option_input_checks import OptionInputCheck
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference
from riskengine.records.types import Close, Trade, Verdict, attributes_of
from riskengine.scenarios.workbench import Workbench
from riskengine.serve.answers.shapes import AUDIT, names
from riskengine.serve.app import create_app
from riskengine.serve.gateway import NO_ATTRIBUTE
from riskengine.snapshot.curves import Curves
from riskengine.snapshot.digest import digest
from riskengine.snapshot.explain import HeldSide, SpanBegin, SpanEnd, explain
from riskengine.snapshot.explain_sides import SnapshotOptions, SnapshotPrices, side_now
from riskengine.snapshot.explanation import Explanation, ToldInstant, When
from riskengine.snapshot.groups import NO_PART, Parts, TradePart, add_parts
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory, UnknownName
from riskengine.store.tables.struck_closes import pack_close
from riskengine.views.grants import EVERYTHING, Grants
from tests.world import NOON, REFERENCE, mark_settings, row

T = TypeVar("T")

PORT = 8321
DAY = 86_400_000_000
MIDS = {"EURUSD": 1.2, "GBPUSD": 1.5, "USDJPY": 150.0, "ACME": 40.0, "ESZ6": 5_000.0}


class StandIn:
    """`riskengine.serve.gateway.Gateway`, small. `broken` is raised instead of taking trades."""

    def __init__(self, reference: Reference = REFERENCE, config: Config | None = None, clock: Clock | None = None) -> None:
        self.config = config or Config(marks=mark_settings())
        self.clock = clock or ManualClock(NOON)
        self.metrics = Metrics()
        self.warnings = Warnings(self.clock)
        self.curves = Curves(self.config.curves.samples)
        self.deciding = asyncio.Lock()
        self.engine = Engine(reference, self.config, epoch=7, now=self.clock.now())
        self.empty = self.engine.snapshot
        self.quotes = LimitedQuoteBook(reference, self.config.marks, self.config.engine.future_limit_s, self.config.ingest)
        self.trade_check = TradeCheck(reference.by_symbol, reference.hierarchy.leaves, reference.hierarchy.index)
        self.recent = SnapshotHistory(self.engine.snapshot, int(self.config.server.snapshot_history_s * 1_000_000))
        self.inputs = OptionInputBook(TradingDay.of(self.config.engine).date_of)
        self.stored: list[Trade] = []
        self.acted: list[Action] = []
        self.struck: dict[str, StruckClose] = {}
        self.official: list[Close] = []
        self.closes: dict[str, list[tuple[str, int, dict[str, float | None]]]] = {}
        """Of each node the date, version and amounts of its closes."""
        self.closes_of_dealers: dict[str, list[tuple[str, int, dict[str, float | None]]]] = {}
        self.digests_made = 0
        self.workbench = Workbench(self.config.scenarios)
        self.broken: Exception | None = None
        self.rules: dict[str, list[Any]] = {LIMIT: [], MARGIN: []}
        self.judge = Judge()
        self.audit_asked: dict[str, Any] = {}
        self.noted: list[tuple[str, str, dict[str, Any], str]] = []
        self.state = "live"
        self.progress = 1.0

    @property
    def is_live(self) -> bool:
        return self.state in ("live", "degraded")

    def _require_live(self) -> None:
        if not self.is_live:
            raise EngineNotLive(f"the engine is {self.state}")

    @property
    def publish_age_ms(self) -> int | None:
        return 0 if self.is_live else None

    @property
    def history(self) -> SnapshotHistory:
        self._require_live()
        return self.recent

    @property
    def check(self) -> TradeCheck:
        self._require_live()
        return self.trade_check

    @property
    def spot_dates(self) -> SpotDates:
        self._require_live()
        return self.engine.quarantine.spot_dates

    def publish(self) -> Snapshot:
        snapshot = self.engine.publish(self.clock.now())
        self.recent.publish(snapshot)
        return snapshot

    async def submit(self, trades: Sequence[Trade], check: TradeCheck) -> Receipt:
        self._require_live()
        if self.broken is not None:
            raise self.broken
        self.stored.extend(trades)
        outcomes = self.engine.apply(trades, self.clock.now(), len(self.stored))
        return Receipt(outcomes, self.publish().seq)

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> TicksTaken:
        self._require_live()
        taken = self.quotes.offer_counted(ticks, self.clock.now())
        self.engine.beat(self.quotes.take(), self.clock.now())
        self.publish()
        return taken

    def option_input_check(self) -> OptionInputCheck:
        self._require_live()
        return OptionInputCheck(self.engine.reference.by_symbol, self.config.engine.future_limit_s)

    def offer_option_inputs(self, rows: Sequence[OptionInput]) -> list[int]:
        self._require_live()
        older = self.inputs.offer(rows, self.clock.now())
        self.engine.beat({}, self.clock.now(), self.inputs.take_changed())
        self.publish()
        return older

    def feed_heartbeat(self, source: str, last_seq: int | None) -> str | None:
        """Nothing watches feeds here."""
        return None

    def note_refused(self, numbers: Sequence[tuple[str, int]]) -> None:
        """Nothing watches feeds here."""

    async def decide_feed(self, source: str, action: str, actor: str) -> dict[str, Any] | None:
        return {"source": source, "retired": action == "retire"} if source == "desk" else None

    async def on_writer(self, action: Callable[[Engine], T]) -> T:
        self._require_live()
        return action(self.engine)

    async def moment(self, ts: int, known: Known, *, whole: bool = False) -> Moment:
        """The only moment that this house knows is that of its engine."""
        self._require_live()
        if ts < NOON - DAY:
            raise BeforeTheStore(f"{ts} is before everything that the store holds")
        return Moment(self.engine, ts, self.engine.snapshot.as_of, known, ("a sentence",))

    async def explain(self, node: str, begin: When, end: When) -> Explanation:
        """Every span is from the empty house that this gateway began with to its newest snapshot."""
        self._require_live()
        if isinstance(begin, int) and begin < NOON - DAY:
            raise BeforeTheStore(f"{begin} is before everything that the store holds")
        if isinstance(begin, str) or isinstance(end, str):
            raise UnknownName(f"no close of {begin} is struck")
        snapshot = self.recent.newest
        owner = snapshot.reference.hierarchy.index[node]
        empty = HeldSide({}, SnapshotPrices(self.empty))
        last = SpanEnd(side_now(snapshot, snapshot.nodes, owner, {}), SnapshotOptions(snapshot), NO_CHANGES)
        found = explain(SpanBegin(empty, empty, {}), last, snapshot.reference.by_symbol)
        first, last_ts = (ToldInstant(each.as_of, None, None, ("a sentence",)) for each in (self.empty, snapshot))
        return Explanation(node, first, last_ts, snapshot, found)

    async def take_cash(self, kind: str, records: Sequence[CashRecord], actor: str) -> list[CashOutcome]:
        self._require_live()
        if self.broken is not None:
            raise self.broken
        taken = self.engine.take_cash([stored_row(record, self.clock.now()) for record in records], self.clock.now())
        self.publish()
        kept_out = {(each.record_id, each.version): each.reason for each in taken.kept_out}
        reasons = [kept_out.get((record.record_id, record.version)) for record in records]
        return [CashOutcome("applied") if reason is None else CashOutcome("quarantined", reason) for reason in reasons]

    async def set_marks(self, marks: Sequence[ManualMark], actor: str) -> tuple[list[MarkStatus], int]:
        self._require_live()
        for mark in marks:
            self.quotes.set_by_hand(mark, self.clock.now())
        self.engine.beat(self.quotes.take(), self.clock.now())
        self.publish()
        return ["applied"] * len(marks), self.engine.snapshot.seq

    @property
    def limits(self) -> Sequence[Limit]:
        self._require_live()
        return self.rules[LIMIT]

    @property
    def margin_rules(self) -> Sequence[MarginRule]:
        self._require_live()
        return self.rules[MARGIN]

    def judgement(self, snapshot: Snapshot) -> Judgement:
        self._require_live()
        return self.judge.judge(snapshot)

    async def save_risk_rules(self, kind: str, rules: Sequence[Limit | MarginRule], actor: str) -> list[str]:
        self._require_live()
        if self.broken is not None:
            raise self.broken
        self.rules[kind] += rules
        self.judge.set_limits(self.rules[LIMIT])
        return ["inserted"] * len(rules)

    async def breaches_of_limits(self, *, past: bool) -> list[Breach]:
        self._require_live()
        self.judge.judge(self.engine.snapshot)
        return self.judge.open_breaches

    async def acknowledge_breach(self, breach: Breach, actor: str, reason: str) -> Breach:
        stored = structs.replace(breach, acknowledged_by=actor, acknowledged_ts=self.clock.now(), reason=reason)
        self.judge.acknowledge(stored)
        return stored

    async def reconcile(self, *, repair: bool, actor: str) -> dict[str, Any]:
        self._require_live()
        return {"clean": True, "breaks": [], "repair": repair, "actor": actor}

    async def breaks(self, *, status: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        self._require_live()
        return [{"kind": "cash", "status": status or "gone"}], None

    async def comment_break(self, break_id: int, comment: str, actor: str) -> dict[str, Any] | None:
        self._require_live()
        return {"break_id": break_id, "comment": comment, "actor": actor} if break_id == 1 else None

    async def save_actions(self, actions: Sequence[Action]) -> list[str]:
        self._require_live()
        known = {(each.action_id, each.version) for each in self.acted}
        found = ["inserted" if (each.action_id, each.version) not in known else "existing" for each in actions]
        self.acted += [each for each, outcome in zip(actions, found, strict=True) if outcome == "inserted"]
        self.engine.take_actions(ActionRows(tuple(self.acted), {}), self.clock.now())
        self.publish()
        return found

    async def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        self._require_live()
        if self.broken is not None:
            raise self.broken
        if item.kind == "suspect" and verdict.verdict:
            self.quotes.decide(str(item.detail["instrument"]), str(item.detail["source"]), release=verdict.verdict == "accept")
            self.engine.beat(self.quotes.take(), self.clock.now())
        self.engine.decide(item, verdict)
        self.publish()

    async def frozen_trades(self, behind: Any, since: int, frozen: Any, reference: Any, place: Any) -> dict[Any, Any]:
        raise AssertionError("this engine freezes nothing")

    async def select_trades(
        self,
        *,
        node: str | None,
        instrument: str | None,
        dealer: str | None,
        since: int | None,
        versions: str,
        limit: int,
        snapshot: Snapshot,
        grants: Grants = EVERYTHING,
        attributes: Mapping[str, str] = NO_ATTRIBUTE,
        source: str | None = None,
        trade_id: str | None = None,
        action: str | None = None,
        kept_out: bool | None = None,
    ) -> tuple[list[dict[str, Any]], int]:
        hierarchy = snapshot.reference.hierarchy
        desks = hierarchy.leaves if node is None else set(hierarchy.leaves_below(hierarchy.index[node]))
        found = [
            (trade, number)
            for number, trade in enumerate(self.stored[: snapshot.watermark], start=1)
            if trade.desk in desks
            and instrument in (None, trade.instrument)
            and dealer in (None, trade.dealer)
            and trade.ts >= (since or 0)
            and attributes.items() <= attributes_of(trade)._asdict().items()
            and grants.sees_trade(hierarchy, trade.desk, trade.dealer)
            and source in (None, trade.source)
            and trade_id in (None, trade.trade_id)
        ]
        if versions == "latest":
            found = list({trade.identity: (trade, number) for trade, number in found}.values())
        out = {(key, version) for key, version in self.engine.processed.quarantined}
        out |= {(trade.identity, trade.version) for trade in self.engine.processed.parked.values()}
        found = [
            pair
            for pair in found
            if action in (None, pair[0].action) and kept_out in (None, (pair[0].identity, pair[0].version) in out)
        ]
        found.sort(key=lambda pair: (pair[0].ts, pair[1]), reverse=True)
        return [_stored_row(trade, number) for trade, number in found[:limit]], len(found)

    async def stored_deals(self, deals: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        self._require_live()
        return [
            _stored_row(trade, number)
            for number, trade in enumerate(self.stored, start=1)
            if (trade.source, trade.trade_id) in deals
        ]

    async def preview(self, trades: Sequence[Trade], check: TradeCheck) -> list[Preview]:
        self._require_live()
        deals = {(trade.source, trade.trade_id) for trade in trades}
        stored = [trade for trade in self.stored if (trade.source, trade.trade_id) in deals]
        return Previewer(stored, {}).judge(self.engine, trades)

    async def struck_close(
        self, date: str | None, rollup: str, owners: Sequence[str] | None
    ) -> tuple[CloseHeader, list[ClosedPosition]] | None:
        self._require_live()
        close = self.struck.get(date or max(self.struck, default=""))
        if close is None:
            return None
        packed = pack_close(close)
        positions = close.nodes if rollup == "node" else close.dealers
        return packed.header, [each for each in positions if owners is None or each.owner in owners]

    async def save_closes(self, closes: Sequence[Close], actor: str) -> list[CloseOutcome]:
        self._require_live()
        if self.broken is not None:
            raise self.broken
        self.official += closes
        return [CloseOutcome("applied") for _ in closes]

    async def close_totals(self, rollup: str, owner: str, since_date: str) -> list[tuple[str, int, dict[str, float | None]]]:
        closes = self.closes if rollup == "node" else self.closes_of_dealers
        return [close for close in closes.get(owner, ()) if close[0] >= since_date]

    async def ask_scenarios(self, work: Callable[[Workbench], T]) -> T:
        self._require_live()
        if self.broken is not None:
            raise self.broken
        return work(self.workbench)

    async def trade_groups(self, snapshot: Snapshot, by: str, *, node: str | None, dealer: str | None) -> Parts:
        """By the newest version of each trade, unless it is kept out or a cancel; nothing of forwards is proved here."""
        self._require_live()
        newest = {trade.identity: trade for trade in self.stored[: snapshot.watermark]}
        hierarchy = snapshot.reference.hierarchy
        desks = set(hierarchy.leaves_below(hierarchy.index[node])) if node is not None else set()
        found: dict[str, dict[str, TradePart]] = {}
        for trade in newest.values():
            mine = trade.dealer == dealer if dealer is not None else trade.desk in desks
            if not mine or trade.action == "cancel" or (trade.identity, trade.version) in self.engine.processed.quarantined:
                continue
            fees = {trade.fees_currency: trade.fees} if trade.fees else {}
            part = TradePart(trade.signed_quantity, trade.cash, fees, trade_fingerprint(trade), 1)
            groups, name = found.setdefault(trade.instrument, {}), getattr(attributes_of(trade), by)
            groups[name] = add_parts(groups.get(name, NO_PART), part)
        return found

    async def digest(self, snapshot: Snapshot) -> str:
        self.digests_made += 1
        return digest(snapshot)

    def starting(self) -> Mapping[str, Any]:
        return {"phase": "replay", "progress": self.progress, "trades_loaded": 73, "trades_total": 100}

    def health(self) -> Mapping[str, Any]:
        return {"feeds": [{"source": "test", "age_ms": 5}], "writer_lag_ms": 0.1, "store": "none"}

    async def audit_entries(self, **asked: Any) -> list[dict[str, Any]]:
        """What was noted, newest first; what was asked for stays in `audit_asked`."""
        self._require_live()
        self.audit_asked = asked
        found = [
            dict.fromkeys(names(AUDIT))
            | {"audit_seq": number, "kind": kind, "subject": subject, "detail": detail, "actor": actor, "row_count": 0}
            for number, (kind, subject, detail, actor) in enumerate(self.noted, start=1)
        ]
        return found[::-1][: asked["limit"]]

    def note(self, kind: str, subject: str, detail: Mapping[str, Any], actor: str) -> None:
        self.noted.append((kind, subject, dict(detail), actor))

    def listen(self, wake: Any) -> Any:
        return lambda: None


def _stored_row(trade: Trade, store_seq: int) -> dict[str, Any]:
    contra = trade.contra_amount
    return {
        "source": trade.source,
        "trade_id": trade.trade_id,
        "leg": trade.leg,
        "version": trade.version,
        "action": trade.action,
        "ts": trade.ts,
        "source_seq": trade.source_seq,
        "instrument": trade.instrument,
        "desk": trade.desk,
        "dealer": trade.dealer,
        "side": trade.side,
        "quantity": to_text(trade.quantity),
        "price": to_text(trade.price),
        "fees": to_text(trade.fees),
        "fees_currency": trade.fees_currency,
        "value_date": trade.value_date,
        "trade_date": trade.trade_date,
        "booked_ts": trade.booked_ts,
        "contra_amount": None if contra is None else to_text(contra),
        "legs": trade.legs,
        **attributes_of(trade)._asdict(),
        "store_seq": store_seq,
        "received_ts": trade.received_ts,
    }


class Answer(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def target(path: str, query: Mapping[str, object]) -> str:
    return quote(path) + ("?" + urlencode(query) if query else "")


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    query: Mapping[str, object] | str = "",
    body: Any = b"",
    headers: Mapping[str, str] | None = None,
    raises: type[Exception] | None = None,
) -> Answer:
    """One request to an application in this process. `body` is bytes, chunks of them, or a value to send as JSON.

    `raises` is the exception that the application raises for the server to log, after it has answered.
    """
    chunks = _chunks(body)
    sent = {"host": f"127.0.0.1:{PORT}"} | dict(headers or {})
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "client": ("127.0.0.1", 50_000),
        "query_string": (query if isinstance(query, str) else urlencode(query)).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items() if value],
        "server": ("127.0.0.1", PORT),
        "extensions": {},
    }
    messages: list[Any] = []
    answered = asyncio.Event()

    async def receive() -> Any:
        try:
            return {"type": "http.request", "body": await anext(chunks), "more_body": True}
        except StopAsyncIteration:
            pass
        if not receive.ended:  # type: ignore[attr-defined]
            receive.ended = True  # type: ignore[attr-defined]
            return {"type": "http.request", "body": b"", "more_body": False}
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    receive.ended = False  # type: ignore[attr-defined]
    with contextlib.suppress(*[raises] if raises else []):
        await app(scope, receive, send)
    start = next(message for message in messages if message["type"] == "http.response.start")
    text = b"".join(message.get("body", b"") for message in messages if message["type"] == "http.response.body")
    return Answer(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, text)


async def _chunks(body: Any) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        body = [body] if body else []
    elif not isinstance(body, Iterator):
        body = [json.dumps(body).encode()]
    for chunk in body:
        yield chunk


def ask(app: ASGIApp, path: str, query: Mapping[str, object] | str = "", **more: Any) -> Answer:
    """GET, without a socket."""
    return asyncio.run(call(app, more.pop("method", "GET"), path, query, **more))


def post(app: ASGIApp, path: str, body: Any, **more: Any) -> Answer:
    """POST, without a socket."""
    return asyncio.run(call(app, "POST", path, body=body, **more))


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The application on a free port of this machine, in a thread; gives its base URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, http="httptools", ws="websockets-sansio")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


class Client:
    """A program that talks to a running engine at a base URL, over one connection for each request."""

    def __init__(self, base_url: str) -> None:
        self.netloc = urlsplit(base_url).netloc

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(self.netloc, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: object) -> Any:
        answer = self.request("GET", target(path, query))
        assert answer.status == 200, answer
        return answer.json()

    def post(self, path: str, value: Any) -> Any:
        answer = self.request("POST", path, json.dumps(value).encode())
        assert answer.status == 200, answer
        return answer.json()


def newest(gateway: StandIn) -> Snapshot:
    return gateway.recent.newest


def problem(answer: Answer, status: int, field: str | None = None) -> dict[str, Any]:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert {"type", "title", "status", "detail", "errors"} <= told.keys()
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    if field is not None:
        assert [error["field"] for error in told["errors"]] == [field]
        assert field in told["detail"]
    return dict(told)


def traded(count: int = 0, **more: Any) -> StandIn:
    """An engine with positions on every desk: some short, one flat, one without a price and one without a rate."""
    gateway = StandIn(**more)
    deals = [
        row("t1", quantity="100", price="1.1", fees="2.5"),
        row("t2", desk="FX2", side="sell", quantity="40.5", price="1.15", dealer="bob", ts=NOON + 1),
        row("t3", instrument="GBPUSD", price="1.4", ts=NOON + 2),
        row("t4", instrument="USDJPY", desk="EM1", side="sell", price="149.5", dealer="", ts=NOON + 3),
        row("t5", instrument="GHOST", desk="EQ1", quantity="7", price="3", ts=NOON + 4),
        row("t6", instrument="MAREL", desk="EQ1", quantity="8", price="500", ts=NOON + 5),
        row("t7", instrument="ACME", desk="EQ1", quantity="9", price="39", ts=NOON + 6),
        row("t8", instrument="ACME", desk="EQ1", side="sell", quantity="9", price="41", ts=NOON + 7),
    ]
    deals += [row(f"n{n}", dealer=f"d{n:03}", instrument="ESZ6", desk="EQ1", price=str(4_000 + n)) for n in range(count)]
    answer = post(create_app(gateway), "/v1/trades", deals)
    assert answer.json()["counts"]["applied"] == len(deals)
    ticks = [{"instrument": name, "ts": NOON, "mid": mid, "source": "feed"} for name, mid in MIDS.items()]
    assert post(create_app(gateway), "/v1/ticks", ticks).json()["accepted"] == len(MIDS)
    return gateway
