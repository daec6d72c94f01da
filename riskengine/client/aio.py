"""The client for asyncio programs."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Self

import httpx

from riskengine.client.exchange import Call, Exchange, GetToken, NoAnswer, Pause, Reply, Rows, Send
from riskengine.client.feed import State
from riskengine.client.link import retry_after
from riskengine.client.publisher import Publisher
from riskengine.client.requests import Requests
from riskengine.client.session import REQUEST_TIMEOUT_S, Session, Token, error_text, http_options, request_of
from riskengine.client.stream import Stream, Subscription


class AsyncClient(Requests[Awaitable[Rows], Awaitable[dict[str, Any]]]):
    """Talks to an engine from an asyncio program. Use it on one event loop, in an `async with` block, or call `close`.

    `token` is a text, or a function or coroutine function that returns one. The client calls it at every connection of the
    stream and again when an answer says that the last token has expired. `ssl_context` sets which certificates to trust if the
    URL is https. `max_hz` limits price-driven updates (0.2 to 10), `encoding` is json or msgpack, and `compression` deflates the
    stream.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8321",
        *,
        token: Token = None,
        ssl_context: ssl.SSLContext | None = None,
        max_hz: float | None = None,
        encoding: str = "json",
        compression: bool = False,
        read_retry_s: float = 0.0,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._session = Session(url, token, ssl_context, encoding, compression)
        self.renews_token = self._session.renews_token
        self.read_retry_s = read_retry_s
        self._token: str | None = None
        self._http = httpx.AsyncClient(**http_options(self._session, timeout_s))
        self._stream = Stream(self._session, max_hz)

    def subscribe(self, view: str, *, node: str | None = None, dealer: str | None = None, by: str | None = None) -> Subscription:
        """Subscribe to a view: nodes, dealers, ladder, risk, exposure (`by`) or status. They all share one connection."""
        return self._stream.subscribe(view, node=node, dealer=dealer, by=by)

    def together(self, *subscriptions: Subscription) -> AsyncGenerator[tuple[State, ...], None]:
        """States of several subscriptions, each tuple of one snapshot."""
        return self._stream.together(*subscriptions)

    def publisher(self, source: str | None = None) -> Publisher:
        """A websocket that sends ticks, trades, vols, rates and Greeks; close it first. It reports that `source` is alive."""
        return Publisher(self._session, source)

    async def close(self) -> None:
        """End subscriptions and connections. Calling it again does nothing."""
        await self._stream.close()
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, steps: Exchange) -> Any:
        try:
            step = next(steps)
            while True:
                match step:
                    case Send(call, token):
                        step = steps.send(await self._send(call, token))
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                        step = steps.send(None)
                    case GetToken(again):
                        step = steps.send(await self._give_token(again))
        except StopIteration as done:
            return done.value

    async def _send(self, call: Call, token: str | None) -> Reply | NoAnswer:
        try:
            answer = await self._http.request(**request_of(call, token))
        except httpx.TransportError as failed:
            return NoAnswer(f"no answer from {self._session.base_url}{call.path}: {error_text(failed)}")
        return Reply(answer.status_code, answer.content, retry_after(answer.headers.get("retry-after")))

    async def _give_token(self, again: bool) -> str | None:
        if again or self._token is None:
            self._token = await self._session.give_token()
        return self._token

    _ask_rows = _ask
