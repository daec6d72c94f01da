"""The form of an answer: gzip or identity, an ETag, and a cache for the answers of the newest snapshot.

An answer made from one snapshot alone has an ETag. It holds epoch, seq, format and encoding, and a keyed hash of question and
access class, so that it reveals neither. Equal ETags mean equal bytes. If-None-Match with a current one is answered 304 with no
further work. Such an answer is cached until the next snapshot in both encodings, and simultaneous equal questions are computed
once.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Hashable
from hashlib import blake2b
from http import HTTPStatus
from typing import NamedTuple

from starlette.responses import Response

from riskengine.serve.answers.answers import Handler, Question
from riskengine.serve.answers.coding import GZIP, MIN_GZIP_BYTES, gzip_bytes, prefers_gzip
from riskengine.serve.answers.turns import SlicedResponse
from riskengine.views.grants import Grants

VARY = "Accept, Accept-Encoding, Authorization, Cookie"
"""The request headers that choose between the answers to one URL."""

REVALIDATED = "private, no-cache"
"""For this client alone, and to be revalidated every time."""

MAX_CACHED_ANSWERS = 64
MAX_CACHED_BYTES = 2_097_152
"""Of one answer in one encoding."""
MAX_CACHE_BYTES = 16_777_216

_KEY = secrets.token_bytes(16)


class AnswerKey(NamedTuple):
    """What decides the bytes of an answer about one snapshot, apart from its encoding."""

    path: str
    query: bytes
    format: str
    grants: Grants

    @property
    def tag(self) -> str:
        """Hash of path, query and access class under a key of this process. 3 us."""
        grants = self.grants
        named = (sorted(names) if names is not None else None for names in (grants.nodes, grants.totals, grants.dealers))
        content = repr((self.path, self.query, *named)).encode("utf-8", "surrogatepass")
        return blake2b(content, digest_size=9, key=_KEY).hexdigest()


async def respond(question: Question, handler: Handler, *, cacheable: bool) -> Response:
    """The answer of `handler` in the encoding that the client takes. `cacheable`: it depends on the snapshot alone."""
    request = question.request
    if request.method == "POST":
        return await handler(question)
    in_gzip = prefers_gzip(", ".join(request.headers.getlist("accept-encoding")))
    if not cacheable:
        answer = await _whole(await handler(question))
        answer.headers.setdefault("vary", VARY)
        return await _in_gzip(answer) if in_gzip else answer
    snapshot = question.snapshot
    form = "csv" if question.wants_csv else "json"
    key = AnswerKey(request.scope["path"], request.scope["query_string"], form, question.principal.grants)
    etag = f"{snapshot.epoch}-{snapshot.seq}-{key.tag}-{form}"
    wanted = _tags(", ".join(request.headers.getlist("if-none-match")))
    for known in (f'"{etag}-{GZIP}"', f'"{etag}"'):
        if known in wanted:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_headers(known))
    cache: AnswerCache | None = request.app.state.answer_cache if question.values.get("seq") is None else None

    async def plain() -> Response:
        made = await _whole(await handler(question))
        made.headers.update(_headers(f'"{etag}"'))
        return made

    async def packed() -> Response:
        made = await (plain() if cache is None else cache.get_or_make(snapshot.seq, key, plain))
        return await _in_gzip(made, f'"{etag}-{GZIP}"')

    make, form_key = (packed, (key, GZIP)) if in_gzip else (plain, key)
    answer = await (make() if cache is None else cache.get_or_make(snapshot.seq, form_key, make))
    if "*" in wanted:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_headers(answer.headers["etag"]))
    return answer


async def _whole(answer: Response) -> Response:
    return await answer.whole() if isinstance(answer, SlicedResponse) and answer.fits else answer


def _headers(etag: str) -> dict[str, str]:
    return {"etag": etag, "vary": VARY, "cache-control": REVALIDATED}


def _tags(if_none_match: str) -> frozenset[str]:
    """The ETags that a client has. They are compared weakly, as RFC 9110 demands: W/ makes no difference."""
    return frozenset(part.strip().removeprefix("W/") for part in if_none_match.split(",")) if if_none_match else frozenset()


async def _in_gzip(answer: Response, etag: str | None = None) -> Response:
    """The answer as gzip, if that pays."""
    sliced = isinstance(answer, SlicedResponse)
    if answer.status_code != HTTPStatus.OK or (not sliced and len(answer.body) < MIN_GZIP_BYTES):
        return answer
    headers = {name: value for name, value in answer.headers.items() if name not in ("content-length", "content-type")}
    if etag is not None:
        headers["etag"] = etag
    if isinstance(answer, SlicedResponse):
        return answer.with_gzip(headers)
    content = await gzip_bytes(bytes(answer.body))
    headers["content-encoding"] = GZIP
    return Response(content, answer.status_code, headers | {"content-type": answer.headers["content-type"]})


class AnswerCache:
    """Answers about the newest snapshot; a newer one empties the cache. Bounded. Event loop only."""

    def __init__(self) -> None:
        self._snapshot_seq = -1
        self._answers: dict[Hashable, Response] = {}
        self._bytes = 0
        self._pending: dict[tuple[int, Hashable], asyncio.Future[Response]] = {}

    async def get_or_make(self, seq: int, key: Hashable, make: Callable[[], Awaitable[Response]]) -> Response:
        """The answer to a question about snapshot `seq`: the cached one, or that of `make`, called once for simultaneous callers.

        The first caller makes it in its own task, so most answers need no extra turn of the loop. If that caller is cancelled,
        the next one that waits makes it.
        """
        place = (seq, key)
        while (others := self._pending.get(place)) is not None:
            try:
                return await asyncio.shield(others)
            except asyncio.CancelledError:
                if not others.cancelled():
                    raise
        if seq == self._snapshot_seq and (found := self._answers.get(key)) is not None:
            return found
        mine = self._pending[place] = asyncio.get_running_loop().create_future()
        try:
            answer = await make()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                mine.cancel()
            else:
                mine.set_exception(error)
                mine.exception()  # marks it as retrieved: asyncio would log it if nobody waits
            raise
        finally:
            del self._pending[place]
        mine.set_result(answer)
        self._keep(seq, key, answer)
        return answer

    def _keep(self, seq: int, key: Hashable, answer: Response) -> None:
        """Cache an answer, unless it is long or of an older snapshot, or the cache is full."""
        if seq > self._snapshot_seq:
            self._snapshot_seq = seq
            self._answers, self._bytes = {}, 0
        if isinstance(answer, SlicedResponse) or seq != self._snapshot_seq or len(self._answers) >= MAX_CACHED_ANSWERS:
            return
        size = len(answer.body)
        if size <= MAX_CACHED_BYTES and self._bytes + size <= MAX_CACHE_BYTES:
            self._answers[key] = answer
            self._bytes += size
