"""Parses times of foreign files, exact to the microsecond, also on the days when clocks change.

A file of ticks repeats the same minute thousands of times, so parsers cache minutes. No zone changes its offset inside a
minute (TS_MIN is 1980), hence a cached minute is exact. A local time that occurs twice means its first occurrence; one that
never occurs gets the offset before the change (PEP 495, fold=0).
"""

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from zoneinfo import ZoneInfo

from riskengine.errors import InputError
from riskengine.files.server_clock import ServerClock, split_clock
from riskengine.records.fields import TS_MAX, TS_MIN, Rejected, excerpt, fixed, iso_moment, micros, timestamp
from riskengine.records.types import ONE

TimeParser = Callable[[str | int, str], int]
"""From a time as sent and its field's name to microseconds since the epoch, UTC. Raises Rejected."""

_MINUTES_KEPT = 10_000
_ISO_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", re.ASCII)
_EPOCH_FORMAT = re.compile(r"(s|ms|us|ns)(?:@(\d{4}-\d\d-\d\d))?", re.ASCII)
_NANOS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


@lru_cache(maxsize=64)
def time_parser(tz: str | None, time_format: str | None) -> TimeParser:
    """The parser for the times of a file. Raises InputError: unknown zone, bad format.

    `time_format` is one of

    - None: microseconds since the epoch, or RFC 3339; without an offset only if `tz` is given;
    - `s`, `ms`, `us`, `ns`: that unit since the epoch, decimals allowed, cut to microseconds;
    - `ms@2014-05-06` (any of the units): that unit since the midnight of that day in `tz`;
    - a `strptime` format, in `tz` unless it has `%z`; `%f` takes one to six digits.

    `tz` is a name of the IANA database; a format without one means UTC.
    """
    if time_format is None:
        return timestamp if tz is None else _MinuteParser(zone(tz), _iso_minute, iso_moment)
    epoch = _EPOCH_FORMAT.fullmatch(time_format)
    if epoch:
        return _epoch_parser(epoch[1], epoch[2], zone(tz))
    _check_format(time_format)
    head, fraction = _head_of(time_format)
    return _MinuteParser(
        zone(tz),
        (lambda text: dt.datetime.strptime(text, head)) if head else None,  # noqa: DTZ007 - _MinuteParser adds the zone
        lambda text: dt.datetime.strptime(text, time_format),  # noqa: DTZ007
        iso=False,
        fraction=fraction,
    )


def zone(tz: str | None) -> dt.tzinfo:
    """The zone of that name, UTC for None. Raises InputError."""
    if tz is None or tz == "UTC":
        return dt.UTC
    clock = split_clock(tz)
    if clock is not None:
        return ServerClock(zone(clock[0]), clock[1])
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):  # a folder of the database, such as America, is an OSError
        raise InputError(f"unknown time zone {excerpt(tz)}: a name like America/New_York is expected") from None


def date_parser(time_format: str | None) -> Callable[[str], str]:
    """From a date in a `strptime` format to ISO; without such a format, the text unchanged."""
    if time_format is None or _EPOCH_FORMAT.fullmatch(time_format):
        return lambda text: text
    _check_format(time_format)

    def parse(text: str) -> str:
        try:
            return dt.datetime.strptime(text, time_format).date().isoformat()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            raise Rejected("date", f"does not fit {time_format!r}: {excerpt(text)}") from None

    return parse


def _check_format(time_format: str) -> None:
    """Refuse a format that cannot give a date once, instead of at every line. Raises InputError."""
    sample = dt.datetime(2021, 11, 28, 15, 16, 17, tzinfo=dt.UTC)
    try:
        again = dt.datetime.strptime(sample.strftime(time_format), time_format)  # noqa: DTZ007
    except (ValueError, re.error) as error:
        raise InputError(f"bad time format {time_format!r}: {error}") from None
    if again.date() != sample.date():
        raise InputError(f"bad time format {time_format!r}: it does not give year, month and day")


def _head_of(time_format: str) -> tuple[str, bool | None]:
    """The format up to the minute, and whether the seconds have a fraction; empty if it does not end in seconds."""
    for ending, fraction in ((":%S.%f", True), (":%S", False)):
        head = time_format.removesuffix(ending)
        if head != time_format and "%z" not in head.lower() and "%S" not in head and "%f" not in head:
            return head, fraction
    return "", None


def _iso_minute(text: str) -> dt.datetime:
    if not _ISO_MINUTE.fullmatch(text):
        raise ValueError
    return dt.datetime.fromisoformat(text)


class _MinuteParser:
    """Parses times as minute, colon, seconds, with a cache of minutes. 0.6 us, against 8 us for `strptime`."""

    def __init__(
        self,
        zone: dt.tzinfo,
        minute: Callable[[str], dt.datetime] | None,
        whole: Callable[[str], dt.datetime],
        *,
        iso: bool = True,
        fraction: bool | None = None,
    ) -> None:
        """`minute` parses a time up to the minute, `whole` all of it; a result without a zone is in `zone`.

        `fraction` says whether seconds must have a fraction; None allows both. With `iso`, integers are microseconds.
        """
        self._zone = zone
        self._minute = minute
        self._whole = whole
        self._iso = iso
        self._fraction = fraction
        self._known: dict[str, int] = {}

    def __call__(self, value: str | int, field: str) -> int:
        if not isinstance(value, str):
            if self._iso:
                return timestamp(value, field)
            value = str(value)
        head, _, tail = value.rpartition(":")
        start = self._known.get(head)
        if start is None:
            return self._first_of_minute(value, head, field)
        seconds, dot, part = tail.partition(".")
        if (
            len(seconds) == 2
            and seconds < "60"
            and seconds.isdigit()
            and (part.isdigit() and len(part) <= 6 if dot else True)
            and tail.isascii()
            and (self._fraction is None or self._fraction is bool(dot))
        ):
            return start + int(seconds) * 1_000_000 + (int(part) * 10 ** (6 - len(part)) if dot else 0)
        return self._parse(value, field)

    def _first_of_minute(self, value: str, head: str, field: str) -> int:
        ts = self._parse(value, field)
        if self._minute is not None:
            try:
                start = self._micros(self._minute(head))
            except (ValueError, OverflowError):
                return ts
            if TS_MIN <= start and start + 60_000_000 <= TS_MAX:
                if len(self._known) >= _MINUTES_KEPT:
                    self._known.clear()
                self._known[head] = start
        return ts

    def _parse(self, value: str, field: str) -> int:
        if not value:
            raise Rejected(field, "is missing")
        try:
            if not value.isascii():
                raise ValueError
            if self._iso and value.removeprefix("-").isdigit():
                return timestamp(value, field)
            ts = self._micros(self._whole(value))
        except (ValueError, OverflowError):
            what = "a time" if self._iso else "a time in the given format"
            raise Rejected(field, f"is not {what}: {excerpt(value)}") from None
        return _in_range(ts, field)

    def _micros(self, moment: dt.datetime) -> int:
        return micros(moment if moment.tzinfo else moment.replace(tzinfo=self._zone))


def _epoch_parser(unit: str, day: str | None, zone: dt.tzinfo) -> TimeParser:
    nanos = _NANOS[unit]
    start = 0
    if day:
        try:
            start = micros(dt.datetime.fromisoformat(day).replace(tzinfo=zone))
        except ValueError:
            raise InputError(f"bad time format '{unit}@{day}': there is no such day") from None

    def parse(value: str | int, field: str) -> int:
        text = value if isinstance(value, str) else str(value)
        if not text:
            raise Rejected(field, "is missing")
        if text.isascii() and text.isdigit() and len(text) < 25:
            return _in_range(start + int(text) * nanos // 1_000, field)
        return _in_range(start + fixed(text, 10, field) * nanos // (1_000 * ONE), field)

    return parse


def _in_range(ts: int, field: str) -> int:
    if not TS_MIN <= ts < TS_MAX:
        raise Rejected(field, "is out of range: 1980 to 2200 is expected, read with the given format and zone")
    return ts
