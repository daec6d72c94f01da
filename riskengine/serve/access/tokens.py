"""Access tokens: who may come in, as what, and whose numbers they are shown; kept in a file that knows their hashes only.

A token is 256 random bits, so one SHA-256 is enough to keep it secret: there is nothing to guess. The file is TOML, is replaced
in one step, and can be edited by hand.
"""

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import orjson

from riskengine.errors import ConfigError
from riskengine.records.fields import Rejected, excerpt, name
from riskengine.views.grants import EVERYTHING, Grants, Principal

ALL = "*"
PREFIX = "rt_"
"""Makes a token that was left lying about easy to find."""

MAX_FILE_BYTES = 4_194_304
MAX_TOKEN = 256
"""Characters of what may be presented as one."""

RESERVED = frozenset({"engine", "followed", "local", "self-audit"})
"""Names that stand for something else in the audit trail."""

HEADING = "# Access tokens of riskengine: hashes only. `riskengine token create | list | revoke` keeps this file.\n"

_HASH = re.compile("[0-9a-f]{64}")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class StoredToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token as the file has it. `sha256` is of the token's text; `*` among nodes or dealers is all of them."""

    name: str
    role: Literal["viewer", "dealer", "feed", "ops"]
    sha256: str
    nodes: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    dealers: tuple[str, ...] = ()
    created: dt.datetime | None = None
    expires: dt.datetime | None = None

    @property
    def grants(self) -> Grants:
        """Whose numbers it is shown: what it names, and all of them for `ops`."""
        if self.role == "ops":
            return EVERYTHING
        return Grants(
            None if ALL in self.nodes else frozenset(self.nodes),
            frozenset(self.totals),
            None if ALL in self.dealers else frozenset(self.dealers),
        )

    def principal(self) -> Principal:
        """Who comes with it."""
        return Principal(self.name, frozenset([self.role]), self.grants, micros(self.expires))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file."""

    token: tuple[StoredToken, ...] = ()


def micros(moment: dt.datetime | None) -> int | None:
    """Microseconds since the epoch, exactly."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def new_token() -> str:
    """A token that nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """What the file has of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def check_token(token: StoredToken) -> None:
    """Raises Rejected where a token cannot be meant like that."""
    name(token.name, "name")
    if token.name in RESERVED:
        raise Rejected("name", "is one that the engine uses itself")
    if not _HASH.fullmatch(token.sha256):
        raise Rejected("sha256", "must be 64 hexadecimal digits")
    for field in ("nodes", "totals", "dealers"):
        for each in getattr(token, field):
            name(each, field, required=field != "dealers")
    if ALL in token.totals:
        raise Rejected("totals", "must name the nodes whose totals are shown")
    for field in ("created", "expires"):
        moment = getattr(token, field)
        if moment is not None and moment.tzinfo is None:
            raise Rejected(field, "needs an offset, as in 2026-11-21T18:00:00Z")


def read_tokens(path: str | Path) -> tuple[StoredToken, ...]:
    """The tokens of a file, in its order. Raises ConfigError naming the file and what is wrong with it."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"tokens file {path}: cannot be read: {error.strerror}") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"tokens file {path}: can be changed by others: chmod 600")
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"tokens file {path}: is larger than {MAX_FILE_BYTES} bytes")
    try:
        tokens = msgspec.convert(tomllib.loads(content.decode("utf-8-sig")), _File).token
        _check_all(tokens)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"tokens file {path}: {str(error) or 'nested too deeply'}") from None
    return tokens


def _check_all(tokens: Iterable[StoredToken]) -> None:
    names: set[str] = set()
    hashes: set[str] = set()
    for token in tokens:
        try:
            check_token(token)
        except Rejected as error:
            raise ValueError(f"token {excerpt(token.name)}: {error}") from None
        if token.name in names:
            raise ValueError(f"token {excerpt(token.name)} is there twice")
        if token.sha256 in hashes:
            raise ValueError(f"token {excerpt(token.name)}: another has the same hash")
        names.add(token.name)
        hashes.add(token.sha256)


@contextlib.contextmanager
def editing(path: str | Path) -> Iterator[dict[str, StoredToken]]:
    """The tokens of a file by name, written back at the end of the block unless it raises. Others wait. Raises ConfigError.

    A file that is not there yet begins empty. It is replaced in one step, with mode 0600: readers see the old tokens or the new.
    """
    path = Path(os.path.realpath(path))
    try:
        with open(path.with_name(path.name + ".lock"), "w", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = {token.name: token for token in read_tokens(path)} if path.exists() else {}
            before = dict(tokens)
            yield tokens
            if tokens != before:
                _replace(path, tokens)
    except OSError as error:
        raise ConfigError(f"tokens file {path}: cannot be written: {error.strerror}") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _replace(path: Path, tokens: Mapping[str, StoredToken]) -> None:
    text = HEADING + "".join(f"\n{_written(token)}" for token in tokens.values())
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8", opener=_private) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _written(token: StoredToken) -> str:
    lines = ["[[token]]"]
    for field, value in msgspec.structs.asdict(token).items():
        if isinstance(value, dt.datetime):
            lines.append(f"{field} = {value.astimezone(dt.UTC).isoformat().replace('+00:00', 'Z')}")
        elif value is not None and (value or field not in ("nodes", "totals", "dealers")):
            lines.append(f"{field} = {orjson.dumps(value).decode()}")  # of printable texts, JSON and TOML write alike
    return "\n".join(lines) + "\n"


class Tokens:
    """The tokens of a file while an engine runs, by hash. `look` tells whether the file has changed, `read` takes it over.

    A file that is gone lets nobody in; one that cannot be read changes nothing (`trouble` says what is wrong).
    """

    def __init__(self, path: str) -> None:
        """Raises ConfigError where the file cannot be read."""
        self._path = path
        self._seen = self._stamp()
        self._principals: dict[str, Principal] = {}
        self.trouble = ""
        self._take(read_tokens(path))

    def _take(self, tokens: Iterable[StoredToken]) -> None:
        self._principals = {token.sha256: token.principal() for token in tokens}

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode

    @property
    def names(self) -> frozenset[str]:
        """Of all that there are."""
        return frozenset(principal.name for principal in self._principals.values())

    def look(self) -> bool:
        """Whether the file is another than the one that was read. A system call; any thread."""
        return self._stamp() != self._seen

    def read(self) -> None:
        """Take over what the file says now. Milliseconds where there are thousands; any one thread."""
        seen = self._stamp()
        try:
            self._take(read_tokens(self._path) if seen is not None else ())
            self.trouble = "" if seen is not None else f"tokens file {self._path} is gone: nobody can come in"
        except ConfigError as error:
            self.trouble = f"{error}; the tokens read before stay in force"
        self._seen = seen

    def principal(self, sha256: str) -> Principal | None:
        """Whose token has this hash; whether it has expired is not looked at. O(1)."""
        return self._principals.get(sha256)
