"""Fingerprints of identities: those put in are found, each once, in the memory promised."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskengine.positions import frozen_ids as module
from riskengine.positions.frozen_ids import FrozenIds, identity_fingerprint
from riskengine.records.types import Identity

names = st.tuples(st.sampled_from(["a", "b"]), st.text("01\0x", max_size=4), st.integers(0, 2)).map(Identity._make)
numbered = st.dictionaries(names, st.integers(1, 255), max_size=30)


def put(ids: FrozenIds, versions: dict[Identity, int]) -> list[bool]:
    return ids.add([identity_fingerprint(*identity) for identity in versions], list(versions.values())).tolist()


@given(st.lists(numbered, max_size=6), st.integers(1, 7))
def test_identities_put_in_first_are_found_with_their_versions_and_no_others(
    parts: list[dict[Identity, int]], stretch: int
) -> None:
    before, module.MERGE_STRETCH_IDS = module.MERGE_STRETCH_IDS, stretch
    try:
        ids, expected = FrozenIds(), dict[Identity, int]()
        for part in parts:
            assert put(ids, part) == [identity not in expected for identity in part]
            expected = part | expected
            assert (len(ids), ids.version_counts(list(expected))) == (len(expected), list(expected.values()))
            assert all(ids.version_count(*identity) == versions for identity, versions in expected.items())
            assert ids.version_count("c", "0", 0) == 0
        ids.merge_all()
        assert ids.version_counts(list(expected)) == list(expected.values())
        assert ids.version_counts([Identity("c", "0", leg) for leg in range(3)]) == [0, 0, 0]
    finally:
        module.MERGE_STRETCH_IDS = before


def test_one_of_several_with_the_same_fingerprint_is_taken() -> None:
    ids = FrozenIds()
    assert ids.add([5, 3, 5, -1, 3], [1, 2, 3, 4, 5]).tolist() == [True, True, False, True, False]
    assert ids.add([3, 4], [9, 9]).tolist() == [False, True]
    assert len(ids) == 4


def test_an_identity_takes_nine_bytes() -> None:
    ids = FrozenIds()
    for first in range(0, 100_000, 1_000):
        ids.add(np.random.default_rng(first).integers(-(2**63), 2**63 - 1, 1_000).tolist(), [1] * 1_000)
    assert ids.nbytes == 9 * len(ids)
    assert len(ids._runs) < 12
    ids.merge_all()
    assert len(ids._runs) == 1


def test_an_empty_set_knows_no_identity() -> None:
    ids = FrozenIds()
    assert (len(ids), ids.nbytes, ids.version_counts([Identity("a", "b", 0)]), ids.version_counts([])) == (
        0,
        0,
        [0],
        [],
    )
    ids.merge_all()
