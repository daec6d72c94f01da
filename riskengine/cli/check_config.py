"""`riskengine check-config`: validates a configuration and prints the effective one."""

import os

import click
import msgspec
import orjson

from riskengine.cli.streams import say
from riskengine.cli.terminal import effective_config
from riskengine.cli.token import check_access
from riskengine.config import without_password
from riskengine.printable import printable_json


@click.command(name="check-config")
@click.argument("file", required=False)
def check_config_command(file: str | None) -> None:
    """Validate a configuration and print the effective one with secrets hidden."""
    config = effective_config(file, os.environ.get("RISKENGINE_STORE"))
    check_access(config)
    shown = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=without_password(config.store.url)))
    for section, values in msgspec.to_builtins(shown).items():
        say(f"[{section}]")
        for key, value in values.items():
            text = f"# {key} is off" if value is None else f"{key} = {printable_json(orjson.dumps(value).decode())}"
            say(text)
        say()
