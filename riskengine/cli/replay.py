"""`riskengine replay`: plays recorded ticks and trades into an engine of its own or a running one."""

import click

from riskengine.cli.load import FirstRefusals
from riskengine.cli.state_text import print_state
from riskengine.cli.streams import say, say_json
from riskengine.cli.terminal import column_options, config_option, effective_config, json_option, mapping_options, store_option
from riskengine.clock import SystemClock
from riskengine.engine.engine import Engine
from riskengine.feeds.replay import replay_here, replay_to
from riskengine.records.reference import Reference, trade_check
from riskengine.store.open_store import open_store


@click.command(name="replay")
@click.option("--ticks", "ticks", multiple=True, metavar="FILE", help="Recorded ticks; repeat for several files.")
@click.option("--trades", metavar="FILE", help="Trades, with the columns that `load trades` takes.")
@click.option("--speed", default="max", show_default=True, metavar="1|60|max", help="How many times real time, or max.")
@store_option
@click.option("--to", "url", metavar="URL", help="A running engine instead of one in this process.")
@config_option
@json_option
@mapping_options
@click.argument("more_ticks", nargs=-1, metavar="[TICKS...]")
def replay_command(
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
        if as_json:
            say_json(counts)
        else:
            say(", ".join(f"{count} {what}" for what, count in counts.items()))
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
