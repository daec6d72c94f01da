"""The process that compares engine and store, as a fiber: `subprocess.Popen` of `reconciliation.comparison`."""

from typing import Any

from riskengine.errors import RiskEngineError
from riskengine.reconciliation import comparison_child
from riskengine.reconciliation.comparison import _LENGTH, frame
from tests.simulation.fibers import SimpleQueue, in_force


class _Stdin:
    def __init__(self, messages: Any) -> None:
        self._messages = messages
        self._bytes = b""

    def write(self, data: bytes) -> None:
        self._bytes += data
        while len(self._bytes) >= _LENGTH:
            length = int.from_bytes(self._bytes[:_LENGTH], "little")
            if len(self._bytes) < _LENGTH + length:
                return
            self._messages.put(self._bytes[_LENGTH : _LENGTH + length])
            self._bytes = self._bytes[_LENGTH + length :]

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """The end of input."""


class _Stdout:
    def __init__(self) -> None:
        self.answers: Any = SimpleQueue()
        self._bytes = b""

    def read(self, count: int) -> bytes:
        while len(self._bytes) < count:
            self._bytes += self.answers.get()
        found, self._bytes = self._bytes[:count], self._bytes[count:]
        return found

    def close(self) -> None:
        """The end of output."""


class ComparisonChild:
    """Runs `comparison_child` on a fiber of the host that starts it."""

    def __init__(self, command: list[str], **_: Any) -> None:
        assert command[-1].endswith("comparison_child"), command
        scheduler = in_force()
        assert scheduler.current is not None
        host = scheduler.current.host
        self._messages: Any = SimpleQueue()
        self.stdin = _Stdin(self._messages)
        self.stdout = _Stdout()
        self._is_killed = False
        fiber = scheduler.spawn(host, self._run, "child")
        host.fibers.append(fiber)  # type: ignore[attr-defined]

    def _run(self) -> None:
        try:
            answer = comparison_child._answer(self._messages)
        except RiskEngineError as error:
            answer = {"error": (type(error).__name__, str(error))}
        if not self._is_killed:
            self.stdout.answers.put(frame(answer))

    def kill(self) -> None:
        self._is_killed = True

    def wait(self, _: float) -> None:
        """It is a fiber, and ends with its host."""
