"""Access tokens: names, roles, grants and expiry in a file that has only their hashes.

A token is 256 random bits, so one SHA-256 keeps it secret: there is nothing to guess. The file is TOML, is replaced in one step,
and can be edited by hand.
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
"""Makes a token that lies about easy to find."""

MAX_FILE_BYTES = 4_194_304
MAX_TOKEN_CHARS = 256
"""Characters of the longest token that is accepted for checking."""

RESERVED = frozenset({"engine", "followed", "local", "self-audit"})
"""Names with another meaning in the audit trail."""

HEADING = "# Access tokens of riskengine: hashes only. `riskengine token create | list | revoke` keeps this file.\n"

_HASH = re.compile("[0-9a-f]{64}")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class StoredToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token as the file has it. `sha256` is of the token's text; `*` among nodes or dealers means all of them.

    `book`: a dealer's token that also posts trades of its own nodes and dealers.
    """

    name: str
    role: Literal["viewer", "dealer", "feed", "ops"]
    sha256: str
    nodes: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    dealers: tuple[str, ...] = ()
    created: dt.datetime | None = None
    expires: dt.datetime | None = None
    book: bool = False

    @property
    def grants(self) -> Grants:
        """Whose numbers it shows: what it names, and everything for `ops`."""
        if self.role == "ops":
            return EVERYTHING
        return Grants(
            None if ALL in self.nodes else frozenset(self.nodes),
            frozenset(self.totals),
            None if ALL in self.dealers else frozenset(self.dealers),
        )

    def principal(self) -> Principal:
        """The principal of requests with this token."""
        return Principal(self.name, frozenset([self.role]), self.grants, micros(self.expires), self.book)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file."""

    token: tuple[StoredToken, ...] = ()


def micros(moment: dt.datetime | None) -> int | None:
    """Microseconds since the epoch, exactly."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def new_token() -> str:
    """A new random token."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """The hash of a token, as the file has it."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def check_token(token: StoredToken) -> None:
    """Raises Rejected if a token's fields are invalid or contradict each other."""
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
    if token.book and token.role != "dealer":
        raise Rejected("book", f"is for the role dealer, not for {token.role}")
    if token.book and not (token.nodes and token.dealers):
        raise Rejected("book", "needs nodes and dealers: it is for trades of both, on a desk of its own by a dealer of its own")
    for field in ("created", "expires"):
        moment = getattr(token, field)
        if moment is not None and moment.tzinfo is None:
            raise Rejected(field, "needs an offset, as in 2026-11-21T18:00:00Z")


def read_tokens(path: str | Path) -> tuple[StoredToken, ...]:
    """The tokens of a file, in its order. Raises ConfigError, which names the file and what is wrong with it."""
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
    """The tokens of a file by name, written back at the end of the block unless it raises. Other editors wait.

    A missing file counts as empty. The file is replaced in one step, with mode 0600: readers see the old tokens or the new.
    Raises ConfigError.
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
    text = HEADING + "".join(f"\n{_toml_of(token)}" for token in tokens.values())
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


def _toml_of(token: StoredToken) -> str:
    lines = ["[[token]]"]
    for field, value in msgspec.structs.asdict(token).items():
        if isinstance(value, dt.datetime):
            lines.append(f"{field} = {value.astimezone(dt.UTC).isoformat().replace('+00:00', 'Z')}")
        elif value is not None and (value or field not in ("nodes", "totals", "dealers", "book")):
            lines.append(f"{field} = {orjson.dumps(value).decode()}")  # of printable texts, JSON and TOML write alike
    return "\n".join(lines) + "\n"


class Tokens:
    """The tokens of a file while an engine runs, by hash. `has_changed` checks the file, `read` loads it.

    A missing file lets nobody in; an unreadable one changes nothing. `problem` then says what is wrong.
    """

    def __init__(self, path: str) -> None:
        """Raises ConfigError if the file cannot be read."""
        self._path = path
        self._seen = self._stamp()
        self._principals: dict[str, Principal] = {}
        self.problem = ""
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
        """The names of all tokens."""
        return frozenset(principal.name for principal in self._principals.values())

    def has_changed(self) -> bool:
        """Whether the file differs from the one that was read. One system call; any thread."""
        return self._stamp() != self._seen

    def read(self) -> None:
        """Load the file again. Milliseconds for thousands of tokens; one thread at a time."""
        seen = self._stamp()
        try:
            self._take(read_tokens(self._path) if seen is not None else ())
            self.problem = "" if seen is not None else f"tokens file {self._path} is gone: nobody can come in"
        except ConfigError as error:
            self.problem = f"{error}; the tokens read before stay in force"
        self._seen = seen

    def principal(self, sha256: str) -> Principal | None:
        """The principal of the token with this hash; the caller checks its expiry. O(1)."""
        return self._principals.get(sha256)
