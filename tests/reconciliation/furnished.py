"""A store with the nodes and instruments of `tests.world`, and the engine that a start on it makes."""

from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.rebuild.rebuild import rebuild
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.world import NOON, instruments, nodes

CONFIG = Config()


def furnished(store: Store) -> Store:
    """With the nodes and instruments of `tests.world`."""
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    return store


def engine_of(store: Store) -> Engine:
    return rebuild(store, read_trades(store), CONFIG, epoch=1, now=NOON, read_conflicts=read_conflicts(store, MAX_NOTICES))
