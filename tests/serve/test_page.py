import gzip
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette

from riskengine.serve.page import login_page, page_routes
from tests.serve.stand_in import ask


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-1a2b.js").write_text("live()")
    (tmp_path / "index.html").write_text('<meta name="style-nonce" content="nonce-of-the-response">')
    (tmp_path / "login.html").write_text("<p><!-- message --></p>")
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path / ".sources").write_text("digest")
    return tmp_path


def test_the_page_has_a_nonce_of_its_own_in_each_answer(built: Path) -> None:
    app = Starlette(routes=page_routes(built))
    nonces = []
    for _ in range(2):
        answer = ask(app, "/")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        [nonce] = re.findall(rb'content="([^"]{16,})"', answer.body)
        policy = answer.headers["content-security-policy"]
        assert f"'nonce-{nonce.decode()}'" in policy
        assert {"default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin", "a form of the page is sent with an origin"
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(policy.replace(";", "").split())
        nonces.append(nonce)
    assert nonces[0] != nonces[1]


def test_files_with_a_hash_in_their_name_are_kept_and_others_asked_for_again(built: Path) -> None:
    app = Starlette(routes=page_routes(built))
    script, icon = ask(app, "/assets/index-1a2b.js"), ask(app, "/icon.svg")
    assert script.body == b"live()"
    assert "immutable" in script.headers["cache-control"]
    assert icon.headers["cache-control"] == "no-cache"
    assert ask(app, "/icon.svg", headers={"if-none-match": icon.headers["etag"]}).status == 304
    assert ask(app, "/", method="POST").status == 405


def test_scripts_are_sent_as_gzip_to_whom_takes_it(built: Path) -> None:
    app = Starlette(routes=page_routes(built))
    for _ in range(2):
        packed = ask(app, "/assets/index-1a2b.js", headers={"accept-encoding": "gzip, br"})
        assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "accept-encoding")
        assert gzip.decompress(packed.body) == b"live()"
        assert packed.headers["content-type"].startswith("text/javascript")
        assert "immutable" in packed.headers["cache-control"]
    plain = ask(app, "/assets/index-1a2b.js", headers={"accept-encoding": "identity"})
    assert ("content-encoding" in plain.headers, plain.headers["vary"]) == (False, "accept-encoding")


@pytest.mark.parametrize("path", ["/.sources", "/index.html", "/login.html", "/assets/../.sources", "/assets"])
def test_nothing_else_of_the_folder_is_served(built: Path, path: str) -> None:
    assert ask(Starlette(routes=page_routes(built)), path).status == 404


def test_without_the_built_page_the_server_says_what_is_missing_and_takes_logins(tmp_path: Path) -> None:
    answer = ask(Starlette(routes=page_routes(tmp_path)), "/")
    assert answer.status == 503
    assert b"make page" in answer.body
    assert "<!-- message -->" in login_page(tmp_path / "login.html")
