"""Reads numbers as people write them, exactly: decimal commas, groups of three, currency marks, units, signs.

A number that does not read in full is refused: half of one is worse than none. Numbers stay texts; none passes through a float.
"""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal

from riskengine.files.mappings.mapping import FileMapping, NumberRule
from riskengine.records.fields import Rejected, excerpt

NumberReader = Callable[[str, str], str]
"""From a number as written and its field's name to the same with a decimal point. Raises Rejected."""

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_SPACES = " \u00a0\u202f"
_APOSTROPHES = "'\u2019"
_NUMBER = rf"(?P<number>[-+\u2212(]?[{_SPACES}]?(?:[\d.,{_APOSTROPHES}{_SPACES}]*\d[.,]?|\d)[-)]?)"
_UNIT = r"(?P<unit>[A-Z]{0,3}[$\u20a0-\u20c0\u00a2-\u00a5]|[^\W\d_]\w*%s)"
_NUMBER_WITH_UNIT = re.compile(rf"{_NUMBER}\s*{_UNIT % ''}?")
_UNIT_WITH_NUMBER = re.compile(rf"(?P<sign>[-+\u2212]?){_UNIT % '?'}\s*{_NUMBER}")


def number_reader(mapping: FileMapping, rule: NumberRule) -> NumberReader:
    """The reader of the numbers of a field: marks off, its signs, groups and decimal mark read. Cost 0.4 to 2 us."""
    matches = _pattern(mapping.decimal, mapping.thousands).fullmatch
    groups, comma, marks = _same_marks(mapping.thousands), mapping.decimal == ",", rule.strip

    def read(text: str, field: str) -> str:
        if not matches(text):
            written, text = text, _without_habits(text, marks)
            if not matches(text):
                raise Rejected(field, _misfit(written, mapping))
        for mark in groups:
            text = text.replace(mark, "")
        if comma:
            text = text.replace(",", ".")
        return text[1:] if text.startswith("+") else text

    return read


def _without_habits(text: str, marks: tuple[str, ...]) -> str:
    """A number without currency marks, and with its sign in front: (5), 5- and a typographic minus are below 0."""
    body = _without_marks(text, marks)
    if body.startswith("(") and body.endswith(")"):
        body = f"-{body[1:-1].strip()}"
    elif body.endswith("-"):
        body = f"-{body[:-1].strip()}"
    elif body.startswith("\u2212"):
        body = f"-{body[1:]}"
    if marks and body.startswith(("-", "+")):
        body = body[0] + _without_marks(body[1:], marks)
    return body


def split_unit(text: str) -> tuple[str, str]:
    """A number and the unit beside it, empty if there is none. Raises ValueError."""
    match = _NUMBER_WITH_UNIT.fullmatch(text)
    if match is not None:
        return match["number"].strip(), match["unit"] or ""
    match = _UNIT_WITH_NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"is not a number with a unit: {excerpt(text)}")
    return match["sign"] + match["number"].strip(), match["unit"]


def changed(text: str, rule: NumberRule) -> tuple[str, bool]:
    """A number after `negate`, `multiply` and `round`, and whether rounding changed it."""
    if rule.multiply is None and rule.round is None:
        return (negated(text) if rule.negate else text), False
    number = EXACT.create_decimal(text)
    if rule.negate:
        number = -number
    if rule.multiply is not None:
        number = EXACT.multiply(number, rule.multiply)
    if rule.round is None:
        return format(number, "f"), False
    rounded = number.quantize(Decimal(1).scaleb(-rule.round), context=EXACT)
    if rounded == number:  # without the zeros that it was padded with
        return format(number, "f"), False
    return format(rounded, "f"), True


def negated(text: str) -> str:
    """The number of the other sign."""
    return text[1:] if text.startswith("-") else f"-{text}"


def is_zero(text: str) -> bool:
    """Whether a number is 0."""
    return not text.strip("-0.") or not Decimal(text)


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    point = re.escape(decimal)
    whole = r"\d+"
    if thousands:
        whole = rf"(?:\d{{1,3}}(?:[{re.escape(_same_marks(thousands))}]\d{{3}})+|\d+)"
    return re.compile(rf"[-+]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d{{1,3}})?", re.ASCII)


def _same_marks(thousands: str) -> str:
    """The characters that stand for a mark: a space is often one that does not break, an apostrophe a typographic one."""
    return _SPACES if thousands == " " else _APOSTROPHES if thousands == "'" else thousands


def _without_marks(text: str, marks: tuple[str, ...]) -> str:
    for mark in marks:
        text = text.removeprefix(mark).removesuffix(mark).strip()
    return text


def _misfit(text: str, mapping: FileMapping) -> str:
    groups = f", groups of three by {mapping.thousands!r}" if mapping.thousands else ""
    return f"is not a number with the decimal mark {mapping.decimal!r}{groups}: {excerpt(text)}"
