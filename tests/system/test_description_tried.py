"""schemathesis tries the OpenAPI document against a running engine, with all its checks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskengine.store.open_store import open_store
from tests.running import ENVIRONMENT, ROOT, Server, running
from tests.world import NOON, instruments, nodes, row

EXAMPLES = os.environ.get("RISKENGINE_DESCRIPTION_EXAMPLES", "12")
"""Examples for each operation; hundreds find rare cases, in minutes."""

SEED = os.environ.get("RISKENGINE_DESCRIPTION_SEED", "20261121")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An engine with trades of several kinds, prices, and an exception."""
    url = f"sqlite:///{tmp_path}/engine.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    with running("serve", "--port", "0", "--store", url, log=tmp_path / "log") as server:
        trades = [
            row("t1", fees="2.5"),
            row("t2", desk="FX2", side="sell", dealer="bob"),
            row("t3", instrument="GHOST", desk="EQ1"),
            row("t1", price="1.3"),
            row("t9", action="cancel"),
        ]
        counts = server.post("/v1/trades", trades)["counts"]
        assert [counts[outcome] for outcome in ("applied", "conflict", "parked")] == [3, 1, 1]
        server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.1}])
        yield server


def test_everything_that_is_described_is_so_and_nothing_else_is(server: Server, tmp_path: Path) -> None:
    told = server.get("/openapi.json")
    operations = sum(len(methods) for path, methods in told["paths"].items() if path != "/openapi.json")
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(ROOT / "tests" / "system" / "schemathesis.toml"),
        "run",
        f"{server.url}/openapi.json",
        "--checks",
        "all",
        "--max-examples",
        EXAMPLES,
        "--seed",
        SEED,
        "--continue-on-failure",
        "--no-shrink",
        "--report",
        "json",
        "--report-json-path",
        str(tmp_path / "report.json"),
    ]
    environment = ENVIRONMENT | {
        "SCHEMATHESIS_HOOKS": "tests.system.description_hooks",
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert f"Tested: {operations}" in done.stdout
    assert (tmp_path / "report.json").stat().st_size
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line for line in log if line["level"] in ("error", "critical")] == []
