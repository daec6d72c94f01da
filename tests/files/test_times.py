"""Foreign times: exact to the microsecond, right when clocks change, and equal with and without the cache of minutes."""

import datetime as dt
import re
import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from riskengine.errors import InputError
from riskengine.files.records import ColumnOptions, parse_time
from riskengine.files.times import REPEATED_HOURS, RepeatedHour, date_parser, needs_zone, time_parser, zone
from riskengine.records.fields import Rejected, micros, timestamp

ISO = "%Y-%m-%d %H:%M:%S.%f"
NEW_YORK = "America/New_York"


def utc(*fields: int) -> int:
    return micros(dt.datetime(*fields, tzinfo=dt.UTC))  # type: ignore[arg-type, misc]


def parsed(text: str | int, time_format: str | None = None, tz: str | None = None, hour: RepeatedHour | None = None) -> int:
    return parse_time(text, ColumnOptions(time_format=time_format, tz=tz, repeated_hour=hour))


def reason(text: str | int, time_format: str | None = None, tz: str | None = None, hour: RepeatedHour | None = None) -> str:
    with pytest.raises(Rejected) as caught:
        parsed(text, time_format, tz, hour)
    assert caught.value.field == "ts"
    return caught.value.reason


def test_without_options_a_time_is_what_it_is_everywhere_else():
    assert parsed("2016-01-04T18:00:40.420Z") == parsed(1451930440420000) == utc(2016, 1, 4, 18, 0, 40, 420_000)
    assert "no offset" in reason("2016-01-04 18:00:40.420")


@pytest.mark.parametrize(
    ("text", "time_format", "tz", "expected"),
    [
        ("2016-01-04 18:00:40.420", None, "UTC", utc(2016, 1, 4, 18, 0, 40, 420_000)),
        ("2016-01-04T18:00:40", None, NEW_YORK, utc(2016, 1, 4, 23, 0, 40)),
        ("2016-01-04 18:00:40.420+01:00", None, NEW_YORK, utc(2016, 1, 4, 17, 0, 40, 420_000)),
        ("1451930440420000", None, NEW_YORK, 1451930440420000),
        (1451930440420000, None, NEW_YORK, 1451930440420000),
        ("2016-01-04 18:00:40.42", ISO, "UTC", utc(2016, 1, 4, 18, 0, 40, 420_000)),
        ("2016-01-04 18:00:40.000001", ISO, "UTC", utc(2016, 1, 4, 18, 0, 40, 1)),
        ("01/06/2020 17:00:00.066", "%m/%d/%Y %H:%M:%S.%f", NEW_YORK, utc(2020, 1, 6, 22, 0, 0, 66_000)),
        ("20160104 180040", "%Y%m%d %H%M%S", "UTC", utc(2016, 1, 4, 18, 0, 40)),
        ("4.1.2016 6:00:40 PM", "%d.%m.%Y %I:%M:%S %p", "UTC", utc(2016, 1, 4, 18, 0, 40)),
        ("2016-01-04 18:00:40 +0100", "%Y-%m-%d %H:%M:%S %z", NEW_YORK, utc(2016, 1, 4, 17, 0, 40)),
        (20160104180040, "%Y%m%d%H%M%S", "UTC", utc(2016, 1, 4, 18, 0, 40)),
        ("2016-01-04", "%Y-%m-%d", NEW_YORK, utc(2016, 1, 4, 5)),
        ("1451930440", "s", None, utc(2016, 1, 4, 18, 0, 40)),
        ("1451930440.42", "s", None, utc(2016, 1, 4, 18, 0, 40, 420_000)),
        ("1451930440420", "ms", NEW_YORK, utc(2016, 1, 4, 18, 0, 40, 420_000)),
        (1451930440420, "ms", None, utc(2016, 1, 4, 18, 0, 40, 420_000)),
        ("1451930440420001", "us", None, utc(2016, 1, 4, 18, 0, 40, 420_001)),
        ("1451930440420001999", "ns", None, utc(2016, 1, 4, 18, 0, 40, 420_001)),
        ("42.4312", "ms@2014-05-08", "UTC", utc(2014, 5, 8, 0, 0, 0, 42_431)),
        ("17007", "ms@2014-05-08", "Etc/GMT+5", utc(2014, 5, 8, 5, 0, 17, 7_000)),
    ],
)
def test_every_way_to_write_a_time(text, time_format, tz, expected):
    for _ in range(2):  # the second time its minute is known
        assert parsed(text, time_format, tz) == expected


def test_a_time_without_a_zone_is_refused_with_the_option_that_names_one():
    assert "no offset" in reason("2016-01-04 18:00:40")
    assert reason("2016-01-04 18:00:40").endswith("--tz names its zone")


@pytest.mark.parametrize("time_format", [ISO, "%d/%m/%Y %H:%M", "%d.%m.%Y", "days", "ms@2014-05-08", "%d/%m/%Y %%z %%Z"])
def test_a_format_of_local_times_without_a_zone_is_an_error_of_the_command(time_format):
    with pytest.raises(InputError, match="no zone: --tz names it"):
        parsed("20/07/2026 15:04", time_format)


@pytest.mark.parametrize("word", ["UTC", "GMT", "Z"])
@pytest.mark.parametrize("tz", [None, NEW_YORK])
def test_a_zone_word_that_says_utc_is_believed(word, tz):
    assert parsed(f"2026-07-08 10:00:00 {word}", "%Y-%m-%d %H:%M:%S %Z", tz) == utc(2026, 7, 8, 10)


@pytest.mark.parametrize("word", ["EDT", "EST", "CET", "BST", "", "UTC+1", "ZZ"])
@pytest.mark.parametrize("machine", ["America/New_York", "Europe/Berlin"])
def test_other_zone_words_are_refused_on_every_machine(word, machine, monkeypatch):
    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        assert "not a time" in reason(f"2026-07-08 10:00:00 {word}", "%Y-%m-%d %H:%M:%S %Z", NEW_YORK)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_offset_that_contradicts_its_zone_word_is_refused():
    both = "%Y-%m-%d %H:%M %z %Z"
    assert parsed("2026-07-08 10:00 +0000 UTC", both) == utc(2026, 7, 8, 10)
    assert "not a time" in reason("2026-07-08 10:00 +0200 UTC", both)


@pytest.mark.parametrize(
    ("text", "time_format", "tz", "expected"),
    [
        ("45678.5", "days", "UTC", utc(2025, 1, 21, 12)),
        ("45678.5", "days", NEW_YORK, utc(2025, 1, 21, 17)),
        (45678, "days", "UTC", utc(2025, 1, 21)),
        ("45678.627835648148", "days", "UTC", utc(2025, 1, 21, 15, 4, 5)),
        ("44216.5", "days@1904-01-01", "UTC", utc(2025, 1, 21, 12)),
    ],
)
def test_the_day_numbers_of_a_spreadsheet_are_times(text, time_format, tz, expected):
    assert parsed(text, time_format, tz) == expected


@given(st.integers(utc(1980, 1, 2), utc(2100, 1, 1)).map(lambda ts: ts // 1_000 * 1_000))
def test_a_millisecond_survives_the_double_of_a_spreadsheet(ts):
    number = (ts - utc(1899, 12, 30)) / 86_400_000_000
    assert parsed(repr(number), "days", "UTC") == ts


@pytest.mark.parametrize("text", ["x", "", "1e9", "-5", "45678.5.5", "NaN"])
def test_what_is_no_day_number_is_refused(text):
    reason(text, "days", "UTC")


NOT_THERE = "2020-03-08 02:30:00.000"
TWICE = "2020-11-01 01:30:00.000"


def test_both_changes_of_the_clock_are_exact():
    """New York left summer time on 2020-11-01 at 06:00 UTC and entered it on 2020-03-08 at 07:00 UTC."""
    texts = {
        "2020-11-01 00:59:59.999": utc(2020, 11, 1, 4, 59, 59, 999_000),
        "2020-11-01 02:00:00.000": utc(2020, 11, 1, 7),
        "2020-03-08 01:59:59.999": utc(2020, 3, 8, 6, 59, 59, 999_000),
        "2020-03-08 03:00:00.000": utc(2020, 3, 8, 7),
    }
    for _ in range(2):
        for text, expected in texts.items():
            assert parsed(text, ISO, NEW_YORK) == parsed(text, None, NEW_YORK) == expected


@pytest.mark.parametrize("hour", [None, *REPEATED_HOURS])
@pytest.mark.parametrize(("text", "time_format"), [(NOT_THERE, ISO), (NOT_THERE, None), ("43898.104166666664", "days")])
def test_a_local_time_that_does_not_exist_is_refused(text, time_format, hour):
    assert "does not exist in America/New_York" in reason(text, time_format, NEW_YORK, hour)


@pytest.mark.parametrize(("text", "time_format"), [(TWICE, ISO), (TWICE, None), ("44136.0625", "days")])
def test_a_local_time_that_occurs_twice_needs_a_word(text, time_format):
    assert "--repeated-hour" in reason(text, time_format, NEW_YORK)
    assert parsed(text, time_format, NEW_YORK, "first") == utc(2020, 11, 1, 5, 30)
    assert parsed(text, time_format, NEW_YORK, "second") == utc(2020, 11, 1, 6, 30)


def test_a_repeated_minute_is_the_same_when_it_is_known():
    for _ in range(2):
        assert parsed("2020-11-01 01:30:59.5", ISO, NEW_YORK, "second") == utc(2020, 11, 1, 6, 30, 59, 500_000)


@pytest.mark.parametrize("minute", ["2020-11-01T01:30", "2020-03-08T02:30"])
def test_a_time_with_an_offset_is_taken_whatever_the_clock_of_the_zone_shows_then(minute):
    for hour in (None, *REPEATED_HOURS):
        assert parsed(f"{minute}:00Z", None, NEW_YORK, hour) == timestamp(f"{minute}:00Z", "ts")


def test_in_order_a_file_goes_through_the_repeated_hour_twice():
    parse = time_parser(NEW_YORK, None, "in-order")
    clock = ["00:59", "01:00", "01:59", "01:00", "01:30", "01:59", "02:00"]
    found = [parse(f"2020-11-01 {each}:00", "ts") for each in clock]
    assert found == [utc(2020, 11, 1, 4, 59)] + [
        utc(2020, 11, 1, hour, minute) for hour, minute in [(5, 0), (5, 59), (6, 0), (6, 30), (6, 59), (7, 0)]
    ]


def test_in_order_a_file_that_goes_back_in_either_reading_is_not_guessed_at():
    parse = time_parser(NEW_YORK, None, "in-order")
    for text in ("2020-11-01 01:30:00", "2020-11-01 01:10:00"):
        parse(text, "ts")
    with pytest.raises(Rejected, match="goes back from the line before in either reading"):
        parse("2020-11-01 01:05:00", "ts")


def test_in_order_each_file_is_read_on_its_own():
    for _ in range(2):
        assert time_parser(NEW_YORK, None, "in-order")(TWICE, "ts") == utc(2020, 11, 1, 5, 30)


@pytest.mark.parametrize(
    ("text", "date_format", "expected"),
    [("20/07/2026", "%d/%m/%Y", "2026-07-20"), ("46223", "days", "2026-07-20"), ("46223.0", "days", "2026-07-20")],
)
def test_dates_in_the_files_own_format(text, date_format, expected):
    parse = date_parser(date_format)
    assert parse is not None
    assert parse(text, "value_date") == expected


@pytest.mark.parametrize(
    ("text", "date_format"), [("2026-07-20", "%d/%m/%Y"), ("46223.5", "days"), ("x", "days"), ("1e14", "days")]
)
def test_a_date_of_another_format_is_refused_by_its_field(text, date_format):
    parse = date_parser(date_format)
    assert parse is not None
    with pytest.raises(Rejected) as caught:
        parse(text, "value_date")
    assert caught.value.field == "value_date"


def test_a_format_that_gives_no_date_is_an_error_of_the_command():
    for date_format in ("%H:%M", "ms", "", "days@2014-02-30"):
        with pytest.raises(InputError, match="bad"):
            date_parser(date_format)


_ZONES = ["UTC", NEW_YORK, "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Monrovia"]


@given(
    st.integers(utc(1980, 1, 2), utc(2199, 12, 30)),
    st.sampled_from(_ZONES),
    st.sampled_from([ISO, "%d/%m/%Y %H:%M:%S.%f", "%d/%m/%Y %H:%M:%S"]),
)
def test_a_remembered_minute_gives_what_the_library_gives(ts, tz, time_format):
    moment = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=ts)).replace(tzinfo=None)
    if "%f" not in time_format:
        moment = moment.replace(microsecond=0)
    text = moment.strftime(time_format)
    expected = micros(moment.replace(tzinfo=ZoneInfo(tz)))
    assume(micros(moment.replace(tzinfo=ZoneInfo(tz), fold=1)) >= expected)  # else this time does not exist
    parsed(text[:-1] + "0", time_format, tz, "first")  # the minute is known now
    assert parsed(text, time_format, tz, "first") == expected
    assert parsed(str(moment), None, tz, "first") == expected


@pytest.mark.parametrize(
    "text",
    [
        "2016-01-04 18:00:4",
        "2016-01-04 18:00:60.5",
        "2016-01-04 18:00:40.",
        "2016-01-04 18:00:40.1234567",
        "2016-01-04 18:00:4\u0662.420",
        "2016-01-04 18:00:40",
        "2016-01-04 18:00:-1.5",
        "2016-01-04 18:00:",
        ":",
        "noon",
        "2016-01-04\ud80018:00:40.420",
        "2016-01-04 18:00:40.420 ",
        "x" * 10_240,
    ],
)
def test_what_does_not_fit_is_refused_also_in_a_known_minute(text):
    parsed("2016-01-04 18:00:41.000", ISO, "UTC")
    assert reason(text, ISO, "UTC").startswith("is not a time in the given format: ")
    assert len(reason(text, ISO, "UTC")) < 120


@pytest.mark.parametrize("time_format", [None, ISO, "ms"])
def test_a_time_must_be_there(time_format):
    assert reason("", time_format, "UTC") == "is missing"


@pytest.mark.parametrize(
    ("text", "time_format"),
    [
        ("1900-01-01 00:00:00.000", ISO),
        ("2300-01-01 00:00:00.000", ISO),
        ("1451930440420", "s"),
        ("1", "ns"),
        ("0001-01-01 00:00:00.000", ISO),
        ("9999-12-31 23:59:59.999", ISO),
    ],
)
def test_a_time_of_another_age_is_refused(text, time_format):
    assert "out of range" in reason(text, time_format, NEW_YORK)
    assert "out of range" in reason(text, time_format, NEW_YORK)


@pytest.mark.parametrize(("text", "field_reason"), [("NaN", "finite"), ("1e400", "larger"), ("x", "not a number")])
def test_an_epoch_that_is_no_number_is_refused(text, field_reason):
    assert field_reason in reason(text, "ms")


@pytest.mark.parametrize("tz", ["Mars/Base", "", "America", "../../etc/passwd", "\ud800", "x" * 5_000])
def test_an_unknown_zone_is_an_error_of_the_command(tz):
    with pytest.raises(InputError, match="unknown time zone"):
        parsed("2016-01-04 18:00:40.420", ISO, tz)


@pytest.mark.parametrize("time_format", ["", "%H:%M", "%Y-%m", "%Q", "%", "ms@2014-02-30", "min", "yyyy-MM-dd"])
def test_a_useless_format_is_an_error_of_the_command(time_format):
    with pytest.raises(InputError, match="bad time format"):
        parsed("2016-01-04 18:00:40.420", time_format)


def test_a_plain_time_is_the_one_of_messages():
    assert parsed("2016-01-04T18:00:40Z") == timestamp("2016-01-04T18:00:40Z", "ts")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("Europe/Berlino", "did you mean Europe/Berlin?"),
        ("Europe/Roma", "did you mean Europe/Rome?"),
        ("Mars/Olympus", "a name like America/New_York"),
        ("BST", "a name like America/New_York"),
    ],
)
def test_an_unknown_zone_is_told_with_the_near_one(sent, said):
    with pytest.raises(InputError, match=re.escape(said)):
        zone(sent)


@pytest.mark.parametrize(
    ("form", "needed"),
    [(None, False), ("ms", False), ("days", True), ("ms@2026-03-02", True), ("%d.%m.%Y", True), ("%d.%m.%Y%z", False)],
)
def test_a_format_tells_whether_its_times_need_a_zone(form, needed):
    assert needs_zone(form) is needed
