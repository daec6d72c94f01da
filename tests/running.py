"""The real program as a user runs it: commands as child processes, a server at a free port, plain HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("RISKENGINE_")}
ROOT = Path(__file__).resolve().parent.parent
LIVE_WITHIN_S = 60.0
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def command(*words: str | Path, stdin: bytes | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `riskengine ...` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "riskengine.cli", *map(str, words)],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env=ENVIRONMENT,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


FORKING = """
import json, os, sys
import click
from riskengine.cli.main import NAMES, main

for name in NAMES:
    main.get_command(click.Context(main), name)
for line in sys.stdin:
    words, (out, err) = json.loads(line), [os.pipe() for _ in range(2)]
    child = os.fork()
    if not child:
        os.dup2(out[1], 1)
        os.dup2(err[1], 2)
        sys.stdin.close()
        main(words, prog_name="riskengine")
    os.close(out[1])
    os.close(err[1])
    said = [open(each[0], encoding="utf-8").read() for each in (err, out)]
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said[1], said[0]]), flush=True)
"""


def commands(*lines: Sequence[str | Path], timeout: float = 120) -> list[subprocess.CompletedProcess[str]]:
    """Run several commands one after the other, each in a process of its own, which all start with the program loaded."""
    asked = "".join(json.dumps([str(word) for word in words]) + "\n" for words in lines)
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        input=asked,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=ENVIRONMENT,
        check=True,
        cwd=ROOT,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [subprocess.CompletedProcess(words, *answer) for words, answer in zip(lines, answers, strict=True)]


class Server:
    """A running `riskengine serve` (or demo)."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str) -> None:
        self.process = process
        self.url = url

    def get(self, path: str, *, status: int = 200, raw: bool = False) -> Any:
        """The JSON (or bytes) behind a path; asserts the status."""
        return self.ask(urllib.request.Request(self.url + path), status=status, raw=raw)

    def post(self, path: str, body: Any, *, status: int = 200) -> Any:
        """The answer to a POST of JSON (bytes are sent as they are)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        return self.ask(request, status=status)

    def ask(self, request: urllib.request.Request, *, status: int = 200, raw: bool = False) -> Any:
        try:
            with _opener.open(request, timeout=30) as answer:
                got, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            got, body = error.code, error.read()
        assert got == status, f"{request.full_url}: {got} {body[:400]!r}"
        return body if raw else json.loads(body)

    def kill(self) -> None:
        """As a power button does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """As Ctrl-C does; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def begin(*words: str | Path, log: Path, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a command and do not wait for anything."""
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "riskengine.cli", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=ENVIRONMENT | dict(environment or {}),
            start_new_session=True,
        )


def start(
    *words: str | Path, log: Path, environment: Mapping[str, str] | None = None, patience_s: float = LIVE_WITHIN_S
) -> Server:
    """Start a serving command and wait until it is live."""
    process = begin(*words, log=log, environment=environment)
    try:
        return _live(process, log, patience_s)
    except BaseException:
        process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        raise


def _live(process: "subprocess.Popen[bytes]", log: Path, patience_s: float) -> Server:
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    found = re.search(r"http://\S+", line)
    assert found, f"no URL in {line!r}; {log.read_text()[-2000:]}"
    server = Server(process, found.group().rstrip("/"))
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with _opener.open(server.url + "/readyz", timeout=5):
                return server
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"not live in {patience_s:.0f} s")


@contextmanager
def running(
    *words: str | Path, log: Path, environment: Mapping[str, str] | None = None, patience_s: float = LIVE_WITHIN_S
) -> Iterator[Server]:
    """A server for the length of a block."""
    server = start(*words, log=log, environment=environment, patience_s=patience_s)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(30)
        assert server.process.stdout is not None
        server.process.stdout.close()
