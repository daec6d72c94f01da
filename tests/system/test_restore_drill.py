"""The drill of `replay/restore_drill.py`, shortened: a lost store comes back from a copy, and nothing is lost or hidden."""

import pytest

from replay import restore_drill


@pytest.mark.parametrize("part", ["start", *restore_drill.LIVE])
def test_a_store_that_comes_back_from_a_copy_is_refused_named_and_made_whole(part, capsys):
    failed = restore_drill.run(60, [part], witness_every_s=1.0)
    assert failed == [], capsys.readouterr().out
