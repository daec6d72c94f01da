"""A simulated disk below SQLite that tracks which writes were synced, for drills that cut its power.

`RecordingVfs` is an apsw file layer over the real one. Reads, locks and shared memory pass through; every write, truncation,
sync, creation and removal is also recorded on a `Tape`. `images` replays a tape and yields, for each moment, what a disk may
hold after a power cut then:

- a file keeps its content as of its last sync;
- each sector of 512 bytes written since then is there, or not, independently; or the write stopped inside it and it holds
  garbage. Neighbouring bytes stay intact (SQLite relies on that, as on every real disk);
- an unsynced truncation happened or did not;
- files created or removed since the last sync of their folder did so up to any point, in order. The first sync of a log or
  journal also syncs its folder, as SQLite's file layer does.
"""

import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

SECTOR = 512
RUBBISH = 0.1
"""Probability that a sector being written holds garbage."""

Image = dict[str, bytes]
"""The contents of a disk: bytes of each file by name."""


class Step(NamedTuple):
    """One operation on the disk. `kind` is create, delete, write, truncate, sync, or mark (a note of the run)."""

    kind: str
    file: str = ""
    offset: int = 0
    data: bytes = b""
    syncs_folder: bool = False
    note: Any = None


class Tape:
    """All operations of a run on its disk, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def mark(self, note: Any) -> None:
        """Record a moment of the run, such as an acknowledgement."""
        self.steps.append(Step("mark", note=note))


# -- recording ---------------------------------------------------------------------------------------------------


class RecordingVfs(apsw.VFS):
    """A file layer called `name` that records its operations on `tape`. `close` unregisters it."""

    def __init__(self, name: str, tape: Tape) -> None:
        self.name = name
        self.tape = tape
        super().__init__(name, "")

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> "apsw.VFSFile":  # noqa: N802 - SQLite's names
        return RecordingFile(self.tape, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self.tape.steps.append(Step("delete", Path(filename).name, syncs_folder=syncdir))

    def close(self) -> None:
        """Unregister."""
        self.unregister()


class RecordingFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, tape: Tape, name: "str | apsw.URIFilename | None", flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        assert path is not None, "the store uses no temporary files on disk"
        self._file = Path(path).name
        self._steps = tape.steps
        self._syncs_folder = False
        if flags[0] & apsw.SQLITE_OPEN_CREATE and not Path(path).exists():
            self._syncs_folder = not flags[0] & apsw.SQLITE_OPEN_MAIN_DB
            self._steps.append(Step("create", self._file))
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self._steps.append(Step("write", self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self._steps.append(Step("truncate", self._file, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        # The tape is the disk: syncing the real file is unnecessary.
        self._steps.append(Step("sync", self._file, syncs_folder=self._syncs_folder))
        self._syncs_folder = False


# -- the disk after a cut ----------------------------------------------------------------------------------------


class _File:
    """A file's content at its last sync, and the operations since."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.since: list[Step] = []

    def sync(self) -> None:
        for step in self.since:
            _apply(self.durable, step)
        self.since.clear()


class Disk:
    """A disk at one moment of a tape."""

    def __init__(self, image: Image) -> None:
        self._files = {name: _File(content) for name, content in image.items()}
        self._folder: list[tuple[str, _File | None]] = []
        self._durable_files = dict(self._files)

    def step(self, step: Step) -> None:
        """Apply the next operation of the run."""
        if step.kind == "create":
            self._files[step.file] = _File()
            self._folder.append((step.file, self._files[step.file]))
        elif step.kind == "delete":
            self._files.pop(step.file, None)
            self._folder.append((step.file, None))
        elif step.kind == "sync":
            self._files[step.file].sync()
        elif step.kind in ("write", "truncate"):
            self._files[step.file].since.append(step)
        if step.syncs_folder:
            self._durable_files = dict(self._files)
            self._folder.clear()

    def cut(self, way: str, rng: random.Random) -> Image:
        """The contents when the power comes back. `way` selects the unsynced operations: nothing, everything, first or some."""
        kept = {"nothing": 0, "everything": len(self._folder)}.get(way, rng.randint(0, len(self._folder)))
        files = dict(self._durable_files)
        for name, file in self._folder[:kept]:
            if file is None:
                files.pop(name, None)
            else:
                files[name] = file
        return {name: _after_the_cut(file, way, rng) for name, file in files.items()}


def _after_the_cut(file: _File, way: str, rng: random.Random) -> bytes:
    content = bytearray(file.durable)
    if way == "everything":
        for step in file.since:
            _apply(content, step)
    elif way == "first":  # in order, the last one torn
        count = rng.randint(0, len(file.since))
        for step in file.since[:count]:
            _apply(content, step)
        for step in file.since[count : count + 1]:
            _apply_some(content, step, rng)
    elif way == "some":
        for step in file.since:
            _apply_some(content, step, rng)
    return bytes(content)


def _apply(content: bytearray, step: Step) -> None:
    if step.kind == "truncate":
        if step.offset < len(content):
            del content[step.offset :]
        else:
            content.extend(bytes(step.offset - len(content)))
        return
    if step.offset > len(content):
        content.extend(bytes(step.offset - len(content)))
    content[step.offset : step.offset + len(step.data)] = step.data


def _apply_some(content: bytearray, step: Step, rng: random.Random) -> None:
    """Apply a random part of the step: any of its sectors, some of them garbage."""
    if step.kind == "truncate":
        if rng.random() < 0.5:
            _apply(content, step)
        return
    end = step.offset + len(step.data)
    first = step.offset
    while first < end:
        last = min(end, (first // SECTOR + 1) * SECTOR)
        chance = rng.random()
        if chance < 0.5:
            part = step.data[first - step.offset : last - step.offset]
            if chance < 0.5 * RUBBISH:
                part = rng.randbytes(len(part))
            _apply(content, Step("write", "", first, part))
        first = last


def images(start: Image, steps: Sequence[Step], ways: Sequence[str], rng: random.Random) -> Iterator[tuple[int, str, Image]]:
    """For each operation of a tape: the position after it, the way of the cut, and the remaining disk."""
    disk = Disk(start)
    for place, step in enumerate(steps):
        disk.step(step)
        if step.kind != "mark":
            for way in ways:
                yield place, way, disk.cut(way, rng)


# -- the store on this disk --------------------------------------------------------------------------------------

_KINDS = {
    sqlite3.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    sqlite3.SQLITE_CORRUPT: sqlite3.DatabaseError,
    sqlite3.SQLITE_NOTADB: sqlite3.DatabaseError,
}


class Through:
    """Replaces the module `sqlite3` where the store connects: its connections go through a recording file layer.

    The rest of the store runs unchanged: its migrations, settings, queries and transactions.
    """

    def __init__(self, vfs: RecordingVfs) -> None:
        self._vfs = vfs

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)

    def connect(self, database: str, *, timeout: float = 5.0, **how: Any) -> "sqlite3.Connection | Connection":
        """Like `sqlite3.connect`; a database in memory bypasses the disk."""
        if not database.startswith("file:"):
            return sqlite3.connect(database, timeout=timeout, **how)
        return Connection(database, self._vfs.name, timeout)


class Connection:
    """The part of `sqlite3.Connection` that the store uses, with the same errors, over apsw."""

    def __init__(self, uri: str, vfs: str, timeout: float) -> None:
        flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        try:
            self._connection = apsw.Connection(uri, flags=flags, vfs=vfs)
        except apsw.Error as error:
            raise _as_sqlite3(error) from error
        self._connection.set_busy_timeout(int(timeout * 1_000))
        self.text_factory: Any = str

    def execute(self, statement: str, values: Any = ()) -> "Answer":
        try:
            return Answer(list(self._connection.execute(statement, values)))
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    def executemany(self, statement: str, rows: Iterable[Any]) -> None:
        for row in rows:
            self.execute(statement, row)

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes()

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        self._connection.close()


class Answer:
    """All rows of a statement, read at once."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


def _as_sqlite3(error: apsw.Error) -> sqlite3.Error:
    code = getattr(error, "extendedresult", 0) or getattr(error, "result", 0)
    kind = _KINDS.get(code & 0xFF, sqlite3.OperationalError)
    said = kind(str(error))
    said.sqlite_errorcode = code
    said.sqlite_errorname = type(error).__name__
    return said
