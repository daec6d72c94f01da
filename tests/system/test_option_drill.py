"""The drill of `replay/option_drill.py`: options through their cut, exercised, booked and reconciled, with kills in between."""

import pytest

from replay import option_drill


def test_options_come_through_their_cut_to_the_cent_and_are_booked_once_whenever_the_engine_is_killed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert option_drill.run(seed=7, lead_s=25.0) == [], capsys.readouterr().out
