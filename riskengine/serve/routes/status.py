"""State of the engine: health, readiness, metrics, status, digest. The first four answer in every state."""

import asyncio

from starlette.responses import Response

from riskengine import __version__
from riskengine.observe import METRICS_CONTENT_TYPE
from riskengine.serve.access.origins import STRANGER
from riskengine.serve.answers.answers import Question, json_answer, policies
from riskengine.serve.answers.problems import not_live
from riskengine.serve.gateway import Gateway
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Counts, Snapshot
from riskengine.valuation.number_pages import UNPRICED
from riskengine.views.grants import Grants


async def answer_health(question: Question) -> Response:
    """Alive: the event loop answers."""
    return json_answer({"status": "alive"})


async def answer_ready(question: Question) -> Response:
    """200 when snapshots may be read, otherwise 503 with the progress of the start."""
    gateway, principal = question.gateway, question.principal
    if not gateway.is_live:
        raise not_live(gateway, principal)
    warnings = visible_warnings(gateway.warnings.rows(), principal.grants) if principal is not STRANGER else []
    return json_answer({"state": gateway.state, "progress": gateway.progress, "warnings": warnings})


async def answer_metrics(question: Question) -> Response:
    """Prometheus text."""
    question.gateway.metrics.tasks.set(len(asyncio.all_tasks()))
    return Response(question.gateway.metrics.render(), media_type=METRICS_CONTENT_TYPE)


async def answer_status(question: Question) -> Response:
    """The whole state in one object; unknown and hidden fields are null."""
    gateway = question.gateway
    snapshot = question.snapshot if gateway.is_live or question.values["seq"] is not None else None
    return json_answer(visible_status(status(gateway, snapshot), question.grants, snapshot))


def status(gateway: Gateway, snapshot: Snapshot | None) -> RowDict:
    """The fields of `/v1/status` (`shapes.STATUS`), and those that the process adds.

    `snapshot` is None until the engine is live.
    """
    now, metrics = gateway.clock.now(), gateway.metrics
    fields: RowDict = {
        "state": gateway.state,
        "progress": gateway.progress,
        "version": __version__,
        "ts": now,
        "epoch": None,
        "seq": None,
        "as_of": None,
        "reporting_currency": gateway.config.engine.reporting_currency,
        "policies": policies(gateway.config),
        "counts": dict.fromkeys(Counts._fields),
        "node_count": None,
        "instrument_count": None,
        "dealer_count": None,
        "position_count": None,
        "unpriced_count": None,
        "quarantined_count": None,
        "watermark": None,
        "last_trade_at": None,
        "last_trade_age_ms": None,
        "clients": int(metrics.value(metrics.clients)),
        "conflated": int(metrics.value(metrics.conflated_snapshots)),
        "evictions": {reason: int(metrics.value(count)) for reason, count in metrics.evictions.items()},
        "feeds": [],
        "publish_age_ms": gateway.publish_age_ms,
        "writer_lag_ms": None,
        "last_beat_ms": None,
        "last_reconciliation": None,
        "journal": None,
        "warnings": gateway.warnings.rows(),
        "start": None,
    }
    if snapshot is not None:
        fields |= _snapshot_fields(snapshot, now)
    return fields | dict(gateway.health())


PUBLIC_FIELDS = (
    "state",
    "progress",
    "version",
    "ts",
    "epoch",
    "seq",
    "as_of",
    "reporting_currency",
    "policies",
    "instrument_count",
    "clients",
    "conflated",
    "evictions",
    "publish_age_ms",
    "writer_lag_ms",
    "last_beat_ms",
    "last_tick_age_ms",
    "journal",
)
"""Fields that reveal nothing of anybody's trades."""

GENERIC_WARNING = "some numbers may be wrong or missing: ask operations"


def visible_status(whole: RowDict, grants: Grants, snapshot: Snapshot | None) -> RowDict:
    """The part of a status that `grants` allow: counts of visible nodes and dealers, null for the whole house. O(nodes shown)."""
    if grants.see_everything:
        return whole
    visible: RowDict = dict.fromkeys(whole) | {name: whole[name] for name in PUBLIC_FIELDS if name in whole}
    visible |= {"counts": dict.fromkeys(whole["counts"]), "feeds": [], "warnings": visible_warnings(whole["warnings"], grants)}
    if snapshot is not None:
        dealers = zip(snapshot.dealer_names, range(snapshot.dealers.size), strict=False)
        visible["node_count"] = len(grants.visible_nodes(snapshot.reference.hierarchy))
        visible["dealer_count"] = sum(
            bool(snapshot.dealers.state(number).position_count) for name, number in dealers if grants.sees_dealer(name)
        )
    return visible


def visible_warnings(rows: list[RowDict], grants: Grants) -> list[RowDict]:
    """The warnings. Without a grant of everything only that there are some: their texts name keys and counts."""
    return rows if grants.see_everything else [row | {"text": GENERIC_WARNING} for row in rows]


def _snapshot_fields(snapshot: Snapshot, now: int) -> RowDict:
    reference, last = snapshot.reference, snapshot.last_trade_at
    nodes = len(reference.hierarchy)
    quarantined = snapshot.nodes.state(0).quarantined_count if nodes else 0
    return {
        "epoch": snapshot.epoch,
        "seq": snapshot.seq,
        "as_of": snapshot.as_of,
        "counts": snapshot.counts._asdict(),
        "node_count": nodes,
        "instrument_count": len(reference.instruments),
        "dealer_count": sum(bool(state.position_count) for page in snapshot.dealers.states for state in page),
        "position_count": snapshot.nodes.state(0).position_count if nodes else 0,
        "unpriced_count": int(snapshot.nodes.measures(0)[UNPRICED]) + quarantined if nodes else 0,
        "quarantined_count": quarantined,
        "watermark": snapshot.watermark,
        "last_trade_at": last or None,
        "last_trade_age_ms": max(0, now - last) // 1_000 if last else None,
    }


async def answer_digest(question: Question) -> Response:
    """The digest of a snapshot; trades change it, prices do not."""
    digests: Digests = question.request.app.state.digests
    snapshot = question.snapshot
    return json_answer({**question.header(), "digest": await digests.of(snapshot), "watermark": snapshot.watermark})


class Digests:
    """Remembers the last digest and computes one at a time: on a large book one takes seconds."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._turn = asyncio.Lock()
        self._trade_seq = -1
        self._digest = ""

    async def of(self, snapshot: Snapshot) -> str:
        """The digest of a snapshot. All snapshots between the same two trades share one."""
        async with self._turn:
            if snapshot.trade_seq != self._trade_seq:
                self._digest = await self._gateway.digest(snapshot)
                self._trade_seq = snapshot.trade_seq
            return self._digest
