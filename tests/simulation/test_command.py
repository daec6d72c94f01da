"""The command: the same seed gives the same trace, in this process, in another, and whatever the hashes of strings are."""

import os
import subprocess
import sys
import threading

import pytest

from tests.conftest import ROOT
from tests.simulation.__main__ import main
from tests.simulation.world import live_a_world

SEED = 3


def printed(seed: int, hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--days", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_seed_gives_the_same_trace_twice_in_a_process(capsys):
    assert main(["--seed", str(SEED), "--days", "2"]) == 0
    first = capsys.readouterr().out.splitlines()[-1]
    assert main(["--seed", str(SEED), "--days", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == first
    assert first.startswith("trace ") and len(first) == len("trace ") + 64


def test_a_seed_gives_the_same_trace_whatever_the_hash_of_strings_is(capsys):
    main(["--seed", str(SEED), "--days", "2"])
    here = capsys.readouterr().out.splitlines()[-1]
    assert {printed(SEED, "1"), printed(SEED, "4242")} == {here}


def test_another_seed_gives_another_trace():
    assert live_a_world("5", 1).trace.digest != live_a_world("6", 1).trace.digest


def test_no_thread_is_started_and_no_time_is_slept(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a real thread or a real sleep")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr("time.sleep", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    assert live_a_world(str(SEED), 1).violation is None
