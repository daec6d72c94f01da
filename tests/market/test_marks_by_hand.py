"""Marks that people hold against the feeds, in the quote book and on the writer's side, against a naive model."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from riskengine.market.marks import NO_MARK, Mark
from riskengine.rebuild.rebuild import with_manual
from riskengine.records.manual_marks import ManualMark
from tests.world import NOON, SECOND, House, book, quote, reference


def by_hand(price: float, ts: int = NOON, expires_ts: int | None = None, **columns: Any) -> ManualMark:
    return ManualMark(instrument="EURUSD", ts=ts, price=price, author="ann", reason="as agreed", expires_ts=expires_ts, **columns)


def in_force(house: House) -> tuple[float | None, str | None, str | None]:
    house.beat()
    snapshot = house.engine.snapshot
    mark: Mark | None = snapshot.units.marks[snapshot.reference.instrument_index["EURUSD"]]
    if mark is None or not mark.ts:
        return None, None, None
    return mark.price, mark.source, mark.by_hand.author if mark.by_hand is not None else None


def beat(house: House, now: int) -> None:
    house.now = now
    house.engine.beat(house.quotes.take(now), now)
    house.engine.publish(now)


def test_one_that_holds_ends_in_the_newest_mark_that_the_feeds_sent_meanwhile() -> None:
    house = House()
    house.marks(EURUSD=1.1)
    house.quotes.set_by_hand(by_hand(1.5, expires_ts=NOON + 10 * SECOND), NOON)
    assert in_force(house) == (1.5, "manual", "ann")
    house.quotes.offer([quote("EURUSD", 1.2, 1.2, NOON + 5 * SECOND)], NOON + 5 * SECOND)
    assert in_force(house) == (1.5, "manual", "ann")
    saved = [mark.lasting for _, mark in house.engine.marks.take_unsaved()]
    assert [(mark.price, mark.source) for mark in saved if mark is not None] == [(1.2, "feed")], "what the feeds say is stored"
    beat(house, NOON + 10 * SECOND)
    assert in_force(house) == (1.2, "feed", None)


def test_one_over_nothing_leaves_the_instrument_without_a_price() -> None:
    house = House()
    house.quotes.set_by_hand(by_hand(1.5, expires_ts=NOON + SECOND), NOON)
    house.deal()
    assert in_force(house) == (1.5, "manual", "ann")
    beat(house, NOON + 2 * SECOND)
    assert in_force(house) == (None, None, None)
    snapshot = house.engine.snapshot
    assert not snapshot.units.priced[snapshot.reference.instrument_index["EURUSD"]]
    house.engine.check()


def test_one_that_holds_is_not_stale_however_old() -> None:
    house = House()
    house.quotes.set_by_hand(by_hand(1.5, expires_ts=NOON + 10**6 * SECOND), NOON)
    beat(house, NOON + 10**5 * SECOND)
    number = house.engine.reference.instrument_index["EURUSD"]
    assert not house.engine.snapshot.units.stale_mark[number]


def test_one_without_an_expiry_gives_way_to_a_newer_price_and_to_no_older_one() -> None:
    house = House()
    house.marks(EURUSD=1.1)
    older = by_hand(1.4, NOON - 1)
    assert house.quotes.would_supersede(older, NOON)
    house.quotes.set_by_hand(older, NOON)
    assert in_force(house) == (1.1, "feed", None)
    house.quotes.set_by_hand(by_hand(1.5, NOON + 1), NOON + 1)
    assert in_force(house) == (1.5, "manual", "ann")
    house.quotes.offer([quote("EURUSD", 1.2, 1.2, NOON + 2)], NOON + 2)
    assert in_force(house) == (1.2, "feed", None)


def test_what_holds_goes_over_to_other_reference_data_and_to_another_book() -> None:
    quotes = book()
    quotes.offer([quote("EURUSD", 1.1, 1.1)], NOON)
    quotes.set_by_hand(by_hand(1.5, expires_ts=NOON + SECOND), NOON)
    taken = {quotes.reference.symbols[number]: mark for number, mark in quotes.take(NOON).items()}
    other = book()
    other.restore(taken)
    for each, renewed in ((other, False), (quotes, True)):
        if renewed:
            each.renew(reference(), taken)
        assert [mark.price for mark in each.held_by_hand()] == [1.5]
        [mark] = each.take(NOON + SECOND).values()
        assert (mark.price, mark.source, mark.by_hand) == (1.1, "feed", None)


events = st.one_of(
    st.tuples(st.just("tick"), st.integers(0, 40), st.integers(1, 9)),
    st.tuples(st.just("set"), st.integers(0, 40), st.integers(1, 9), st.one_of(st.none(), st.integers(1, 20))),
    st.tuples(st.just("clear")),
    st.tuples(st.just("pass"), st.integers(1, 12)),
)


@given(st.lists(events, max_size=20))
def test_any_history_is_that_of_the_model_and_of_a_start_from_what_is_stored(history: list[Any]) -> None:
    house, now = House(), NOON
    feed: Mark | None = None
    newest: ManualMark | None = None
    for event, *said in history:
        if event == "tick":
            ts = NOON + said[0]
            house.quotes.offer([quote("EURUSD", float(said[1]), float(said[1]), ts)], now + 60)
            if feed is None or ts >= feed.ts:
                feed = Mark(float(said[1]), ts, "feed", "quote")
        elif event == "set":
            expires = None if said[2] is None else now + said[2]
            one = by_hand(float(said[1]), NOON + said[0], expires, entered_ts=now)
            if not house.quotes.would_supersede(one, now):
                house.quotes.set_by_hand(one, now)
                newest = one
                if expires is None:
                    feed = Mark(one.price, one.ts, "manual", "quote")
        elif event == "clear":
            house.quotes.set_by_hand(by_hand(0.0, cleared=True), now)
            if newest is not None and newest.holds(now):
                newest = by_hand(0.0, cleared=True, entered_ts=now)
        else:
            now += said[0]
        house.engine.beat(house.quotes.take(now), now)
        known = {} if feed is None else {"EURUSD": feed}
        expected = with_manual(known, [] if newest is None else [newest], now).get("EURUSD", NO_MARK)
        mark = house.engine.marks.marks[house.engine.reference.instrument_index["EURUSD"]] or NO_MARK
        assert (mark.price, mark.ts, mark.source, mark.by_hand) == (*expected[:3], expected.by_hand)
        assert (mark.lasting or NO_MARK)[:3] == (feed or NO_MARK)[:3], "what the store keeps of it"
    house.engine.publish(now)
    house.engine.check()
