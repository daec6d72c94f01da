"""Reads the positions of a running engine over HTTP, as exact decimals."""

from decimal import Decimal
from typing import Any, Protocol

from replay.dealing import DEALERS
from replay.independent_sum import Holding, Key


class Readable(Protocol):
    """A server like `tests.running.Server`."""

    def get(self, path: str) -> Any:
        """The decoded JSON answer of a path."""
        ...


def shown_positions(server: Readable) -> dict[Key, Holding]:
    """The positions of all leaves and of each dealer, each read from one snapshot; keys as in `independent_sum`."""
    found: dict[Key, Holding] = {}
    dealers = {row["dealer"] for row in server.get("/v1/dealers?limit=1000000")["rows"]}
    assert dealers <= set(DEALERS), f"unknown dealers: {dealers}"
    for kind, which in [("node", ""), *(("dealer", f"dealer={name}&") for name in sorted(dealers))]:
        for row in server.get(f"/v1/positions?{which}exact=true&limit=1000000")["rows"]:
            holding = Holding(Decimal(row["quantity"]), Decimal(row["net_cash"]), int(row["trade_count"]))
            assert (kind, row[kind], row["instrument"]) not in found, "a position is listed twice"
            found[kind, row[kind], row["instrument"]] = holding
    return found
