"""The page in the browser: its built files, each under its own path, and `/` with a nonce of its own.

The page is built from the sources in `riskengine/web/` (`hatch_build.py`). Where it is missing, `/` says so and how to get it;
everything else works without it.
"""

import asyncio
import gzip
import html
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from riskengine.observe import get_logger
from riskengine.serve.access.origins import SECURITY_HEADERS
from riskengine.serve.answers.coding import GZIP, prefers_gzip

BUILT = Path(__file__).resolve().parent.parent / "web" / "dist"
LOGIN_PAGE = BUILT / "login.html"

log = get_logger("riskengine.serve.page")

_INDEX = "index.html"
_NONCE = "nonce-of-the-response"
"""Stands in the built page where the nonce of a response goes."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What the page may do: scripts of this server alone, and the style sheets that the grid's library adds under the nonce."""

_PACKED = {".js": "text/javascript", ".css": "text/css"}
"""Files in `assets/` that are sent as gzip to whom takes it, by the end of their names."""

_MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>riskengine: the page is not built</title></head>
<body><h1>The page is not built</h1>
<p>The engine runs; only its screens are missing. They are built from <code>riskengine/web/</code> when the package is
installed, which needs the npm registry once. In a clone: <code>make page</code> says what failed.</p>
<p>The same numbers are at <a href="v1/nodes">v1/nodes</a>, <a href="v1/ladder">v1/ladder</a> and
<a href="v1/status">v1/status</a>, and in a terminal: <code>riskengine watch</code>.</p></body></html>
"""

_LOGIN_WITHOUT_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>riskengine: log in</title></head><body><p><!-- message --></p>
<form method="post" action="login"><label>Token <input name="token" type="password" required></label>
<button type="submit">Log in</button></form></body></html>
"""

Endpoint = Callable[[Request], Awaitable[Response]]


def page_routes(folder: Path = BUILT) -> list[Route]:
    """`/` and every file of the page; any other path stays an unknown route."""
    index = folder / _INDEX
    if not index.is_file():
        log.warning("page_missing", folder=str(folder))
        return [Route("/", _answer_missing, name="page")]
    files, packed = StaticFiles(directory=folder), Packed(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    pages = (_INDEX, LOGIN_PAGE.name)
    shown = [name for name in names if name not in pages and not name.startswith(".")]
    return [
        Route("/", _page(index.read_text(encoding="utf-8")), name="page"),
        *(Route(f"/{name}", _file(files, packed, name), name=name) for name in shown),
    ]


def login_page(path: Path = LOGIN_PAGE) -> str:
    """The page where browsers log in; a bare one where the page is not built."""
    return path.read_text(encoding="utf-8") if path.is_file() else _LOGIN_WITHOUT_PAGE


def _page(text: str) -> Endpoint:
    """The page itself: never stored, because each answer has a nonce of its own."""

    async def answer(request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        headers = dict(SECURITY_HEADERS) | {
            "content-security-policy": _POLICY.format(nonce=nonce),
            "cache-control": "no-store",
            "referrer-policy": "same-origin",
        }
        return Response(text.replace(_NONCE, html.escape(nonce)), headers=headers, media_type="text/html; charset=utf-8")

    return answer


class Packed:
    """Scripts and style sheets as gzip, a third of their size: packed at the first question, once, in a thread (50 ms a MB)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packed: dict[str, asyncio.Task[bytes]] = {}

    async def of(self, name: str) -> bytes:
        """The file of this name. Event loop only."""
        if name not in self._packed:
            content = (self._folder / name).read_bytes()
            self._packed[name] = asyncio.create_task(asyncio.to_thread(gzip.compress, content, mtime=0))
        return await self._packed[name]


def _file(files: StaticFiles, packed: Packed, name: str) -> Endpoint:
    """A file of the page. The names in `assets/` carry a hash of their content: they never change."""
    is_kept = name.startswith("assets/")
    cache = "private, max-age=31536000, immutable" if is_kept else "no-cache"
    media_type = _PACKED.get(Path(name).suffix) if is_kept else None

    async def answer(request: Request) -> Response:
        if media_type is not None and prefers_gzip(request.headers.get("accept-encoding", "")):
            coded = {"content-encoding": GZIP, "vary": "accept-encoding", "cache-control": cache}
            return Response(await packed.of(name), headers=coded, media_type=media_type)
        response = await files.get_response(name, request.scope)
        response.headers["cache-control"] = cache
        if media_type is not None:
            response.headers["vary"] = "accept-encoding"
        return response

    return answer


async def _answer_missing(request: Request) -> Response:
    return Response(_MISSING, 503, media_type="text/html; charset=utf-8")
