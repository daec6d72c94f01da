"""What the commands share: failing in one line, common options, progress, printing the state."""

import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn, cast

import click
import msgspec

from riskengine.cli.streams import OutputLost, complain, forget_stdout, show
from riskengine.config import Config, check_config, load_config
from riskengine.errors import RiskEngineError
from riskengine.files.records import ColumnOptions, load_alias, parse_columns
from riskengine.files.times import REPEATED_HOURS, RepeatedHour
from riskengine.records.currency_units import check_price_units

STATUS_OF_LOST_OUTPUT = "riskengine.status_of_lost_output"
"""Key in a context's `meta`: the exit status when the result cannot be printed, of commands whose 1 says something else."""


class Commands(click.Group):
    """Reports an error as one line with exit status 1, a usage mistake as one line with 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            fail(f"{' '.join(error.format_message().split())} ({ctx.command_path} --help says more)", error.exit_code)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            where = (error.ctx or ctx).command_path
            fail(f"{' '.join(error.format_message().split())} ({where} --help says more)", error.exit_code)
        except OutputLost as lost:
            forget_stdout()
            fail(str(lost), ctx.meta.get(STATUS_OF_LOST_OUTPUT, 1))
        except RiskEngineError as error:
            fail(str(error))
        except BrokenPipeError:
            forget_stdout()
            ctx.exit(1)


def fail(message: str, status: int = 1) -> NoReturn:
    """Print one line on stderr and exit with `status`."""
    complain(message)
    sys.exit(status)


store_option = click.option("--store", envvar="RISKENGINE_STORE", metavar="URL", help="sqlite:///path or postgresql://...")
config_option = click.option("--config", "config_path", metavar="FILE", help="TOML configuration.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def mapping_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that describe a foreign file's layout."""
    for option in (
        click.option("--instrument", metavar="SYMBOL", help="Instrument of files without such a column."),
        click.option("--alias", metavar="FILE", help="CSV of their names and ours (theirs,ours)."),
        click.option(
            "--repeated-hour",
            type=click.Choice(REPEATED_HOURS),
            help="Which reading of a local time that occurs twice; in-order: the one that keeps the file from going back.",
        ),
        click.option("--date-format", metavar="F", help="strptime format of dates, or days (a spreadsheet's numbers)."),
        click.option("--time-format", metavar="F", help="strptime format, or s, ms, us, ns, days; local ones need --tz."),
        click.option("--tz", metavar="ZONE", help="Time zone of times without an offset."),
        click.option("--columns", metavar="OURS=THEIRS,...", help="Names (or numbers) of the file's columns."),
    ):
        command = option(command)
    return command


def column_options(
    columns: str | None,
    tz: str | None,
    time_format: str | None,
    date_format: str | None,
    repeated_hour: str | None,
    alias: str | None,
    instrument: str | None,
) -> ColumnOptions:
    """The mapping options in the form that the file readers take."""
    return ColumnOptions(
        columns=parse_columns(columns) if columns else {},
        tz=tz,
        time_format=time_format,
        date_format=date_format,
        repeated_hour=cast(RepeatedHour | None, repeated_hour),  # click has checked the choice
        instrument=instrument,
        alias=load_alias(alias) if alias else {},
        tell=complain,
    )


def effective_config(
    path: str | None, store: str | None = None, host: str | None = None, port: int | None = None, tokens: str | None = None
) -> Config:
    """The configuration of the file at `path`, overridden by the command line. Raises ConfigError."""
    config = load_config(path)
    server = msgspec.structs.replace(
        config.server, host=host or config.server.host, port=config.server.port if port is None else port
    )
    config = msgspec.structs.replace(config, server=server)
    if store:
        config = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=store))
    if tokens:
        config = msgspec.structs.replace(config, access=msgspec.structs.replace(config.access, tokens_file=tokens))
    check_config(config, path or "command line")
    check_price_units(config.price_units)
    return config


class Progress:
    """A counting line on stderr, where that is a terminal."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._count = 0
        self._shown_at = 0.0
        self._visible = sys.stderr.isatty()

    def advance(self, count: int) -> None:
        """Add `count`; redraw at most ten times a second."""
        self._count += count
        if self._visible and time.monotonic() - self._shown_at > 0.1:
            self._shown_at = time.monotonic()
            show(f"\r{self._label}: {self._count:,}")

    def close(self) -> None:
        """Print the final count."""
        if self._visible and self._shown_at:
            show(f"\r{self._label}: {self._count:,}\n")
