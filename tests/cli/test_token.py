"""`riskengine token create | list | revoke` as a person runs them, and what a start refuses of access."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from riskengine.cli.main import main
from riskengine.cli.token import check_access
from riskengine.config import AccessConfig, Config, ServerConfig
from riskengine.errors import ConfigError
from riskengine.serve.access.tokens import hash_of, read_tokens
from tests.certificates import make_certificate


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def token(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["token", *map(str, words)])


def test_a_token_is_printed_once_and_kept_as_its_hash(file: Path) -> None:
    granted = ("--node", "FX1", "--node", "FX2", "--total", "FX", "--dealer", "ann")
    done = token("create", "ann", "--role", "dealer", *granted, "--tokens", file)
    assert done.exit_code == 0
    text = done.stdout.strip()
    [kept] = read_tokens(file)
    assert (kept.name, kept.role, kept.sha256) == ("ann", "dealer", hash_of(text))
    assert (kept.nodes, kept.totals, kept.dealers, kept.expires) == (("FX1", "FX2"), ("FX",), ("ann",), None)
    assert kept.created is not None
    assert text not in token("list", "--tokens", file).output + token("list", "--json", "--tokens", file).output


def test_the_file_of_the_configuration_is_the_one_that_is_kept(file: Path, tmp_path: Path) -> None:
    config = tmp_path / "desk.toml"
    config.write_text(f'[access]\ntokens_file = "{file}"\n')
    assert token("create", "boss", "--role", "ops", "--config", config).exit_code == 0
    assert token("list", "--config", config).stdout.startswith("boss  ops  everything  never expires")
    assert token("revoke", "boss", "--config", config).exit_code == 0
    assert read_tokens(file) == ()


def test_a_list_says_who_may_see_what_until_when(file: Path) -> None:
    token("create", "wall", "--role", "viewer", "--node", "*", "--expires", "30d", "--tokens", file)
    told = json.loads(token("list", "--json", "--tokens", file).stdout)["tokens"]
    assert [(each["name"], each["role"], each["nodes"], each["expired"]) for each in told] == [("wall", "viewer", ["*"], False)]
    assert told[0]["expires_ts"] - told[0]["created_ts"] == 30 * 86_400 * 1_000_000
    assert "wall  viewer  nodes '*'  expires " in token("list", "--tokens", file).stdout


def test_a_token_that_books_says_so(file: Path) -> None:
    token("create", "ann", "--role", "dealer", "--node", "FX1", "--dealer", "ann", "--book", "--tokens", file)
    token("create", "bob", "--role", "dealer", "--node", "FX1", "--dealer", "bob", "--tokens", file)
    assert [kept.principal().may_book for kept in read_tokens(file)] == [True, False]
    assert "ann  dealer who books  nodes 'FX1'" in token("list", "--tokens", file).stdout
    told = json.loads(token("list", "--json", "--tokens", file).stdout)["tokens"]
    assert [each["book"] for each in told] == [True, False]


@pytest.mark.parametrize("expires", ["1d", "2199-01-31", "2199-01-31T18:00:00+01:00"])
def test_an_expiry_is_a_number_of_days_a_date_or_a_time(file: Path, expires: str) -> None:
    assert token("create", "ann", "--role", "feed", "--expires", expires, "--tokens", file).exit_code == 0
    assert read_tokens(file)[0].expires is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "x", "--role", "viewer"], "is shown nothing without"),
        (["create", "x", "--role", "ops", "--node", "FX"], "ops is shown everything"),
        (["create", "ann", "--role", "feed"], "token 'ann' exists already"),
        (["create", "x", "--role", "viewer", "--node", "FX1", "--dealer", "x", "--book"], "book: is for the role dealer"),
        (["create", "x", "--role", "dealer", "--node", "FX1", "--book"], "book: needs nodes and dealers"),
        (["create", "x", "--role", "dealer", "--dealer", "x", "--book"], "book: needs nodes and dealers"),
        (["create", "engine", "--role", "feed"], "name: is one that the engine uses itself"),
        (["create", "", "--role", "feed"], "name: is missing"),
        (["create", "x", "--role", "viewer", "--total", "*"], "totals: must name"),
        (["create", "x", "--role", "feed", "--expires", "2020-01-01"], "has passed"),
        (["create", "x", "--role", "feed", "--expires", "tomorrow"], "30d, 2027-01-31 or"),
        (["create", "x", "--role", "feed", "--expires", "99999d"], "30d, 2027-01-31 or"),
        (["create", "x", "--role", "feed", "--expires", "0d"], "30d, 2027-01-31 or"),
        (["revoke", "nobody"], "there is no token 'nobody'"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(file: Path, words: list[str], said: str) -> None:
    token("create", "ann", "--role", "feed", "--tokens", file)
    before = file.read_bytes()
    done = token(*words, "--tokens", file)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert file.read_bytes() == before


def test_a_file_that_is_not_there_is_made_by_create_and_by_nothing_else(file: Path) -> None:
    for words in (["list"], ["revoke", "ann"]):
        done = token(*words, "--tokens", file)
        assert (done.exit_code, "cannot be read" in done.stderr) == (1, True)
        assert not file.exists()
    assert "which file?" in token("list").stderr
    assert "cannot be written" in token("create", "x", "--role", "feed", "--tokens", file.parent / "no" / "file").stderr


# -- what a start refuses ------------------------------------------------------------------------------------------


def config(tokens: Path | str = "", **server: str) -> Config:
    return Config(access=AccessConfig(tokens_file=str(tokens)), server=ServerConfig(**server))  # type: ignore[arg-type]


def test_an_address_that_others_reach_is_served_with_tokens_and_loudly_without_tls(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token("create", "boss", "--role", "ops", "--tokens", file)
    with pytest.raises(ConfigError, match=r"server\.host"):
        check_access(config(host="0.0.0.0"))
    check_access(config(file, host="0.0.0.0"))
    assert "WARNING: server.host: 0.0.0.0 can be reached by others, and without server.tls_certificate" in capsys.readouterr().err
    check_access(config(file))
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError, match="cannot be read"):
        check_access(config(file.with_name("missing")))


def certificate(folder: Path, *more: str) -> tuple[str, str]:
    """A certificate for this machine and its key, made for the test."""
    paths = str(folder / "server.pem"), str(folder / "server.key")
    make_certificate(*paths, *more)
    return paths


def test_a_certificate_that_cannot_be_used_is_refused_and_named(tmp_path: Path) -> None:
    good, key = certificate(tmp_path)
    check_access(config(tls_certificate=good, tls_key=key))
    (tmp_path / "text").write_text("no certificate")
    text = str(tmp_path / "text")
    (tmp_path / "locked").mkdir()
    locked = certificate(tmp_path / "locked", "-passout", "pass:secret")
    for certificate_file, key_file, said in (
        (str(tmp_path / "no"), key, "tls_certificate: .*cannot be read"),
        (good, str(tmp_path / "no"), "tls_key: .*cannot be read"),
        (text, key, "tls_certificate: "),
        (good, text, "tls_certificate: "),
        (good, good, "tls_certificate: "),
        (locked[0], key, "KEY_VALUES_MISMATCH"),
        (*locked, "passphrase"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            check_access(config(tls_certificate=certificate_file, tls_key=key_file))
        assert "\n" not in str(caught.value)


def test_check_config_looks_at_the_files_too(tmp_path: Path) -> None:
    desk = tmp_path / "desk.toml"
    desk.write_text(f'[access]\ntokens_file = "{tmp_path}/missing"\n')
    done = CliRunner().invoke(main, ["check-config", str(desk)])
    assert (done.exit_code, "cannot be read" in done.stderr) == (1, True)
    desk.write_text('[server]\ntls_certificate = "x.pem"\n')
    done = CliRunner().invoke(main, ["check-config", str(desk)])
    assert "server.tls_certificate and server.tls_key go together" in done.stderr
