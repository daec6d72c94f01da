"""`riskengine audit`: verifies the audit trail against the store, and prints its entries."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import orjson

from riskengine.cli.streams import complain, say, say_json, say_json_text
from riskengine.cli.terminal import (
    STATUS_OF_LOST_OUTPUT,
    Progress,
    config_option,
    effective_config,
    fail,
    json_option,
    store_option,
)
from riskengine.errors import InputError, RiskEngineError
from riskengine.records.audit_kinds import ENTRY_KINDS
from riskengine.records.fields import Rejected, excerpt, timestamp
from riskengine.records.hierarchy import Hierarchy
from riskengine.store.audit_chain import AuditEntry, AuditFilter, AuditReport
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store

MAX_SHOWN = 160
"""Characters of an entry's detail on one line."""

COULD_NOT = 2
"""Exit status when the trail could not be verified."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@click.group(name="audit")
def audit_commands() -> None:
    """The audit trail: every trade, reference change and action, hash-chained in the store."""


@audit_commands.command(name="verify")
@store_option
@config_option
@click.option("--head", metavar="HASH", help="Hash of an entry that you noted elsewhere; it must still be in the trail.")
@json_option
def verify_command(store: str | None, config_path: str | None, head: str | None, as_json: bool) -> None:
    """Walk the whole trail and compare every row. Exit 0: nothing found; 1: findings; 2: could not verify."""
    if head is not None and not (len(head) == 64 and set(head) <= set("0123456789abcdef")):
        raise click.BadParameter(f"{excerpt(head)} is not a hash of 64 hexadecimal digits", param_hint="--head")
    click.get_current_context().meta[STATUS_OF_LOST_OUTPUT] = COULD_NOT
    progress = Progress("audit verify")
    try:
        with _reading(store, config_path) as opened:
            report = opened.verify_audit(head, progress.advance)
    except RiskEngineError as error:
        fail(str(error), COULD_NOT)
    finally:
        progress.close()
    if as_json:
        say_json(_report_json(report))
    else:
        for finding in report.findings:
            say(str(finding))
        say(_summary(report))
    sys.exit(1 if report.findings else 0)


def _report_json(report: AuditReport) -> dict[str, Any]:
    return {
        "clean": not report.findings,
        "entries": report.entries,
        "trades": report.trades,
        "unrecorded": report.unrecorded,
        "head": report.head._asdict(),
        "findings": [finding._asdict() for finding in report.findings],
    }


def _summary(report: AuditReport) -> str:
    count = len(report.findings)
    found = f"{count:,} finding{'s' * (count > 1)}" if count else "nothing found"
    waiting = f"; unrecorded, waiting for an engine: {report.unrecorded:,} rows" if report.unrecorded else ""
    head = f"head {report.head.audit_seq} {report.head.hash}"
    return f"{report.entries:,} entries, {report.trades:,} trade rows: {found}{waiting}; {head}"


@audit_commands.command(name="show")
@store_option
@config_option
@click.option("--trade", metavar="SOURCE:ID[:LEG]", help="Entries about a trade; the id alone is enough.")
@click.option("--node", metavar="NODE", help="Entries about trades below a node, and about the node.")
@click.option("--since", metavar="TS", help="At or after this time: microseconds since 1970, or RFC 3339.")
@click.option("--until", metavar="TS", help="Before this time.")
@click.option("--kind", type=click.Choice(ENTRY_KINDS), metavar="KIND", help=f"One kind: {', '.join(ENTRY_KINDS)}.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many of the newest entries."
)
@json_option
def show_command(
    store: str | None,
    config_path: str | None,
    trade: str | None,
    node: str | None,
    since: str | None,
    until: str | None,
    kind: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print entries of the trail, the newest last."""
    with _reading(store, config_path) as opened:
        wanted = AuditFilter(
            trade=trade,
            node=node,
            desks=() if node is None else _desks(opened, node),
            kind=kind,
            since_ts=_time(since, "--since"),
            until_ts=_time(until, "--until"),
        )
        entries = opened.audit_entries(wanted, limit)
    if as_json:
        say_json_text(_json({"entries": [entry._asdict() | {"detail": _detail(entry)} for entry in entries]}))
        return
    for entry in entries:
        say(_line(entry))
    if not entries:
        complain("no entry matches")


@contextmanager
def _reading(store: str | None, config_path: str | None) -> Iterator[Store]:
    opened = open_store(effective_config(config_path, store).store.url, create=False, read_only=True)
    try:
        yield opened
    finally:
        opened.close()


def _desks(store: Store, node: str) -> list[str]:
    hierarchy = Hierarchy(store.nodes())
    if node not in hierarchy.index:
        raise InputError(f"unknown node {excerpt(node)}")
    return hierarchy.leaves_below(hierarchy.index[node])


def _time(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return timestamp(text, option)
    except Rejected as rejected:
        raise click.BadParameter(rejected.reason, param_hint=option) from None


def _detail(entry: AuditEntry) -> Any:
    try:
        return orjson.loads(entry.detail)
    except (orjson.JSONDecodeError, TypeError):
        return entry.detail


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # somebody put into an entry what JSON cannot say
        return json.dumps(value, default=repr)


def _line(entry: AuditEntry) -> str:
    """One entry as a line: number, time, actor, kind, subject, detail without row hashes."""
    when = (_EPOCH + timedelta(microseconds=entry.ts)).isoformat() if isinstance(entry.ts, int) else repr(entry.ts)
    detail = _detail(entry)
    if isinstance(detail, dict):
        detail = {key: value for key, value in detail.items() if not (entry.row_count and key in ("rows", "salt"))}
        if "records" in detail and len(detail["records"]) > 1:
            detail = {"records": f"{len(detail['records'])}, the first {detail['records'][0]}"}
    detail = _json(detail)
    said = detail if len(detail) <= MAX_SHOWN else detail[: MAX_SHOWN - 3] + "..."
    subject = f" {entry.subject}" if entry.subject else ""
    return f"{entry.audit_seq:>8}  {when}  {entry.actor}  {entry.kind}{subject}  {said}"
