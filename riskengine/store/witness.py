"""What this machine remembers of a store, outside it: that it was further than it is now shows that it went back.

A store restored from an old backup is sound in itself: nothing in it tells of what was lost. So the engine notes how far the
store has come in a small file of its own, at going live, every few seconds and at the end, and holds the store against it at the
next start.

Everything here may be called by any thread, one at a time.
"""

import datetime as dt
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import StoreConfig, without_password
from riskengine.observe import get_logger
from riskengine.store.protocol import Store
from riskengine.store.results import StoreState

SUFFIX = ".witness"

log = get_logger("riskengine.witness")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The file: where the store stood at `ts`. `store` is there for the person who finds it."""

    store_id: str
    store: str
    epoch: int
    watermark: int
    trades: int
    audit_seq: int
    audit_hash: str
    ts: int


def witness_path(config: StoreConfig, name: str, store_id: str) -> Path:
    """Where the witness of a store lies: beside a SQLite file, else in a folder, under a name made of URL and store.

    A copy of a store at another place has none. Raises OSError where the user has no home.
    """
    if not config.witness and config.url.startswith("sqlite:"):
        return Path(name + SUFFIX)
    key = f"{store_id} {name if config.url.startswith('sqlite:') else without_password(config.url)}"
    folder = Path(config.witness) if config.witness else state_folder()
    return folder / (hashlib.sha256(key.encode()).hexdigest()[:24] + SUFFIX)


def state_folder() -> Path:
    """Where a user's programs keep what must outlive a restart. Raises OSError where there is no such place."""
    named = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(named):  # the rule of that variable: a relative one is to be ignored
        return Path(named) / "riskengine"
    try:
        return Path.home() / ".local" / "state" / "riskengine"
    except RuntimeError as error:
        raise OSError(str(error)) from None


class Witness:
    """The witness of one store: asked once at the start (`judge`), then kept up to date (`note`)."""

    def __init__(self, config: StoreConfig, store: Store, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._seen: Seen | None = None
        self.store_id: str | None = None
        """Which store was judged."""
        self.path: Path | None = None
        self.gone = 0
        """Trades that the store held when it was last seen from here and does not hold any more."""
        self.error: str | None = None
        """Why nothing can be noted; None while it can."""

    @property
    def epoch(self) -> int:
        """The highest epoch that was seen here, 0 where nothing is known."""
        return 0 if self._seen is None else self._seen.epoch

    @property
    def audit_hash(self) -> str | None:
        """The newest entry of the audit trail that was seen, None where there is none."""
        return self._seen.audit_hash or None if self._seen is not None else None

    def judge(self) -> str | None:
        """What says that the store went back since it was last seen from here, or None. Raises StoreError.

        No witness, a damaged one or one of another store says nothing; the last two are logged.
        """
        now = self._store.state()
        self.store_id = now.store_id
        try:
            self.path = witness_path(self._config, self._store.name, now.store_id)
            seen = msgspec.json.decode(self.path.read_bytes(), type=Seen)
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
        return self._went_back(seen, now)

    def adopt(self) -> None:
        """Believe the store as it is: what was seen before counts no more."""
        self._seen = None

    def note(self, *, count: bool = False) -> str | None:
        """Write down where the store stands. What says that it went back since the last note, and then nothing is written.

        Only trades after the last note are counted, or all of them to `count`. Raises StoreError. That the file cannot be written
        is logged once and told by `error`.
        """
        seen = self._seen
        now = self._store.state(*((seen.watermark, seen.trades) if seen is not None and not count else (0, 0)))
        if seen is not None and (back := self._went_back(seen, now)) is not None:
            return back
        noted = Seen(
            store_id=now.store_id,
            store=without_password(self._config.url),
            epoch=now.epoch,
            watermark=now.watermark,
            trades=now.trades,
            audit_seq=now.audit_seq,
            audit_hash=now.audit_hash,
            ts=self._clock.now(),
        )
        if seen is not None and self.error is None and msgspec.structs.replace(noted, ts=seen.ts) == seen:
            return None
        try:
            if self.path is None:
                self.path = witness_path(self._config, self._store.name, now.store_id)
            write_durably(self.path, msgspec.json.encode(noted))
        except OSError as error:
            if self.error is None:
                log.warning("witness_not_written", path=str(self.path), reason=_reason(error))
            self.error = _reason(error)
        else:
            self.error = None
        self._seen = noted
        return None

    def _went_back(self, seen: Seen, now: StoreState) -> str | None:
        where = f"it ends at {_trade(now.watermark, now.last_received_ts)}, epoch {now.epoch}"
        had = f"this machine had seen trade {seen.watermark}, epoch {seen.epoch}, at {moment(seen.ts)}"
        if now.epoch < seen.epoch or now.watermark < seen.watermark:
            return f"the store was restored from an older state: {where}; {had}"
        if seen.audit_seq:
            there = self._store.audit_hash(seen.audit_seq)
            if there != seen.audit_hash:
                what = "is missing" if there is None else "is another one"
                entry = f"entry {seen.audit_seq} of its audit trail {what}"
                return f"the store was restored from an older state: {entry}; {where}; {had}"
        return None


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file in one step that survives a power cut; its folder is made where there is none. Raises OSError."""
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


def moment(ts: int) -> str:
    """Microseconds as a person reads them."""
    return dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _trade(watermark: int, received_ts: int | None) -> str:
    return "no trade" if received_ts is None else f"trade {watermark} of {moment(received_ts)}"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
