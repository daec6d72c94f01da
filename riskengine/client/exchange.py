"""One request and what becomes of it: tokens, retries, answers and errors. No socket, clock or thread.

An exchange is a generator: it yields what is to be done (`Send`, `Pause`, `GetToken`) and is sent what came of it, so that the
client with and the one without asyncio follow the same rules.
"""

import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from riskengine.client.backoff import Backoff
from riskengine.client.errors import EngineUnreachable, NotNow, NotSignedIn, problem

MAX_BODY_BYTES = 1_000_000
"""What one request carries at most; an engine takes 1 MiB unless it is configured otherwise."""

RETRY_S = 30.0
"""So long posts are tried again, unless another time is asked for."""

LEAST_PAUSE_S = 0.05

encode_json = msgspec.json.Encoder().encode


class Call(NamedTuple):
    """A request. `retry_s`: how long to try again where it could not be answered now."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes | None = None
    retry_s: float = 0.0


class Send(NamedTuple):
    """Send this and say what came: a Reply, or a Silence."""

    call: Call
    token: str | None


class Pause(NamedTuple):
    """Wait so long."""

    seconds: float


class GetToken(NamedTuple):
    """Get the token to send; `again`: the last one was refused."""

    again: bool


class Reply(NamedTuple):
    """What came back. `retry_after_s`: when to come back, where it said so."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class Silence(NamedTuple):
    """Nobody answered, and why."""

    reason: str


Step = Send | Pause | GetToken
Exchange = Generator[Step, Any, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list answer: rows of one snapshot. `total` is how many there are in all, `header` what else was said."""

    epoch: int
    seq: int
    as_of: int
    rows: Sequence[dict[str, Any]]
    total: int
    header: Mapping[str, Any] = field(default_factory=dict)

    def by(self, name: str) -> dict[Any, dict[str, Any]]:
        """The rows by one of their fields."""
        return {row[name]: row for row in self.rows}


def exchange(call: Call, renews_token: bool) -> Exchange:
    """The answer to one call, decoded. Raises Problem, EngineUnreachable."""
    token: str | None = yield GetToken(False)
    backoff = Backoff()
    waited_s, asked_again = 0.0, False
    while True:
        reply: Reply | Silence = yield Send(call, token)
        if isinstance(reply, Silence):
            failure: Exception = EngineUnreachable(reply.reason)
            pause_s = backoff.next_s()
        elif reply.status < 300:
            return _decoded(reply.body)
        else:
            found = problem(reply.status, _told(reply.body), reply.retry_after_s)
            if isinstance(found, NotSignedIn) and renews_token and not asked_again:
                asked_again = True
                token = yield GetToken(True)
                continue
            if not isinstance(found, NotNow):
                raise found
            failure = found
            # A little more than asked for, so that all who were told the same do not come at once.
            asked_s = found.retry_after_s
            pause_s = backoff.next_s() if asked_s is None else max(asked_s, LEAST_PAUSE_S) * random.uniform(1.0, 1.25)
        if waited_s + pause_s > call.retry_s:
            raise failure
        yield Pause(pause_s)
        waited_s += pause_s


def rows_exchange(call: Call, renews_token: bool) -> Exchange:
    """The same for a list. Raises Problem, EngineUnreachable."""
    answer = yield from exchange(call, renews_token)
    try:
        known = {name: answer.pop(name) for name in ("epoch", "seq", "as_of", "rows", "total")}
    except (AttributeError, KeyError, TypeError):
        raise EngineUnreachable(f"{call.path}: what answers there is no engine") from None
    return Rows(**known, header=answer)


def joined_answers(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Answers to the parts of one list of trades, in their order, as if they were one."""
    joined = answers[0]
    for answer in answers[1:]:
        joined = _joined(joined, answer, len(joined["results"]))
    return joined


def parts_exchange(path: str, items: Iterable[Any], retry_s: float, renews_token: bool) -> Exchange:
    """Post a list in as few requests as fit, one after the other; the answers joined. Raises Problem, EngineUnreachable.

    Where one of several requests fails for good, those before it have taken effect: a note on the error says how many items.
    """
    joined: dict[str, Any] | None = None
    posted = 0
    for body, count in bodies(items):
        try:
            answer = yield from exchange(Call("POST", path, {}, body, retry_s), renews_token)
        except Exception as failure:
            failure.add_note(f"{posted} items were posted before")
            raise
        joined = answer if joined is None else _joined(joined, answer, posted)
        posted += count
    if joined is None:
        joined = yield from exchange(Call("POST", path, {}, b"[]", retry_s), renews_token)
    return joined


def bodies(items: Iterable[Any]) -> Iterable[tuple[bytes, int]]:
    """JSON lists of at most MAX_BODY_BYTES, with how many items each has. One item is never split."""
    parts: list[bytes] = []
    size = 2
    for item in items:
        text = encode_json(item)
        if parts and size + len(text) + 1 > MAX_BODY_BYTES:
            yield b"[" + b",".join(parts) + b"]", len(parts)
            parts, size = [], 2
        parts.append(text)
        size += len(text) + 1
    if parts:
        yield b"[" + b",".join(parts) + b"]", len(parts)


def _joined(before: dict[str, Any], answer: dict[str, Any], offset: int) -> dict[str, Any]:
    """Two answers as if they were one: lists one after the other, counts added, what stands for the moment from the later."""
    joined = before | answer
    for name, value in answer.items():
        known = before.get(name)
        if isinstance(value, list):
            moved = [_moved(item, offset) for item in value] if name == "errors" else value
            joined[name] = [*known, *moved] if isinstance(known, list) else moved
        elif isinstance(value, dict) and isinstance(known, dict):
            joined[name] = {key: known.get(key, 0) + value.get(key, 0) for key in known.keys() | value.keys()}
        elif name in ("accepted", "refused") and isinstance(known, int):
            joined[name] = known + value
    return joined


def _moved(item: Any, offset: int) -> Any:
    """An error about an item, by its place in the whole list."""
    if isinstance(item, dict) and isinstance(item.get("index"), int):
        return item | {"index": item["index"] + offset}
    return item


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        raise EngineUnreachable("what answers there is no engine: its answer is no JSON") from None


def _told(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        return None
