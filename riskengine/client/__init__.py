"""The client of an engine, for Python programs: `Client`, and `AsyncClient` for asyncio.

    from riskengine.client import Client

    with Client("http://127.0.0.1:8321") as engine:
        print(engine.ladder(node="FX1").by("instrument")["EURUSD"]["total_pnl"])
        for state in engine.subscribe("ladder", node="FX1"):
            print(state.status, state.seq, {key: state.rows[key]["total_pnl"] for key in state.changed})

The client imports nothing of the engine except its errors.
"""

from riskengine.client.aio import AsyncClient
from riskengine.client.blocking import BlockingPublisher, BlockingSubscription, Client
from riskengine.client.checksum import checksum, row_checksum
from riskengine.client.errors import (
    BadRequest,
    ClientError,
    Closed,
    EngineUnreachable,
    NotAllowed,
    NotFound,
    NotNow,
    NotSignedIn,
    Problem,
    SnapshotGone,
    SubscriptionRefused,
    TradesRejected,
)
from riskengine.client.exchange import Rows
from riskengine.client.feed import CONNECTING, DISCONNECTED, LIVE, LOADING, STALE, State
from riskengine.client.publisher import Publisher
from riskengine.client.stream import Subscription

__all__ = [
    "CONNECTING",
    "DISCONNECTED",
    "LIVE",
    "LOADING",
    "STALE",
    "AsyncClient",
    "BadRequest",
    "BlockingPublisher",
    "BlockingSubscription",
    "Client",
    "ClientError",
    "Closed",
    "EngineUnreachable",
    "NotAllowed",
    "NotFound",
    "NotNow",
    "NotSignedIn",
    "Problem",
    "Publisher",
    "Rows",
    "SnapshotGone",
    "State",
    "Subscription",
    "SubscriptionRefused",
    "TradesRejected",
    "checksum",
    "row_checksum",
]
