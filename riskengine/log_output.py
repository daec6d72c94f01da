"""Writes the lines of the log without ever holding up the thread that logs.

A pipe whose reader has stopped, a terminal after Ctrl-S or a disk that hangs blocks whatever writes to it. Here that is a thread
of its own, behind a queue with a bound. What finds the queue full is dropped and counted; once lines can be written again, one of
them says how many were lost. `process.log_watch` sets the warning on the screens, `observe.Metrics` counts the lines.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

MAX_WAITING_BYTES = 1024 * 1024
"""Lines that wait for a slow reader; at most this much memory. About 5,000 lines."""

PART_BYTES = 65_536
FLUSH_AT_EXIT_S = 1.0
RETRY_S = 0.1
"""Pause after a write that failed (a full disk), and longest wait for a pipe that is not ready."""

TELL_AGAIN_S = 1.0
"""Pause between two attempts to tell of lost lines, while the output cannot be written."""


class LogOutput:
    """A queue of text and the daemon thread that writes it to a stream's file. Any thread may call it.

    A stream without a file behind it (memory, in a test) is written to at once. `lost_line` makes the line that tells how many
    were lost.
    """

    def __init__(self, stream: TextIO | None, lost_line: Callable[[int], str]) -> None:
        self.stream = stream
        self._lost_line = lost_line
        self._file = _file_of(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._dropped = 0
        self._told = 0
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._start_anew)

    @property
    def dropped(self) -> int:
        """The number of lines lost so far."""
        return self._dropped

    @property
    def is_losing(self) -> bool:
        """Whether lines were lost that no line has told yet: the output is full, or cannot be written."""
        return self._dropped > self._told

    def put(self, text: str, lines: int = 1) -> None:
        """Queue a text that stands for so many lines of the log; drop it if there is no room. Never blocks. 5 us."""
        if self._file is None:
            with suppress(OSError, ValueError):
                if self.stream is not None:
                    self.stream.write(text)
                    self.stream.flush()
            return
        part = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._waiting_bytes + len(part) > MAX_WAITING_BYTES:
                self._dropped += lines
                return
            self._waiting.append((part, lines))
            self._waiting_bytes += len(part)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-output", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout_s: float = FLUSH_AT_EXIT_S) -> bool:
        """Wait until everything is written, at most so long; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting_bytes, timeout_s)

    def _start_anew(self) -> None:
        """In a forked child: begin with an empty queue and no thread. The child has a copy of the lock, perhaps locked."""
        self._changed = threading.Condition(threading.Lock())
        self._waiting.clear()
        self._waiting_bytes = 0
        self._thread = None

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            data, lines = self._take()
            is_written = self._write(data)
            with self._changed:
                self._waiting_bytes -= len(data)
                if not is_written:
                    self._dropped += lines
                self._changed.notify_all()
            if not is_written:
                time.sleep(RETRY_S)
            elif not self._waiting and self.is_losing:
                self._tell()

    def _take(self) -> tuple[bytes, int]:
        """Wait for lines; returns some, joined, and how many they are. Lines that could not be written are told meanwhile."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._waiting, TELL_AGAIN_S if self.is_losing else None):
                self._changed.release()
                try:
                    self._tell()
                finally:
                    self._changed.acquire()
            data, lines = b"", 0
            while self._waiting and len(data) < PART_BYTES:
                part, count = self._waiting.popleft()
                data += part
                lines += count
            return data, lines

    def _tell(self) -> None:
        """Write how many lines were lost since that was last told; again later if it cannot be written."""
        dropped = self._dropped
        if self._write(self._lost_line(dropped - self._told).encode(self._encoding, "backslashreplace")):
            self._told = dropped

    def _write(self, data: bytes) -> bool:
        """Write all of `data`, however long that takes; returns whether it could."""
        assert self._file is not None
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._file, view) :]
            except BlockingIOError:  # another program has made the pipe non-blocking
                select.select([], [self._file], [], RETRY_S)
            except OSError:
                return False
        return True


def _file_of(stream: TextIO | None) -> int | None:
    """A descriptor of our own for the file behind a stream, None if there is none.

    That of the stream may be closed, and its number may then be that of a socket: the log must not be written there.
    """
    try:
        return None if stream is None else os.dup(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return None
