"""How commands show a running engine who they are: with the token in RISKENGINE_TOKEN, where it needs one."""

import os
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, build_opener

TOKEN_VARIABLE = "RISKENGINE_TOKEN"  # noqa: S105 - the name of the variable


class _Straight(HTTPRedirectHandler):
    """Follows nothing: a token is for the address that was given."""

    def redirect_request(self, *_: object) -> None:
        """No."""


def engine_headers() -> dict[str, str]:
    """What goes with every request and handshake."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def engine_opener() -> OpenerDirector:
    """Opens addresses of an engine: past every proxy, with the token."""
    opener = build_opener(ProxyHandler({}), _Straight())
    opener.addheaders += engine_headers().items()
    return opener
