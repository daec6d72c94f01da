"""`riskengine remove`: takes nodes and instruments out of the store that nothing refers to."""

import sys
from collections.abc import Sequence

import click

from riskengine.cli.streams import complain, say
from riskengine.cli.terminal import config_option, effective_config, store_option
from riskengine.store.open_store import open_store

KINDS = ("nodes", "instruments")


@click.command(name="remove")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@store_option
@config_option
def remove_command(kind: str, names: Sequence[str], store: str | None, config_path: str | None) -> None:
    """Take out nodes or instruments that no trade, balance, child or option refers to; refuse the others by name."""
    config = effective_config(config_path, store)
    opened = open_store(config.store.url, create=False)
    try:
        found = opened.remove_nodes(names) if kind == "nodes" else opened.remove_instruments(names)
    finally:
        opened.close()
    for refusal in found.refused:
        complain(f"{refusal.field}: not removed: {refusal.reason}")
    closes = f", with {found.closes:,} closes" if found.closes else ""
    say(f"removed {len(found.removed)} of {len(set(names))} {kind}{closes}")
    sys.exit(1 if found.refused else 0)
