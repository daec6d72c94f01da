"""How the dates and times of a column are written: the formats that read every value, and which of them is likely. Pure.

`01/02/2026` is the first of February or the second of January. A format is taken for certain only where a value says so
(`13/02/2026`); all else is a likely reading with its evidence and a doubt.
"""

import datetime as dt
import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

_MONTH = r"[A-Za-z]{3,9}"
_DATES = (
    (re.compile(r"(\d{4})([-./])(\d{1,2})\2(\d{1,2})"), "ymd"),
    (re.compile(r"(\d{1,2})([-./ ])(\d{1,2})\2(\d{4}|\d{2})"), "dmy"),
    (re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})"), "compact"),
    (re.compile(rf"(\d{{1,2}})([-./ ]?)({_MONTH})\.?([-./ ]?)(\d{{4}}|\d{{2}})"), "named"),
    (re.compile(rf"({_MONTH})\.? (\d{{1,2}}),? (\d{{4}})"), "american"),
)
_TIMES = (
    (re.compile(r"\d{1,2}:\d{2}:\d{2}\.\d{1,6} ?[AaPp][Mm]"), "%I:%M:%S.%f{gap}%p"),
    (re.compile(r"\d{1,2}:\d{2}:\d{2} ?[AaPp][Mm]"), "%I:%M:%S{gap}%p"),
    (re.compile(r"\d{1,2}:\d{2} ?[AaPp][Mm]"), "%I:%M{gap}%p"),
    (re.compile(r"\d{1,2}:\d{2}:\d{2}\.\d{1,9}"), "%H:%M:%S.%f"),
    (re.compile(r"\d{1,2}:\d{2}:\d{2},\d{1,6}"), "%H:%M:%S,%f"),
    (re.compile(r"\d{1,2}:\d{2}:\d{2}"), "%H:%M:%S"),
    (re.compile(r"\d{1,2}:\d{2}"), "%H:%M"),
    (re.compile(r"[0-2]\d[0-5]\d[0-5]\d"), "%H%M%S"),
)
_WHOLE = re.compile(
    r"(?P<date>.*?\d)(?P<gap>T|[ ]*[;,][ ]*|[ ]-[ ]|[ ]+|-)(?P<time>\d{1,2}:.+?|\d{6})"
    r"(?P<zone>[ ]?(?:Z|UTC|GMT)|[ ]?[-+]\d{2}:?\d{2})?"
)
_TIME_FIRST = re.compile(r"(?P<time>\d{1,2}:\d{2}(?::\d{2})?) (?P<date>\d.*)")
_EPOCHS = ((10, "s"), (13, "ms"), (16, "us"), (19, "ns"))
_EPOCH = re.compile(r"(1\d{9,18})(?:\.\d{1,9})?")
LONGEST = 64
"""Characters of the longest text that is looked at as a date or a number; patterns are slow on longer ones."""
DAYS = "days"
"""The format of a spreadsheet's day numbers."""
_DAY_NUMBER = re.compile(r"(?:3652[6-9]|365[3-9]\d|36[6-9]\d\d|3[7-9]\d{3}|[4-6]\d{4}|7[0-2]\d{3})(?:\.\d+)?")
ISO = "iso"
"""The format of ISO 8601 and RFC 3339 times, which need none."""


class DateStyle(msgspec.Struct, frozen=True):
    """How a column's times are written. `format` is a `strptime` format, `iso`, or a unit since 1970 (`s`, `ms`, `us`, `ns`).

    `others` are formats that read every value too; then `doubt` asks. `has_zone` says that the values name their zone or offset,
    `has_date` and `has_time` which parts they have, `open` that too little speaks for one of the formats to write it down.
    """

    format: str
    evidence: str
    doubt: str = ""
    others: tuple[str, ...] = ()
    has_date: bool = True
    has_time: bool = False
    has_zone: bool = False
    open: bool = False


@lru_cache(maxsize=4096)
def date_formats(text: str) -> tuple[str, ...]:
    """Every format that reads a text as a date, a time of day or both; empty if none does. Plain numbers are YYYYMMDD."""
    if len(text) > LONGEST:
        return ()
    for pattern, time_format in _TIMES[:-1]:
        if pattern.fullmatch(text):
            return (_with_gap(time_format, text),)
    if dates := _formats_of_date(text):
        return tuple(dates)
    if turned := _TIME_FIRST.fullmatch(text):
        time, date = date_formats(turned["time"]), _formats_of_date(turned["date"])
        return tuple(f"{time[0]} {each}" for each in date) if time else ()
    found = _WHOLE.fullmatch(text)
    if found is None or not (dates := _formats_of_date(found["date"])):
        return ()
    zone = _zone_format(found["zone"] or "")
    for pattern, time_format in _TIMES:
        if pattern.fullmatch(found["time"]):
            tail = f"{found['gap']}{_with_gap(time_format, found['time'])}{zone}"
            return tuple(f"{date}{tail}" for date in dates)
    return ()


def epoch_unit(text: str) -> str:
    """The unit of a moment since 1970 from 2001 on: `s`, `ms`, `us` or `ns`; empty for another number."""
    found = _EPOCH.fullmatch(text)
    return next((unit for digits, unit in _EPOCHS if found and len(found[1]) == digits), "")


def date_style(values: Sequence[str], *, day_first: str = "") -> DateStyle | None:
    """How the dates and times of a column are written; None if they are none.

    `day_first` says what else speaks for the day before the month (the language of the header, say), or is empty.
    """
    kept = list(dict.fromkeys(value for value in values if value))[:1_000]
    if not kept:
        return None
    units = {epoch_unit(value) for value in kept}
    if len(units) == 1 and "" not in units:
        unit = units.pop()
        return DateStyle(unit, f"{kept[0]} is a moment since 1970 in {unit}", has_time=True, has_zone=True)
    common = set(date_formats(kept[0]))
    for value in kept[1:]:
        common &= set(date_formats(value))
    if not common:
        return _mixed(kept)
    return _choose(kept, sorted(common), day_first)


def day_numbers(values: Sequence[str]) -> DateStyle | None:
    """The style of a spreadsheet's day numbers from 2000 to 2099 (46328.395 is a morning in November 2026); None for others."""
    kept = [value for value in values if value]
    if not kept or not all(_DAY_NUMBER.fullmatch(value) for value in kept):
        return None
    has_time = any("." in value for value in kept)
    return DateStyle(DAYS, "numbers of five digits under such a name", "days of a spreadsheet?", has_time=has_time)


def _mixed(kept: Sequence[str]) -> DateStyle | None:
    """The format of most values, where some have another one."""
    counts: dict[str, list[str]] = {}
    for value in kept:
        for each in date_formats(value):
            counts.setdefault(each, []).append(value)
    if not counts:
        return None
    best = max(counts, key=lambda each: len(counts[each]))
    if len(counts[best]) * 2 < len(kept):
        return None
    stray = next(value for value in kept if value not in counts[best])
    doubt = f"{stray} is written in another way than {counts[best][0]}"
    return _style(best, f"{len(counts[best])} of {len(kept)} values", doubt, ())


def _choose(kept: Sequence[str], formats: Sequence[str], day_first: str) -> DateStyle:
    """One of the formats that read every value."""
    if len(formats) == 1:
        only = formats[0]
        telling = next((value for value in kept if len(date_formats(value)) == 1), kept[0])
        return _style(only, f"{telling} can be read in no other way", "", ())
    days = [each for each in formats if each.startswith("%d")]
    likely, evidence = (days[0], day_first) if days and day_first else ("", "")
    if days and "." in re.sub(r"%S\.%f", "", days[0]):
        likely, evidence = days[0], "dates with full stops have the day first nearly everywhere"
    is_open = not likely
    if is_open:
        likely, evidence = _by_days(kept, formats)
    readings = [f"{dt.datetime.strptime(kept[0], each):%d %B %Y}" for each in formats]  # noqa: DTZ007 - only shown
    doubt = f"is {kept[0]} {' or '.join(readings)}? Every value of the sample fits both"
    if is_open and likely:
        doubt = f"{doubt}; {evidence} as {likely}"
    style = _style(likely or formats[0], evidence or "nothing tells", doubt, tuple(formats))
    return msgspec.structs.replace(style, open=is_open)


def _by_days(kept: Sequence[str], formats: Sequence[str]) -> tuple[str, str]:
    """The format whose days are no weekends, or lie closest together; empty if both do."""
    read = {each: [dt.datetime.strptime(value, each) for value in kept] for each in formats}  # noqa: DTZ007
    weekends = {each: sum(moment.weekday() > 4 for moment in moments) for each, moments in read.items()}
    clean = [each for each in formats if not weekends[each]]
    if len(clean) == 1:
        return clean[0], "no day is at a weekend"
    spans = {each: max(moments) - min(moments) for each, moments in read.items()}
    near = min(spans, key=lambda each: spans[each])
    if all(spans[near] < span for each, span in spans.items() if each != near):
        return near, f"the days lie closest together, {spans[near].days + 1} at most,"
    return "", ""


def _style(chosen: str, evidence: str, doubt: str, others: tuple[str, ...]) -> DateStyle:
    has_date, has_time = "%d" in chosen, "%M" in chosen
    has_zone = "%z" in chosen or "%Z" in chosen
    iso = re.fullmatch(r"%Y-%m-%d(?:[T ]%H:%M(?::%S(?:\.%f)?)?(?:%z)?)?", chosen)
    return DateStyle(ISO if iso else chosen, evidence, doubt, others, has_date, has_time, has_zone)


def _formats_of_date(text: str) -> list[str]:
    """The formats of a date alone that give a day that there is."""
    for pattern, order in _DATES:
        found = pattern.fullmatch(text)
        if found is None:
            continue
        match order:
            case "ymd":
                tries = [f"%Y{found[2]}%m{found[2]}%d"]
            case "dmy":
                year = "%Y" if len(found[4]) == 4 else "%y"
                tries = [f"%d{found[2]}%m{found[2]}{year}", f"%m{found[2]}%d{found[2]}{year}"]
            case "compact":
                tries = ["%Y%m%d"]
            case "named":
                year = "%Y" if len(found[5]) == 4 else "%y"
                tries = [f"%d{found[2]}{month}{found[4]}{year}" for month in ("%b", "%B")]
            case _:
                stop, comma = "." if "." in text else "", "," if "," in text else ""
                tries = [f"{month}{stop} %d{comma} %Y" for month in ("%b", "%B")]
        good = [each for each in tries if _fits(text, each)]
        return good[:1] if order in ("named", "american") else good
    return []


def _fits(text: str, date_format: str) -> bool:
    try:
        return 1980 <= dt.datetime.strptime(text, date_format).year < 2200  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return False


def _with_gap(time_format: str, text: str) -> str:
    return time_format.replace("{gap}", " " if " " in text else "")


def _zone_format(zone: str) -> str:
    """The format of a zone behind a time; `Z` and offsets are what `%z` reads."""
    gap = " " if zone.startswith(" ") else ""
    name = zone.strip()
    if not name:
        return ""
    return gap + ("%Z" if name in ("UTC", "GMT") else "%z")
