"""Why P&L moved, of a live engine over three days: random trades, corrections and prices against a naive model of the events."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from riskengine.clock import ManualClock
from riskengine.config import Config, EngineConfig, ExplainConfig, JournalConfig, StoreConfig
from riskengine.errors import BeforeTheStore, InputError, TooBusy
from riskengine.market.trading_day import TradingDay
from riskengine.process.explain_desk import UNEXPLAINED
from riskengine.process.process import EngineProcess
from riskengine.records.cash import CarryRecord
from riskengine.records.option_inputs import RateRow, Vol
from riskengine.records.types import Tick
from riskengine.snapshot.explain import GREEKS, NET_LINES
from riskengine.snapshot.explanation import Explanation, When
from riskengine.snapshot.rows import node_row
from riskengine.snapshot.snapshot import UnknownName, node_number
from riskengine.store.open_store import open_store
from tests.waiting import until
from tests.world import INSTRUMENTS, NOON, SECOND, instruments, mark_settings, nodes, reference, trade

ENDS = TradingDay.of(EngineConfig()).close_of(TradingDay.of(EngineConfig()).date_of(NOON))
CLOSED = "2026-03-04"
TOLERANCE = 5 * SECOND
DAY = 24 * 3_600 * SECOND
MIDS = {"EURUSD": 1.1, "USDJPY": 150.0, "ACME": 40.0}
CALL = {"instrument": "CALL", "kind": "fx_option", "base_currency": "EUR", "quote_currency": "USD", "expiry": "2026-06-04"}
ROWS = (*INSTRUMENTS, CALL | {"strike": "1.1", "option_type": "call"})
WHERE = reference(rows=ROWS)
NODES = ("ALL", "FX1")
BELOW = {"ALL": {"FX1", "FX2", "EQ1"}, "FX": {"FX1", "FX2"}} | {node: {node} for node in ("FX1", "FX2", "EQ1")}


class Version(NamedTuple):
    """One version of a trade, as its sender wrote it: `quantity` is signed, None of a cancel."""

    received: int
    ts: int
    name: str
    version: int
    desk: str
    instrument: str
    quantity: int | None
    price: Decimal
    fees: int


class Market(NamedTuple):
    """The mids of an instant."""

    mids: dict[str, float]

    def rate(self, instrument: str) -> Fraction:
        return Fraction(repr(1.0 / self.mids["USDJPY"])) if instrument == "USDJPY" else Fraction(1)

    def mark(self, instrument: str) -> Fraction:
        return Fraction(repr(self.mids[instrument]))


class Point(NamedTuple):
    """One end of a span: as it is asked for, how many versions had been sent by then, and the market."""

    asked: When
    ts: int
    known: int
    market: Market


class World:
    """A live engine whose clock a test moves, and everything that it was told."""

    def __init__(self, process: EngineProcess, clock: ManualClock, seed: int) -> None:
        assert process.live is not None
        self.process, self.live, self.clock, self.random = process, process.live, clock, Random(seed)
        self.live.roll.stop()
        self.sent: list[Version] = []
        self.mids = dict(MIDS)

    async def quote(self) -> None:
        for symbol in self.mids:
            self.mids[symbol] = round(self.mids[symbol] * self.random.uniform(0.999, 1.001), 4)
        at = self.clock.ts
        ticks = [Tick(symbol, at, mid, mid, None, "feed") for symbol, mid in self.mids.items()]
        assert not self.process.offer_ticks(ticks).refused
        await until(self.live.beats.hand_over_prices)
        await until(lambda: self.price("EURUSD") == self.mids["EURUSD"])

    def price(self, symbol: str) -> float:
        snapshot = self.live.newest()
        found: float = snapshot.units.price.item(snapshot.reference.instrument_index[symbol])
        return found

    async def send(self, version: Version) -> None:
        action = "cancel" if version.quantity is None else "amend" if version.version > 1 else "new"
        columns: dict[str, Any] = {"version": version.version, "action": action, "ts": version.ts, "received_ts": self.clock.ts}
        if version.quantity is not None:
            columns |= {"desk": version.desk, "instrument": version.instrument, "price": str(version.price)}
            columns |= {"side": "buy" if version.quantity > 0 else "sell", "quantity": str(abs(version.quantity))}
            columns |= {"fees": str(version.fees), "fees_currency": "USD"}
        await self.process.submit([trade(version.name, where=WHERE, **columns)])
        self.sent.append(version)

    async def deal(self) -> None:
        """A new trade, mostly of now, sometimes late; or a later version of one."""
        random, now = self.random, self.clock.ts
        symbol = random.choice([*MIDS])
        known = [version for version in self.sent if version.quantity is not None]
        quantity = random.choice([-1, 1]) * random.randint(1, 900)
        price = Decimal(repr(self.mids[symbol])) + Decimal(random.randint(-50, 50)) / 10_000
        late = random.choice([0, 0, 1, 40 * 60]) * SECOND
        desk = "EQ1" if symbol == "ACME" else random.choice(["FX1", "FX2"])
        fees = random.randint(0, 3)
        if not known or random.random() < 0.65:
            await self.send(Version(now, now - late, f"t{len(self.sent)}", 1, desk, symbol, quantity, price, fees))
            return
        old = random.choice(known)
        version = max(each.version for each in self.sent if each.name == old.name) + 1
        changed = None if random.random() < 0.3 else quantity
        desk = old.desk if old.instrument == "ACME" else desk
        await self.send(old._replace(received=now, version=version, quantity=changed, desk=desk, fees=fees))

    async def record(self) -> Point:
        await self.live.journal.record()
        newest = self.live.journal.newest
        assert newest is not None
        return Point(newest.as_of, newest.as_of, len(self.sent), Market(dict(self.mids)))


# -- the naive model -----------------------------------------------------------------------------------------------


def effective(sent: list[Version]) -> dict[str, Version]:
    """The version of each trade that counts; a cancel takes it out."""
    newest: dict[str, Version] = {}
    for version in sent:
        if version.name not in newest or version.version > newest[version.name].version:
            newest[version.name] = version
    return newest


def known_then(sent: list[Version], point: Point) -> list[Version]:
    counted = [version for version in effective(sent[: point.known]).values() if version.quantity is not None]
    return [each for each in counted if each.ts < point.ts] if isinstance(point.asked, str) else counted


def of_before(sent: list[Version], begin: Point, end: Point) -> list[Version]:
    """What is known at the end of what was there at the beginning."""
    known = sent[: end.known]
    counted = [version for version in effective(known).values() if version.quantity is not None]
    if isinstance(begin.asked, str):
        return [each for each in counted if each.ts < begin.ts]
    early = {each.name for each in sent[: begin.known]}
    first = {version.name: version.received for version in reversed(known)}
    return [each for each in counted if each.ts <= begin.ts and (each.name in early or first[each.name] - each.ts > TOLERANCE)]


def held(versions: list[Version], node: str, instrument: str) -> tuple[Fraction, Fraction, Fraction]:
    """Quantity, cash and fees."""
    mine = [each for each in versions if each.desk in BELOW[node] and each.instrument == instrument]
    quantity = sum((Fraction(each.quantity or 0) for each in mine), Fraction(0))
    paid = sum(((each.quantity or 0) * Fraction(each.price) for each in mine), Fraction(0))
    return quantity, -paid, Fraction(sum(each.fees for each in mine))


def naive(sent: list[Version], node: str, begin: Point, end: Point) -> dict[str, Fraction]:
    lines = dict.fromkeys(NET_LINES, Fraction(0))
    for symbol in MIDS:
        m0, m1, x0, x1 = (f(symbol) for f in (begin.market.mark, end.market.mark, begin.market.rate, end.market.rate))
        qp, cp, fp = held(known_then(sent, begin), node, symbol)
        q0, c0, _ = held(of_before(sent, begin, end), node, symbol)
        q1, c1, f1 = held(known_then(sent, end), node, symbol)
        lines["price"] += q0 * (m1 - m0) * x1
        lines["trades"] += (c1 - c0 + (q1 - q0) * m1) * x1
        lines["translation"] += (c0 + q0 * m0) * (x1 - x0)
        lines["corrections"] += (c0 + q0 * m0 - cp - qp * m0) * x0
        lines["fees"] += fp - f1
    return lines


# -- the tests -----------------------------------------------------------------------------------------------------


def run(url: str, test: Callable[[World], Awaitable[Any]], *, seed: int = 0, **explain: Any) -> Any:
    """What `test` returns of an engine that starts an hour before a boundary."""

    async def life() -> Any:
        clock = ManualClock(ENDS - 3_600 * SECOND)
        marks = mark_settings(store_every_s=0.0)
        journal, explaining = JournalConfig(every_s=3_600.0), ExplainConfig(**({"watch_s": 0.0} | explain))
        config = Config(store=StoreConfig(url), marks=marks, journal=journal, explain=explaining)
        process = EngineProcess(config, clock)
        process.open()
        try:
            await process.start()
            return await asyncio.wait_for(test(World(process, clock, seed)), 60)
        finally:
            await process.stop()

    return asyncio.run(life())


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments(ROWS))
    store.close()
    return url


async def three_days(world: World) -> list[Point]:
    """Instants of three days with the closes between them, in their order; trades and corrections come all the time."""
    points = [Point("2026-03-03", ENDS - DAY, 0, Market(dict(MIDS)))]  # the start made this close up; nothing was held
    for step in range(5):
        world.clock.advance(600 * SECOND)
        await world.quote()
        for _ in range(3):
            await world.deal()
        if step % 2 == 0:
            points.append(await world.record())
    close = Market(dict(world.mids))
    await strike(world)
    points.append(Point(CLOSED, ENDS, len(world.sent), close))
    for _ in range(3):
        world.clock.advance(600 * SECOND)
        await world.quote()
        for _ in range(3):
            await world.deal()
        points.append(await world.record())
    close = Market(dict(world.mids))
    await strike(world, ENDS + DAY, "2026-03-05")
    points.append(Point("2026-03-05", ENDS + DAY, len(world.sent), close))
    world.clock.advance(SECOND)
    await world.quote()
    for _ in range(4):
        await world.deal()
    points.append(await world.record())
    return points


async def strike(world: World, ends: int = ENDS, closed: str = CLOSED) -> None:
    """Strike the close; a source quotes first, so that the roll believes the clock."""
    world.clock.ts = ends + 10 * SECOND
    await world.quote()
    await world.live.roll.look()
    day = world.live.newest().day
    assert day is not None and day.window.closed == closed


@pytest.mark.parametrize("seed", range(2))
def test_every_span_is_what_a_naive_model_says_and_neighbours_chain(url: str, seed: int) -> None:
    async def test(world: World) -> None:
        points = await three_days(world)
        found: dict[tuple[str, int, int], Explanation] = {}
        for (i, begin), (j, end) in itertools.combinations(enumerate(points), 2):
            for node in NODES if seed == 0 else NODES[:1]:
                answer = found[node, i, j] = await world.process.explain(node, begin.asked, end.asked)
                lines = {line: Fraction(amount or 0) for line, amount in answer.found.lines.items()}
                assert lines == naive(world.sent, node, begin, end), (seed, node, i, j)
                assert (answer.begin.ts, answer.end.ts) == (begin.ts, end.ts)
        for ts in (world.random.randrange(points[1].ts, points[-1].ts) for _ in range(5)):
            floor = max((point for point in points if isinstance(point.asked, int) and point.ts <= ts), key=lambda each: each.ts)
            answer = await world.process.explain("ALL", points[1].asked, ts)
            assert answer.end.ts == floor.ts and answer.end.exact_at == floor.ts
            lines = {line: Fraction(amount or 0) for line, amount in answer.found.lines.items()}
            assert lines == naive(world.sent, "ALL", points[1], floor), "between two recorded instants it is the earlier one"
        for node, i, j in found:
            for k in range(j + 1, len(points)):
                one, two, both = (found[node, *pair].found for pair in ((i, j), (j, k), (i, k)))
                for field in ("total", "fees", "net"):
                    parts = [Fraction(getattr(e.end, field)) - Fraction(getattr(e.begin, field)) for e in (one, two, both)]
                    assert parts[0] + parts[1] == parts[2], (seed, node, i, j, k, field)

    run(url, test, seed=seed)


def test_from_the_last_close_until_now_it_says_what_the_lines_of_the_day_say(url: str) -> None:
    async def test(world: World) -> None:
        await three_days(world)
        answer = await world.process.explain("FX", None, None)
        assert (answer.begin.close, answer.end.close) == ("2026-03-05", None)
        snapshot = world.live.newest()
        row = node_row(snapshot, node_number(snapshot, "FX"))
        lines = {line: float(amount or 0) for line, amount in answer.found.lines.items()}
        day = {"price": "day_position_pnl", "trades": "day_trading_pnl", "translation": "day_translation_pnl"}
        day |= {"carry": "day_carry_pnl", "corrections": "correction_pnl"}
        assert {line: lines[line] for line in day} == pytest.approx({line: row[field] for line, field in day.items()}, abs=1e-6)

    run(url, test)


def test_now_is_taken_within_the_day_and_the_newest_instant_beyond_it(url: str) -> None:
    async def test(world: World) -> None:
        points = await three_days(world)
        within = await world.process.explain("ALL", points[-1].asked, None)
        assert (within.end.close, within.end.exact_at) == (None, None)
        beyond = await world.process.explain("ALL", points[1].asked, None)
        assert (beyond.end.exact_at, beyond.end.ts) == (points[-1].ts, points[-1].ts)

    run(url, test)


def test_carry_stands_in_its_own_line_within_a_day_and_over_the_close(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(world: World) -> None:
        monkeypatch.setattr("riskengine.store.sql_store.SystemClock", lambda: world.clock)  # it stamps when records came
        await world.quote()
        await world.send(Version(world.clock.ts, world.clock.ts, "t1", 1, "FX1", "EURUSD", 100, Decimal("1.1"), 0))
        first = await world.record()
        await carry(world, "c1", 5)
        second = await world.record()
        await strike(world)
        await carry(world, "c2", 7)
        third = await world.record()
        for begin, end, amount in (
            (first.asked, second.asked, 5),
            (second.asked, CLOSED, 0),
            (first.asked, CLOSED, 5),
            (CLOSED, third.asked, 7),
            (CLOSED, None, 7),
            (first.asked, third.asked, 12),
        ):
            lines = (await world.process.explain("FX1", begin, end)).found.lines
            found = {line: int(lines[line] or 0) for line in ("carry", "trades", "corrections")}
            assert found == {"carry": amount, "trades": 0, "corrections": 0}, (begin, end)

    run(url, test)


async def carry(world: World, name: str, amount: int) -> None:
    world.clock.advance(SECOND)
    record = CarryRecord(
        carry_id=name,
        version=1,
        desk="FX1",
        dealer="ann",
        instrument="EURUSD",
        currency="USD",
        ts=world.clock.ts,
        amount=amount * 10**10,
        type="interest",
    )
    [outcome] = await world.process.take_cash("carry", [record], "ops")
    assert outcome.status == "applied", outcome
    world.clock.advance(SECOND)
    await world.quote()


def test_what_cannot_be_asked_is_refused(url: str) -> None:
    async def test(world: World) -> None:
        points = await three_days(world)
        with pytest.raises(UnknownName, match="no close of 2026-03-01"):
            await world.process.explain("ALL", "2026-03-01", None)
        with pytest.raises(InputError, match="is after to"):
            await world.process.explain("ALL", CLOSED, points[1].asked)
        with pytest.raises(BeforeTheStore):
            await world.process.explain("ALL", NOON - 10**15, None)

    run(url, test)


def test_the_day_of_options_is_watched_and_what_is_unexplained_warned_of(url: str) -> None:
    """A price of an option that is no model's: its move since the close has no Greeks to explain it."""

    async def test(world: World) -> None:
        world.mids["CALL"] = 0.02
        await world.quote()
        await world.send(Version(world.clock.ts, world.clock.ts, "t1", 1, "FX1", "CALL", 1_000, Decimal("0.02"), 0))
        await strike(world)
        world.mids["CALL"] = 0.03
        await world.quote()
        await until(lambda: UNEXPLAINED in world.process.warnings, 20)
        text = world.process.warnings[UNEXPLAINED]
        assert "most of it in CALL" in text and "raise the tolerance" in text
        answer = await world.process.explain("ALL", None, None)
        [row] = [row for row in answer.found.rows if row.instrument == "CALL"]
        assert row.lines["unexplained"] == answer.found.lines["unexplained"] == row.closing - row.opening
        assert row.reason == "no Greeks at the beginning"
        await world.send(Version(world.clock.ts, world.clock.ts, "t1", 2, "FX1", "CALL", None, Decimal(0), 0))
        await until(lambda: UNEXPLAINED not in world.process.warnings, 20)

    run(url, test, watch_s=1.0, tolerance=1.0)


def test_greeks_explain_the_day_of_an_option_from_the_close_and_from_an_instant(url: str) -> None:
    async def test(world: World) -> None:
        now = world.clock.ts
        rates = [RateRow(code, "rate", "2027-03-04", now, 0.02, "desk") for code in ("EUR", "USD")]
        world.process.offer_option_inputs([Vol("CALL", now, 0.1, "desk"), *rates])
        await world.quote()
        await world.send(Version(now, now, "t1", 1, "FX1", "CALL", 1_000_000, Decimal("0.02"), 0))
        first = await world.record()
        await strike(world)
        world.process.offer_option_inputs([Vol("CALL", world.clock.ts, 0.102, "desk")])
        world.clock.advance(3_600 * SECOND)
        await world.quote()
        last = await world.record()
        for begin in (first.asked, CLOSED):
            for end in (last.asked, None):
                answer = await world.process.explain("ALL", begin, end)
                lines = {line: float(amount or 0) for line, amount in answer.found.lines.items()}
                assert lines["price"] == 0.0 and lines["vega"] > 100 and lines["theta"] < 0, (begin, end, lines)
                assert lines["delta"] != 0.0
                assert abs(lines["unexplained"]) < 0.02 * sum(abs(lines[greek]) for greek in GREEKS), (begin, end, lines)

    run(url, test)


def test_too_many_questions_at_once_are_refused(url: str) -> None:
    async def test(world: World) -> None:
        await three_days(world)
        asked = [world.process.explain("ALL", None, None) for _ in range(5)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert any(isinstance(each, TooBusy) for each in answers)
        assert isinstance(answers[0], Explanation)

    run(url, test, max_waiting=1)
