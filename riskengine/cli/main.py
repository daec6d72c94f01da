"""The command `riskengine`. Results go to stdout, logs and progress to stderr; a mistake is one clear line, never a traceback."""

import sys
from typing import NoReturn

import click

from riskengine import __version__
from riskengine.cli.streams import end_output, lost_output, prepare_streams
from riskengine.cli.terminal import Commands

NAMES = (
    "audit",
    "backup",
    "check-config",
    "check-mapping",
    "compare-runs",
    "decide",
    "demo",
    "draft-mapping",
    "exceptions",
    "load",
    "rebuild",
    "reconcile",
    "remove",
    "replay",
    "serve",
    "template",
    "token",
    "watch",
)


class MainCommands(Commands):
    """The commands by name. Each is imported when it is asked for, so that a small one need not load the whole engine."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        match cmd_name:
            case "audit":
                from riskengine.cli.audit import audit_commands

                return audit_commands
            case "backup":
                from riskengine.cli.backup import backup_command

                return backup_command
            case "check-config":
                from riskengine.cli.check_config import check_config_command

                return check_config_command
            case "demo":
                from riskengine.cli.demo import demo_command

                return demo_command
            case "load":
                from riskengine.cli.load import load_command

                return load_command
            case "rebuild":
                from riskengine.cli.start import rebuild_command

                return rebuild_command
            case "reconcile":
                from riskengine.cli.reconcile import reconcile_command

                return reconcile_command
            case "replay":
                from riskengine.cli.replay import replay_command

                return replay_command
            case "serve":
                from riskengine.cli.start import serve

                return serve
            case "template":
                from riskengine.cli.template import template_command

                return template_command
            case "token":
                from riskengine.cli.token import token_commands

                return token_commands
            case "watch":
                from riskengine.cli.watch import watch_command

                return watch_command
            case _:
                return _get_desk_command(cmd_name)


def _get_desk_command(name: str) -> click.Command | None:
    """The commands of a person who looks after the store and its files."""
    match name:
        case "check-mapping":
            from riskengine.cli.check_mapping import check_mapping_command

            return check_mapping_command
        case "compare-runs":
            from riskengine.cli.compare_runs import compare_runs_command

            return compare_runs_command
        case "decide":
            from riskengine.cli.exceptions import decide_command

            return decide_command
        case "draft-mapping":
            from riskengine.cli.draft_mapping import draft_mapping_command

            return draft_mapping_command
        case "exceptions":
            from riskengine.cli.exceptions import exceptions_command

            return exceptions_command
        case "remove":
            from riskengine.cli.remove import remove_command

            return remove_command
        case _:
            return None


@click.group(cls=MainCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="riskengine")
def main() -> None:
    """Position, P&L, exposure and Greeks of a dealing desk, right now."""


def run() -> NoReturn:
    """The program: one command, from its streams to its exit status."""
    prepare_streams()
    try:
        main(prog_name="riskengine")
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except OSError as error:  # help or version could not be printed
        status = lost_output(error)
    sys.exit(end_output(status))
