"""Samples of curves in a store: unchanged, stored once, and removed when old."""

import zlib

import numpy as np
import orjson
import pytest

from riskengine.errors import LeaseHeld
from riskengine.records.types import MEASURES, Sample
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.curve_samples import pack, unpack
from tests.store_book import TS, Outside


def one(number: int, *amounts: float) -> Sample:
    nodes = tuple(f'N{place} ü"\\' for place in range(len(amounts)))
    return Sample(TS + number, 3, number, nodes, np.tile(np.array(amounts, dtype=np.float64), (len(MEASURES), 1)))


def same(found: list[Sample], expected: list[Sample]) -> bool:
    return len(found) == len(expected) and all(
        (*left[:4], left.dealers) == (*right[:4], right.dealers)
        and np.array_equal(left.amounts, right.amounts, equal_nan=True)
        and np.array_equal(left.of_dealers, right.of_dealers, equal_nan=True)
        for left, right in zip(found, expected, strict=True)
    )


def test_samples_come_back_to_the_last_bit_and_unknown_stays_unknown(store: Store):
    samples = [one(1, 0.1 + 0.2, np.nan, -0.0, 1e300), one(2), one(3, 5.0)]
    store.save_curve_samples(samples, 0)
    assert same(store.curve_samples(0, TS + 9), samples)
    assert same(store.curve_samples(TS + 2, TS + 2), samples[1:2])
    assert store.curve_samples(TS + 4, TS + 9) == []


def test_dealers_stand_behind_nodes_and_a_sample_of_before_has_none(store: Store):
    both = one(1, 1.0, np.nan)._replace(dealers=("", "ann", "=x"), of_dealers=np.arange(3.0 * len(MEASURES)).reshape(-1, 3))
    store.save_curve_samples([both, one(2, 2.0)], 0)
    assert same(store.curve_samples(0, TS + 9), [both, one(2, 2.0)])
    header = orjson.dumps({"measures": MEASURES, "nodes": ["ALL"]})
    before = unpack(TS, 1, 1, zlib.compress(header + b"\n" + np.full(len(MEASURES), 7.0).tobytes()))
    assert before is not None
    assert (before.nodes, before.dealers, before.amounts.tolist()) == (("ALL",), (), [[7.0]] * len(MEASURES))


def test_a_repeat_changes_nothing_and_old_ones_go(store: Store):
    samples = [one(number, float(number)) for number in range(5)]
    store.save_curve_samples(samples, 0)
    store.save_curve_samples(samples[3:], TS + 2)
    assert same(store.curve_samples(0, TS + 9), samples[2:])


def test_samples_of_a_time_that_a_corrected_clock_never_had_go(store: Store):
    store.save_curve_samples([one(number, 1.0) for number in (1, 50, 60)], 0)
    store.save_curve_samples([one(2, 2.0)], 0)
    assert same(store.curve_samples(0, TS + 99), [one(1, 1.0), one(2, 2.0)])


def test_samples_of_the_same_nodes_share_their_names(store: Store):
    store.save_curve_samples([one(number, 1.0, 2.0) for number in range(3)], 0)
    first, second, third = store.curve_samples(0, TS + 9)
    assert first.nodes is second.nodes is third.nodes


def test_one_that_cannot_be_read_is_left_out(store: Store, outside: Outside):
    store.save_curve_samples([one(1, 1.0), one(2, 2.0)], 0)
    outside.execute("UPDATE curve_samples SET content = ? WHERE ts = ?", (b"nonsense", TS + 1))
    assert same(store.curve_samples(0, TS + 9), [one(2, 2.0)])


@pytest.mark.parametrize("content", [b"", b"{}", pack(one(1, 1.0))[:-9], b"\x78\x01\x03\x00\x00\x00\x00\x01"])
def test_what_makes_no_sense_is_no_sample(content):
    assert unpack(TS, 1, 1, content) is None


def test_a_measure_that_was_not_stored_is_unknown(monkeypatch):
    monkeypatch.setattr("riskengine.store.tables.curve_samples.MEASURES", ("fees",))
    content = pack(one(1, 5.0)._replace(amounts=np.array([[5.0]])))
    monkeypatch.undo()
    found = unpack(TS, 1, 1, content)
    assert found is not None
    assert [measure for measure, amount in zip(MEASURES, found.amounts[:, 0], strict=True) if amount == 5.0] == ["fees"]
    assert np.isnan(found.amounts).sum() == len(MEASURES) - 1


def test_an_old_writer_stores_none(store_url: str):
    old = open_store(store_url)
    old.acquire_writer("old")
    old.next_epoch()
    other = Outside(store_url)
    other.execute("UPDATE meta SET value = '99' WHERE key = 'writer_epoch'")
    other.close()
    with pytest.raises(LeaseHeld):
        old.save_curve_samples([one(1, 1.0)], 0)
    old.close()
