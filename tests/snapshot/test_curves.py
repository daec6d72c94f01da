"""The ring of samples: bounded, by name, in order; unknown is None, and a time without samples has no point."""

import numpy as np
import pytest

from riskengine.records.types import MEASURES, Sample
from riskengine.snapshot.curves import Curves, sample
from riskengine.snapshot.history import Point, points
from riskengine.snapshot.rows import dealer_rows, node_rows
from tests.serve.stand_in import newest, traded
from tests.world import NOON, SECOND

MINUTE = 60 * SECOND
TOTAL = "total_pnl"


def one(minute: int, value: float, nodes: tuple[str, ...] = ("ALL",), epoch: int = 1) -> Sample:
    """A sample whose measures are all `value`; not-a-number means unknown."""
    return Sample(NOON + minute * MINUTE, epoch, minute, nodes, np.full((len(MEASURES), len(nodes)), value))


def curve(
    curves: Curves, node: str = "ALL", *, until: int, last: float | None = 0.0, since: int = 0, bucket_us: int = 0
) -> list[Point]:
    return points(curves.series(node, TOTAL, since, (NOON + until * MINUTE, last)), bucket_us)


def test_a_sample_has_the_amounts_of_the_nodes_rows():
    snapshot = newest(traded())
    taken = sample(snapshot, 1_000)
    rows = node_rows(snapshot)
    assert taken.nodes == tuple(row["node"] for row in rows)
    assert [taken.ts, taken.epoch, taken.seq] == [snapshot.as_of, snapshot.epoch, snapshot.seq]
    for place, row in enumerate(rows):
        for number, measure in enumerate(MEASURES):
            kept, amount = taken.amounts[number, place], row.get(measure)
            assert np.isnan(kept) if amount is None else kept == amount
    curves = Curves(10)
    curves.add(taken)
    assert curves.nbytes == (len(rows) + len(taken.dealers)) * len(MEASURES) * 8


def test_a_sample_has_the_amounts_of_dealers_too_and_a_bound_on_both():
    snapshot = newest(traded())
    taken = sample(snapshot, 1_000)
    rows = {row["dealer"]: row for row in dealer_rows(snapshot)}
    assert taken.dealers == snapshot.dealer_names and set(rows) <= set(taken.dealers)
    for name, row in rows.items():
        for number, measure in enumerate(MEASURES):
            kept, amount = taken.of_dealers[number, taken.dealers.index(name)], row.get(measure)
            assert np.isnan(kept) if amount is None else kept == amount
    few = sample(snapshot, 2)
    assert (few.nodes, few.dealers) == (taken.nodes[:2], taken.dealers[:2])
    assert few.of_dealers.shape == few.amounts.shape == (len(MEASURES), 2)


def test_a_dealer_and_a_node_of_one_name_have_curves_of_their_own():
    curves = Curves(10)
    amounts = np.full((len(MEASURES), 1), 1.0)
    curves.add(Sample(NOON, 1, 1, ("ann",), amounts, ("ann",), 2 * amounts))
    curves.add(one(1, 3.0, ("ann",)))
    newest_of = (NOON + 2 * MINUTE, 9.0)
    assert curves.series("ann", TOTAL, 0, newest_of).values == [1.0, 3.0, 9.0]
    assert curves.series("ann", TOTAL, 0, newest_of, of="dealer").values == [2.0, 9.0], "older samples have no dealers"
    assert curves.series("bob", TOTAL, 0, newest_of, of="dealer").values == [9.0]


def test_of_many_nodes_the_first_of_the_tree_are_sampled():
    snapshot = newest(traded())
    taken = sample(snapshot, 3)
    assert taken.nodes == snapshot.reference.hierarchy.names[:3]
    assert taken.amounts.shape == (len(MEASURES), 3)
    assert sample(snapshot, 0).amounts.shape == (len(MEASURES), 0)


def test_the_newest_point_is_the_snapshot_s_own():
    curves = Curves(10)
    for minute in range(3):
        curves.add(one(minute, float(minute)))
    found = curve(curves, until=2, last=9.0)
    assert [(point.ts - NOON, point.value) for point in found] == [(0, 0.0), (MINUTE, 1.0), (2 * MINUTE, 9.0)]
    assert curve(curves, until=1, last=5.0) == [Point(NOON, 0.0, 0.0, 0.0, 1), Point(NOON + MINUTE, 5.0, 5.0, 5.0, 1)]


def test_unknown_is_none_and_never_0():
    curves = Curves(10)
    curves.add(one(0, np.nan))
    curves.add(one(1, 3.0))
    assert [point.value for point in curve(curves, until=2, last=None)] == [None, 3.0, None]
    [point] = curve(curves, until=2, last=None, bucket_us=60 * MINUTE)
    assert point == Point(NOON, None, 3.0, 3.0, 3)  # known in between, unknown at the end
    [nothing] = curve(Curves(1), until=0, last=None, bucket_us=MINUTE)
    assert nothing == Point(NOON, None, None, None, 1)


def test_a_bucket_has_the_last_the_least_and_the_most_and_a_hole_stays_a_hole():
    curves = Curves(100)
    for minute, value in enumerate((5.0, -2.0, 7.0, 1.0)):
        curves.add(one(minute, value))
    for minute in (20, 21):
        curves.add(one(minute, float(minute)))
    found = curve(curves, until=22, last=-4.0, bucket_us=2 * MINUTE)
    assert found == [
        Point(NOON, -2.0, -2.0, 5.0, 2),
        Point(NOON + 2 * MINUTE, 1.0, 1.0, 7.0, 2),
        Point(NOON + 20 * MINUTE, 21.0, 20.0, 21.0, 2),
        Point(NOON + 22 * MINUTE, -4.0, -4.0, -4.0, 1),
    ]


def test_since_leaves_out_what_came_before_it():
    curves = Curves(10)
    for minute in range(5):
        curves.add(one(minute, float(minute)))
    assert [point.value for point in curve(curves, until=9, last=9.0, since=NOON + 3 * MINUTE)] == [3.0, 4.0, 9.0]
    assert curve(curves, until=9, since=NOON + 10 * MINUTE) == []
    assert curve(curves, until=9, since=NOON + 10 * MINUTE, bucket_us=MINUTE) == []


def test_the_ring_forgets_the_oldest():
    curves = Curves(3)
    for minute in range(10):
        curves.add(one(minute, float(minute)))
    assert len(curves) == 3
    assert [point.value for point in curve(curves, until=20, last=None)] == [7.0, 8.0, 9.0, None]


def test_a_node_that_comes_and_goes_keeps_its_own_numbers():
    curves = Curves(10)
    curves.add(Sample(NOON, 1, 1, ("ALL", "A", "B"), np.tile([10.0, 1.0, 2.0], (len(MEASURES), 1))))
    curves.add(Sample(NOON + MINUTE, 1, 2, ("ALL", "B"), np.tile([20.0, 3.0], (len(MEASURES), 1))))
    curves.add(Sample(NOON + 2 * MINUTE, 1, 3, ("ALL", "B", "A"), np.tile([30.0, 4.0, 5.0], (len(MEASURES), 1))))
    assert [(point.ts - NOON, point.value) for point in curve(curves, "A", until=9, last=6.0)] == [
        (0, 1.0),
        (2 * MINUTE, 5.0),
        (9 * MINUTE, 6.0),
    ]
    assert [point.value for point in curve(curves, "B", until=9, last=None)] == [2.0, 3.0, 4.0, None]
    assert [point.value for point in curve(curves, "new", until=9, last=1.0)] == [1.0]


def test_samples_from_after_the_time_of_a_clock_that_was_set_back_go():
    curves = Curves(10)
    for minute in (0, 1, 61, 62):
        curves.add(one(minute, float(minute)))
    curves.add(one(2, 2.0))
    assert [point.value for point in curve(curves, until=3, last=3.0)] == [0.0, 1.0, 2.0, 3.0]


def test_restored_samples_stand_before_those_taken_since():
    curves = Curves(4)
    curves.add(one(10, 10.0))
    curves.restore([one(minute, float(minute)) for minute in (7, 8, 9, 10, 11)])
    assert [point.value for point in curve(curves, until=12, last=12.0)] == [7.0, 8.0, 9.0, 10.0, 12.0]
    short = Curves(2)
    short.restore([one(minute, float(minute)) for minute in range(5)])
    assert [point.value for point in curve(short, until=9, last=None)] == [3.0, 4.0, None]


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_a_field_of_a_node_s_row(measure):
    assert measure in node_rows(newest(traded()))[0]
