"""How commands reach a running engine: with the token in RISKENGINE_TOKEN, past proxies, without following redirects."""

import os
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, build_opener

TOKEN_VARIABLE = "RISKENGINE_TOKEN"  # noqa: S105 - the name of the variable


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: the token is for the given address alone."""

    def redirect_request(self, *_: object) -> None:
        """Refuse."""


def engine_headers() -> dict[str, str]:
    """Headers for every request and websocket handshake."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def engine_opener() -> OpenerDirector:
    """An opener for the engine's addresses."""
    opener = build_opener(ProxyHandler({}), _NoRedirect())
    opener.addheaders += engine_headers().items()
    return opener
