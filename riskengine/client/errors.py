"""What a client can meet, by who must act. Every one is a RiskEngineError; `str()` is one clear line.

EngineUnreachable          nobody answers there, or what answers is no engine
ClientError
 +-- Problem               the engine answered a request with an error: title, detail, errors
 |    +-- BadRequest       the caller: a parameter or a body is wrong
 |    +-- NotSignedIn      the caller: no token, or one that is not (or no longer) known
 |    +-- NotAllowed       the person who grants: this token may not do or see this
 |    +-- NotFound         the caller: an unknown node, dealer, instrument or route; a seq that is not yet published
 |    +-- SnapshotGone     the caller: the snapshot of that seq is not kept any more
 |    +-- NotNow           wait: not live, no room, store away, too many requests; `retry_after_s` says how long
 +-- SubscriptionRefused   the caller: the engine will not serve this subscription
 +-- Closed                the caller: the client was closed
"""

from collections.abc import Mapping, Sequence
from typing import Any

from riskengine.errors import EngineUnreachable, RiskEngineError

__all__ = [
    "BadRequest",
    "ClientError",
    "Closed",
    "EngineUnreachable",
    "NotAllowed",
    "NotFound",
    "NotNow",
    "NotSignedIn",
    "Problem",
    "SnapshotGone",
    "SubscriptionRefused",
    "problem",
]


class ClientError(RiskEngineError):
    """Base of what a client raises, but for EngineUnreachable."""


class Problem(ClientError):
    """An answer that is an error (RFC 9457). `errors` are `{index, field, reason}`; `told` is the whole answer."""

    def __init__(self, status: int, told: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.title = str(told.get("title") or "")
        self.detail = str(told.get("detail") or "")
        self.errors: Sequence[Mapping[str, Any]] = told.get("errors") or ()
        self.told = told
        self.retry_after_s = retry_after_s
        super().__init__(f"{status} {self.title}: {self.detail}")


class BadRequest(Problem):
    """A parameter or a body is wrong; sending the same again gives the same."""


class NotSignedIn(Problem):
    """No token was sent, or one that the engine does not know, or not any more."""


class NotAllowed(Problem):
    """The token has not the role, or not the node or dealer; or the request came from a page of another site."""


class NotFound(Problem):
    """The name or the route is unknown, or the seq is not published yet."""


class SnapshotGone(Problem):
    """The snapshot of that seq is not kept any more."""


class NotNow(Problem):
    """It may work in `retry_after_s` seconds. Of posted trades nothing was stored."""


class SubscriptionRefused(ClientError):
    """The engine will not serve a subscription: an unknown name, one that is not granted, too many."""

    def __init__(self, title: str, detail: str) -> None:
        self.title = title
        self.detail = detail
        super().__init__(f"{title}: {detail}")


class Closed(ClientError):
    """The client or the subscription was closed."""


_KINDS: Mapping[int, type[Problem]] = {
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    410: SnapshotGone,
    429: NotNow,
    502: NotNow,
    503: NotNow,
    504: NotNow,
}


def problem(status: int, told: object, retry_after_s: float | None = None) -> Problem:
    """The error for an answer of `status` 300 or above; `told` is its body where that could be read."""
    members = told if isinstance(told, Mapping) else {"title": "", "detail": "the answer is not one of an engine"}
    kind = _KINDS.get(status) or (BadRequest if 400 <= status < 500 else Problem)
    return kind(status, members, retry_after_s)
