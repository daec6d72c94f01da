"""The journal of marks: whatever stood in a snapshot is read back to the last bit, from any instant on."""

import zlib
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark, SetByHand
from riskengine.records.journal import Instant
from riskengine.records.option_inputs import CutSpot, OptionInput, PushedGreeks, RateRow, SurfaceRow, Vol
from riskengine.snapshot.mark_journal import MarkJournal, read_chain
from tests.world import NOON, REFERENCE, SECOND

PRICES = st.one_of(
    st.integers(1, 10**7).map(lambda units: units / 1e5),
    st.floats(1e-12, 1e15),
    st.sampled_from([1.1, 1.10345, 150.0, 1e15, 0.1 + 0.2, 1e-11]),
)


@st.composite
def marks(draw: st.DrawFn) -> Mark:
    price, sides = draw(PRICES), draw(st.sampled_from(["none", "both", "bid", "odd"]))
    ts, source = NOON - draw(st.integers(0, 10**9)), draw(st.sampled_from(["", "LP1", "LP2"]))
    if sides == "both":
        bid, ask = price, price + draw(st.sampled_from([0.0, 1e-5, 0.01, 1 / 3]))
        return Mark((bid + ask) / 2, ts, source, "quote", (), None, bid, ask)
    hand = draw(
        st.sampled_from([None, SetByHand("ann", "fat finger"), SetByHand("bob", "", NOON + SECOND, Mark(1.2, 7, "a", "quote"))])
    )
    bid_ask = {"none": (None, None), "bid": (price, None), "odd": (price * 0.9, price * 1.3)}[sides]
    return Mark(price, ts, source, "one_sided", (), hand, *bid_ask)


@given(st.lists(st.dictionaries(st.integers(0, len(REFERENCE.instruments) - 1), marks()), max_size=6), st.integers(1, 4))
def test_every_instant_says_what_was_in_force_to_the_last_bit(beats: Sequence[dict[int, Mark]], whole_every: int) -> None:
    engine, journal = Engine(REFERENCE, now=NOON), MarkJournal()
    chain: list[Instant] = []
    for place, changed in enumerate(beats):
        now = NOON + place * SECOND
        engine.beat(changed, now)
        snapshot = engine.publish(now)
        made = journal.pack(snapshot, [], 3, whole=not place % whole_every)
        chain = [made] if made.is_whole else [*chain, made]
        told = read_chain(chain)
        there = zip(REFERENCE.symbols, snapshot.units.marks, strict=True)
        assert told.marks == {symbol: mark for symbol, mark in there if mark is not None}
        assert made.is_whole is not bool(place % whole_every)
        assert (made.epoch, made.seq, made.ts, made.revision) == (0, snapshot.seq, now, 3)


def test_a_mark_that_is_gone_is_gone_and_may_come_again() -> None:
    engine, journal = Engine(REFERENCE, now=NOON), MarkJournal()
    known = [Mark(1.1, NOON, "a", "quote"), Mark(0.0, 0, "", "quote"), Mark(1.2, NOON, "a", "quote")]
    chain = []
    for place, mark in enumerate(known):
        engine.beat({0: mark}, NOON + place)
        chain.append(journal.pack(engine.publish(NOON + place), [], 0, whole=False))
    name = REFERENCE.symbols[0]
    assert [read_chain(chain[:end]).marks.get(name) for end in (1, 2, 3)] == [known[0], None, known[2]]


def test_vols_rates_and_greeks_are_told_with_the_newest_of_each_subject() -> None:
    engine, journal = Engine(REFERENCE, now=NOON), MarkJournal()
    first: list[OptionInput] = [
        Vol("A", NOON, 0.2, "desk"),
        SurfaceRow("EURUSD", "2026-06-18", NOON, 0.08, rr25=-0.01),
        RateRow("USD", "df", "2026-06-18", NOON, 0.99),
        PushedGreeks("B", NOON, 1.1, 0.1, 0.02, 0.5, 1.0, 0.1, -0.01),
        CutSpot("C", NOON, 1.3),
    ]
    later = RateRow("USD", "rate", "2026-06-18", NOON + 1, 0.03)
    chain = [
        journal.pack(engine.publish(NOON), first, 0, whole=True),
        journal.pack(engine.publish(NOON + 1), [later], 0, whole=False),
    ]
    assert list(read_chain(chain[:1]).inputs) == first
    assert set(read_chain(chain).inputs) == {*first, later} - {first[2]}
    whole = journal.pack(engine.publish(NOON + 2), [], 0, whole=True)
    assert set(read_chain([whole]).inputs) == {*first, later} - {first[2]}, "a whole one says everything"


def test_only_what_changed_is_kept() -> None:
    engine, journal, random = Engine(REFERENCE, now=NOON), MarkJournal(), Random(3)
    sizes = []
    for place in range(20):
        changed = {} if place % 2 else {n: Mark(round(random.uniform(1, 2), 5), NOON + place, "a", "quote") for n in range(8)}
        engine.beat(changed, NOON + place)
        sizes.append(len(journal.pack(engine.publish(NOON + place), [], 0, whole=False).content))
    assert all(empty < full for full, empty in pairwise(sizes[2:]) if full > empty)
    assert max(sizes[1::2]) < 200


def test_another_engine_or_another_numbering_begins_with_everything() -> None:
    engine, journal = Engine(REFERENCE, now=NOON, epoch=1), MarkJournal()
    engine.beat({0: Mark(1.1, NOON, "a", "quote")}, NOON)
    first = journal.pack(engine.publish(NOON), [], 0, whole=False)
    assert first.is_whole
    other = Engine(REFERENCE, now=NOON, epoch=2)
    assert journal.pack(other.publish(NOON), [], 0, whole=False).is_whole


def test_what_cannot_be_read_is_refused_and_never_guessed() -> None:
    engine, journal = Engine(REFERENCE, now=NOON), MarkJournal()
    whole = journal.pack(engine.publish(NOON), [], 0, whole=True)
    next_one = journal.pack(engine.publish(NOON + 1), [], 0, whole=False)
    for chain in ([], [next_one], [whole, next_one._replace(whole_seq=9)]):
        with pytest.raises(ValueError, match="lacks the whole instant"):
            read_chain(chain)
    for content in (b"", whole.content[:-3], zlib.compress(b"\x80"), zlib.compress(b"\x01")):
        with pytest.raises(ValueError, match="cannot be read"):
            read_chain([whole._replace(content=content)])
