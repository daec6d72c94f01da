"""`python -m riskengine.cli` is the command `riskengine`."""

from riskengine.cli.main import run

run()
