"""`riskengine check-config`: validates a configuration and prints the effective one."""

import os
import re
from typing import Any

import click
import msgspec
import orjson

from riskengine.cli.streams import say
from riskengine.cli.terminal import effective_config
from riskengine.cli.token import check_access
from riskengine.config import without_password
from riskengine.printable import printable_json
from riskengine.process.alert_channels import open_channels


@click.command(name="check-config")
@click.argument("file", required=False)
def check_config_command(file: str | None) -> None:
    """Validate a configuration and print the effective one with secrets hidden."""
    config = effective_config(file, os.environ.get("RISKENGINE_STORE"))
    check_access(config)
    open_channels(config.alerts)
    shown = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=without_password(config.store.url)))
    for section, values in msgspec.to_builtins(shown).items():
        _print_table(section, values)


def _print_table(name: str, values: dict[str, Any]) -> None:
    """A table as TOML, the tables in it behind its settings."""
    say(f"[{name}]")
    inner = {key: value for key, value in values.items() if isinstance(value, dict)}
    for key, value in values.items():
        if key not in inner:
            say(f"# {key} is off" if value is None else f"{_key(key)} = {printable_json(orjson.dumps(value).decode())}")
    say()
    for key, table in inner.items():
        _print_table(f"{name}.{_key(key)}", table)


def _key(text: str) -> str:
    """A key of a TOML table: in quotes where it is not of plain letters."""
    return text if re.fullmatch("[A-Za-z0-9_-]+", text) else printable_json(orjson.dumps(text).decode())
