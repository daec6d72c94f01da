"""Fixtures that every test may use: an empty place on each database, where the recorded data and the vectors lie.

And how hard hypothesis looks.
"""

import atexit
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store_book import Outside, new_store
from tests.world import instruments, nodes

# The same examples at every run, few enough for every commit; RISKENGINE_HYPOTHESIS=thorough looks for new ones at length.
settings.register_profile("ci", max_examples=40, stateful_step_count=40, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "thorough",
    max_examples=1_000,
    stateful_step_count=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("RISKENGINE_HYPOTHESIS", "ci"))

# Every program that a test starts would compile all of riskengine anew: half of the time that it takes to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What an engine remembers of a PostgreSQL store outside it belongs to the machine's user; that of a test does not.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="riskengine-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def no_frozen_garbage() -> Iterator[None]:
    """A live process settles its memory for good; the process of the tests, in which many live, must not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("riskengine.rebuild.load.settle_memory", lambda: None)
        yield


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_auto_num_workers() -> int:
    """More workers than cores: many tests wait for a program or a clock."""
    return (os.cpu_count() or 1) * 3 // 2


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


@pytest.fixture
def house_url(tmp_path: Path) -> str:
    """A SQLite store with the nodes and instruments of `tests.world`, closed: for a program to be started on."""
    url = f"sqlite:///{tmp_path}/engine.db"
    opened = open_store(url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    opened.close()
    return url


SERVER = "RISKENGINE_TEST_POSTGRES"


@contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of a schema of its own on the server that RISKENGINE_TEST_POSTGRES names, or a skip."""
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


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty place on PostgreSQL."""
    with postgres_schema() as url:
        yield url


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
def url(store_url: str) -> str:
    """A store with the reference data of `tests.world`, on each database."""
    opened = open_store(store_url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    opened.close()
    return store_url


@pytest.fixture
def outside(store_url: str, store: Store) -> Iterator[Outside]:
    """Another program at the store's database."""
    program = Outside(store_url)
    yield program
    program.close()
