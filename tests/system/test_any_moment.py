"""A short day of the demo: what the stream said at a thousand places is what is asked for afterwards, to the last digit."""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.running import Server, running

CELLS = 1_000
MOMENTS = 5
LONGEST_S = 40.0
VIEWS: Mapping[str, tuple[dict[str, str], str]] = {
    "nodes": ({}, "/v1/nodes?"),
    "dealers": ({}, "/v1/dealers?limit=1000&"),
    "ladder": ({"node": "ALL"}, "/v1/ladder?"),
    "risk": ({"node": "ALL"}, "/v1/risk?"),
    "exposure": ({"by": "currency", "node": "ALL"}, "/v1/exposure?by=currency&"),
}

KEYS = {"nodes": ("node",), "dealers": ("dealer",), "ladder": ("instrument",), "risk": ("instrument",), "exposure": ("currency",)}

Rows = dict[tuple[Any, ...], dict[str, Any]]


class Shown(NamedTuple):
    """What a screen showed at one update."""

    epoch: int
    seq: int
    as_of: int
    views: dict[str, Rows]


class Screen:
    """Keeps every state that a connection went through."""

    def __init__(self, stream: ClientConnection) -> None:
        self._stream = stream
        self._views: dict[str, Rows] = {}
        self.shown: list[Shown] = []
        stream.send(json.dumps({"op": "configure", "max_hz": 10}))
        for view, (of, _) in VIEWS.items():
            stream.send(json.dumps({"op": "subscribe", "id": view, "view": view, **of}))

    def watch(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = json.loads(self._stream.recv(timeout=20))
            if message["type"] == "snapshot":
                assert tuple(message["key"]) == KEYS[message["id"]]
                self._views[message["id"]] = {self._key(message["id"], row): row for row in message["rows"]}
            elif message["type"] == "update":
                for view, change in message["views"].items():
                    self._patch(view, change)
                if len(self._views) == len(VIEWS):
                    self.shown.append(Shown(message["epoch"], message["seq"], message["as_of"], dict(self._views)))

    def _key(self, view: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[field] for field in KEYS[view])

    def _patch(self, view: str, change: Mapping[str, Any]) -> None:
        rows = dict(self._views[view])
        for row in change["rows"]:
            key = self._key(view, row)
            rows[key] = {**rows.get(key, {}), **row}
        for key in change["removed"]:
            rows.pop(tuple(key), None)
        self._views[view] = rows


def recorded(path: Path, shown: list[Shown]) -> list[Shown]:
    """What was shown at recorded instants."""
    with closing(sqlite3.connect(path)) as store:
        instants = {(epoch, seq) for epoch, seq in store.execute("SELECT epoch, seq FROM journal")}
    return [each for each in shown if (each.epoch, each.seq) in instants]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Shown]]]:
    """The demo at ten times the speed: its clock's second is a tenth of one, so that many an update is a recorded instant."""
    folder = tmp_path_factory.mktemp("day")
    path = folder / "demo.db"
    with running("demo", "--port", "0", "--clock", "10x", "--store", f"sqlite:///{path}", log=folder / "log") as server:
        with connect(f"ws{server.url.removeprefix('http')}/v1/stream", proxy=None, max_size=None) as stream:
            screen, end = Screen(stream), time.monotonic() + LONGEST_S
            while len(found := recorded(path, screen.shown)) < MOMENTS and time.monotonic() < end:
                screen.watch(1.0)
        yield server, found


def test_a_thousand_cells_of_the_day_are_what_the_stream_said(day: tuple[Server, list[Shown]]) -> None:
    server, moments = day
    random, compared = Random(17), 0
    assert len(moments) >= MOMENTS
    for shown in random.sample(moments, MOMENTS):
        for view, (_, path) in VIEWS.items():
            told = server.get(f"{path}as_of={shown.as_of}")
            assert (told["epoch"], told["seq"], told["as_of"]) == (shown.epoch, shown.seq, shown.as_of)
            assert told["moment"] == {"asked": shown.as_of, "exact_at": shown.as_of, "known": "then", "unknown": []}
            rows = {tuple(row[field] for field in KEYS[view]): row for row in told["rows"]}
            assert rows.keys() == shown.views[view].keys()
            cells = [(key, field) for key, row in shown.views[view].items() for field in row]
            for key, field in random.sample(cells, min(len(cells), CELLS // MOMENTS)):
                assert rows[key].get(field) == shown.views[view][key][field], (shown.seq, view, key, field)
                compared += 1
    assert compared >= CELLS


def test_the_past_goes_back_to_the_start_of_the_journal_and_not_before_the_store(day: tuple[Server, list[Shown]]) -> None:
    server, moments = day
    first = min(shown.as_of for shown in moments)
    long_ago = server.get(f"/v1/nodes?as_of={first - 3600 * 1_000_000}")
    assert long_ago["moment"]["exact_at"] is None
    assert long_ago["moment"]["unknown"]
    told = server.get("/v1/nodes?as_of=1990-01-01T00:00:00Z", status=404)
    assert told["type"] == "urn:riskengine:before-the-store"


def test_questions_about_the_past_leave_the_engine_as_it_is(day: tuple[Server, list[Shown]]) -> None:
    server, moments = day
    before = server.get("/v1/status")["counts"]["applied"]
    for shown in moments[:3]:
        server.get(f"/v1/ladder?as_of={shown.as_of}&known=now")
    after = server.get("/v1/status")
    assert after["state"] == "live"
    assert after["counts"]["applied"] >= before
