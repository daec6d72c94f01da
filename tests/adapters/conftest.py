"""Fixtures of the store's tests: an empty place on each database, another program beside the store."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from riskengine.adapters.store import Store
from tests.adapters.store_book import Outside, new_store

SERVER = "RISKENGINE_TEST_POSTGRES"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A schema of its own on the server that RISKENGINE_TEST_POSTGRES names."""
    server = os.environ.get(SERVER)
    if not server:
        pytest.skip(f"PostgreSQL is NOT tested: set {SERVER}, for example to postgresql://postgres@127.0.0.1:5432/test")
    schema = f"riskengine_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True, options="-c lock_timeout=10s") as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store may be made, once on each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'engine.db'}"
    return str(request.getfixturevalue("postgres_url"))


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
