"""Fingerprints of identities: what was put in is found, nothing is found twice, and memory is as promised."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskengine.positions import frozen_ids as module
from riskengine.positions.frozen_ids import FrozenIds, identity_fingerprint
from riskengine.records.types import Identity

names = st.tuples(st.sampled_from(["a", "b"]), st.text("01\0x", max_size=4), st.integers(0, 2)).map(Identity._make)
numbered = st.dictionaries(names, st.integers(1, 255), max_size=30)


def put(history: FrozenIds, versions: dict[Identity, int]) -> list[bool]:
    return history.add([identity_fingerprint(*identity) for identity in versions], list(versions.values())).tolist()


@given(st.lists(numbered, max_size=6), st.integers(1, 7))
def test_what_was_put_in_first_is_found_with_its_versions_and_nothing_else_is(
    parts: list[dict[Identity, int]], stretch: int
) -> None:
    before, module.MERGE_STRETCH_IDS = module.MERGE_STRETCH_IDS, stretch
    try:
        history, expected = FrozenIds(), dict[Identity, int]()
        for part in parts:
            assert put(history, part) == [identity not in expected for identity in part]
            expected = part | expected
            assert (len(history), history.version_counts(list(expected))) == (len(expected), list(expected.values()))
            assert all(history.version_count(*identity) == versions for identity, versions in expected.items())
            assert history.version_count("c", "0", 0) == 0
        history.merge_all()
        assert history.version_counts(list(expected)) == list(expected.values())
        assert history.version_counts([Identity("c", "0", leg) for leg in range(3)]) == [0, 0, 0]
    finally:
        module.MERGE_STRETCH_IDS = before


def test_of_those_that_share_a_fingerprint_one_is_taken() -> None:
    history = FrozenIds()
    assert history.add([5, 3, 5, -1, 3], [1, 2, 3, 4, 5]).tolist() == [True, True, False, True, False]
    assert history.add([3, 4], [9, 9]).tolist() == [False, True]
    assert len(history) == 4


def test_an_identity_takes_nine_bytes() -> None:
    history = FrozenIds()
    for first in range(0, 100_000, 1_000):
        history.add(np.random.default_rng(first).integers(-(2**63), 2**63 - 1, 1_000).tolist(), [1] * 1_000)
    assert history.nbytes == 9 * len(history)
    assert len(history._runs) < 12
    history.merge_all()
    assert len(history._runs) == 1


def test_an_empty_history_knows_nothing() -> None:
    history = FrozenIds()
    assert (len(history), history.nbytes, history.version_counts([Identity("a", "b", 0)]), history.version_counts([])) == (0, 0, [0], [])
    history.merge_all()
