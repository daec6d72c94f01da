"""Commands run in this process, and their mistakes."""

from pathlib import Path

from click.testing import CliRunner, Result

from riskengine.cli.main import main


def riskengine(*words: str | Path, stdin: bytes | None = None) -> Result:
    """A command in this process; exceptions that it does not turn into a line come out."""
    done = CliRunner(env={"RISKENGINE_STORE": None}).invoke(main, [*map(str, words)], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def fails(done: Result, *said: str, status: int = 1) -> str:
    """Asserts one clear line on stderr, nothing on stdout."""
    [line] = done.stderr.splitlines()
    assert done.exit_code == status, done.stderr
    assert done.stdout == ""
    assert line.startswith("riskengine: ")
    for part in said:
        assert part in line
    return line
