"""Long work on the event loop, in turns of about a millisecond: between two turns other tasks run."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from riskengine.records.decode import ItemParts
from riskengine.records.types import Refusal
from riskengine.serve.answers.coding import GZIP, GzipStream

TURN_S = 0.001
SEND_TIMEOUT_S = 30.0

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_in_turns(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`work` of each item, in order, in turns of about TURN_S. Costs 0.1 us an item beside the work."""
    results: list[Result] = []
    add = results.append
    due = perf_counter() + TURN_S
    for item in items:
        add(work(item))
        if perf_counter() >= due:
            await asyncio.sleep(0)
            due = perf_counter() + TURN_S
    return results


async def decode_items(opened: list[Item] | ItemParts[Item]) -> list[Item | Refusal]:
    """The items of a batch; in turns if they have to be decoded one by one."""
    return list(opened) if isinstance(opened, list) else await map_in_turns(opened.one, enumerate(opened.parts))


class SlicedResponse(Response):
    """An answer that is made while it is sent, one slice a turn, so that the largest costs no more memory than a slice.

    Each turn waits for all other tasks, so an answer of middling size (`fits`) is better built whole in a thread. `slices` starts
    a new iteration for each client. The rest is not made if a client reads nothing for SEND_TIMEOUT_S or goes away. `in_gzip`
    encodes the slices.
    """

    def __init__(
        self,
        slices: Callable[[], Iterator[bytes]],
        headers: Mapping[str, str],
        media_type: str,
        *,
        in_gzip: bool = False,
        fits: bool = False,
    ) -> None:
        coded = {"content-encoding": GZIP} if in_gzip else {}
        super().__init__(None, 200, {**headers, **coded}, media_type)
        del self.headers["content-length"]
        self._slices = slices
        self._in_gzip = in_gzip
        self.fits = fits

    async def whole(self) -> Response:
        """The same answer, built whole in a thread."""
        content = await asyncio.to_thread(lambda: b"".join(self._slices()))
        headers = {name: value for name, value in self.headers.items() if name != "content-type"}
        return Response(content, 200, headers, self.media_type)

    def with_gzip(self, headers: Mapping[str, str]) -> "SlicedResponse":
        """The same answer as gzip, with these headers."""
        assert self.media_type is not None, "its media type was given"
        return SlicedResponse(self._slices, headers, self.media_type, in_gzip=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        disconnected = asyncio.ensure_future(_wait_for_disconnect(receive))
        packer = GzipStream() if self._in_gzip else None
        try:
            for part in self._slices():
                sent = part if packer is None else await packer.pack(part)
                if sent:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await send({"type": "http.response.body", "body": sent, "more_body": True})
                await asyncio.sleep(0)
                if disconnected.done():
                    return
            await send({"type": "http.response.body", "body": b"" if packer is None else packer.finish()})
        except TimeoutError:
            return  # an unfinished answer makes the server close the connection
        finally:
            disconnected.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
