"""Fixtures of the store's tests: a new store on each database, another program beside it."""

from collections.abc import Iterator

import pytest

from riskengine.store.protocol import Store
from tests.adapters.recorded_day import Day
from tests.adapters.store_book import Outside, new_store
from tests.conftest import postgres_schema


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = new_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def outside(store_url: str, store: Store) -> Iterator[Outside]:
    """Another program at the store's database."""
    program = Outside(store_url)
    yield program
    program.close()


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
