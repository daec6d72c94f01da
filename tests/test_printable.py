"""Names and comments of strangers: what could act on a terminal, or show other letters than there are, becomes an escape."""

import json

import pytest

from riskengine.printable import printable, printable_json, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("EURUSD Zürich 東京 🙂", "EURUSD Zürich 東京 🙂"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x9b2Jb", "a\\x9b2Jb"),
        ("a\u202eb", "a\\u202eb"),
        ("two\nlines\r\x7f", "two\\nlines\\r\\x7f"),
        ("half \ud800", "half \\ud800"),
        ("tag \U000e0041", "tag \\U000e0041"),
    ],
)
def test_what_acts_on_a_terminal_becomes_an_escape(text, shown):
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_line_ends_stay_where_lines_are_printed():
    assert printable_lines("one\n\ttwo\x9b\n") == "one\n\ttwo\\x9b\n"


@pytest.mark.parametrize("text", ["a\x9b\u202e\x7f", "\U000e0041", "plain"])
def test_json_reads_back_as_the_same_text(text):
    escaped = printable_json(json.dumps({"name": text}, ensure_ascii=False))
    assert escaped.isprintable()
    assert json.loads(escaped) == {"name": text}
