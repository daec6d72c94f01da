"""How the engine is: health, readiness, metrics, status, digest. The first four answer in every state."""

import asyncio

from starlette.responses import Response

from riskengine import __version__
from riskengine.gateway import Gateway
from riskengine.observe import METRICS_CONTENT_TYPE
from riskengine.serve.answers import Question, RowDict, json_answer, policies
from riskengine.serve.problems import not_live
from riskengine.snapshot import Counts, Snapshot
from riskengine.valuation import UNPRICED


async def answer_health(question: Question) -> Response:
    """Alive: the loop answers."""
    return json_answer({"status": "alive"})


async def answer_ready(question: Question) -> Response:
    """200 when snapshots may be shown, else 503 with how far the start is."""
    gateway = question.gateway
    if not gateway.is_live:
        raise not_live(gateway)
    return json_answer({"state": gateway.state, "progress": gateway.progress, "warnings": gateway.warnings.rows()})


async def answer_metrics(question: Question) -> Response:
    """Prometheus text."""
    return Response(question.gateway.metrics.render(), media_type=METRICS_CONTENT_TYPE)


async def answer_status(question: Question) -> Response:
    """Everything in one object; what is not known yet is null."""
    gateway = question.gateway
    snapshot = question.snapshot if gateway.is_live or question.values["seq"] is not None else None
    return json_answer(status(gateway, snapshot))


def status(gateway: Gateway, snapshot: Snapshot | None) -> RowDict:
    """What `/v1/status` says (`shapes.STATUS`), and what the process adds. `snapshot` is None until the engine is live."""
    now, metrics = gateway.clock.now(), gateway.metrics
    shown: RowDict = {
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
        "warnings": gateway.warnings.rows(),
        "start": None,
    }
    if snapshot is not None:
        shown |= _of_snapshot(snapshot, now)
    return shown | dict(gateway.health())


def _of_snapshot(snapshot: Snapshot, now: int) -> RowDict:
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
    """The digest of a snapshot; it changes with trades, not with prices."""
    digests: Digests = question.request.app.state.digests
    snapshot = question.snapshot
    return json_answer({**question.header(), "digest": await digests.of(snapshot), "watermark": snapshot.watermark})


class Digests:
    """The last digest worked out, and one at a time: seconds of work on a large book, whoever asks how often."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._turn = asyncio.Lock()
        self._trade_seq = -1
        self._digest = ""

    async def of(self, snapshot: Snapshot) -> str:
        """The digest of a snapshot: that of any other between the same two trades."""
        async with self._turn:
            if snapshot.trade_seq != self._trade_seq:
                self._digest = await self._gateway.digest(snapshot)
                self._trade_seq = snapshot.trade_seq
            return self._digest
