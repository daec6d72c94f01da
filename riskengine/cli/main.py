"""The command `riskengine`. Results go to stdout, logs and progress to stderr; a mistake is one clear line, never a traceback."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence

import click
import msgspec
import orjson

from riskengine import __version__
from riskengine.cli.audit import audit_commands
from riskengine.cli.reconcile import reconcile_command
from riskengine.cli.start import print_url, rebuild_command, run_engine, serve
from riskengine.cli.terminal import (
    Commands,
    Progress,
    column_options,
    complain,
    config_option,
    effective_config,
    json_option,
    mapping_options,
    print_state,
    store_option,
)
from riskengine.cli.token import check_access, token_commands
from riskengine.clock import SystemClock
from riskengine.config import without_password
from riskengine.engine.engine import Engine
from riskengine.errors import InputError
from riskengine.feeds.demo import DemoFeed, RecordedTicks
from riskengine.feeds.replay import replay_here, replay_to, tick_stream
from riskengine.feeds.simulation.dealing import DealingSimulator
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_nodes
from riskengine.files.lines import display_name
from riskengine.files.loading import KINDS, LoadReport, load
from riskengine.observe import configure_logging
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Instrument, Node, Refusal
from riskengine.store.open_store import open_store

DEMO_SEED = 20260105


class MainCommands(Commands):
    """The commands; `watch` is loaded when it is asked for: it alone needs the client, and the client's HTTP library."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "watch"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "watch":
            from riskengine.cli.watch import watch_command

            return watch_command
        return super().get_command(ctx, cmd_name)


@click.group(cls=MainCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="riskengine")
def main() -> None:
    """Position, P&L, exposure and Greeks of a dealing desk, right now."""


main.add_command(serve)
main.add_command(audit_commands)
main.add_command(token_commands)
main.add_command(rebuild_command)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="Port to bind.")
@click.option("--ticks", metavar="FILE", help="Recorded ticks instead of the simulated market, shifted to now.")
@store_option
@mapping_options
def demo(port: int, ticks: str | None, store: str | None, **mapping: str | None) -> None:
    """Run a live engine on an embedded store, with sample desks and a simulated market, until Ctrl-C."""
    options = column_options(**mapping)
    configure_logging("console", "warning")
    with tempfile.TemporaryDirectory(prefix="riskengine-demo-") as folder:
        config = effective_config(None, store or f"sqlite:///{folder}/demo.db", None, port)
        nodes, instruments = sample_nodes(), sample_instruments()
        _seed(config.store.url, nodes, instruments)
        recorded = None
        if ticks is not None:
            path = ticks
            symbols = frozenset(instrument.instrument for instrument in instruments)
            recorded = RecordedTicks(lambda: tick_stream(path, options, lambda _path, _refusal: None), symbols)
            if not recorded(0, 0.0):  # also reports a file that cannot be read, before anything starts
                raise InputError(f"{ticks}: has no tick of an instrument of the demo")
            recorded = RecordedTicks(lambda: tick_stream(path, options, lambda _path, _refusal: None), symbols)
        feed = DemoFeed(
            MarketSimulator(DEMO_SEED, instruments),
            DealingSimulator(DEMO_SEED, nodes, instruments, run=f"{int(time.time()):x}"),
            recorded,
        )
        status = run_engine(config, _announce_demo, feed=feed.run)
    sys.exit(status)


def _seed(url: str, nodes: Sequence[Node], instruments: Sequence[Instrument]) -> None:
    """Load the demo's reference data into a store that holds nothing else. Raises InputError, StoreError."""
    store = open_store(url)
    try:
        known = {node.node for node in nodes}, {instrument.instrument for instrument in instruments}
        others = {node.node for node in store.nodes()} - known[0], {each.instrument for each in store.instruments()} - known[1]
        if any(others):
            raise InputError(f"store {store.name} holds more than the demo: name an empty store, or leave --store out")
        store.save_nodes(nodes)
        store.save_instruments(instruments)
    finally:
        store.close()


def _announce_demo(url: str) -> None:
    print_url(url)
    click.echo("Press Ctrl-C to stop.")
    sys.stdout.flush()


main.add_command(reconcile_command)


@main.command(name="load")
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
        report = LoadReport(_print_refusal, progress.advance, complain)
        load(kind, files, opened, options, config, SystemClock(), report)
    finally:
        opened.close()
        progress.close()
    if as_json:
        click.echo(orjson.dumps(report.counts))
    else:
        click.echo(f"{kind}: " + ", ".join(f"{count} {outcome}" for outcome, count in report.counts.items()))
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
            _print_refusal(path, refusal)

    def close(self) -> None:
        """Print how many more lines of each file were refused."""
        for path, count in self.counts.items():
            if count > self.LIMIT:
                click.echo(f"{path}: {count - self.LIMIT} more lines were refused", err=True)


def _print_refusal(path: str, refusal: Refusal) -> None:
    field = f"{refusal.field}: " if refusal.field else ""
    place = f"{display_name(path)}:{refusal.index}" if refusal.index else display_name(path)
    click.echo(f"{place}: {field}{refusal.reason}", err=True)


@main.command()
@click.option("--ticks", "ticks", multiple=True, metavar="FILE", help="Recorded ticks; repeat for several files.")
@click.option("--trades", metavar="FILE", help="Trades, with the columns that `load trades` takes.")
@click.option("--speed", default="max", show_default=True, metavar="1|60|max", help="How many times real time, or max.")
@store_option
@click.option("--to", "url", metavar="URL", help="A running engine instead of one in this process.")
@config_option
@json_option
@mapping_options
@click.argument("more_ticks", nargs=-1, metavar="[TICKS...]")
def replay(
    ticks: tuple[str, ...],
    more_ticks: tuple[str, ...],
    trades: str | None,
    speed: str,
    store: str | None,
    url: str | None,
    config_path: str | None,
    as_json: bool,
    **mapping: str | None,
) -> None:
    """Play recorded ticks and trades in event-time order, then print the tree and the digest."""
    files = (*ticks, *more_ticks)
    if not files and trades is None:
        raise click.UsageError("give --ticks, --trades or both")
    options = column_options(**mapping)
    pace = _speed(speed)
    refusals = FirstRefusals()
    if url is not None:
        counts = replay_to(url, files, trades, options, pace, refusals)
        refusals.close()
        click.echo(orjson.dumps(counts) if as_json else ", ".join(f"{count} {what}" for what, count in counts.items()))
        return
    config = effective_config(config_path, store)
    opened = open_store(config.store.url, create=False, read_only=True)
    try:
        reference = Reference(opened.nodes(), opened.instruments(), config.engine.reporting_currency)
    finally:
        opened.close()
    engine = Engine(reference, config)
    replay_here(engine, files, trades, options, config, trade_check(reference), pace, SystemClock().now(), refusals)
    refusals.close()
    print_state(engine, as_json)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1e6:
        raise click.BadParameter(f"{text!r} is neither a number above 0 nor max", param_hint="--speed")
    return speed


@main.command(name="check-config")
@click.argument("file", required=False)
def check_config_command(file: str | None) -> None:
    """Validate a configuration and print the effective one with secrets hidden."""
    config = effective_config(file, os.environ.get("RISKENGINE_STORE"))
    check_access(config)
    shown = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=without_password(config.store.url)))
    for section, values in msgspec.to_builtins(shown).items():
        click.echo(f"[{section}]")
        for key, value in values.items():
            text = f"# {key} is off" if value is None else f"{key} = {orjson.dumps(value).decode()}"
            click.echo(text)
        click.echo()
