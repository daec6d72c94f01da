"""The HTTP application: routes made from `operations`, the page, access rules, and errors as problems.

Handlers run on the event loop, take one snapshot and answer from it. They never lock the writer or wait for it, with one
exception: the answer to posted trades comes after their snapshot.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from riskengine.serve.access.admission import Admission
from riskengine.serve.access.audit import AccessAudit
from riskengine.serve.access.identity import Authenticator
from riskengine.serve.access.login import LoginPage
from riskengine.serve.access.origins import SECURITY_HEADERS, OriginPolicy
from riskengine.serve.access.permissions import check
from riskengine.serve.access.sessions import Sessions
from riskengine.serve.answers.answers import Question
from riskengine.serve.answers.coding import GZIP, compress, prefers_gzip
from riskengine.serve.answers.params import read_parameters
from riskengine.serve.answers.problems import HANDLERS, HttpProblem
from riskengine.serve.answers.representation import AnswerCache, respond
from riskengine.serve.answers.wire import JSON, encode
from riskengine.serve.gateway import Gateway, principal_of
from riskengine.serve.manual import manual_routes
from riskengine.serve.openapi import describe
from riskengine.serve.operations import OPERATIONS, OTHER_PATHS, Operation
from riskengine.serve.page import login_page, page_routes
from riskengine.serve.routes.status import Digests
from riskengine.serve.stream.stream import stream_routes

MOST_REQUESTED = frozenset({"/v1/trades", "/v1/ticks"})
"""These routes come first: Starlette tries one route after the other."""

Endpoint = Callable[[Request], Awaitable[Response]]


async def answer_description(request: Request) -> Response:
    """The OpenAPI document; the same for everybody for the life of the process."""
    plain, packed = _description()
    if prefers_gzip(", ".join(request.headers.getlist("accept-encoding"))):
        return Response(packed, headers={"content-encoding": GZIP, "vary": "Accept-Encoding"}, media_type=JSON)
    return Response(plain, headers={"vary": "Accept-Encoding"}, media_type=JSON)


@cache
def _description() -> tuple[bytes, bytes]:
    """The document as plain JSON, and as gzip."""
    plain = encode(describe(OPERATIONS))
    return plain, compress(plain)


def _endpoint_of(operations: Mapping[str, Operation]) -> Endpoint:
    """The endpoint for all methods of one path."""

    async def answer(request: Request) -> Response:
        operation = operations["GET" if request.method == "HEAD" else request.method]
        principal = principal_of(request.scope)
        check(operation.needs, principal)
        gateway: Gateway = request.app.state.gateway
        sent = request.query_params.multi_items() if request.scope["query_string"] else ()
        values = read_parameters(operation.parameters, sent)
        question = Question(gateway, request, values)
        await question.find_moment()
        return await respond(question, operation.handler, cacheable=operation.cacheable and question.moment is None)

    return answer


def _routes(operations: Sequence[Operation]) -> list[Route]:
    """One route per path, so that the answer to a wrong method names every method of the path."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    paths = sorted(by_path, key=lambda path: path not in MOST_REQUESTED)
    return [Route(path, _endpoint_of(by_path[path]), methods=list(by_path[path]), name=path) for path in paths]


ROUTES: list[Route] = [*_routes(OPERATIONS), Route("/openapi.json", answer_description, name="/openapi.json")]
"""Every HTTP route of the interface."""


def _login_routes(login: LoginPage) -> list[Route]:
    """The routes where browsers log in and out."""
    return [
        Route("/login", login.show, methods=["GET"], name="login"),
        Route("/login", login.log_in, methods=["POST"]),
        Route("/logout", login.log_out, methods=["POST"], name="logout"),
    ]


async def _on_mistake(request: Request, error: Exception) -> Response:
    """Answer a bug of ours with 500, outside the middleware; the server logs it with its traceback."""
    return HttpProblem(500, "the engine made a mistake; its log says more").response(dict(SECURITY_HEADERS))


def create_app(gateway: Gateway) -> Starlette:
    """The application for one engine. It may be served before the engine is live and answers 503 until then.

    Raises ConfigError if the tokens file cannot be read.
    """
    authenticator, audit = Authenticator(gateway), AccessAudit(gateway)
    sessions = Sessions(authenticator, audit, gateway.config.access.max_connections)
    login = LoginPage(login_page(), authenticator, audit)
    routes: list[BaseRoute] = [*ROUTES, *stream_routes(gateway), *_login_routes(login), *manual_routes(), *page_routes()]
    admission = Middleware(
        Admission,
        origins=OriginPolicy(gateway.config),
        authenticator=authenticator,
        sessions=sessions,
        audit=audit,
        needs=OTHER_PATHS,
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        audit.flush()

    app = Starlette(
        routes=routes, middleware=[admission], exception_handlers={**HANDLERS, Exception: _on_mistake}, lifespan=lifespan
    )
    app.router.redirect_slashes = False
    app.state.gateway = gateway
    app.state.access_audit = audit
    app.state.authenticator = authenticator
    app.state.answer_cache = AnswerCache()
    app.state.digests = Digests(gateway)
    return app
