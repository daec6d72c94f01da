"""The tokens file: what it says, what it refuses, and that it is whole at every moment."""

import contextlib
import datetime as dt
import os
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.errors import ConfigError
from riskengine.records.fields import Rejected
from riskengine.serve.access.tokens import (
    RESERVED,
    StoredToken,
    Tokens,
    check_token,
    editing,
    hash_of,
    micros,
    new_token,
    read_tokens,
)
from riskengine.views.grants import EVERYTHING, Grants

HASH = hash_of("a")
WHEN = dt.datetime(2027, 1, 31, 18, 0, 0, 123_456, tzinfo=dt.UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def add(file: Path, name: str) -> None:
    with editing(file) as tokens:
        tokens[name] = StoredToken(name, "viewer", hash_of(name), nodes=("FX",))


names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(lambda text: text.isprintable())


@given(st.lists(names, unique=True, max_size=4).map(tuple), st.sampled_from([None, WHEN]))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, named: tuple[str, ...], expires: dt.datetime | None):
    path = tmp_path_factory.mktemp("file") / "tokens.toml"
    token = StoredToken("ann", "dealer", HASH, named, tuple(name for name in named if name != "*"), (*named, ""), WHEN, expires)
    with editing(path) as tokens:
        tokens["ann"] = token
    assert read_tokens(path) == (token,)


def test_the_file_has_hashes_only_and_is_for_its_owner_alone(file: Path) -> None:
    text = new_token()
    with editing(file) as tokens:
        tokens["ann"] = StoredToken("ann", "viewer", hash_of(text), nodes=("FX",))
    assert text not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    add(file, "bob")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_tokens_are_long_and_never_the_same() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert all(len(new_token()) >= 43 for _ in range(10))


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_change_is_refused(file: Path, mode: int) -> None:
    add(file, "ann")
    file.chmod(mode)
    with pytest.raises(ConfigError, match="can be changed by others"):
        read_tokens(file)


GOOD = f'[[token]]\nname = "ann"\nrole = "viewer"\nsha256 = "{HASH}"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[token]\n", "tokens file"),
        ("tokens = 1\n", "tokens"),
        ("[token]\n", "token"),
        (GOOD * 2, "'ann' is there twice"),
        (GOOD + GOOD.replace("ann", "bob"), "another has the same hash"),
        (GOOD.replace(HASH, HASH.upper()), "64 hexadecimal"),
        (GOOD.replace("viewer", "root"), "role"),
        (GOOD.replace("ann", ""), "name: is missing"),
        (GOOD + 'node = ["FX"]\n', "node"),
        (GOOD + 'nodes = [""]\n', "nodes: is missing"),
        (GOOD + 'totals = ["*"]\n', "totals: must name"),
        (GOOD + "expires = 2027-01-01T00:00:00\n", "expires: needs an offset"),
        (GOOD + "expires = 5\n", "expires"),
        (GOOD.replace("ann", "engine"), "uses itself"),
        ("\udcff", "tokens file"),
        ("a = " + "[" * 100_000, "tokens file"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_that_names_it(file: Path, text: str, said: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        read_tokens(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"tokens file {file}: ")
    assert "\n" not in str(caught.value)


def test_a_file_written_by_hand_is_read(file: Path) -> None:
    file.write_text("\ufeff# ours\n" + GOOD + 'nodes = ["*"]\nexpires = 2027-01-31T18:00:00+01:00\n')
    file.chmod(0o600)
    [token] = read_tokens(file)
    assert token.grants == Grants(nodes=None)
    assert token.principal().expires_at == micros(dt.datetime(2027, 1, 31, 17, tzinfo=dt.UTC))


def test_ops_is_shown_everything_and_others_what_they_name() -> None:
    assert StoredToken("boss", "ops", HASH).grants == EVERYTHING
    assert StoredToken("all", "viewer", HASH, nodes=("*",), dealers=("*",)).grants.see_everything
    assert StoredToken("none", "feed", HASH).grants == Grants()


@pytest.mark.parametrize("name", [*sorted(RESERVED), "", "a" * 200, "a\nb"])
def test_some_names_cannot_be(name: str) -> None:
    with pytest.raises(Rejected):
        check_token(StoredToken(name, "ops", HASH))


def test_what_goes_wrong_while_editing_leaves_the_file_as_it_was(file: Path) -> None:
    add(file, "ann")
    before = file.read_bytes()
    with contextlib.suppress(RuntimeError), editing(file) as tokens:
        tokens.clear()
        raise RuntimeError
    assert file.read_bytes() == before
    assert {path.name for path in file.parent.iterdir()} == {"tokens.toml", "tokens.toml.lock"}


def test_a_link_stays_one(file: Path) -> None:
    link = file.with_name("link.toml")
    link.symlink_to(file)
    add(link, "ann")
    assert link.is_symlink()
    assert [token.name for token in read_tokens(file)] == ["ann"]


def add_some(path: str, worker: int) -> None:
    for number in range(10):
        add(Path(path), f"{worker}-{number}")


def test_who_edits_at_once_loses_nothing_and_readers_see_whole_files(file: Path) -> None:
    add(file, "first")
    seen = 0
    with ProcessPoolExecutor(4) as pool:
        running = [pool.submit(add_some, str(file), worker) for worker in range(4)]
        while not all(each.done() for each in running):
            count = len(read_tokens(file))
            assert count >= seen
            seen = count
        for each in running:
            each.result()
    assert len(read_tokens(file)) == 41


def test_a_running_engine_notices_every_change(file: Path) -> None:
    add(file, "ann")
    tokens = Tokens(str(file))
    assert not tokens.has_changed()
    add(file, "bob")
    assert tokens.has_changed()
    tokens.read()
    assert not tokens.has_changed()
    assert tokens.names == {"ann", "bob"}
    assert tokens.principal(hash_of("bob")).name == "bob"  # type: ignore[union-attr]
    file.write_text("[[")
    tokens.read()
    assert tokens.names == {"ann", "bob"}
    assert "stay in force" in tokens.problem
    os.unlink(file)
    assert tokens.has_changed()
    tokens.read()
    assert tokens.names == frozenset()
    assert "is gone" in tokens.problem
