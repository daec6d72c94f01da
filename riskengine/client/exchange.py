"""The rules of one request: token, retries, answer, errors. No socket, clock or thread.

An exchange is a generator. It yields the next step (`Send`, `Pause`, `GetToken`) and receives its result. Both clients, with and
without asyncio, carry out these steps, and so follow the same rules.
"""

import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from riskengine.client.backoff import Backoff
from riskengine.client.errors import EngineUnreachable, NotNow, NotSignedIn, TradesRejected, problem, rejected_of

MAX_BODY_BYTES = 1_000_000
"""Largest body of one request. The engine's default limit is 1 MiB."""

RETRY_S = 30.0
"""How long a post is retried by default."""

LEAST_PAUSE_S = 0.05

encode_json = msgspec.json.Encoder().encode


class Call(NamedTuple):
    """A request. `retry_s`: how long to retry while the engine cannot answer."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes | None = None
    retry_s: float = 0.0


class Send(NamedTuple):
    """Send this call. The result is a Reply or a NoAnswer."""

    call: Call
    token: str | None


class Pause(NamedTuple):
    """Wait for `seconds`."""

    seconds: float


class GetToken(NamedTuple):
    """Get the token to send. `again`: the engine refused the last one."""

    again: bool


class Reply(NamedTuple):
    """An answer. `retry_after_s` is its Retry-After header, in seconds."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class NoAnswer(NamedTuple):
    """No answer arrived; `reason` says why."""

    reason: str


Step = Send | Pause | GetToken
Exchange = Generator[Step, Any, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list answer: rows of one snapshot. `total` is the number of rows before paging, `header` the other members."""

    epoch: int
    seq: int
    as_of: int
    rows: Sequence[dict[str, Any]]
    total: int
    header: Mapping[str, Any] = field(default_factory=dict)

    def by(self, name: str) -> dict[Any, dict[str, Any]]:
        """The rows, keyed by the value of one field."""
        return {row[name]: row for row in self.rows}


def exchange(call: Call, renews_token: bool) -> Exchange:
    """Send one call; return the decoded answer. Raises Problem, EngineUnreachable."""
    token: str | None = yield GetToken(False)
    backoff = Backoff()
    waited_s, asked_again = 0.0, False
    while True:
        reply: Reply | NoAnswer = yield Send(call, token)
        if isinstance(reply, NoAnswer):
            failure: Exception = EngineUnreachable(reply.reason)
            pause_s = backoff.next_s()
        elif reply.status < 300:
            return _decode(reply.body)
        else:
            found = problem(reply.status, _decode_or_none(reply.body), reply.retry_after_s)
            if isinstance(found, NotSignedIn) and renews_token and not asked_again:
                asked_again = True
                token = yield GetToken(True)
                continue
            if not isinstance(found, NotNow):
                raise found
            failure = found
            # A little longer than the engine asked for, to spread clients that received the same Retry-After.
            asked_s = found.retry_after_s
            pause_s = backoff.next_s() if asked_s is None else max(asked_s, LEAST_PAUSE_S) * random.uniform(1.0, 1.25)
        if waited_s + pause_s > call.retry_s:
            raise failure
        yield Pause(pause_s)
        waited_s += pause_s


def rows_exchange(call: Call, renews_token: bool) -> Exchange:
    """Send one call; return the answer as Rows. Raises Problem, EngineUnreachable."""
    answer = yield from exchange(call, renews_token)
    try:
        known = {name: answer.pop(name) for name in ("epoch", "seq", "as_of", "rows", "total")}
    except (AttributeError, KeyError, TypeError):
        raise EngineUnreachable(f"{call.path}: what answers there is not an engine") from None
    return Rows(**known, header=answer)


def join_answers(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the answers to the parts of one list of trades, in order, into one answer."""
    joined = answers[0]
    for answer in answers[1:]:
        joined = _join(joined, answer, len(joined["results"]))
    return joined


def parts_exchange(path: str, items: Iterable[Any], retry_s: float, renews_token: bool) -> Exchange:
    """Post a list in as few requests as possible, one after the other; join the answers. Raises Problem, EngineUnreachable.

    If one of several requests fails for good, the earlier ones have taken effect: a note on the error says how many items.
    """
    joined: dict[str, Any] | None = None
    posted = 0
    for body, count in bodies(items):
        try:
            answer = yield from exchange(Call("POST", path, {}, body, retry_s), renews_token)
        except Exception as failure:
            failure.add_note(f"{posted} items were posted before this error")
            raise
        joined = answer if joined is None else _join(joined, answer, posted)
        posted += count
    if joined is None:
        joined = yield from exchange(Call("POST", path, {}, b"[]", retry_s), renews_token)
    return joined


def trades_exchange(trades: Iterable[Any], retry_s: float, renews_token: bool, *, raise_on_rejected: bool) -> Exchange:
    """Post trades as `parts_exchange` does. Raises TradesRejected too, if it is to, for an answer with a rejected trade."""
    answer = yield from parts_exchange("/v1/trades", trades, retry_s, renews_token)
    return answer if not raise_on_rejected else checked_answer(answer)


def checked_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer to trades. Raises TradesRejected if one was rejected."""
    if rejected_of(answer):
        raise TradesRejected(answer)
    return answer


def items_of(sent: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> Iterable[Any]:
    """What to post: a single dictionary is one item, not its keys."""
    return [sent] if isinstance(sent, Mapping) else sent


def bodies(items: Iterable[Any]) -> Iterable[tuple[bytes, int]]:
    """Split items into JSON lists of at most MAX_BODY_BYTES; yield each with its number of items. An item is never split."""
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


def _join(before: dict[str, Any], answer: dict[str, Any], offset: int) -> dict[str, Any]:
    """Join two answers: lists are concatenated, counts added, all other members come from the later answer."""
    joined = before | answer
    for name, value in answer.items():
        known = before.get(name)
        if isinstance(value, list):
            shifted = [_shift_index(item, offset) for item in value] if name == "errors" else value
            joined[name] = [*known, *shifted] if isinstance(known, list) else shifted
        elif isinstance(value, dict) and isinstance(known, dict):
            joined[name] = {key: known.get(key, 0) + value.get(key, 0) for key in known.keys() | value.keys()}
        elif name in ("accepted", "refused", "older") and isinstance(known, int):
            joined[name] = known + value
    return joined


def _shift_index(item: Any, offset: int) -> Any:
    """An item's error, with its index in the whole list."""
    if isinstance(item, dict) and isinstance(item.get("index"), int):
        return item | {"index": item["index"] + offset}
    return item


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        raise EngineUnreachable("what answers there is not an engine: its answer is not JSON") from None


def _decode_or_none(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        return None
