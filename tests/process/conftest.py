"""What the tests of a live process begin with."""

import pytest

from riskengine.store.open_store import open_store
from tests.world import instruments, nodes


@pytest.fixture
def url(store_url: str) -> str:
    """A store with the reference data of `tests.world`, on each database."""
    opened = open_store(store_url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    opened.close()
    return store_url
