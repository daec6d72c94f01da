"""The sample house of the demo: its tree, dealers, instruments and market.

Names and prices are plausible, not current. To change the sample, edit its tables.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from riskengine.records.limits import LimitInput
from riskengine.records.types import MULTIPLIER_DECIMALS, Instrument, Kind, Node


class Factor(NamedTuple):
    """A value that walks: its start, its daily volatility, and its correlation with others."""

    start: float
    daily_volatility: float
    shared: float
    """Correlation with the factor common to its group: the dollar for currencies, the market for equities."""


class Style(NamedTuple):
    """How the market quotes and deals an instrument: spread in basis points, ticks relative to others, lot."""

    spread_bp: float
    weight: float
    lot: Decimal


CURRENCIES: Mapping[str, Factor] = {
    "USD": Factor(1.0, 0.0, 0.0),
    "EUR": Factor(1.15520, 0.0045, 0.80),
    "GBP": Factor(1.31040, 0.0050, 0.75),
    "JPY": Factor(1 / 154.310, 0.0055, 0.55),
    "CHF": Factor(1 / 0.80650, 0.0050, 0.70),
    "AUD": Factor(0.65080, 0.0060, 0.70),
    "NZD": Factor(0.57120, 0.0062, 0.70),
    "CAD": Factor(1 / 1.40300, 0.0040, 0.60),
    "SEK": Factor(1 / 9.49500, 0.0065, 0.75),
    "NOK": Factor(1 / 10.07000, 0.0068, 0.70),
    "SGD": Factor(1 / 1.30200, 0.0030, 0.75),
    "MXN": Factor(1 / 18.35000, 0.0070, 0.40),
    "XAU": Factor(4_078.50, 0.0100, 0.35),
    "XAG": Factor(50.850, 0.0180, 0.35),
    "BTC": Factor(94_850.0, 0.0280, 0.20),
    "ETH": Factor(3_105.0, 0.0350, 0.20),
}
"""Value of one unit in USD. A pair is the quotient of two of these, which keeps crosses consistent with majors."""

SHARES: Mapping[str, Factor] = {
    "AAPL": Factor(268.40, 0.014, 0.65),
    "MSFT": Factor(507.30, 0.013, 0.70),
    "NVDA": Factor(186.60, 0.026, 0.65),
    "AMZN": Factor(232.80, 0.018, 0.65),
    "GOOGL": Factor(284.30, 0.016, 0.60),
    "JPM": Factor(303.60, 0.013, 0.65),
    "XOM": Factor(118.90, 0.014, 0.40),
    "JNJ": Factor(196.20, 0.010, 0.35),
    "KO": Factor(71.05, 0.009, 0.35),
    "CAT": Factor(552.40, 0.016, 0.60),
    "SAP.DE": Factor(208.15, 0.016, 0.60),
    "ASML.AS": Factor(868.40, 0.022, 0.60),
    "SIE.DE": Factor(228.60, 0.015, 0.65),
    "SHEL.L": Factor(28.64, 0.013, 0.40),
    "HSBA.L": Factor(10.71, 0.012, 0.50),
    "ESZ29": Factor(7_418.00, 0.010, 0.97),
}
"""Price in the instrument's own currency."""

_MAJORS = ("EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "NZDUSD", "USDCAD")
_CROSSES = (
    "EURGBP",
    "EURJPY",
    "EURCHF",
    "GBPJPY",
    "GBPCHF",
    "EURAUD",
    "AUDJPY",
    "CADJPY",
    "CHFJPY",
    "AUDNZD",
)
_OTHERS = ("USDSEK", "USDNOK", "USDSGD", "USDMXN")
_EQUITIES = (
    ("AAPL", "USD", "Technology"),
    ("MSFT", "USD", "Technology"),
    ("NVDA", "USD", "Technology"),
    ("AMZN", "USD", "Consumer Discretionary"),
    ("GOOGL", "USD", "Communication Services"),
    ("JPM", "USD", "Financials"),
    ("XOM", "USD", "Energy"),
    ("JNJ", "USD", "Health Care"),
    ("KO", "USD", "Consumer Staples"),
    ("CAT", "USD", "Industrials"),
    ("SAP.DE", "EUR", "Technology"),
    ("ASML.AS", "EUR", "Technology"),
    ("SIE.DE", "EUR", "Industrials"),
    ("SHEL.L", "GBP", "Energy"),
    ("HSBA.L", "GBP", "Financials"),
)

_STYLES: Mapping[str, Style] = {
    "EURUSD": Style(0.5, 8.0, Decimal(1_000_000)),
    "USDJPY": Style(0.6, 7.0, Decimal(1_000_000)),
    "GBPUSD": Style(0.7, 6.0, Decimal(1_000_000)),
    "XAGUSD": Style(5.0, 3.0, Decimal(5_000)),
    "ETHUSD": Style(3.0, 3.0, Decimal(5)),
    "BTCUSD": Style(1.5, 4.0, Decimal("0.25")),
} | {pair: Style(3.0, 1.0, Decimal(500_000)) for pair in _OTHERS}
_STYLES_BY_KIND: Mapping[Kind, Style] = {
    Kind.FX: Style(1.2, 3.0, Decimal(500_000)),
    Kind.FX_FORWARD: Style(1.5, 1.0, Decimal(500_000)),
    Kind.EQUITY: Style(2.5, 2.0, Decimal(100)),
    Kind.CRYPTO: Style(4.0, 2.0, Decimal(1)),
    Kind.METAL: Style(1.2, 5.0, Decimal(100)),
    Kind.FUTURE: Style(0.4, 5.0, Decimal(1)),
}

DEALERS: Mapping[str, tuple[str, ...]] = {
    "FX1": ("Anna", "Bruno", "Clara"),
    "FX2": ("Dmitri", "Elena"),
    "FX3": ("Felix", "Grace"),
    "METALS": ("Hugo", "Ines"),
    "EQ1": ("Jonas", "Karin", "Liam"),
    "EQ2": ("Mira", "Noah"),
    "EQ3": ("Olga", "Pavel"),
}
"""The dealers of each desk."""

MANDATES: Mapping[str, tuple[str, ...]] = {
    "FX1": _MAJORS,
    "FX2": (*_CROSSES, "EURUSD", "GBPUSD"),
    "FX3": (*_OTHERS, "USDCAD", "USDJPY", "BTCUSD", "ETHUSD"),
    "METALS": ("XAUUSD", "XAGUSD"),
    "EQ1": ("AAPL", "MSFT", "NVDA", "GOOGL", "ESZ29"),
    "EQ2": ("AMZN", "JPM", "XOM", "JNJ", "KO", "CAT", "ESZ29"),
    "EQ3": ("SAP.DE", "ASML.AS", "SIE.DE", "SHEL.L", "HSBA.L"),
}
"""The instruments of each desk; a desk without an entry deals in all."""


def sample_nodes() -> list[Node]:
    """The tree: one root, two books, seven desks. Parents come before their children."""
    nodes = [Node("ALL", "total"), Node("FX", "book", "ALL"), Node("EQ", "book", "ALL")]
    nodes += [Node(desk, "desk", "EQ" if desk.startswith("EQ") else "FX") for desk in DEALERS]
    return nodes


def sample_limits() -> list[LimitInput]:
    """What the house of a demo may hold and lose, on positions, on days, and before a trade; the desk of FX options is `FXO`."""
    return [
        LimitInput(limit_id="NOP-EUR", measure="net_open_position", node="ALL", currency="EUR", limit=60e6, owner="treasury"),
        LimitInput(limit_id="NOP-GBP", measure="net_open_position", node="ALL", currency="GBP", limit=40e6, owner="treasury"),
        LimitInput(limit_id="SHORTHAND", measure="shorthand", node="ALL", limit=150e6, severity="soft", owner="treasury"),
        LimitInput(limit_id="DESK-NET", measure="net_exposure", level="desk", limit=30e6, warning=80, owner="head of desks"),
        LimitInput(limit_id="FX-GROSS", measure="gross_exposure", node="FX", limit=250e6, owner="head of FX"),
        LimitInput(limit_id="DESK-DAY-LOSS", measure="net_day_pnl", level="desk", limit=-250_000, warning=60, owner="risk"),
        LimitInput(limit_id="HOUSE-DAY-LOSS", measure="net_day_pnl", node="ALL", limit=-1e6, owner="risk"),
        LimitInput(limit_id="FXO-VEGA", measure="vega", node="FXO", limit=100_000, owner="head of options"),
        LimitInput(limit_id="FXO-GAMMA", measure="gamma_cash", node="FXO", limit=20e6, owner="head of options"),
        LimitInput(limit_id="EQ-LARGEST", measure="largest_name", node="EQ", limit=50, severity="soft", owner="head of equities"),
        LimitInput(limit_id="ANNA-NET", measure="net_exposure", dealer="Anna", limit=70e6, severity="soft", owner="head of FX"),
        LimitInput(limit_id="TICKET", measure="trade_amount", node="ALL", limit=25e6, owner="risk"),
        LimitInput(limit_id="BAND", measure="price_band", node="ALL", limit=2, owner="risk"),
    ]


def sample_instruments() -> list[Instrument]:
    """41 instruments: FX majors and crosses, metals, crypto, equities with sectors, one index future."""
    return [
        *(_pair(symbol, Kind.FX) for symbol in _MAJORS + _CROSSES + _OTHERS),
        _pair("XAUUSD", Kind.METAL, price_decimals=2),
        _pair("XAGUSD", Kind.METAL, price_decimals=3),
        _pair("BTCUSD", Kind.CRYPTO, price_decimals=2, quantity_decimals=8),
        _pair("ETHUSD", Kind.CRYPTO, price_decimals=2, quantity_decimals=8),
        *(
            Instrument(
                instrument=symbol, kind=Kind.EQUITY, quote_currency=currency, price_decimals=2, quantity_decimals=0, sector=sector
            )
            for symbol, currency, sector in _EQUITIES
        ),
        # A distant expiry, so that a demo does not outlive it.
        Instrument(
            instrument="ESZ29",
            kind=Kind.FUTURE,
            quote_currency="USD",
            price_decimals=2,
            quantity_decimals=0,
            multiplier=50 * 10**MULTIPLIER_DECIMALS,
            underlying="SPX",
            expiry="2029-12-21",
        ),
    ]


def _pair(symbol: str, kind: Kind, price_decimals: int | None = None, quantity_decimals: int = 2) -> Instrument:
    base, quote = symbol[:3], symbol[3:]
    if price_decimals is None:
        price_decimals = 3 if quote == "JPY" else 5
    return Instrument(
        instrument=symbol,
        kind=kind,
        base_currency=base,
        quote_currency=quote,
        price_decimals=price_decimals,
        quantity_decimals=quantity_decimals,
    )


def style_of(instrument: Instrument) -> Style:
    """The style of an instrument: its own, else that of its kind. Raises KeyError for options."""
    style = _STYLES.get(instrument.instrument) or _STYLES_BY_KIND[instrument.kind]
    whole = style.lot == style.lot.to_integral_value()
    return style if whole or instrument.quantity_decimals >= 2 else style._replace(lot=Decimal(1))


def is_quoted(instrument: Instrument) -> bool:
    """Whether the simulated market can quote it: everything but options."""
    return instrument.kind in _STYLES_BY_KIND
