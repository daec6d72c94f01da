"""Cases D1, D6 and D7: a log that nobody reads, names that act on a terminal, outputs that are closed or full, signals."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from riskengine.cli.watch import ONCE_S
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.open_store import open_store
from tests.running import ENVIRONMENT, ROOT, Server, command, running
from tests.serve.raw_client import HANDSHAKE

PROGRAM = [sys.executable, "-m", "riskengine.cli"]
ODD = "de\x1b[31msk\x9b2J\u202eABC"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def url_of(line: bytes) -> str:
    found = re.search(rb"http://\S+", line)
    assert found, line
    return found.group().decode().rstrip("/")


def wait_until_live(server: Server) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(AssertionError, OSError):
            server.get("/readyz")
            return
        time.sleep(0.05)
    raise AssertionError("not live")


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """A store with a desk, an instrument, a trade."""
    (tmp_path / "nodes.csv").write_text("node,level,parent\nALL,total,\nFX1,desk,ALL\nZürichŁódź,desk,ALL\n")
    (tmp_path / "instruments.csv").write_text("instrument,kind,base_currency,quote_currency\nEURUSD,fx,EUR,USD\n")
    for kind in ("nodes", "instruments"):
        done = command("load", kind, tmp_path / f"{kind}.csv", "--store", f"sqlite:///{tmp_path / 'desk.db'}")
        assert done.returncode == 0, done.stderr
    return tmp_path / "desk.db"


def trade(name: str) -> dict[str, object]:
    now = time.time_ns() // 1_000
    return {"trade_id": name, "ts": now, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 1000, "price": "1.25"}


# -- D1 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def unread(store_path: Path) -> Iterator[tuple[Server, int]]:
    """A server, and the end of its stderr that nobody reads."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--store", f"sqlite:///{store_path}", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=writing,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    os.close(writing)
    assert process.stdout is not None
    try:
        server = Server(process, url_of(process.stdout.readline()))
        wait_until_live(server)
        yield server, reading
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
        os.close(reading)


def make_lines(server: Server, count: int, size: int = 0) -> None:
    """Have the server log a line of at least that size for each of so many handshakes."""
    port = int(server.url.rpartition(":")[2])
    handshake = HANDSHAKE.format(path=f"/v1/stream?encoding={'x' * size}", port=port).encode()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
            one.sendall(handshake)
            assert b" 400 " in one.recv(1_000)


def warnings(server: Server) -> dict[str, str]:
    return {row["kind"]: row["text"] for row in server.get("/v1/status")["warnings"]}


def test_a_log_that_nobody_reads_stops_nothing(unread):
    server, _ = unread
    make_lines(server, 400, 200)
    assert server.get("/healthz") == {"status": "alive"}
    assert server.post("/v1/trades", trade("T1"))["counts"]["applied"] == 1
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < 5.0


def test_lost_lines_are_counted_and_told_on_every_screen_and_in_the_log_once_it_is_read(unread):
    server, reading = unread
    make_lines(server, 300, 7_000)
    lost = re.search(rb"\nriskengine_log_lines_lost_total (\S+)", server.get("/metrics", raw=True))
    assert lost and float(lost[1]) > 50
    deadline = time.monotonic() + 10
    while "log" not in warnings(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "stderr" in warnings(server)["log"]
    assert server.post("/v1/trades", trade("T1"))["counts"]["applied"] == 1
    found = bytearray()

    def read() -> None:
        while part := os.read(reading, 65_536):
            found.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    while "log" in warnings(server) and time.monotonic() < deadline + 20:
        time.sleep(0.1)
    assert "log" not in warnings(server)
    assert server.stop() == 0
    reader.join(10)
    told = [json.loads(line) for line in found.decode().splitlines()]
    counts = [each["count"] for each in told if each["event"] == "log_lines_lost"]
    assert sum(counts) >= float(lost[1])


# -- D6 ------------------------------------------------------------------------------------------------------------


def test_names_and_comments_of_others_never_reach_a_terminal_raw(store_path, tmp_path):
    store = f"sqlite:///{store_path}"
    with closing(sqlite3.connect(store_path)) as other, other:
        other.execute("INSERT INTO nodes (node, level, parent) VALUES (?, 'desk', 'ALL')", (ODD,))
    with closing(open_store(store)) as opened:
        opened.record([AuditEvent("comment", ODD, {"comment": ODD}, "ann\x9b")])
    (tmp_path / "trades.csv").write_text(
        f"trade_id,ts,instrument,desk,side,quantity,price\nT\x9b1,2026-01-05T00:00:00Z,EUR\x9bUSD,{ODD},buy,1,1.1\n"
    )
    with running("serve", "--store", store, "--port", "0", log=tmp_path / "log") as server:
        outputs = [
            command(*words)
            for words in (
                ("rebuild", "--store", store),
                ("rebuild", "--store", store, "--json"),
                ("audit", "show", "--store", store),
                ("audit", "show", "--store", store, "--json"),
                ("audit", "show", "--store", store, "--node", f"{ODD}\x9b"),
                ("load", "trades", tmp_path / "trades.csv", "--store", store),
                ("reconcile", "--engine", server.url, "--store", store),
                ("watch", "--once", "--tree", "--url", server.url),
                ("watch", "--once", "--node", ODD, "--url", server.url),
                ("check-config", f"{tmp_path}/no\x9bfile"),
                ("token", "create", ODD, "--role", "feed", "--tokens", tmp_path / "tokens.toml"),
            )
        ]
    outputs.append(subprocess.CompletedProcess([], 0, "", (tmp_path / "log").read_text()))
    for done in outputs:
        for text in (done.stdout, done.stderr):
            assert not CONTROL.search(text), (done.args, text)
            assert "Traceback" not in text
    assert "desk" not in outputs[0].stderr
    assert "de\\x1b[31msk\\x9b2J\\u202eABC" in outputs[0].stdout
    assert ODD in [row["node"] for row in json.loads(outputs[1].stdout)["nodes"]]
    assert "\\u202e" in outputs[2].stdout
    assert "\\u202e" in outputs[7].stdout


# -- D7 ------------------------------------------------------------------------------------------------------------


def shell(line: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    words = " ".join(f"'{word}'" for word in PROGRAM)
    return subprocess.run(
        ["sh", "-c", line.replace("riskengine", words)],
        capture_output=True,
        env=ENVIRONMENT | environment,
        cwd=ROOT,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
@pytest.mark.parametrize(
    ("words", "status"), [("rebuild", 1), ("rebuild --json", 1), ("audit show", 1), ("audit verify", 2), ("--version", 1)]
)
def test_a_result_that_cannot_be_printed_is_one_line_and_a_failure(store_path, words, status, where):
    store = "" if words.startswith("--") else f" --store sqlite:///{store_path}"
    done = shell(f"riskengine {words}{store} {where}")
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("riskengine: stdout ")
    assert ("is closed" if where == ">&-" else "No space left on device") in line
    assert done.returncode == status


def test_a_command_without_stderr_works(store_path):
    done = shell(f"riskengine rebuild --store sqlite:///{store_path} 2>&-")
    assert done.returncode == 0
    assert b"digest" in done.stdout
    assert shell(f"riskengine rebuild --store sqlite:///{store_path}.no 2>&-").returncode == 1
    assert shell(f"riskengine rebuild --store sqlite:///{store_path}.no 2>/dev/full").returncode == 1


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}])
def test_names_that_the_terminal_cannot_show_are_escaped(store_path, environment):
    done = shell(f"riskengine rebuild --store sqlite:///{store_path}", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u0141" in done.stdout
    rows = json.loads(shell(f"riskengine rebuild --json --store sqlite:///{store_path}", **environment).stdout)["nodes"]
    assert "ZürichŁódź" in [row["node"] for row in rows]


@pytest.mark.parametrize("where", [">&-", "> /dev/full", ">&- 2>&- <&-"])
def test_serve_needs_no_stdout(store_path, where):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = " ".join(f"'{word}'" for word in PROGRAM)
    with subprocess.Popen(
        ["sh", "-c", f"exec {words} serve --store sqlite:///{store_path} --port {port} {where}"],
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        try:
            server = Server(process, f"http://127.0.0.1:{port}")
            wait_until_live(server)
            assert server.post("/v1/trades", trade("T1"))["counts"]["applied"] == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert b"Traceback" not in process.stderr.read()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_in_order(store_path, tmp_path, number):
    """Streams get their bye, marks are stored, the lease is given back."""
    with running("serve", "--store", f"sqlite:///{store_path}", "--port", "0", log=tmp_path / "log") as server:
        now = time.time_ns() // 1_000
        with connect(server.url.replace("http", "ws") + "/v1/stream", proxy=None) as screen:
            assert json.loads(screen.recv(10))["type"] == "hello"
            server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": now, "mid": 1.234}])
            server.process.send_signal(number)
            said = []
            with suppress(Exception):
                while True:
                    said.append(json.loads(screen.recv(10))["type"])
        assert "bye" in said
        assert server.process.wait(20) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    with closing(sqlite3.connect(store_path)) as store:
        assert store.execute("SELECT price FROM marks").fetchall() == [(1.234,)]
    open_store(f"sqlite:///{store_path}", writer="test").close()


def test_hangup_stays_ignored_where_the_parent_ignores_it(store_path, tmp_path):
    with subprocess.Popen(
        ["nohup", *PROGRAM, "serve", "--store", f"sqlite:///{store_path}", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            server = Server(process, url_of(process.stdout.readline()))
            wait_until_live(server)
            process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            server.get("/healthz")
            assert server.stop() == 0
        finally:
            process.kill()


@pytest.mark.parametrize("pause_s", [0.0, 0.02, 0.2])
def test_a_second_interrupt_is_no_traceback(store_path, tmp_path, pause_s):
    with (
        running("serve", "--store", f"sqlite:///{store_path}", "--port", "0", log=tmp_path / "log") as server,
        connect(server.url.replace("http", "ws") + "/v1/stream", proxy=None),
    ):
        server.process.send_signal(signal.SIGINT)
        time.sleep(pause_s)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


# -- a demo that was killed, a token for nobody, a screen without an engine -----------------------------------------


def test_a_killed_demo_leaves_nothing_behind_at_the_next(tmp_path):
    place = tmp_path / "tmp"
    place.mkdir()
    (place / "riskengine-demo-not-ours").mkdir()  # young, without a lock: perhaps one that begins
    environment = {"TMPDIR": str(place)}
    with running("demo", "--port", "0", log=tmp_path / "log", environment=environment) as first:
        first.kill()
    assert len(list(place.iterdir())) == 2
    with running("demo", "--port", "0", log=tmp_path / "log", environment=environment) as second:
        with running("demo", "--port", "0", log=tmp_path / "log", environment=environment) as third:
            assert len(list(place.iterdir())) == 3
            assert third.stop() == 0
        second.get("/v1/nodes")
        assert second.stop() == 0
    assert [each.name for each in place.iterdir()] == ["riskengine-demo-not-ours"]


def test_a_token_for_a_node_that_is_not_there_is_refused_with_the_nearest(store_path, tmp_path):
    words = ("token", "create", "ann", "--role", "viewer", "--tokens", tmp_path / "tokens.toml")
    store = ("--store", f"sqlite:///{store_path}")
    for option in ("--node", "--total"):
        refused = command(*words, option, "FX2", *store)
        assert refused.returncode == 1
        assert "there is no node 'FX2'" in refused.stderr and "did you mean 'FX1'" in refused.stderr
        assert refused.stdout == ""
    assert not (tmp_path / "tokens.toml").exists()
    unknown = command(*words, "--node", "FX2")
    assert unknown.returncode == 0
    assert unknown.stderr.startswith("riskengine: WARNING: not checked whether the nodes exist: no store is named")
    other = ("token", "create", "bob", "--role", "viewer", "--tokens", tmp_path / "tokens.toml")
    assert command(*other, "--node", "FX1", "--node", "*", *store).stderr == ""


def test_watch_once_says_at_once_why_it_cannot_connect(store_path, tmp_path):
    tokens = tmp_path / "tokens.toml"
    assert command("token", "create", "ann", "--role", "ops", "--tokens", tokens).returncode == 0
    began = time.monotonic()
    refused = command("watch", "--once", "--url", "http://127.0.0.1:9")
    assert refused.returncode == 1
    assert "no connection to http://127.0.0.1:9" in refused.stderr and len(refused.stderr.splitlines()) == 1
    assert time.monotonic() - began < ONCE_S
    words = ("req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=localhost", "-nodes")
    paths = ("-out", str(tmp_path / "cert.pem"), "-keyout", str(tmp_path / "key.pem"))
    subprocess.run(["openssl", *words, *paths], check=True, capture_output=True)
    config = tmp_path / "config.toml"
    config.write_text(f"[server]\ntls_certificate = '{tmp_path / 'cert.pem'}'\ntls_key = '{tmp_path / 'key.pem'}'\n")
    store = f"sqlite:///{store_path}"
    with running("serve", "--store", store, "--port", "0", "--tokens", tokens, log=tmp_path / "log") as server:
        (tmp_path / "token").write_text("rt_wrong")
        for more in ((), ("--token-file", tmp_path / "token")):
            told = command("watch", "--once", "--url", server.url, *more)
            assert told.returncode == 1
            assert "token" in told.stderr.lower() and len(told.stderr.splitlines()) == 1
    with subprocess.Popen(
        [*PROGRAM, "serve", "--store", store, "--port", "0", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(rb"https://\S+", process.stdout.readline())
            assert found
            told = command("watch", "--once", "--url", found.group().decode())
            assert told.returncode == 1
            assert "certificate" in told.stderr.lower() and len(told.stderr.splitlines()) == 1
        finally:
            process.terminate()
            process.wait(20)


def test_a_source_seq_up_to_2_63_travels_as_a_text(tmp_path, store_path):
    store = f"sqlite:///{store_path}"
    highest = str(2**63 - 1)
    with running("serve", "--store", store, "--port", "0", log=tmp_path / "log") as server:
        assert server.post("/v1/trades", trade("T1") | {"source_seq": highest, "source": "a"})["counts"]["applied"] == 1
        assert server.post("/v1/trades", trade("T2") | {"source_seq": 2**53 - 1})["counts"]["applied"] == 1
        refused = server.post("/v1/trades", trade("T3") | {"source_seq": 2**53})["results"][0]
        assert (refused["status"], "text" in refused["reason"]) == ("rejected", True)
        rows = {row["trade_id"]: row["source_seq"] for row in server.get("/v1/trades")["rows"]}
        assert rows == {"T1": highest, "T2": 2**53 - 1}
        digest = server.get("/v1/digest")["digest"]
        assert server.post("/v1/reconcile", {"repair": False})["clean"]
        assert server.stop() == 0
    again = json.loads(command("rebuild", "--store", store, "--json", "--full").stdout)
    assert again["digest"] == digest
    assert again["counts"]["quarantined"] == 0
