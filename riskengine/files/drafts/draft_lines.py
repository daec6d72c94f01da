"""Lines of a drafted mapping: TOML with the evidence behind a key and the doubts before it. Pure."""

import re
from collections.abc import Iterable

from riskengine.printable import printable

_WIDTH = 110
"""A line with its evidence behind it is at most so long; else the evidence stands before it."""


def said_line(line: str, evidence: str, doubts: Iterable[str] = ()) -> list[str]:
    """A line with its evidence behind it, or before it where that is long, and a line for each doubt before it."""
    asked = [f"# DOUBT: {printable(doubt)}" for doubt in doubts if doubt]
    told = f"# {printable(evidence)}"
    if len(line) + len(told) > _WIDTH or not line:
        return [told, *asked, *filter(None, [line])]
    return [*asked, f"{line}  {told}"]


def shortened(text: str, most: int = 100) -> str:
    """The first characters of a text, on one line."""
    return printable(text if len(text) <= most else f"{text[:most]}..")


def toml_key(name: str | int) -> str:
    """A TOML key, quoted where it needs to be."""
    text = str(name)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else toml_text(text)


def toml_text(text: str) -> str:
    """A TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in escaped) + '"'
