"""What all simulated days of a test run have met together."""

import pytest

from tests.simulation.trace import Coverage


@pytest.fixture(scope="session")
def simulated() -> Coverage:
    """The coverage of the worlds of this process."""
    return Coverage()
