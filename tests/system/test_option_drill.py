"""The drill of `replay/option_drill.py`: options through their cut, exercised, booked and reconciled, with kills in between."""

import os

import pytest

from replay import option_drill

LONG = "40 s, most of them waiting for a cut: set RISKENGINE_DRILLS=1, or run python -m replay.option_drill"


@pytest.mark.skipif(os.environ.get("RISKENGINE_DRILLS") != "1", reason=LONG)
def test_options_come_through_their_cut_to_the_cent_and_are_booked_once_whenever_the_engine_is_killed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert option_drill.run(seed=7, lead_s=25.0) == [], capsys.readouterr().out
