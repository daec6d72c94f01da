"""Example files: every column, values that load, and an explanation of each column that is the manual's."""

import csv
from pathlib import Path

import pytest

from riskengine.files import records
from riskengine.files.loading import SHAPES
from riskengine.files.shapes import STATEMENT
from riskengine.files.templates import KINDS, column_help, template
from riskengine.reconciliation.statement import read_statement
from riskengine.records.types import Refusal
from tests.cli.commands import riskengine

ALL = {**SHAPES, "ticks": records.TICKS, "statement": STATEMENT}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A store with every template, and what each load printed."""
    folder = tmp_path_factory.mktemp("templates")
    store = f"sqlite:///{folder}/desk.db"
    said = {}
    for kind in SHAPES:
        path = folder / f"{kind}.csv"
        path.write_text(riskengine("template", kind).stdout)
        done = riskengine("load", kind, path, "--store", store)
        assert (done.exit_code, done.stderr) == (0, ""), kind
        said[kind] = done.stdout
    return store, said


def test_there_is_a_template_of_every_kind_of_file() -> None:
    assert KINDS == tuple(ALL)


@pytest.mark.parametrize("kind", ALL)
def test_a_template_has_every_column_and_no_other(kind: str) -> None:
    header, *rows = csv.reader(template(kind).splitlines())
    assert header == list(ALL[kind].columns)
    assert all(len(row) == len(header) for row in rows)


@pytest.mark.parametrize("kind", ALL)
def test_every_column_of_a_template_has_a_value_in_some_line(kind: str) -> None:
    header, *rows = csv.reader(template(kind).splitlines())
    empty = [column for number, column in enumerate(header) if not any(row[number] for row in rows)]
    assert empty == []


@pytest.mark.parametrize("kind", SHAPES)
def test_a_template_loads_after_those_that_it_needs(kind: str, loaded: tuple[str, dict[str, str]]) -> None:
    rows = len(template(kind).splitlines()) - 1
    assert loaded[1][kind] == f"{kind}: {rows} lines, {rows} inserted, 0 updated, 0 duplicate, 0 refused\n"


def test_the_template_of_ticks_plays(tmp_path: Path, loaded: tuple[str, dict[str, str]]) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text(template("ticks"))
    done = riskengine("replay", "--ticks", path, "--store", loaded[0])
    assert done.exit_code == 0, done.stderr
    assert "ticks: 3 read, 3 taken, 3 in force" in done.stdout


def test_the_template_of_a_statement_is_read_without_a_refused_line(tmp_path: Path) -> None:
    path = tmp_path / "statement.csv"
    path.write_text(template("statement"))
    stated, refused = read_statement(str(path), records.ColumnOptions(), "ALL")
    assert (len(stated), refused) == (4, [])


@pytest.mark.parametrize("kind", ALL)
def test_every_column_is_explained(kind: str) -> None:
    explained = column_help(kind)
    assert sorted(column.name for column in explained) == sorted(ALL[kind].columns)
    assert all(column.type and column.default and column.meaning for column in explained)
    assert not any("](" in column.meaning for column in explained)


def test_templates_are_no_accident_of_a_lenient_reader(tmp_path: Path) -> None:
    """A template whose value is spoilt is refused: the checks did look at it."""
    path = tmp_path / "ticks.csv"
    path.write_text(template("ticks").replace("1.03302", "much"))
    assert any(isinstance(tick, Refusal) for _, tick in records.read_ticks(str(path), records.ColumnOptions()))
