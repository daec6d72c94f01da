"""The commands that start from the store: `serve`, and `rebuild`, which is the morning start without serving.

On a terminal `serve` draws a progress bar while it loads, then prints a summary page.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import click
import uvloop

from riskengine import __version__
from riskengine.cli.state_text import print_state, tree_lines
from riskengine.cli.streams import complain, say, say_if_possible
from riskengine.cli.terminal import config_option, effective_config, json_option, store_option
from riskengine.cli.token import check_access
from riskengine.clock import Clock, SystemClock, utc_text
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.intake.recall import Recall
from riskengine.observe import before_each_line, configure_logging, get_logger, write_beside_log
from riskengine.printable import printable
from riskengine.process.lifetime import Companion, bind, run_server
from riskengine.process.process import EngineProcess
from riskengine.rebuild.as_of import PastDay
from riskengine.rebuild.equal_states import state_differences
from riskengine.rebuild.from_close import NONE_YET, FromClose
from riskengine.rebuild.load import compare_here
from riskengine.rebuild.rebuild import NO_LISTENER, Listener, rebuild
from riskengine.records.fields import Rejected, timestamp
from riskengine.snapshot.compare import Break, compare, hierarchy_breaks, side_of
from riskengine.snapshot.mismatch import Mismatch, disagreements, first_few, mismatches_of
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from riskengine.store.witness import Witness

SWITCH_S = 0.000_5
"""How long one thread may hold the interpreter while others wait. A trade changes threads a dozen times before it is answered."""

COMPARE_TIMES = 3
"""How often the start from the last close is compared with the replay of everything while somebody writes."""

log = get_logger("riskengine.start")

BAR_CELLS = 24

SHOWN_DAYS = 5
"""Dates that the page names of closes made up at the start."""
BAR_EVERY_S = 0.1


# -- serve -------------------------------------------------------------------------------------------------------


@click.command()
@config_option
@store_option
@click.option("--host", metavar="ADDRESS", help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind; 0 takes a free one.")
@click.option("--accept-mismatch", is_flag=True, help="Go live although engine and store disagree; every screen says so.")
@click.option("--reason", default="", metavar="TEXT", help="Why the mismatch is accepted; the audit trail keeps it.")
@click.option("--tokens", metavar="FILE", help="Access tokens (riskengine token); without them this machine only.")
def serve(
    config_path: str | None,
    store: str | None,
    host: str | None,
    port: int | None,
    accept_mismatch: bool,
    reason: str,
    tokens: str | None,
) -> None:
    """Run the engine: morning start, then live, until a signal."""
    config = effective_config(config_path, store, host, port, tokens)
    configure_logging(config.log.format, config.log.level)
    sys.exit(run_engine(config, print_url, accept_mismatch=accept_mismatch, reason=reason.strip(), beside=show_start))


def run_engine(
    config: Config,
    announce: Callable[[str], None],
    *,
    accept_mismatch: bool = False,
    reason: str = "",
    feed: Companion | None = None,
    beside: Companion | None = None,
    clock: Clock | None = None,
) -> int:
    """Serve until a signal; return the exit status. Takes port and store first, so that a refusal comes before anything runs.

    `clock` is the engine's, that of the machine if None.
    """
    check_access(config)
    with bind(config.server.host, config.server.port) as listener:
        process = EngineProcess(config, clock, accept_mismatch=accept_mismatch, reason=reason)
        process.open()
        sys.setswitchinterval(SWITCH_S)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run_server(process, config, listener, announce=announce, feed=feed, beside=beside))


def print_url(url: str) -> None:
    """Print on stdout where the engine answers. It runs all the same where stdout is closed or full: the log says where, too."""
    log.info("listening", url=url)
    say_if_possible(f"riskengine {__version__} at {url}")


# -- progress and summary of the start ----------------------------------------------------------------------------------


async def show_start(process: EngineProcess) -> None:
    """Draw a progress bar on a terminal, then print the summary there or in a console log."""
    with suppress(OSError):  # the terminal is gone
        if sys.stderr.isatty():
            await _show_bar(process)
        await process.morning.complete.wait()
        if sys.stderr.isatty() or process.config.log.format == "console":
            write_beside_log("".join(f"{printable(line)}\n" for line in summary_page(process.morning.account())))


async def _show_bar(process: EngineProcess) -> None:
    bar = Bar()
    with before_each_line(bar.hide):
        try:
            while not process.is_live:
                bar.draw(bar_text(process.starting()))
                await asyncio.sleep(BAR_EVERY_S)
        finally:
            bar.hide()


class Bar:
    """One line at the foot of the terminal; `hide` frees the line for other output."""

    def __init__(self) -> None:
        self._drawn = False

    def draw(self, text: str) -> None:
        """Replace the line by `text`."""
        width = shutil.get_terminal_size().columns
        write_beside_log(f"\r\x1b[K{text[: width - 1]}")
        self._drawn = True

    def hide(self) -> None:
        """Clear the line."""
        if self._drawn:
            self._drawn = False
            write_beside_log("\r\x1b[K")


def bar_text(view: Mapping[str, Any]) -> str:
    """`loading [######------] 48 %  4 s left, replay, 480,000 of 1,000,000 trades`."""
    share = view["progress"]
    filled = int(share * BAR_CELLS)
    parts = [] if view["remaining_s"] is None else [f"{view['remaining_s']:.0f} s left"]
    parts.append(view["phase"] or "starting")
    if view["trades_total"] is not None and view["phase"] == "replay":
        parts.append(f"{view['trades_loaded']:,} of {view['trades_total']:,} trades")
    return f"loading [{'#' * filled}{'-' * (BAR_CELLS - filled)}] {share * 100:.0f} %  {', '.join(parts)}"


def summary_page(account: Mapping[str, Any]) -> list[str]:
    """The start on one page: what it loaded, the resulting tree, how long each phase took."""
    counts, nodes = account["counts"], account["nodes"]
    lines = [
        f"live  epoch {account['epoch']}, watermark {account['watermark']:,}, {account['store']}",
        f"trades loaded {account['trades_loaded']:,}: "
        + ", ".join(f"{what} {count:,}" for what, count in counts.items())
        + _exception(account["unreadable"], "rows cannot be read as trades")
        + _exception(account["unjudged"], "not compared with a mark of their time"),
        f"opening balances {account['openings']:,}"
        + _exception(account["openings_left_out"], "left out: unknown desk or instrument"),
    ]
    if account["closed"]:
        lines.append(f"last close {account['closed']}{_made_up(account['made_up'])}")
    if account["from_close"] is not None:
        lines.append(
            f"went on from the close of {account['from_close']}: {account['rows_behind']:,} rows behind it"
            f" {'are being' if account['compared'] is None else 'were'} compared with the store"
        )
    elif account["from_close_refused"] not in (None, NONE_YET):
        lines.append(f"replayed everything, not from the state of the last close: {account['from_close_refused']}")
    if account["compared"] is not None:
        lines.append(f"compared with the store: {account['compared']:,} positions")
    lines += [f"MISMATCH, accepted: {mismatch['text']}" for mismatch in account["mismatches"]]
    lines += tree_lines(nodes)
    if account["nodes_below"]:
        lines.append(f"... and {account['nodes_below']:,} nodes below")
    lines.append(person_line(account["needs_a_person"]))
    lines.append(f"digest {account['digest']}")
    times = [f"{phase['phase']} {phase['seconds']:.2f}" for phase in account["phases"] if phase["seconds"] is not None]
    return [*lines, f"{account['seconds']:.2f} s: {', '.join(times)}"]


def person_line(work: Mapping[str, Any]) -> str:
    """What waits for somebody, and how to see it: `needs a person: conflict 1, late 3, breaks unknown (riskengine ..)`."""
    counts = {**work["exceptions"], "open breaks": work["breaks"], "positions unpriced": work["unpriced"]}
    told = [f"{what} {'unknown' if count is None else f'{count:,}'}" for what, count in counts.items() if count != 0]
    if not told:
        return "nothing needs a person"
    return f"needs a person: {', '.join(told)} (riskengine exceptions; GET /v1/breaks)"


def _exception(count: int, what: str) -> str:
    return f" ({count:,} {what})" if count else ""


def _made_up(dates: Sequence[str]) -> str:
    """The closes that this start has struck, because no engine ran when their days ended."""
    if not dates:
        return ""
    named = ", ".join(dates[:SHOWN_DAYS]) + (f" and {len(dates) - SHOWN_DAYS:,} more" if len(dates) > SHOWN_DAYS else "")
    return f"; made up at this start, no engine ran when the day ended: {named}"


# -- rebuild -----------------------------------------------------------------------------------------------------


def past_moment(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """A past time as microseconds since the epoch. Raises BadParameter."""
    if value is None:
        return None
    try:
        ts = timestamp(value, "as-of")
    except Rejected as rejected:
        raise click.BadParameter(f"{rejected.reason} (microseconds since 1970, or 2026-03-04T17:00:00Z)") from None
    if ts > SystemClock().now():
        raise click.BadParameter(f"{utc_text(ts)} lies in the future")
    return ts


@click.command(name="rebuild")
@store_option
@config_option
@json_option
@click.option("--as-of", "as_of", metavar="TS", callback=past_moment, help="The state at a past time: microseconds or RFC 3339.")
@click.option(
    "--full", is_flag=True, help="Run every check: the store's own sums, the start from the last close, the audit trail."
)
def rebuild_command(store: str | None, config_path: str | None, as_json: bool, as_of: int | None, full: bool) -> None:
    """Run the morning start without serving: replay the store, check every invariant, print the state."""
    config = effective_config(config_path, store)
    opened = open_store(config.store.url, create=False, read_only=True)
    try:
        engine = rebuild_engine(opened, config, as_of)
        found = check_engine(engine) or (check_store(opened, config, engine, as_of) if full else [])
        from_close = None
        if full and as_of is None and not found:
            from_close, found = check_from_close(opened, config)
    finally:
        opened.close()
    for mismatch in found:
        complain(f"{mismatch.kind}: {mismatch.text}")
    if found:
        sys.exit(1)
    print_state(engine, as_json, as_of=as_of)
    if full and not as_json:
        say("every check passed: invariants, the store's own sums, the tree, the witness, the audit trail")
        if from_close is not None:
            say(from_close)


def rebuild_engine(store: Store, config: Config, as_of: int | None, listener: Listener = NO_LISTENER) -> Engine:
    """The engine that a start would build, now or as of `as_of`. Raises StoreError, ReferenceDataError."""
    if as_of is None:
        conflicts, now = read_conflicts(store, MAX_NOTICES), SystemClock().now()
        return rebuild(store, read_trades(store), config, epoch=0, now=now, read_conflicts=conflicts, listener=listener)
    past = PastDay(store, config, as_of)
    return rebuild(past, past.read_trades, config, epoch=0, now=as_of, read_conflicts=past.read_conflicts)


def check_engine(engine: Engine) -> list[Mismatch]:
    """The first broken invariant of the engine, and disagreements inside its snapshot."""
    try:
        engine.check()
    except AssertionError as error:
        return [Mismatch("integrity", str(error))]
    return disagreements(engine.snapshot)


def check_store(store: Store, config: Config, engine: Engine, as_of: int | None) -> list[Mismatch]:
    """What the store's own sums, the witness and the audit trail find wrong. Raises StoreError."""
    breaks = breaks_with_store(store, config, engine, as_of)
    if breaks:  # others may write meanwhile: a break is a difference found twice
        again = {each.key: each for each in breaks_with_store(store, config, rebuild_engine(store, config, as_of), as_of)}
        breaks = [again[each.key] for each in breaks if each.key in again]
    found = mismatches_of(breaks)
    witness = Witness(config.store, store, SystemClock())
    if (back := witness.check()) is not None:
        found.append(Mismatch("restored", back))
    report = store.verify_audit(witness.audit_hash)
    if report.findings:
        found.append(Mismatch("audit", f"{len(report.findings):,} findings: {first_few(list(map(str, report.findings)))}"))
    return found


def check_from_close(store: Store, config: Config) -> tuple[str, list[Mismatch]]:
    """What a start from the state of the last close would show otherwise than the replay of everything. Raises StoreError.

    Returns a line for a person, too. Tries again if somebody writes meanwhile.
    """
    conflicts = read_conflicts(store, MAX_NOTICES)
    for _ in range(COMPARE_TIMES):
        now, start = SystemClock().now(), FromClose(store, config)
        replay = partial(rebuild, store, read_trades(store), config, epoch=0, now=now, read_conflicts=conflicts)
        resumed = replay(resume=start, past=partial(Recall, store))
        if start.state is None:
            return f"a start would replay everything, not go on from the state of a close: {start.refused}", []
        differences = state_differences(replay().snapshot, resumed.snapshot)
        if not differences:
            return f"a start from the close of {start.state.date} equals the replay of everything, bit for bit", []
    text = f"a start from the last close differs from the replay of everything: {first_few(differences)}"
    return "", [Mismatch("from_close", text)]


def breaks_with_store(store: Store, config: Config, engine: Engine, as_of: int | None) -> list[Break]:
    """Where the engine differs from the store's own sums, or its tree from itself. Raises StoreError."""
    snapshot = engine.snapshot
    if as_of is None:
        return compare_here(store, config, snapshot).breaks
    return [*compare(side_of(snapshot), PastDay(store, config, as_of).side()), *hierarchy_breaks(snapshot)]
