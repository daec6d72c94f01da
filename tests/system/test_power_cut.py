"""A power cut at every operation on the disk, with the store's own schema, settings and queries: a drill of `replay/`, short."""

import random
import sqlite3

import pytest

from replay.power_cut import cut_everywhere, cut_while_it_is_made, record
from replay.power_cut_disk import Disk, Step

WAYS = ("nothing", "some")


def test_what_was_acknowledged_outlives_a_power_cut_at_any_operation_whole_and_undamaged():
    recording = record(8, seed=3)
    counts = cut_everywhere(recording, 3, WAYS)
    assert counts["operations"] > 80 and counts["cuts"] == 2 * counts["operations"]
    assert {field: counts[field] for field in ("lost", "partly", "damaged", "other")} == dict.fromkeys(
        ("lost", "partly", "damaged", "other"), 0
    )
    kinds = {(step.kind, step.file) for step in recording.tape.steps}
    assert {("write", "day.db"), ("sync", "day.db"), ("sync", "day.db-wal"), ("delete", "day.db-wal")} <= kinds, "checkpoints"


def test_a_store_that_was_being_made_is_made_by_the_next_start():
    counts = cut_while_it_is_made(3, ("some",), every=4)  # `python -m replay.power_cut` cuts at each of them
    assert counts["cuts while it is made"] > 50
    assert (counts["lost"], counts["damaged"]) == (0, 0)


def test_without_a_sync_at_each_commit_the_same_cuts_lose_acknowledged_trades():
    """The drill can fail: this is the fault that it must find."""
    counts = cut_everywhere(record(4, seed=3, synchronous="NORMAL"), 3, WAYS)
    assert counts["lost"] > counts["cuts"] // 10
    assert (counts["partly"], counts["damaged"], counts["other"]) == (0, 0, 0)


def test_a_batch_that_is_no_single_transaction_is_found_in_part():
    assert cut_everywhere(record(1, seed=3, divided=True), 3, ("nothing",))["partly"] > 0


# -- the disk that is cut ----------------------------------------------------------------------------------------


def disk(*steps: Step) -> Disk:
    found = Disk({"a": b"old!" * 512})
    for step in steps:
        found.step(step)
    return found


def cuts(found: Disk, way: str) -> set[bytes | None]:
    rng = random.Random(1)
    return {found.cut(way, rng).get("a") for _ in range(200)}


def test_what_was_synced_stays_and_what_was_only_written_may_go_sector_by_sector():
    new = Step("write", "a", 512, b"N" * 1_024)
    old = b"old!" * 512
    synced = old[:512] + b"N" * 1_024 + old[1_536:]
    assert cuts(disk(new, Step("sync", "a")), "nothing") == {synced}
    assert cuts(disk(new), "nothing") == {old}
    assert cuts(disk(new), "everything") == {synced}
    torn = cuts(disk(new), "some")
    assert {old, synced, old[:512] + b"N" * 512 + old[1_024:], old[:1_024] + b"N" * 512 + old[1_536:]} <= torn
    assert all(each is not None and each[:512] == old[:512] and each[1_536:] == old[1_536:] for each in torn)


def test_a_file_that_appeared_or_went_is_as_before_until_its_folder_is_synced():
    created = (Step("create", "b"), Step("write", "b", 0, b"x"), Step("sync", "b"))
    names = {tuple(disk(*created).cut("first", random.Random(seed))) for seed in range(50)}
    assert names == {("a",), ("a", "b")}
    assert disk(*created[:2], Step("sync", "b", syncs_folder=True)).cut("nothing", random.Random(1))["b"] == b"x"
    assert cuts(disk(Step("delete", "a")), "first") == {b"old!" * 512, None}
    assert cuts(disk(Step("delete", "a", syncs_folder=True)), "nothing") == {None}


def test_a_truncation_that_was_not_synced_happened_or_did_not():
    assert cuts(disk(Step("truncate", "a", 4)), "some") == {b"old!", b"old!" * 512}


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_the_store_runs_over_the_recording_layer_with_the_setting_that_is_meant(synchronous, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr("replay.power_cut_disk.Connection.execute", _listening(seen))
    record(1, seed=1, synchronous=synchronous)
    assert f"PRAGMA synchronous = {synchronous}" in seen and "PRAGMA journal_mode = WAL" in seen
    assert any(statement.startswith("INSERT INTO trades (") for statement in seen)
    assert sqlite3.sqlite_version_info >= (3, 35)


def _listening(seen):
    from replay.power_cut_disk import Connection

    execute = Connection.execute

    def listen(self, statement, values=()):
        seen.append(statement)
        return execute(self, statement, values)

    return listen
