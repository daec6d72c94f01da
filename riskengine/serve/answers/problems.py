"""Errors as RFC 9457 `application/problem+json`, the same way on every route."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from riskengine.errors import (
    BeforeTheStore,
    EngineNotLive,
    InboxFull,
    InputError,
    LeaseHeld,
    RiskEngineError,
    StoreUnavailable,
    TooBusy,
)
from riskengine.observe import get_logger
from riskengine.serve.answers.wire import encode
from riskengine.serve.gateway import Gateway, principal_of
from riskengine.snapshot.snapshot import SeqGone, SnapshotNotYet, UnknownName
from riskengine.views.grants import Principal

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1

log = get_logger("riskengine.serve")


class HttpProblem(Exception):
    """An error as an answer. `errors` are `{index, field, reason}`; `more` are further members of the answer.

    `headers` go with it.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        title: str = "",
        kind: str = "",
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = headers or {}
        self.status = status
        self.detail = detail
        self.errors = errors
        self.title = title or HTTPStatus(status).phrase
        self.kind = f"urn:riskengine:{kind}" if kind else "about:blank"
        self.more = more or {}

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The answer. A 503 says when to try again."""
        content = {
            "type": self.kind,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "errors": list(self.errors),
            **self.more,
        }
        extra = {**self.headers, **(headers or {})}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            extra["retry-after"] = str(RETRY_AFTER_S)
        return Response(encode(content), self.status, extra, PROBLEM_JSON)


class Forbidden(HttpProblem):
    """403: the principal may not do that, or may not see it. `reason` is one of `observe.REFUSALS`.

    Hidden and unknown names get the same answer.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(403, detail, kind="not-allowed", title="Not allowed")
        self.reason = reason


def bad_field(field: str, reason: str) -> HttpProblem:
    """400: a query parameter or a field of the body is wrong."""
    return HttpProblem(400, f"{field}: {reason}", errors=[{"index": None, "field": field, "reason": reason}])


def conflict(field: str, reason: str) -> HttpProblem:
    """409: the request is valid, but the thing that it names does not allow it in its present state."""
    return HttpProblem(409, f"{field}: {reason}", errors=[{"index": None, "field": field, "reason": reason}])


def not_live(gateway: Gateway, principal: Principal) -> HttpProblem:
    """503: the engine is starting (with its progress), stopping or failed."""
    counts = gateway.starting() if principal.grants.see_everything else {}
    more = {"state": gateway.state, **counts, "progress": gateway.progress}
    return HttpProblem(503, f"the engine is {gateway.state}", kind="not-live", title="Engine not live", more=more)


def _problem_of(error: RiskEngineError, request: Request) -> HttpProblem:
    match error:
        case EngineNotLive():
            return not_live(request.app.state.gateway, principal_of(request.scope))
        case InboxFull():
            return HttpProblem(503, str(error), kind="inbox-full", title="No room for more trades")
        case StoreUnavailable() | LeaseHeld():  # of another engine's store nothing was taken: it is to be sent there
            return HttpProblem(503, str(error), kind="store-unavailable", title="Store unavailable")
        case TooBusy():
            return HttpProblem(429, str(error), kind="too-busy", headers={"retry-after": str(RETRY_AFTER_S)})
        case BeforeTheStore():
            return HttpProblem(404, str(error), kind="before-the-store", title="Before the store")
        case InputError():
            return HttpProblem(400, str(error))
        case _:
            log.error("request_failed", path=request.scope["path"], error=str(error))
            return HttpProblem(500, str(error))


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)
    if isinstance(error, Forbidden):
        request.app.state.access_audit.record_refusal(error.reason, request.scope)
    return error.response()


async def _on_engine_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RiskEngineError)
    return _problem_of(error, request).response()


async def _on_unknown_name(request: Request, error: Exception) -> Response:
    return HttpProblem(404, str(error), kind="unknown-name").response()


async def _on_snapshot_gone(request: Request, error: Exception) -> Response:
    return HttpProblem(410, str(error), kind="snapshot-gone").response()


async def _on_snapshot_not_yet(request: Request, error: Exception) -> Response:
    return HttpProblem(404, str(error), kind="snapshot-not-yet").response()


async def _on_http(request: Request, error: Exception) -> Response:
    """The router's errors: unknown route, wrong method."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    details = {404: f"there is no {path}", 405: f"{path} does not take {request.method}"}
    return HttpProblem(error.status_code, details.get(error.status_code, error.detail)).response(error.headers)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """The client went away while it was sending; nobody reads this."""
    return Response(status_code=400)


HANDLERS: dict[Any, ExceptionHandler] = {
    HttpProblem: _on_problem,
    RiskEngineError: _on_engine_error,
    UnknownName: _on_unknown_name,
    SeqGone: _on_snapshot_gone,
    SnapshotNotYet: _on_snapshot_not_yet,
    HTTPException: _on_http,
    ClientDisconnect: _on_disconnect,
}
"""For Starlette: the answer to each exception that a handler raises, except bugs."""


POLICY_VIOLATION = 1008
"""Close code: the client broke a rule."""
