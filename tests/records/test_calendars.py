"""Entries of calendars: which columns go with which kind."""

import pytest

from riskengine.records.calendars import CalendarEntry, CalendarInput, check_calendar
from riskengine.records.fields import Rejected


def check(**columns: str) -> CalendarEntry:
    return check_calendar(CalendarInput(**{"calendar": "XNYS", "kind": "holiday"} | columns))


def test_an_entry_is_what_its_row_says() -> None:
    assert check(date="2026-07-03", comment="eve") == CalendarEntry(
        calendar="XNYS", kind="holiday", date="2026-07-03", comment="eve"
    )
    session = check(kind="session", open="09:30", close="16:00", zone="America/New_York")
    assert (session.open, session.close, session.zone, session.date) == ("09:30", "16:00", "America/New_York", "")


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"kind": "closed", "date": "2026-07-03"}, "kind"),
        ({}, "date"),
        ({"date": "3 July"}, "date"),
        ({"calendar": "", "date": "2026-07-03"}, "calendar"),
        ({"date": "2026-07-03", "close": "13:00"}, "close"),
        ({"date": "2026-07-03", "open": "09:00"}, "open"),
        ({"date": "2026-07-03", "zone": "UTC"}, "zone"),
        ({"kind": "early_close", "date": "2026-07-03"}, "close"),
        ({"kind": "early_close", "date": "2026-07-03", "close": "1 pm"}, "close"),
        ({"kind": "early_close", "date": "2026-07-03", "close": "24:00"}, "close"),
        ({"kind": "session", "open": "09:00", "close": "17:00"}, "zone"),
        ({"kind": "session", "open": "09:00", "close": "17:00", "zone": "Mars/Base"}, "zone"),
        ({"kind": "session", "close": "17:00", "zone": "UTC"}, "open"),
        ({"calendar": "ENGINE", "kind": "early_close", "date": "2026-07-03", "close": "13:00"}, "kind"),
    ],
)
def test_a_column_that_does_not_fit_is_refused_by_name(columns: dict[str, str], field: str) -> None:
    with pytest.raises(Rejected) as refused:
        check(**columns)
    assert refused.value.field == field


def test_an_entry_replaces_another_of_its_calendar_and_date() -> None:
    assert check(date="2026-07-03").key == check(kind="business", date="2026-07-03").key
    assert check(kind="session", date="2026-07-03", open="09:00", close="17:00", zone="UTC").key != check(date="2026-07-03").key
