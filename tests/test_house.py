"""The rooms of the house: the picture in the README, and that imports only go down in it."""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "riskengine"

INSIDE = {
    "serve/": "gateway < answers/ < access/ < routes/ < stream/ < operations < openapi page manual_pages < manual < app",
    "store/": "trade_rows < results < audit_chain < queries < standing < feed_rows < audit_trail < protocol < tables/"
    " < audit_records < audit_verify < sql_store witness dry_run < sqlite/ postgres/ < open_store",
}
"""The order inside the two rooms that have rooms of their own; names between two `<` stand side by side."""


def picture() -> str:
    """The lines of the README that show the house, the highest first."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^```\n((?: *\d+ \w.*\n|  +\w.*\n)+)```$", readme, re.MULTILINE)
    assert found, "README.md has no picture of the house"
    return found.group(1)


def lines_of(drawn: str) -> dict[str, int]:
    """Every room and top module of a picture with the number of its line."""
    found: dict[str, int] = {}
    line = 0
    for text in drawn.splitlines():
        number, names = re.fullmatch(r" *(\d*) +(\w+(?: \w+)*)(?:  +.*)?", text).groups()  # type: ignore[union-attr]
        line = int(number) if number else line
        found.update(dict.fromkeys(names.split(), line))
    return found


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


@cache
def modules() -> dict[str, ast.Module]:
    """The syntax trees of riskengine by module name."""
    found = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    assert len(found) > 100
    return found


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


def arrows(trees: dict[str, ast.Module]) -> list[tuple[str, str]]:
    """Who imports whom, each pair once."""
    return [(module, other) for module, tree in trees.items() for other in dict.fromkeys(imported(module, tree, list(trees)))]


def room(module: str) -> str:
    """`ledger` of `riskengine.positions.ledger` stands in `positions`; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def against_the_picture(trees: dict[str, ast.Module], drawn: str) -> list[str]:
    """Imports that go up, or into another room of the same line; on the ground files may import each other."""
    line = lines_of(drawn)

    def is_below(there: str, here: str) -> bool:
        return line[there] < line[here] or line[there] == line[here] == 0

    return [
        f"{module} imports {other}"
        for module, other in arrows(trees)
        if (here := room(module)) and (there := room(other)) and here != there and not is_below(there, here)
    ]


def places(order: str) -> dict[str, int]:
    """Where each name stands in a line of INSIDE."""
    return {name: place for place, names in enumerate(order.split("<")) for name in names.split()}


def part_inside(module: str, outer: str) -> str:
    """`tables/` of `riskengine.store.tables.trades` in `store/`, `queries` of `riskengine.store.queries`."""
    names = module.split(".")[2:]
    if not names or room(module) != outer.rstrip("/"):
        return ""
    return f"{names[0]}/" if (PACKAGE / outer / names[0]).is_dir() else names[0]


def against_the_order_inside(trees: dict[str, ast.Module], outer: str, order: str) -> list[str]:
    place = places(order)
    return [
        f"{module} imports {other}"
        for module, other in arrows(trees)
        if (here := part_inside(module, outer))
        and (there := part_inside(other, outer))
        and here != there
        and not place[there] < place[here]
    ]


def circles(trees: dict[str, ast.Module]) -> list[str]:
    """Modules that import themselves by way of others."""
    below: dict[str, set[str]] = {module: set() for module in trees}
    for module, other in arrows(trees):
        if other in below and other != module:
            below[module].add(other)
    while ends := [module for module, others in below.items() if not others & below.keys()]:
        for module in ends:
            del below[module]
    return [f"{module} <-> {', '.join(sorted(others & below.keys()))}" for module, others in sorted(below.items())]


def expect_none(found: Sequence[str], what: str) -> None:
    """Fail with one line for each thing found."""
    assert not found, "\n  ".join([f"{what}:", *found])


def test_every_module_lives_in_a_room_of_the_picture():
    rooms = lines_of(picture())
    expect_none([module for module in modules() if room(module) and room(module) not in rooms], "without a room")


def test_every_room_of_the_picture_exists():
    there = {room(module) for module in modules()}
    expect_none([name for name in lines_of(picture()) if name not in there], "drawn and not there")


def test_imports_only_go_down():
    expect_none(against_the_picture(modules(), picture()), "against the picture in the README")


@pytest.mark.parametrize("outer", INSIDE)
def test_imports_inside_a_room_of_rooms_only_go_down(outer):
    order = INSIDE[outer]
    homeless = [module for module in modules() if (here := part_inside(module, outer)) and here not in places(order)]
    expect_none(homeless, f"without a place in {outer}")
    expect_none(against_the_order_inside(modules(), outer, order), f"against the order inside {outer}")


def test_no_module_imports_itself_by_way_of_others():
    expect_none(circles(modules()), "circles")


def test_the_package_itself_imports_nothing():
    # An import of any module runs `riskengine/__init__.py` first.
    assert list(imported("riskengine", modules()["riskengine"], list(modules()))) == []


def test_the_store_s_own_sums_share_no_rule_with_positions_but_the_quarantine():
    tree = modules()["riskengine.reconciliation.store_sums"]
    others = [other for other in imported("", tree, list(modules())) if room(other) == "positions"]
    assert set(others) <= {"riskengine.positions.quarantine"}


def test_the_client_needs_nothing_of_the_engine_but_its_errors():
    rooms = {room(other) for module, other in arrows(modules()) if room(module) == "client"}
    assert rooms <= {"client", "errors"}


@pytest.mark.parametrize("name", ["sources", "board", "subscription", "checksum", "grants"])
def test_views_know_no_clock_thread_or_socket(name):
    tree = modules()[f"riskengine.views.{name}"]
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in found}.isdisjoint({"asyncio", "threading", "socket", "time", "starlette"})


def test_modules_are_imported_by_statements_only():
    hidden = [
        f"{module}:{node.lineno}"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
        and (node.id if isinstance(node, ast.Name) else node.attr) in {"import_module", "__import__"}
    ]
    expect_none(hidden, "imported by a call")


DRAWN = """
 3 upper
 2 left   one room
   right  beside it
 1 lower
 0 ground floor
"""


def drawn_trees(module: str, source: str) -> dict[str, ast.Module]:
    names = ("riskengine.upper.a", "riskengine.left.a", "riskengine.right.a", "riskengine.lower.a", "riskengine.ground")
    return {name: ast.parse("") for name in names} | {module: ast.parse(source)}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("riskengine.left.b", "from riskengine.upper.a import A"),
        ("riskengine.left.b", "import riskengine.right.a"),
        ("riskengine.left.b", "from riskengine.right import a"),
        ("riskengine.lower.b", "def late():\n    from riskengine.left import a"),
        ("riskengine.lower.b", "if TYPE_CHECKING:\n    from riskengine.upper.a import A"),
    ],
)
def test_the_check_sees_every_kind_of_import_that_goes_up_or_sideways(module, source):
    assert len(against_the_picture(drawn_trees(module, source), DRAWN.strip("\n"))) == 1


@pytest.mark.parametrize(
    "source", ["from riskengine.lower.a import A", "import riskengine.left.a", "from riskengine import ground"]
)
def test_the_check_lets_pass_what_goes_down_or_stays_inside(source):
    assert against_the_picture(drawn_trees("riskengine.left.b", source), DRAWN.strip("\n")) == []


def test_the_check_sees_a_circle():
    trees = {"riskengine.a": ast.parse("import riskengine.b"), "riskengine.b": ast.parse("import riskengine.a")}
    assert circles(trees) == ["riskengine.a <-> riskengine.b", "riskengine.b <-> riskengine.a"]
