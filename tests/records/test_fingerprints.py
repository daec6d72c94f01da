"""Fingerprints: equal in every process, different for what differs, summed whatever the order."""

import subprocess
import sys

from riskengine.records.types import fingerprint, version_fingerprint


def test_every_process_works_out_the_same() -> None:
    code = (
        "from riskengine.records.types import *;print(fingerprint('api', 'T\\u00e9', 1), version_fingerprint('api', 'T1', 0, 2))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "12345")
    }
    assert said == {f"{fingerprint('api', 'Té', 1)} {version_fingerprint('api', 'T1', 0, 2)}\n"}


def test_no_two_of_many_ordinary_identities_share_one() -> None:
    numbered = {fingerprint(source, f"T{number:07}", leg) for source in ("a", "b") for number in range(50_000) for leg in (0, 1)}
    assert len(numbered) == 200_000


def test_swapping_two_identities_with_another_pair_changes_the_sum() -> None:
    def total(*pairs: tuple[str, str]) -> int:
        return sum(version_fingerprint(source, trade_id, 0, 1) for source, trade_id in pairs)

    assert total(("a", "x"), ("b", "y")) != total(("a", "y"), ("b", "x"))
    assert total(("a", "x1"), ("a", "x4")) != total(("a", "x2"), ("a", "x3"))


def test_each_version_has_its_own() -> None:
    assert len({version_fingerprint("api", "T1", 0, version) for version in range(1, 1_000)}) == 999
