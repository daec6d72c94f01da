"""`riskengine reconcile`: compares a running engine with the store, or with an outside statement.

This process reads both sides itself: the engine's holdings over HTTP, the store's from its rows. It never takes the engine's word
that they agree.
"""

import sys
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request

import click
import orjson

from riskengine.cli.layout_options import foreign_options, layout_options
from riskengine.cli.streams import complain, say, say_json
from riskengine.cli.terminal import (
    STATUS_OF_LOST_OUTPUT,
    config_option,
    effective_config,
    json_option,
    mapping_options,
    store_option,
)
from riskengine.clock import SystemClock
from riskengine.config import Config
from riskengine.engine_access import engine_opener
from riskengine.errors import EngineUnreachable, InputError, RiskEngineError
from riskengine.files.columns import ColumnOptions
from riskengine.files.lines import display_name
from riskengine.reconciliation.statement import against_statement, parse_tolerances, unreachable_error
from riskengine.reconciliation.store_sums import store_side
from riskengine.records.fields import excerpt
from riskengine.records.types import Key
from riskengine.snapshot.compare import AVERAGE, FEES, ORDER, UNKNOWN_NAME, Break, compare, found_rows, tree_breaks
from riskengine.snapshot.holdings import Holdings, read_holdings
from riskengine.snapshot.rows import RowDict
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store

DEFAULT_ENGINE = "http://127.0.0.1:8321"
TIMEOUT_S = 120
LOOK_AGAIN_S = 1.0
"""Seconds between the two comparisons: time for a trade in flight to reach the other side."""

SHOWN_BREAKS = 50
SHOWN_REFUSALS = 10
COULD_NOT_COMPARE = 2


class ReconcileResult(NamedTuple):
    """The breaks by key, how many positions were compared, and the header of the engine's answer."""

    breaks: Mapping[Key, Break]
    compared: int
    header: Mapping[str, Any]


@click.command(name="reconcile")
@click.option("--engine", default=DEFAULT_ENGINE, show_default=True, metavar="URL", help="The running engine.")
@store_option
@config_option
@click.option("--against", metavar="FILE", help="Compare with an outside statement instead of the store.")
@click.option(
    "--tolerance",
    default="",
    metavar="NAME=NUMBER,...",
    help="Differences to let pass in a statement: quantity, net_cash, average_price.",
)
@click.option("--repair", is_flag=True, help="Make the engine take the store's values where they differ.")
@json_option
@mapping_options
@layout_options
def reconcile_command(
    engine: str,
    store: str | None,
    config_path: str | None,
    against: str | None,
    tolerance: str,
    repair: bool,
    as_json: bool,
    **mapping: Any,
) -> None:
    """Compare the running engine's positions with the store's trades, or with an outside statement."""
    click.get_current_context().meta[STATUS_OF_LOST_OUTPUT] = COULD_NOT_COMPARE
    try:
        if against is not None:
            if repair:
                raise InputError("--repair takes the store's values; it cannot be combined with --against")
            report = _against(engine, against, foreign_options("statement", mapping), tolerance)
        elif tolerance:
            raise InputError("--tolerance is for statements; use it with --against")
        else:
            report = _with_store(engine, effective_config(config_path, store), repair=repair)
    except RiskEngineError as error:
        complain(f"could not compare: {error}")
        sys.exit(COULD_NOT_COMPARE)
    if as_json:
        say_json(report)
    else:
        _print(report)
    sys.exit(0 if report["clean"] or report.get("repaired") else 1)


# -- against a statement -----------------------------------------------------------------------------------------


def _against(engine: str, path: str, options: ColumnOptions, tolerance: str) -> RowDict:
    found = against_statement(engine, path, options, parse_tolerances(tolerance))
    for refusal in found.refused[:SHOWN_REFUSALS]:
        say(f"{display_name(path)}:{refusal.index}: {refusal.field}: {refusal.reason}", err=True)
    if found.refused:
        raise InputError(f"{display_name(path)}: {len(found.refused)} lines cannot be read")
    return {
        "clean": not found.breaks,
        "against": display_name(path),
        "compared": found.compared,
        "epoch": found.epoch,
        "seq": found.seq,
        "watermark": found.watermark,
        "breaks": list(found.breaks),
    }


# -- against the store -------------------------------------------------------------------------------------------


def _with_store(engine: str, config: Config, *, repair: bool) -> RowDict:
    opened = open_store(config.store.url, create=False, read_only=True)
    try:
        started = SystemClock().now()
        found = _confirmed_breaks(engine, opened, config)
        report = {
            "clean": not found.breaks,
            "against": "store",
            "compared": found.compared,
            "epoch": found.header["epoch"],
            "seq": found.header["seq"],
            "watermark": found.header["watermark"],
            "started_ts": started,
            "breaks": [row for each in found.breaks.values() for row in found_rows(each)],
        }
        if repair and found.breaks:
            _ask_for_repair(engine)
            left = _confirmed_breaks(engine, opened, config).breaks
            for row in report["breaks"]:
                row["repaired"] = (row["rollup"], row[row["rollup"]], row["instrument"] or "") not in left
            report["repaired"] = not left
        return report | {"took_ms": (SystemClock().now() - started) // 1_000}
    finally:
        opened.close()


def _confirmed_breaks(engine: str, store: Store, config: Config) -> ReconcileResult:
    """Breaks found twice with the same difference, so that a trade in flight is not reported."""
    first = _compare_once(engine, store, config)
    if not first.breaks:
        return first
    time.sleep(LOOK_AGAIN_S)
    again = _compare_once(engine, store, config)
    kept = {
        key: each for key, each in again.breaks.items() if key in first.breaks and first.breaks[key].difference == each.difference
    }
    return again._replace(breaks=kept)


def _compare_once(engine: str, store: Store, config: Config) -> ReconcileResult:
    here = _holdings(engine)
    ours, theirs = store.state(watermark=2**62).store_id, here.header.get("store_id")
    if theirs is not None and theirs != ours:
        raise InputError(f"the engine at {engine} serves another store than {store.name}")
    day = here.header.get("current_day", "")
    there = store_side(store, config, here.header["watermark"], day, here.header.get("actions_day", day))
    held, stored = here.side(), there.side()
    breaks = {each.key: each for each in compare(held, stored)}
    for each in (*here.hierarchy_breaks(), *tree_breaks(here.parents, there.parents)):
        breaks.setdefault(each.key, each)
    return ReconcileResult(breaks, len(held.keys() | stored.keys()), here.header)


def _holdings(engine: str) -> Holdings:
    try:
        with engine_opener().open(f"{engine.rstrip('/')}/v1/holdings", timeout=TIMEOUT_S) as answer:
            return read_holdings(answer)
    except HTTPError as error:
        with error:
            raise EngineUnreachable(f"{engine}: the engine answered HTTP {error.code}") from None
    except (OSError, ValueError, HTTPException) as error:
        raise unreachable_error(engine, error) from None


def _ask_for_repair(engine: str) -> None:
    body = orjson.dumps({"repair": True})
    try:
        request = Request(f"{engine.rstrip('/')}/v1/reconcile", body, {"Content-Type": "application/json"})  # noqa: S310
        with engine_opener().open(request, timeout=TIMEOUT_S) as answer:
            answer.read()
    except (OSError, ValueError) as error:
        raise EngineUnreachable(f"{engine}: the engine did not repair: {error}") from None


# -- output ---------------------------------------------------------------------------------------------


def _print(report: RowDict) -> None:
    breaks = report["breaks"]
    for each in breaks[:SHOWN_BREAKS]:
        owner = each.get("node") or each.get("dealer") or '""'
        outcome = "" if "repaired" not in each else "  repaired" if each["repaired"] else "  NOT repaired"
        here = "" if each["kind"] == UNKNOWN_NAME else f"here {_short(each, 'here')}  "
        say(
            f"{each['kind']:<14}{each['rollup']} {owner}  {each['instrument'] or ''}  "
            f"{here}there {_short(each, 'there')}{outcome}{_unknown_names(each)}"
        )
    if len(breaks) > SHOWN_BREAKS:
        say(f"... and {len(breaks) - SHOWN_BREAKS:,} more")
    if any(each["kind"] == ORDER for each in breaks):
        say("order: the same trades and amounts, other columns; `riskengine audit verify` lists the rows that were edited")
    if any(each["kind"] == UNKNOWN_NAME for each in breaks):
        say("unknown_name: the engine does not know the name; load it, or give their name ours by --alias FILE (theirs,ours)")
    summary = "no breaks" if not breaks else f"{len(breaks):,} break{'s' * (len(breaks) > 1)}"
    summary += ", repaired" if report.get("repaired") else ""
    say(f"{summary}, {report['compared']:,} positions compared against {report['against']}, watermark {report['watermark']}")


def _short(found: RowDict, which: str) -> str:
    """What one side of a break holds, in a few words: what its kind is about."""
    side = found[which]
    if side is None:
        return "nothing"
    if found["kind"] == FEES:
        return "fees " + (", ".join(f"{units} {currency}" for currency, units in side["fees"].items()) or "0")
    if found["kind"] == AVERAGE:
        return f"average {side['average_price']} of {side['quantity']}"
    return side["quantity"] if side["net_cash"] is None else f"{side['quantity']} (cash {side['net_cash']})"


def _unknown_names(found: RowDict) -> str:
    """Which names of a break the engine does not know, and what comes near."""
    told = []
    for each in found.get("unknown", ()):
        near = f": did you mean {excerpt(each['near'])}?" if each["near"] else ""
        told.append(f"  unknown {each['field']} {excerpt(each['name'])}{near}")
    return "".join(told)
