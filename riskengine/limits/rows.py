"""The rows of limits and breaches, with the field names of the public interface. Pure; any thread."""

import math
from typing import Any

from riskengine.limits.judge import BREACH, STATES, UNKNOWN, Judgement
from riskengine.records.breaches import Breach
from riskengine.records.limits import ABSOLUTE, BELOW, Limit

RowDict = dict[str, Any]


def limit_rows(judgement: Judgement) -> list[RowDict]:
    """A row for each line, in the order of limits, then of nodes. 3 us each."""
    return [limit_row(judgement, at) for at in range(len(judgement.lines))]


def limit_row(judgement: Judgement, at: int) -> RowDict:
    """How one line stands. Unknown amounts are None."""
    line, readings = judgement.lines[at], judgement.readings
    limit, breach = line.limit, judgement.breaches.get(at)
    value, state = _known(readings.value.item(at)), judgement.state.item(at)
    return {
        "line": line.key,
        "limit_id": limit.limit_id,
        "version": limit.version,
        "node": line.node or None,
        "dealer": line.dealer or None,
        "level": limit.level or None,
        "measure": limit.measure,
        "currency": limit.currency or None,
        "instrument": limit.instrument or None,
        "counterparty": limit.counterparty or None,
        "side": limit.side,
        "limit": limit.limit,
        "warn_at": warn_at(limit),
        "severity": limit.severity,
        "owner": limit.owner or None,
        "from": limit.from_date or None,
        "to": limit.to_date or None,
        "state": STATES[state],
        "value": value,
        "use_percent": use_percent(limit, value),
        "headroom": _known(judgement.headroom.item(at)),
        "subject": readings.subjects.get(at),
        "incomplete": state == UNKNOWN or (state == BREACH and not readings.whole.item(at)),
        **_breach_fields(breach),
    }


def _breach_fields(breach: Breach | None) -> RowDict:
    if breach is None:
        return dict.fromkeys(("breach_id", "first_seen_ts", "worst", "worst_ts", "acknowledged_by", "acknowledged_ts", "reason"))
    return {
        "breach_id": breach.breach_id,
        "first_seen_ts": breach.first_seen_ts,
        "worst": breach.worst,
        "worst_ts": breach.worst_ts,
        "acknowledged_by": breach.acknowledged_by or None,
        "acknowledged_ts": breach.acknowledged_ts,
        "reason": breach.reason or None,
    }


def breach_row(breach: Breach, measure: str | None) -> RowDict:
    """One breach, open or past. `measure` is that of its limit, None where the limit is gone."""
    return {
        "breach_id": breach.breach_id,
        "limit_id": breach.limit_id,
        "version": breach.version,
        "node": breach.node or None,
        "dealer": breach.dealer or None,
        "measure": measure,
        "severity": breach.severity,
        "limit": breach.limit,
        "first_seen_ts": breach.first_seen_ts,
        "last_seen_ts": breach.last_seen_ts,
        "ended_ts": breach.ended_ts,
        "worst": breach.worst,
        "worst_ts": breach.worst_ts,
        "acknowledged_by": breach.acknowledged_by or None,
        "acknowledged_ts": breach.acknowledged_ts,
        "reason": breach.reason or None,
    }


def warn_at(limit: Limit) -> float:
    """The number from which a limit warns; of an absolute one without its sign."""
    return limit.limit + limit.margin if limit.side == BELOW else limit.limit - limit.margin


def use_percent(limit: Limit, value: float | None) -> float | None:
    """How much of a limit is used, in per cent of it; None where the number is unknown, or the limit leaves nothing to use.

    A floor at or above 0 and a ceiling at or below 0 have headroom alone.
    """
    bound = -limit.limit if limit.side == BELOW else limit.limit
    if value is None or bound <= 0.0:
        return None
    number = abs(value) if limit.side == ABSOLUTE else -value if limit.side == BELOW else value
    return max(number, 0.0) / bound * 100.0


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value + 0.0
