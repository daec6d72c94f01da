"""What other programs change beside a writer is noticed, and the writer's own marks are not taken for theirs."""

import time

import pytest

from riskengine.records.actions import Action
from riskengine.records.calendars import CalendarEntry
from riskengine.records.limits import Limit
from riskengine.records.option_inputs import CutSpot, DatedInput, OptionInput, PushedGreeks, RateRow, SurfaceRow, Vol
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import Close, StoredMark, Verdict
from riskengine.store.protocol import Store
from riskengine.store.results import CHANGED_KINDS
from riskengine.store.tables.option_inputs import TABLES
from tests.store_book import TS, Outside, new_store, trade

MARK = StoredMark("EURUSD", TS, 1.25, "feed")
A_SHIFT = ScenarioShift(scenario="s", factor="spot", instrument="EURUSD", relative=-0.1)
A_LIMIT = Limit(limit_id="L1", version=1, measure="vega", node="FX1", side="above", limit=5.0)
SQL_MARK = "INSERT INTO marks (instrument, ts, price, source, kind) VALUES ('BTCUSD', 5, 7.0, 'sheet', 'quote')"


@pytest.fixture
def writer(store: Store) -> Store:
    store.acquire_writer("a test")
    store.next_epoch()
    return store


def test_at_first_everything_counts_as_changed_and_then_nothing_until_something_is(writer: Store) -> None:
    kinds, seen = writer.changes_beyond(None)
    assert kinds == CHANGED_KINDS
    kinds, seen = writer.changes_beyond(seen)
    assert kinds == frozenset()


@pytest.mark.parametrize("how", ["load", "sql"])
def test_each_kind_is_noticed_once(writer: Store, store_url: str, outside: Outside, how: str) -> None:
    other = new_store(store_url)
    other.append_trades([trade("1")])
    _, seen = writer.changes_beyond(None)
    writes = {
        "actions": (
            lambda: other.save_actions([Action(action_id="a")]),
            "INSERT INTO actions (action_id, kind) VALUES ('a', 'cancel')",
        ),
        "closes": (
            lambda: other.save_closes([Close("2026-09-20", "EURUSD", 1.1)]),
            "INSERT INTO closes (date, instrument, price) VALUES ('2026-09-20', 'EURUSD', 1.1)",
        ),
        "scenario_shifts": (
            lambda: other.save_scenario_shifts([A_SHIFT]),
            "INSERT INTO scenario_shifts (scenario, factor, everything, relative) VALUES ('s', 'spot', 1, -0.2)",
        ),
        "calendars": (
            lambda: other.save_calendars([CalendarEntry(calendar="EUR", kind="holiday", date="2026-07-14")]),
            "INSERT INTO calendars (calendar, entry, date, kind) VALUES ('EUR', 'day', '2026-07-14', 'holiday')",
        ),
        "marks": (lambda: other.save_marks([MARK]), SQL_MARK),
        "conflicts": (
            lambda: other.append_trades([trade("1", price="3")]),
            "INSERT INTO conflicts (source, trade_id, leg, version, action, source_seq, instrument, desk, dealer, side, fees,"
            " fees_currency, value_date, trade_date, received_ts) VALUES ('api', '1', 0, 1, 'cancel', 0, '', '', '', '', '0', '',"
            " '', '', 1)",
        ),
        "verdicts": (
            lambda: other.save_verdict(Verdict("late:x", "accept", "", "ann", TS)),
            "INSERT INTO verdicts (id, verdict, ts) VALUES ('late:x', 'accept', 5)",
        ),
        "risk_rules": (
            lambda: other.save_risk_rules("limit", [A_LIMIT]),
            "INSERT INTO risk_rules (kind, rule_id, terms) VALUES ('limit', 'L2', '{}')",
        ),
    }
    for kind, (loaded, statement) in writes.items():
        if how == "load":
            loaded()
        else:
            outside.execute(statement)
        kinds, seen = writer.changes_beyond(seen)
        assert kinds == {kind}
    assert writer.changes_beyond(seen)[0] == frozenset()
    other.close()


def test_what_is_deleted_or_set_back_is_noticed_too(writer: Store, outside: Outside) -> None:
    writer.append_trades([trade("1"), trade("1", price="3")])
    writer.save_marks([MARK])
    writer.save_closes([Close("2026-09-20", "EURUSD", 1.1)])
    writer.save_scenario_shifts([A_SHIFT])
    writer.save_calendars([CalendarEntry(calendar="EUR", kind="holiday", date="2026-07-14")])
    writer.save_verdict(Verdict("late:x", "accept", "", "ann", TS))
    writer.save_actions([Action(action_id="a")])
    writer.save_risk_rules("limit", [A_LIMIT])
    _, seen = writer.changes_beyond(None)
    outside.execute("UPDATE marks SET ts = ts - 1")
    kinds, seen = writer.changes_beyond(seen)
    assert kinds == {"marks"}
    greeks = PushedGreeks("EURUSD", TS, 1.1, 0.1, 0.02, 0.5, 3.0, 0.002, -0.001)
    inputs_of_each: list[OptionInput] = [
        Vol("EURUSD", TS, 0.1),
        SurfaceRow("EURUSD", "2027-06-18", TS, 0.1),
        greeks,
        CutSpot("EURUSD", TS, 1.1),
    ]
    writer.save_option_inputs([DatedInput("2026-11-20", row) for row in inputs_of_each])
    writer.save_option_inputs([DatedInput("2026-11-20", RateRow("USD", "rate", "2027-06-18", TS, 0.04))])
    _, seen = writer.changes_beyond(seen)
    inputs = dict.fromkeys(TABLES, "option_inputs")
    others = CHANGED_KINDS - {"cash", "carry", "cash_gone", "carry_gone", "option_inputs"}
    for table, kind in ({kind: kind for kind in others} | inputs).items():
        outside.execute(f"DELETE FROM {table}")
        kinds, seen = writer.changes_beyond(seen)
        assert kinds == {kind}


def test_an_open_transaction_elsewhere_is_noticed_when_it_commits_and_keeps_nobody_waiting(
    writer: Store, store_url: str, outside: Outside
) -> None:
    _, seen = writer.changes_beyond(None)
    if not outside.is_postgres:
        pytest.skip("SQLite has one writer at a time")
    outside.execute("BEGIN")
    outside.execute("INSERT INTO closes (date, instrument, price) VALUES ('2026-09-20', 'EURUSD', 1.1)")
    second = new_store(store_url)
    second.save_closes([Close("2026-09-20", "BTCUSD", 2.0)])
    second.close()
    kinds, seen = writer.changes_beyond(seen)
    assert kinds == {"closes"}
    assert writer.changes_beyond(seen)[0] == frozenset()
    outside.execute("COMMIT")
    assert writer.changes_beyond(seen)[0] == {"closes"}


def test_marks_that_the_writer_saves_are_its_own(writer: Store) -> None:
    _, seen = writer.changes_beyond(None)
    for at in range(3):
        writer.save_marks([StoredMark("EURUSD", TS + at, 1.25 + at, "feed")])
    assert writer.changes_beyond(seen)[0] == frozenset()
    assert writer.marks_of_others() == []


def test_a_mark_belongs_to_who_wrote_it_last(writer: Store, outside: Outside) -> None:
    writer.save_marks([MARK])
    _, seen = writer.changes_beyond(None)
    outside.execute("UPDATE marks SET price = 1.5 WHERE instrument = 'EURUSD'")
    kinds, seen = writer.changes_beyond(seen)
    assert kinds == {"marks"}
    assert writer.marks_of_others() == [StoredMark("EURUSD", TS, 1.5, "feed")]
    outside.execute("UPDATE marks SET price = 1.75 WHERE instrument = 'EURUSD'")
    assert writer.changes_beyond(seen)[0] == {"marks"}
    _, seen = writer.changes_beyond(seen)
    writer.save_marks([StoredMark("EURUSD", TS + 1, 1.25, "feed")])
    assert (writer.changes_beyond(seen)[0], writer.marks_of_others()) == (frozenset(), [])


def test_a_mark_that_is_in_force_already_is_not_written_again(writer: Store, outside: Outside) -> None:
    outside.execute(SQL_MARK)
    [taken] = writer.marks_of_others()
    assert writer.save_marks([taken]).duplicate == 1
    assert writer.marks_of_others() == [taken]


def test_conflicts_are_read_by_their_numbers(writer: Store) -> None:
    writer.append_trades([trade("1")])
    for price in ("3", "4", "5"):
        writer.append_trades([trade("1", price=price)])
    newest, middle, _ = writer.conflict_ids(10)
    assert writer.conflict_ids(1) == [newest]
    assert [each.row.price for each in writer.conflicts_numbered([newest, middle, 99])] == ["4", "5"]


def test_a_start_forgets_what_earlier_engines_have_seen(store: Store, outside: Outside) -> None:
    if not outside.is_postgres:
        pytest.skip("SQLite counts")
    for number in range(3):
        store.save_verdict(Verdict(f"late:{number}", "accept", "", "ann", TS))
    store.acquire_writer("a test")
    deadline = time.monotonic() + 20  # other tests' transactions, older than these verdicts, hold them back
    while outside.execute("SELECT count(*) FROM changes") != [(0,)]:
        assert time.monotonic() < deadline
        store.next_epoch()


def test_who_may_write_closes_needs_no_right_to_what_notes_them(store: Store, outside: Outside) -> None:
    if not outside.is_postgres:
        pytest.skip("a file has one owner")
    [(schema,)] = outside.execute("SELECT current_schema()")
    user = f"{schema}_pricing"
    outside.execute(f"CREATE ROLE {user}")
    try:
        outside.execute(f"GRANT USAGE ON SCHEMA {schema} TO {user}")
        outside.execute(f"GRANT SELECT, INSERT ON closes, instruments TO {user}")
        _, seen = store.changes_beyond(None)
        outside.execute(f"SET ROLE {user}")
        outside.execute("INSERT INTO closes (date, instrument, price) VALUES ('2026-09-20', 'EURUSD', 1.1)")
        outside.execute("RESET ROLE")
        assert store.changes_beyond(seen)[0] == {"closes"}
    finally:
        outside.execute("RESET ROLE")
        outside.execute(f"DROP OWNED BY {user}")
        outside.execute(f"DROP ROLE {user}")
