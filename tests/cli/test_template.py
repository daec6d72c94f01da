"""`riskengine template`, and the help of `load` for one kind of file."""

import re

import pytest

from riskengine.files.loading import KINDS as LOADED
from riskengine.files.templates import KINDS, column_help, template
from tests.cli.commands import fails, riskengine


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_goes_to_stdout_as_it_is(kind: str) -> None:
    done = riskengine("template", kind)
    assert (done.exit_code, done.stdout, done.stderr) == (0, template(kind), "")


def test_a_kind_that_there_is_not_is_one_line_with_those_that_there_are() -> None:
    fails(riskengine("template", "biscuits"), "'biscuits' is not one of 'nodes'", "'statement'", status=2)


@pytest.mark.parametrize("kind", LOADED)
@pytest.mark.parametrize("order", ["kind first", "help first"])
def test_the_help_of_a_kind_explains_each_of_its_columns(kind: str, order: str) -> None:
    words = [kind, "--help"] if order == "kind first" else ["--help", kind]
    shown = re.sub(r"\s+", " ", riskengine("load", *words).stdout)
    assert f"Columns of {kind}:" in shown
    for column in column_help(kind):
        assert f" {column.name} {column.type}," in shown
        assert column.meaning in shown


def test_the_help_without_a_kind_says_how_to_get_that_of_one() -> None:
    assert "`riskengine load KIND --help` also explains the columns" in riskengine("load", "--help").stdout
