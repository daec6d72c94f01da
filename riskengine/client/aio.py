"""The client for asyncio programs."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Self

import httpx

from riskengine.client.exchange import Call, Exchange, GetToken, Pause, Reply, Rows, Send, Silence
from riskengine.client.feed import State
from riskengine.client.link import retry_after
from riskengine.client.publisher import Publisher
from riskengine.client.requests import Requests
from riskengine.client.session import REQUEST_TIMEOUT_S, Session, Token, http_options, request_of, said
from riskengine.client.stream import Stream, Subscription


class AsyncClient(Requests[Awaitable[Rows], Awaitable[dict[str, Any]]]):
    """An engine, from an asyncio program. Use it on one event loop, with `async with` or `close`.

    `token` is a text or what gives one (also a coroutine function), asked for at every connection of the stream and again when
    an answer says that the last is over. `ssl_context` says whom to trust where the URL is https. `max_hz` limits
    price-driven updates (0.2 to 10), `encoding` is json or msgpack, and `compression` deflates the stream.
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

    def subscribe(self, view: str, *, node: str | None = None, dealer: str | None = None) -> Subscription:
        """A view as it changes; all subscriptions share one connection. Views are nodes, dealers, ladder and status."""
        return self._stream.subscribe(view, node=node, dealer=dealer)

    def together(self, *subscriptions: Subscription) -> AsyncGenerator[tuple[State, ...], None]:
        """States of several subscriptions, each tuple of one snapshot."""
        return self._stream.together(*subscriptions)

    def publisher(self, source: str | None = None) -> Publisher:
        """A websocket to send ticks and trades by; close it before the client. `source` is said to be alive every second."""
        return Publisher(self._session, source)

    async def close(self) -> None:
        """End subscriptions and connections; again is nothing."""
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

    async def _send(self, call: Call, token: str | None) -> Reply | Silence:
        try:
            answer = await self._http.request(**request_of(call, token))
        except httpx.TransportError as failed:
            return Silence(f"no answer from {self._session.base_url}{call.path}: {said(failed)}")
        return Reply(answer.status_code, answer.content, retry_after(answer.headers.get("retry-after")))

    async def _give_token(self, again: bool) -> str | None:
        if again or self._token is None:
            self._token = await self._session.give_token()
        return self._token

    _ask_rows = _ask
