"""`riskengine template KIND`, and the explanation of a kind's columns in `riskengine load KIND --help`."""

import click

from riskengine.cli.streams import say
from riskengine.files.templates import KINDS, ColumnHelp, column_help, template

_KIND = "riskengine.kind_of_file"
"""Key in a context's `meta`: the kind that the command line names, also where `--help` stops its reading."""


@click.command(name="template")
@click.argument("kind", type=click.Choice(KINDS))
def template_command(kind: str) -> None:
    """Print an example file of a kind, with every column: CSV that loads. `riskengine load KIND --help` explains the columns."""
    for line in template(kind).splitlines():
        say(line)


class KindCommand(click.Command):
    """A command whose help explains the columns of the kind of file that its first argument names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_KIND] = next((word for word in args if word in KINDS), None)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        kind = ctx.meta.get(_KIND)
        if kind is None:
            formatter.write_paragraph()
            formatter.write_text("`riskengine load KIND --help` also explains the columns of that kind of file.")
            return
        with formatter.section(f"Columns of {kind}"):
            formatter.write_dl([(column.name, _explained(column)) for column in column_help(kind)])
        formatter.write_paragraph()
        formatter.write_text(f"`riskengine template {kind}` prints an example file.")


def _explained(column: ColumnHelp) -> str:
    given = {"required": "required", "none": "optional", "empty": "optional"}.get(column.default, f"default {column.default}")
    return f"{column.type}, {given}: {column.meaning}"
