"""Many clients of the stream in one process, each with its own copy: `python -m replay.swarm_clients swarm OPTIONS`.

`replay/swarm.py` starts it; the two speak the protocol of the client processes of `bench/fanout.py`.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from bench.fanout_clients import CONNECT_AT_ONCE, run
from bench.fanout_wire import WINDOW, Client, Line, line, open_websocket
from replay.swarm_copies import Copies, Copy, Wrong

SAMPLE_S = 0.1
LAST_S = 15.0
"""Time within which the copies must reach the server's state after the last input."""

GONE, NOT_YET = 410, 404


class Swarm:
    """The clients; client n subscribes to the tree and to ladder n of `nodes`."""

    def __init__(self, url: str, nodes: list[str]) -> None:
        self.url = url
        self.nodes = nodes
        self.copies = Copies()
        self.clients: list[Client] = []
        self.node: dict[Client, str] = {}
        self.copy_of: dict[Client, Copy | None] = {}
        self.wrong: list[str] = []
        self.closed = self.sampled = self.too_late = 0

    async def connect(self, number: int, max_hz: float) -> None:
        def on_message(client: Client, message: bytes) -> None:
            try:
                self.copy_of[client] = self.copies.step(self.copy_of.get(client), message)
            except (Wrong, LookupError, TypeError, msgspec.MsgspecError) as problem:
                self.wrong.append(f"client {number}: {problem!r}")
                client.transport.disconnect()

        client = await open_websocket(self.url, "/v1/stream", on_message)
        self.clients.append(client)
        node = self.node[client] = self.nodes[number % len(self.nodes)]
        client.say(op="configure", max_hz=max_hz)
        client.say(op="subscribe", id="nodes", view="nodes")
        client.say(op="subscribe", id="ladder", view="ladder", node=node)
        while not client.closed:
            copy = self.copy_of.get(client)
            if copy is not None and len(copy.views) == 2:
                return
            await asyncio.sleep(0.01)

    def paths(self, client: Client) -> dict[str, str]:
        """The HTTP path of each of a client's views."""
        return {"nodes": "/v1/nodes", "ladder": f"/v1/ladder?node={self.node[client]}"}

    async def sample(self, asked: Line) -> None:
        """Compare random clients' copies with the server's rows of the same seq, until cancelled."""
        dice = random.Random(4)
        while True:
            client = dice.choice(self.clients)
            copy = self.copy_of[client]
            if copy is not None:
                for name, path in self.paths(client).items():
                    await self.compare(asked, path, copy, name, f"&seq={copy.seq}" if "?" in path else f"?seq={copy.seq}")
            await asyncio.sleep(SAMPLE_S)

    async def compare(self, asked: Line, path: str, copy: Copy, name: str, at: str = "") -> bool:
        """Whether a view of a copy equals the server's rows. If `at` names a seq, a difference is noted as wrong."""
        status, body = await asked.ask(path + at)
        if status == GONE:
            self.too_late += 1
            return False
        answer = msgspec.json.decode(body)
        if status != 200:
            self.wrong.append(f"{path}{at}: {status} {answer}")
            return False
        view = copy.views[name]
        rows = {tuple(row[field] for field in view.key): row for row in answer["rows"]}
        equal = rows == view.rows
        if at:
            self.sampled += 1
            if not equal:
                self.wrong.append(f"{path}{at}: {difference(view.rows, rows)}")
        return equal

    async def settle(self, asked: Line) -> int:
        """After the last input, wait up to LAST_S; return the number of clients whose copies differ from the server."""
        end = time.monotonic() + LAST_S
        while True:
            verdicts: dict[tuple[int, str], bool] = {}
            for client in self.clients:
                copy = self.copy_of[client]
                assert copy is not None
                for name, path in self.paths(client).items():
                    if (copy.views[name].number, path) not in verdicts:
                        verdicts[copy.views[name].number, path] = await self.compare(asked, path, copy, name)
            behind = sum(not all(self.is_settled(client, verdicts)) for client in self.clients)
            if not behind or time.monotonic() > end:
                return behind
            await asyncio.sleep(0.5)

    def is_settled(self, client: Client, verdicts: dict[tuple[int, str], bool]) -> Iterator[bool]:
        copy = self.copy_of[client]
        assert copy is not None
        for name, path in self.paths(client).items():
            yield verdicts.get((copy.views[name].number, path), False)


def difference(here: Any, there: Any) -> str:
    """The first difference between two views."""
    for place in here.keys() | there.keys():
        mine, theirs = here.get(place), there.get(place)
        if mine != theirs:
            if mine is None or theirs is None:
                return f"{place}: {mine}, {theirs}"
            names = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
            return f"{place}: " + ", ".join(f"{name} {mine.get(name)}, {theirs.get(name)}" for name in names)
    return "nothing"


async def swarm(options: dict[str, Any], ready: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Run the swarm. Options: `clients`, `max_hz`, `nodes`. Returns the report of the clients."""
    made = Swarm(options["url"], options["nodes"])
    for first in range(0, options["clients"], CONNECT_AT_ONCE):
        numbers = range(first, min(first + CONNECT_AT_ONCE, options["clients"]))
        await asyncio.gather(*(made.connect(number, options["max_hz"]) for number in numbers))
    await ready()
    asked = await line(options["url"])
    sampling = asyncio.create_task(made.sample(asked))
    await asyncio.sleep(max(0.0, WINDOW.last / 1e6 - time.time()))
    sampling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sampling
    behind = await made.settle(await line(options["url"]))
    return {
        "clients": len(made.clients),
        "frames": made.copies.frames,
        "distinct": made.copies.steps,
        "checksums": made.copies.checksums,
        "sampled": made.sampled,
        "too_late": made.too_late,
        "closed": sum(client.closed for client in made.clients),
        "behind_at_the_end": behind,
        "wrong": made.wrong[:10],
        "wrong_count": len(made.wrong),
        "newest_seq": max(copy.seq for copy in made.copy_of.values() if copy is not None),
    }


if __name__ == "__main__":
    run({"swarm": swarm})
