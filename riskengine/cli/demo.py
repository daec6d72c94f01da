"""`riskengine demo`: a live engine with sample desks and a simulated or recorded market."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from riskengine.cli.demo_folder import demo_folder
from riskengine.cli.layout_options import foreign_options, layout_options
from riskengine.cli.start import print_url, run_engine
from riskengine.cli.streams import say_if_possible
from riskengine.cli.terminal import effective_config, mapping_options, store_option
from riskengine.errors import InputError
from riskengine.feeds.demo import DemoFeed, RecordedTicks
from riskengine.feeds.replay import tick_stream
from riskengine.feeds.simulation.dealing import DealingSimulator
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_nodes
from riskengine.observe import configure_logging
from riskengine.records.types import Instrument, Node
from riskengine.store.open_store import open_store

DEMO_SEED = 20260105


@click.command(name="demo")
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="Port to bind.")
@click.option("--ticks", metavar="FILE", help="Recorded ticks instead of the simulated market, shifted to now.")
@store_option
@mapping_options
@layout_options
def demo_command(port: int, ticks: str | None, store: str | None, **mapping: Any) -> None:
    """Run a live engine on an embedded store, with sample desks and a simulated market, until Ctrl-C."""
    options = foreign_options("ticks", mapping)
    configure_logging("console", "warning")
    with demo_folder() as folder:
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
    say_if_possible("Press Ctrl-C to stop.")
