"""The kill campaigns of `replay/`, shortened: what they run for an hour runs here for seconds."""

import os

import pytest

from replay import kill_campaign, own_postgres, postgres_kill_campaign
from tests.conftest import ROOT

EARLY = """
from riskengine.engine.engine import Outcome
from riskengine.engine.inbox import Receipt
from riskengine.intake.store_thread import StoreThread

submit = StoreThread.submit

def submit_and_answer_at_once(self, trades, answer, *more):
    submit(self, trades, lambda receipt: None, *more)
    answer(Receipt([Outcome("applied", False, "") for _ in trades], 1))

StoreThread.submit = submit_and_answer_at_once
"""


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_nothing_is_lost_and_nothing_doubled_when_the_engine_is_killed(store):
    if store == "postgres" and not os.environ.get("RISKENGINE_TEST_POSTGRES") and own_postgres.missing():
        pytest.skip(f"PostgreSQL is NOT tested: set RISKENGINE_TEST_POSTGRES; {own_postgres.missing()}")
    summary = kill_campaign.campaign(store, 2, seed=7)
    assert (summary["lost"], summary["doubled"], summary["other"]) == (0, 0, 0)
    assert summary["kills"] == 2 and summary["acknowledged"] > 20 and summary["resent"] > 0
    assert summary["answers"]["applied"] and summary["answers"]["booked"]
    assert summary["traffic"]["frames answered"] and summary["traffic"]["posts answered 200"]


def test_nothing_is_lost_and_nothing_doubled_when_postgresql_is_killed():
    if own_postgres.missing():
        pytest.skip(f"a PostgreSQL that is killed is NOT tested: {own_postgres.missing()}")
    summary = postgres_kill_campaign.campaign(2, seed=7)
    assert (summary["lost"], summary["doubled"], summary["other"]) == (0, 0, 0)
    assert summary["kills"] == 2 and summary["acknowledged"] > 20
    assert summary["reads_answered"] and summary["probes_refused"]


def test_the_campaign_finds_an_engine_that_answers_before_it_has_stored(tmp_path):
    """The drill can fail: this one must."""
    (tmp_path / "sitecustomize.py").write_text(EARLY)
    summary = kill_campaign.campaign("sqlite", 2, seed=7, environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert summary["lost"] > 0
