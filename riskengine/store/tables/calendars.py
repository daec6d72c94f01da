"""The tables `calendars` and `spot_dates`: loaded calendars, and the spot dates that judge value dates.

Inside the caller's transaction.
"""

from collections.abc import Iterable, Sequence

from riskengine.records.calendars import SESSION, CalendarEntry, CalendarState, SpotFact
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import Saved
from riskengine.store.tables.reference import CALENDAR_FIELDS, compare, get_meta, set_meta

EXACT_SINCE_KEY = "exact_spot_since"
"""Where `meta` keeps from which `received_ts` on spot dates are exact; a store that is younger than the rule has no such row."""


COMPARED_KEY = "spot_dates_compared_with"
"""Where `meta` keeps with which calendars the spot dates were compared last."""


def calendars(transaction: Transaction) -> list[CalendarEntry]:
    """All loaded entries, by calendar and date."""
    return [
        CalendarEntry(calendar=calendar, kind=kind, date=date, open=opens, close=closes, zone=zone, comment=comment)
        for calendar, _, date, kind, opens, closes, zone, comment in transaction.rows("calendars")
    ]


def calendar_state(transaction: Transaction) -> CalendarState:
    """Everything by which value dates are judged. 1 us a row."""
    facts = tuple(SpotFact(*row) for row in transaction.rows("spot_dates"))
    exact_since = int(get_meta(transaction, EXACT_SINCE_KEY) or 0)
    return CalendarState(tuple(calendars(transaction)), facts, exact_since, get_meta(transaction, COMPARED_KEY) or "")


def save_calendars(transaction: Transaction, records: Sequence[CalendarEntry], trail: Trail) -> Saved:
    """Insert or replace by calendar and date, and record the changes in the trail."""
    stored = {entry.key: entry for entry in calendars(transaction)}
    saved, found = compare(records, stored, lambda entry: entry.key)
    changed = {entry.key: entry for entry in found}
    rows = [_values(entry) for entry in changed.values()]
    transaction.run("calendar_save", rows)
    trail.records("calendars", CALENDAR_FIELDS, rows)
    return saved


def _values(entry: CalendarEntry) -> tuple[str, ...]:
    part = "session" if entry.kind == SESSION else "day"
    return (entry.calendar, part, entry.date, entry.kind, entry.open, entry.close, entry.zone, entry.comment)


def save_spot_facts(transaction: Transaction, facts: Iterable[SpotFact], compared_with: str) -> list[SpotFact]:
    """Insert facts where there is none of that pair, date and time yet. Returns all that are stored of those pairs and dates.

    A fact that says what the newest one says is left out: two programs that compared at once change a spot date once.
    `compared_with`, if it is not empty, names the calendars with which all facts have been compared.
    """
    if compared_with:  # first: on PostgreSQL the row keeps a second program waiting until this transaction ends
        set_meta(transaction, COMPARED_KEY, compared_with)
    facts = list(facts)
    stored = {(one.base, one.quote, one.traded): _facts_of(transaction, one) for one in facts}
    new = [one for one in facts if not ((known := stored[one.base, one.quote, one.traded]) and known[-1].spot == one.spot)]
    transaction.run("spot_date_save", [(one.base, one.quote, one.traded, one.since_ts, one.spot) for one in new])
    changed = {(one.base, one.quote, one.traded): one for one in new}
    stored |= {pair: _facts_of(transaction, one) for pair, one in changed.items()}
    return [fact for known in stored.values() for fact in known]


def _facts_of(transaction: Transaction, fact: SpotFact) -> list[SpotFact]:
    """The stored facts of the pair and date of a fact, oldest first."""
    return [SpotFact(*row) for row in transaction.rows("spot_dates_of", (fact.base, fact.quote, fact.traded))]


def newest_with_value_date(transaction: Transaction) -> int:
    """The newest `received_ts` of a trade that has a value date, 0 without any. Reads all trades: 0.1 s a million."""
    return int(transaction.rows("newest_with_value_date")[0][0])
