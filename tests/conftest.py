"""Fixtures that every test may use: where the recorded data and the vectors lie; how hard hypothesis looks."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples at every run, few enough for every commit; RISKENGINE_HYPOTHESIS=thorough looks for new ones at length.
settings.register_profile("ci", max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "thorough",
    max_examples=1_000,
    stateful_step_count=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("RISKENGINE_HYPOTHESIS", "ci"))

ROOT = Path(__file__).resolve().parent.parent


def shared(name: str) -> Path:
    """A file or folder of the data that lies beside the project (RISKENGINE_SHARED says otherwise), or a skip."""
    folder = Path(os.environ.get("RISKENGINE_SHARED") or ROOT.parent / "shared")
    path = folder / name
    if not path.exists():
        pytest.skip(f"no {path}: recorded data is not part of the project, set RISKENGINE_SHARED to its folder")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded market data."""
    return shared("data")


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The file of worked examples, `vectors.json`."""
    return shared("vectors/vectors.json")
