"""Each planted bug is caught by the seed that the table names; without the bug that seed finds nothing."""

import json
import os
from pathlib import Path

import pytest

from tests.simulation.planted.bugs import BUGS, planted
from tests.simulation.virtual import load_all
from tests.simulation.world import live_a_world

DAYS = 2
SLOW = frozenset(
    {
        "a contract multiplier is left out of the value",
        "a cursor by the highest number",
        "a flip keeps the old average",
        "a reduction moves the average",
        "a repair believes the engine",
        "an inverse rate is not inverted",
        "summer time is not known",
    }
)
"""Bugs whose seeds take more than five seconds: RISKENGINE_DRILLS=1 tries them too."""
CAUGHT = json.loads((Path(__file__).parent / "planted" / "caught.json").read_text(encoding="utf-8"))


def test_every_planted_bug_is_caught():
    assert len(CAUGHT) >= 30
    assert CAUGHT.keys() <= BUGS.keys()


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_a_planted_bug_is_found(name: str):
    if name in SLOW and not os.environ.get("RISKENGINE_DRILLS"):
        pytest.skip("its seed takes more than five seconds: RISKENGINE_DRILLS=1 tries it")
    load_all()
    found = ""
    with planted(name):
        try:
            world = live_a_world(str(CAUGHT[name]["seed"]), DAYS)
            found = "" if world.violation is None else world.violation.check
        except Exception as error:  # the engine broke: that is seen too
            found = f"crash {type(error).__name__}"
    assert found, f"{name} is not caught by seed {CAUGHT[name]['seed']} any more"


def test_a_bug_whose_code_has_changed_is_an_error(monkeypatch: pytest.MonkeyPatch):
    name = "cash is a double"
    [edit] = BUGS[name]
    monkeypatch.setitem(BUGS, name, (edit._replace(old="what no function says"),))
    with pytest.raises(AssertionError, match="any more"), planted(name):
        pass
