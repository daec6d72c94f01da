"""The requests of both clients, with and without asyncio: one method for each HTTP route.

Lists are returned as `Rows`, other answers as the decoded object. Every method may raise EngineUnreachable and Problem (see
`riskengine.client.errors`). Numbers are doubles; with `exact=True` they are exact decimal texts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from riskengine.client.exchange import (
    RETRY_S,
    Call,
    Exchange,
    encode_json,
    exchange,
    items_of,
    parts_exchange,
    rows_exchange,
    trades_exchange,
)

RowsAnswer = TypeVar("RowsAnswer")
ObjectAnswer = TypeVar("ObjectAnswer")


class Requests(Generic[RowsAnswer, ObjectAnswer]):
    """The routes. `read_retry_s`: how long reads are retried while the engine cannot answer."""

    read_retry_s: float
    renews_token: bool

    def _ask_rows(self, steps: Exchange) -> RowsAnswer:
        raise AssertionError("Client and AsyncClient implement this")

    def _ask(self, steps: Exchange) -> ObjectAnswer:
        raise AssertionError("Client and AsyncClient implement this")

    # -- reads -------------------------------------------------------------------------------------------------

    def nodes(
        self,
        node: str | None = None,
        *,
        seq: int | None = None,
        as_of: int | str | None = None,
        known: str | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Rows of the tree, parents first. With `node`: that node and its children.

        `as_of` asks for a moment of the past: microseconds (UTC), or RFC 3339. `known="now"` tells what is known now of then; the
        `moment` of the `header` says which recorded instant it is and what could not be restored.
        """
        path = "/v1/nodes" if node is None else f"/v1/nodes/{quote(node, safe='')}"
        return self._rows(path, seq=seq, as_of=as_of, known=known, exact=exact)

    def ladder(
        self,
        *,
        node: str | None = None,
        dealer: str | None = None,
        flat: bool = True,
        sort: str | None = None,
        seq: int | None = None,
        as_of: int | str | None = None,
        known: str | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Positions of a node (default: the root) or a dealer, summed by instrument. `flat=False` omits flat positions."""
        return self._rows(
            "/v1/ladder",
            node=node,
            dealer=dealer,
            flat=None if flat else False,
            sort=sort,
            seq=seq,
            as_of=as_of,
            known=known,
            exact=exact,
        )

    def groups(
        self,
        by: str = "counterparty",
        *,
        node: str | None = None,
        dealer: str | None = None,
        instrument: str | None = None,
        sort: str | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """What each counterparty or strategy has of every line of a ladder; with the rows `rest` they add up to the lines.

        The `header` has the row of the node or dealer in the same snapshot as `whole`. Problem 429: the stored trades are still
        being read, ask again.
        """
        return self._rows("/v1/groups", by=by, node=node, dealer=dealer, instrument=instrument, sort=sort, seq=seq, exact=exact)

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
        as_of: int | str | None = None,
        known: str | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Positions of the leaves below a node, or of a dealer. `sort="-unrealised_pnl"` puts the largest first."""
        return self._rows(
            "/v1/positions",
            node=node,
            dealer=dealer,
            instrument=instrument,
            sort=sort,
            limit=limit,
            offset=offset,
            seq=seq,
            as_of=as_of,
            known=known,
            exact=exact,
        )

    def dealers(
        self,
        *,
        sort: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        seq: int | None = None,
        as_of: int | str | None = None,
        known: str | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """One row for each dealer with positions."""
        return self._rows("/v1/dealers", sort=sort, limit=limit, offset=offset, seq=seq, as_of=as_of, known=known, exact=exact)

    def marks(
        self,
        *,
        sort: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """The marks, with source and age, by instrument."""
        return self._rows("/v1/marks", sort=sort, limit=limit, offset=offset, seq=seq, exact=exact)

    def trades(
        self,
        *,
        node: str | None = None,
        instrument: str | None = None,
        dealer: str | None = None,
        since: int | str | None = None,
        versions: str | None = None,
        counterparty: str | None = None,
        account: str | None = None,
        broker: str | None = None,
        order_id: str | None = None,
        strategy: str | None = None,
        limit: int | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Trades, newest first. `versions="all"` adds amended versions. `since` is in microseconds (UTC), or RFC 3339.

        An empty attribute (`broker=""`) is that of trades without one.
        """
        return self._rows(
            "/v1/trades",
            node=node,
            instrument=instrument,
            dealer=dealer,
            since=since,
            versions=versions,
            counterparty=counterparty,
            account=account,
            broker=broker,
            order_id=order_id,
            strategy=strategy,
            limit=limit,
            seq=seq,
            exact=exact,
        )

    def closes(
        self,
        date: str | None = None,
        *,
        node: str | None = None,
        dealer: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Positions as a trading day closed them (default: the newest), below a node or of a dealer, in its newest version."""
        return self._rows("/v1/closes", date=date, node=node, dealer=dealer, limit=limit, offset=offset, exact=exact)

    def exposure(
        self,
        by: str = "currency",
        *,
        node: str | None = None,
        dealer: str | None = None,
        sort: str | None = None,
        seq: int | None = None,
        as_of: int | str | None = None,
        known: str | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Exposure of a node (default: the root) or a dealer by currency, sector, instrument or kind.

        The figures beside the rows, such as `shorthand`, are in the `header`.
        """
        return self._rows(
            "/v1/exposure", by=by, node=node, dealer=dealer, sort=sort, seq=seq, as_of=as_of, known=known, exact=exact
        )

    def risk(
        self,
        *,
        node: str | None = None,
        dealer: str | None = None,
        sort: str | None = None,
        seq: int | None = None,
        as_of: int | str | None = None,
        known: str | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """The options of a node (default: the root) or a dealer with inputs and Greeks, and their hedges.

        The sums beside the rows, `by_underlying`, `by_expiry` and `expiries`, are in the `header`.
        """
        return self._rows("/v1/risk", node=node, dealer=dealer, sort=sort, seq=seq, as_of=as_of, known=known, exact=exact)

    def cash_ladder(
        self, node: str | None = None, currency: str | None = None, *, seq: int | None = None, exact: bool = False
    ) -> RowsAnswer:
        """Cash flows of a node (default: the root) by currency and value date.

        The `header` has the `totals` of the dates, and `awaiting_fixing`: forwards that are in no row before they are fixed.
        """
        return self._rows("/v1/cashladder", node=node, currency=currency, seq=seq, exact=exact)

    def history(
        self,
        node: str | None = None,
        measure: str | None = None,
        *,
        dealer: str | None = None,
        since: int | str | None = None,
        days: int | None = None,
        bucket: int | str | None = None,
        seq: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """The curve of one measure of a node (default: the root) or a dealer, oldest first; the `header` has its `drawdown`.

        `days` is 1, 7, 30 or 365: days before the samples in memory are told by their closes.
        """
        asked = {"node": node, "dealer": dealer, "measure": measure, "since": since, "days": days, "bucket": bucket}
        return self._rows("/v1/history", **asked, seq=seq, exact=exact)

    def today(
        self, kind: str | None = None, *, ahead: int | None = None, seq: int | None = None, exact: bool = False
    ) -> RowsAnswer:
        """What the trading day and the next `ahead` ones (default: 5) bring: value dates, expiries, fixings, holidays and so on.

        The `header` has the `day`, its `day_start_ts` and `day_end_ts`, and the day `closed` before it.
        """
        return self._rows("/v1/today", kind=kind, ahead=ahead, seq=seq, exact=exact)

    def audit(
        self,
        *,
        kind: str | None = None,
        trade: str | None = None,
        node: str | None = None,
        since: int | str | None = None,
        until: int | str | None = None,
        limit: int | None = None,
    ) -> RowsAnswer:
        """Entries of the audit trail, newest first, at most 1,000; `total` is None where there are more. Role `ops`, everything.

        `trade` is `source:trade_id`, `source:trade_id:leg`, or the trade_id alone.
        """
        return self._rows("/v1/audit", kind=kind, trade=trade, node=node, since=since, until=until, limit=limit)

    def status(self) -> ObjectAnswer:
        """State, counts, policies, feeds, warnings."""
        return self._object("/v1/status")

    def digest(self, *, seq: int | None = None) -> ObjectAnswer:
        """SHA-256 over all positions, and its seq."""
        return self._object("/v1/digest", seq=seq)

    def receipt(
        self,
        instrument: str,
        *,
        node: str | None = None,
        dealer: str | None = None,
        as_of: int | str | None = None,
        known: str | None = None,
    ) -> ObjectAnswer:
        """All that reproduces one cell: its trades in order, mark, rate and arithmetic; with `as_of` at a moment of the past."""
        return self._object("/v1/receipt", instrument=instrument, node=node, dealer=dealer, as_of=as_of, known=known)

    def diff(
        self,
        since: int | str,
        until: int | str | None = None,
        *,
        node: str | None = None,
        dealer: str | None = None,
        instrument: str | None = None,
        of: str | None = None,
        field: str | None = None,
        from_known: str | None = None,
        to_known: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Every cell that differs between two moments (default: the newest snapshot), of one list or field where asked.

        `from` and `to` of the `header` say which recorded instants they are.
        """
        return self._rows(
            "/v1/diff",
            **{"from": since},
            to=until,
            node=node,
            dealer=dealer,
            instrument=instrument,
            of=of,
            field=field,
            from_known=from_known,
            to_known=to_known,
            limit=limit,
            offset=offset,
            exact=exact,
        )

    def explain(
        self,
        since: int | str | None = None,
        until: int | str | None = None,
        *,
        node: str | None = None,
        sort: str | None = None,
        exact: bool = False,
    ) -> RowsAnswer:
        """Why the P&L of a node (default: the root) moved from an instant (default: the last close) to another (default: now).

        An instant is a time or the date of a close. A row for each instrument; `header` has the sums (`lines`) and both ends.
        """
        return self._rows("/v1/explain", **{"from": since}, to=until, node=node, sort=sort, exact=exact)

    def breaks(self, *, status: str | None = None) -> ObjectAnswer:
        """The breaks that reconciliation found, and its last report. `status="all"` adds resolved breaks."""
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
        """The exceptions that need a decision, of one kind or of all."""
        return self._rows("/v1/exceptions", kind=kind, sort=sort, limit=limit, offset=offset, seq=seq, exact=exact)

    # -- posts -------------------------------------------------------------------------------------------------

    def post_trades(
        self,
        trades: Iterable[Mapping[str, Any]] | Mapping[str, Any],
        *,
        retry_s: float = RETRY_S,
        raise_on_rejected: bool = True,
    ) -> ObjectAnswer:
        """Post trades, or one as a single dictionary; returns once they are durable, applied and published.

        The answer has `results` in their order, `counts`, `seq`.

        A list larger than one request is split into several, sent in order. If the engine cannot take trades now, or the
        connection breaks, the client sends the same request again for `retry_s` seconds. This is safe: a trade has an identity,
        and the engine answers one that it has already stored with `duplicate`. Amounts as `decimal.Decimal` or text stay exact.

        Raises TradesRejected if the engine refused one, once it has taken the others; with `raise_on_rejected=False` only the
        answer says so.
        """
        steps = trades_exchange(items_of(trades), retry_s, self.renews_token, raise_on_rejected=raise_on_rejected)
        return self._ask(steps)

    def post_ticks(self, ticks: Iterable[Mapping[str, Any]] | Mapping[str, Any], *, retry_s: float = RETRY_S) -> ObjectAnswer:
        """Post prices, or one; returns `accepted` and the refusals. Retried like trades: an old price never replaces a newer."""
        return self._ask(parts_exchange("/v1/ticks", items_of(ticks), retry_s, self.renews_token))

    def post_vols(self, vols: Iterable[Mapping[str, Any]] | Mapping[str, Any], *, retry_s: float = RETRY_S) -> ObjectAnswer:
        """Post vols of options (`instrument, ts, vol`) or surfaces (`pair, expiry, ts, atm, ..`), fractions: 0.0825 is 8.25 %.

        Returns `accepted`, `older` (a newer one is in force), `refused` and the reasons. Retried like ticks.
        """
        return self._ask(parts_exchange("/v1/vols", items_of(vols), retry_s, self.renews_token))

    def post_rates(self, rates: Iterable[Mapping[str, Any]] | Mapping[str, Any], *, retry_s: float = RETRY_S) -> ObjectAnswer:
        """Post rates or discount factors of a currency, yields of an underlying, points of a pair, by date; as `post_vols`."""
        return self._ask(parts_exchange("/v1/rates", items_of(rates), retry_s, self.renews_token))

    def post_greeks(self, rows: Iterable[Mapping[str, Any]] | Mapping[str, Any], *, retry_s: float = RETRY_S) -> ObjectAnswer:
        """Post value and Greeks of options whose column `greeks` says `pushed`; as `post_vols`."""
        return self._ask(parts_exchange("/v1/greeks", items_of(rows), retry_s, self.renews_token))

    def post_cash(self, movements: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> ObjectAnswer:
        """Post external movements of nodes, or one; returns `results` and `counts` once they are durable and published.

        Sending them again is safe: an equal version is answered with `duplicate`.
        """
        return self._post("/v1/cash", list(items_of(movements)))

    def post_carry(self, records: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> ObjectAnswer:
        """Post carry of positions, or one record; as `post_cash`."""
        return self._post("/v1/carry", list(items_of(records)))

    def post_closes(self, closes: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> ObjectAnswer:
        """Post official closing prices, or one; returns `results` and `counts` once they are durable.

        Sending them again is safe: an equal close is answered with `duplicate`.
        """
        return self._post("/v1/closes", list(items_of(closes)))

    def post_marks(self, marks: Iterable[Mapping[str, Any]] | Mapping[str, Any], *, retry_s: float = RETRY_S) -> ObjectAnswer:
        """Set marks by hand, or one; returns `results` and `counts` once they are in force. Sent again, one is a duplicate.

        `expires_ts` says until when a mark holds against the feeds; `{"action": "clear"}` ends it.
        """
        return self._ask(parts_exchange("/v1/marks", items_of(marks), retry_s, self.renews_token))

    def reconcile(self, *, repair: bool = False) -> ObjectAnswer:
        """Compare engine and store now; `repair=True` takes the store's values."""
        return self._post("/v1/reconcile", {"repair": repair})

    def decide(self, exception_id: str, action: str, comment: str = "") -> ObjectAnswer:
        """Accept, reject or comment on an exception."""
        return self._post(f"/v1/exceptions/{quote(exception_id, safe='')}", {"action": action, "comment": comment})

    def comment_break(self, break_id: int, comment: str) -> ObjectAnswer:
        """Add a person's comment to a break."""
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
