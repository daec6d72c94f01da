"""Minor units: prices of London, Johannesburg and Tel Aviv in hundredths of their currency (ACCOUNTING section 5)."""

MINOR_UNITS = {"GBX": "GBP", "GBp": "GBP", "ZAc": "ZAR", "ILA": "ILS"}
"""1/100 of a currency, by its code."""


def hundredths(code: str, currency: str) -> int | None:
    """How many of `code` are one of `currency`: 1, 100 for a minor unit of it, None for another currency."""
    if code == currency or (code in MINOR_UNITS and MINOR_UNITS[code] == MINOR_UNITS.get(currency)):
        return 1
    return 100 if MINOR_UNITS.get(code) == currency else None
