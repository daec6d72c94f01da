"""The work list: ids of exceptions, and notices that a successor's list keeps."""

from riskengine.engine.worklist import Notices, WorkList, conflict_id
from riskengine.positions.processed import Processed, exception_id
from tests.world import NOON, SECOND, trade


def conflict_list(*others: str, at: int = NOON) -> WorkList:
    """A work list with a conflict for each quantity."""
    work = WorkList()
    for quantity in others:
        work.note_conflict(trade(quantity=quantity), trade(), at)
    return work


def test_exceptions_of_two_trades_never_share_an_id():
    trades = [trade(name, source=source) for source, name in (("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"))]
    assert len({exception_id("quarantined", each) for each in trades}) == 3
    assert exception_id("quarantined", trade("c", source="a")) == "quarantined:a:c:0:1"


def test_conflicts_with_one_version_have_ids_by_their_economics():
    assert conflict_id(trade(quantity="5")) == conflict_id(trade(quantity="5.0")) != conflict_id(trade(quantity="6"))


def test_notices_do_not_change_with_the_list_that_they_are_of():
    work = conflict_list("5")
    notices = work.notices()
    work.note_conflict(trade(quantity="6"), trade(), NOON)
    assert [len(each.conflicts) for each in (notices, work.notices())] == [1, 2]
    assert work.count_conflicts_beyond(notices) == 1


def test_a_notice_that_an_earlier_list_had_keeps_its_time_and_a_new_one_its_own():
    work = conflict_list("5", "6", at=NOON + SECOND)
    work.keep_times_of(conflict_list("5").notices())
    work.refresh(Processed(), NOON + SECOND)
    assert [item.ts for item in work.exceptions["conflict"]] == [NOON, NOON + SECOND]


def test_without_earlier_notices_every_time_stays():
    work = conflict_list("5")
    before = work.notices()
    work.keep_times_of(Notices({}, {}, {}))
    assert work.notices() == before
