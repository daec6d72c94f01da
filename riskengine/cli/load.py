"""`riskengine load`: files into the store, with a count for each outcome and a line for each refusal."""

import sys
from collections.abc import Sequence

import click

from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.terminal import (
    Progress,
    column_options,
    config_option,
    effective_config,
    json_option,
    mapping_options,
    store_option,
)
from riskengine.clock import SystemClock
from riskengine.files.lines import display_name
from riskengine.files.loading import KINDS, LoadReport, load
from riskengine.records.types import Refusal
from riskengine.store.open_store import open_store


@click.command(name="load")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@store_option
@config_option
@json_option
@mapping_options
def load_command(
    kind: str, files: Sequence[str], store: str | None, config_path: str | None, as_json: bool, **mapping: str | None
) -> None:
    """Load CSV or NDJSON files (.gz too, - is stdin) into the store. Loading a file again changes nothing."""
    config = effective_config(config_path, store)
    options = column_options(**mapping)
    opened = open_store(config.store.url)
    progress = Progress(f"load {kind}")
    try:
        report = LoadReport(print_refusal, progress.advance, complain)
        load(kind, files, opened, options, config, SystemClock(), report)
    finally:
        opened.close()
        progress.close()
    if as_json:
        say_json(report.counts)
    else:
        say(f"{kind}: " + ", ".join(f"{count} {outcome}" for outcome, count in report.counts.items()))
    sys.exit(1 if report.counts["refused"] or report.failures else 0)


class FirstRefusals:
    """Prints the first refusals of each file and counts the rest. A recording can have one on every line."""

    LIMIT = 10

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __call__(self, path: str, refusal: Refusal) -> None:
        """Report one refused line."""
        self.counts[path] = self.counts.get(path, 0) + 1
        if self.counts[path] <= self.LIMIT:
            print_refusal(path, refusal)

    def close(self) -> None:
        """Print how many more lines of each file were refused."""
        for path, count in self.counts.items():
            if count > self.LIMIT:
                say(f"{path}: {count - self.LIMIT} more lines were refused", err=True)


def print_refusal(path: str, refusal: Refusal) -> None:
    """Print one refused line on stderr: file, line number, field, reason."""
    field = f"{refusal.field}: " if refusal.field else ""
    place = f"{display_name(path)}:{refusal.index}" if refusal.index else display_name(path)
    say(f"{place}: {field}{refusal.reason}", err=True)
