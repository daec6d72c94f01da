"""A unit test that lints the repository: what style checkers do not know about this project."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "riskengine"

MAX_FUNCTION_LINES = 55


def tracked() -> list[Path]:
    """The files that are or would be in git; all but the usual leftovers where the tree is not a clone."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        names = [name for name in listed.split("\0") if name]
        paths = [ROOT / name for name in names]
    else:
        ignored = {".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".benchmarks"}
        paths = [path for path in ROOT.rglob("*") if ignored.isdisjoint(path.relative_to(ROOT).parts)]
    return sorted(path for path in paths if path.is_file())


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def text_of(path: Path) -> str:
    """A file's text, empty for a binary one."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def expect_none(found: Sequence[str], what: str) -> None:
    """Fail with one line for each thing found."""
    assert not found, "\n  ".join([f"{what}:", *found])


# Sizes and names


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{short(path)}:{node.lineno} {node.name}"
        for path in python_files()
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    expect_none(long, f"more than {MAX_FUNCTION_LINES} lines")


def test_every_module_is_named_for_what_it_does():
    vague = [short(path) for path in python_files() if path.stem in {"utils", "util", "helpers", "helper", "common"}]
    expect_none(vague, "name that says nothing")


def test_nothing_unfinished_is_left_in_the_engine():
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
    left = [
        f"{short(path)}:{number}"
        for path in tracked()
        if PACKAGE in path.parents
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if marks.search(line)
    ]
    expect_none(left, "unfinished")


def test_no_file_names_a_path_of_somebody_s_machine():
    machine = re.compile(r"(?<![\w.~}])/(?:work|tmp|home|root|Users)/\w")
    named = [
        f"{short(path)}:{number}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if machine.search(line)
    ]
    expect_none(named, "path of a machine")


# What is written beside the code


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_names_versions_and_hashes_and_no_place_to_load_from(name):
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"pypi|pythonhosted|^-|(?:^|\s)--(?!hash=)|(?:^|\s)@\s|(?:^|\s)\.{0,2}/", text, re.MULTILINE)
    for requirement in re.split(r"\n(?=\w)", re.sub(r"^ *#.*\n?", "", text, flags=re.MULTILINE)):
        assert re.match(r"[\w.-]+==\S+", requirement)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", requirement)


def test_the_locks_hold_every_declared_dependency_and_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def locked(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))

    def declared(requirements: Sequence[str]) -> set[str]:
        return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}

    run, dev = locked("requirements.txt"), locked("requirements-dev.txt")
    assert declared(project["dependencies"]) <= run.keys()
    assert declared(project["optional-dependencies"]["dev"]) <= dev.keys()
    assert run.items() <= dev.items()
