"""Loaded calendars and stored spot dates, the same on both databases."""

from msgspec import structs

from riskengine.records.calendars import CalendarEntry, SpotFact
from riskengine.records.types import Trade
from riskengine.store.audit_chain import AuditFilter
from riskengine.store.protocol import Store
from tests.store_book import TS, Outside, trade

JULY = CalendarEntry(calendar="EUR", kind="holiday", date="2026-07-14", comment="Bastille Day")
HOURS = CalendarEntry(calendar="XSTO", kind="session", open="09:00", close="17:30", zone="Europe/Stockholm")
FACT = SpotFact("EUR", "USD", "2026-09-21", 0, "2026-09-23")


def test_entries_are_inserted_again_and_replaced(store: Store) -> None:
    assert store.save_calendars([JULY, HOURS])[:3] == (2, 0, 0)
    assert store.save_calendars([JULY, HOURS])[:3] == (0, 0, 2)
    taken_back = CalendarEntry(calendar="EUR", kind="business", date="2026-07-14")
    assert store.save_calendars([taken_back, HOURS])[:3] == (0, 1, 1)
    assert store.calendar_state().entries == (taken_back, HOURS)


def test_of_two_lines_about_a_date_in_one_file_the_last_stands(store: Store) -> None:
    other = CalendarEntry(calendar="EUR", kind="business", date="2026-07-14")
    assert store.save_calendars([JULY, other])[:3] == (1, 1, 0)
    assert store.calendar_state().entries == (other,)


def test_every_change_is_in_the_audit_trail_and_an_edit_past_it_is_found(store: Store, outside: Outside) -> None:
    store.save_calendars([JULY, HOURS])
    [entry] = store.audit_entries(AuditFilter(kind="calendars"))
    assert "2026-07-14" in entry.detail and "Europe/Stockholm" in entry.detail
    assert store.verify_audit(None).findings == []
    outside.execute("UPDATE calendars SET kind = 'business' WHERE calendar = 'EUR'")
    [finding] = store.verify_audit(None).findings
    assert "calendars" in str(finding) and "was edited since" in str(finding)


def test_the_first_word_about_a_spot_date_stands(store: Store) -> None:
    assert store.save_spot_facts([FACT]) == [FACT]
    other = SpotFact("EUR", "USD", "2026-09-21", 0, "2026-09-24")
    later = SpotFact("EUR", "USD", "2026-09-21", TS, "2026-09-24")
    assert store.save_spot_facts([other, later], "calendars of today") == [FACT, later]
    state = store.calendar_state()
    assert (state.facts, state.compared_with, state.exact_since) == ((FACT, later), "calendars of today", 0)
    again = SpotFact("EUR", "USD", "2026-09-21", TS + 1, "2026-09-24")
    assert store.save_spot_facts([again]) == [FACT, later], "another program has said so before"
    store.save_spot_facts([FACT])
    assert store.calendar_state().compared_with == "calendars of today"


def test_the_newest_trade_with_a_value_date_is_known(store: Store) -> None:
    def received(name: str, ts: int, value_date: str) -> Trade:
        return structs.replace(trade(name, value_date=value_date), received_ts=ts)

    assert store.newest_with_value_date() == 0
    store.append_trades([received("1", TS, ""), received("2", TS - 5, "2026-09-23"), received("3", TS - 9, "2026-09-23")])
    assert store.newest_with_value_date() == TS - 5
