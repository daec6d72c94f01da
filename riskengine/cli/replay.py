"""`riskengine replay`: plays recorded ticks and trades into an engine of its own or a running one."""

import sys
from typing import Any

import click
from msgspec import structs

from riskengine.cli.layout_options import foreign_options, layout_options
from riskengine.cli.load import FirstRefusals
from riskengine.cli.state_text import print_state
from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.terminal import (
    config_option,
    effective_config,
    json_option,
    mapping_options,
    store_option,
)
from riskengine.clock import SystemClock
from riskengine.engine.engine import Engine
from riskengine.feeds.replay import Played, Recording, replay_here, replay_to
from riskengine.files.near_names import NearNames
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.records.reference import Reference, trade_check
from riskengine.store.open_store import open_store


@click.command(name="replay")
@click.option("--ticks", "ticks", multiple=True, metavar="FILE", help="Recorded ticks; repeat for several files.")
@click.option("--trades", metavar="FILE", help="Trades, with the columns that `load trades` takes.")
@click.option("--speed", default="max", show_default=True, metavar="1|60|max", help="How many times real time, or max.")
@store_option
@click.option("--shift-to-now", "shifts", is_flag=True, help="Move the recording in time: its first tick is now.")
@click.option("--to", "url", metavar="URL", help="A running engine instead of one in this process.")
@config_option
@json_option
@mapping_options
@layout_options
@click.argument("more_ticks", nargs=-1, metavar="[TICKS...]")
def replay_command(
    ticks: tuple[str, ...],
    more_ticks: tuple[str, ...],
    trades: str | None,
    speed: str,
    shifts: bool,
    store: str | None,
    url: str | None,
    config_path: str | None,
    as_json: bool,
    **mapping: Any,
) -> None:
    """Play recorded ticks and trades in event-time order, then print the tree and the digest."""
    files = (*ticks, *more_ticks)
    if not files and trades is None:
        raise click.UsageError("give --ticks, --trades or both")
    now = SystemClock().now()
    source = Recording(files, trades, foreign_options("ticks", mapping), _speed(speed), now if shifts else None)
    refusals = FirstRefusals()
    if url is not None:
        played = replay_to(url, source, refusals)
        refusals.close()
        if as_json:
            say_json(played.fields())
        else:
            _print_played(played)
    else:
        config = effective_config(config_path, store)
        opened = open_store(config.store.url, create=False, read_only=True)
        try:
            currency, units = config.engine.reporting_currency, config.price_units
            reference = Reference(opened.nodes(), opened.instruments(), currency, price_units=units)
            calendars = Calendars(opened.calendar_state().entries)
        finally:
            opened.close()
        engine = Engine(reference, config, spot_dates=SpotDates(calendars, config.engine))
        names = NearNames({"instrument": lambda: reference.symbols, "desk": lambda: sorted(reference.hierarchy.leaves)})
        source = source._replace(options=structs.replace(source.options, near=names.hint))
        played = replay_here(engine, source, config, trade_check(reference), now, refusals)
        refusals.close()
        for line in names.summary():
            complain(line)
        if not as_json:
            _print_played(played)
        print_state(engine, as_json, more={"replayed": played.fields()})
    _complain(played, told_lines=url is None)
    sys.exit(0 if played.took_effect and not played.refused else 1)


def _print_played(played: Played) -> None:
    ticks, trades = played.ticks, played.trades
    if ticks["read"]:
        say(
            f"ticks: {ticks['read']} read, {ticks['taken']} taken, {ticks['in_force']} in force, {ticks['old']} too old,"
            f" {ticks['coalesced']} conflated, {ticks['refused']} refused ({ticks['unknown']} of unknown instruments)"
        )
    if trades["read"]:
        say("trades: " + ", ".join(f"{count} {what}" for what, count in trades.items()))
    if played.lines_refused:
        say(f"lines: {played.lines_refused} refused")


def _complain(played: Played, *, told_lines: bool) -> None:
    """Say on stderr why messages were refused, and why nothing took effect."""
    for reason in played.reasons:
        if not (told_lines and reason.startswith("unknown instrument")):
            complain(reason)
    if played.took_effect:
        return
    if played.ticks["old"]:
        complain("nothing took effect: the marks in force are newer than the recording (--shift-to-now moves it to now)")
    elif played.ticks["unknown"]:
        complain(
            "nothing took effect: the engine does not know these instruments (--alias and --instrument give others' names ours)"
        )
    else:
        complain("nothing took effect: not one tick became a mark, and not one trade was applied")


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
