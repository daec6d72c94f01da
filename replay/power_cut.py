"""A drill: cuts the power at every disk operation while a SQLite store takes trades. Acknowledged trades must survive.

    python replay/power_cut.py                            # synchronous = FULL, as in production: nothing may be lost
    python replay/power_cut.py --synchronous NORMAL       # must lose acknowledged trades: proves that the drill detects it
    python replay/power_cut.py --planted divided          # a batch in several transactions: must be found partial
    python replay/power_cut.py --again 20                 # cuts 20 of the remaining disks again while they recover

The drill records a run of the real store (its migrations, settings, queries and transactions; only the file layer differs, see
`power_cut_disk.py`): batches of trades with repeats and conflicts, marks, a reader that holds a snapshot during a checkpoint,
further checkpoints, a stop and a start. Then it cuts the power at each write, sync, truncation, creation and removal in turn.
Of unsynced operations nothing remains, or everything, or the first ones with the last one torn, or random sectors, some of them
garbage. After each cut the drill opens the store as in the morning, and checks that

- every batch acknowledged before the cut is there, complete and unchanged;
- the batch in flight is there completely or not at all, and no later one;
- SQLite's integrity check, foreign keys and the epoch are right;
- the next batch can be stored.

Before that, it cuts the power everywhere while a store is made: the next start must complete the store, or find it complete.

Prints a summary as JSON; exit status 0 if nothing was lost, partial, damaged or invented.
"""

import argparse
import hashlib
import itertools
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from replay.power_cut_disk import Image, RecordingVfs, Tape, Through, images
from riskengine.errors import StoreError
from riskengine.records.types import StoredMark, Trade
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.sqlite import connection as sqlite_connection
from tests.store_book import INSTRUMENTS, NODES, TS, cancel, new_store, trade

WAYS = ("nothing", "everything", "first", "some", "some", "some")
"""The ways to cut the power at each operation; `power_cut_disk.Disk.cut` defines them."""
CHECKPOINT_PAGES = 60
"""Pages of log between checkpoints. Production has 4,000; fewer here give a run many checkpoints."""
NAME = "day.db"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Folder for the disks under examination."""


TABLES = {
    "trades": "SELECT * FROM trades ORDER BY store_seq",
    "conflicts": "SELECT * FROM conflicts ORDER BY conflict_id",
    "feeds": "SELECT * FROM feeds ORDER BY source",
    "audit": "SELECT * FROM audit WHERE last_store_seq IS NOT NULL ORDER BY audit_seq",
}
"""The rows that a batch may change, all in one transaction."""


class State(NamedTuple):
    """The number of trades in a store, and a digest of all rows that batches change."""

    trades: int
    digest: str


class Recording(NamedTuple):
    """A run: the disk before it, the operations, and the state of the store before the first batch and after each."""

    start: Image
    tape: Tape
    batches: list[list[Trade]]
    states: list[State]


class Begun(NamedTuple):
    """A mark on the tape: batch `number` goes to the store."""

    number: int


class Acknowledged(NamedTuple):
    """A mark on the tape: the store has acknowledged batch `number` as durable."""

    number: int


# -- the run -----------------------------------------------------------------------------------------------------


def record(batches: int, seed: int, *, synchronous: str = "FULL", divided: bool = False, start: Image | None = None) -> Recording:
    """Run a store over a recording file layer, on an empty disk or on `start`."""
    rng = random.Random(f"{seed} power")
    tape = Tape()
    work = [_batch(rng, number, "T" if start is None else "again") for number in range(batches)]
    with tempfile.TemporaryDirectory(prefix="riskengine-power-") as name:
        folder = Path(name)
        if start is None:
            new_store(folder / NAME).close()
            start = _image(folder)
        _write(start, folder)
        vfs = RecordingVfs(f"recording-{time.monotonic_ns()}", tape)
        settings = [_synchronous(each, synchronous) for each in sqlite_connection._pragmas("rw")]
        with (
            mock.patch.object(sqlite_connection, "sqlite3", Through(vfs)),
            mock.patch.object(sqlite_connection, "_pragmas", lambda mode: _pragmas_of(settings, mode)),
        ):
            states = _deal(folder / NAME, work, rng, tape, divided)
        vfs.close()
    return Recording(start, tape, work, states)


def _synchronous(pragma: str, value: str) -> str:
    return f"synchronous = {value}" if pragma.startswith("synchronous") else pragma


def _pragmas_of(settings: list[str], mode: str) -> list[str]:
    settings = [f"wal_autocheckpoint = {CHECKPOINT_PAGES}" if each.startswith("wal_auto") else each for each in settings]
    return [*settings, "query_only = ON"] if mode == "ro" else settings


def _batch(rng: random.Random, number: int, name: str) -> list[Trade]:
    """New trades, sometimes with a repeat, a conflict or a cancel."""
    prices = [f"1.{rng.randint(0, 9999):04}" for _ in range(rng.randint(1, 12))]
    trades = [trade(f"{name}{number}-{place}", price=price, source_seq=number) for place, price in enumerate(prices)]
    if number and rng.random() < 0.5:
        trades.append(cancel(f"{name}{rng.randrange(number)}-0"))
    if number and rng.random() < 0.5:
        trades.insert(0, trade(f"{name}{rng.randrange(number)}-0", price=f"2.{rng.randint(0, 9999):04}"))
    return trades


def _deal(path: Path, work: list[list[Trade]], rng: random.Random, tape: Tape, divided: bool) -> list[State]:
    """Do the work of a day: batches, checkpoints, a restart. Returns the state after each batch."""
    store = _begin(path)
    reader: Any = None
    states = [_state(path)]
    for number, batch in enumerate(work):
        tape.mark(Begun(number))
        for part in [[each] for each in batch] if divided else [batch]:
            store.append_trades(part)
        tape.mark(Acknowledged(number))
        states.append(_state(path))
        if number % 7 == 3:
            store.save_marks([StoredMark("EURUSD", TS + number, 1.1, "feed", "quote")])
        if number % 9 == 2:
            reader = sqlite_connection.connect(str(path), "ro")
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM trades")
        if number % 9 == 5 and reader is not None:
            reader.close()
        if number == len(work) // 2:
            store.close()
            store = _begin(path)
        elif rng.random() < 0.1:
            other = sqlite_connection.connect(str(path), "rw")
            other.execute(f"PRAGMA wal_checkpoint({rng.choice(('PASSIVE', 'TRUNCATE'))})")
            other.close()
    if reader is not None:
        reader.close()
    store.close()
    return states


def _begin(path: Path) -> Store:
    store = open_store(f"sqlite:///{path}")
    store.acquire_writer("power cut drill")
    store.next_epoch()
    return store


def _image(folder: Path) -> Image:
    """The files of a closed store, without its lock file."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".lock"}


# -- the cuts ----------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """The faults found after one cut; empty if there are none."""

    lost: str = ""
    partly: str = ""
    damaged: str = ""
    other: str = ""


def after_cut(image: Image, recording: Recording, acknowledged: int, begun: int, folder: Path) -> Outcome:
    """Open the store on a disk after a cut. `acknowledged` batches were answered before the cut, `begun` were started."""
    _write(image, folder)
    path = folder / NAME
    due = recording.states[acknowledged : begun + 1]
    try:
        store = open_store(f"sqlite:///{path}", create=False)
    except StoreError as error:
        return Outcome(damaged=str(error))
    try:
        damage = _damage(path)
        if damage:
            return Outcome(damaged=damage)
        found = _state(path)
        if found not in due:
            if found not in recording.states:
                return Outcome(partly=f"{found.trades} trades, a state between two batches")
            if found.trades > due[-1].trades:
                return Outcome(other=f"{found.trades} trades, but only {due[-1].trades} were sent")
            return Outcome(lost=f"{due[0].trades - found.trades} of {due[0].trades} acknowledged trades")
        if begun > acknowledged:  # without an answer the sender repeats it
            store.append_trades(recording.batches[acknowledged])
            if store.counts().trades != due[-1].trades:
                return Outcome(other="the batch in flight, sent again, is not there exactly once")
        return Outcome(other=_whole(store))
    except StoreError as error:
        return Outcome(damaged=str(error))
    finally:
        store.close()


def _write(image: Image, folder: Path) -> None:
    """Replace the contents of a folder with an image."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in image.items():
        (folder / name).write_bytes(content)


def _damage(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
        foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()
    return "" if integrity == [("ok",)] and not foreign else f"{integrity[:2]} {foreign[:2]}"


def _state(path: Path) -> State:
    """The state of the store now; over the recording file layer if that is active."""
    connection = sqlite_connection.connect(str(path), "ro")
    try:
        connection.execute("BEGIN")
        tables = {table: connection.execute(query).fetchall() for table, query in TABLES.items()}
        connection.execute("ROLLBACK")
    finally:
        connection.close()
    return State(len(tables["trades"]), hashlib.sha256(repr(tables).encode()).hexdigest())


def _whole(store: Store) -> str:
    """What a start would miss: reference data or an epoch; empty if nothing."""
    if len(store.nodes()) != len(NODES):
        return "reference data is gone"
    store.acquire_writer("morning")
    return "" if store.next_epoch() > 0 else "no epoch"


def cut_everywhere(recording: Recording, seed: int, ways: Sequence[str] = WAYS, again: int = 0) -> Counter[str]:
    """Cut the power after each operation of a run, in each of `ways`; return the counts of faults.

    `again` of the remaining disks, taken at random, are cut everywhere once more while a store recovers on them.
    """
    rng = random.Random(f"{seed} cuts")
    marks = _marks(recording.tape)
    counts = Counter(dict.fromkeys(("operations", "cuts", *Outcome._fields), 0))
    counts["operations"] = sum(step.kind != "mark" for step in recording.tape.steps)
    seen: dict[tuple[int, int, int], Outcome] = {}
    disks: list[Image] = []
    kept = set(rng.sample(range(len(marks)), min(again, len(marks))))
    folder = Path(tempfile.mkdtemp(prefix="riskengine-power-", dir=MEMORY))
    try:
        for place, way, image in images(recording.start, recording.tape.steps, ways, rng):
            counts["cuts"] += 1
            key = (*marks[place], hash(tuple(sorted(image.items()))))
            if key not in seen:
                seen[key] = after_cut(image, recording, *marks[place], folder)
                if place in kept:
                    kept.remove(place)
                    disks.append(image)
            for field, said in seen[key]._asdict().items():
                counts[field] += bool(said)
                if said:
                    counts[f"{field} ({way})"] += 1
        counts["different disks"] = len(seen)
    finally:
        shutil.rmtree(folder)
    for disk in disks:
        while_recovering = cut_everywhere(record(2, seed, start=disk), seed, ways)
        counts.update({f"{key} while recovering": while_recovering[key] for key in ("cuts", "operations")})
        counts.update({field: while_recovering[field] for field in Outcome._fields})
    return counts


def _marks(tape: Tape) -> list[tuple[int, int]]:
    """For each position of a tape, the numbers of batches acknowledged and begun so far."""
    found, acknowledged, begun = [], 0, 0
    for step in tape.steps:
        begun = step.note.number + 1 if isinstance(step.note, Begun) else begun
        acknowledged = step.note.number + 1 if isinstance(step.note, Acknowledged) else acknowledged
        found.append((acknowledged, begun))
    return found


def cut_while_it_is_made(seed: int, ways: Sequence[str] = WAYS, every: int = 1) -> Counter[str]:
    """Cut the power everywhere, or only at each `every`th operation, while a store is made and loads its reference data.

    The next start must end with complete tables, and with nodes and instruments if they were acknowledged. Returns the counts of
    faults.
    """
    tape = Tape()
    with tempfile.TemporaryDirectory(prefix="riskengine-power-") as name:
        vfs = RecordingVfs(f"making-{time.monotonic_ns()}", tape)
        with mock.patch.object(sqlite_connection, "sqlite3", Through(vfs)):
            store = new_store(Path(name) / NAME)
            tape.mark("made")
            store.close()
        vfs.close()
    made = next(place for place, step in enumerate(tape.steps) if step.kind == "mark")
    counts = Counter(dict.fromkeys(("cuts while it is made", *Outcome._fields), 0))
    with tempfile.TemporaryDirectory(prefix="riskengine-power-", dir=MEMORY) as name:
        every_image = images({}, tape.steps, ways, random.Random(f"{seed} making"))
        for place, _, image in itertools.islice(every_image, seed % every, None, every):
            _write(image, Path(name))
            counts["cuts while it is made"] += 1
            try:
                store = open_store(f"sqlite:///{name}/{NAME}")
                whole = (len(store.nodes()), len(store.instruments())) == (len(NODES), len(INSTRUMENTS))
                counts["lost"] += place > made and not whole
                store.close()
                counts["damaged"] += bool(_damage(Path(name) / NAME))
            except StoreError:
                counts["damaged"] += 1
    return counts


def main(words: Sequence[str] | None = None) -> int:
    """Run the drill; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    parser.add_argument("--planted", choices=("nothing", "divided"), default="nothing")
    parser.add_argument("--batches", type=int, default=80)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--again", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    total = cut_while_it_is_made(options.seed)
    print("while the store is made:", json.dumps(total), flush=True)
    began = time.monotonic()
    for seed in range(options.seed, options.seed + options.runs):
        recording = record(options.batches, seed, synchronous=options.synchronous, divided=options.planted == "divided")
        counts = cut_everywhere(recording, seed, again=options.again)
        print(f"seed {seed}: {options.batches} batches, {recording.states[-1].trades} trades:", json.dumps(counts), flush=True)
        total.update(counts)
    settings = {"synchronous": options.synchronous, "planted": options.planted, "runs": options.runs}
    print(json.dumps({**settings, **total, "seconds": round(time.monotonic() - began, 1)}))
    return 1 if any(total[field] for field in Outcome._fields) else 0


if __name__ == "__main__":
    sys.exit(main())
