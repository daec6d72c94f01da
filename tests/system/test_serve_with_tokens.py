"""The real program with tokens: the commands that keep them, the engine that follows, the commands that talk to it, the trail."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from websockets.sync.client import connect

from tests.running import ENVIRONMENT, Server, begin, command, commands, running
from tests.waiting import wait_until
from tests.web.browsing import chromium, opened
from tests.world import INSTRUMENTS, PARENTS, row


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a small house, and a file of tokens."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "nodes.csv").write_text("node,parent\n" + "".join(f"{node},{parent}\n" for node, parent in PARENTS.items()))
    lines = [json.dumps(each) for each in INSTRUMENTS]
    (folder / "instruments.ndjson").write_text("\n".join(lines))
    tokens: dict[str, tuple[str, ...]] = {
        "ann": ("--role", "dealer", "--node", "FX1"),
        "bea": ("--role", "dealer", "--node", "FX1", "--dealer", "bea", "--book"),
        "boss": ("--role", "ops"),
        "prices": ("--role", "feed"),
        "old": ("--role", "viewer", "--node", "FX1"),
        "wall": ("--role", "viewer", "--node", "*", "--dealer", "*"),
    }
    nodes_loaded, instruments_loaded, *made = commands(
        ("load", "nodes", folder / "nodes.csv", "--store", store(folder)),
        ("load", "instruments", folder / "instruments.ndjson", "--store", store(folder)),
        *(("token", "create", name, *words, "--tokens", str(folder / "tokens.toml")) for name, words in tokens.items()),
    )
    assert nodes_loaded.returncode == instruments_loaded.returncode == 0
    for name, done in zip(tokens, made, strict=True):
        (folder / name).write_text(done.stdout.strip())
    return folder


def store(folder: Path) -> str:
    return f"sqlite:///{folder}/desk.db"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    words = ("serve", "--store", store(folder), "--tokens", folder / "tokens.toml", "--port", "0")
    with running(*words, log=folder / "log") as server:
        yield server


def asked(server: Server, folder: Path, name: str, path: str, body: Any = None, status: int = 200) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {(folder / name).read_text()}"}
    return server.ask(Request(server.url + path, data, headers), status=status)


def trail(folder: Path, kind: str) -> list[dict[str, Any]]:
    done = command("audit", "show", "--store", store(folder), "--kind", kind, "--json")
    assert done.returncode == 0, done.stderr
    entries: list[dict[str, Any]] = json.loads(done.stdout)["entries"]
    return entries


def test_each_role_does_what_it_may(server: Server, folder: Path) -> None:
    server.get("/v1/nodes", status=401)
    trades = [row("p1"), row("p2", desk="EQ1", dealer="bob", instrument="ACME", price="40"), row("p3", desk="FX2", dealer="ann")]
    asked(server, folder, "ann", "/v1/trades", trades, status=403)
    assert asked(server, folder, "prices", "/v1/trades", trades)["counts"]["applied"] == 3
    assert [each["trade_id"] for each in asked(server, folder, "ann", "/v1/trades")["rows"]] == ["p1"]
    assert asked(server, folder, "boss", "/v1/trades")["total"] == asked(server, folder, "wall", "/v1/trades")["total"] == 3
    assert [each["node"] for each in asked(server, folder, "ann", "/v1/nodes")["rows"]] == ["FX1"]
    asked(server, folder, "ann", "/v1/nodes/EQ1", status=403)
    asked(server, folder, "ann", "/v1/reconcile", {}, status=403)
    assert asked(server, folder, "boss", "/v1/reconcile", {"repair": False})["clean"]


def test_a_dealer_books_for_the_own_desk_and_the_trail_names_the_dealer(server: Server, folder: Path) -> None:
    own = row("v1", dealer="bea") | {"source": "manual"}
    checked = asked(server, folder, "bea", "/v1/trades/check", [own, own | {"desk": "FX2"}])
    assert [one["status"] for one in checked["results"]] == ["applied", "rejected"]
    booked = asked(server, folder, "bea", "/v1/trades", [own, own | {"trade_id": "v2", "desk": "FX2"}])
    assert [one["status"] for one in booked["results"]] == ["applied", "rejected"]
    cancel = {"trade_id": "v1", "version": 2, "action": "cancel"}
    assert asked(server, folder, "bea", "/v1/trades", cancel)["counts"]["applied"] == 1
    assert asked(server, folder, "boss", "/v1/trades?source=manual&versions=all")["total"] == 2
    wait_until(lambda: len(trail(folder, "booked")) == 2, 10)
    assert {entry["actor"] for entry in trail(folder, "booked")} == {"bea"}


def test_commands_show_their_token(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("reconcile", "--engine", server.url, "--store", store(folder))
    assert command(*words).returncode == 2
    monkeypatch.setitem(ENVIRONMENT, "RISKENGINE_TOKEN", (folder / "boss").read_text())
    done = command(*words)
    assert done.returncode == 0, done.stderr
    (folder / "ticks.csv").write_text("instrument,ts,mid\nEURUSD,2026-11-20T12:00:00Z,1.2\n")
    monkeypatch.setitem(ENVIRONMENT, "RISKENGINE_TOKEN", (folder / "prices").read_text())
    done = command("replay", "--ticks", folder / "ticks.csv", "--to", server.url)
    assert done.returncode == 0, done.stderr


def test_a_revoked_token_is_cut_off_within_a_second(server: Server, folder: Path) -> None:
    headers = {"Authorization": f"Bearer {(folder / 'old').read_text()}"}
    url = server.url.replace("http", "ws") + "/v1/stream"
    with connect(url, additional_headers=headers, proxy=None) as socket:
        assert json.loads(socket.recv(timeout=5))["type"] == "hello"
        assert command("token", "revoke", "old", "--tokens", folder / "tokens.toml").returncode == 0
        revoked = time.monotonic()
        while (message := json.loads(socket.recv(timeout=5)))["type"] != "error":
            pass
        assert message["title"] == "token revoked"
        assert time.monotonic() - revoked < 1.0
    asked(server, folder, "old", "/v1/nodes", status=401)


def test_refusals_and_actions_stand_in_the_trail_with_who_it_was(server: Server, folder: Path) -> None:
    asked(server, folder, "ann", "/v1/digest", status=403)
    server.get("/v1/holdings", status=401)
    asked(server, folder, "boss", "/v1/reconcile", {"repair": True})
    deadline = time.monotonic() + 10
    while not trail(folder, "refused") and time.monotonic() < deadline:
        time.sleep(0.1)
    refused = {(entry["actor"], entry["subject"], entry["detail"]["reason"]) for entry in trail(folder, "refused")}
    assert {("ann", "/v1/digest", "grant"), ("stranger at 127.0.0.1", "/v1/holdings", "token")} <= refused
    assert "boss" in {entry["actor"] for entry in trail(folder, "reconcile")}
    assert (folder / "boss").read_text() not in json.dumps(trail(folder, "refused"))
    done = command("audit", "verify", "--store", store(folder))
    assert done.returncode == 0, done.stdout


def log_in(page: Any, text: str) -> None:
    page.fill("#token", text)
    page.get_by_role("button", name="Log in").click()


def test_a_person_logs_in_at_the_page_and_is_led_back_when_the_token_ends(server: Server, folder: Path) -> None:
    tokens = ("--tokens", folder / "tokens.toml")
    text = command("token", "create", "guest", "--role", "viewer", "--node", "FX", *tokens).stdout.strip()
    time.sleep(1.0)
    with chromium() as browser, opened(browser, server.url, expected=("401", "WebSocket connection to")) as page:
        page.wait_for_url("**/login")
        log_in(page, "rt_wrong")
        page.get_by_text("This token is not valid.").wait_for()
        log_in(page, text)
        page.locator(".tree-items .name", has_text="FX1").wait_for()
        assert not {"ALL", "EQ1"} & set(page.locator(".tree-items .name").all_text_contents())
        assert page.evaluate("() => document.cookie") == ""
        page.get_by_role("button", name="guest").click()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        log_in(page, text)
        page.locator(".tree-items .name", has_text="FX1").wait_for()
        assert command("token", "revoke", "guest", *tokens).returncode == 0
        page.wait_for_url("**/login")


def test_a_start_without_the_file_is_refused(folder: Path) -> None:
    words = ("serve", "--store", f"sqlite:///{folder}/other.db", "--tokens", folder / "none", "--port", "0")
    process = begin(*words, log=folder / "none.log")
    assert process.wait(30) == 1
    assert process.stdout is not None
    process.stdout.close()
    assert "cannot be read: No such file or directory" in (folder / "none.log").read_text()
    assert not (folder / "other.db").exists(), "before anything else"


def test_no_token_is_kept_anywhere(server: Server, folder: Path) -> None:
    texts = [(folder / name).read_text() for name in ("ann", "boss", "prices", "wall")]
    written = (folder / "log").read_text() + (folder / "tokens.toml").read_text()
    with sqlite3.connect(folder / "desk.db") as database:
        written += "".join(str(each) for each in database.execute("SELECT * FROM audit"))
    database.close()
    assert not any(text in written for text in texts)
