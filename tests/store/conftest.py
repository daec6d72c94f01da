"""Fixtures of the audit trail's tests: one recorded day on each database."""

from collections.abc import Iterator

import pytest

from tests.conftest import postgres_schema
from tests.store.recorded_day import Day


@pytest.fixture(scope="module")
def sqlite_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    day = Day(f"sqlite:///{tmp_path_factory.mktemp('day') / 'engine.db'}")
    yield day
    day.connection.close()


@pytest.fixture(scope="module")
def postgres_day() -> Iterator[Day]:
    with postgres_schema() as url:
        day = Day(url)
        yield day
        day.connection.close()


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def day(request: pytest.FixtureRequest) -> Day:
    found: Day = request.getfixturevalue(f"{request.param}_day")
    return found
