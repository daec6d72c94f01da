"""Which faults must have met which states of the engine, and how often, for a run to prove anything."""

from tests.simulation.trace import Coverage

EVERY_DAYS = 300
"""The numbers below are for so many days; shorter runs need none."""

LIVE, ROLLING, STARTING, DEGRADED, RENEWING, DOWN = "live", "rolling", "starting", "degraded", "renewing", "down"

NEEDS: dict[str, dict[str, int]] = {
    "message_lost": {LIVE: 20, ROLLING: 3},
    "message_duplicated": {LIVE: 50, ROLLING: 5},
    "message_reordered": {LIVE: 50, ROLLING: 5},
    "message_reordered_60s": {LIVE: 5},
    "message_half": {LIVE: 10},
    "message_corrupted": {LIVE: 10},
    "answer_lost": {LIVE: 20},
    "tick_lost": {LIVE: 20, ROLLING: 5},
    "tick_reordered": {LIVE: 20, ROLLING: 5},
    "tick_reordered_60s": {LIVE: 5, ROLLING: 1},
    "crash_now": {LIVE: 10, ROLLING: 3},
    "crash_at_statement": {LIVE: 10, ROLLING: 3},
    "crash_before_commit": {LIVE: 5, ROLLING: 1},
    "crash_torn_commit": {LIVE: 5, ROLLING: 1},
    "crash_after_commit": {LIVE: 5, ROLLING: 1},
    "evening_kill": {LIVE: 40},
    "evening_stop": {LIVE: 40},
    "outage_away": {LIVE: 10, ROLLING: 3},
    "outage_hangs": {LIVE: 5},
    "store_away": {DEGRADED: 20, LIVE: 10},
    "store_slow": {LIVE: 20, ROLLING: 5},
    "store_locked": {LIVE: 5, ROLLING: 2},
    "commit_answer_lost": {LIVE: 5, ROLLING: 1},
    "commit_refused": {LIVE: 3},
    "goes_back_live": {LIVE: 5},
    "goes_back_while_down": {LIVE: 2},
    "second_engine": {LIVE: 10, ROLLING: 3},
    "second_engine_without_lock": {LIVE: 10, ROLLING: 1},
    "clock_step": {LIVE: 10, ROLLING: 5},
    "client_stalls": {LIVE: 10, ROLLING: 3},
    "client_resyncs": {LIVE: 5},
    "client_leaves": {LIVE: 5, ROLLING: 1},
    "repair": {LIVE: 20, ROLLING: 5},
    "renewal": {LIVE: 10, ROLLING: 2},
    "corrected_in_place": {LIVE: 10, ROLLING: 2},
    "odd_row": {LIVE: 5},
    "verdict_conflict": {LIVE: 5},
    "verdict_quarantined": {LIVE: 5},
    "burst": {LIVE: 5},
    "late_commit": {LIVE: 100, ROLLING: 20},
    "commit_right_behind": {LIVE: 100, ROLLING: 20},
    "tick_overtaken": {LIVE: 100},
}


def missed(coverage: Coverage, days: int) -> list[str]:
    """What was met too rarely in a run of so many days."""
    share = days // EVERY_DAYS
    return [
        f"{fault} in state {state}: {coverage.met[fault, state]} times, {least * share} are needed"
        for fault, states in NEEDS.items()
        for state, least in states.items()
        if coverage.met[fault, state] < least * share
    ]
