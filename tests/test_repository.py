"""A unit test that lints the repository: what style checkers do not know about this project."""

import ast
import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "riskengine"

MAX_FUNCTION_LINES = 55

HARD_ENGLISH = re.compile(
    r"\b[Ww]hoever\b|\b[Ii]t is (?:looked|waited|told)\b|\b[Ff]or who has\b|\bWho (?:takes|gives|can|names)\b"
)
"""Turns of phrase that leave out who acts, or make a clause of a noun."""

TESTED_BY_OTHERS = {
    "market/quote_state.py": "tests/market/test_quote_book.py",
    "serve/answers/whatif_shapes.py": "tests/serve/test_whatif.py",
    "serve/routes/whatif_bounds.py": "tests/serve/test_whatif.py",
    "limits/effects.py": "tests/limits/test_check.py",
    "limits/holdings.py": "tests/limits/test_reading.py",
    "limits/numbers.py": "tests/limits/test_reading.py",
    "limits/positions.py": "tests/limits/test_reading.py",
    "limits/rows.py": "tests/limits/test_judge.py",
    "process/journal.py": "tests/process/test_moments.py",
    "process/limit_desk.py": "tests/system/test_limits_live.py",
    "cli/demo_store.py": "tests/cli/test_demo.py",
    "cli/exceptions.py": "tests/system/test_case_kept_out.py",
    "cli/replay.py": "tests/cli/test_main.py",
    "cli/terminal.py": "tests/cli/test_main.py",
    "cli/version_run.py": "tests/cli/test_compare_runs.py",
    "client/blocking.py": "tests/client/test_restarts.py",
    "client/errors.py": "tests/client/test_requests.py",
    "client/exchange.py": "tests/client/test_publisher.py",
    "client/link.py": "tests/client/test_stream.py",
    "client/messages.py": "tests/client/test_feed.py",
    "engine/closing.py": "tests/engine/test_day_state.py",
    "engine/forward_book.py": "tests/valuation/test_forward_values.py",
    "engine/snapshot_audit.py": "tests/engine/test_self_audit.py",
    "engine/table_builder.py": "tests/engine/test_engine.py",
    "feeds/simulation/dealing.py": "tests/feeds/test_simulation.py",
    "feeds/simulation/market.py": "tests/feeds/test_simulation.py",
    "feeds/simulation/sample_book.py": "tests/feeds/test_simulation.py",
    "feeds/simulation/seeded_random.py": "tests/feeds/test_simulation.py",
    "files/drafts/column_evidence.py": "tests/files/test_draft.py",
    "files/drafts/draft_numbers.py": "tests/files/test_draft_text.py",
    "errors.py": "tests/serve/test_app.py",
    "files/shapes.py": "tests/files/test_records.py",
    "files/lines.py": "tests/files/test_records.py",
    "files/mappings/mapped_columns.py": "tests/files/test_mapped_rows.py",
    "files/mappings/mapped_steps.py": "tests/files/test_mapped_rows.py",
    "positions/adjusted.py": "tests/positions/test_generated.py",
    "positions/entitlements.py": "tests/positions/test_adjustments.py",
    "positions/day_window.py": "tests/engine/test_day_state.py",
    "positions/merged.py": "tests/positions/test_merges.py",
    "positions/position_audit.py": "tests/engine/test_self_audit.py",
    "positions/settled_cash.py": "tests/engine/test_cash_book.py",
    "positions/settle_columns.py": "tests/positions/test_fold_columns.py",
    "process/lifetime.py": "tests/system/test_start_over_http.py",
    "rebuild/renewal.py": "tests/rebuild/renewal/test_arriving.py",
    "reconciliation/store_actions.py": "tests/positions/test_generated.py",
    "reconciliation/comparison_child.py": "tests/reconciliation/test_comparison.py",
    "reconciliation/confirm.py": "tests/reconciliation/test_reconciler.py",
    "reconciliation/stored_keys.py": "tests/reconciliation/test_edits_in_place.py",
    "records/closes.py": "tests/store/test_struck_closes.py",
    "records/cash.py": "tests/store/test_cash.py",
    "records/types.py": "tests/records/test_decode.py",
    "serve/access/identity.py": "tests/serve/test_admission.py",
    "serve/access/login.py": "tests/serve/test_admission.py",
    "serve/answers/answers.py": "tests/serve/test_app.py",
    "serve/answers/params.py": "tests/serve/test_app.py",
    "serve/answers/problems.py": "tests/serve/test_app.py",
    "serve/answers/shapes.py": "tests/serve/test_openapi.py",
    "serve/answers/turns.py": "tests/serve/test_ingest_limits.py",
    "serve/answers/wire.py": "tests/serve/test_representation.py",
    "serve/gateway.py": "tests/serve/test_app.py",
    "serve/operations.py": "tests/serve/test_openapi.py",
    "serve/routes/closes.py": "tests/serve/test_closes_route.py",
    "serve/routes/positions.py": "tests/serve/test_app.py",
    "serve/routes/status.py": "tests/serve/test_app.py",
    "serve/routes/trades_answer.py": "tests/serve/test_trades.py",
    "serve/stream/uvicorn_server.py": "tests/system/test_hostile_clients.py",
    "snapshot/day_lines.py": "tests/engine/test_day_state.py",
    "snapshot/exposure_columns.py": "tests/snapshot/test_exposure.py",
    "store/dry_run.py": "tests/files/test_loading.py",
    "store/audit_records.py": "tests/store/test_audit_trail.py",
    "store/postgres/connection.py": "tests/store/test_postgres_store.py",
    "store/postgres/lease.py": "tests/store/test_postgres_store.py",
    "store/postgres/schema.py": "tests/store/test_postgres_store.py",
    "store/postgres/trades.py": "tests/store/test_postgres_store.py",
    "store/protocol.py": "tests/store/test_sql_store.py",
    "store/results.py": "tests/store/test_sql_store.py",
    "store/sqlite/connection.py": "tests/store/test_open_store.py",
    "store/sqlite/store.py": "tests/store/test_sql_store.py",
    "store/tables/reference.py": "tests/store/test_sql_store.py",
    "store/tables/trade_columns.py": "tests/store/test_bulk_trades.py",
    "store/tables/trades.py": "tests/store/test_sql_store.py",
    "valuation/cash_values.py": "tests/engine/test_cash_book.py",
    "valuation/day_start.py": "tests/engine/test_day_state.py",
    "valuation/options/terms.py": "tests/valuation/test_options_book.py",
    "valuation/options/values.py": "tests/snapshot/test_option_legs.py",
    "valuation/options/models.py": "tests/valuation/test_options_book.py",
    "valuation/day_values.py": "tests/engine/test_day_state.py",
}
"""Files of 100 lines or more without a test file of their name, and the test file that tests them."""


@cache
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


@cache
def text_of(path: Path) -> str:
    """A file's text, empty for a binary one."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


@cache
def nodes(path: Path) -> list[ast.AST]:
    """All of a file's syntax tree."""
    return list(ast.walk(ast.parse(text_of(path))))


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
        for node in nodes(path)
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


def test_no_two_public_classes_share_a_name():
    places: dict[str, list[str]] = {}
    for path in python_files():
        if PACKAGE in path.parents:
            for node in nodes(path):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(f"{short(path)}:{node.lineno}")
    expect_none([f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1], "one name, several classes")


def test_the_text_is_plain_english():
    texts = [path for path in tracked() if PACKAGE in path.parents and path.suffix in {".py", ".md"}]
    found = [
        f"{short(path)}:{text.count(chr(10), 0, match.start()) + 1}: {' '.join(match.group().split())}"
        for path in [*texts, ROOT / "README.md"]
        for text in [text_of(path)]
        for match in HARD_ENGLISH.finditer(text)
    ]
    expect_none(found, "hard to read")


# Tests


def test_no_file_imports_a_test_file():
    found = [
        f"{short(path)}:{node.lineno}"
        for path in python_files()
        for node in nodes(path)
        if isinstance(node, ast.Import | ast.ImportFrom) and any(name.startswith("test_") for name in imported_parts(node))
    ]
    expect_none(found, "imports a test file: what tests share lives in a file that is no test")


def imported_parts(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Every part of every name that a statement imports from tests/."""
    source = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    names = [f"{source}{alias.name}" for alias in node.names]
    return [part for name in names if name.startswith("tests.") for part in name.split(".")]


def test_every_long_file_has_a_test_file_of_its_name_or_is_listed():
    nameless = {
        path.relative_to(PACKAGE).as_posix()
        for path in python_files()
        if PACKAGE in path.parents and len(text_of(path).splitlines()) >= 100 and not files_that_name(path)
    }
    expect_none(sorted(nameless - TESTED_BY_OTHERS.keys()), "100 lines or more, and no test file")
    expect_none(sorted(TESTED_BY_OTHERS.keys() - nameless), "listed without need")
    expect_none(sorted(name for name in set(TESTED_BY_OTHERS.values()) if not (ROOT / name).is_file()), "listed and not there")


def files_that_name(path: Path) -> list[Path]:
    """`riskengine/store/tables/trades.py` is tested by `tests/store/test_trades.py` or `tests/store/test_tables_trades.py`."""
    *rooms, name = path.relative_to(PACKAGE).parts
    folder = ROOT.joinpath("tests", *rooms[:1])
    inner = "_".join([*rooms[1:], name])
    return [found for found in (folder / f"test_{name}", folder / f"test_{inner}") if found.is_file()]


def test_programs_that_tests_write_import_what_exists():
    """A `sitecustomize` whose import fails is a line on stderr, and a test that tries nothing."""
    statement = re.compile(r"^from (riskengine(?:\.\w+)+) import ([\w, ]+)$", re.MULTILINE)
    missing = [
        f"{short(path)}: {name} of {module}"
        for path in python_files()
        if PACKAGE not in path.parents
        for module, names in statement.findall(text_of(path))
        for name in re.findall(r"(\w+)(?: as \w+)?(?:, |$)", names)
        if not hasattr(importlib.import_module(module), name) and not importlib.util.find_spec(f"{module}.{name}")
    ]
    expect_none(missing, "not there")


# What is written beside the code


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "bench/requirements-beside.txt"])
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
