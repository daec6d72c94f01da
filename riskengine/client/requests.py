"""What can be asked of an engine over HTTP: one method for each route, for the client with and the one without asyncio.

A list comes as `Rows`, everything else as the object that was answered. Each may raise EngineUnreachable and Problem (see
`riskengine.client.errors`). Numbers are doubles; with `exact=True` they are decimal texts that lose nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from riskengine.client.exchange import RETRY_S, Call, Exchange, encode_json, exchange, parts_exchange, rows_exchange

RowsAnswer = TypeVar("RowsAnswer")
ObjectAnswer = TypeVar("ObjectAnswer")


class Requests(Generic[RowsAnswer, ObjectAnswer]):
    """The routes. `read_retry_s`: how long reads are tried again where the engine cannot answer now."""

    read_retry_s: float
    renews_token: bool

    def _ask_rows(self, steps: Exchange) -> RowsAnswer:
        raise AssertionError("a client asks with or without asyncio")

    def _ask(self, steps: Exchange) -> ObjectAnswer:
        raise AssertionError("a client asks with or without asyncio")

    # -- reads -------------------------------------------------------------------------------------------------

    def nodes(self, node: str | None = None, *, seq: int | None = None, exact: bool = False) -> RowsAnswer:
        """Rows of the tree, parents first; of one node and its children where one is named."""
        path = "/v1/nodes" if node is None else f"/v1/nodes/{quote(node, safe='')}"
        return self._rows(path, seq=seq, exact=exact)

    def ladder(
        self,
        *,
        node: str | None = None,
        dealer: str | None = None,
        flat: bool = True,
        sort: str | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """What a node (without one: the root) or a dealer holds by instrument; `flat=False` leaves flat positions out."""
        return self._rows("/v1/ladder", node=node, dealer=dealer, flat=None if flat else False, sort=sort, seq=seq, exact=exact)

    def positions(
        self,
        *,
        node: str | None = None,
        dealer: str | None = None,
        instrument: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Positions of the leaves below a node, or of a dealer. `sort="-unrealised_pnl"`: the largest first."""
        return self._rows(
            "/v1/positions",
            node=node,
            dealer=dealer,
            instrument=instrument,
            sort=sort,
            limit=limit,
            offset=offset,
            seq=seq,
            exact=exact,
        )

    def dealers(
        self,
        *,
        sort: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """One row per dealer with positions."""
        return self._rows("/v1/dealers", sort=sort, limit=limit, offset=offset, seq=seq, exact=exact)

    def marks(
        self,
        *,
        sort: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Prices with source and age, by instrument."""
        return self._rows("/v1/marks", sort=sort, limit=limit, offset=offset, seq=seq, exact=exact)

    def trades(
        self,
        *,
        node: str | None = None,
        instrument: str | None = None,
        dealer: str | None = None,
        since: int | str | None = None,
        versions: str | None = None,
        limit: int | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Trades, newest first; `versions="all"` with those that were amended. `since` is in microseconds, or RFC 3339."""
        return self._rows(
            "/v1/trades",
            node=node,
            instrument=instrument,
            dealer=dealer,
            since=since,
            versions=versions,
            limit=limit,
            seq=seq,
            exact=exact,
        )

    def history(
        self,
        node: str | None = None,
        measure: str | None = None,
        *,
        since: int | str | None = None,
        bucket: int | str | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """The day's curve of one measure of a node (without one: the root), oldest first."""
        return self._rows("/v1/history", node=node, measure=measure, since=since, bucket=bucket, seq=seq, exact=exact)

    def status(self) -> ObjectAnswer:
        """State, counts, policies, feeds, warnings."""
        return self._object("/v1/status")

    def digest(self, *, seq: int | None = None) -> ObjectAnswer:
        """SHA-256 over all positions, and the seq that it is of."""
        return self._object("/v1/digest", seq=seq)

    def receipt(self, instrument: str, *, node: str | None = None, dealer: str | None = None) -> ObjectAnswer:
        """What reproduces one cell: its trades in order, mark, rate and arithmetic."""
        return self._object("/v1/receipt", instrument=instrument, node=node, dealer=dealer)

    def breaks(self, *, status: str | None = None) -> ObjectAnswer:
        """What reconciliation found, and the last report; `status="all"` with what is resolved."""
        return self._object("/v1/breaks", status=status)

    def exceptions(
        self,
        *,
        kind: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """What needs a person; of one kind, or of all."""
        return self._rows("/v1/exceptions", kind=kind, sort=sort, limit=limit, offset=offset, seq=seq, exact=exact)

    # -- posts -------------------------------------------------------------------------------------------------

    def post_trades(self, trades: Iterable[Mapping[str, Any]], *, retry_s: float = RETRY_S) -> ObjectAnswer:
        """Post trades, answered when they are durable, applied and published: `results` in their order, `counts`, `seq`.

        More than a request holds go in several, in order. Where nothing can be taken now, or the connection breaks, the same is
        sent again for `retry_s` seconds: a trade has an identity, and one that had been stored all the same is answered as a
        `duplicate`. Amounts as `decimal.Decimal` or text stay exact.
        """
        return self._ask(parts_exchange("/v1/trades", trades, retry_s, self.renews_token))

    def post_ticks(self, ticks: Iterable[Mapping[str, Any]], *, retry_s: float = RETRY_S) -> ObjectAnswer:
        """Post prices: `accepted` and what was refused. Sent again likewise: an old price never replaces a newer one."""
        return self._ask(parts_exchange("/v1/ticks", ticks, retry_s, self.renews_token))

    def reconcile(self, *, repair: bool = False) -> ObjectAnswer:
        """Compare engine and store now; `repair` takes the store's values."""
        return self._post("/v1/reconcile", {"repair": repair})

    def decide(self, exception_id: str, action: str, comment: str = "") -> ObjectAnswer:
        """Accept, reject or comment on an exception."""
        return self._post(f"/v1/exceptions/{quote(exception_id, safe='')}", {"action": action, "comment": comment})

    def comment_break(self, break_id: int, comment: str) -> ObjectAnswer:
        """Note what a person says of a break."""
        return self._post(f"/v1/breaks/{break_id}", {"comment": comment})

    # -- how ---------------------------------------------------------------------------------------------------

    def _rows(self, path: str, **query: Any) -> RowsAnswer:
        return self._ask_rows(rows_exchange(self._get(path, query), self.renews_token))

    def _object(self, path: str, **query: Any) -> ObjectAnswer:
        return self._ask(exchange(self._get(path, query), self.renews_token))

    def _post(self, path: str, body: object) -> ObjectAnswer:
        return self._ask(exchange(Call("POST", path, {}, encode_json(body)), self.renews_token))

    def _get(self, path: str, query: Mapping[str, Any]) -> Call:
        asked = {name: _text(value) for name, value in query.items() if value is not None and value is not False}
        if query.get("flat") is False:
            asked["flat"] = "false"
        return Call("GET", path, asked, None, self.read_retry_s)


def _text(value: object) -> str:
    return "true" if value is True else str(value)
