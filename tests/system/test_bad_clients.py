"""Two hundred bad clients, in small, against the real program: healthy clients lose nothing, stuck ones are dropped in time."""

import pytest

from bench.bad_clients import among, faults
from bench.fanout_house import engine


@pytest.fixture(scope="module")
def found():
    with engine() as served:
        yield among(served, healthy=60, each=12, seconds=12.0, ticks=5_000, trades=50)


def test_nothing_is_wrong_among_bad_clients(found):
    assert faults(found) == []


def test_the_bad_ones_were_really_there(found):
    bad = found["said"]["bad"]
    assert bad["slow_updates"] > 12
    assert min(bad["resets"], bad["garbage"]) > 12


def test_healthy_clients_are_served_as_often_as_they_asked(found):
    assert found["said"]["screens"]["fewest"] >= 2 * 12 * 0.8
