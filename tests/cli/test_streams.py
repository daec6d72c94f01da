"""What commands print, and what becomes of it where it cannot be printed."""

import errno
import json
import signal
import sys
from pathlib import Path

import pytest

from riskengine.cli import streams
from riskengine.cli.streams import OutputLost, end_output, lost_output, say, say_document, say_if_possible, say_json, show


class Full:
    """A stream on a full disk, or behind a closed end."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.buffer = self

    def write(self, text: object) -> int:
        raise OSError(self.number, "does not go")

    def flush(self) -> None:
        raise OSError(self.number, "does not go")


def test_lines_are_printed_with_their_control_characters_escaped(capsys):
    say("a\x9b\nb")
    say("c\u202e", err=True)
    assert capsys.readouterr() == ("a\\x9b\\nb\n", "c\\u202e\n")


def test_json_reads_back_as_the_same_text(capsysbinary):
    say_json({"name": "Zürich \x9b\u202e"})
    out = capsysbinary.readouterr().out.decode()
    assert out.strip().isprintable()
    assert json.loads(out) == {"name": "Zürich \x9b\u202e"}


def test_a_document_keeps_its_lines_and_is_utf_8(capsysbinary):
    say_document("# Zürich \x9b\n[columns]\n")
    assert capsysbinary.readouterr().out.decode() == "# Zürich \\x9b\n[columns]\n"


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "cannot be written: does not go"), (errno.EBADF, "is closed")])
def test_a_result_that_cannot_be_printed_is_told(monkeypatch, number, said):
    monkeypatch.setattr(sys, "stdout", Full(number))
    for print_it in (lambda: say("x"), lambda: say_json({}), lambda: say_document("x")):
        with pytest.raises(OutputLost, match=said):
            print_it()


def test_a_reader_that_has_gone_on_purpose_is_no_lost_output(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full(errno.EPIPE))
    with pytest.raises(BrokenPipeError):
        say("x")
    assert lost_output(BrokenPipeError(), 1) == 1
    assert capsys.readouterr().err == ""


def test_who_can_do_without_stdout_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full(errno.EBADF))
    say_if_possible("x")
    say("now nowhere")


def test_what_is_only_to_be_seen_is_lost_in_silence_where_stderr_is_full(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Full(errno.ENOSPC))
    show("x")
    say("x", err=True)


@pytest.mark.parametrize(("status", "ended"), [(0, 1), (1, 1), (2, 2)])
def test_the_end_of_the_program_fails_where_its_output_does(monkeypatch, status, ended):
    before = signal.getsignal(signal.SIGINT)
    try:
        monkeypatch.setattr(sys, "stdout", Full(errno.ENOSPC))
        assert end_output(status) == ended
    finally:
        signal.signal(signal.SIGINT, before)


def test_every_command_prints_through_this_room():
    """`click.echo` would let the control characters of names through, and end in a traceback where stdout is full."""
    folder = Path(streams.__file__).parent
    assert [path.name for path in sorted(folder.glob("*.py")) if "click.echo" in path.read_text(encoding="utf-8")] == []
