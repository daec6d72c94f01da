"""Each planted bug is caught by the seed that the table names; without the bug that seed finds nothing."""

import json
from pathlib import Path

import pytest

from tests.simulation.planted.bugs import BUGS, planted
from tests.simulation.virtual import load_all
from tests.simulation.world import live_a_world

DAYS = 2
CAUGHT = json.loads((Path(__file__).parent / "planted" / "caught.json").read_text(encoding="utf-8"))


def test_every_planted_bug_is_caught():
    assert len(CAUGHT) >= 30
    assert CAUGHT.keys() <= BUGS.keys()


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_a_planted_bug_is_found(name: str):
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
