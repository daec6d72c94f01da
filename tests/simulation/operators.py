"""People and mishaps: who decides, repairs, corrects, restores and restarts, and what breaks. Most of it at the wrong moment."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from riskengine.errors import RiskEngineError
from tests.simulation.disk import freeze_files, put_files
from tests.simulation.fibers import MICROS
from tests.simulation.house import LATER_DESK, load_desk
from tests.simulation.machine import Answer, Machine
from tests.simulation.traders import Record

if TYPE_CHECKING:
    from tests.simulation.world import World

NOTICED_US = 5 * MICROS
"""A store that has gone back under a live engine is noticed within this time."""
WITNESS_POLLS = 26
"""Looks of the supervisor after which the witness has certainly noted what was there: 13 s of running time."""


class Copy(NamedTuple):
    """A backup of the store: when it was made, in looks of the supervisor, and how far it had come."""

    files: dict[str, bytes]
    polls: int
    newest: int
    starts: int


class Operators:
    """`actions` are what they may do in a window, each with how often."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world = world
        self.random = random
        self.copies: list[Copy] = []
        self.may_fail = False
        self.went_back_lately = False
        self._lock: sqlite3.Connection | None = None
        self._must_notice = False
        """The store went back to a state that only the engine itself can know is old: nothing ends it before it has noticed."""
        self._progress: list[tuple[int, int]] = []
        self._went_back_at: int | None = None

    def actions(self) -> list[tuple[Callable[[], None], float]]:
        knobs = self.world.knobs
        third = 1 / 3
        return [
            (self.crash, knobs.crashes * third),
            (self.break_store, knobs.store_faults * third),
            (self.copy, 0.5 if knobs.goes_back else 0.0),
            (self.go_back, knobs.goes_back * third),
            (self.second_engine, knobs.two_engines * third),
            (self.step_clock, knobs.clock_steps * third),
            (self.decide, knobs.verdicts),
            (self.repair, knobs.repairs * third),
            (self.renew, knobs.renewals * third),
            (self.correct, knobs.corrections * third),
            (self.write_odd_row, knobs.odd_rows),
            (self.stall, knobs.stalls * third),
            (self.observe, knobs.observed),
            (self.restart, 0.05),
        ]

    # -- the machine -------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """Have the engine die at a statement, around a commit, or just now."""
        machine, random = self.world.machine, self.random
        if machine is None or machine.is_over or self._must_notice:
            return
        plan, how = machine.plan, random.random()
        plan.only_trades = random.random() < 0.5
        if how < 0.2:
            machine.die("crash_now")
        elif how < 0.45:
            plan.crash_in = random.randrange(300)
        else:
            plan.commits_in = random.randrange(6)
            plan.commit_crash = random.choice(("before", "after", "torn", "torn"))
        if random.random() < 0.3:
            self.world.scheduler.after(random.randrange(3 * MICROS), partial(self.world._unless_calm, self.crash))

    def restart(self) -> None:
        if self.world.machine is not None and not self._must_notice:
            self.world.note("restart")
            self.world.machine.ask_to_stop()

    def step_clock(self) -> None:
        """Somebody sets the clock of the machine."""
        machine, random = self.world.machine, self.random
        if machine is None:
            return
        self.world.note("clock_step")
        machine.was_set, self.world.upset_on = True, self.world.date
        machine.offset_us += random.choice((-1, 1)) * int(10 ** random.uniform(5.0, 7.6))
        if abs(machine.offset_us) > 50 * MICROS:
            machine.offset_us = 0

    def second_engine(self) -> None:
        """Somebody starts another engine on the same store; now and then over a lost lock file."""
        world, first = self.world, self.world.machine
        if first is None or first.state != "live" or len(world.machines) > 1 or self._went_back_at is not None:
            return
        lost = self.random.random() < 0.5
        world.note("second_engine_without_lock" if lost else "second_engine")
        if lost:
            self.may_fail = world.disk.watches_epochs = True
            world.other_machine = first  # part of the senders know its address only
            with suppress(FileNotFoundError):
                os.unlink(os.path.realpath(world.path) + ".lock")
        second = world.boot(name="b")
        world.scheduler.after(4 * MICROS, partial(self._after_second, first, second, lost))

    def _after_second(self, first: Machine, second: Machine, lost: bool) -> None:
        world = self.world
        if lost:
            if second.state in ("live", "starting") and not second.is_over:
                self.may_fail = True
                world.scheduler.after(4 * MICROS, partial(self._first_must_have_ended, first, second))
                if not world.is_over:
                    world.machine = second
            return
        if not second.is_over and not first.is_over and second.state == "live":
            world.fail("lease", "two engines are live on one store")
        if not second.is_over:
            second.die("second_engine_killed")

    def _first_must_have_ended(self, first: Machine, second: Machine) -> None:
        live = first.process.live if first.process is not None else None
        reaches = not first.is_over and not second.dead and second.state == "live" and not first.plan.away_until
        if reaches and live is not None and live.store_thread._thread.is_alive():
            self.world.fail("lease", "an engine whose lease another one took goes on")
        if not first.is_over:
            first.die("fenced_engine_killed")

    # -- the store ---------------------------------------------------------------------------------------------

    def break_store(self) -> None:
        """The store fails in one of its ways."""
        world, random = self.world, self.random
        machine = world.machine
        if machine is None or machine.is_over or self._must_notice:
            return
        plan, now = machine.plan, world.scheduler.now
        plan.only_trades = random.random() < 0.5
        how = random.choice(("away", "away", "hangs", "lost", "lost", "refused", "slow", "locked", "locked"))
        plan.error = random.choice(("io", "full", "busy", "cannot_open"))
        if how in ("away", "hangs"):
            long = random.random() < 0.03
            length = random.randrange(60, 600) if long else random.choice((1, 2, 5, 14))
            plan.away_until, plan.hangs = now + length * MICROS, how == "hangs" and not long
            world.note("outage_long" if long else f"outage_{how}")
        elif how == "lost":
            plan.lost_in = random.randrange(4)
        elif how == "refused":
            plan.refused_in = random.randrange(4)
        elif how == "slow":
            plan.slow_every, plan.slow_us = random.randrange(1, 40), random.choice((1_000, 20_000, 300_000))
        else:
            self._hold_lock(random.choice((300_000, 2_000_000, 7_000_000)))

    def _hold_lock(self, us: int) -> None:
        """Another program holds the write lock for a while."""
        if self._lock is not None:
            return
        connection = self.world.raw()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            connection.close()
            return
        self.world.note("store_locked")
        self._lock = connection
        self.world.scheduler.after(us, self._free_lock)

    def _free_lock(self) -> None:
        if self._lock is not None:
            self._lock.rollback()
            self._lock.close()
            self._lock = None

    def end_faults(self) -> None:
        """Everything that is broken is mended, except what was lost."""
        self._free_lock()
        for machine in self.world.machines:
            plan = machine.plan
            plan.end_crashes()
            plan.lost_in = plan.refused_in = None
            plan.away_until = plan.slow_every = 0
            machine.offset_us = 0

    # -- a store that goes back --------------------------------------------------------------------------------

    def look(self) -> None:
        """Note how far the store has come, for what the witness must know."""
        machine = self.world.machine
        if machine is not None and machine.process is not None and machine.process.live is not None:
            self._progress.append((self.world.live_polls, machine.process.live.newest().watermark))
            del self._progress[:-400]

    def copy(self) -> None:
        """Somebody makes a backup."""
        world = self.world
        if self._lock is not None or self._went_back_at is not None:
            return
        newest = world.look("SELECT coalesce(max(store_seq), 0) FROM trades")[0][0]
        self.copies.append(Copy(freeze_files(world.path), world.live_polls, newest, world.coverage.counts["starts"]))

    def _old_copy(self) -> Copy | None:
        """A backup so old that the witness knows better."""
        polls = self.world.live_polls
        known = max((newest for at, newest in self._progress if at <= polls - WITNESS_POLLS), default=0)
        old = [each for each in self.copies if each.newest < known]
        return self.random.choice(old) if old else None

    def _young_copy(self) -> Copy | None:
        """Half of the time, a backup that the running engine has outgrown: its epoch is that of the store."""
        world, machine = self.world, self.world.machine
        if machine is None or machine.state != "live" or machine.process is None or machine.process.live is None:
            return None
        newest, starts = machine.process.live.newest().watermark, world.coverage.counts["starts"]
        young = [each for each in self.copies if each.starts == starts and each.newest < newest]
        return self.random.choice(young) if young and self.random.random() < 0.5 else None

    def go_back(self) -> None:
        """The store is replaced by an older state: under the live engine, or while none runs."""
        world, machine = self.world, self.world.machine
        young = self._young_copy()
        copy = young or self._old_copy()
        if copy is None or machine is None or machine.is_over or len(world.machines) > 1 or self._went_back_at is not None:
            return
        if self._lock is not None or machine.state != "live" or world.accept:
            return
        self._went_back_at = world.scheduler.now
        self.went_back_lately = True
        world.upset_on = world.date
        self.copies.clear()
        self._progress.clear()
        world.others.forget()
        if young is None and self.random.random() < 0.4:
            world.note("goes_back_while_down")
            world.holds_boot = True
            machine.die("crash_now")
            put_files(world.path, copy.files)
            world.expect_refusal, world.holds_boot = True, False
        elif self._restore_live(copy):
            world.note("goes_back_live")
            world.expect_refusal, self._must_notice = True, young is not None
            if self._must_notice:
                machine.plan.end_crashes()
            if self.random.random() < 0.6:  # the next commit would notice it too
                world.quiet_until = world.scheduler.now + NOTICED_US + MICROS
            world.scheduler.after(NOTICED_US, partial(self._must_have_noticed, machine))
        else:
            self._went_back_at = None
            self.went_back_lately = False

    def _restore_live(self, copy: Copy) -> bool:
        """Put an older state into the file in one transaction, as a restore beside a running engine does."""
        world = self.world
        old = Path(world.path + ".old")
        put_files(str(old), copy.files)
        source, target = sqlite3.connect(old), world.raw()
        try:
            source.backup(target)
        except sqlite3.OperationalError:
            return False
        finally:
            source.close()
            target.close()
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(str(old) + suffix)
        return True

    def _must_have_noticed(self, machine: Machine, patience: int = 3) -> None:
        """After the time in which it notices; a machine room that stood still meanwhile, or a store that hangs, has more."""
        world = self.world
        if machine.is_over or machine.process is None or machine.process.live is None:
            return
        plan = machine.plan
        noticed = machine.process.live.store_thread._went_back is not None
        warned = "restored" in machine.process.warnings
        away = plan.away_until > world.scheduler.now - NOTICED_US or plan.slow_every or self._lock is not None
        if not (noticed and warned) and (patience or (away and not world.is_calm)):
            world.scheduler.after(MICROS, partial(self._must_have_noticed, machine, max(0, patience - 1)))
            return
        if not noticed:
            world.fail("went_back", "the store went back under the engine, and it has not noticed")
        elif not warned:
            world.fail("went_back", "the store went back, and no warning says so")
        world.note("went_back_noticed")
        self._must_notice = False
        if self.random.random() < 0.5:
            machine.ask_to_stop()
        else:
            machine.die("crash_now")

    def accepts_the_older(self) -> None:
        """The person takes the older store, and has everything sent again that it lacks."""
        world = self.world
        world.stands.clear()
        world.scheduler.after(2 * MICROS, self._send_again)

    def _send_again(self) -> None:
        world = self.world
        machine = world.machine
        if machine is None or machine.state != "live":
            world.scheduler.after(MICROS, self._send_again)
            return
        world.accept = ""
        self._went_back_at = None
        self.went_back_lately = False
        world.edited = True
        by_name = {source.name: source for source in world.sources}
        for records in world.records.values():
            for record in records:
                if record.channel != "edit":
                    by_name[record.key[0]].send_again(record)
        if LATER_DESK in world.desks:
            self._load_desk()

    # -- decisions ---------------------------------------------------------------------------------------------

    def decide(self) -> None:
        """A person decides about one of the exceptions."""
        machine = self.world.machine
        if machine is not None and self.world.scheduler.now >= self.world.quiet_until:
            machine.ask("GET", "/v1/exceptions", b"", partial(self._decide_one, machine), exact="true")

    def _decide_one(self, machine: Machine, answer: Answer) -> None:
        world, random = self.world, self.random
        if answer.status != 200 or world.is_over:
            return
        rows = [row for row in answer.values["rows"] if row["kind"] in ("conflict", "quarantined", "parked", "suspect", "late")]
        if not rows:
            return
        urgent = [row for row in rows if row["kind"] in ("conflict", "quarantined") and row["verdict"] is None]
        row = random.choice(urgent if urgent and random.random() < 0.8 else rows)
        verdict = random.choice(("accept", "accept", "reject", "comment"))
        key = None
        if row["kind"] == "conflict" and verdict == "accept":
            trade = row["trade"]
            key = (trade["source"], trade["trade_id"], trade["leg"], trade["version"])
            world.contested.add(key)
        world.note(f"verdict_{row['kind']}")
        body = f'{{"action": "{verdict}", "comment": "seen"}}'.encode()
        machine.ask("POST", f"/v1/exceptions/{row['id']}", body, partial(self._decided, row, verdict, key))

    def _decided(self, row: dict[str, Any], verdict: str, key: Any, answer: Answer) -> None:
        world = self.world
        world.add(f"verdict {row['kind']} {verdict} {answer.status}")
        if answer.status not in (200, 400, 404, 409, 503):
            world.fail("answer", f"a verdict is answered {answer.status}: {answer.values}")
        if key is not None and answer.status == 200 and not self.went_back_lately:
            trade = row["trade"]
            world.stands[key] = trade
            world.contested.discard(key)

    def observe(self) -> None:
        """Somebody looks at the prices, in the middle of everything."""
        machine = self.world.machine
        if machine is not None:
            machine.ask("GET", "/v1/marks", b"", partial(self._observed, machine, self.world.scheduler.now))

    def _observed(self, machine: Machine, asked_at: int, answer: Answer) -> None:
        """No price that was never sent, none that is older than a tick that was taken, none shown as fresh that is not."""
        world = self.world
        if answer.status != 200:
            return
        world.count("prices_observed")
        as_of = answer.values["as_of"]
        for row in answer.values["rows"]:
            sent = world.prices.sent.get((row["instrument"], row["ts"]))
            if row["price"] is None or "@" in row["instrument"]:
                continue
            if sent is None or row["price"] not in sent:
                world.fail("mark", f"{row['instrument']} shows {row['price']} of {row['ts']}, which nobody sent")
            newer = None if machine.was_set else world.prices.too_old(machine, row["instrument"], row["ts"], asked_at)
            if newer is not None:
                world.fail("mark", f"{row['instrument']} is of {row['ts']}, and a tick of {newer} had been taken")
            if not row["closed"] and not row["stale"] and as_of - row["ts"] > 60 * MICROS:
                world.fail("stale", f"{row['instrument']} is {row['age_ms']} ms old and shown as fresh")

    def repair(self) -> None:
        """Reconcile and repair, whatever else goes on."""
        world = self.world
        if world.machine is not None:
            world.note("repair")
            world.machine.ask("POST", "/v1/reconcile", b'{"repair": true}', self._repaired)

    def _repaired(self, answer: Answer) -> None:
        self.world.add(f"repair {answer.status}")
        if answer.status not in (200, 409, 503):
            self.world.fail("answer", f"POST /v1/reconcile answered {answer.status}: {answer.values}")

    def renew(self) -> None:
        """Reference data changes while the engine runs, or somebody has it built anew."""
        world = self.world
        machine = world.machine
        if machine is None or machine.state != "live" or machine.process is None:
            return
        world.note("renewal")
        if LATER_DESK not in world.desks and self.random.random() < 0.5:
            self._load_desk()
            return
        process = machine.process

        def begin() -> None:
            if process.is_live:
                process.renew("somebody asks for it").add_done_callback(lambda done: done.cancelled() or done.exception())

        machine.on_loop(begin)

    def _load_desk(self) -> None:
        if self._lock is not None:
            return
        try:
            load_desk(self.world.path)
        except RiskEngineError:
            return
        self.world.desks.add(LATER_DESK)
        self.world.desk_came_on = self.world.date

    def correct(self) -> None:
        """An administrator corrects a stored trade in place."""
        world, random = self.world, self.random
        stored = [
            key
            for key, records in world.records.items()
            if any(each.outcome is not None and not each.refused for each in records)
            and records[0].payload.get("action") != "cancel"
        ]
        if not stored or self.went_back_lately:
            return
        key = random.choice(stored)
        known = world.stands.get(key)
        if known is None or known.get("action") == "cancel" or key in world.contested:
            return
        payload = dict(known)
        if random.random() < 0.5:
            payload["price"] = world.sources[0]._price(payload["instrument"])
        else:
            payload["quantity"] = world.sources[0]._quantity(payload["instrument"])
        statement = "UPDATE trades SET quantity = ?, price = ? WHERE (source, trade_id, leg, version) = (?, ?, ?, ?)"
        if world.others.sql(statement, [str(payload["quantity"]), str(payload["price"]), *key]):
            world.note("corrected_in_place")
            record = Record(payload | {"source": key[0], "trade_id": key[1], "leg": key[2], "version": key[3]}, "edit")
            record.outcome = "stored"
            world.enter(record)
            world.stands[key] = payload
            world.edited = True
            world.edits[key] = world.wall_us()

    def write_odd_row(self) -> None:
        """Another program writes a row that is no trade."""
        world = self.world
        world.odd_rows += 1
        row = {
            "source": "odd",
            "trade_id": f"odd{world.odd_rows}",
            "ts": world.wall_us(),
            "instrument": "EURUSD",
            "desk": self.random.choice(("NOPE", "G10")),
            "side": "buy",
            "quantity": "5",
            "price": self.random.choice(("1.1", "abc")),
        }
        if world.others.insert_row(row):
            world.note("odd_row")

    def stall(self) -> None:
        """A client stops reading, asks anew, or goes."""
        if self.world.screens:
            screen = self.random.choice(self.world.screens)
            how = self.random.random()
            if how < 0.5 and screen.reads:
                screen.stall(self.random.choice((300_000, 2 * MICROS, 12 * MICROS)))
            elif how < 0.75:
                self.world.note("client_resyncs")
                screen.ask_again()
            else:
                self.world.note("client_leaves")
                screen.leave()
