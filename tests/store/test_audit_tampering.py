"""`audit verify` finds any change of the trail, or of a row that it records.

Tampering happens inside a transaction that is rolled back afterwards, so that one recorded day serves for all of it.
"""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from riskengine.store.audit_chain import AuditEntry, Head, link
from tests.store.recorded_day import AUDIT, REFUSED, TABLES, Day

edits = settings(max_examples=100, deadline=None)


def another(draw: st.DrawFn, value: Any, *, odd: bool) -> Any:
    """A value that differs from this one by a little; `odd`: also of another type, as a SQLite file can hold."""
    if odd and draw(st.booleans()):
        return draw(st.sampled_from([None, b"x", "x", 0, 5, -1, 1.5, float("inf"), ""]))
    if isinstance(value, int):
        return value + draw(st.sampled_from([-1, 1, 2**20]))
    text = value or ""
    at = draw(st.integers(0, len(text)))
    change = draw(st.sampled_from(["insert", "drop", "change"]))
    letter = draw(st.sampled_from("0a1. \"'{}é"))
    return text[:at] + (letter if change != "drop" else "") + text[at + (change != "insert") :]


@given(data=st.data())
@edits
def test_any_edit_of_any_column_of_any_row_is_found(day: Day, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(TABLES)))
    column = data.draw(st.sampled_from(TABLES[table]))
    number = data.draw(st.sampled_from(day.column(table, TABLES[table][0])))
    draw = st.composite(lambda draw: another(draw, day.value(table, column, number), odd=not day.is_postgres))
    value = data.draw(draw())
    try:
        found = day.found(lambda: assume(day.put(table, column, number, value)))
    except REFUSED:
        assume(False)  # the database itself does not take it
    assert found


@given(data=st.data())
@edits
def test_any_row_that_is_removed_is_found(day: Day, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(TABLES)))
    key = TABLES[table][0]
    number = data.draw(st.sampled_from(day.column(table, key)))
    assert day.found(lambda: day.execute(f"DELETE FROM {table} WHERE {key} = ?", number))


@given(data=st.data())
@edits
def test_any_two_rows_that_change_places_are_found(day: Day, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(TABLES)))
    key, *columns = TABLES[table]
    numbers = data.draw(st.lists(st.sampled_from(day.column(table, key)), min_size=2, max_size=2, unique=True))

    def spoil() -> None:
        rows = [day.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {key} = ?", number)[0] for number in numbers]
        day.execute(f"DELETE FROM {table} WHERE {key} IN (?, ?)", *numbers)
        for number, row in zip(numbers, rows[::-1], strict=True):
            day.insert(table, (number, *row))

    assert day.found(spoil)


@given(data=st.data())
@edits
def test_any_entry_that_is_put_in_between_is_found(day: Day, data: st.DataObject) -> None:
    """Also an entry with sound hashes, inserted before others that move on by one."""
    entries = [AuditEntry._make(row) for row in day.execute(f"SELECT {', '.join(AUDIT)} FROM audit ORDER BY audit_seq")]
    at = data.draw(st.integers(0, len(entries) - 1))
    before = Head(entries[at - 1].audit_seq, entries[at - 1].hash) if at else Head(0, entries[0].previous_hash)
    forged = link(data.draw(st.sampled_from(entries))._replace(actor="nobody"), before)
    keep_hashes = data.draw(st.booleans())

    def spoil() -> None:
        day.execute("DELETE FROM audit WHERE audit_seq > ?", at)
        day.insert("audit", forged)
        last = Head(forged.audit_seq, forged.hash)
        for entry in entries[at:]:
            moved = link(entry, last)
            if keep_hashes:
                moved = moved._replace(previous_hash=entry.previous_hash, hash=entry.hash)
            day.insert("audit", moved)
            last = Head(moved.audit_seq, moved.hash)

    assert day.found(spoil)
