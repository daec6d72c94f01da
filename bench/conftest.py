"""The book is built once for all benches; the garbage collector stands as it does in the running process."""

import gc
from collections.abc import Iterator

import pytest

from bench.book import Maker, loaded
from riskengine.engine.engine import Engine
from riskengine.rebuild.rebuild import settle_memory


@pytest.fixture(scope="session")
def maker() -> Maker:
    return Maker()


@pytest.fixture(scope="session")
def engine(maker: Maker) -> Iterator[Engine]:
    gc.disable()
    built = loaded(maker)
    gc.enable()
    settle_memory()
    yield built
    gc.unfreeze()
