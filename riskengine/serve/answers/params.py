"""Query parameters: which a route takes, how each is read, and a 400 that names the wrong one."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.nearest import nearest
from riskengine.records.decode import NAMED_ATTRIBUTES
from riskengine.records.fields import MAX_INTEGER, TS_MAX, TS_MIN, Rejected, date, excerpt, timestamp
from riskengine.serve.answers.problems import bad_field

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000_000

_DIGITS = re.compile("[0-9]{1,16}")
_A_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY_PATTERN = "^(19(8[1-9]|9[0-9])|20[0-9]{2}|21[0-8][0-9])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"
"""Days from 1981 to 2189. Input may name any day that its month has; the pattern promises only days 1 to 28."""


class Parameter(NamedTuple):
    """One query parameter. `read` turns its text into a value or raises Rejected; `schema` is the same rule as JSON Schema.

    `required` is for the OpenAPI document only: the handler itself refuses a request without the parameter.
    """

    name: str
    text: str
    schema: dict[str, Any]
    read: Callable[[str], Any]
    default: Any = None
    required: bool = False


class Sort(NamedTuple):
    """A field to sort by; unknown values come last either way."""

    field: str
    descending: bool


def read_parameters(parameters: Sequence[Parameter], sent: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The value of every parameter; the default of one that is absent. Raises HttpProblem: unknown, given twice, invalid."""
    known = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {}
    for name, text in sent:
        parameter = known.get(name)
        if parameter is None:
            near = nearest(name, known)
            takes = f": did you mean {near}?" if near else f"; it takes {', '.join(known)}" if known else ""
            raise bad_field(name[:40], f"is not a parameter of this route{takes}")
        if name in values:
            raise bad_field(name, "is given twice")
        try:
            values[name] = parameter.read(text)
        except Rejected as error:
            raise bad_field(name, error.reason) from None
    return {name: parameter.default for name, parameter in known.items()} | values


def _integer(name: str, low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _DIGITS.fullmatch(text) or not low <= int(text) <= high:
            raise Rejected(name, f"must be a whole number, {low} to {high}: {excerpt(text)}")
        return int(text)

    return read


def _choice(name: str, choices: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise Rejected(name, f"must be {' or '.join(choices)}: {excerpt(text)}")
        return text

    return read


def _flag(name: str) -> Callable[[str], bool]:
    read = _choice(name, ("true", "false"))
    return lambda text: read(text) == "true"


def _time(text: str) -> int:
    return timestamp(text, "since")


def _until(text: str) -> int:
    return timestamp(text, "until")


def _date(text: str) -> str:
    if not text:
        raise Rejected("date", "is empty: name a day such as 2026-12-01")
    return date(text, "date")


def _text(text: str) -> str:
    return text


def text_parameter(name: str, text: str) -> Parameter:
    """The name of a node, a dealer or an instrument. The handler checks it against the snapshot."""
    return Parameter(name, text, {"type": "string"}, _text)


def choice_parameter(name: str, text: str, choices: Sequence[str], default: str | None = None) -> Parameter:
    """One of a few words."""
    schema: dict[str, Any] = {"type": "string", "enum": list(choices)}
    return Parameter(name, text, schema | ({"default": default} if default else {}), _choice(name, choices), default)


def integer_parameter(name: str, text: str, low: int, high: int, default: int) -> Parameter:
    """A whole number between two others."""
    schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high, "default": default}
    return Parameter(name, text, schema, _integer(name, low, high), default)


def flag_parameter(name: str, text: str, default: bool) -> Parameter:
    """`true` or `false`."""
    return Parameter(name, text, {"type": "boolean", "default": default}, _flag(name), default)


TIME_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": TS_MIN, "maximum": TS_MAX - 1},
        {
            "type": "string",
            "pattern": "^(19(8[1-9]|9[0-9])|20[0-9]{2}|21[0-8][0-9])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
            "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])$",
        },
    ],
    "examples": ["2026-11-21T15:04:05Z"],
}
"""Times from 1980 to 2199. Input may name any day that its month has; the pattern promises only days 1 to 28."""


def moment_parameter(name: str, text: str, *, required: bool = False) -> Parameter:
    """A moment: microseconds since the epoch, or RFC 3339 with an offset."""

    def read(sent: str) -> int:
        return timestamp(sent, name)

    return Parameter(name, f"{text}: microseconds since the epoch or RFC 3339 with an offset", TIME_SCHEMA, read, None, required)


def instant_parameter(name: str, text: str) -> Parameter:
    """A moment as in `moment_parameter`, or the date of a close."""

    def read(sent: str) -> int | str:
        return date(sent, name) if _A_DAY.fullmatch(sent) else timestamp(sent, name)

    schema = {"anyOf": [*TIME_SCHEMA["anyOf"], {"type": "string", "pattern": DAY_PATTERN}]}
    text = f"{text}: the date of a close, or a time, microseconds since the epoch or RFC 3339 with an offset"
    return Parameter(name, text, schema, read)


def sort_parameter(fields: Sequence[str], documented: Sequence[str] | None = None) -> Parameter:
    """A field of the rows, with `-` before it for the largest first.

    `documented` are the fields that the OpenAPI document names; without it, all.
    """

    def read(text: str) -> Sort:
        field = text.removeprefix("-")
        if field not in fields:
            raise Rejected("sort", f"is not a field of these rows: {excerpt(field)}")
        return Sort(field, text != field)

    text = "a field of the rows, `-` before it for the largest first; unknown values come last"
    words = [sign + field for field in (fields if documented is None else documented) for sign in ("", "-")]
    return Parameter("sort", text, {"type": "string", "enum": words}, read)


BUCKET_PATTERN = (
    "^(([1-9][0-9]{0,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)s"
    "|([1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m|([1-9]|1[0-9]|2[0-4])h)$"
)
"""A length up to a day."""
_BUCKET_UNIT = {"s": MICROS_PER_SECOND, "m": 60 * MICROS_PER_SECOND, "h": 3_600 * MICROS_PER_SECOND}


def _bucket(text: str) -> int:
    if not re.fullmatch(BUCKET_PATTERN, text):
        raise Rejected("bucket", f"must be a length such as 60s, 5m or 1h, at most 24h: {excerpt(text)}")
    return int(text[:-1]) * _BUCKET_UNIT[text[-1]]


SEQ = Parameter(
    "seq",
    "number of one of the snapshots of the last moments: 410 when gone, 404 when not yet published",
    {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER},
    _integer("seq", 0, MAX_INTEGER),
)
AS_OF = moment_parameter("as_of", "the moment of the past that the answer is of")
KNOWN = choice_parameter("known", "with as_of: what was then known, or what is known now of then", ("then", "now"))
LIMIT = Parameter(
    "limit",
    "rows at most",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    _integer("limit", 1, MAX_LIMIT),
    DEFAULT_LIMIT,
)
LIMIT_IGNORED = Parameter(
    "limit",
    "taken for the sake of programs that always send it; this list is never cut",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    _integer("limit", 1, MAX_LIMIT),
)
OFFSET = Parameter(
    "offset",
    "rows left out before the first",
    {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER, "default": 0},
    _integer("offset", 0, MAX_INTEGER),
    0,
)
NODE = text_parameter("node", "a node; what is below it counts too")
DEALER = text_parameter("dealer", "a dealer; empty for trades without one")
INSTRUMENT = text_parameter("instrument", "an instrument")
ATTRIBUTES = tuple(text_parameter(name, f"trades with this {name}; empty for those without one") for name in NAMED_ATTRIBUTES)
"""A parameter for each attribute that trades can be searched by."""

SOURCE = text_parameter("source", "trades of this source")
TRADE_ID = text_parameter("trade_id", "the trades that their source calls so")
CURRENCY_ASKED = text_parameter("currency", "only this currency")
STALE = Parameter(
    "stale",
    "`true`: only rows that are valued with a stale price or rate; `false`: only the others",
    {"type": "boolean"},
    _flag("stale"),
)
KEPT_OUT = Parameter(
    "kept_out",
    "`true`: only trades that are kept out of the positions (quarantined, parked, waiting); `false`: only the others",
    {"type": "boolean"},
    _flag("kept_out"),
)
EXACT = flag_parameter("exact", "numbers as decimal texts that lose nothing", False)
FORMAT = choice_parameter("format", "goes before the Accept header", ("json", "csv"))
DATE = Parameter(
    "date",
    "a trading day, such as 2026-12-01; without it the newest close",
    {"type": "string", "pattern": DAY_PATTERN},
    _date,
)
SINCE = Parameter(
    "since",
    "execution time from which on: microseconds since the epoch, or RFC 3339 with an offset",
    TIME_SCHEMA,
    _time,
)
FROM = SINCE._replace(
    text="time from which on, microseconds since the epoch or RFC 3339 with an offset; without it and days= the samples in memory"
)
UNTIL = SINCE._replace(name="until", text="before this time", read=_until)
BUCKET = Parameter(
    "bucket",
    "puts together what falls into one stretch of this length, such as 60s, 5m or 1h, at most 24h",
    {"type": "string", "pattern": BUCKET_PATTERN, "examples": ["5m"]},
    _bucket,
)
"""Microseconds."""
