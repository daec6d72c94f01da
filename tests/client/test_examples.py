"""The client's examples: the notebook runs, the Excel query asks for columns that exist."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import riskengine.client.examples
from riskengine.client import Client
from riskengine.serve.answers.shapes import OF_NODE, names
from riskengine.serve.app import ROUTES, create_app
from tests.serve.stand_in import serving, traded
from tests.serve.wired import run, wired
from tests.world import trade

EXAMPLES = Path(riskengine.client.examples.__file__).parent


def test_the_notebook_runs_against_an_engine_from_its_first_cell_to_its_last():
    pytest.importorskip("pandas", reason="the notebook is NOT run: pandas is not installed (it is not a dependency)")

    def notebook(port: int) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "RISKENGINE_URL": f"http://127.0.0.1:{port}", "POINTS": "1"}
        return subprocess.run(
            [sys.executable, "-W", "error", EXAMPLES / "notebook.py"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )

    async def scenario() -> None:
        async with wired() as engine:
            engine.deal(trade("t1"), trade("t2", instrument="GHOST", desk="EQ1", quantity="7", price="3"))
            done = await asyncio.to_thread(notebook, engine.port)
        assert (done.returncode, done.stderr) == (0, "")
        assert "epoch 7" in done.stdout and "1 positions have no price" in done.stdout
        assert "EURUSD" in done.stdout and "2026-03-04 12:00:00+00:00" in done.stdout

    run(scenario())


def test_the_notebook_asks_for_columns_that_exist():
    text = (EXAMPLES / "notebook.py").read_text(encoding="utf-8")
    columns = set(re.findall(r"columns=\[(.*?)\]", text)[0].replace('"', "").split(", "))
    assert columns <= set(names(OF_NODE))


def test_the_query_for_excel_asks_an_existing_route_for_existing_columns():
    text = (EXAMPLES / "ladder.pq").read_text(encoding="utf-8")
    [path] = re.findall(r'RelativePath = "([^"]+)"', text)
    assert f"/{path}" in {route.path for route in ROUTES}
    columns = re.findall(r'\{"(\w+)", (?:type \w+|Int64\.Type)\}', text)
    assert len(columns) == 12 and set(columns) <= set(names(OF_NODE))
    assert text.count("(") == text.count(")") and text.count("{") == text.count("}") and text.count("[") == text.count("]")


def test_an_engine_answers_the_query_for_excel():
    with serving(create_app(traded())) as url, Client(url) as client:
        rows = client.ladder(node="ALL").rows
    text = (EXAMPLES / "ladder.pq").read_text(encoding="utf-8")
    for column in re.findall(r'\{"(\w+)", type number\}', text):
        assert all(isinstance(row[column], int | float | None) for row in rows)
