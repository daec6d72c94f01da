"""What the state of a close hangs on besides the trades: if any of it is another today, a start replays everything instead.

The rows of trades say what they say; whether and how each counts follows from these terms too. They are kept as hashes. Pure.
"""

import datetime as dt
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from riskengine import __version__
from riskengine.config import Config
from riskengine.positions.frozen_ids import identity_fingerprint
from riskengine.records.close_state import CloseState
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.reference import Reference
from riskengine.records.types import Instrument, Opening, Trade

FORMAT = 2
"""Rises with every change of what a state holds, or of the rules by which trades count."""

DIFFERENT = {
    "program": "another version of the program made it",
    "fingerprints": "this interpreter makes other fingerprints of trades",
    "rules": "stricter rules judge other rows now",
    "openings": "opening balances have changed",
    "settings": "settings that decide which trades count have changed: engine.future_limit_s, the day boundary or price_units",
}
"""Why a state cannot be used, by the term that differs."""

_NO_TERM = {"instrument", "sector"}
"""Fields of an instrument that decide nothing about a trade."""


def terms_of(reference: Reference, openings: Sequence[Opening], config: Config) -> dict[str, str]:
    """The terms of today by name, but for those of instruments. 3 us an opening balance."""
    engine = config.engine
    canary = Trade(source="canary", trade_id="1", instrument="X", quantity=1, price=1)
    balances = sorted(map(msgspec.structs.astuple, openings))
    return {
        "program": f"{__version__} {FORMAT}",
        "fingerprints": _hash([str(identity_fingerprint("canary", "1", 0)), str(trade_fingerprint(canary))]),
        "rules": _hash(sorted(reference.rule_starts.items())),
        "openings": _hash([[str(value) for value in balance] for balance in balances]),
        "settings": _hash([engine.future_limit_s, engine.day_boundary, engine.day_zone, _plain(config.price_units)]),
    }


def instrument_terms(instrument: Instrument) -> str:
    """A hash of all that decides what a trade of an instrument does. 3 us."""
    fields = msgspec.structs.asdict(instrument)
    return _hash(sorted((name, str(value)) for name, value in fields.items() if name not in _NO_TERM))


def difference(state: CloseState, reference: Reference, openings: Sequence[Opening], config: Config) -> str:
    """Why a state does not fit the terms of today; "" if it does. O(instruments + opening balances)."""
    now = terms_of(reference, openings, config)
    for name, reason in DIFFERENT.items():
        if state.terms.get(name) != now[name]:
            return reason
    for symbol, terms in state.instruments.items():
        instrument = reference.by_symbol.get(symbol)
        if instrument is None:
            return f"instrument {symbol} is gone"
        if instrument_terms(instrument) != terms:
            return f"instrument {symbol} has other terms"
    gone = sorted(set(state.currencies) - set(reference.currencies))
    return f"no instrument is in {gone[0]} any more" if gone else ""


def end_of_day(date: str) -> dt.date:
    """The day of a state as a date."""
    return dt.date.fromisoformat(date)


def _plain(units: object) -> object:
    return msgspec.to_builtins(units)


def _hash(value: object) -> str:
    return blake2b(msgspec.json.encode(value, order="sorted"), digest_size=12).hexdigest()
