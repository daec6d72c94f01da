"""Which instrument quotes one currency in another: what gives options their spot, and their surfaces a name. Pure."""

from collections.abc import Iterable

from riskengine.records.types import Instrument, Kind, small_lot

PAIR_KINDS = frozenset({Kind.FX, Kind.METAL, Kind.CRYPTO})
"""Kinds of what quotes a base currency in another one."""


def quoted_pairs(instruments: Iterable[Instrument]) -> dict[tuple[str, str], str]:
    """The instrument that quotes each (base, cash currency): a spot pair, else a metal or a coin; of several the first by name.

    Not one whose price is for more than one unit of its base. O(n log n).
    """
    found: dict[tuple[str, str], str] = {}
    able = (each for each in instruments if each.kind in PAIR_KINDS and each.base_currency and _is_per_unit(each))
    for each in sorted(able, key=lambda one: (one.kind is not Kind.FX, one.instrument)):
        found.setdefault((each.base_currency, each.currency), each.instrument)
    return found


def _is_per_unit(instrument: Instrument) -> bool:
    return small_lot(instrument.kind, instrument.multiplier) is None
