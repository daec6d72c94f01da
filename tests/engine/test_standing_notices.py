"""Notices of trades: listed while their version stands, brought up to date by what has changed."""

import random

import pytest

from riskengine.engine.standing_notices import StandingNotices
from riskengine.positions.processed import Processed, exception_id
from riskengine.records.types import Trade
from riskengine.snapshot.snapshot import ExceptionItem
from tests.world import NOON, trade

KIND = "off_market"


def item(about: Trade) -> ExceptionItem:
    return ExceptionItem(exception_id(KIND, about), KIND, NOON, "far", about, {})


def lists(notices: StandingNotices, processed: Processed) -> dict[str, list[str]]:
    return {kind: [each.trade.trade_id for each in items if each.trade] for kind, items in notices.changed(processed)}


def noticed(*names: str, limit: int = 100) -> tuple[StandingNotices, Processed]:
    """Notices of trades that stand."""
    notices, processed = StandingNotices((KIND,), limit), Processed()
    for name in names:
        processed.enter(trade(name))
        notices.add(item(trade(name)))
    return notices, processed


def test_only_lists_that_changed_are_given():
    notices, processed = noticed("a", "b")
    assert lists(notices, processed) == {KIND: ["a", "b"]}
    assert lists(notices, processed) == {}


def test_a_notice_ends_once_its_version_does_not_stand_and_comes_back_in_its_place():
    notices, processed = noticed("a", "b", "c")
    lists(notices, processed)
    later = trade("a", version=2, action="amend")
    processed.admit(later, "")
    notices.note_standing(later.identity)
    assert lists(notices, processed) == {KIND: ["b", "c"]}
    processed.judge_again(later.identity, [(trade("a"), ""), (later, "kept out")])
    notices.note_standing(later.identity)
    assert lists(notices, processed) == {KIND: ["a", "b", "c"]}


def test_the_oldest_make_room():
    notices, processed = noticed("a", "b", "c", limit=2)
    assert lists(notices, processed) == {KIND: ["b", "c"]}
    assert list(notices.of_kinds((KIND,))) == [exception_id(KIND, trade(name)) for name in "bc"]


def test_what_is_discarded_is_gone_and_may_come_again():
    notices, processed = noticed("a", "b")
    lists(notices, processed)
    notices.discard(KIND, item(trade("a")).id)
    assert lists(notices, processed) == {KIND: ["b"]}
    assert notices.add(item(trade("a")))
    assert lists(notices, processed) == {KIND: ["b", "a"]}


@pytest.mark.parametrize("seed", range(20))
def test_the_list_is_that_of_every_notice_looked_at_anew(seed):
    chance, processed, notices = random.Random(seed), Processed(), StandingNotices((KIND,), 8)
    kept: dict[str, Trade] = {}
    listed: list[str] = []
    for _ in range(200):
        about = trade(
            chance.choice("abcdefghijkl"), version=chance.randint(1, 4), action=chance.choice(["new", "amend", "cancel"])
        )
        if not (about.version == 1 and about.action == "new" and processed.enter(about)):
            processed.admit(about, chance.choice(["", "", "kept out"]))
        notices.note_standing(about.identity)
        if about.signed_quantity and notices.add(item(about)):
            kept[item(about).id] = about
            if len(kept) > 8:
                del kept[next(iter(kept))]
        if chance.random() < 0.1 and kept:
            gone = chance.choice(list(kept))
            del kept[gone]
            notices.discard(KIND, gone)
        if chance.random() < 0.5:
            for _, items in notices.changed(processed):
                listed = [each.id for each in items]
            effective = {name: processed.effective(each.identity) for name, each in kept.items()}
            assert listed == [name for name, each in kept.items() if (of := effective[name]) and of.version == each.version]
