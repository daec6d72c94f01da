"""Checks of single fields: numbers, times, names, dates and codes as senders write them.

Pure functions. Each returns the exact value or raises `Rejected` with the field's name and a reason; none reads a clock.
"""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

from riskengine.records.currency_units import MINOR_UNITS, one_spelling
from riskengine.records.types import DECIMALS, ONE

MAX_TEXT = 128
MAX_REMARK = 1_000
MAX_MAGNITUDE = 10**15
MAX_DIGITS = 15
"""Any number with this many digits before the point is below `MAX_MAGNITUDE`."""

MAX_INTEGER = 2**53 - 1
"""The largest integer that every reader of JSON keeps exactly; a larger one is a text."""

MAX_SEQUENCE = 2**63 - 1
QUOTE_DECIMALS = 12
FIRST_YEAR, END_YEAR = 1980, 2200
TS_MIN = int(dt.datetime(FIRST_YEAR, 1, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000
TS_MAX = int(dt.datetime(END_YEAR, 1, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000

NO_OFFSET = "has no offset from UTC"
"""Why a time is refused that does not say on whose clock it is."""

_WIDE = Context(prec=80, Emax=10_000, Emin=-10_000, traps=[Inexact, InvalidOperation])
"""Wide enough for every accepted number; a digit beyond it raises instead of rounding."""
_ROUNDING = Context(prec=80, rounding=ROUND_HALF_EVEN, Emax=10_000, Emin=-10_000, traps=[InvalidOperation])
_FINEST = Decimal(1).scaleb(-DECIMALS)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Rejected(Exception):
    """Refuses one item of a batch. The code that decodes the batch catches it and makes it a `Refusal`.

    `unknown` is the name that no record has, where that is the reason: a door may look which known one comes near.
    """

    def __init__(self, field: str, reason: str, unknown: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason
        self.unknown = unknown


def fixed(value: Decimal | int | str, decimals: int, field: str) -> int:
    """`value` as an exact integer in units of 1e-10. Raises Rejected: not finite, above 1e15, more than `decimals` decimals.

    0.6 us for plain digits in a text, 2 us for others.
    """
    if isinstance(value, str):
        # Digits and a point, the usual case, need no decimal arithmetic.
        whole, _, part = value.partition(".")
        digits = whole + part
        if whole and len(whole) <= MAX_DIGITS and len(part) <= decimals and digits.isdigit() and digits.isascii():
            return int(digits) * int(10 ** (DECIMALS - len(part)))
        value = _decimal(value, field)
    elif isinstance(value, int):
        if type(value) is bool:
            raise Rejected(field, f"is not a number: {value}")
        if abs(value) > MAX_MAGNITUDE:
            raise Rejected(field, "is larger than 1e15")
        return value * int(ONE)
    return _scaled(value, decimals, field) * int(10 ** (DECIMALS - decimals))


def rounded(value: Decimal | str, field: str) -> int:
    """`value` in units of 1e-10, what is finer rounded half-even. Raises Rejected: not finite, above 1e15."""
    if isinstance(value, str):
        value = _decimal(value, field)
    try:
        return fixed(value, DECIMALS, field)
    except Rejected:
        if not is_finer(value):
            raise
        return _scaled(_round(value), DECIMALS, field)


def is_finer(value: Decimal) -> bool:
    """Whether `rounded` changes a number: it has more than 10 decimals, trailing zeros apart. 0.2 us for one that has not."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -DECIMALS and value.adjusted() < 16 and _round(value) != value


def _round(value: Decimal) -> Decimal:
    return Decimal(0) if value.adjusted() < -DECIMALS - 1 else value.quantize(_FINEST, context=_ROUNDING)


def _scaled(value: Decimal, decimals: int, field: str) -> int:
    """`value` x 10^`decimals`, an exact integer. Checks the size first, to keep the arithmetic small."""
    if not value.is_finite():
        raise Rejected(field, "is not a finite number")
    if not value:
        return 0
    magnitude = value.adjusted()
    if magnitude >= 15 and (magnitude > 15 or value.copy_abs() > MAX_MAGNITUDE):
        raise Rejected(field, "is larger than 1e15")
    if magnitude < -decimals:
        raise Rejected(field, f"has more than {decimals} decimals")
    try:
        scaled = _WIDE.scaleb(value, decimals)
    except Inexact:
        raise Rejected(field, f"has more than {decimals} decimals") from None
    whole = int(scaled)
    if whole != scaled:
        raise Rejected(field, f"has more than {decimals} decimals")
    return whole


def _decimal(text: str, field: str) -> Decimal:
    try:
        if len(text) > MAX_TEXT or "_" in text or not text.isascii():
            raise InvalidOperation
        return Decimal(text.strip())
    except InvalidOperation:
        raise Rejected(field, f"is not a number: {excerpt(text)}") from None


def to_text(value: int, decimals: int = DECIMALS) -> str:
    """The shortest decimal text of an integer in units of 1e-`decimals`. Inverse of `fixed`."""
    sign = "-" if value < 0 else ""
    whole, part = divmod(abs(value), 10**decimals)
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:0{decimals}d}".rstrip("0")


def quote(value: float | str, field: str) -> float:
    """A quote as a double: finite, at most 1e15, at most 12 decimals. Cost 0.4 us. Raises Rejected.

    A number is rounded to 12 decimals: 0.1 + 0.2 is 0.30000000000000004 in every program that computes in doubles. A text says
    what its writer meant, and is refused.
    """
    if isinstance(value, str):
        whole, _, part = value.partition(".")
        if value.isascii() and whole.isdigit() and part.isdigit() and len(whole) <= 15 and len(part) <= QUOTE_DECIMALS:
            return float(value)
        exact = _decimal(value, field)
        _scaled(exact, QUOTE_DECIMALS, field)
        return float(exact)
    if value != value or value in (float("inf"), float("-inf")):
        raise Rejected(field, "is not a finite number")
    if not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
        raise Rejected(field, "is larger than 1e15")
    if (value * 1e12) % 1.0:
        rounded = round(value, QUOTE_DECIMALS)
        if not rounded:
            raise Rejected(field, f"has more than {QUOTE_DECIMALS} decimals")
        return rounded
    return value


def timestamp(value: int | str | None, field: str) -> int:
    """Microseconds since the epoch from an integer, its text, or RFC 3339 with an offset. Raises Rejected."""
    if value is None or value == "":
        raise Rejected(field, "is missing")
    if isinstance(value, str):
        text = value.strip()
        digits = text.removeprefix("-")
        value = int(text) if digits.isascii() and digits.isdigit() and len(text) < 25 else _rfc3339(text, field)
    if TS_MIN <= value < TS_MAX:
        return value
    if TS_MIN <= value // 1_000 < TS_MAX:
        raise Rejected(field, "is out of range: it looks like nanoseconds; microseconds are expected")
    if TS_MIN <= value * 1_000 < TS_MAX:
        raise Rejected(field, "is out of range: it looks like milliseconds; microseconds are expected")
    if TS_MIN <= value * 1_000_000 < TS_MAX:
        raise Rejected(field, "is out of range: it looks like seconds; microseconds are expected")
    raise Rejected(field, "is out of range: 1980 to 2200 in microseconds since 1970 are expected")


def _rfc3339(text: str, field: str) -> int:
    try:
        if not text.isascii():  # fromisoformat takes any character between date and time
            raise ValueError
        moment = iso_moment(text)
    except (ValueError, OverflowError):
        raise Rejected(field, f"is not a time: {excerpt(text)}") from None
    if moment.tzinfo is None:
        raise Rejected(field, f"{NO_OFFSET}: {excerpt(text)}")
    return micros(moment)


def iso_moment(text: str) -> dt.datetime:
    """A time in the form of ISO 8601 or RFC 3339. A second of 60, a leap second, is the second after. Raises ValueError."""
    if text[16:19] != ":60":
        return dt.datetime.fromisoformat(text)
    return dt.datetime.fromisoformat(f"{text[:17]}59{text[19:]}") + dt.timedelta(seconds=1)


def micros(moment: dt.datetime) -> int:
    """Microseconds since the epoch of an aware datetime; exact."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def name(value: str, field: str, *, required: bool = True) -> str:
    """A name or id: 1 to 128 printable characters. Raises Rejected."""
    if not value:
        if required:
            raise Rejected(field, "is missing")
        return value
    if len(value) > MAX_TEXT:
        raise Rejected(field, f"is longer than {MAX_TEXT} characters")
    if not value.isprintable() or value != value.strip():
        raise Rejected(field, f"has a character that a name cannot have: {excerpt(value)}")
    return value


def free_text(value: str, field: str) -> str:
    """A remark of a person or a program: up to 1,000 characters, line ends too, which every store keeps. Raises Rejected."""
    if len(value) > MAX_REMARK:
        raise Rejected(field, f"is longer than {MAX_REMARK:,} characters")
    if "\0" in value or not is_unicode(value):
        raise Rejected(field, f"has a character that no store keeps: {excerpt(value)}")
    return value


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: it has no half of a pair of surrogates."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def date(value: str, field: str) -> str:
    """An ISO date (`2026-11-21`) from 1980 to 2199, or empty. Raises Rejected."""
    if value:
        try:
            parsed = dt.date.fromisoformat(value)
        except ValueError:
            raise Rejected(field, f"is not a date: {excerpt(value)}") from None
        if parsed.isoformat() != value:
            raise Rejected(field, f"is not a date like 2026-11-21: {excerpt(value)}")
        if not FIRST_YEAR <= parsed.year < END_YEAR:
            raise Rejected(field, f"is out of range: {FIRST_YEAR} to {END_YEAR - 1} are expected")
    return value


def integer(value: int, field: str, low: int = 0, high: int = MAX_INTEGER) -> int:
    """`value`, if it lies in [low, high]. Raises Rejected."""
    if not low <= value <= high:
        raise Rejected(field, f"must be {low} to {high}")
    return value


def sequence(value: int | str, field: str) -> int:
    """A source's own number: 0 to 2^63 - 1; above 2^53 it must come as a text, because JSON numbers lose digits there.

    Raises Rejected.
    """
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 19):
            raise Rejected(field, f"must be 0 to {MAX_SEQUENCE}: {excerpt(value)}")
        return integer(int(text), field, 0, MAX_SEQUENCE)
    if MAX_INTEGER < value <= MAX_SEQUENCE:
        raise Rejected(field, f"is above {MAX_INTEGER}, where JSON numbers lose digits: send it as a text")
    return integer(value, field, 0, MAX_SEQUENCE)


def json_integer(value: int) -> int | str:
    """An integer for JSON: above 2^53 a text, so that no reader loses digits."""
    return value if -MAX_INTEGER <= value <= MAX_INTEGER else str(value)


def exact_in_json(value: int | None) -> int | None:
    """An integer that every reader of JSON keeps exactly; None for a larger one, which no field of ours takes."""
    return value if value is None or -MAX_INTEGER <= value <= MAX_INTEGER else None


def excerpt(text: str) -> str:
    """At most 40 characters of a sender's text, in quotes and printable, for a message."""
    return repr(text if len(text) <= 40 else text[:40] + "...")


def currency(value: str, field: str) -> str:
    """A currency code of 3 to 8 capital letters or digits (`EUR`, `USDT`), a minor unit (`GBX`), or empty. Raises Rejected.

    A unit with two spellings comes back under one.
    """
    if value in MINOR_UNITS:
        return one_spelling(value)
    if value and not (3 <= len(value) <= 8 and value.isascii() and value.isalnum() and value.upper() == value):
        raise Rejected(field, f"must be a code of 3 to 8 capital letters: {excerpt(value)}")
    return value
