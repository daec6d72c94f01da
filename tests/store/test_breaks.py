"""A store keeps breaks: first and last seen, how often, and how they ended. On both databases."""

from collections.abc import Sequence

import pytest

from riskengine.snapshot.compare import KINDS, STATEMENT_KINDS
from riskengine.store.audit_chain import AuditFilter
from riskengine.store.protocol import Store
from riskengine.store.results import BreakKey, FoundBreak, StoredBreak
from tests.store_book import TS

EUR: BreakKey = ("node", "FX1", "EURUSD")
ANN: BreakKey = ("dealer", "ann", "EURUSD")


def found(*keys: BreakKey, kind: str = "quantity") -> list[FoundBreak]:
    return [FoundBreak(kind, key, '{"quantity":"1"}', None) for key in keys]


def seen(store: Store, *breaks: FoundBreak, at: int = 0, against: str = "store") -> list[StoredBreak]:
    return store.remember_breaks(breaks, against=against, epoch=1, watermark=10 + at, ts=TS + at, by="reconciliation")


def told(breaks: Sequence[StoredBreak]) -> list[tuple[BreakKey, str, int, int, int]]:
    return [(one.key, one.status, one.first_seen_ts - TS, one.last_seen_ts - TS, one.times_seen) for one in breaks]


def test_a_break_that_is_found_again_stays_one_and_gets_older(store: Store) -> None:
    seen(store, *found(EUR, ANN))
    again = seen(store, *found(EUR, ANN, kind="cash"), at=7)
    assert sorted(told(again)) == [(ANN, "open", 0, 7, 2), (EUR, "open", 0, 7, 2)]
    assert {one.kind for one in store.breaks()} == {"cash"}
    assert {one.watermark for one in store.breaks()} == {17}


def test_a_break_that_is_not_found_any_more_is_gone(store: Store) -> None:
    seen(store, *found(EUR, ANN))
    assert told(seen(store, *found(ANN), at=7)) == [(ANN, "open", 0, 7, 2)]
    [gone] = store.breaks(status="gone")
    assert (gone.key, gone.resolved_by, gone.resolved_ts) == (EUR, "reconciliation", TS + 7)


@pytest.mark.parametrize("kind", sorted({*KINDS, *STATEMENT_KINDS}))
def test_every_kind_of_break_can_be_kept(store: Store, kind: str) -> None:
    [one] = seen(store, *found(EUR, kind=kind))
    assert one.kind == kind


def test_a_break_that_comes_back_is_a_new_one(store: Store) -> None:
    seen(store, *found(EUR))
    seen(store, at=1)
    seen(store, *found(EUR), at=2)
    assert told(store.breaks()) == [(EUR, "open", 2, 2, 1), (EUR, "gone", 0, 0, 1)]


def test_a_repaired_break_says_who_and_why_and_only_open_ones_are_closed(store: Store) -> None:
    seen(store, *found(EUR))
    store.resolve_breaks([EUR], "repaired", against="store", by="ann", ts=TS + 3, comment="row corrected")
    store.resolve_breaks([EUR, ANN], "accepted", against="store", by="bob", ts=TS + 4)
    [one] = store.breaks()
    assert (one.status, one.resolved_by, one.resolved_ts, one.comment) == ("repaired", "ann", TS + 3, "row corrected")


def test_what_a_person_says_of_a_break_is_kept_and_in_the_audit_trail(store: Store) -> None:
    [one] = seen(store, *found(EUR))
    commented = store.comment_break(one.break_id, "the broker confirms", "ann")
    assert commented is not None
    assert (commented.comment, commented.status) == ("the broker confirms", "open")
    store.resolve_breaks([EUR], "repaired", against="store", by="bob", ts=TS + 3)
    assert [(each.comment, each.resolved_by) for each in store.breaks()] == [("the broker confirms", "bob")]
    [entry] = store.audit_entries(AuditFilter(kind="break_comment"))
    assert (entry.actor, entry.subject) == ("ann", str(one.break_id))
    assert "the broker confirms" in entry.detail


def test_a_comment_on_a_break_that_never_was_changes_nothing(store: Store) -> None:
    assert store.comment_break(4711, "?", "ann") is None


def test_a_run_against_one_thing_says_nothing_of_breaks_with_another(store: Store) -> None:
    seen(store, *found(EUR), against="broker.csv")
    assert seen(store) == []
    assert told(store.breaks(status="open")) == [(EUR, "open", 0, 0, 1)]


def test_a_run_that_fails_half_way_leaves_all_as_it_was(store: Store) -> None:
    seen(store, *found(EUR))
    try:
        seen(store, *found(ANN), *found(ANN, kind="nonsense"), at=1)
    except Exception:
        assert told(store.breaks()) == [(EUR, "open", 0, 0, 1)]
    else:
        raise AssertionError("a kind that does not exist was stored")
