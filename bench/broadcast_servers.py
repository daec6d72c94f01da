"""Yardsticks of a broadcast: servers that only send the same bytes to all clients (`python -m bench.broadcast_servers KIND`).

picows   the minimum in Python: one prepared buffer written to each transport
uvicorn  the usual way: a Starlette endpoint for each client, and a loop that awaits `send_text` for each in turn

Reads one line of options (`payload`, `hz`), prints its URL, broadcasts until stopped. Each round has a new `as_of` in the
payload.
"""

import asyncio
import contextlib
import json
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable

import uvicorn
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.fanout_house import raise_limit

SUBSCRIBED = '{"type":"snapshot","id":"v0","rows":[]}'


async def every(hz: float, payload: str, send: Callable[[str], Awaitable[None]]) -> None:
    """Broadcast at a steady rate."""
    before, after = re.split(r'(?<="as_of":)\d{16}', payload, maxsplit=1)
    due = time.monotonic()
    while True:
        due = max(due + 1 / hz, time.monotonic())
        await asyncio.sleep(due - time.monotonic())
        await send(f"{before}{time.time_ns() // 1_000}{after}")


async def picows(payload: str, hz: float) -> None:
    everybody: set[WSTransport] = set()

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT and b'"subscribe"' in frame.get_payload_as_bytes():
                transport.send(WSMsgType.TEXT, SUBSCRIBED.encode())
                everybody.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            everybody.discard(transport)

    def accept(request: WSUpgradeRequest) -> WSListener:
        return Listener()

    async def send(text: str) -> None:
        message = text.encode()
        for transport in tuple(everybody):
            transport.send(WSMsgType.TEXT, message)

    server = await ws_create_server(accept, "127.0.0.1", 0, backlog=2_048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await every(hz, payload, send)


async def plain_uvicorn(payload: str, hz: float) -> None:
    everybody: set[WebSocket] = set()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                if "subscribe" in await websocket.receive_text():
                    await websocket.send_text(SUBSCRIBED)
                    everybody.add(websocket)
        everybody.discard(websocket)

    async def send(text: str) -> None:
        for websocket in tuple(everybody):
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await websocket.send_text(text)

    app = Starlette(routes=[WebSocketRoute("/v1/stream", endpoint)])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws_per_message_deflate=False))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2_048)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        broadcasting = asyncio.create_task(every(hz, payload, send))
        await server.serve(sockets=[listener])
        broadcasting.cancel()


if __name__ == "__main__":
    raise_limit()
    OPTIONS = json.loads(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(KeyboardInterrupt):
        runner.run((picows if sys.argv[1] == "picows" else plain_uvicorn)(OPTIONS["payload"], OPTIONS["hz"]))
