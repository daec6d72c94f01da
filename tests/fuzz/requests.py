"""Requests to the application: targets, query strings, headers and bodies of every route.

No answer is 500, every refusal has its reason.

An input is a request as it would stand on the wire, its lines ended by a line feed alone.
"""

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from starlette.types import ASGIApp

from riskengine.clock import ManualClock
from riskengine.config import AccessConfig, Config
from riskengine.serve.app import create_app
from riskengine.serve.operations import OPERATIONS, Operation
from tests.fuzz.house import FILE_KINDS, house, scratch_folder, sound_rows
from tests.fuzz.mutation import TEXTS, Draw
from tests.fuzz.rules import Violation, problem
from tests.serve.keys import Keys
from tests.serve.stand_in import MIDS, PORT, StandIn
from tests.world import NOON, mark_settings, trade
from tests.world import quote as quote_of

ALWAYS = {200, 304, 401, 403, 404, 405, 429}
"""Statuses that any route may answer beside those that its description names."""

NAMES = ("ALL", "Currencies", "FX1", "EQ1", "ann", "bob", "EURUSD", "ACME", "EUR", "", "NOWHERE", "GBPUSX", "3")
BODIES = {
    "/v1/trades": "trades",
    "/v1/trades/check": "trades",
    "/v1/ticks": "ticks",
    "/v1/marks": "manual_marks",
    "/v1/margin": "margin",
} | {f"/v1/{kind}": kind for kind in (*FILE_KINDS, "greeks")}
WHATIF: dict[str, Any] = {
    "nodes": ["ALL", "FX1"],
    "trades": [{"instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 1000, "price": 1.1}],
    "shifts": [{"factor": "spot", "instrument": "EURUSD", "relative": 0.01}, {"factor": "vol", "all": True, "absolute": 0.01}],
    "grid": {"spot": [-1, 0, 1], "vol": [0], "instrument": "EURUSD"},
    "var": False,
}
VERDICT: dict[str, Any] = {"id": "x", "verdict": "accept", "comment": "seen", "actor": "ann", "repair": False, "reason": "y"}
HEADERS = (
    ("accept", ("text/csv", "application/json", "*/*", "text/csv;q=0.5, application/json;q=x", "q=", ";;;", "text/*;q=1e400")),
    ("accept-encoding", ("gzip", "gzip;q=0", "identity", "gzip;q=nan", "*")),
    ("if-none-match", ('"x"', "*", "W/")),
    ("content-type", ("application/json", "text/csv", "multipart/form-data", "application/json; charset=utf-16")),
    ("content-encoding", ("gzip", "br", "gzip, gzip", "identity")),
    ("content-length", ("0", "5", "-1", "9" * 30, "x", "\u0661")),
    ("origin", ("http://127.0.0.1:8321", "http://evil.example", "null", "")),
    ("host", ("localhost:8321", "evil.example", "", "[::1]:8321")),
    ("authorization", ("Bearer x", "Bearer", "Basic eDp5", "bearer " + "z" * 50, "Bearer \u00e9")),
    ("cookie", ("riskengine=x", "a=b; c", "=", "riskengine=" + "x" * 500)),
    ("range", ("bytes=0-1",)),
    ("x-forwarded-for", ("1.2.3.4", "::1", "x")),
)


class Requests:
    """One request after the other to engines without tokens and with."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, draw: Callable[[Draw], bytes], lasts: int) -> None:
        self.name = name
        self.draw = draw
        self._loop = loop
        self._lasts = lasts
        self._left = 0
        self._keys = Keys(scratch_folder())
        self._open: ASGIApp
        self._closed: ASGIApp

    def check(self, data: bytes) -> str:
        """Send one request and judge the answer."""
        if not self._left:
            self._open, self._closed, self._left = create_app(_engine()), create_app(_engine(self._keys.access())), self._lasts
        self._left -= 1
        head, _, body = data.partition(b"\n\n")
        first, *lines = head.decode("latin-1").split("\n")
        method, _, target = first.partition(" ")
        headers = [
            (name.strip().lower().encode("latin-1"), value.strip().encode("latin-1"))
            for name, _, value in (line.partition(":") for line in lines)
        ]
        has_token = any(name == b"authorization" and value == b"Bearer TOKEN" for name, value in headers)
        if has_token:
            headers = [(n, f"Bearer {self._keys.texts['ann']}".encode() if n == b"authorization" else v) for n, v in headers]
        app = self._closed if has_token or any(name in (b"authorization", b"cookie") for name, _ in headers) else self._open
        status, sent, answer = self._loop.run_until_complete(exchange(app, method, target, headers, body))
        return judged(method, target, status, sent, answer)


def _engine(access: AccessConfig | None = None) -> StandIn:
    """An engine with a few positions and prices."""
    settings = Config(marks=mark_settings(), access=access or AccessConfig())
    engine = StandIn(house(), settings, ManualClock(NOON))
    rows = [row | {"ts": NOON, "source": "x", "received_ts": NOON} for row in sound_rows("trades") if row["action"] == "new"]
    engine.stored += [trade(where=house(), **row) for row in rows]
    engine.engine.apply(engine.stored, NOON, len(engine.stored))
    engine.offer_ticks([quote_of(name, mid, mid) for name, mid in MIDS.items() if name in house().by_symbol])
    return engine


async def exchange(
    app: ASGIApp, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """One request as the server passes it on."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path) if "%" in path else path,
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "client": ("127.0.0.1", 50_000),
        "query_string": query.encode("latin-1"),
        "headers": headers,
        "server": ("127.0.0.1", PORT),
        "extensions": {},
    }
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]
    messages: list[Any] = []
    answered = asyncio.Event()

    async def receive() -> Any:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    await app(scope, receive, send)
    if not messages:
        raise Violation("no answer")
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in messages[0]["headers"]}
    return messages[0]["status"], named, b"".join(message.get("body", b"") for message in messages[1:])


def judged(method: str, target: str, status: int, headers: dict[str, str], body: bytes) -> str:
    """The kind of an answer. Raises Violation where it breaks what the description says."""
    operation = _operation(method, target)
    if operation is not None and status not in {*operation.fails, *ALWAYS}:
        raise Violation(f"{method} {operation.path} answers {status}, which its description does not name")
    if operation is None and status >= 500:
        raise Violation(f"{status}: {body!r:.300}")
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    kind = headers.get("content-type", "").partition(";")[0]
    if status >= 400 and (method != "HEAD" or body):
        if kind != "application/problem+json":
            raise Violation(f"{status} as {kind!r}: {body!r:.300}")
        return problem(json.loads(body, parse_constant=_no_number), status)
    if kind == "application/x-ndjson":
        for line in body.splitlines():
            json.loads(line, parse_constant=_no_number)
    elif kind.endswith("json") and body:
        json.loads(body, parse_constant=_no_number)
    elif kind == "text/csv":
        body.decode()
    return f"{status} {operation.path if operation else '-'}"


def _no_number(text: str) -> None:
    raise Violation(f"{text} in an answer")


def _operation(method: str, target: str) -> Operation | None:
    """The operation of a target without parameters in its path; None for every other one."""
    return _TABLE.get((method, target.partition("?")[0]))


_TABLE = {(operation.method, operation.path): operation for operation in OPERATIONS if "{" not in operation.path}


# -- drawing ---------------------------------------------------------------------------------------------------------


def drawn_query(draw: Draw) -> bytes:
    """A read with parameters: sound ones, others, the same twice, in strange codings."""
    operation = draw.pick(_READS)
    path = operation.path
    for start in ("{node:path}", "{instrument:path}", "{id:path}", "{break_id}", "{id}"):
        path = path.replace(start, _coded(draw, draw.pick(NAMES)))
    pairs = []
    for _ in range(draw.few(4)):
        parameter = draw.pick(operation.parameters) if operation.parameters and draw.chance(0.9) else None
        name = parameter.name if parameter else draw.pick(("x", "node", "Limit", "seq", ""))
        values = [*NAMES, *map(str, parameter.schema.get("enum", ("1", "true", "100")) if parameter else ("1",))]
        pairs.append(f"{_coded(draw, name)}={_coded(draw, draw.pick(values) if draw.chance(0.6) else draw.text())}")
    if draw.chance(0.05):
        pairs.append(draw.pick(("&&", "=", "%", "%zz", "a=b=c", "node", ";", "+", "%00", "%ff", "%ed%a0%80")))
    method = draw.pick(("GET", "GET", "GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS"))
    target = f"{path}?{'&'.join(pairs)}" if pairs else path
    return _head(draw, method, target)


def drawn_body(draw: Draw) -> bytes:
    """A post of records, a what-if or a verdict, nearly right, sometimes packed."""
    operation = draw.pick(_POSTS)
    path = operation.path
    for start in ("{node:path}", "{instrument:path}", "{id:path}", "{break_id}", "{id}", "{source:path}"):
        path = path.replace(start, draw.pick(("1", "x", "conflict%3Ax", "desk")))
    kind = BODIES.get(operation.path)
    if kind is not None:
        rows = sound_rows(kind)
        body = draw.written(draw.some(lambda: draw.record(draw.pick(rows)) if draw.chance(0.8) else dict(draw.pick(rows))))
    else:
        like = WHATIF if operation.path == "/v1/whatif" else VERDICT
        body = draw.written(draw.record(like) if draw.chance(0.9) else draw.value(like))
    if draw.chance(0.1):
        body = gzip.compress(body, mtime=0, compresslevel=1)
        body = draw.damage(body) if draw.chance(0.5) else body
        return _head(draw, "POST", path, "content-encoding: gzip") + body
    return _head(draw, "POST", path) + body


_READS = [operation for operation in OPERATIONS if operation.method == "GET"]
_POSTS = [operation for operation in OPERATIONS if operation.method == "POST"]


def _coded(draw: Draw, text: str) -> str:
    kind = draw.below(8)
    if kind == 0:
        return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
    if kind == 1:
        return draw.damage(text.encode("utf-8", "surrogatepass"), 1).decode("latin-1").translate(_LINES)
    return quote(text, safe="/:", errors="surrogatepass")[:2_000]


_LINES = {ord("\n"): "%0a", ord("?"): "%3f", ord("#"): "%23"}


def _head(draw: Draw, method: str, target: str, *more: str) -> bytes:
    lines = [f"{method} {target}", *more]
    if draw.chance(0.95):
        lines.append(f"host: 127.0.0.1:{PORT}")
    if draw.chance(0.15):
        lines.append("authorization: Bearer TOKEN")
    if draw.chance(0.3):
        for _ in range(1 + draw.few(3)):
            name, values = draw.pick(HEADERS)
            value = draw.pick(values) if draw.chance(0.8) else draw.pick(TEXTS)
            lines.append(f"{name}: {value}".replace("\n", " ")[:500])
    return "\n".join(lines).encode("latin-1", "replace") + b"\n\n"


def targets(loop: asyncio.AbstractEventLoop) -> list[Requests]:
    """Reads and posts."""
    return [Requests("queries", loop, drawn_query, 5_000), Requests("bodies", loop, drawn_body, 300)]
