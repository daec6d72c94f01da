"""`riskengine backup`: a checked copy of a SQLite store while an engine writes it; for PostgreSQL the line that makes one."""

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import click
import msgspec

from riskengine.cli.start import BAR_CELLS, BAR_EVERY_S, Bar, check_engine, check_store, rebuild_engine
from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.terminal import config_option, effective_config, fail, json_option, store_option
from riskengine.clock import SystemClock, utc_text
from riskengine.config import Config, without_password
from riskengine.errors import ReferenceDataError, StoreError
from riskengine.rebuild.rebuild import NoListener
from riskengine.snapshot.digest import digest
from riskengine.snapshot.mismatch import Mismatch
from riskengine.store.open_store import POSTGRES, open_store, path_of
from riskengine.store.results import StoreState
from riskengine.store.sqlite.backup import copy_store, has_current_schema

GIVE_WAY = 10
"""The niceness of the command: a live engine gets the processor first."""

BESIDE = ("", "-wal", "-shm", ".lock", ".witness")
"""The files of a store, by what follows its path."""


@click.command(name="backup")
@click.argument("destination", metavar="DEST")
@store_option
@config_option
@json_option
@click.option("--force", is_flag=True, help="Replace DEST if it exists.")
def backup_command(destination: str, store: str | None, config_path: str | None, as_json: bool, force: bool) -> None:
    """Copy a SQLite store to the file DEST, also while an engine writes it, and check the copy.

    The copy gets its name once it has passed every check of `riskengine rebuild --full`. For PostgreSQL it prints the command
    that makes a copy, and makes none.
    """
    config = effective_config(config_path, store)
    if config.store.url.startswith(POSTGRES):
        say(pg_dump_line(config.store.url, destination))
        fail(
            f"nothing is copied yet: {without_password(config.store.url)} is PostgreSQL's; run the printed command, restore its"
            " file into an empty database and check that with riskengine rebuild --full"
        )
    path = os.path.realpath(path_of(config.store.url))
    target = free_place(destination, path, force=force)
    os.nice(GIVE_WAY)
    with partial_file(target) as made, bar_on_terminal() as bar:
        started = SystemClock().now()
        copy_store(path, made, lambda share: bar.show("copying", share))
        shutil.copymode(path, made)
        try:
            checked = check_copy(made, config, bar)
        except (StoreError, ReferenceDataError) as error:
            checked = Checked([Mismatch("unreadable", str(error).replace(made, target))])
        bar.hide()
        if checked.state is None:
            put_in_place(made, kept := f"{target}.unverified")
            for mismatch in checked.found:
                complain(f"{mismatch.kind}: {mismatch.text}")
            fail(f"the copy failed its checks and is no backup; it lies at {kept} (riskengine rebuild --full checks the store)")
        free_place(destination, path, force=force)  # something may have come there meanwhile
        put_in_place(made, target)
    tell_done(checked, checked.state, config.store.url, target, started, as_json=as_json)


# -- the copy ----------------------------------------------------------------------------------------------------------


def free_place(destination: str, path: str, *, force: bool) -> str:
    """The path where the copy of the store at `path` may be put; exits with one line if it may not."""
    target = os.path.realpath(destination)
    if os.path.isdir(target):
        fail(f"{destination} is a folder: name the file that is to hold the copy")
    if not os.path.isdir(os.path.dirname(target)):
        fail(f"{destination} cannot be written: there is no folder {os.path.dirname(target)}")
    if target in {path + suffix for suffix in BESIDE} or (os.path.exists(target) and os.path.samefile(target, path)):
        fail(f"{destination} belongs to the store itself: name another file")
    if os.path.exists(target) and not force:
        fail(f"{destination} exists: name another file, or replace it with --force")
    with suppress(FileNotFoundError):
        if os.path.getsize(f"{target}-wal"):
            # SQLite would play this log into the copy.
            fail(f"{destination}-wal exists: a store is in use there, or was not closed; name another file")
    return target


class ProgressBar(NoListener):
    """A bar on a terminal, of the copy and then of its replay; it shows nothing elsewhere."""

    def __init__(self) -> None:
        self._bar = Bar()
        self._shown_at = 0
        self._is_shown = sys.stderr.isatty()

    def show(self, what: str, share: float) -> None:
        """Draw how much is done, 0 to 1; at most ten times a second."""
        now = SystemClock().now()
        if self._is_shown and now - self._shown_at > BAR_EVERY_S * 1e6:
            self._shown_at = now
            filled = int(share * BAR_CELLS)
            self._bar.draw(f"{what} [{'#' * filled}{'-' * (BAR_CELLS - filled)}] {share * 100:.0f} %")

    def advance(self, share: float, loaded: int) -> None:
        """See `Listener`."""
        self.show("checking", share)

    def hide(self) -> None:
        """Clear the line."""
        self._bar.hide()


@contextmanager
def bar_on_terminal() -> Iterator[ProgressBar]:
    """A bar whose line is clear at the end of the block."""
    bar = ProgressBar()
    try:
        yield bar
    finally:
        bar.hide()


@contextmanager
def partial_file(target: str) -> Iterator[str]:
    """The path of an empty file beside `target`, which is removed at the end of the block, with what SQLite put beside it."""
    folder, name = os.path.split(target)
    try:
        handle, made = tempfile.mkstemp(prefix=f".{name}.", suffix=".partial", dir=folder)
    except OSError as error:
        fail(f"{target} cannot be written: {error.strerror}")
    os.close(handle)
    try:
        yield made
    finally:
        for suffix in (*BESIDE, "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(made + suffix)


def put_in_place(made: str, target: str) -> None:
    """Give the copy its name, in one step that survives a power cut."""
    for suffix in ("-wal", "-shm"):  # empty ones, of a reader: the copy is not theirs
        with suppress(FileNotFoundError):
            os.unlink(target + suffix)
    os.replace(made, target)
    folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# -- the check ---------------------------------------------------------------------------------------------------------


class Checked(NamedTuple):
    """What the checks of a copy found wrong; its `state` and `digest` if that is nothing."""

    found: list[Mismatch]
    state: StoreState | None = None
    digest: str = ""


def check_copy(made: str, config: Config, bar: ProgressBar) -> Checked:
    """Check a copy as `riskengine rebuild --full` checks a store. Raises StoreError, ReferenceDataError.

    A copy of an older schema stays as it is: a copy of the copy is migrated and checked.
    """
    if has_current_schema(made):
        return _check_store_at(made, config, bar, read_only=True)
    with partial_file(made) as migrated:
        shutil.copyfile(made, migrated)
        return _check_store_at(migrated, config, bar, read_only=False)


def _check_store_at(path: str, config: Config, bar: ProgressBar, *, read_only: bool) -> Checked:
    url = f"sqlite:///{path}"
    config = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=url, witness=""))
    opened = open_store(url, create=False, read_only=read_only)
    try:
        engine = rebuild_engine(opened, config, None, bar)
        found = check_engine(engine) or check_store(opened, config, engine, None)
        return Checked(found) if found else Checked([], opened.state(), digest(engine.snapshot))
    finally:
        opened.close()


def tell_done(checked: Checked, state: StoreState, url: str, target: str, started: int, *, as_json: bool) -> None:
    """Print what the copy holds, so that a person can compare it with a later store."""
    told: dict[str, Any] = {
        "copy": target,
        "store": without_password(url),
        "bytes": Path(target).stat().st_size,
        "begun_ts": started,
        "trades": state.trades,
        "watermark": state.watermark,
        "epoch": state.epoch,
        "audit_hash": state.audit_hash,
        "digest": checked.digest,
    }
    if as_json:
        say_json(told)
        return
    say(f"copied {told['store']} as it was at {utc_text(started)} to {target}: {told['bytes']:,} bytes")
    say(f"trades {state.trades:,}, the last is number {state.watermark:,}; epoch {state.epoch}")
    say(f"digest {checked.digest}")
    say(f"audit head {state.audit_hash or 'none'}")
    say("every check passed: integrity, invariants, the store's own sums, the tree, the audit trail")


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def pg_dump_line(url: str, destination: str) -> str:
    """The command that copies one moment of a PostgreSQL store. Without the password, which pg_dump reads from ~/.pgpass."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    parameters = parse_qsl(parts.query)
    schemas = [found[1] for name, value in parameters if name == "options" and (found := _SEARCH_PATH.search(value))]
    kept = [each for each in parameters if each[0] not in ("options", "password", "sslpassword")]
    query = f"?{urlencode(kept, quote_via=quote, safe='/')}" if kept else ""
    plain = f"{POSTGRES}{user.partition(':')[0]}{at}{place}{parts.path}{query}"
    which = [f"--schema={schema}" for schema in schemas]
    return shlex.join(["pg_dump", "--format=custom", *which, f"--file={destination}", plain])


_SEARCH_PATH = re.compile(r"-c\s*search_path=([^\s,]+)")
"""The first schema of a search path. pg_dump reads its name by the same rules as PostgreSQL: folded unless it is quoted."""
