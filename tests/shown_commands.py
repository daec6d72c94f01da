"""The commands that README and manual show, read from their `sh` and `console` blocks, and run as a reader would run them.

A page is one terminal session: its commands run in order, in one folder, with one port. `riskengine serve` and `demo` run
beside the commands after them. Commands of `console` blocks show the output of some other day, and run last. A command with a
comment `# needs ...` is not run, only checked: a test lacks what it needs.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from riskengine.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
PORT = "8321"
LIVE_S = 60.0
WATCHED_S = 3.0
"""How long a command that never ends by itself is watched."""

NOT_RUN = ("make", "pip")
"""They would build an environment; what they name is checked."""


class ShownCommand(NamedTuple):
    """One command of a page. `console`: it stands in a `console` block, before its output."""

    text: str
    console: bool = False

    @property
    def words(self) -> list[str]:
        """As a shell reads them, without comments; of a here-document its first line."""
        head = self.text.splitlines()[0] if "<<" in self.text else self.text
        return shlex.split(head, comments=True)

    @property
    def is_run(self) -> bool:
        head = self.text.splitlines()[0]
        return "# needs " not in head and self.words[0] not in NOT_RUN

    @property
    def is_server(self) -> bool:
        return self.words[:2] in (["riskengine", "serve"], ["riskengine", "demo"])

    @property
    def is_endless(self) -> bool:
        return self.words[:2] == ["riskengine", "watch"] and "--once" not in self.words


def shown_commands(page: str) -> list[ShownCommand]:
    """Every command of a page, in the order in which they run."""
    found = re.findall(r"^```(sh|console)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    plain = [ShownCommand(text) for kind, block in found if kind == "sh" for text in _split(block)]
    lines = [line for kind, block in found if kind == "console" for line in block.splitlines()]
    return plain + [ShownCommand(line[2:], console=True) for line in lines if line.startswith("$ ")]


def _split(block: str) -> Iterator[str]:
    """The commands of a block: over several lines where a quote, a backslash or a here-document goes on."""
    lines = iter(block.splitlines())
    for line in lines:
        text = line
        if document := re.search(r"<<'(\w+)'", line):
            while not text.endswith(f"\n{document[1]}"):
                text += "\n" + next(lines)
        while not _is_whole(text):
            text += "\n" + next(lines)
        if shlex.split(text, comments=True):
            yield text


def _is_whole(text: str) -> bool:
    if text.endswith("\\"):
        return False
    try:
        shlex.split(text, comments=True)
    except ValueError:  # an open quote
        return False
    return True


# -- checked without running ---------------------------------------------------------------------------------------


def check_command(command: ShownCommand) -> None:
    """Raises AssertionError where a command names something that does not exist."""
    words = command.words
    if nested := re.search(r"\$\((riskengine [^)]*)\)", command.text):
        check_riskengine(shlex.split(nested[1])[1:])
    for end in ("|", ">"):
        if end in words:
            words = words[: words.index(end)]
    program, arguments = words[0], words[1:]
    if program == "riskengine":
        check_riskengine(arguments)
    elif program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"no target {arguments[0]}"
    elif program in (".venv/bin/python", "python"):
        _check_program(arguments)
    elif program == "node":
        assert (ROOT / arguments[1]).is_file(), arguments[1]
    else:
        assert program in ("pip", "cat", "export", "curl"), f"a command that no test knows: {command.text}"


def _check_program(arguments: Sequence[str]) -> None:
    path = f"{arguments[1].replace('.', '/')}.py" if arguments[0] == "-m" else arguments[0]
    assert (ROOT / path).is_file(), path


def command_of(arguments: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and its own arguments. Raises AssertionError where there is none."""
    command: click.Command = main
    left = list(arguments)
    while isinstance(command, click.Group) and left and re.fullmatch("[a-z-]+", left[0]) and not left[0].startswith("-"):
        found = command.get_command(click.Context(command), left[0])
        assert found is not None, f"no command {left[0]!r} in {command.name}"
        command, _ = found, left.pop(0)
    return command, left


def options_of(command: click.Command) -> set[str]:
    """The long names of a command's own options."""
    return {
        name for option in command.params if isinstance(option, click.Option) for name in option.opts if name.startswith("--")
    }


def check_riskengine(arguments: Sequence[str]) -> None:
    """Parses the arguments as the command itself does, without running it. Raises AssertionError."""
    command, own = command_of(arguments)
    try:
        command.make_context(command.name or "", own)
    except click.exceptions.Exit:
        pass  # --help, --version
    except click.UsageError as error:
        if "does not exist" not in error.format_message():  # a file that the reader has
            raise AssertionError(f"riskengine {shlex.join(arguments)}: {error.format_message()}") from None


# -- run -------------------------------------------------------------------------------------------------------------


class Terminal:
    """One session in a folder: what a command exports holds for the next ones, and a server runs beside them."""

    def __init__(self, folder: Path, program: Sequence[str]) -> None:
        """`program`: the words that run a command which ends by itself (`preloaded`)."""
        self._folder = folder
        self._exports = folder / "exports.sh"
        self._log = folder / "server.log"
        self._server: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        programs = folder / "bin"
        programs.mkdir()
        (programs / "riskengine").write_text(self._program(shlex.join(program)))
        (programs / "riskengine").chmod(0o755)
        for name in ("config", "tests"):
            (folder / name).symlink_to(ROOT / name)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RISKENGINE_")}
        self._environment = {**clean, "PATH": f"{programs}:{clean['PATH']}", "PYTHONPATH": str(ROOT)}

    def _program(self, quick: str) -> str:
        """`riskengine` with this session's port in the place of the usual one."""
        alone = f"{shlex.quote(sys.executable)} -m riskengine.cli"
        url = f"http://127.0.0.1:{self._port}"
        return f"""#!/bin/sh
command=$1
case $command in
  serve | demo) shift; exec {alone} "$command" --port {self._port} "$@" ;;
  watch) shift; exec {alone} watch --url {url} "$@" ;;
  reconcile) shift; exec {quick} reconcile --engine {url} "$@" ;;
  *) exec {quick} "$@" ;;
esac
"""

    def run(self, command: ShownCommand) -> None:
        """Run it as a reader does. Raises AssertionError where it fails."""
        if shutil.which(command.words[0]) is None and command.words[0] not in ("riskengine", "export"):
            return  # a program that this machine lacks
        text = command.text.replace(PORT, self._port)
        if command.is_server:
            self._serve(text)
        elif command.is_endless:
            self._watch(text)
        else:
            self._end(command, text)

    def _script(self, text: str) -> str:
        return f'[ ! -f "{self._exports}" ] || . "{self._exports}"\n{text}\n'

    def _end(self, command: ShownCommand, text: str) -> None:
        script = self._script(text) + f'status=$?\nexport -p > "{self._exports}"\nexit $status\n'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = f"{command.text}\n{done.stdout}\n{done.stderr}\n{self._logged()}"
        assert done.returncode in ((0, 1) if command.console else (0,)), said
        if command.words[0] == "curl":
            assert '"title"' not in done.stdout, said  # a problem, not an answer

    def _begin(self, text: str) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["bash", "-c", self._script(text)],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _serve(self, text: str) -> None:
        self.close()
        self._server = self._begin(f"exec {text}")
        end = time.monotonic() + LIVE_S
        while time.monotonic() < end:
            assert self._server.poll() is None, self._logged()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5):
                return
            time.sleep(0.05)
        raise AssertionError(f"not live in {LIVE_S} s: {self._logged()}")

    def _watch(self, text: str) -> None:
        watched = self._begin(text)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"it ended with {watched.wait(WATCHED_S)}: {text}\n{self._logged()}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(watched.pid, signal.SIGINT)
            watched.wait(30)

    def _logged(self) -> str:
        return self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""

    def close(self) -> None:
        """End the server that runs, if there is one, and wait for it."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGINT)
            try:
                self._server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait(30)
            self._server = None
