"""What-if over HTTP: trades and shifts in, some nodes before and after out. Nothing is stored, no snapshot changes."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.limits.figures import IntendedTrade
from riskengine.records.decode import TradeInput, convert
from riskengine.records.fields import Rejected, excerpt
from riskengine.records.types import Trade
from riskengine.scenarios.moves import DERIVED, Moves, ShiftError, ShiftInput, moves_of
from riskengine.scenarios.shocks import Shock, library
from riskengine.scenarios.whatif import GridAxes, WhatIf, WhatIfAnswer, work_out
from riskengine.scenarios.workbench import Workbench
from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import Question, json_answer
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.routes.intended import place_intended, valuing
from riskengine.serve.routes.trades import read_body
from riskengine.serve.routes.whatif_bounds import BoundRows, WhatIfBounds
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot, node_number

MAX_NODES = 50
MAX_CELLS = 441
"""21 moves of spot times 21 of vol."""
MAX_SHIFTS = 1_000
SOURCE = "whatif"
SHOCK = "shock"

HIDDEN_DESK = "the token does not show it"


class GridInput(msgspec.Struct, forbid_unknown_fields=True):
    """Moves of spot and vol, and of what: by default everything."""

    spot: list[float] = []
    vol: list[float] = []
    instrument: str = ""
    currency: str = ""
    sector: str | None = None
    all: bool = False


class WhatIfInput(msgspec.Struct, forbid_unknown_fields=True):
    """The body. Trades are judged one by one, by the rules of `POST /v1/trades`."""

    nodes: list[str] = []
    trades: list[dict[str, Any]] = []
    shifts: list[ShiftInput] = []
    shock: str | None = None
    grid: GridInput | None = None
    var: bool = False
    limits: bool = False
    margin: bool = False


_decode = msgspec.json.Decoder(WhatIfInput).decode


async def answer_whatif(question: Question) -> Response:
    """Before and after. Raises HttpProblem (400, with index and field of each fault), UnknownName, Forbidden, TooBusy."""
    if not question.gateway.is_live:
        raise EngineNotLive(f"the engine is {question.gateway.state}")
    body = await read_body(question)
    sent = await asyncio.to_thread(_decoded, body) if len(body) > 10_000 else _decoded(body)
    snapshot = question.snapshot
    numbers = _nodes(question, sent)
    faults: list[RowDict] = []
    trades = _trades(question, sent, faults)
    judgement = question.gateway.judgement(snapshot) if sent.limits else None
    snapshot = valuing(snapshot, trades, question.gateway.spot_dates)
    shock = library().get(sent.shock or "")
    grid = _grid(sent, faults)
    if len(sent.shifts) > MAX_SHIFTS:
        faults.append(_fault(None, "shifts", f"are {len(sent.shifts)}, at most {MAX_SHIFTS}"))
    if faults:
        raise _refused(faults)
    negative = question.gateway.config.scenarios.may_be_negative

    with_whom = [IntendedTrade(each, str(item.get("counterparty", ""))) for each, item in zip(trades, sent.trades, strict=True)]
    bounds = WhatIfBounds.of(question, judgement, numbers, with_margin=sent.margin)

    def work(bench: Workbench) -> tuple[WhatIfAnswer, Moves, list[RowDict], BoundRows]:
        start, unshifted = _shocked(bench, snapshot, shock, numbers)
        if sent.shock and shock is None:
            start = moves_of(snapshot, _loaded(bench, sent.shock), negative)
        moves = moves_of(snapshot, sent.shifts, negative, start)
        with_var = sent.var or bounds.need_var
        found = work_out(WhatIf(snapshot, numbers, tuple(trades), moves, grid, with_var), bench)
        return found, moves, unshifted, bounds.work_out(snapshot, found, with_whom)

    try:
        found, moves, unshifted, bounded = await question.gateway.ask_scenarios(work)
    except ShiftError as error:
        field = error.field if error.field == SHOCK else f"{error.list_name}.{error.field}"
        raise _refused([_fault(error.index, field, error.reason)]) from None
    beside = {
        "trades": len(trades),
        "shock": sent.shock or None,
        "unshifted": unshifted,
        "unvalued": found.unvalued,
        "standing": [{"index": index, "instruments": count} for index, count in moves.standing],
        "grid": found.grid,
        "limits": bounded.limits,
        "margin": bounded.margin,
    }
    return json_answer(question.valued_header() | beside | {"rows": found.rows, "total": len(found.rows)})


def _decoded(body: bytes) -> WhatIfInput:
    """Raises HttpProblem."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        reason, _, place = str(error).partition(" - at `$")
        path = place.strip(".`") or "body"
        place_in_list = re.search(r"\[(\d+)\]", path)
        index = None if place_in_list is None else int(place_in_list[1])
        raise _refused([_fault(index, re.sub(r"\[.*?\]", "", path), f"{reason[:1].lower()}{reason[1:]}")]) from None


def _fault(index: int | None, field: str, reason: str) -> RowDict:
    return {"index": index, "field": field, "reason": reason}


def _refused(faults: list[RowDict]) -> HttpProblem:
    first = faults[0]
    place = "" if first["index"] is None else f"[{first['index']}]"
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return HttpProblem(400, f"{first['field']}{place}: {first['reason']}{more}", errors=faults)


def _nodes(question: Question, sent: WhatIfInput) -> tuple[int, ...]:
    """The numbers of the nodes asked about. Raises UnknownName, Forbidden, HttpProblem."""
    snapshot, hierarchy = question.snapshot, question.snapshot.reference.hierarchy
    if len(sent.nodes) > MAX_NODES:
        raise _refused([_fault(None, "nodes", f"are {len(sent.nodes)}, at most {MAX_NODES}")])
    if not sent.nodes:
        check_node(question.grants, hierarchy, None)
        return (0,) if len(hierarchy) else ()
    for name in sent.nodes:
        check_node(question.grants, hierarchy, name)
    return tuple(dict.fromkeys(node_number(snapshot, name) for name in sent.nodes))


# -- trades ------------------------------------------------------------------------------------------------------------


def _trades(question: Question, sent: WhatIfInput, faults: list[RowDict]) -> list[Trade]:
    """The trades that pass the check; what does not is among the faults."""
    most = question.gateway.config.scenarios.max_trades
    if len(sent.trades) > most:
        faults.append(_fault(None, "trades", f"are {len(sent.trades):,}, at most {most:,} in one what-if"))
        return []
    found = []
    for index, item in enumerate(sent.trades):
        try:
            found.append(_trade(question, index, item))
        except Rejected as error:
            faults.append(_fault(index, f"trades.{error.field}", error.reason))
    return found


def _trade(question: Question, index: int, item: Mapping[str, Any]) -> Trade:
    """One trade as a posted one is checked, in the instrument in whose position it would stand. Raises Rejected."""
    snapshot = question.snapshot
    desk = item.get("desk", "")
    if question.grants.nodes is not None and not question.grants.sees_below(snapshot.reference.hierarchy, str(desk)):
        raise Rejected("desk", HIDDEN_DESK)
    if item.get("action", "new") != "new":
        raise Rejected("action", "must be new: a what-if adds trades")
    plain = {"trade_id": f"{SOURCE}-{index}", "ts": snapshot.as_of, "source": SOURCE}
    trade = question.gateway.check(convert(plain | dict(item), TradeInput), snapshot.as_of, SOURCE)
    reference = snapshot.reference
    if trade.instrument not in reference.instrument_index:
        raise Rejected("instrument", f"is not in force yet: {excerpt(trade.instrument)}")
    if trade.desk not in reference.hierarchy.index:
        raise Rejected("desk", f"is not in force yet: {excerpt(trade.desk)}")
    return place_intended(trade, reference, question.gateway.spot_dates)


# -- shifts ------------------------------------------------------------------------------------------------------------


def _loaded(bench: Workbench, scenario: str) -> list[ShiftInput]:
    """The shifts of a loaded scenario. Raises ShiftError for one that nobody has loaded."""
    shifts = bench.loaded.get(scenario)
    if shifts is None:
        known = (*library(), *sorted(bench.loaded))
        raise ShiftError(None, SHOCK, f"must be one of {', '.join(map(excerpt, known[:20]))}: {excerpt(scenario)}")
    return [
        ShiftInput(
            each.factor, each.instrument, each.currency, each.sector or None, each.everything, each.relative, each.absolute
        )
        for each in shifts
    ]


def _grid(sent: WhatIfInput, faults: list[RowDict]) -> GridAxes | None:
    grid = sent.grid
    if grid is None:
        return None
    spot, vol = tuple(grid.spot) or (0.0,), tuple(grid.vol) or (0.0,)
    if len(spot) * len(vol) > MAX_CELLS:
        faults.append(_fault(None, "grid", f"has {len(spot) * len(vol)} cells, at most {MAX_CELLS}"))
        return None
    is_named = bool(grid.instrument or grid.currency or grid.sector is not None or grid.all)
    scope = ShiftInput("spot", grid.instrument, grid.currency, grid.sector, grid.all or not is_named)
    return GridAxes(spot, vol, scope)


def _shocked(
    bench: Workbench, snapshot: Snapshot, shock: Shock | None, numbers: tuple[int, ...]
) -> tuple[Moves | None, list[RowDict]]:
    """What a shock makes of the prices, and what is held and has no closes in it."""
    if shock is None:
        return None, []
    shifts, start, reference = bench.shock(snapshot, shock), Moves.none(snapshot), snapshot.reference
    held = {n for number in numbers for n in snapshot.nodes.state(number).open_instruments().tolist()}
    options = snapshot.units.options
    drivers = {n for n in held if reference.instruments[n].kind not in DERIVED}
    if options is not None:
        under = dict(zip(options.terms.number.tolist(), options.terms.spot.tolist(), strict=True))
        drivers |= {under[n] for n in held if under.get(n, -1) >= 0}
    if snapshot.forwards is not None:
        pairs = dict(zip(snapshot.forwards.terms.number.tolist(), snapshot.forwards.terms.pair.tolist(), strict=True))
        drivers |= {pairs[n] for n in held if pairs.get(n, -1) >= 0}
    for n in list(drivers):
        path = snapshot.rates.paths[reference.cash_currency[n]]
        drivers |= {hop.instrument for hop in path or ()}
    reason = f"the store lacks a close of {shock.begins} or {shock.ends}"
    names = sorted(reference.symbols[n] for n in drivers if np.isnan(shifts.shift[n]))
    own = np.array([each.kind not in DERIVED for each in reference.instruments], dtype=np.bool_)
    price = np.where(own & snapshot.units.priced, shifts.prices(start.price), start.price)
    return start._replace(price=price), [{"instrument": name, "reason": reason} for name in names]
