"""The client for programs without asyncio. The first subscription or publisher starts one thread; `close` ends it."""

import asyncio
import contextlib
import inspect
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

import httpx

from riskengine.client.errors import Closed
from riskengine.client.exchange import Call, Exchange, GetToken, NoAnswer, Pause, Reply, Rows, Send, items_of
from riskengine.client.feed import State
from riskengine.client.link import retry_after
from riskengine.client.publisher import Publisher
from riskengine.client.requests import Requests
from riskengine.client.session import REQUEST_TIMEOUT_S, Session, error_text, http_options, request_of
from riskengine.client.stream import Stream, Subscription
from riskengine.errors import ConfigError

T = TypeVar("T")


class Client(Requests[Rows, dict[str, Any]]):
    """Talks to an engine from any program. Use it in a `with` block, or call `close`.

    Any thread may use it; each subscription has one reader.

    The parameters are those of `AsyncClient`, except that `token` is a text or a function, not a coroutine function. The stream's
    thread calls it for the connections of the stream.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8321",
        *,
        token: str | Callable[[], str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_hz: float | None = None,
        encoding: str = "json",
        compression: bool = False,
        read_retry_s: float = 0.0,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        if inspect.iscoroutinefunction(token):
            raise ConfigError("token: must be a text or a function; a coroutine function is for AsyncClient")
        self._session = Session(url, token, ssl_context, encoding, compression)
        self.renews_token = self._session.renews_token
        self.read_retry_s = read_retry_s
        self._max_hz = max_hz
        self._give = token
        self._token: str | None = None
        self._http = httpx.Client(**http_options(self._session, timeout_s))
        self._follower: Follower | None = None
        self._lock = threading.Lock()
        self._closed = False

    def subscribe(
        self, view: str, *, node: str | None = None, dealer: str | None = None, by: str | None = None
    ) -> "BlockingSubscription":
        """Subscribe to a view: nodes, dealers, ladder, risk, exposure (`by`) or status. They all share one connection."""
        follower = self._get_follower()
        return BlockingSubscription(follower, follower.subscribe(view, node, dealer, by))

    def publisher(self, source: str | None = None) -> "BlockingPublisher":
        """A websocket that sends ticks and trades. It reports every second that `source` is alive."""
        follower = self._get_follower()
        return BlockingPublisher(follower, follower.publish(self._session, source))

    def _get_follower(self) -> "Follower":
        with self._lock:
            if self._closed:
                raise Closed("the client was closed")
            if self._follower is None:
                self._follower = Follower(self._session, self._max_hz)
            return self._follower

    def together(self, *subscriptions: "BlockingSubscription") -> Iterator[tuple[State, ...]]:
        """States of several subscriptions, each tuple of one snapshot."""
        follower = self._follower
        if follower is None:
            return
        steps = follower.stream.together(*(each.inner for each in subscriptions))
        while True:
            yield follower.wait(anext_of(steps))

    def close(self) -> None:
        """End subscriptions, connections and the thread. Calling it again does nothing."""
        with self._lock:
            self._closed = True
            follower, self._follower = self._follower, None
        if follower is not None:
            follower.close()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, steps: Exchange) -> Any:
        try:
            step = next(steps)
            while True:
                match step:
                    case Send(call, token):
                        step = steps.send(self._send(call, token))
                    case Pause(seconds):
                        time.sleep(seconds)
                        step = steps.send(None)
                    case GetToken(again):
                        step = steps.send(self._give_token(again))
        except StopIteration as done:
            return done.value

    _ask_rows = _ask

    def _send(self, call: Call, token: str | None) -> Reply | NoAnswer:
        try:
            answer = self._http.request(**request_of(call, token))
        except httpx.TransportError as failed:
            return NoAnswer(f"no answer from {self._session.base_url}{call.path}: {error_text(failed)}")
        return Reply(answer.status_code, answer.content, retry_after(answer.headers.get("retry-after")))

    def _give_token(self, again: bool) -> str | None:
        give = self._give
        if not callable(give):
            return give
        if again or self._token is None:
            self._token = give()
        return self._token


class Follower:
    """A thread with an event loop, which runs the stream and the publishers of one client."""

    def __init__(self, session: Session, max_hz: float | None) -> None:
        self.stream = Stream(session, max_hz)
        self._publishers: list[Publisher] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="riskengine-client", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def subscribe(self, view: str, node: str | None, dealer: str | None, by: str | None) -> Subscription:
        """See `Client.subscribe`."""

        async def subscribe() -> Subscription:
            return self.stream.subscribe(view, node=node, dealer=dealer, by=by)

        return self.wait(subscribe())

    def publish(self, session: Session, source: str | None) -> Publisher:
        """See `Client.publisher`."""

        async def publish() -> Publisher:
            self._publishers.append(Publisher(session, source))
            return self._publishers[-1]

        return self.wait(publish())

    def wait(self, steps: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run a coroutine on the loop and return its result. Raises TimeoutError, Closed, and what the coroutine raises."""
        try:
            future = asyncio.run_coroutine_threadsafe(steps, self._loop)
        except RuntimeError:
            steps.close()
            raise Closed("the client was closed") from None
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def call_soon(self, act: Callable[[], None]) -> None:
        """Call `act` on the loop soon; do nothing if the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            return

    def close(self) -> None:
        """End the stream, the loop and the thread. Calls that still wait raise Closed."""

        async def close() -> None:
            await self.stream.close()
            for publisher in self._publishers:
                await publisher.close()
            await asyncio.sleep(0)
            # The end of the stream wakes the calls that wait in other threads.
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_asyncgens()

        self.wait(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class BlockingSubscription:
    """`stream.Subscription` without asyncio. Iterating never ends; each step returns the newest state."""

    def __init__(self, follower: Follower, inner: Subscription) -> None:
        self.inner = inner
        self._follower = follower

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> State:
        return self.next()

    def next(self, timeout_s: float | None = None) -> State:
        """Wait for the next state. Raises TimeoutError if none arrives in time, and what an iteration raises."""
        state: State = self._follower.wait(anext_of(self.inner), timeout_s)
        return state

    def state(self) -> State:
        """The state now, without waiting. `changed` and `removed` compare it with the last state returned."""

        async def state() -> State:
            return self.inner.state()

        found: State = self._follower.wait(state())
        return found

    def close(self) -> None:
        """End this subscription; the others continue."""
        self._follower.call_soon(self.inner.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BlockingPublisher:
    """`publisher.Publisher` without asyncio. Any thread may send; trades of several threads may be in flight together."""

    def __init__(self, follower: Follower, inner: Publisher) -> None:
        self.inner = inner
        self._follower = follower

    def send_ticks(self, ticks: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """Send prices; the engine does not answer them. Waits while there is no connection."""
        self._follower.wait(self.inner.send_ticks(list(items_of(ticks))))

    def post_trades(
        self,
        trades: Iterable[Mapping[str, Any]] | Mapping[str, Any],
        timeout_s: float | None = None,
        *,
        raise_on_rejected: bool = True,
    ) -> dict[str, Any]:
        """Send trades and wait for the answer. Raises TimeoutError if none arrives in time; the trades may still be stored.

        Raises TradesRejected if the engine refused one, unless `raise_on_rejected` is False.
        """
        sent = list(items_of(trades))
        return self._follower.wait(self.inner.post_trades(sent, raise_on_rejected=raise_on_rejected), timeout_s)

    def close(self) -> None:
        """End the connection. Calling it again does nothing."""
        with contextlib.suppress(Closed):
            self._follower.wait(self.inner.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def anext_of(steps: Any) -> Any:
    """The next item of an asynchronous iterator, as a coroutine."""
    return await anext(steps)
