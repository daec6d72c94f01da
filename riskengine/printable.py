r"""Text that a terminal, a log or a page can show safely, whatever a sender put into a name or a comment.

A control character (C0, C1 such as U+009B, DEL) can move the cursor or hide a line; a bidirectional control (U+202E) shows other
letters than there are; a line end makes one line two. They become escapes such as `\x9b` and `\u202e`, as Python writes them.
Letters of every script, and spaces, stay. Pure functions.
"""


def printable(text: str) -> str:
    """`text` on one line, with each character that cannot be seen, or changes what is seen, as its escape. 50 ns if none is."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def printable_lines(text: str) -> str:
    """`text` made printable, line by line: its line ends and tabs stay."""
    return text if text.isprintable() else "".join(each if each in "\n\t" else printable(each) for each in text)


def printable_json(text: str) -> str:
    r"""JSON whose strings hold `\u009b` and the like for what cannot be seen: it reads back as the same characters."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t" else _json_escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
