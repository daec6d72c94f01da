"""The errors that a client raises, by who must act. Each is a RiskEngineError; `str()` is one clear line.

EngineUnreachable          nothing answers at the URL, or something that is not an engine
ClientError
 +-- Problem               the engine answered a request with an error: title, detail, errors
 |    +-- BadRequest       the caller: a parameter or a body is wrong
 |    +-- NotSignedIn      the caller: no token, or an unknown, expired or revoked one
 |    +-- NotAllowed       the person who grants access: this token may not do or see this
 |    +-- NotFound         the caller: an unknown node, dealer, instrument or route, or a seq not published yet
 |    +-- SnapshotGone     the caller: the engine no longer keeps the snapshot of that seq
 |    +-- NotNow           nobody: retry after `retry_after_s`; the engine is not live, full or throttling, or its store is away
 +-- TradesRejected        the caller: the engine refused some of the posted trades, and stored the others
 +-- SubscriptionRefused   the caller: the engine refuses this subscription
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
    "TradesRejected",
    "problem",
]


class ClientError(RiskEngineError):
    """Base of all errors that a client raises, except EngineUnreachable."""


class Problem(ClientError):
    """The engine answered with an error (RFC 9457). `errors` are `{index, field, reason}`; `told` is the whole answer."""

    def __init__(self, status: int, told: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.title = str(told.get("title") or "")
        self.detail = str(told.get("detail") or "")
        self.errors: Sequence[Mapping[str, Any]] = told.get("errors") or ()
        self.told = told
        self.retry_after_s = retry_after_s
        super().__init__(f"{status} {self.title}: {self.detail}")


class BadRequest(Problem):
    """A parameter or a body is wrong; the same request fails again."""


class NotSignedIn(Problem):
    """The request had no token, or one that is unknown, expired or revoked."""


class NotAllowed(Problem):
    """The token lacks the role, the node or the dealer; or the request came from a page of another site."""


class NotFound(Problem):
    """The name or the route is unknown, or the seq is not published yet."""


class SnapshotGone(Problem):
    """The engine no longer keeps the snapshot of that seq."""


class NotNow(Problem):
    """The request may succeed after `retry_after_s` seconds. None of the posted trades was stored."""


class TradesRejected(ClientError):
    """The engine refused some of the posted trades: `rejected` are their results. It took the others.

    `answer` is the whole answer, as a post with `raise_on_rejected=False` returns it.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.rejected: Sequence[Mapping[str, Any]] = rejected_of(answer)
        first = self.rejected[0]
        count, all_of_them = len(self.rejected), len(answer["results"])
        super().__init__(
            f"{count} of {all_of_them} trades were rejected, the first {first.get('trade_id')}: {first.get('reason')}"
        )


def rejected_of(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The results of an answer to trades that say rejected."""
    results: Sequence[Mapping[str, Any]] = answer.get("results") or ()
    return [result for result in results if result.get("status") == "rejected"]


class SubscriptionRefused(ClientError):
    """The engine refuses a subscription: the name is unknown or not granted, or there are too many subscriptions."""

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


def problem(status: int, answer: object, retry_after_s: float | None = None) -> Problem:
    """The error for an answer with `status` 300 or above. `answer` is the decoded body, None if it is not JSON."""
    members = answer if isinstance(answer, Mapping) else {"title": "", "detail": "the answer is not from an engine"}
    kind = _KINDS.get(status) or (BadRequest if 400 <= status < 500 else Problem)
    return kind(status, members, retry_after_s)
