"""Closes over HTTP: positions as a day closed them, out; official closing prices, in."""

from typing import NamedTuple

from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.records.closes import APPLIED, DUPLICATE, REJECTED, ClosedPosition, CloseHeader, CloseOutcome
from riskengine.records.decode import open_items
from riskengine.records.fields import Rejected, to_text
from riskengine.records.reference import Reference
from riskengine.records.reference_input import CloseInput, check_close
from riskengine.records.types import CASH_DECIMALS, CASH_ONE, MULTIPLIER_DECIMALS, ONE, Close, Refusal
from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer, posted_answer
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.answers.shapes import OF_CLOSED_DEALER, OF_CLOSED_NODE, names
from riskengine.serve.answers.turns import decode_items, map_in_turns
from riskengine.serve.routes.positions import owner_asked
from riskengine.serve.routes.trades import read_body
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import dealer_number, node_number

CLOSE_OUTCOMES = (APPLIED, DUPLICATE, REJECTED)

QUANTITY_ONE = ONE * 10**MULTIPLIER_DECIMALS


# -- out -----------------------------------------------------------------------------------------------------------


async def answer_closes(question: Question) -> Response:
    """Positions at the close of a date (without one: the newest), of the leaves below a node (without one: all) or of a dealer.

    Of the newest version. Raises UnknownName, Forbidden, HttpProblem, StoreError.
    """
    snapshot, values, date = question.snapshot, question.values, question.values["date"]
    node, dealer = owner_asked(question)
    hierarchy = snapshot.reference.hierarchy
    owners: list[str] | None
    if dealer is not None:
        dealer_number(snapshot, dealer)
        key, fields, owners = "dealer", OF_CLOSED_DEALER, [dealer]
    else:
        check_node(question.grants, hierarchy, node)
        key, fields = "node", OF_CLOSED_NODE
        owners = None if node is None else hierarchy.leaves_below(node_number(snapshot, node))
    found = await question.gateway.struck_close(date, key, owners)
    if found is None:
        raise HttpProblem(404, f"no close of {date} is struck" if date else "no close is struck yet")
    header, positions = found
    row_of = ClosedRows(header, snapshot.reference, key, question.exact)
    first, end = values["offset"], values["offset"] + values["limit"]
    told = {"date": header.date, "version": header.version, "ts": header.ts, "struck_ts": header.struck_ts}
    top = next(iter(hierarchy.names), None)
    told |= {"node": (top if node is None else node) if dealer is None else None, "dealer": dealer}
    answer = ListAnswer(question.valued_header() | told, names(fields), positions[first:end], row_of.row, len(positions))
    return list_answer(question, answer)


class ClosedRows(NamedTuple):
    """Makes the rows of one close."""

    header: CloseHeader
    reference: Reference
    key: str
    exact: bool

    def row(self, position: ClosedPosition) -> RowDict:
        """The row of a position: unknown without a rate, and open ones without a price."""
        header = self.header
        instrument = self.reference.by_symbol.get(position.instrument)
        price = header.prices.get(position.instrument)
        rate = None if instrument is None else header.rates.get(instrument.currency)
        total = None
        if instrument is not None and rate is not None and (price is not None or not position.quantity):
            value = 0.0 if price is None else position.quantity * instrument.contract_multiplier / QUANTITY_ONE * price.price
            total = (position.cash / CASH_ONE + value) * rate + 0.0
        row = {
            "date": header.date,
            "version": header.version,
            self.key: position.owner,
            "instrument": position.instrument,
            "quantity": position.quantity / ONE,
            "net_cash": position.cash / CASH_ONE,
            "average_price": position.average if position.quantity else None,
            "price": None if price is None else price.price,
            "rate": rate,
            "total_pnl": total,
            "official": None if price is None else price.official,
        }
        if not self.exact:
            return row
        sums = {"quantity": to_text(position.quantity), "net_cash": to_text(position.cash, CASH_DECIMALS)}
        return decimal_texts(row) | sums


# -- in ------------------------------------------------------------------------------------------------------------


async def take_closes(question: Question) -> Response:
    """Store official closes; the answer has the outcome of each, in their order. Raises StoreError, EngineNotLive.

    A close of a day that is struck supersedes it within a moment.
    """
    gateway = question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    items = await decode_items(open_items(await read_body(question), CloseInput))
    reference, units = gateway.history.newest.reference, gateway.config.price_units

    def checked(numbered: tuple[int, CloseInput | Refusal]) -> Close | Refusal:
        index, item = numbered
        if isinstance(item, Refusal):
            return item
        try:
            return check_close(item, reference.by_symbol, units)
        except Rejected as error:
            return Refusal(index, error.field, error.reason)

    judged = await map_in_turns(checked, enumerate(items))
    closes = [each for each in judged if not isinstance(each, Refusal)]
    outcomes = iter(await gateway.save_closes(closes, question.principal.name) if closes else ())
    refusals = [each for each in judged if isinstance(each, Refusal)]
    results = []
    for item, each in zip(items, judged, strict=True):
        outcome = CloseOutcome(REJECTED, each.text) if isinstance(each, Refusal) else next(outcomes)
        results.append({"date": getattr(item, "date", None), "instrument": getattr(item, "instrument", None)} | outcome._asdict())
    return posted_answer(gateway.history.newest, CLOSE_OUTCOMES, results, refusals)
