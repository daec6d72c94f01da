"""The kinds of entries of the audit trail: what stores write, and readers ask for."""

TRADES = "trades"
CORRECTION = "correction"
CAUGHT_UP = "caught_up"
EPOCH = "epoch"

ENTRY_KINDS = (
    TRADES,
    CORRECTION,
    "booked",
    "nodes",
    "instruments",
    "openings",
    "closes",
    "closes_posted",
    "close_struck",
    "calendars",
    "cash",
    "carry",
    "actions",
    "manual_mark",
    "scenario_shifts",
    "limits",
    "margin",
    "limit_breach",
    "verdict",
    "repair",
    "break_comment",
    "feed",
    "mismatch_accepted",
    "start",
    EPOCH,
    CAUGHT_UP,
    "login",
    "logout",
    "refused",
    "reconcile",
    "tokens",
)
"""Every kind of entry."""
