"""The command line. Results on stdout, logs and progress on stderr, one clear line and no traceback for a mistake."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
import orjson

from riskengine import __version__
from riskengine.adapters.feeds import DemoFeed, RecordedTicks
from riskengine.adapters.files import ColumnOptions, load_alias, parse_columns
from riskengine.adapters.lines import shown_path
from riskengine.adapters.loading import KINDS, LoadReport, load
from riskengine.adapters.replay import replay_here, replay_to, tick_stream
from riskengine.adapters.simulator import DealingSimulator, MarketSimulator, sample_instruments, sample_nodes
from riskengine.adapters.store import open_store
from riskengine.clock import SystemClock
from riskengine.config import Config, check_config, load_config, without_password
from riskengine.digest import digest
from riskengine.engine import Engine
from riskengine.errors import InputError, RiskEngineError
from riskengine.hierarchy import Reference
from riskengine.messages import Refusal
from riskengine.observe import configure_logging
from riskengine.process import EngineProcess, read_conflicts, read_trades
from riskengine.serve.access import check_binding
from riskengine.server import bind, run_server
from riskengine.start_of_day import rebuild, trade_check
from riskengine.views import node_rows

DEMO_SEED = 20260105


class Commands(click.Group):
    """Turns our errors into one line and exit status 1, mistakes of usage into one line and 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            where = (error.ctx or ctx).command_path
            fail(f"{' '.join(error.format_message().split())} ({where} --help says more)", error.exit_code)
        except RiskEngineError as error:
            fail(str(error))
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - so that the interpreter can flush it at exit
            ctx.exit(1)


def fail(message: str, status: int = 1) -> NoReturn:
    """End with one line on stderr."""
    _complain(message)
    sys.exit(status)


def _complain(message: str) -> None:
    click.echo(f"riskengine: {message}", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="riskengine")
def main() -> None:
    """Position, P&L, exposure and Greeks of a dealing desk, right now."""


store_option = click.option("--store", envvar="RISKENGINE_STORE", metavar="URL", help="sqlite:///path or postgresql://...")
config_option = click.option("--config", "config_path", metavar="FILE", help="TOML configuration.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def mapping_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how a foreign file is to be read."""
    for option in (
        click.option("--instrument", metavar="SYMBOL", help="Instrument of files without such a column."),
        click.option("--alias", metavar="FILE", help="CSV of their names and ours (theirs,ours)."),
        click.option("--time-format", metavar="F", help="strptime format, or s, ms, us, ns."),
        click.option("--tz", metavar="ZONE", help="Time zone of times without an offset."),
        click.option("--columns", metavar="OURS=THEIRS,...", help="Names (or numbers) of the file's columns."),
    ):
        command = option(command)
    return command


def column_options(
    columns: str | None, tz: str | None, time_format: str | None, alias: str | None, instrument: str | None
) -> ColumnOptions:
    """The mapping options as the readers take them."""
    return ColumnOptions(
        columns=parse_columns(columns) if columns else {},
        tz=tz,
        time_format=time_format,
        instrument=instrument,
        alias=load_alias(alias) if alias else {},
    )


def effective_config(
    path: str | None, store: str | None = None, host: str | None = None, port: int | None = None
) -> Config:
    """The configuration of a file with what the command line says on top."""
    config = load_config(path)
    server = msgspec.structs.replace(
        config.server, host=host or config.server.host, port=config.server.port if port is None else port
    )
    config = msgspec.structs.replace(config, server=server)
    if store:
        config = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=store))
    check_config(config, path or "command line")
    return config


@main.command()
@config_option
@store_option
@click.option("--host", metavar="ADDRESS", help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind; 0 takes a free one.")
def serve(config_path: str | None, store: str | None, host: str | None, port: int | None) -> None:
    """The engine: morning start, then live."""
    config = effective_config(config_path, store, host, port)
    configure_logging(config.log.format, config.log.level)
    sys.exit(_run(config, _announce))


def _run(config: Config, announce: Callable[[str], None], feed: DemoFeed | None = None) -> int:
    """Serve until a signal. The port and the store are taken first: whatever is refused there is said before anything runs."""
    check_binding(config)
    with bind(config.server.host, config.server.port) as listener:
        process = EngineProcess(config)
        process.open()
        return asyncio.run(run_server(process, config, listener, announce=announce, feed=None if feed is None else feed.run))


def _announce(url: str) -> None:
    click.echo(f"riskengine {__version__} at {url}")
    sys.stdout.flush()


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="Port to bind.")
@click.option("--ticks", metavar="FILE", help="Recorded ticks instead of the simulated market, shifted to now.")
@store_option
@mapping_options
def demo(port: int, ticks: str | None, store: str | None, **mapping: str | None) -> None:
    """A live engine on an embedded store: sample desks, simulated market and dealing, until Ctrl-C."""
    options = column_options(**mapping)
    configure_logging("console", "warning")
    with tempfile.TemporaryDirectory(prefix="riskengine-demo-") as folder:
        config = effective_config(None, store or f"sqlite:///{folder}/demo.db", None, port)
        seeding = open_store(config.store.url)
        seeding.save_nodes(sample_nodes())
        seeding.save_instruments(sample_instruments())
        seeding.close()
        nodes, instruments = sample_nodes(), sample_instruments()
        recorded = None
        if ticks is not None:
            path = ticks
            symbols = frozenset(instrument.instrument for instrument in instruments)
            recorded = RecordedTicks(lambda: tick_stream(path, options, lambda _path, _refusal: None), symbols)
            if not recorded(0, 0.0):  # a file that cannot be read is said now, too
                raise InputError(f"{ticks}: has no tick of an instrument of the demo")
            recorded = RecordedTicks(lambda: tick_stream(path, options, lambda _path, _refusal: None), symbols)
        feed = DemoFeed(
            MarketSimulator(DEMO_SEED, instruments),
            DealingSimulator(DEMO_SEED, nodes, instruments, run=f"{int(time.time()):x}"),
            recorded,
        )
        status = _run(config, _announce_demo, feed)
    sys.exit(status)


def _announce_demo(url: str) -> None:
    _announce(url)
    click.echo("Ctrl-C ends it.")
    sys.stdout.flush()


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
    """Load CSV or NDJSON files (.gz too, - is stdin) into the store; loading them again changes nothing."""
    config = effective_config(config_path, store)
    options = column_options(**mapping)
    opened = open_store(config.store.url)
    progress = Progress(f"load {kind}")
    try:
        report = LoadReport(_print_refusal, progress.advance, _complain)
        load(kind, files, opened, options, config, SystemClock(), report)
    finally:
        opened.close()
        progress.close()
    if as_json:
        click.echo(orjson.dumps(report.counts))
    else:
        click.echo(f"{kind}: " + ", ".join(f"{count} {outcome}" for outcome, count in report.counts.items()))
    sys.exit(1 if report.counts["refused"] or report.broken else 0)


class Progress:
    """A line on a terminal that counts; nothing where stderr is not one."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._count = 0
        self._shown_at = 0.0
        self._visible = sys.stderr.isatty()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._count += count
        if self._visible and time.monotonic() - self._shown_at > 0.1:
            self._shown_at = time.monotonic()
            click.echo(f"\r{self._label}: {self._count:,}", err=True, nl=False)

    def close(self) -> None:
        """Leave the line."""
        if self._visible and self._shown_at:
            click.echo(f"\r{self._label}: {self._count:,}", err=True)


class FirstRefusals:
    """Prints the first refusals of each file and counts the rest: a recording can have one on every line."""

    LIMIT = 10

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __call__(self, path: str, refusal: Refusal) -> None:
        """One line that is left out."""
        self.counts[path] = self.counts.get(path, 0) + 1
        if self.counts[path] <= self.LIMIT:
            _print_refusal(path, refusal)

    def close(self) -> None:
        """Say how many there were beyond those printed."""
        for path, count in self.counts.items():
            if count > self.LIMIT:
                click.echo(f"{path}: {count - self.LIMIT} more lines were left out", err=True)


def _print_refusal(path: str, refusal: Refusal) -> None:
    field = f"{refusal.field}: " if refusal.field else ""
    place = f"{shown_path(path)}:{refusal.index}" if refusal.index else shown_path(path)
    click.echo(f"{place}: {field}{refusal.reason}", err=True)


@main.command()
@click.option("--ticks", "ticks", multiple=True, metavar="FILE", help="Recorded ticks; may be given several times.")
@click.option("--trades", metavar="FILE", help="Trades, with the columns of the interface.")
@click.option("--speed", default="max", show_default=True, metavar="1|60|max", help="Times real time, or max.")
@store_option
@click.option("--to", "url", metavar="URL", help="A running engine instead of one in this process.")
@config_option
@json_option
@mapping_options
@click.argument("more_ticks", nargs=-1, metavar="[TICKS...]")
def replay(
    ticks: tuple[str, ...], more_ticks: tuple[str, ...], trades: str | None, speed: str, store: str | None, url: str | None,
    config_path: str | None, as_json: bool, **mapping: str | None,
) -> None:  # fmt: skip
    """Play recorded ticks and trades in event-time order; prints the final tree and the digest."""
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
    replay_here(
        engine, files, trades, options, config, trade_check(reference), pace, SystemClock().now(), refusals
    )
    refusals.close()
    _print_state(engine, as_json)


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


@main.command(name="rebuild")
@store_option
@config_option
@json_option
def rebuild_command(store: str | None, config_path: str | None, as_json: bool) -> None:
    """The morning start without serving: replays the store, checks every invariant, prints the state."""
    config = effective_config(config_path, store)
    opened = open_store(config.store.url, create=False, read_only=True)
    try:
        engine = rebuild(
            opened, read_trades(opened), config, epoch=0, now=SystemClock().now(), read_conflicts=read_conflicts(opened)
        )
    finally:
        opened.close()
    try:
        engine.check()
    except AssertionError as error:
        fail(f"integrity: {error}")
    _print_state(engine, as_json)


def _print_state(engine: Engine, as_json: bool) -> None:
    snapshot = engine.snapshot
    rows = node_rows(snapshot)
    counts = snapshot.counts._asdict()
    if as_json:
        click.echo(orjson.dumps({"digest": digest(snapshot), "counts": counts, "nodes": rows}))
        return
    hierarchy = snapshot.reference.hierarchy
    depth = {name: len(path) for name, path in zip(hierarchy.names, hierarchy.ancestors, strict=True)}
    width = max((2 * depth[row["node"]] + len(row["node"]) for row in rows), default=4) + 2
    click.echo(f"{'node':<{width}}{'total P&L':>18}{'realised':>18}{'unrealised':>18}{'trades':>9}{'unpriced':>9}")
    for number in _depth_first(hierarchy.children):
        row = rows[number]
        amounts = "".join(f"{_money(row[field]):>18}" for field in ("total_pnl", "realised_pnl", "unrealised_pnl"))
        name = "  " * depth[row["node"]] + row["node"]
        click.echo(f"{name:<{width}}{amounts}{row['trade_count']:>9}{row['unpriced_count']:>9}")
    click.echo(", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no trades")
    click.echo(f"digest {digest(snapshot)}")


def _money(amount: float | None) -> str:
    return "-" if amount is None else f"{round(amount, 2) + 0.0:,.2f}"  # + 0.0: no cent less than nothing


def _depth_first(children: Sequence[tuple[int, int]]) -> list[int]:
    order, waiting = [], [0] if children else []
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting.extend(range(children[node][1] - 1, children[node][0] - 1, -1))
    return order


@main.command(name="check-config")
@click.argument("file", required=False)
def check_config_command(file: str | None) -> None:
    """Validate a configuration and print the effective one, secrets hidden."""
    config = effective_config(file, os.environ.get("RISKENGINE_STORE"))
    shown = msgspec.structs.replace(
        config, store=msgspec.structs.replace(config.store, url=without_password(config.store.url))
    )
    for section, values in msgspec.to_builtins(shown).items():
        click.echo(f"[{section}]")
        for key, value in values.items():
            text = f"# {key} is off" if value is None else f"{key} = {orjson.dumps(value).decode()}"
            click.echo(text)
        click.echo()


if __name__ == "__main__":
    main(prog_name=Path(sys.argv[0]).name)
