"""A unit test that lints the repository: what style checkers do not know about this project."""

import ast
import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "riskengine"

# A module imports only from lower rows; inside a row only from what stands left of a `<`. Modules of a
# folder (a name with a slash) may import each other. The README shows the same picture.
ROWS = """
9 terminal < cli_token watch_lines < cli_start cli_audit cli_reconcile cli_watch < cli
8 morning mender decisions looks notes sampling < proven_load renewal reconciler health writer_calls < watch < process < server
7 adapters/ serve/ client/
6 auditor < writer start_of_day board < subscription gateway publishers promises wakes succession mismatch edits dismantling beats
5 worklist reconcile < published snapshot_audit holdings < engine < inbox views digest self_audit < receipt view_sources curves
4 snapshot repair < freezing
3 ledger position_audit unit_values < row_columns column_fold column_settle < moves < valuation
2 hierarchy history < processed marks currencies position sparse grants < quarantine set_aside tokens alerts tick_limits
1 messages < fields < reference decode config observe background
0 errors < clock fingerprint row_checksum
"""

MAX_FUNCTION_LINES = 55


class Place(NamedTuple):
    """Where a name stands in ROWS; of two, the smaller may be imported by the larger."""

    row: int
    step: int


def places(rows: str) -> dict[str, Place]:
    """Every name of the table with its place."""
    found = {}
    for line in rows.strip().splitlines():
        row, _, names = line.partition(" ")
        for step, group in enumerate(names.split("<")):
            found.update({name: Place(int(row), step) for name in group.split()})
    return found


def part(module: str) -> str:
    """The name under which ROWS knows `riskengine.x` or `riskengine.x.y`."""
    names = module.split(".")[1:]
    if not names:
        return ""
    return f"{names[0]}/" if (PACKAGE / names[0]).is_dir() else names[0]


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


@cache
def modules() -> dict[str, ast.Module]:
    """The syntax trees of riskengine by module name."""
    paths = sorted(PACKAGE.rglob("*.py"))
    assert paths
    return {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imported(module: str, tree: ast.Module, known: Sequence[str]) -> Iterator[str]:
    """The modules of riskengine that `module` imports anywhere, also inside functions and for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: import by full name"
            source = node.module or ""
            names = [name if (name := f"{source}.{alias.name}") in known else source for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == "riskengine")


def against_the_rows(trees: dict[str, ast.Module], rows: str = ROWS) -> list[str]:
    """The imports that the table forbids."""
    place = places(rows)
    wrong = []
    for module, tree in trees.items():
        here = part(module)
        for other in dict.fromkeys(imported(module, tree, list(trees))):
            there = part(other)
            sibling = here == there and here.endswith("/")
            if there and here in place and there in place and not sibling and not place[there] < place[here]:
                wrong.append(f"{module} imports {other}")
    return wrong


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


# The import rows


def test_every_module_has_its_place_in_the_rows():
    homeless = [module for module in modules() if part(module) and part(module) not in places(ROWS)]
    expect_none(homeless, "without a place in ROWS")


def test_a_module_imports_only_from_lower_rows():
    expect_none(against_the_rows(modules()), "against ROWS")


def test_the_package_itself_imports_nothing():
    # Whoever imports any module runs `riskengine/__init__.py` first.
    assert list(imported("riskengine", modules()["riskengine"], list(modules()))) == []


def test_modules_are_imported_by_statements_only():
    hidden = [
        f"{module}:{node.lineno}"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
        and (node.id if isinstance(node, ast.Name) else node.attr) in {"import_module", "__import__"}
    ]
    expect_none(hidden, "imported by a call")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("riskengine.ledger", "from riskengine.snapshot import Snapshot"),
        ("riskengine.ledger", "from riskengine import snapshot"),
        ("riskengine.ledger", "import riskengine.valuation"),
        ("riskengine.ledger", "def late():\n    from riskengine import cli"),
        ("riskengine.ledger", "if TYPE_CHECKING:\n    from riskengine.engine import Engine"),
        ("riskengine.messages", "from riskengine.fields import fixed"),
        ("riskengine.errors", "from riskengine.clock import Clock"),
        ("riskengine.serve.http", "from riskengine.adapters.store import Store"),
        ("riskengine.adapters.feeds", "import riskengine.serve.wire as wire"),
    ],
)
def test_the_check_of_the_rows_sees_every_kind_of_import(module, source):
    trees = {name: ast.parse("") for name in ("riskengine.snapshot", "riskengine.valuation", "riskengine.cli")}
    assert len(against_the_rows(trees | {module: ast.parse(source)})) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("riskengine.ledger", "from riskengine.hierarchy import Reference\nfrom riskengine import __version__"),
        ("riskengine.decode", "from riskengine.fields import fixed\nfrom riskengine.clock import Clock"),
        ("riskengine.serve.http", "from riskengine.serve.wire import encode\nfrom riskengine.writer import Writer"),
    ],
)
def test_the_check_of_the_rows_lets_pass_what_lies_lower(module, source):
    assert against_the_rows({module: ast.parse(source)}) == []


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


def test_the_makefile_has_the_targets_that_the_readme_promises():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "bench", "lint", "lock", "clean"} <= targets
    assert set(re.findall(r"\bmake ([a-z]+)\b`", readme())) <= targets


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_every_module_in_its_picture():
    names = {part(module) for module in modules()} - {""}
    text = readme()
    expect_none([name for name in sorted(names) if not re.search(rf"\b{name}", text)], "not in the README")


def test_the_readme_tells_of_every_command():
    pytest.importorskip("riskengine.cli")
    main = importlib.import_module("riskengine.cli").main
    commands = sorted(main.commands)
    assert commands
    text = readme()
    expect_none([command for command in commands if f"riskengine {command}" not in text], "not in the README")


def test_the_readme_tells_of_every_route():
    pytest.importorskip("riskengine.serve.http")
    routes = importlib.import_module("riskengine.serve.http").ROUTES
    # "/v1/nodes/{node:path}" is written "/v1/nodes/{node}".
    paths = sorted({re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path) for route in routes})
    assert paths
    text = readme()
    expect_none([path for path in paths if not re.search(rf"{re.escape(path)}(?![\w/{{])", text)], "not in the README")
