"""`riskengine demo`: a live engine with sample desks and a simulated or recorded market, by the clock or a faster one."""

import re
import sys
import time
from typing import Any

import click
from msgspec.structs import replace

from riskengine.cli.demo_folder import demo_folder
from riskengine.cli.demo_store import House, fill_store
from riskengine.cli.layout_options import foreign_options, layout_options
from riskengine.cli.start import print_url, run_engine
from riskengine.cli.streams import say_if_possible
from riskengine.cli.terminal import effective_config, mapping_options, store_option
from riskengine.clock import MICROS_PER_SECOND, Clock, FastClock, SystemClock, utc_text
from riskengine.config import Config
from riskengine.errors import InputError
from riskengine.feeds.demo import DemoFeed, RecordedTicks
from riskengine.feeds.replay import tick_stream
from riskengine.feeds.simulation.dealing import DealingSimulator
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.option_desks import OptionDesks
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_limits, sample_nodes
from riskengine.files.records import ColumnOptions
from riskengine.market.trading_day import TradingDay
from riskengine.observe import configure_logging
from riskengine.records.fields import Rejected, timestamp

DEMO_SEED = 20260105

PEEKED_TICKS = 20_000
"""Ticks of a recording in which its instruments are looked for: the past of the demo ends at their first prices."""

MAX_SPEED = 3_600.0
"""Fastest clock: an hour a second. A trading day then lasts less than half a minute."""


def read_speed(context: click.Context, option: click.Parameter, value: str | None) -> float:
    """How many times as fast as real time the clock runs: `60x` or `60`. Raises BadParameter."""
    if value is None:
        return 1.0
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)x?", value)
    if found is None:
        raise click.BadParameter(f"must be a number of times such as 60x: {value!r}")
    speed = float(found[1])
    if not 1.0 <= speed <= MAX_SPEED:
        raise click.BadParameter(f"must be 1x to {MAX_SPEED:.0f}x: {value!r}")
    return speed


def read_start(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """The time at which the clock begins, microseconds. Raises BadParameter."""
    if value is None:
        return None
    try:
        return timestamp(value, "start-at")
    except Rejected as rejected:
        raise click.BadParameter(f"{rejected.reason} (microseconds since 1970, or 2026-03-04T17:00:00Z)") from None


@click.command(name="demo")
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="Port to bind.")
@click.option("--ticks", metavar="FILE", help="Recorded ticks instead of the simulated market, shifted to now.")
@click.option("--clock", "speed", metavar="Nx", callback=read_speed, help="How fast the engine's clock runs: 1x to 3600x.")
@click.option("--start-at", metavar="TS", callback=read_start, help="When its clock begins: microseconds or RFC 3339; now.")
@store_option
@mapping_options
@layout_options
def demo_command(port: int, ticks: str | None, speed: float, start_at: int | None, store: str | None, **mapping: Any) -> None:
    """Run a live engine on an embedded store, with sample desks and a simulated market, until Ctrl-C."""
    options = foreign_options("ticks", mapping)
    configure_logging("console", "warning")
    with demo_folder() as folder:
        config = effective_config(None, store or f"sqlite:///{folder}/demo.db", None, port)
        begin = SystemClock().now() if start_at is None else start_at
        nodes, instruments = sample_nodes(), sample_instruments()
        symbols = frozenset(instrument.instrument for instrument in instruments)
        recorded = None if ticks is None else _recorded_ticks(ticks, options, symbols)
        market = MarketSimulator(DEMO_SEED, instruments, speed=speed)
        house = House(nodes, instruments, has_options=True, limits=sample_limits())
        try:
            prices = {} if recorded is None else recorded.first_mids(PEEKED_TICKS)
            filled = fill_store(config, house, DEMO_SEED, begin, market, prices)
        except KeyboardInterrupt:  # Ctrl-C ends a demo, also one that only begins
            sys.exit(0)
        dealing = DealingSimulator(DEMO_SEED, nodes, instruments, run=f"{int(time.time()):x}", speed=speed, lots=filled.lots)
        feed = DemoFeed(market, dealing, recorded, OptionDesks(DEMO_SEED, filled.options, speed))
        clock: Clock = SystemClock() if speed == 1.0 and start_at is None else FastClock(speed, begin)

        def announce(url: str) -> None:
            print_url(url)
            if speed != 1.0 or start_at is not None:
                say_if_possible(clock_text(clock, config))
            say_if_possible("Press Ctrl-C to stop.")

        status = run_engine(paced(config, speed), announce, feed=feed.run, clock=clock)
    sys.exit(status)


def _recorded_ticks(path: str, options: ColumnOptions, symbols: frozenset[str]) -> RecordedTicks:
    """The ticks of a file. Raises InputError at once for one that cannot be read or has no tick of these symbols."""

    def opened() -> RecordedTicks:
        return RecordedTicks(lambda: tick_stream(path, options, lambda _path, _refusal: None), symbols)

    if not opened()(0, 0.0):
        raise InputError(f"{path}: has no tick of an instrument of the demo")
    return opened()


def paced(config: Config, speed: float) -> Config:
    """The configuration for a clock so fast: what waits for prices, and readers, waits for the same real time as without."""
    marks, server, options = config.marks, config.server, config.options
    return replace(
        config,
        marks=replace(
            marks,
            stale_after_s=marks.stale_after_s * speed,
            suspect_release_s=marks.suspect_release_s * speed,
            store_every_s=marks.store_every_s * speed,
        ),
        options=replace(
            options,
            vol_stale_after_s=options.vol_stale_after_s * speed,
            rate_stale_after_s=options.rate_stale_after_s * speed,
            decay_s=options.decay_s * speed,
            decay_near_s=options.decay_near_s * speed,
            surface_every_s=min(options.surface_every_s * speed, 86_400.0),
        ),
        server=replace(server, snapshot_history_s=server.snapshot_history_s * speed),
    )


def clock_text(clock: Clock, config: Config) -> str:
    """What the clock says, how fast it runs, and in which real time it reaches the end of the trading day."""
    now, trading_day = clock.now(), TradingDay.of(config.engine)
    _, end = trading_day.window(trading_day.date_of(now))
    left_s = (end - now) / MICROS_PER_SECOND / clock.speed
    left = f"{left_s:.0f} s" if left_s < 100 else f"{left_s / 60:.0f} min" if left_s < 6_000 else f"{left_s / 3_600:.1f} h"
    begins = f"Its clock begins at {utc_text(now)} and runs {clock.speed:g} times as fast"
    return f"{begins}: the trading day ends in {left}, at {utc_text(end)}."
