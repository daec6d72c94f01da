"""`python -m riskengine.cli` is the command `riskengine`."""

from riskengine.cli.main import main

main(prog_name="riskengine")
