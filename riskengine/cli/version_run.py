"""A version of the program at work on a store of its own: started as a process, asked over HTTP, stopped.

The public interface is all that is used of it, so that it may be older or newer than this program.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from riskengine.errors import ComparisonFailed

LIVE_WITHIN_S = 600.0
"""How long a version may take to replay the store."""

ANSWER_S = 120.0
STOP_S = 30.0
LOOK_S = 0.1

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ProgramVersion:
    """A version as the command line names it: an interpreter, a virtual environment, or a checkout. Raises ComparisonFailed."""

    def __init__(self, place: str) -> None:
        self.place = place
        path = Path(place).absolute()
        self._more: dict[str, str] = {}
        if path.is_file():
            self._python = path
        elif (path / "riskengine" / "__init__.py").is_file():
            own = path / ".venv" / "bin" / "python"
            self._python = own if own.is_file() else Path(sys.executable)
            self._more = {"PYTHONPATH": str(path)}
        elif (path / "bin" / "python").is_file():
            self._python = path / "bin" / "python"
        else:
            raise ComparisonFailed(
                f"{place} is no version: name an interpreter, a virtual environment, or a checkout with a folder riskengine"
            )

    def command(self, *words: str) -> list[str]:
        """The command line that runs `riskengine ...` of this version."""
        return [str(self._python), "-m", "riskengine.cli", *words]

    @property
    def environment(self) -> dict[str, str]:
        """That of this process, without its settings of riskengine and its own modules."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RISKENGINE_", "PYTHONPATH"))}
        return kept | self._more


class RunningVersion:
    """A live engine of a version."""

    def __init__(self, version: ProgramVersion, url: str) -> None:
        self.version = version
        self._url = url

    def ask(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a question. Raises ComparisonFailed with what it answered instead."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        try:
            with _opener.open(f"{self._url}{path}?{asked}", timeout=ANSWER_S) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            with suppress(ValueError):
                told = json.loads(error.read())
                raise ComparisonFailed(f"{self.version.place} answers {path} with {error.code}: {told['detail']}") from None
            raise ComparisonFailed(f"{self.version.place} answers {path} with {error.code}") from None
        except (OSError, ValueError) as error:
            raise ComparisonFailed(f"{self.version.place} does not answer {path}: {error}") from None


@contextmanager
def running(version: ProgramVersion, store: str, folder: Path, config: Path) -> Iterator[RunningVersion]:
    """A live engine of a version on a store, by the settings of `config`; its log goes to `folder`.

    Raises ComparisonFailed if it does not get live.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    words = ("serve", "--port", "0", "--store", store, "--config", str(config.absolute()))
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - the person who runs the command names the interpreter
            version.command(*words),
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=version.environment,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield RunningVersion(version, _live(process, version, log))
    finally:
        _stop(process)


def _live(process: "subprocess.Popen[bytes]", version: ProgramVersion, log: Path) -> str:
    """The URL of an engine, once it is live."""
    assert process.stdout is not None
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    end = time.monotonic() + LIVE_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        found = re.search(rb"http://\S+", said[0]) if said else None
        if found is not None and _is_ready(url := found[0].decode().rstrip("/")):
            return url
        time.sleep(LOOK_S)
    raise ComparisonFailed(f"{version.place} did not get live: {_last_line(log)}")


def _is_ready(url: str) -> bool:
    try:
        with _opener.open(f"{url}/readyz", timeout=ANSWER_S) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)
    if process.stdout is not None:
        process.stdout.close()
