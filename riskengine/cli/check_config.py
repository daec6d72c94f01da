"""`riskengine check-config`: validates a configuration and prints the effective one."""

import os
from typing import Any

import click
import msgspec
import orjson

from riskengine.cli.terminal import effective_config
from riskengine.cli.token import check_access
from riskengine.config import without_password


@click.command(name="check-config")
@click.argument("file", required=False)
def check_config_command(file: str | None) -> None:
    """Validate a configuration and print the effective one with secrets hidden."""
    config = effective_config(file, os.environ.get("RISKENGINE_STORE"))
    check_access(config)
    shown = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=without_password(config.store.url)))
    for section, values in msgspec.to_builtins(shown).items():
        _print_table(section, values)


def _print_table(name: str, values: dict[str, Any]) -> None:
    """A table as TOML, the tables in it behind its settings."""
    click.echo(f"[{name}]")
    inner = {key: value for key, value in values.items() if isinstance(value, dict)}
    for key, value in values.items():
        if key not in inner:
            click.echo(f"# {key} is off" if value is None else f"{key} = {orjson.dumps(value).decode()}")
    click.echo()
    for key, table in inner.items():
        _print_table(f"{name}.{key}", table)
