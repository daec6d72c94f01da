"""`riskengine token`: creates, lists and revokes access tokens. `check_access` checks the access settings before a start."""

import datetime as dt
import re
from collections.abc import Sequence
from difflib import get_close_matches

import click
import msgspec

from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.terminal import config_option, json_option, store_option
from riskengine.clock import SystemClock
from riskengine.config import Config, load_config
from riskengine.errors import ConfigError, InputError, RiskEngineError
from riskengine.records.fields import Rejected, excerpt, timestamp
from riskengine.serve.access.origins import check_binding, check_tls, warning_of
from riskengine.serve.access.tokens import ALL, StoredToken, check_token, editing, hash_of, micros, new_token, read_tokens
from riskengine.store.open_store import open_store
from riskengine.views.grants import ROLES

_DAYS = re.compile("([1-9][0-9]{0,3})d")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

tokens_option = click.option("--tokens", "tokens_path", metavar="FILE", help="The file of tokens.")


def check_access(config: Config) -> None:
    """Refuse a public address without tokens and files that cannot be read; print warnings. Raises ConfigError."""
    check_binding(config)
    check_tls(config)
    if config.access.tokens_file and not read_tokens(config.access.tokens_file):
        complain(f"tokens file {config.access.tokens_file}: it holds no token, so nobody can log in")
    warning = warning_of(config)
    if warning is not None:
        complain(f"WARNING: {warning}")


@click.group(name="token")
def token_commands() -> None:
    """Access tokens, kept as hashes in a file that a running engine follows."""


@token_commands.command(name="create")
@click.argument("name")
@click.option(
    "--role", required=True, type=click.Choice(ROLES), help="A viewer reads, a dealer comments too, feed posts, ops repairs."
)
@click.option("--book", is_flag=True, help="A dealer's token that also posts trades of its own nodes and dealers.")
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="Shows a node and all below it; * is every node.")
@click.option("--total", "totals", multiple=True, metavar="NODE", help="Shows the row of a node alone.")
@click.option("--dealer", "dealers", multiple=True, metavar="DEALER", help="Shows a dealer; * is every dealer.")
@click.option("--expires", metavar="30d|DATE", help="After so many days, or at a date or time (RFC 3339); without it never.")
@config_option
@tokens_option
@store_option
def create_command(
    name: str,
    role: str,
    book: bool,
    nodes: tuple[str, ...],
    totals: tuple[str, ...],
    dealers: tuple[str, ...],
    expires: str | None,
    config_path: str | None,
    tokens_path: str | None,
    store: str | None,
) -> None:
    """Create a token and print it. It is shown only now: the file keeps its hash.

    Its nodes must be in the store of --store, RISKENGINE_STORE or the configuration.
    """
    path = _file(config_path, tokens_path)
    granted = (*nodes, *totals, *dealers)
    if role == "ops" and granted:
        raise InputError("ops is shown everything: leave out --node, --total and --dealer")
    if role in ("viewer", "dealer") and not granted:
        raise InputError(f"a {role} is shown nothing without --node, --total or --dealer ('*' is all of them)")
    now = _moment(SystemClock().now())
    text = new_token()
    token = msgspec.convert(
        {
            "name": name,
            "role": role,
            "sha256": hash_of(text),
            "nodes": nodes,
            "totals": totals,
            "dealers": dealers,
            "book": book,
            "created": now.replace(microsecond=0),
            "expires": None if expires is None else _expiry(expires, now),
        },
        StoredToken,
    )
    try:
        check_token(token)
    except Rejected as error:
        raise InputError(f"token {excerpt(name)}: {error}") from None
    _check_nodes([*nodes, *totals], store or (load_config(config_path).store.url if config_path else None))
    with editing(path) as tokens:
        if name in tokens:
            raise InputError(f"token {excerpt(name)} exists already: revoke it first, or take another name")
        tokens[name] = token
    say(text)


def _check_nodes(named: Sequence[str], store: str | None) -> None:
    """Refuse a node that the store does not have: a token for it would show nothing. Warn where that cannot be asked."""
    wanted = [node for node in named if node != ALL]
    if not wanted:
        return
    try:
        known = _node_names(store)
    except RiskEngineError as error:
        complain(f"WARNING: not checked whether the nodes exist: {error}")
        return
    for node in wanted:
        if node not in known:
            near = get_close_matches(node, known, 1, 0.5)
            hint = f"; did you mean {excerpt(near[0])}?" if near else ""
            raise InputError(f"there is no node {excerpt(node)} in the store{hint} (load nodes first, or name another)")


def _node_names(store: str | None) -> list[str]:
    """The nodes of a store. Raises InputError, StoreError."""
    if not store:
        raise InputError("no store is named (--store, RISKENGINE_STORE, or --config)")
    opened = open_store(store, create=False, read_only=True)
    try:
        return [node.node for node in opened.nodes()]
    finally:
        opened.close()


@token_commands.command(name="list")
@config_option
@tokens_option
@json_option
def list_command(config_path: str | None, tokens_path: str | None, as_json: bool) -> None:
    """List the tokens: name, role, grants, expiry."""
    tokens = read_tokens(_file(config_path, tokens_path))
    now = SystemClock().now()
    if as_json:
        say_json({"tokens": [_token_row(token, now) for token in tokens]})
        return
    for token in tokens:
        shows = [
            f"{what} {', '.join(map(repr, named))}"
            for what, named in (("nodes", token.nodes), ("totals", token.totals), ("dealers", token.dealers))
            if named
        ]
        ends = "EXPIRED" if _has_expired(token, now) else "expires"
        until = "never expires" if token.expires is None else f"{ends} {token.expires}"
        everything = ["everything"] if token.role == "ops" else []
        role = f"{token.role} who books" if token.book else token.role
        say(f"{token.name}  {role}  {'; '.join(everything + shows) or 'shown nothing'}  {until}")
    if not tokens:
        complain("no tokens")


@token_commands.command(name="revoke")
@click.argument("name")
@config_option
@tokens_option
def revoke_command(name: str, config_path: str | None, tokens_path: str | None) -> None:
    """Revoke a token; its connections are closed within a second."""
    path = _file(config_path, tokens_path)
    read_tokens(path)  # a missing file is a mistake here, not an empty one
    with editing(path) as tokens:
        if tokens.pop(name, None) is None:
            raise InputError(f"there is no token {excerpt(name)}")
    say(f"revoked {name}", err=True)


def _file(config_path: str | None, tokens_path: str | None) -> str:
    path = tokens_path or load_config(config_path).access.tokens_file
    if not path:
        raise ConfigError("which file? give --tokens FILE, or a --config FILE that has tokens_file in [access]")
    return path


def _moment(ts: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=ts)


def _expiry(text: str, now: dt.datetime) -> dt.datetime:
    """`30d`, a date (its first moment in UTC) or a time."""
    days = _DAYS.fullmatch(text)
    try:
        if days:
            return now.replace(microsecond=0) + dt.timedelta(days=int(days[1]))
        moment = _moment(timestamp(f"{text}T00:00:00Z" if len(text) == len("2026-11-21") else text, "expires"))
    except (Rejected, OverflowError):
        raise InputError(f"--expires {excerpt(text)}: 30d, 2027-01-31 or 2027-01-31T18:00:00Z is expected") from None
    if moment <= now:
        raise InputError(f"--expires {excerpt(text)}: has passed")
    return moment


def _has_expired(token: StoredToken, now: int) -> bool:
    expires = micros(token.expires)
    return expires is not None and expires <= now


def _token_row(token: StoredToken, now: int) -> dict[str, str | bool | int | Sequence[str] | None]:
    return {
        "name": token.name,
        "role": token.role,
        "nodes": token.nodes,
        "totals": token.totals,
        "dealers": token.dealers,
        "book": token.book,
        "created_ts": micros(token.created),
        "expires_ts": micros(token.expires),
        "expired": _has_expired(token, now),
    }
