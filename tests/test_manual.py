"""README and manual say what the code does: nothing is missing in them, nothing in them is made up, and their commands run."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from riskengine.cli.main import main
from riskengine.config import Config
from riskengine.files import records
from riskengine.files.shapes import STATEMENT, Shape
from riskengine.observe import REFUSALS, Metrics
from riskengine.process.kept_out import WORDS as KEPT_OUT
from riskengine.records import decode, reference_input
from riskengine.records.audit_kinds import ENTRY_KINDS
from riskengine.serve.app import ROUTES
from riskengine.serve.operations import OPERATIONS, OTHER_PATHS
from riskengine.serve.routes import exceptions
from riskengine.snapshot.compare import KINDS as BREAKS
from riskengine.snapshot.compare import STATEMENT_KINDS
from riskengine.views.grants import ROLES
from tests.preloaded import preloaded
from tests.shown_commands import ShownCommand, Terminal, check_command, command_of, options_of, shown_commands

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "riskengine"
MANUAL = PACKAGE / "manual"
README = ROOT / "README.md"
PAGES = [README, *sorted(MANUAL.glob("*.md"))]
BESIDE_THE_MANUAL = [ROOT / "replay" / "README.md", ROOT / "bench" / "README.md", ROOT / "bench" / "results" / "README.md"]
LINKED = [*PAGES, *BESIDE_THE_MANUAL, ROOT / "CHANGELOG.md"]
README_LINES = 200


def text(page: str) -> str:
    return (MANUAL / page).read_text(encoding="utf-8")


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sections(page: str, level: str = "##") -> dict[str, str]:
    """What stands below each heading of a page."""
    parts = re.split(rf"^{level} (.*)$", text(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table(of: str) -> list[list[str]]:
    """The rows of the tables in a text, as cells, without headings."""
    lines = re.findall(r"(?:^\|.*\|\n)+", of, re.MULTILINE)
    rows = [row for each in lines for row in each.splitlines()[2:]]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def named(rows: Sequence[Sequence[str]]) -> list[str]:
    """Each code of the first cells."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]


def fenced(page: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def expect_none(found: Sequence[str], what: str) -> None:
    """Fail with one line for each thing found."""
    assert not found, "\n  ".join([f"{what}:", *found])


def expect_same(written: set[str], there: set[str], page: str) -> None:
    expect_none(sorted(there - written), f"not in {page}")
    expect_none(sorted(written - there), f"in {page}, and not there")


# -- pages and links -------------------------------------------------------------------------------------------------


def test_the_readme_is_read_in_ten_minutes():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= README_LINES


def test_the_index_has_a_line_for_every_page():
    listed = re.findall(r"^- \[(\w+\.md)\]\(\1\): \S.*$", text("index.md"), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in MANUAL.glob("*.md") if page.name != "index.md")


def slugs(path: Path) -> set[str]:
    """The anchors of a page's headings, as its readers' programs make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", fenced(page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in slugs(there)):
            yield f"{short(page)}: {target}"


def test_every_link_leads_somewhere():
    expect_none([broken for page in LINKED for broken in broken_links(page)], "broken links")


def test_files_that_the_manual_names_exist():
    rooms = "|".join(sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"))
    names = re.compile(rf"`((?:riskengine|tests|replay|bench|config|{rooms})/[\w./]*\w\.(?:py|md|toml|mjs|tsx?|css|html))`")
    lost = [
        f"{short(page)}: {name}"
        for page in [*PAGES, *BESIDE_THE_MANUAL]
        for name in names.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and not (PACKAGE / name).exists() and name not in PLANNED
    ]
    expect_none(lost, "no such file")


PLANNED = {"riskengine/valuation/day_pnl.py"}
"""Files of extending.md that come with the change that it describes."""


# -- files and columns -----------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Shape, type[msgspec.Struct] | None]] = {
    "Nodes": (records.NODES, reference_input.NodeInput),
    "Instruments": (records.INSTRUMENTS, reference_input.InstrumentInput),
    "Positions": (records.OPENINGS, reference_input.OpeningInput),
    "Closes": (records.CLOSES, reference_input.CloseInput),
    "Marks": (records.MARKS, reference_input.MarkInput),
    "Trades": (records.TRADES, decode.TradeInput),
    "Ticks": (records.TICKS, decode.TickInput),
    "Statement": (STATEMENT, None),
}
DEFAULT_IN_THE_CHECK = {
    ("Trades", "source"): "file",
    ("Trades", "fees"): "0",
    ("Trades", "fees_currency"): "that of `currency`, else the instrument's",
}
"""Defaults that the record does not hold: its check fills them in."""
MAY_BE_EMPTY = {"parent"}
"""Columns that must be there, and whose fields may be empty."""
ONE_OF_SEVERAL = {"bid", "ask", "mid"}


def default_of(kind: str, column: str) -> str:
    """The default of a column as the manual writes it."""
    shape, sent = KINDS[kind]
    if any(column in group for group in shape.required) and column not in MAY_BE_EMPTY | ONE_OF_SEVERAL | {"action"}:
        return "required"
    if (kind, column) in DEFAULT_IN_THE_CHECK:
        return DEFAULT_IN_THE_CHECK[kind, column]
    if sent is None:
        return {"net_cash": "none", "average_price": "none"}.get(column, "empty")
    fields = {field.name: field for field in msgspec.structs.fields(sent)}
    default = fields[column].default
    return "empty" if default == "" else "none" if default is None else "required" if fields[column].required else str(default)


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_of_every_file_stands_in_the_manual_with_its_default(kind):
    rows = {row[0].strip("`"): row[2] for row in table(sections("files_and_columns.md")[kind])}
    assert rows == {column: default_of(kind, column) for column in KINDS[kind][0].columns}


# -- settings --------------------------------------------------------------------------------------------------------

TYPES = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "float | None": "number",
    "tuple[str, ...]": "list of texts",
}


def settings() -> dict[str, dict[str, tuple[str, Any]]]:
    """Every setting by section, with its type in words and its default, as TOML has it."""
    found: dict[str, dict[str, tuple[str, Any]]] = {}

    def describe(section: str, own: msgspec.Struct) -> None:
        values = msgspec.structs.asdict(own)
        inner = {name: value for name, value in values.items() if isinstance(value, msgspec.Struct)}
        defaults = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        kinds = {name: kind for name, kind in type(own).__annotations__.items() if name not in inner}
        if kinds:
            found[section] = {name: (type_of(kind), defaults[name]) for name, kind in kinds.items()}
        for name, table_of in inner.items():
            describe(f"{section}.{name}", table_of)

    for section, own in msgspec.structs.asdict(Config()).items():
        if isinstance(own, msgspec.Struct):
            describe(section, own)
        else:  # a table of tables, whose names the user gives
            found[section] = {"SOURCE.CURRENCY": ("text", None)}
    return found


def type_of(kind: Any) -> str:
    """A type in the words of the manual; a choice of words is a text."""
    return TYPES.get(kind.__name__ if isinstance(kind, type) and kind.__module__ == "builtins" else str(kind), "text")


def test_every_setting_stands_in_the_manual_with_its_type_and_default():
    def written(cell: str) -> Any:
        return None if cell == "off" else tomllib.loads(f"x = {cell.strip('`')}")["x"]

    shown = {
        heading.strip("[]"): {row[0].strip("`"): (row[1], written(row[2])) for row in table(body)}
        for heading, body in sections("configuration.md").items()
    }
    assert shown == settings()


# -- commands --------------------------------------------------------------------------------------------------------


def commands() -> dict[str, set[str]]:
    """Every command with its options."""
    found = {}
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        parts = getattr(command, "commands", None)
        for below, part in ({f"{name} {word}": part for word, part in parts.items()} if parts else {name: command}).items():
            found[f"riskengine {below}"] = options_of(part)
    return found


def test_every_command_and_option_stands_in_the_manual():
    shown = {
        heading: {option for row in table(body) for option in re.findall(r"--[a-z-]+", row[0])}
        for heading, body in sections("commands.md").items()
    }
    assert shown == commands()


def test_the_readme_tells_of_every_command():
    told = README.read_text(encoding="utf-8")
    expect_none(
        [name for name in commands() if name.removesuffix(" list").removesuffix(" revoke") not in told], "not in the README"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_the_text_exist_with_their_options(page):
    for code in re.findall(r"`(riskengine [a-z][^`]*)`", fenced(page.read_text(encoding="utf-8"))):
        command, own = command_of(shlex.split(code)[1:])
        expect_none([word for word in own if word.startswith("--") and word not in options_of(command) | {"--help"}], code)


@pytest.mark.parametrize("page", LINKED, ids=short)
def test_every_command_in_a_block_is_one_that_can_be_given(page):
    for command in shown_commands(page.read_text(encoding="utf-8")):
        check_command(command)


@pytest.fixture(scope="module")
def program() -> Iterator[list[str]]:
    with preloaded() as words:
        yield words


WITH_COMMANDS = [page for page in PAGES if any(each.is_run for each in shown_commands(page.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run_in_their_order(page, tmp_path, program):
    shown = [command for command in shown_commands(page.read_text(encoding="utf-8")) if command.is_run]
    with closing(Terminal(tmp_path, program)) as terminal:
        for command in shown:
            terminal.run(command)


def test_make_has_every_target_that_is_named():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "bench", "lint", "lock", "clean"} <= targets
    expect_none(
        [name for page in PAGES for name in re.findall(r"`make (\w+)`", page.read_text()) if name not in targets], "no target"
    )


# -- routes ----------------------------------------------------------------------------------------------------------

LOADED_BY_THE_PAGE = re.compile(r".*\.(?:js|css|svg)")


def test_every_route_stands_in_the_manual():
    paths = {"/", *(route.path for route in ROUTES), *OTHER_PATHS}
    there = {re.sub(r"\{(\w+):\w+\}", r"{\1}", path) for path in paths if not LOADED_BY_THE_PAGE.fullmatch(path)}
    shown = {name.rpartition(" ")[2] for name in named(table(sections("reading.md")["Routes"]))}
    expect_same({path for path in shown if path.startswith("/")}, there, "reading.md")


def test_every_parameter_of_a_read_stands_in_the_manual():
    operations = [operation for operation in OPERATIONS if operation.method == "GET"]
    there = {parameter.name for operation in operations for parameter in operation.parameters}
    shown = {name.partition("=")[0] for name in named(table(sections("reading.md")["Parameters"]))}
    expect_same(shown, there, "reading.md")


# -- what operators meet ---------------------------------------------------------------------------------------------


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def constants(tree: ast.Module) -> dict[str, str]:
    """The texts that a module gives names to."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def warning_kinds() -> set[str]:
    """The kind of every warning that some module sets."""
    everywhere = trees()
    known = {name: value for tree in everywhere.values() for name, value in constants(tree).items()}
    found = set()
    for path, tree in everywhere.items():
        own = known | constants(tree)
        for node in (each for each in ast.walk(tree) if isinstance(each, ast.Assign)):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and last_name(target.value).lstrip("_") == "warnings":
                    key = target.slice
                    kind = key.value if isinstance(key, ast.Constant) else own.get(last_name(key))
                    assert isinstance(kind, str), f"{short(path)}:{node.lineno}: the kind of a warning is not known"
                    found.add(kind)
    return found | set(KEPT_OUT)


LEVELS = {"info", "warning", "error", "critical", "exception"}


def log_events() -> set[str]:
    """Every event that the engine logs, the client's left out."""
    found = set()
    for path, tree in trees().items():
        if PACKAGE / "client" in path.parents:
            continue
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            logs = (
                isinstance(call.func, ast.Attribute)
                and call.func.attr in LEVELS
                and last_name(call.func.value) in {"log", "_log"}
            )
            starts = last_name(call.func) == "start_task"
            texts = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            found |= set(texts[:1]) if logs or starts else set()
    return found | {"task_failed"}


def test_every_warning_stands_in_the_manual_with_what_to_do():
    rows = table(sections("operations.md")["Warnings"])
    expect_same(set(named(rows)), warning_kinds(), "operations.md")
    assert all(len(row) == 3 and all(row) for row in rows)


def test_every_log_event_stands_in_the_manual():
    expect_same(set(named(table(sections("operations.md")["Log events"]))), log_events(), "operations.md")


def test_every_metric_stands_in_the_manual():
    there = {family.name for family in Metrics().registry.collect()}
    expect_same(set(named(table(sections("operations.md")["Metrics"]))), there, "operations.md")
    written = {name for page in PAGES for name in re.findall(r"`(riskengine_\w+)`", page.read_text(encoding="utf-8"))}
    expect_none(sorted(written - there), "in the manual, and no metric")
    expect_none([reason for reason in REFUSALS if f"`{reason}`" not in text("operations.md")], "not in operations.md")


def test_words_that_others_decide_by_stand_in_the_manual():
    expect_same(set(named(table(sections("audit.md")["Kinds of entry"]))), set(ENTRY_KINDS), "audit.md")
    expect_same(set(named(table(sections("reconciliation.md")["Kinds of break"]))), set(BREAKS), "reconciliation.md")
    of_statements = set(named(table(sections("reconciliation.md")["Against a statement"])))
    expect_same(of_statements, set(STATEMENT_KINDS) - set(BREAKS), "reconciliation.md")
    expect_same(set(named(table(sections("access.md")["Roles"]))), set(ROLES), "access.md")
    rows = table(sections("reading.md")["Exceptions"])
    expect_same(set(named(rows)), set(exceptions.KINDS), "reading.md")
    can_reject = {row[0].strip("`") for row in rows if row[3]}
    assert can_reject == {kind for kind, words in exceptions.ACTIONS.items() if "reject" in words}


# -- the checks themselves -------------------------------------------------------------------------------------------


PAGE = """
```sh
cat > a <<'END'
x | y
END
curl -d '[
]' http://h/ # said
load a \\
  b
# nothing
```

```console
$ go
out
```
"""


def test_commands_over_several_lines_are_one():
    texts = [command.text for command in shown_commands(PAGE)]
    assert texts == ["cat > a <<'END'\nx | y\nEND", "curl -d '[\n]' http://h/ # said", "load a \\\n  b", "go"]


@pytest.mark.parametrize(
    "wrong", ["riskengine lode", "riskengine load biscuits x", "riskengine serve --prot 1", "make tea", "rm x"]
)
def test_a_command_that_cannot_be_given_is_found(wrong):
    with pytest.raises(AssertionError):
        check_command(ShownCommand(wrong))


def test_a_command_that_fails_is_found(tmp_path, program):
    with closing(Terminal(tmp_path, program)) as terminal, pytest.raises(AssertionError):
        terminal.run(ShownCommand("riskengine load nodes nowhere.csv"))
