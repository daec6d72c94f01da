"""Foreign times: exact to the microsecond, right when clocks change, and equal with and without the cache of minutes."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.errors import InputError
from riskengine.files.records import ColumnOptions, parse_time
from riskengine.records.fields import Rejected, micros, timestamp

ISO = "%Y-%m-%d %H:%M:%S.%f"
NEW_YORK = "America/New_York"


def utc(*fields: int) -> int:
    return micros(dt.datetime(*fields, tzinfo=dt.UTC))  # type: ignore[arg-type, misc]


def parsed(text: str | int, time_format: str | None = None, tz: str | None = None) -> int:
    return parse_time(text, ColumnOptions(time_format=time_format, tz=tz))


def reason(text: str | int, time_format: str | None = None, tz: str | None = None) -> str:
    with pytest.raises(Rejected) as caught:
        parsed(text, time_format, tz)
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
        ("2016-01-04 18:00:40.42", ISO, None, utc(2016, 1, 4, 18, 0, 40, 420_000)),
        ("2016-01-04 18:00:40.000001", ISO, None, utc(2016, 1, 4, 18, 0, 40, 1)),
        ("01/06/2020 17:00:00.066", "%m/%d/%Y %H:%M:%S.%f", NEW_YORK, utc(2020, 1, 6, 22, 0, 0, 66_000)),
        ("20160104 180040", "%Y%m%d %H%M%S", None, utc(2016, 1, 4, 18, 0, 40)),
        ("4.1.2016 6:00:40 PM", "%d.%m.%Y %I:%M:%S %p", None, utc(2016, 1, 4, 18, 0, 40)),
        ("2016-01-04 18:00:40 +0100", "%Y-%m-%d %H:%M:%S %z", NEW_YORK, utc(2016, 1, 4, 17, 0, 40)),
        (20160104180040, "%Y%m%d%H%M%S", None, utc(2016, 1, 4, 18, 0, 40)),
        ("2016-01-04", "%Y-%m-%d", NEW_YORK, utc(2016, 1, 4, 5)),
        ("1451930440", "s", None, utc(2016, 1, 4, 18, 0, 40)),
        ("1451930440.42", "s", None, utc(2016, 1, 4, 18, 0, 40, 420_000)),
        ("1451930440420", "ms", NEW_YORK, utc(2016, 1, 4, 18, 0, 40, 420_000)),
        (1451930440420, "ms", None, utc(2016, 1, 4, 18, 0, 40, 420_000)),
        ("1451930440420001", "us", None, utc(2016, 1, 4, 18, 0, 40, 420_001)),
        ("1451930440420001999", "ns", None, utc(2016, 1, 4, 18, 0, 40, 420_001)),
        ("42.4312", "ms@2014-05-08", None, utc(2014, 5, 8, 0, 0, 0, 42_431)),
        ("17007", "ms@2014-05-08", "Etc/GMT+5", utc(2014, 5, 8, 5, 0, 17, 7_000)),
    ],
)
def test_every_way_to_write_a_time(text, time_format, tz, expected):
    for _ in range(2):  # the second time its minute is known
        assert parsed(text, time_format, tz) == expected


def test_both_changes_of_the_clock_are_exact():
    """New York left summer time on 2020-11-01 at 06:00 UTC and entered it on 2020-03-08 at 07:00 UTC."""
    texts = {
        "2020-11-01 00:59:59.999": utc(2020, 11, 1, 4, 59, 59, 999_000),
        "2020-11-01 01:30:00.000": utc(2020, 11, 1, 5, 30),  # happens twice: the first
        "2020-11-01 01:59:59.999": utc(2020, 11, 1, 5, 59, 59, 999_000),
        "2020-11-01 02:00:00.000": utc(2020, 11, 1, 7),
        "2020-03-08 01:59:59.999": utc(2020, 3, 8, 6, 59, 59, 999_000),
        "2020-03-08 02:30:00.000": utc(2020, 3, 8, 7, 30),  # never happens: the offset before
        "2020-03-08 03:00:00.000": utc(2020, 3, 8, 7),
    }
    for _ in range(2):
        for text, expected in texts.items():
            assert parsed(text, ISO, NEW_YORK) == parsed(text, None, NEW_YORK) == expected


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
    parsed(text[:-1] + "0", time_format, tz)  # the minute is known now
    assert parsed(text, time_format, tz) == expected
    assert parsed(str(moment), None, tz) == expected


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
    parsed("2016-01-04 18:00:41.000", ISO)
    assert reason(text, ISO).startswith("is not a time in the given format: ")
    assert len(reason(text, ISO)) < 120


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
