"""Remembers, outside the store, how far it had come: a store that is behind this was restored from an older state.

A store restored from an old backup is sound in itself: nothing in it shows what was lost. So the engine writes the state of the
store into a small file, when it goes live, every few seconds and at the end, and compares the store with it at the next start. If
the store goes back under it, it writes what it had acknowledged. What the file says never goes back by itself: only a person who
accepts the older store makes it do so.

Any thread may call this module, one at a time.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from riskengine.clock import Clock, utc_text
from riskengine.config import StoreConfig, without_password
from riskengine.observe import get_logger
from riskengine.store.protocol import Store
from riskengine.store.results import StoreState
from riskengine.store.standing import Acknowledged

SUFFIX = ".witness"

log = get_logger("riskengine.witness")


class SeenState(msgspec.Struct, frozen=True, kw_only=True):
    """The file: the state of the store at `ts`, microseconds since the epoch. `store` names it, for a person."""

    store_id: str
    store: str
    epoch: int
    watermark: int
    trades: int
    audit_seq: int
    audit_hash: str
    ts: int


def witness_path(config: StoreConfig, name: str, store_id: str) -> Path:
    """The path of the file: beside a SQLite file, else in a folder, under a name made of the URL and the store's id.

    A copy of a store at another place has no witness. Raises OSError if the user has no home.
    """
    if not config.witness and config.url.startswith("sqlite:"):
        return Path(name + SUFFIX)
    key = f"{store_id} {name if config.url.startswith('sqlite:') else without_password(config.url)}"
    folder = Path(config.witness) if config.witness else state_folder()
    return folder / (hashlib.sha256(key.encode()).hexdigest()[:24] + SUFFIX)


def state_folder() -> Path:
    """The folder for state that must outlive a restart of a user's programs. Raises OSError if there is none."""
    named = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(named):  # its specification says to ignore a relative path
        return Path(named) / "riskengine"
    try:
        return Path.home() / ".local" / "state" / "riskengine"
    except RuntimeError as error:
        raise OSError(str(error)) from None


class Witness:
    """The witness of one store: `check` it once at the start, then keep it up to date with `note`."""

    def __init__(self, config: StoreConfig, store: Store, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._seen: SeenState | None = None
        self.store_id: str | None = None
        """The id of the store that was checked."""
        self.path: Path | None = None
        self.gone = 0
        """The number of trades that the store held when this machine last saw it, and no longer holds."""
        self.cut: str | None = None
        """A text if the newest rows were deleted since the note before, None if not: a row that was deleted is a break."""
        self.error: str | None = None
        """The reason why the file cannot be written, None while it can."""

    @property
    def epoch(self) -> int:
        """The highest epoch that this machine saw, 0 if it saw none."""
        return 0 if self._seen is None else self._seen.epoch

    @property
    def audit_hash(self) -> str | None:
        """The hash of the newest entry of the audit trail that this machine saw, None if it saw none."""
        return self._seen.audit_hash or None if self._seen is not None else None

    def check(self) -> str | None:
        """A text if the store is behind the state that this machine last saw, else None. Raises StoreError.

        Returns None, too, if the file is missing, damaged or of another store; logs the last two.
        """
        now = self._store.state()
        self.store_id = now.store_id
        try:
            self.path = witness_path(self._config, self._store.name, now.store_id)
            seen = msgspec.json.decode(self.path.read_bytes(), type=SeenState)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # a ValueError: msgspec's, or a text that is not UTF-8
            log.warning("witness_unreadable", path=str(self.path), reason=_reason(error))
            return None
        if seen.store_id != now.store_id:
            log.warning("witness_of_another_store", path=str(self.path), store=self._store.name, witnessed=seen.store)
            return None
        self._seen = seen
        self.gone = max(0, seen.trades - now.trades)
        return self._behind(seen, now)

    def adopt(self) -> None:
        """Accept the store as it is: forget the state that was seen before."""
        self._seen = None

    def note(self, *, count: bool = False) -> str | None:
        """Write the state of the store into the file. If it is behind the last note, write nothing and return a text.

        Counts only the trades after the last note, or all with `count`. Raises StoreError. If the file cannot be written, logs
        that once and sets `error`.
        """
        seen = self._seen
        now = self._store.state(*((seen.watermark, seen.trades) if seen is not None and not count else (0, 0)))
        if seen is not None and (back := self._behind(seen, now)) is not None:
            return back
        self.cut = None
        if seen is not None and now.watermark < seen.watermark:
            self.cut = (
                f"the newest trades were deleted from the store: it ends at trade {now.watermark} and had come to"
                f" {seen.watermark}; reconcile, and `riskengine audit verify` lists the rows"
            )
        noted = SeenState(
            store_id=now.store_id,
            store=without_password(self._config.url),
            epoch=now.epoch,
            watermark=now.watermark if seen is None else max(now.watermark, seen.watermark),
            trades=now.trades,
            audit_seq=now.audit_seq,
            audit_hash=now.audit_hash,
            ts=self._clock.now(),
        )
        self._save(noted)
        return None

    def keep(self, acknowledged: Acknowledged) -> None:
        """Write what a writer has acknowledged, whatever the store holds now: the next start compares the store with that.

        Nothing is noted that is lower than what is noted already. Errors as for `note`.
        """
        seen = self._seen
        lower = seen is not None and acknowledged.head.audit_seq < seen.audit_seq
        audit_seq, audit_hash = (seen.audit_seq, seen.audit_hash) if seen is not None and lower else acknowledged.head
        self._save(
            SeenState(
                store_id=acknowledged.store_id,
                store=without_password(self._config.url),
                epoch=max(acknowledged.epoch, self.epoch),
                watermark=max(acknowledged.watermark, 0 if seen is None else seen.watermark),
                trades=0 if seen is None else seen.trades,
                audit_seq=audit_seq,
                audit_hash=audit_hash,
                ts=self._clock.now(),
            )
        )

    def _save(self, noted: SeenState) -> None:
        """Write the file unless it says the same already. If it cannot be written, log that once and set `error`."""
        seen = self._seen
        if seen is not None and self.error is None and msgspec.structs.replace(noted, ts=seen.ts) == seen:
            return
        try:
            if self.path is None:
                self.path = witness_path(self._config, self._store.name, noted.store_id)
            write_durably(self.path, msgspec.json.encode(noted))
        except OSError as error:
            if self.error is None:
                log.warning("witness_not_written", path=str(self.path), reason=_reason(error))
            self.error = _reason(error)
        else:
            self.error = None
        self._seen = noted

    def _behind(self, seen: SeenState, now: StoreState) -> str | None:
        where = f"it ends at {_trade_text(now.watermark, now.last_received_ts)}, epoch {now.epoch}"
        had = f"this machine had seen trade {seen.watermark}, epoch {seen.epoch}, at {utc_text(seen.ts)}"
        if now.epoch < seen.epoch or now.come_to < seen.watermark:
            return f"the store was restored from an older state: {where}; {had}"
        if seen.audit_seq:
            there = self._store.audit_hash(seen.audit_seq)
            if there != seen.audit_hash:
                what = "is missing" if there is None else "is another one"
                entry = f"entry {seen.audit_seq} of its audit trail {what}"
                return f"the store was restored from an older state: {entry}; {where}; {had}"
        return None


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file in one step that survives a power cut; make its folder if needed. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _trade_text(watermark: int, received_ts: int | None) -> str:
    return "no trade" if received_ts is None else f"trade {watermark} of {utc_text(received_ts)}"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
