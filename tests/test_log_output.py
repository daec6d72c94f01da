"""The log never holds up the thread that logs: lines that nobody reads are dropped, counted, and told afterwards."""

import json
import os
import threading
import time

import pytest

from riskengine import log_output
from riskengine.log_output import LogOutput


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    yield reading, stream
    os.close(reading)


def lost(count: int) -> str:
    return f"lost {count}\n"


def read_until(reading: int, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        found += os.read(reading, 65_536)
    return found


def test_lines_are_written_in_order(pipe):
    output = LogOutput(pipe[1], lost)
    for number in range(100):
        output.put(f"line {number}\n")
    assert output.flush(5.0)
    assert read_until(pipe[0], b"line 99\n").decode().splitlines() == [f"line {number}" for number in range(100)]
    assert (output.dropped, output.is_losing) == (0, False)


def test_nobody_waits_for_a_reader_that_has_stopped_and_what_is_lost_is_told_once_it_reads_again(pipe, monkeypatch):
    monkeypatch.setattr(log_output, "MAX_WAITING_BYTES", 200_000)
    output = LogOutput(pipe[1], lost)
    line = "x" * 999 + "\n"
    began = time.monotonic()
    for _ in range(1_000):
        output.put(line)
    assert time.monotonic() - began < 1.0
    assert not output.flush(0.05)  # within its bound
    assert output.is_losing
    dropped = output.dropped
    assert 700 <= dropped <= 900
    found = read_until(pipe[0], lost(dropped).encode())
    assert found.count(line.encode()) == 1_000 - dropped
    assert output.flush(5.0)
    deadline = time.monotonic() + 5.0
    while output.is_losing and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (output.dropped, output.is_losing) == (dropped, False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_lines_that_a_full_disk_refuses_are_counted():
    with open("/dev/full", "w") as full:
        output = LogOutput(full, lost)
        output.put("one\n")
        output.put("two\n")
        output.flush(5.0)
        assert output.dropped == 2
        assert output.is_losing


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_what_gets_the_number_of_a_closed_stream_is_never_written_to(monkeypatch):
    monkeypatch.setattr(log_output, "TELL_AGAIN_S", 0.01)
    reading, writing = os.pipe()
    with open("/dev/full", "w") as full:
        number = full.fileno()
        output = LogOutput(full, lost)
        output.put("one\n")
        output.flush(5.0)
    os.dup2(writing, number)
    os.close(writing)
    time.sleep(0.5)  # it goes on trying to tell of the lost line
    os.close(number)
    assert os.read(reading, 100) == b""
    os.close(reading)


def test_a_stream_without_a_file_is_written_at_once(capsys):
    import sys

    LogOutput(sys.stderr, lost).put("now\n")
    assert capsys.readouterr().err == "now\n"
    LogOutput(None, lost).put("nowhere\n")


def test_a_forked_child_writes_its_own_lines(pipe):
    output = LogOutput(pipe[1], lost)
    output.put("parent\n")
    assert output.flush(5.0)
    child = os.fork()
    if not child:
        output.put("child\n")
        os._exit(0 if output.flush(5.0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert read_until(pipe[0], b"child\n") == b"parent\nchild\n"


def test_many_threads_write_whole_lines(pipe):
    output = LogOutput(pipe[1], lost)

    def write(name: str) -> None:
        for number in range(200):
            output.put(json.dumps({"name": name, "number": number}) + "\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    output.put("end\n")
    lines = read_until(pipe[0], b"end\n").decode().splitlines()[:-1]
    found = [json.loads(line) for line in lines]
    assert [each["number"] for each in found if each["name"] == "c"] == list(range(200))
    assert len(found) == 800
