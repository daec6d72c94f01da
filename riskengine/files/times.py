"""Parses times and dates of foreign files, exact to the microsecond, also on the days when clocks change.

No zone, no belief: a time without an offset is refused unless `tz` says whose clock it is on. A local time that never occurs is
refused; one that occurs twice is refused unless `repeated_hour` says which reading is meant. A file of ticks repeats the same
minute thousands of times, so parsers cache minutes. No zone changes its offset inside a minute (TS_MIN is 1980), hence a cached
minute is exact.
"""

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from riskengine.errors import InputError
from riskengine.files.server_clock import MOST_AHEAD_H, ServerClock, split_clock
from riskengine.nearest import nearest
from riskengine.records.fields import (
    NO_OFFSET,
    TS_MAX,
    TS_MIN,
    Rejected,
    excerpt,
    fixed,
    iso_moment,
    micros,
    rounded,
    timestamp,
)
from riskengine.records.types import ONE

TimeParser = Callable[[str | int, str], int]
"""From a time as sent and its field's name to microseconds since the epoch, UTC. Raises Rejected."""

DateParser = Callable[[str | int, str], str]
"""From a date as sent and its field's name to an ISO date. Raises Rejected."""

RepeatedHour = Literal["first", "second", "in-order"]
"""Which reading of a local time that occurs twice is meant; `in-order`: the one that keeps the file from going back."""

REPEATED_HOURS: tuple[RepeatedHour, ...] = ("first", "second", "in-order")

NAME_THE_ZONE = "; --tz names its zone"
DAYS = "days"
"""The format word of a spreadsheet's day numbers."""

_MINUTES_KEPT = 10_000
_ISO_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", re.ASCII)
_UNIT_FORMAT = re.compile(r"(s|ms|us|ns|days)(?:@(\d{4}-\d\d-\d\d))?", re.ASCII)
_NANOS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_DIRECTIVE = re.compile("%(.)", re.DOTALL)
_UTC_WORDS = ("UTC", "GMT", "Z")
_FIRST_DAY = "1899-12-30"
"""Day 0 of a spreadsheet."""
_CITY_LETTERS = 3
_MILLIS_PER_DAY = 86_400_000


def time_parser(tz: str | None, time_format: str | None, repeated_hour: RepeatedHour | None = None) -> TimeParser:
    """The parser for one column of times of one file. Raises InputError: unknown zone, bad format, a format without a zone.

    `time_format` is one of

    - None: microseconds since the epoch, or RFC 3339; without an offset only if `tz` is given;
    - `s`, `ms`, `us`, `ns`: that unit since the epoch, decimals allowed, cut to microseconds;
    - `ms@2014-05-06` (any of the units): that unit since the midnight of that day in `tz`;
    - `days`, `days@1904-01-01`: a spreadsheet's day number, with the time of day as its fraction, on the clock of `tz`; days
      since 1899-12-30, or since the day named; to the nearest millisecond, which is what a spreadsheet keeps of a time;
    - a `strptime` format, on the clock of `tz` unless it has `%z`, or `%Z`, which takes UTC, GMT and Z only.

    `tz` is a name of the IANA database, or a clock so many hours ahead of one (`America/New_York+7h`). For `repeated_hour` None
    a local time that occurs twice is refused. A parser for `in-order` remembers the last time that it gave, so each column of
    each file needs its own.
    """
    if repeated_hour == "in-order":
        first = _reader(tz, time_format, "first")
        return first if first in (_plain_time, timestamp) else _InOrder(first, _reader(tz, time_format, "second"))
    return _reader(tz, time_format, repeated_hour)


@lru_cache(maxsize=64)
def _reader(tz: str | None, time_format: str | None, repeated_hour: RepeatedHour | None) -> TimeParser:
    if time_format is None:
        return _plain_time if tz is None else _MinuteParser(_Clock(tz, repeated_hour), _iso_minute, iso_moment)
    unit = _UNIT_FORMAT.fullmatch(time_format)
    if unit:
        return _unit_reader(unit[1], unit[2], time_format, tz, repeated_hour)
    _check_format(time_format)
    if not _tells_zone(time_format):
        _require_zone(tz, time_format)
    clock = _Clock(tz, repeated_hour)
    head, fraction = _head_of(time_format)
    return _MinuteParser(
        clock,
        (lambda text: _strptime(text, head)) if head else None,
        lambda text: _strptime(text, time_format),
        iso=False,
        fraction=fraction,
    )


def _unit_reader(
    unit: str, since: str | None, time_format: str, tz: str | None, repeated_hour: RepeatedHour | None
) -> TimeParser:
    """The parser of a count of `unit`, since a day or since the epoch."""
    if unit == DAYS:
        start = _day(since or _FIRST_DAY, time_format)
        _require_zone(tz, time_format)
        return _day_parser(start, _Clock(tz, repeated_hour))
    if since is None:
        zone(tz)  # a wrong name is a mistake also where it changes nothing
        return _unit_parser(unit, 0)
    start = _day(since, time_format)
    _require_zone(tz, time_format)
    return _unit_parser(unit, _midnight(start, _Clock(tz, repeated_hour)))


def _require_zone(tz: str | None, time_format: str) -> None:
    if tz is None:
        raise InputError(f"times in the format {time_format!r} have no zone: --tz names it, such as --tz UTC")


def needs_zone(time_format: str | None) -> bool:
    """Whether times in a format (`time_parser`) are on a clock that somebody must name. RFC 3339 may tell it in each value."""
    if time_format is None:
        return False
    unit = _UNIT_FORMAT.fullmatch(time_format)
    return unit[1] == DAYS or unit[2] is not None if unit else not _tells_zone(time_format)


def zone(tz: str | None) -> dt.tzinfo:
    """The zone of that name, UTC for None. Raises InputError."""
    if tz is None or tz == "UTC":
        return dt.UTC
    clock = split_clock(tz)
    if clock is not None:
        if abs(clock[1]) > MOST_AHEAD_H or split_clock(clock[0]) is not None:
            raise InputError(
                f"unknown time zone {excerpt(tz)}: a clock is at most {MOST_AHEAD_H} hours ahead of a zone or behind it"
            )
        return ServerClock(zone(clock[0]), clock[1])
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):  # a folder of the database, such as America, is an OSError
        near = _near_zone(tz)
        hint = f"did you mean {near}?" if near else "a name like America/New_York is expected"
        raise InputError(f"unknown time zone {excerpt(tz)}: {hint}") from None


def _near_zone(tz: str) -> str | None:
    """The zone of the IANA database whose name comes near: by two letters, or by the beginning of its city (Europe/Roma)."""
    if "/" not in tz:
        return None  # among names of three letters any would do
    names = sorted(available_timezones())
    area, _, city = tz.rpartition("/")
    start = city[:_CITY_LETTERS].casefold()
    cities = [name for name in names if name.casefold().startswith(f"{area}/{start}".casefold())]
    return nearest(tz, names) or (cities[0] if len(cities) == 1 and len(start) == _CITY_LETTERS else None)


def date_parser(date_format: str | None) -> DateParser | None:
    """The parser of dates in a `strptime` format or of a spreadsheet's day numbers (`days`); None for ISO dates.

    Raises InputError for a format that gives no date.
    """
    if date_format is None:
        return None
    unit = _UNIT_FORMAT.fullmatch(date_format)
    if unit:
        if unit[1] != DAYS:
            raise InputError(f"bad date format {date_format!r}: it does not give year, month and day")
        return _date_of_day_number(_day(unit[2] or _FIRST_DAY, date_format))
    _check_format(date_format, "date")

    def parse(value: str | int, field: str) -> str:
        text = str(value)
        try:
            return _strptime(text, date_format).date().isoformat()
        except ValueError:
            raise Rejected(field, f"does not fit {date_format!r}: {excerpt(text)}") from None

    return parse


def _date_of_day_number(start: dt.datetime) -> DateParser:
    def parse(value: str | int, field: str) -> str:
        days, part = divmod(fixed(value if isinstance(value, int) else str(value), 10, field), int(ONE))
        if part:
            raise Rejected(field, f"is not a whole day: {excerpt(str(value))}")
        try:
            return (start + dt.timedelta(days=days)).date().isoformat()
        except OverflowError:
            raise Rejected(field, f"is not the number of a day: {excerpt(str(value))}") from None

    return parse


def _plain_time(value: str | int, field: str) -> int:
    """A time as in messages; a refusal of one without an offset names the option that helps."""
    try:
        return timestamp(value, field)
    except Rejected as error:
        raise Rejected(field, with_way_out(error.reason)) from None


def with_way_out(reason: str) -> str:
    """The reason of a refusal; that of a time without an offset names the option that helps."""
    return reason + NAME_THE_ZONE if reason.startswith(NO_OFFSET) else reason


def _tells_zone(time_format: str) -> bool:
    return bool({"z", "Z"} & {*_DIRECTIVE.findall(time_format)})


def _strptime(text: str, time_format: str) -> dt.datetime:
    """As `strptime`, but `%Z` takes UTC, GMT and Z only, and is believed. Raises ValueError.

    The library takes the names of this machine's own zone too, and then ignores what they say.
    """
    if "%Z" not in time_format:
        return dt.datetime.strptime(text, time_format)  # noqa: DTZ007 - the caller adds the zone
    for word in _UTC_WORDS:
        literal = _DIRECTIVE.sub(partial(_with_word, word), time_format)
        try:
            moment = dt.datetime.strptime(text, literal)  # noqa: DTZ007
        except ValueError:
            continue
        if moment.utcoffset():
            raise ValueError("the offset is not that of UTC")
        return moment if literal == time_format else moment.replace(tzinfo=dt.UTC)
    raise ValueError("the zone is not UTC, GMT or Z")


def _with_word(word: str, directive: re.Match[str]) -> str:
    return word if directive[1] == "Z" else directive[0]


def _check_format(time_format: str, what: str = "time") -> None:
    """Refuse a format that cannot give a date once, instead of at every line. Raises InputError."""
    sample = dt.datetime(2021, 11, 28, 15, 16, 17, tzinfo=dt.UTC)
    try:
        again = _strptime(sample.strftime(time_format), time_format)
    except (ValueError, re.error) as error:
        raise InputError(f"bad {what} format {time_format!r}: {error}") from None
    if again.date() != sample.date():
        raise InputError(f"bad {what} format {time_format!r}: it does not give year, month and day")


def _day(text: str, time_format: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"bad time format {time_format!r}: there is no such day") from None


def _midnight(day: dt.datetime, clock: "_Clock") -> int:
    try:
        return clock.micros(day)
    except _ClockChange as error:
        raise InputError(f"the midnight of {day.date()} {error}") from None


class _ClockChange(ValueError):
    """A local time does not occur, or occurs twice; the message is the rest of the sentence."""


class _Clock:
    """The clock that local times are on, and which reading counts of a time that it shows twice."""

    def __init__(self, tz: str | None, repeated_hour: RepeatedHour | None) -> None:
        """Raises InputError for an unknown zone."""
        self._name = tz or "UTC"
        self._zone = zone(tz)
        self._repeated_hour = repeated_hour

    def micros(self, moment: dt.datetime) -> int:
        """Microseconds since the epoch; a moment without an offset is on this clock. Raises _ClockChange, OverflowError."""
        if moment.tzinfo is not None or self._zone is dt.UTC:
            return micros(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
        local = moment.replace(tzinfo=self._zone)
        first, second = micros(local), micros(local.replace(fold=1))
        if first == second:
            return first
        if first > second:  # the offset before the change is the smaller one: clocks go forward over this time
            raise _ClockChange(f"does not exist in {self._name}, where clocks go forward over it")
        if self._repeated_hour is None:
            raise _ClockChange(f"occurs twice in {self._name}, where clocks go back: --repeated-hour says which is meant")
        return first if self._repeated_hour == "first" else second


class _InOrder:
    """Takes, of a time with two readings, the first that does not lie before the time of the line before."""

    def __init__(self, first: TimeParser, second: TimeParser) -> None:
        self._first = first
        self._second = second
        self._last = 0

    def __call__(self, value: str | int, field: str) -> int:
        ts = self._first(value, field)
        if ts < self._last:
            second = self._second(value, field)
            if ts < second < self._last:
                reason = f"occurs twice, and goes back from the line before in either reading: {excerpt(str(value))}"
                raise Rejected(field, reason)
            ts = second
        self._last = ts
        return ts


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
        clock: _Clock,
        minute: Callable[[str], dt.datetime] | None,
        whole: Callable[[str], dt.datetime],
        *,
        iso: bool = True,
        fraction: bool | None = None,
    ) -> None:
        """`minute` parses a time up to the minute, `whole` all of it; a result without a zone is on `clock`.

        `fraction` says whether seconds must have a fraction; None allows both. With `iso`, integers are microseconds.
        """
        self._clock = clock
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
                start = self._clock.micros(self._minute(head))
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
            ts = self._clock.micros(self._whole(value))
        except _ClockChange as error:
            raise Rejected(field, f"{error}: {excerpt(value)}") from None
        except (ValueError, OverflowError):
            what = "a time" if self._iso else "a time in the given format"
            raise Rejected(field, f"is not {what}: {excerpt(value)}") from None
        return _in_range(ts, field)


def _unit_parser(unit: str, start: int) -> TimeParser:
    """The parser of a count of `unit` since `start`."""
    nanos = _NANOS[unit]

    def parse(value: str | int, field: str) -> int:
        text = value if isinstance(value, str) else str(value)
        if not text:
            raise Rejected(field, "is missing")
        if text.isascii() and text.isdigit() and len(text) < 25:
            return _in_range(start + int(text) * nanos // 1_000, field)
        return _in_range(start + fixed(text, 10, field) * nanos // (1_000 * ONE), field)

    return parse


def _day_parser(start: dt.datetime, clock: _Clock) -> TimeParser:
    """The parser of a spreadsheet's day numbers, counted from `start`, on `clock`."""

    def parse(value: str | int, field: str) -> int:
        text = value if isinstance(value, str) else str(value)
        if not text:
            raise Rejected(field, "is missing")
        # A spreadsheet writes the double nearest to the fraction of a day: 10 decimals of it are 9 microseconds.
        units = rounded(text, field)
        millis = (2 * units * _MILLIS_PER_DAY + int(ONE)) // (2 * int(ONE))
        try:
            return _in_range(clock.micros(start + dt.timedelta(milliseconds=millis)), field)
        except _ClockChange as error:
            raise Rejected(field, f"{error}: {excerpt(text)}") from None
        except OverflowError:
            raise Rejected(field, f"is not the number of a day: {excerpt(text)}") from None

    return parse


def _in_range(ts: int, field: str) -> int:
    if not TS_MIN <= ts < TS_MAX:
        raise Rejected(field, "is out of range: 1980 to 2200 is expected, read with the given format and zone")
    return ts
