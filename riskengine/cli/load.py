"""`riskengine load`: files into the store, with a count for each outcome and the first lines of each reason."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import click
from msgspec import structs

from riskengine.cli.layout_options import foreign_options, layout_options
from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.template import KindCommand
from riskengine.cli.terminal import (
    Progress,
    config_option,
    effective_config,
    json_option,
    mapping_options,
    store_option,
)
from riskengine.clock import SystemClock
from riskengine.config import Config
from riskengine.errors import InputError
from riskengine.files.lines import display_name
from riskengine.files.loading import KINDS, SHAPES, FieldChange, LoadReport, Target, let_in, load
from riskengine.files.near_names import NearNames
from riskengine.files.refused import RefusedLines
from riskengine.market.calendars import Calendars
from riskengine.market.settled_spot_dates import settle
from riskengine.market.spot_dates import SpotDates, text_of_changes
from riskengine.market.trading_day import current_day
from riskengine.positions.quarantine import Quarantine
from riskengine.records.calendars import SpotFact
from riskengine.records.types import Refusal
from riskengine.store.audit_trail import command_line_actor
from riskengine.store.dry_run import DryRun
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store

ALWAYS_COUNTED = ("lines", "inserted", "updated", "duplicate", "refused")
"""Counts that are printed also where they are 0."""


@click.command(name="load", cls=KindCommand)
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@store_option
@config_option
@click.option("--dry-run", is_flag=True, help="Say what the files would come to; store nothing.")
@click.option("--refused", metavar="FILE", help="Write the lines that were not taken to a CSV, with the reason.")
@click.option("--accept-changes", is_flag=True, help="Change kind, multiplier, currency, ... of instruments that have trades.")
@json_option
@mapping_options
@layout_options
def load_command(
    kind: str,
    files: Sequence[str],
    store: str | None,
    config_path: str | None,
    dry_run: bool,
    refused: str | None,
    accept_changes: bool,
    as_json: bool,
    **mapping: Any,
) -> None:
    """Load CSV or NDJSON files (.gz too, - is stdin) into the store. Loading a file again changes nothing."""
    config = effective_config(config_path, store)
    options = foreign_options(kind, mapping)
    with ExitStack() as stack:
        opened = stack.enter_context(closing(_open(config, dry_run=dry_run)))
        progress = stack.enter_context(closing(Progress(f"load {kind}")))
        lines = None
        if refused is not None:
            lines = stack.enter_context(_refused_lines(refused, kind, files))
            options = structs.replace(options, keep=lines.keep)
        names = NearNames(
            {
                "instrument": lambda: symbols_of(opened),
                "underlying": lambda: symbols_of(opened),
                "pair": lambda: symbols_of(opened),
                "currency": lambda: currencies_of(opened),
                "desk": lambda: desks_of(opened),
                "node": lambda: nodes_of(opened),
            }
        )
        options = structs.replace(options, near=names.hint)
        first = stack.enter_context(closing(FirstRefusals()))
        report = LoadReport(first, progress.advance, complain, print_change, lines)
        into = DryRun(opened) if dry_run else opened
        quarantine = quarantine_of(opened, config) if kind == "trades" else None
        judge = let_in if quarantine is None else quarantine.reason
        author = command_line_actor()
        load(kind, files, options, Target(into, config, SystemClock(), report, judge, accept_changes, dry_run, author))
        if quarantine is not None and not dry_run:
            opened.save_spot_facts(quarantine.spot_dates.unsaved())  # these trades have been judged by them
        if kind == "calendars":
            if changed := changed_spot_dates(into, opened, config, dry_run=dry_run):
                complain(text_of_changes(changed))
            if unused := Calendars(into.calendar_state().entries).unused(opened.instruments()):
                complain("no instrument or currency here uses these calendars, so they change nothing: " + ", ".join(unused))
    for line in names.summary():
        complain(line)
    report.tell_repeated_failures()
    if as_json:
        changes = [change._asdict() for change in report.changes]
        say_json({**report.counts, "changes": changes, "failures": report.failures, "dry_run": dry_run})
    else:
        say(f"{kind}: {_counts_text(report)}{', nothing stored: a dry run' if dry_run else ''}")
    sys.exit(0 if report.is_clean else 1)


def symbols_of(store: Store) -> list[str]:
    """The instruments that a trade may name."""
    return [instrument.instrument for instrument in store.instruments()]


def currencies_of(store: Store) -> list[str]:
    """The currencies that a rate may name."""
    instruments = store.instruments()
    return sorted({code for each in instruments for code in (each.currency, each.quote_currency, each.base_currency)} - {""})


def desks_of(store: Store) -> list[str]:
    """The nodes that a trade may name: those without children."""
    nodes = store.nodes()
    parents = {node.parent for node in nodes}
    return [node.node for node in nodes if node.node not in parents]


def nodes_of(store: Store) -> list[str]:
    """The nodes that a cash movement may name: all."""
    return [node.node for node in store.nodes()]


def _open(config: Config, *, dry_run: bool) -> Store:
    return open_store(config.store.url, create=False, read_only=True) if dry_run else open_store(config.store.url)


def _refused_lines(path: str, kind: str, files: Sequence[str]) -> RefusedLines:
    if any(os.path.realpath(path) == os.path.realpath(file) for file in files):
        raise InputError(f"--refused: {path} is one of the files to load")
    return RefusedLines(path, SHAPES[kind].columns)


def changed_spot_dates(into: Store | DryRun, store: Store, config: Config, *, dry_run: bool) -> list[SpotFact]:
    """The spot dates that have judged trades and are others by the loaded calendars; they judge from now on, unless `dry_run`."""
    state = into.calendar_state()
    spot_dates = SpotDates.of(state, config.engine)
    if dry_run:
        return spot_dates.changed_facts()
    return settle(store, spot_dates, state.compared_with, SystemClock().now())


def quarantine_of(store: Store, config: Config) -> Quarantine:
    """The engine's own rule for trades that it keeps out: by times, balances, value dates and verdicts, as they are stored."""
    instruments = {instrument.instrument: instrument for instrument in store.instruments()}
    spot_dates = SpotDates.of(store.calendar_state(), config.engine)
    day = current_day(spot_dates.calendars.trading_day(config.engine), config.engine.tolerance_s, SystemClock().now())
    quarantine = Quarantine(instruments, config.engine, spot_dates, current_day=day)
    for opening in store.openings():
        quarantine.open_with(opening)
    quarantine.accepted.update(verdict.id for verdict in store.verdicts() if verdict.verdict == "accept")
    return quarantine


def _counts_text(report: LoadReport) -> str:
    shown = {outcome: count for outcome, count in report.counts.items() if count or outcome in ALWAYS_COUNTED}
    return ", ".join(f"{count} {outcome}" for outcome, count in shown.items())


class FirstRefusals:
    """Prints the first lines of each reason, and how many more of it there were. A file can have one on every line."""

    LIMIT = 10
    REASONS = 1_000
    """Reasons that are told apart."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, str], int] = {}

    def __call__(self, path: str, refusal: Refusal) -> None:
        """Report one line."""
        key = (path, refusal.field, _kind_of(refusal.reason))
        if key not in self.counts and len(self.counts) >= self.REASONS:
            key = (path, "", "other reasons")
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.counts[key] <= self.LIMIT:
            print_refusal(path, refusal)

    def close(self) -> None:
        """Print how many more lines of each reason there were."""
        for (path, field, reason), count in self.counts.items():
            if count > self.LIMIT:
                rest = f"{count - self.LIMIT:,} more lines"
                told = f"{rest} were refused: {field}: {reason}" if field else f"{rest}: {reason}"
                print_refusal(path, Refusal(0, "", told))


_PARTS = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d[\d.,:-]*")
_kind_of = partial(_PARTS.sub, "..")
"""A reason without what is of its line alone: names in quotes, and numbers."""


def print_refusal(path: str, refusal: Refusal) -> None:
    """Print one line that was not taken on stderr: file, line number, field, reason."""
    place = f"{display_name(path)}:{refusal.index}" if refusal.index else display_name(path)
    say(f"{place}: {refusal.text}", err=True)


def print_change(path: str, change: FieldChange) -> None:
    """Print one change of a stored record on stderr: file, line number, record, column, old -> new."""
    place = f"{display_name(path)}:{change.line}"
    say(f"{place}: {change.name}: {change.field} {change.old} -> {change.new}", err=True)
