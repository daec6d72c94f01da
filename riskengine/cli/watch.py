"""`riskengine watch`: a ladder or the tree in a terminal, live, with the Python client."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from riskengine.cli.watch_lines import (
    ALARM,
    FAINT,
    HEADING,
    LADDER,
    TREE,
    Column,
    Row,
    TerminalLine,
    clock,
    ladder_rows,
    screen,
    status_line,
    table,
    tree_rows,
)
from riskengine.client import LIVE, LOADING, BlockingSubscription, Client, State, SubscriptionRefused
from riskengine.errors import EngineUnreachable, RiskEngineError

REDRAW_S = 0.25
"""The least time between two pictures."""

ONCE_S = 15.0
"""How long `--once` waits for an engine that is live."""

PLAIN_WIDTH = 200
"""Where there is no terminal to fit."""

LOOKS = {HEADING: "\x1b[1m", ALARM: "\x1b[1;7m", FAINT: "\x1b[2m"}
ALTERNATE, BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Another page of the terminal without a cursor; and the page of before with it."""


@click.command(name="watch")
@click.option("--node", metavar="NODE", help="The ladder of a node; without an option that of the root.")
@click.option("--dealer", metavar="DEALER", help="The ladder of a dealer.")
@click.option("--tree", is_flag=True, help="The tree instead of a ladder.")
@click.option("--url", default="http://127.0.0.1:8321", show_default=True, metavar="URL", help="The running engine.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Holds the access token; read again at each connection.",
)
@click.option("--once", is_flag=True, help="Print it once, and end.")
def watch_command(node: str | None, dealer: str | None, tree: bool, url: str, token_file: str | None, once: bool) -> None:
    """A ladder or the tree as it changes, until Ctrl-C; lines of what changed where stdout is no terminal.

    Without a token file the token is what RISKENGINE_TOKEN says.
    """
    if sum((node is not None, dealer is not None, tree)) > 1:
        raise click.UsageError("give one of --node, --dealer and --tree")
    token = os.environ.get("RISKENGINE_TOKEN") if token_file is None else lambda: _token(token_file)
    with Client(url, token=token, max_hz=1.0 / REDRAW_S) as client:
        if tree:
            watched = Watched(client, "tree", TREE, client.subscribe("nodes"))
        else:
            title = f"dealer {dealer}" if dealer is not None else node or "root"
            watched = Watched(client, title, LADDER, client.subscribe("ladder", node=node, dealer=dealer))
        try:
            if once:
                watched.print_once()
            elif sys.stdout.isatty():
                watched.draw()
            else:
                watched.print_changes()
        except KeyboardInterrupt:
            return


def _token(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


class Watched:
    """What is watched: its states, and the engine's warnings beside them."""

    def __init__(self, client: Client, title: str, columns: Sequence[Column], view: BlockingSubscription) -> None:
        self._client = client
        self._title = title
        self._columns = columns
        self._view = view
        self._status = client.subscribe("status")
        self._loading = ""
        self._asked_at = 0.0

    def print_once(self) -> None:
        """The first live state, as plain lines. Raises EngineUnreachable where there is none in time."""
        end = time.monotonic() + ONCE_S
        state: State | None = None
        while state is None or state.status != LIVE:
            try:
                state = self._view.next(max(end - time.monotonic(), 0.001))
            except TimeoutError:
                reason = f"{state.status}: {state.reason}" if state is not None else "no answer"
                raise EngineUnreachable(f"{reason} (waited {ONCE_S:.0f} s)") from None
        click.echo(status_line(self._title, state).text)
        for line in table(self._columns, self._rows(state), PLAIN_WIDTH):
            click.echo(line)

    def print_changes(self) -> None:
        """A line for each row that changed and each change of how good the rows are, for ever."""
        said: tuple[str, str] | None = None
        for state in self._view:
            if (state.status, state.reason) != said:
                said = state.status, state.reason
                click.echo(status_line(self._title, state).text)
            if state.status == LIVE and (state.changed or state.removed):
                moment = clock(state.as_of or 0)
                changed = [row for row in self._rows(state) if row[self._columns[0].heading] in state.changed]
                for line in table(self._columns, changed, PLAIN_WIDTH)[1:]:
                    click.echo(f"{moment}  {line}")
                for key in sorted(map(str, state.removed)):
                    click.echo(f"{moment}  {key}  removed")
            sys.stdout.flush()
            time.sleep(REDRAW_S)

    def draw(self) -> None:
        """A picture that is drawn anew when something changed, and once a second, for ever."""
        state = self._view.state()
        with _page():
            while True:
                width, height = shutil.get_terminal_size()
                rows = self._rows(state)
                warnings = self._warnings()
                _show(screen(self._title, self._columns, rows, state, warnings, self._how_far(state), width, height))
                time.sleep(REDRAW_S)
                try:
                    state = self._view.next(1.0)
                except TimeoutError:
                    continue

    def _rows(self, state: State) -> list[Row]:
        return tree_rows(state.rows.values()) if self._columns is TREE else ladder_rows(state.rows.values())

    def _warnings(self) -> list[str]:
        """What the engine wants people to know; nothing where this token is not shown it."""
        try:
            status: Any = self._status.state().rows.get("", {})
        except SubscriptionRefused:
            return []
        return [str(warning.get("text", "")) for warning in status.get("warnings") or ()]

    def _how_far(self, state: State) -> str:
        """How far the start of an engine is that is not live yet; asked for once a second."""
        if state.status != LOADING:
            self._loading = ""
        elif time.monotonic() - self._asked_at > 1.0:
            self._asked_at = time.monotonic()
            try:
                told = self._client.status()
                self._loading = f"{told['state']} {100 * (told['progress'] or 0):.0f} %" if told["state"] != "live" else ""
            except (RiskEngineError, KeyError, TypeError):
                self._loading = ""
        return self._loading


@contextmanager
def _page() -> Iterator[None]:
    """A page of the terminal of its own; the one of before is back however it ends."""

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ended)
    try:
        sys.stdout.write(ALTERNATE)
        yield
    finally:
        sys.stdout.write(BACK)
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, before)


def _show(lines: Sequence[TerminalLine]) -> None:
    """Draw over what was there, line by line, without a flicker."""
    drawn = [f"{LOOKS.get(line.look, '')}{line.text}\x1b[0m\x1b[K" for line in lines]
    sys.stdout.write("\x1b[H" + "\r\n".join(drawn) + "\x1b[J")
    sys.stdout.flush()
