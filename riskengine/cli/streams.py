"""stdin, stdout and stderr of a command, in whatever state the caller left them: closed, full, in an old encoding.

A result that cannot be printed is one line on stderr and a failure. A server needs none of the three. Letters that the terminal's
encoding lacks, and control characters in names and comments, are printed as escapes.
"""

import errno
import os
import signal
import sys
from contextlib import suppress
from io import BufferedWriter, RawIOBase, TextIOWrapper
from typing import Any

import orjson

from riskengine.errors import RiskEngineError
from riskengine.observe import flush_log
from riskengine.printable import printable, printable_json, printable_lines


class OutputLost(RiskEngineError):
    """stdout is closed or full: the result cannot be printed."""


class _Nowhere(RawIOBase):
    """Takes everything and keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return len(data)


def forget_stdout() -> None:
    """Have nothing, not even the interpreter at its end, try again to write or flush stdout."""
    sys.stdout = TextIOWrapper(BufferedWriter(_Nowhere()), encoding="utf-8")


def prepare_streams() -> None:
    """Fill the places of closed streams, so that no file of ours gets their numbers; have unknown letters escaped."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free number; stdout stays one that cannot be written
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def end_output(status: int) -> int:
    """Flush stdout, at the end of the program; returns the exit status: not 0 if something could not be printed."""
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C is no traceback of the interpreter's end
    try:
        sys.stdout.flush()
    except OSError as error:
        return lost_output(error, status or 1)
    return status


def lost_output(error: OSError, status: int = 1) -> int:
    """Say that stdout cannot be written, and have the interpreter not try it again. Returns `status`."""
    forget_stdout()
    if not isinstance(error, BrokenPipeError):  # who reads has gone on purpose
        complain(_reason(error))
    return status


def _reason(error: OSError) -> str:
    what = "is closed" if error.errno == errno.EBADF else f"cannot be written: {error.strerror or error}"
    return f"stdout {what}: the result is not printed"


def complain(message: str) -> None:
    """Print one line on stderr."""
    flush_log()
    say(f"riskengine: {message}", err=True)


def say(text: str = "", *, err: bool = False) -> None:
    """Print one line of the result on stdout, or a remark on stderr, with its control characters escaped. Raises OutputLost.

    Every command prints through this function and `say_json`: names and comments hold what others wrote.
    """
    if err:
        show(f"{printable(text)}\n")
        return
    try:
        sys.stdout.write(f"{printable(text)}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(_reason(error)) from None


def say_document(text: str) -> None:
    """Print a text of several lines that programs read too, in UTF-8 whatever the terminal's encoding is. Raises OutputLost."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(printable_lines(text).encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(_reason(error)) from None


def say_if_possible(text: str) -> None:
    """Print one line on stdout; a program that goes on without stdout does not need it."""
    try:
        say(text)
    except (BrokenPipeError, OutputLost):
        forget_stdout()


def show(text: str) -> None:
    """Write text of ours, such as a progress bar, on stderr; nothing is to be done where that cannot be written."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def say_json(value: object) -> None:
    """Print one JSON object on stdout, in UTF-8 whatever the terminal's encoding is. Raises OutputLost."""
    say_json_text(orjson.dumps(value).decode())


def say_json_text(text: str) -> None:
    """Print JSON as `say_json` does."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(f"{printable_json(text)}\n".encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(_reason(error)) from None
