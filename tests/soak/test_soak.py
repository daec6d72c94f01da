"""Half a minute of the soak, against the real server on PostgreSQL."""

import os

import pytest

from tests.soak.__main__ import main
from tests.soak.server import SERVER

LONG = "a minute and a half, most of it waiting: set RISKENGINE_DRILLS=1, or run make soak"


@pytest.mark.skipif(os.environ.get("RISKENGINE_DRILLS") != "1", reason=LONG)
@pytest.mark.skipif(not os.environ.get(SERVER), reason=f"needs PostgreSQL: set {SERVER}")
def test_half_a_minute_with_two_outages_loses_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.5", "--clients", "20"]) == 0, capsys.readouterr()
