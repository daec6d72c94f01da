"""`riskengine watch`: a live ladder or tree in a terminal, through the Python client."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from riskengine.cli.streams import say
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
    cut,
    ladder_rows,
    screen,
    status_line,
    table,
    tree_rows,
)
from riskengine.client import DISCONNECTED, LIVE, LOADING, BlockingSubscription, Client, State, SubscriptionRefused
from riskengine.errors import EngineUnreachable, RiskEngineError

REDRAW_S = 0.25
"""Shortest time between two redraws."""

ONCE_S = 15.0
"""How long `--once` waits for a live engine."""

PLAIN_WIDTH = 200
"""Line width without a terminal."""

WARNING_WIDTH = 1_000
"""The longest line of a warning there: it is one sentence."""

LOOKS = {HEADING: "\x1b[1m", ALARM: "\x1b[1;7m", FAINT: "\x1b[2m"}
ALTERNATE, BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Switch to the alternate screen and hide the cursor; switch back and show it."""


@click.command(name="watch")
@click.option("--node", metavar="NODE", help="The ladder of a node; the root by default.")
@click.option("--dealer", metavar="DEALER", help="The ladder of a dealer.")
@click.option("--tree", is_flag=True, help="The tree instead of a ladder.")
@click.option("--url", default="http://127.0.0.1:8321", show_default=True, metavar="URL", help="The running engine.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="File with the access token; read again for each connection.",
)
@click.option("--once", is_flag=True, help="Print once and exit.")
def watch_command(node: str | None, dealer: str | None, tree: bool, url: str, token_file: str | None, once: bool) -> None:
    """Show a ladder or the tree as it changes, until Ctrl-C; without a terminal, print a line for each changed row.

    Without --token-file the token comes from RISKENGINE_TOKEN.
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
    """One watched view with the engine's warnings."""

    def __init__(self, client: Client, title: str, columns: Sequence[Column], view: BlockingSubscription) -> None:
        self._client = client
        self._title = title
        self._columns = columns
        self._view = view
        self._status = client.subscribe("status")
        self._loading = ""
        self._asked_at = 0.0

    def print_once(self) -> None:
        """Print the first live state as plain lines.

        Raises EngineUnreachable if none comes in time, and at once if the engine cannot be connected to; errors of the client.
        """
        end = time.monotonic() + ONCE_S
        state: State | None = None
        while state is None or state.status != LIVE:
            try:
                state = self._view.next(max(end - time.monotonic(), 0.001))
                if state.status == DISCONNECTED:
                    raise EngineUnreachable(state.reason)
            except TimeoutError:
                reason = f"{state.status}: {state.reason}" if state is not None else "no answer"
                raise EngineUnreachable(f"{reason} (waited {ONCE_S:.0f} s)") from None
        say(status_line(self._title, state).text)
        with suppress(TimeoutError, SubscriptionRefused):
            while self._status.state().status != LIVE:  # it comes with the first view
                self._status.next(max(end - time.monotonic(), 0.001))
        self._print_warnings(self._warnings())
        for line in table(self._columns, self._rows(state), PLAIN_WIDTH):
            say(line)

    def print_changes(self) -> None:
        """Print a line for each changed row, each change of status and each new warning, until interrupted."""
        printed: tuple[str, str] | None = None
        warned: list[str] = []
        while True:
            with suppress(TimeoutError):
                state = self._view.next(1.0)
                if (state.status, state.reason) != printed:
                    printed = state.status, state.reason
                    say(status_line(self._title, state).text)
                if state.status == LIVE:
                    self._print_changed_rows(state)
            warnings = self._warnings()
            self._print_warnings([text for text in warnings if text not in warned])
            warned = warnings
            sys.stdout.flush()
            time.sleep(REDRAW_S)

    def _print_changed_rows(self, state: State) -> None:
        moment = clock(state.as_of or 0)
        if state.changed:
            changed = [row for row in self._rows(state) if row[self._columns[0].heading] in state.changed]
            for line in table(self._columns, changed, PLAIN_WIDTH)[1:]:
                say(f"{moment}  {line}")
        for key in sorted(map(str, state.removed)):
            say(f"{moment}  {key}  removed")

    @staticmethod
    def _print_warnings(texts: Sequence[str]) -> None:
        for text in texts:
            say(cut(f"warning: {text}", WARNING_WIDTH))

    def draw(self) -> None:
        """Redraw the screen on each change and once a second, until interrupted."""
        state = self._view.state()
        with _page():
            while True:
                width, height = shutil.get_terminal_size()
                rows = self._rows(state)
                warnings = self._warnings()
                _show(screen(self._title, self._columns, rows, state, warnings, self._progress(state), width, height))
                time.sleep(REDRAW_S)
                try:
                    state = self._view.next(1.0)
                except TimeoutError:
                    continue

    def _rows(self, state: State) -> list[Row]:
        return tree_rows(state.rows.values()) if self._columns is TREE else ladder_rows(state.rows.values())

    def _warnings(self) -> list[str]:
        """The engine's warnings; none where the token's grants hide them."""
        try:
            status: Any = self._status.state().rows.get("", {})
        except SubscriptionRefused:
            return []
        return [str(warning.get("text", "")) for warning in status.get("warnings") or ()]

    def _progress(self, state: State) -> str:
        """Progress of an engine's start, asked for once a second; empty once it is live."""
        if state.status != LOADING:
            self._loading = ""
        elif time.monotonic() - self._asked_at > 1.0:
            self._asked_at = time.monotonic()
            try:
                status = self._client.status()
                percent = 100 * (status["progress"] or 0)
                self._loading = f"{status['state']} {percent:.0f} %" if status["state"] != "live" else ""
            except (RiskEngineError, KeyError, TypeError):
                self._loading = ""
        return self._loading


@contextmanager
def _page() -> Iterator[None]:
    """Use the terminal's alternate screen; restore the normal one however the block ends."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        sys.stdout.write(ALTERNATE)
        yield
    finally:
        sys.stdout.write(BACK)
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, before)


def _show(lines: Sequence[TerminalLine]) -> None:
    """Overwrite the screen line by line, without flicker."""
    drawn = [f"{LOOKS.get(line.look, '')}{line.text}\x1b[0m\x1b[K" for line in lines]
    sys.stdout.write("\x1b[H" + "\r\n".join(drawn) + "\x1b[J")
    sys.stdout.flush()
