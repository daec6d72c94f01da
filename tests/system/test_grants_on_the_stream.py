"""No view of the stream shows a token what it was not granted: neither in snapshots nor in updates."""

import asyncio
import contextlib
import itertools
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from riskengine.serve.stream.uvicorn_server import make_server
from riskengine.views.subscription import VIEWS
from tests.serve.guarded import HOUSE, Guarded, bearer
from tests.world import NOON, check_row, row

PLACES: tuple[dict[str, str], ...] = (
    {"node": "ALL"},
    {"node": "ZETABOOK"},
    {"node": "ZETADESK"},
    {"node": "OURBOOK"},
    {"node": "OURDESK"},
    {"node": "nothing"},
    {"dealer": "zoltan"},
    {"dealer": "ann"},
    {"dealer": "nobody"},
    {},
)
HIDDEN = (
    "ZETA",
    "zeta",
    "zoltan",
    "777123",
    "31337",
    "31339",
    "98765.4",
    "54321",
    "45454",
    "56565",
    "67676",
    "78787",
    "424242",
    "8675309",
)
SEEN: dict[str, dict[str, set[str]]] = {
    "dealer": {"nodes": {"OURDESK"}, "dealers": {"ann"}},
    "viewer": {"nodes": {"OURDESK"}, "dealers": {"ann"}},
    "only dealer": {"nodes": set(), "dealers": {"ann"}},
    "only node": {"nodes": {"OURBOOK", "OURDESK"}, "dealers": set()},
    "feed": {"nodes": set(), "dealers": set()},
}


async def follow(client: ClientConnection, seconds: float) -> list[str]:
    """Everything that arrives for a while, as text."""
    heard: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                heard.append(str(await client.recv()))
    return heard


async def everything_heard(house: Guarded, name: str) -> list[str]:
    """Subscribe to every view of every place, while both desks trade."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = make_server(house.app, house.gateway.config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/stream"
    heard: list[str] = []
    try:
        async with connect(url, proxy=None, max_size=None, additional_headers=bearer(house.tokens[name])) as client:
            await client.send(json.dumps({"op": "configure", "max_hz": 10}))
            for view, place in itertools.product(VIEWS, PLACES):
                asked = {"op": "subscribe", "id": f"{view} {PLACES.index(place)}", "view": view}
                await client.send(json.dumps(asked | place))
            heard += await follow(client, 1.0)
            for number, (desk, dealer) in enumerate((("ZETADESK", "zoltan"), ("OURDESK", "ann"), ("ZETADESK", "zoltan"))):
                quantity = "424242.5" if dealer == "zoltan" else "5"
                sent = row(f"live-{number}", desk=desk, dealer=dealer, instrument="EURGBP", quantity=quantity, ts=NOON + 9)
                house.gateway.engine.apply([check_row(sent, NOON, HOUSE)], house.gateway.clock.now(), number)
                house.gateway.publish()
                heard += await follow(client, 0.3)
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)
    return heard


@pytest.mark.parametrize("name", SEEN)
def test_nobody_is_shown_another_desk_by_any_view(tmp_path: Path, name: str) -> None:
    house = Guarded(tmp_path).with_trades()
    heard = asyncio.run(everything_heard(house, name))
    messages: list[Any] = [json.loads(text) for text in heard]
    for message, text in zip(messages, heard, strict=True):
        said = text
        if message["type"] == "error":  # it repeats the request
            for place in PLACES:
                said = said.replace(repr(next(iter(place.values()), "-")), "")
        assert not [word for word in HIDDEN if word in said], text[:2_000]
    assert {message["title"] for message in messages if message["type"] == "error"} >= {"not allowed"}
    snapshots = [message for message in messages if message["type"] == "snapshot"]
    for view, key in (("nodes", "node"), ("dealers", "dealer")):
        [rows] = [message["rows"] for message in snapshots if message["id"] == f"{view} {PLACES.index({})}"]
        assert {shown[key] for shown in rows} == SEEN[name][view]
    updated = json.dumps([message["views"] for message in messages if message["type"] == "update"])
    assert ("trade_count" in updated) == (name != "feed"), "what is theirs moves"


def test_the_search_finds_what_is_not_hidden(tmp_path: Path) -> None:
    text = "".join(asyncio.run(everything_heard(Guarded(tmp_path).with_trades(), "boss")))
    assert {"ZETADESK", "zoltan", "424242"} <= {word for word in (*HIDDEN, "ZETADESK") if word in text}
