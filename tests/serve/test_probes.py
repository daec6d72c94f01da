"""Probes address an engine by whatever address it has (case D3); strangers hear its state alone."""

import pytest

from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask, problem

FOREIGN = ["10.42.0.17:8321", "engine.default.svc", "127.0.0.1:1", "evil.example"]


@pytest.fixture
def stand_in():
    return StandIn()


@pytest.mark.parametrize("host", FOREIGN)
def test_probes_answer_under_any_name_and_everything_else_does_not(stand_in, host):
    stand_in.warnings["breaks"] = "FX1 EURUSD differs"
    app = create_app(stand_in)
    assert ask(app, "/healthz", headers={"host": host}).json() == {"status": "alive"}
    assert ask(app, "/readyz", headers={"host": host}).json() == {"state": "live", "progress": 1.0, "warnings": []}
    for path in ("/v1/status", "/metrics", "/", "/v1/nodes", "/readyz/", "/v1/healthz"):
        problem(ask(app, path, headers={"host": host}), 403)
    problem(ask(app, "/healthz", method="POST", headers={"host": host}), 403)
    own = ask(app, "/readyz", headers={"host": "127.0.0.1:8321"}).json()
    assert own["warnings"][0]["text"] == "FX1 EURUSD differs"
