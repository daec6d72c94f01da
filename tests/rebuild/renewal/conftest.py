"""Fixtures of a renewal's tests: a store with the house's reference data, and programs beside it; looks that do not wait."""

from collections.abc import Iterator

import pytest

from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store_book import Outside
from tests.world import instruments, nodes


@pytest.fixture
def real_times() -> None:
    """For the tests that are about times."""


@pytest.fixture(autouse=True)
def eager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often and settles soon, so that a test takes a moment; one over a real server keeps the real times."""
    if "real_times" in request.fixturenames:
        return
    for constant in (
        "intake.store_thread.POLL_S",
        "rebuild.renewal.LOOK_S",
        "rebuild.renewal.SETTLE_S",
        "rebuild.renewal.RETRY_S",
    ):
        monkeypatch.setattr(f"riskengine.{constant}", 0.02)


@pytest.fixture
def loader(store_url: str) -> Iterator[Store]:
    """Another program that loads reference data, as `riskengine load` does; that of the house is in the store."""
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    yield store
    store.close()


@pytest.fixture
def outside(store_url: str, loader: Store) -> Iterator[Outside]:
    """Another program that speaks SQL: a booking system, an administrator."""
    program = Outside(store_url)
    yield program
    program.close()
