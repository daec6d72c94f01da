"""The days that every change of the code must live through, and the seeds that once found something."""

import json
from pathlib import Path

import pytest

from tests.simulation.needs import EVERY_DAYS, NEEDS, missed
from tests.simulation.trace import Coverage
from tests.simulation.world import live_a_world

DAYS = 3
OPEN: dict[str, str] = json.loads(Path(__file__).with_name("open_seeds.json").read_text(encoding="utf-8"))
"""Seeds that fail, whose cause nobody has found yet: each is a bug of the engine or of the simulation."""
SEEDS = [seed for seed in range(1, 13) if str(seed) not in OPEN]
SEEDS_A_TEST = 3
KEPT: dict[str, str] = json.loads(Path(__file__).with_name("kept_seeds.json").read_text(encoding="utf-8"))
"""Seeds that failed once, with what they found. A later change of the simulation may give such a seed another life."""


@pytest.mark.parametrize("first", range(0, len(SEEDS), SEEDS_A_TEST))
def test_a_desk_comes_to_what_the_oracle_says_each_evening(first: int, simulated: Coverage):
    for seed in SEEDS[first : first + SEEDS_A_TEST]:
        world = live_a_world(str(seed), DAYS)
        assert world.violation is None, f"python -m tests.simulation --seed {seed} --days {DAYS} --verbose"
        simulated.add(world.coverage)
        assert world.days == DAYS


@pytest.mark.parametrize("seed", sorted(KEPT))
def test_a_seed_that_once_found_something_finds_it_no_more(seed: str):
    world = live_a_world(seed, DAYS)
    assert world.violation is None, KEPT[seed]


def test_a_fault_that_met_a_state_too_rarely_is_named():
    fault, states = next(iter(NEEDS.items()))
    state, least = next(iter(states.items()))
    coverage = Coverage()
    for name, wanted in NEEDS.items():
        for where, count in wanted.items():
            coverage.met[name, where] = count
    assert missed(coverage, EVERY_DAYS) == []
    coverage.met[fault, state] -= 1
    assert missed(coverage, EVERY_DAYS) == [f"{fault} in state {state}: {least - 1} times, {least} are needed"]
    assert missed(coverage, EVERY_DAYS - 1) == []
