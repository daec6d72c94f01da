"""Fixtures that every test may use: where the recorded data and the vectors lie."""

import os
from pathlib import Path

import pytest

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
