"""One simulated desk: its machines, its sources, its screens and its operators, for as many days as it is asked to live.

A day has a morning, a noon and the roll at 17:00 New York; between them the whole machine room stands still, as suspended
machines do. Faults come only in these windows. In the evening all faults stop, and within CONVERGE_US everything must be as the
oracle says (`evening`); then the engine is restarted, cleanly or not, and must say the same.
"""

import datetime as dt
import gc
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from riskengine.config import Config, EngineConfig, MarksConfig, ReconcileConfig, StoreConfig
from riskengine.store.sqlite.lease import WriterLease
from tests.simulation import fibers, oracle
from tests.simulation.disk import Disk, noted_lease
from tests.simulation.fibers import MICROS, Scheduler
from tests.simulation.house import DESKS, empty_store
from tests.simulation.knobs import Knobs, stream_of
from tests.simulation.machine import Answer, Machine, captured_log
from tests.simulation.operators import Operators
from tests.simulation.oracle import Row
from tests.simulation.others import OtherPrograms
from tests.simulation.overtaking import overtaking
from tests.simulation.prices import Prices
from tests.simulation.screens import Screen
from tests.simulation.seen import STORE_TROUBLE, Seen
from tests.simulation.trace import Coverage, Trace
from tests.simulation.traders import STANDS, Key, Record, Source
from tests.simulation.virtual import small_limits, virtual_modules

ZONE = ZoneInfo("America/New_York")
FIRST_DAYS = (dt.date(2027, 1, 4), dt.date(2029, 6, 18))
CLOCK_CHANGES = (dt.date(2027, 3, 12), dt.date(2027, 11, 5), dt.date(2028, 3, 10), dt.date(2028, 11, 3))
"""Fridays before New York's clocks change."""
SUPERVISOR_US = 500_000
WINDOWS = (("morning", 8), ("noon", 12))
"""Windows before the roll: name, length in seconds."""


class Violation(AssertionError):
    """What the simulation found: `check` is the name of the check."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


class World:
    """One seed. Make it inside `running`."""

    def __init__(self, seed: str, folder: str, only: frozenset[str] | None = None) -> None:
        self.seed = seed
        self.knobs = Knobs(seed, only)
        self.scheduler = Scheduler(f"{seed}/scheduler")
        self.trace = Trace()
        self.coverage = Coverage()
        self.random = stream_of(seed, "world")
        self.path = str(Path(folder) / "desk.db")
        Path(self.path).write_bytes(empty_store())
        self.disk = Disk(stream_of(seed, "disk"), self.note, self.fail, lambda _: self.others.commit_right_behind())
        self.date = self._first_day()
        self.epoch_us = self._ny(self.date, 6, 30)
        self.desks: set[str] = set(DESKS)
        self.is_calm = self.is_over = False
        self.violation: Violation | None = None
        self.records: dict[Key, list[Record]] = {}
        self.stands: dict[Key, dict[str, Any]] = {}
        self.contested: set[Key] = set()
        self.edited = False
        self.edits: dict[Key, int] = {}
        """When stored trades were corrected in place."""
        self._outside: sqlite3.Connection | None = None
        self.seen = Seen()
        self.upset_on: dt.date | None = None
        """The last day on which a clock was set or the store went back: nobody knows what its close should hold."""
        self.desk_came_on: dt.date | None = None
        """The day on which LATER_DESK was loaded: an engine knows it some time later."""
        self.other_machine: Machine | None = None
        """An engine whose lease another one took, while some senders know its address only."""
        self.skips = 0
        """How often the machine room has stood still."""
        self.odd_rows = 0
        self.machine: Machine | None = None
        self.machines: list[Machine] = []
        self.accept = ""
        self.expect_refusal = False
        self.holds_boot = False
        self.sources = [Source(self, name, stream_of(seed, f"source {name}")) for name in ("oms", "voice")]
        self.prices = Prices(self, stream_of(seed, "prices"))
        self.screens = [Screen(self, n, stream_of(seed, f"screen {n}")) for n in range(self.knobs.clients)]
        self.operators = Operators(self, stream_of(seed, "operators"))
        self.live_polls = 0
        """How many looks of the supervisor have found a live engine: its running time."""
        self.days = 0
        self.quiet_until = 0
        """Until then nobody sends trades, and nobody decides."""
        self.others = OtherPrograms(self)

    def _first_day(self) -> dt.date:
        random = stream_of(self.seed, "calendar")
        if self.knobs.near_clock_change:
            return random.choice(CLOCK_CHANGES)
        first, last = FIRST_DAYS
        return self._business(first + dt.timedelta(days=random.randrange((last - first).days)))

    # -- time --------------------------------------------------------------------------------------------------

    def wall_us(self) -> int:
        """The true time: that of the world, not of a machine whose clock was set."""
        return self.epoch_us + self.scheduler.now

    def today(self) -> dt.date:
        return self.date

    def next_day(self) -> dt.date:
        return self._business(self.date + dt.timedelta(days=1))

    @staticmethod
    def _business(day: dt.date) -> dt.date:
        while day.isoweekday() > 5 or (day.month, day.day) in ((12, 25), (1, 1)):
            day += dt.timedelta(days=1)
        return day

    @staticmethod
    def _ny(day: dt.date, hour: int, minute: int, second: int = 0) -> int:
        return int(dt.datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=ZONE).timestamp()) * MICROS

    def boundary(self, day: dt.date) -> int:
        """When a trading day ends, by the true clock."""
        return self._ny(day, 17, 0)

    def _skip_to(self, wall: int) -> None:
        """Everything stands still until then."""
        if wall > self.wall_us():
            self.skips += 1
            self.scheduler.skip(wall - self.wall_us())

    # -- what happens ------------------------------------------------------------------------------------------

    def add(self, what: str) -> None:
        self.trace.add(self.scheduler.now, what)

    def note(self, fault: str) -> None:
        """A fault happens now."""
        self.coverage.note(fault, self.state())
        if fault in STORE_TROUBLE:
            self.seen.trouble_at = self.wall_us()
        self.add(f"fault {fault}")

    def count(self, what: str, by: int = 1) -> None:
        self.coverage.counts[what] += by

    def state(self) -> str:
        """The state of the engine, finer than it says itself."""
        machine = self.machine
        if machine is None or machine.is_over or machine.process is None:
            return "down"
        process = machine.process
        live = process.live
        if live is None or process._state != "live":
            return "starting" if process._state in ("starting", "loading") else "stopping"
        if live.store_thread._went_back is not None:
            return "went_back"
        if live.store_thread.error is not None:
            return "degraded"
        if live.renewals._task is not None and not live.renewals._task.done():
            return "renewing"
        wall = self.wall_us()
        if abs(wall - self.boundary(self.date)) < 15 * MICROS:
            return "rolling"
        return "live"

    def fail(self, check: str, text: str) -> None:
        """The first violation ends the world."""
        if self.violation is None:
            self.violation = Violation(check, text)
            self.add(f"violation {check} {text}")
            self.scheduler.errors.append(self.violation)

    def hear_log(self, level: str, event: str) -> None:
        current = self.scheduler.current
        is_fenced = self.operators.may_fail and "LeaseHeld" in event
        if level == "CRITICAL" and not is_fenced and not (current is not None and current.host.dead):
            self.fail("log", f"the engine logs {event}")

    # -- machines ----------------------------------------------------------------------------------------------

    def config(self) -> Config:
        knobs = self.knobs
        return Config(
            engine=EngineConfig(
                beat_ms=knobs.beat_ms,
                self_audit_s=knobs.self_audit_s,
                history_days=knobs.history_days,
                start_from_close=knobs.start_from_close,
            ),
            marks=MarksConfig(max_move=0.0) if "bad_prices" not in knobs.on else MarksConfig(),
            store=StoreConfig(url=f"sqlite:///{self.path}", batch_trades=knobs.batch_trades),
            reconcile=ReconcileConfig(every_s=knobs.reconcile_every_s),
        )

    def boot(self, *, name: str = "a", accept: str = "") -> Machine:
        """Start an engine on the store."""
        random = stream_of(self.seed, f"latency {len(self.machines)}")
        most = self.knobs.latency_us
        machine = Machine(
            self.scheduler,
            name,
            self.path,
            self.config(),
            self.epoch_us,
            accept=accept,
            latency=lambda: int(random.random() * most),
            note=self.note,
            others=lambda: self.machines,
            fail=self.fail,
            ends=self.leave_store,
        )
        self.machines.append(machine)
        self.prices.taken.clear()
        self.machines = [each for each in self.machines if not each.is_over]
        for each in self.machines:
            each.is_alone = len(self.machines) == 1
        self.count("starts")
        return machine

    def supervise(self) -> None:
        """What a process supervisor does: start an engine that has ended. Every half second."""
        if self.is_over:
            return
        self.scheduler.after(SUPERVISOR_US, self.supervise)
        self.seen.look(self)
        machine = self.machine
        if machine is not None and machine.state == "live":
            self.live_polls += 1
            self.operators.look()
        if self.holds_boot or (machine is not None and not machine.is_over):
            for screen in self.screens:
                screen.connect()
            return
        if machine is not None and machine.state == "refused":
            self._refused(machine)
        if machine is not None and machine.state == "failed" and not self.operators.may_fail:
            self.fail("failed", f"the engine failed: {machine.process.failure!r}")  # type: ignore[union-attr]
        self.machine = self.boot(accept=self.accept)

    def _refused(self, machine: Machine) -> None:
        self.add(f"refused {machine.refusal}")
        if machine.refusal == ["restored"] and self.expect_refusal:
            self.accept, self.expect_refusal = "the backup is what there is", False
            self.note("start_refused")
            self.operators.accepts_the_older()
        elif machine.refusal[0] in ("StoreUnavailable", "StoreError", "LeaseHeld", "not_compared"):
            self.note("start_fails")
        else:
            self.fail("refused", f"a start is refused: {machine.refusal} {machine.why}")

    # -- records -----------------------------------------------------------------------------------------------

    def enter(self, record: Record) -> None:
        """A true trade exists from now on."""
        self.records.setdefault(record.key, []).append(record)
        self.count("records")

    @contextmanager
    def outside(self) -> Iterator[sqlite3.Connection]:
        """A connection as another program has one: it sees what is committed. It stays open while an engine is live."""
        machine = self.machine
        if machine is not None and machine.state == "live":
            if self._outside is None:
                self._outside = self.raw()
            yield self._outside
            return
        connection = self.raw()
        try:
            yield connection
        finally:
            connection.close()

    def look(self, question: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What another program reads of what is committed."""
        with self.outside() as connection:
            return connection.execute(question, values).fetchall()

    def leave_store(self) -> None:
        """Close what other programs have open: an engine ends, whose last connection then puts the file in order."""
        if self._outside is not None:
            self._outside.close()
            self._outside = None

    def raw(self) -> sqlite3.Connection:
        """A connection of its own; the caller closes it."""
        return sqlite3.connect(self.path, timeout=0.0, isolation_level=None)

    def asked_machine(self, random: Random) -> Machine | None:
        """The engine that a sender reaches."""
        other = self.other_machine
        if other is not None and other.is_over:
            other = self.other_machine = None
        return other if other is not None and random.random() < 0.5 else self.machine

    def holding(self, desk: str, symbol: str) -> Fraction:
        """What a desk holds of an instrument now, by the rows that are stored. Conflicts and days to come are left out."""
        rows = [Row._make(row) for row in self.look(oracle.READ_TRADES)]
        counting = oracle.effective(rows, lambda _: False, self.desks, self.date.isoformat())
        held = [row for row in counting if row.desk == desk and row.symbol == symbol]
        return sum((Fraction(row.quantity or 0) * (1 if row.side == "buy" else -1) for row in held), Fraction(0))

    def acknowledged(self, machine: Machine, record: Record, result: dict[str, Any], seq: int) -> None:
        """A sender hears of a trade: it is durable, and in the snapshot that the answer names."""
        status = result["status"]
        self.count(f"acknowledged_{status}")
        if status in ("rejected",):
            return
        row = self.look(
            "SELECT store_seq, quantity, price, side FROM trades WHERE (source, trade_id, leg, version) = (?, ?, ?, ?)",
            record.key,
        )
        found = row[0] if row else None
        if found is None and not self.operators.went_back_lately:
            self.fail("durable", f"{record.key} was answered {status} and is not stored")
        if status in STANDS and record.outcome is None:
            self.stands[record.key] = record.payload
            if found is not None and not same(record.payload, found) and record.key not in self.contested:
                self.fail("durable", f"{record.key} was answered {status} and another record is stored: {found}")
        live = machine.process.live if machine.process is not None else None
        if live is not None and found is not None and not machine.dead:
            newest = live.newest()
            if newest.seq < seq:
                self.fail("seq", f"the answer says seq {seq}, the newest snapshot is {newest.seq}")
            if newest.watermark < found[0] and not self.operators.went_back_lately:
                self.fail("seq", f"row {found[0]} was acknowledged, the newest snapshot has {newest.watermark}")

    # -- a day -------------------------------------------------------------------------------------------------

    def live_for(self, seconds: float) -> None:
        self.scheduler.run(self.scheduler.now + int(seconds * MICROS))

    def ask_now(self, method: str, path: str, body: bytes = b"", **query: Any) -> Answer | None:
        """A request whose answer is waited for, at most 20 s. None if there is none. Only between events."""
        answers: list[Answer] = []
        machine = self.machine
        if machine is None or not machine.ask(method, path, body, answers.append, **query):
            return None
        self.scheduler.run(self.scheduler.now + 20 * MICROS, lambda: bool(answers))
        return answers[0] if answers else None

    def live_a_day(self) -> None:
        """One trading day with its roll, its evening and its restart. Raises Violation."""
        from tests.simulation import evening

        self._skip_to(self._ny(self.date, 7, 0))
        self.set_calm(False)
        self.add(f"day {self.date}")
        for name, seconds in WINDOWS:
            self.add(f"window {name}")
            self._window(seconds)
            self._skip_to(self.wall_us() + self.random.randrange(3_600 * 3) * MICROS)
        self._skip_to(self.boundary(self.date) - 6 * MICROS)
        self.seen.begin(self)
        self.add("window roll")
        self._window(18, deals=not self.knobs.quiet_roll)
        self.set_calm(True)
        evening.converge(self)
        if self.random.random() < self.knobs.running_on:
            self.count("nights_without_restart")
        else:
            evening.restart(self)
        self.days += 1
        self.date = self.next_day()

    def _window(self, seconds: int, *, deals: bool = True) -> None:
        """Deal, and have faults, for so long."""
        random, length = self.random, seconds * MICROS
        self.prices.start()
        after = self.scheduler.after
        for _ in range(self.knobs.trades_a_window if deals else 0):
            source = random.choice(self.sources)
            after(random.randrange(length), source.deal)
        if random.random() < self.knobs.bursts and deals:
            after(random.randrange(length), self._burst)
        for action, rate in self.operators.actions():
            times = int(rate) + (random.random() < rate % 1)
            for _ in range(times):
                after(random.randrange(length), partial(self._unless_calm, action))
        self.live_for(seconds)

    def _unless_calm(self, action: Callable[[], None]) -> None:
        if not self.is_calm and not self.is_over:
            action()

    def _burst(self) -> None:
        self.note("burst")
        for _ in range(40):
            self.sources[0].deal()

    def set_calm(self, calm: bool) -> None:
        """All faults stop, or may come."""
        self.is_calm = calm
        self.prices.is_calm = calm
        for source in self.sources:
            source.is_calm = calm
        if calm:
            self.operators.end_faults()
            for screen in self.screens:
                if not screen.reads:
                    screen._read_on()

    # -- life --------------------------------------------------------------------------------------------------

    def live(self, days: int) -> None:
        """Live for so many days. Raises Violation."""
        self.supervise()
        for _ in range(days):
            self.live_a_day()
        self.is_over = True

    def end(self) -> None:
        """Everything ends, however far it has come."""
        self.is_over = True
        self.leave_store()
        self.count("statements", self.disk.statements)
        self.prices.is_on = False
        self.scheduler.errors.clear()
        for machine in self.machines:
            machine.dead = True
            machine._release_lease()
            machine._clear_away()
            store = machine.process._store if machine.process is not None else None
            if store is not None:
                machine.process._store = None  # type: ignore[union-attr]


def same(payload: dict[str, Any], found: tuple[Any, ...]) -> bool:
    """Whether a stored row (number, quantity, price, side) is this record."""
    if payload.get("action") == "cancel":
        return True
    return (Fraction(found[1]), Fraction(found[2]), found[3]) == (
        Fraction(payload["quantity"]),
        Fraction(payload["price"]),
        payload["side"],
    )


_library_version = cache(version)


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect nothing inside the block, and all that is garbage behind it; what was there before is looked at no more."""
    was_on = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        if was_on:
            gc.enable()


def live_a_world(seed: str, days: int, only: frozenset[str] | None = None, keep: list[str] | None = None) -> World:
    """A world that has lived; its `violation` says what was found."""
    with ExitStack() as stack:
        stack.enter_context(no_collection())
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm", prefix="riskengine-sim-"))
        world = World(seed, folder, only)
        world.trace.keep = keep
        fibers.push(world.scheduler)
        stack.callback(fibers.pop)
        stack.enter_context(virtual_modules(world.disk.connect))
        stack.enter_context(captured_log(world.hear_log))
        stack.enter_context(mock.patch("riskengine.rebuild.load.settle_memory"))
        stack.enter_context(mock.patch("riskengine.market.settled_spot_dates.version", _library_version))  # 20 ms each time
        stack.enter_context(mock.patch.object(WriterLease, "__init__", noted_lease(WriterLease.__init__)))
        if world.knobs.late_commits:
            stack.enter_context(overtaking(world.others.visible))
        if world.knobs.start_from_close:
            stack.enter_context(mock.patch("riskengine.rebuild.load.SMALL", 0))
        stack.enter_context(small_limits(world.knobs.small_limits))
        stack.callback(world.end)
        try:
            world.live(days)
        except Violation:
            world.count("violations")
        return world
