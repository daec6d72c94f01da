"""Builds the book once for all benches, and sets the garbage collector as in the running process."""

import gc
from collections.abc import Iterator

import pytest

from bench.book import Maker, load_engine
from riskengine.engine.engine import Engine
from riskengine.rebuild.rebuild import settle_memory


@pytest.fixture(scope="session")
def maker() -> Maker:
    return Maker()


@pytest.fixture(scope="session")
def engine(maker: Maker) -> Iterator[Engine]:
    gc.disable()
    built = load_engine(maker)
    gc.enable()
    settle_memory()
    yield built
    gc.unfreeze()
