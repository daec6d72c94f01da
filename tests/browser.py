"""A headless Chromium, driven over its own debugging websocket: enough to open a page and ask it questions."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from websockets.sync.client import connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1440,900",
)


NAVIGATED = ("Inspected target navigated or closed", "Execution context was destroyed", "Cannot find context")
"""What the browser says of a question to a page that gave way to another one meanwhile."""


class PageGone(AssertionError):
    """The page that was asked is not there any more."""


class Browser:
    """One tab. Messages of the page's console and its exceptions gather in `complaints`."""

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("no Chromium on this machine: the page is not tested in a browser")
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stderr is not None
        port = None
        for line in self._process.stderr:
            found = re.search(rb"DevTools listening on ws://127.0.0.1:(\d+)", line)
            if found:
                port = int(found.group(1))
                break
        assert port is not None, "Chromium did not start"
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None))
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()
        os.killpg(self._process.pid, signal.SIGKILL)  # and the processes that it started
        self._process.wait(10)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the DevTools protocol. Raises PageGone if the page has changed before it answered."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == self._number:
                if any(words in message.get("error", {}).get("message", "") for words in NAVIGATED):
                    raise PageGone(message)
                assert "error" not in message, message
                return message["result"]
            self._listen(message)

    def _listen(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; of a promise, its result."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)["result"].get("value")

    def wait_for(self, expression: str, timeout_s: float = 20.0) -> Any:
        """The first truthy value of an expression, in this page or in those that it goes to."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with suppress(PageGone):
                if value := self.ask(expression):
                    return value
            time.sleep(0.05)
        raise AssertionError(f"not in {timeout_s} s: {expression}; {self.complaints}")
