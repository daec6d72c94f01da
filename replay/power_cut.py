"""A drill: the power is cut at every operation on the disk while a SQLite store takes trades. What was acknowledged is there.

    python replay/power_cut.py                            # synchronous = FULL, as in earnest: nothing may be lost
    python replay/power_cut.py --synchronous NORMAL       # must lose acknowledged trades, which shows that this drill can see it
    python replay/power_cut.py --planted divided          # a batch in several transactions: must be found in part
    python replay/power_cut.py --again 20                 # 20 of the disks that are left are cut again while they recover

A run of the store as it is (its migrations, settings, queries and transactions; only the way to the disk is another, see
`power_cut_disk.py`) is recorded: batches of trades with repeats and conflicts, marks, a reader that holds a snapshot while the
log is copied into the file, checkpoints, a stop and a start in between. Then the power is cut at each write, sync, truncation,
creation and removal in turn: of what was not synced nothing is left, or everything, or the first operations with the last one
torn, or each sector by chance, some as rubbish. After each cut the store is opened as in the morning, and

- every batch that was acknowledged before the cut is there, whole and as it was;
- of the batch that was under way everything is there or nothing, of later ones nothing;
- SQLite's integrity check, the check of its keys and the epoch agree;
- the next batch can be stored.

Before that, the power is cut everywhere while a store is made: the next start must finish it, or find it whole.

A summary as JSON; exit status 0 where nothing was lost, in part, damaged or invented.
"""

import argparse
import hashlib
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
"""How the power is cut at each operation. `power_cut_disk.Disk.cut` tells what they mean."""
CHECKPOINT_PAGES = 60
"""In earnest 4,000 pages of log are copied at a time; here fewer, so that a run has many of these moments."""
NAME = "day.db"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the disks that are left are looked at."""


TABLES = {
    "trades": "SELECT * FROM trades ORDER BY store_seq",
    "conflicts": "SELECT * FROM conflicts ORDER BY conflict_id",
    "feeds": "SELECT * FROM feeds ORDER BY source",
    "audit": "SELECT * FROM audit WHERE last_store_seq IS NOT NULL ORDER BY audit_seq",
}
"""What a batch may change, all of it in one transaction."""


class State(NamedTuple):
    """How many trades a store holds, and a digest of all that batches change."""

    trades: int
    digest: str


class Recording(NamedTuple):
    """A run: the disk before it, what happened to the disk, and what the store held before the first batch and after each."""

    start: Image
    tape: Tape
    batches: list[list[Trade]]
    states: list[State]


class Begun(NamedTuple):
    """A note on the tape: batch `number` is handed to the store."""

    number: int


class Acknowledged(NamedTuple):
    """A note on the tape: the store has said that batch `number` is durable."""

    number: int


# -- the run -----------------------------------------------------------------------------------------------------


def record(batches: int, seed: int, *, synchronous: str = "FULL", divided: bool = False, start: Image | None = None) -> Recording:
    """Run a store over a recording file layer, on a new disk or on `start`."""
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
    """New trades, now and then one that is known already, one that contradicts it, or a cancel."""
    prices = [f"1.{rng.randint(0, 9999):04}" for _ in range(rng.randint(1, 12))]
    trades = [trade(f"{name}{number}-{place}", price=price, source_seq=number) for place, price in enumerate(prices)]
    if number and rng.random() < 0.5:
        trades.append(cancel(f"{name}{rng.randrange(number)}-0"))
    if number and rng.random() < 0.5:
        trades.insert(0, trade(f"{name}{rng.randrange(number)}-0", price=f"2.{rng.randint(0, 9999):04}"))
    return trades


def _deal(path: Path, work: list[list[Trade]], rng: random.Random, tape: Tape, divided: bool) -> list[State]:
    """What a day does to the disk."""
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
    """The files of a store that is closed. Its lock belongs to no disk."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".lock"}


# -- the cuts ----------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What was found after one cut; empty where all is well."""

    lost: str = ""
    partly: str = ""
    damaged: str = ""
    other: str = ""


def after_cut(image: Image, recording: Recording, acknowledged: int, begun: int, folder: Path) -> Outcome:
    """Open what is left of a disk. `acknowledged` batches were answered before the cut, `begun` were handed to the store."""
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
                return Outcome(other=f"{found.trades} trades, and only {due[-1].trades} were sent")
            return Outcome(lost=f"{due[0].trades - found.trades} of {due[0].trades} acknowledged trades")
        if begun > acknowledged:  # its sender was not answered and sends it again
            store.append_trades(recording.batches[acknowledged])
            if store.counts().trades != due[-1].trades:
                return Outcome(other="sent again, the batch that was under way is not there once")
        return Outcome(other=_whole(store))
    except StoreError as error:
        return Outcome(damaged=str(error))
    finally:
        store.close()


def _write(image: Image, folder: Path) -> None:
    """Make a folder hold an image and nothing else."""
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
    """Of the store as it is now. Over the recording file layer while that runs."""
    connection = sqlite_connection.connect(str(path), "ro")
    try:
        connection.execute("BEGIN")
        tables = {table: connection.execute(query).fetchall() for table, query in TABLES.items()}
        connection.execute("ROLLBACK")
    finally:
        connection.close()
    return State(len(tables["trades"]), hashlib.sha256(repr(tables).encode()).hexdigest())


def _whole(store: Store) -> str:
    """What else a morning needs: the reference data, and an epoch to go on from."""
    if len(store.nodes()) != len(NODES):
        return "reference data is gone"
    store.acquire_writer("morning")
    return "" if store.next_epoch() > 0 else "no epoch"


def cut_everywhere(recording: Recording, seed: int, ways: Sequence[str] = WAYS, again: int = 0) -> Counter[str]:
    """Cut the power behind each operation of a run, in each of `ways`. The counts of what was found.

    Of the disks that are left `again` are taken at random, and cut everywhere once more while a store recovers on them.
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
    """For each place of a tape how many batches were acknowledged by then, and how many begun."""
    found, acknowledged, begun = [], 0, 0
    for step in tape.steps:
        begun = step.note.number + 1 if isinstance(step.note, Begun) else begun
        acknowledged = step.note.number + 1 if isinstance(step.note, Acknowledged) else acknowledged
        found.append((acknowledged, begun))
    return found


def cut_while_it_is_made(seed: int, ways: Sequence[str] = WAYS) -> Counter[str]:
    """Cut the power everywhere while a store is made and gets its reference data. The counts of what the next start found.

    It must end up with the tables whole, and with nodes and instruments once they were acknowledged.
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
        for place, _, image in images({}, tape.steps, ways, random.Random(f"{seed} making")):
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
    """Run the drill; the exit status."""
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
