"""Vol surfaces of pairs and equity underlyings: which conventions their quotes follow, and the vol of a strike and an expiry.

Each expiry's smile is solved on its own (`pricing/smile.py`). Between expiries total variance is linear in time at equal
moneyness K/F, which leaves no calendar arbitrage where it does not fall from one expiry to the next; where it falls, options
between the two have a reason and no vol. Before the first expiry the vol is that of the first at equal moneyness; past the last
there is none. An expiry that quotes no wing has those of the expiries around it, linear in time: a surface without any is flat.
Time runs to the cut of an expiry, in years of 365 days. Surfaces are immutable and stand as of the moment they were made for:
make them anew when quotes, rates or conventions change, and as time passes, with which spot deltas and strikes at the money move.
"""

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.rate_curves import DAYS_A_YEAR, day_of
from riskengine.pricing.deltas import FORWARD, FORWARD_PA, SPOT, SPOT_PA, is_adjusted, is_spot
from riskengine.pricing.smile import SmileQuotes, Smiles, smile_vols, solve_smiles
from riskengine.records.option_inputs import SurfaceRow
from riskengine.records.types import FloatArray

IntArray = npt.NDArray[np.int64]

FX_CUT = "10:00 America/New_York"
"""The cut of FX options, and of the expiries of their surfaces."""

MARKET, SMILE = "market", "smile"
"""The words of `bf_style`."""

NO_SURFACE = -1
"""The number of a surface that does not exist."""

_G10 = frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "NOK", "NZD", "SEK", "USD"})
_OECD = _G10 | {"CLP", "COP", "CRC", "CZK", "DKK", "HUF", "ILS", "ISK", "KRW", "MXN", "PLN", "TRY"}
"""Currencies of the members of the OECD."""
_LATIN_AMERICA = frozenset({"ARS", "BOB", "BRL", "CLP", "COP", "CRC", "DOP", "GTQ", "MXN", "PEN", "PYG", "UYU", "VES"})
_DAYS_OF_A_YEAR = 372
"""Up to here an expiry is of at most one year: the date of a one-year quote may lie a few days after 365."""

_YEAR_MICROS = DAYS_A_YEAR * 86_400 * MICROS_PER_SECOND
_SURFACE_BITS = 48
"""Milliseconds of any date take fewer: surface number and expiry make one key."""
_LEAST_RISE = -1e-12
_GAP_SIGHT = 1.3
"""Total variance must not fall within the quoted strikes and this many widths of a smile: about its 5-delta strikes."""
_WINGS = ("rr25", "bf25", "rr10", "bf10")


class Convention(NamedTuple):
    """How the deltas of a surface's quotes count.

    near, far       delta types up to one year, and beyond
    is_atm_forward  at the money is the forward, else the delta-neutral straddle
    """

    near: str
    far: str
    is_atm_forward: bool = False

    def delta_type(self, expiry: str, today: int) -> str:
        """The delta type of quotes for an expiry (YYYY-MM-DD), seen on day `today` (an ordinal)."""
        days = dt.date.fromisoformat(expiry).toordinal() - today
        return self.near if days <= _DAYS_OF_A_YEAR else self.far


EQUITY = Convention(FORWARD, FORWARD)
"""Of equities and indices: forward deltas, whose premium is in the quote currency."""


def pair_convention(base: str, quote: str) -> Convention:
    """The convention of a pair (ACCOUNTING section 6).

    Premium-adjusted but for XXXUSD, gold among them. Spot deltas up to one year where both currencies are of OECD countries,
    forward deltas beyond and for all others. At the money is the forward with a Latin American currency, else the delta-neutral
    straddle.
    """
    near, far = (SPOT, FORWARD) if quote == "USD" else (SPOT_PA, FORWARD_PA)
    return Convention(near if {base, quote} <= _OECD else far, far, not _LATIN_AMERICA.isdisjoint((base, quote)))


@lru_cache(maxsize=4096)
def cut_ts(expiry: str, cut: str = FX_CUT) -> int:
    """The moment (microseconds) at which an option of date `expiry` expires; `cut` is `HH:MM ZONE`. 10 us, then remembered."""
    clock, _, zone = cut.partition(" ")
    moment = dt.datetime.combine(dt.date.fromisoformat(expiry), dt.time.fromisoformat(clock), ZoneInfo(zone))
    return round(moment.timestamp()) * MICROS_PER_SECOND


class SurfaceQuotes(NamedTuple):
    """What one surface is made from.

    rows        one for each expiry, in any order; of two for one expiry the newest counts, of equal times the later
    cuts        the moment of each row's expiry: `cut_ts`, for equities the close of the session
    convention  of the quotes; an instrument's own delta type is for its display alone
    bf_style    what the butterflies say: MARKET or SMILE
    discounts   the base's discount factor from the spot date to the delivery of each row's expiry; None where it is not known
    missing     why one is not known: `no rates for EUR`
    """

    name: str
    rows: Sequence[SurfaceRow]
    cuts: Sequence[int]
    convention: Convention
    bf_style: str = MARKET
    discounts: Sequence[float | None] = ()
    missing: str = "no rates of the base"


class VolSurface(NamedTuple):
    """The smiles of one pair or underlying; a row for each expiry ahead, the nearest first.

    expiries    moments, microseconds
    years       to them, as of the moment that the surface was made for
    smiles      in the order of `expiries`
    reasons     why an expiry has no smile, empty where it has one
    gaps        the same for what lies between an expiry and the next one
    ts          of each expiry's quotes
    reason      why there is no surface at all
    """

    name: str
    expiries: IntArray
    years: FloatArray
    smiles: Smiles
    reasons: tuple[str, ...]
    gaps: tuple[str, ...]
    ts: IntArray
    reason: str = ""

    @property
    def faults(self) -> list[str]:
        """Every reason, for people."""
        return [each for each in (self.reason, *self.reasons, *self.gaps) if each]


def make_surfaces(quotes: Sequence[SurfaceQuotes], now: int) -> list[VolSurface]:
    """A surface for each of `quotes`, as of `now` (microseconds). All expiries are solved together: see `solve_smiles`."""
    sheets = [_Sheet.of(each, now) for each in quotes]
    smiles = solve_smiles(_smile_quotes(sheets, now))
    surfaces = []
    start = 0
    for sheet in sheets:
        surfaces.append(_surface(sheet, smiles, slice(start, start + len(sheet.rows)), now))
        start += len(sheet.rows)
    return surfaces


class _Sheet(NamedTuple):
    """The expiries of one surface that are ahead, the nearest first, with what their deltas count with."""

    quotes: SurfaceQuotes
    rows: list[SurfaceRow]
    cuts: list[int]
    discounts: list[float | None]
    reason: str

    @classmethod
    def of(cls, quotes: SurfaceQuotes, now: int) -> "_Sheet":
        discounts = quotes.discounts or [None] * len(quotes.rows)
        by_expiry: dict[str, tuple[SurfaceRow, int, float | None]] = {}
        for row, cut, discount in zip(quotes.rows, quotes.cuts, discounts, strict=True):
            if row.expiry not in by_expiry or by_expiry[row.expiry][0].ts <= row.ts:
                by_expiry[row.expiry] = row, cut, discount
        ahead = [by_expiry[expiry] for expiry in sorted(by_expiry) if by_expiry[expiry][1] > now]
        cuts = [cut for _, cut, _ in ahead]
        if not ahead:
            return cls(quotes, [], [], [], f"every expiry of the vol surface of {quotes.name} is past")
        if any(later <= cut for cut, later in pairwise(cuts)):
            return cls(quotes, [], [], [], f"the cuts of the vol surface of {quotes.name} are not in the order of its expiries")
        return cls(quotes, _with_wings([row for row, _, _ in ahead], cuts), cuts, [discount for *_, discount in ahead], "")

    def delta_types(self, now: int) -> list[str]:
        today = day_of(now)
        return [self.quotes.convention.delta_type(row.expiry, today) for row in self.rows]


def _with_wings(rows: Sequence[SurfaceRow], cuts: Sequence[int]) -> list[SurfaceRow]:
    """The rows, those that quote no wing with the wings of their neighbours that do: linear in time, as they are at the ends."""
    winged = [n for n, row in enumerate(rows) if any(getattr(row, name) is not None for name in _WINGS)]
    filled = list(rows)
    for n in set(range(len(rows))).difference(winged) if winged else ():
        before = max((other for other in winged if other < n), default=None)
        after = min((other for other in winged if other > n), default=before)
        before = after if before is None else before
        assert before is not None and after is not None
        share = (cuts[n] - cuts[before]) / (cuts[after] - cuts[before]) if after != before else 0.0
        wings = {name: _between(getattr(rows[before], name), getattr(rows[after], name), share) for name in _WINGS}
        filled[n] = msgspec.structs.replace(rows[n], ts=min(rows[n].ts, rows[before].ts, rows[after].ts), **wings)
    return filled


def _between(low: float | None, high: float | None, share: float) -> float | None:
    return None if low is None or high is None else low + share * (high - low)


def _smile_quotes(sheets: Sequence[_Sheet], now: int) -> SmileQuotes:
    rows = [row for sheet in sheets for row in sheet.rows]
    owners = [sheet.quotes for sheet in sheets for _ in sheet.rows]
    types = [delta_type for sheet in sheets for delta_type in sheet.delta_types(now)]
    discounts = [discount or 1.0 for sheet in sheets for discount in sheet.discounts]

    def quoted(column: str) -> FloatArray:
        return np.array([np.nan if (vol := getattr(row, column)) is None else vol for row in rows], dtype=np.float64)

    return SmileQuotes(
        atm=quoted("atm"),
        rr25=quoted("rr25"),
        bf25=quoted("bf25"),
        rr10=quoted("rr10"),
        bf10=quoted("bf10"),
        years=np.array([(cut - now) / _YEAR_MICROS for sheet in sheets for cut in sheet.cuts]),
        discount=np.array([d if is_spot(kind) else 1.0 for kind, d in zip(types, discounts, strict=True)]),
        adjusted=np.array([is_adjusted(kind) for kind in types], dtype=np.bool_),
        is_atm_forward=np.array([owner.convention.is_atm_forward for owner in owners], dtype=np.bool_),
        is_market=np.array([owner.bf_style != SMILE for owner in owners], dtype=np.bool_),
    )


def _surface(sheet: _Sheet, solved: Smiles, own: slice, now: int) -> VolSurface:
    smiles = Smiles(solved.coefficients[own], solved.width[own], solved.least[own], solved.most[own], solved.reasons[own])
    name = sheet.quotes.name
    reasons = [
        f"vol surface of {name}, {row.expiry}: {why}" if why else "" for row, why in zip(sheet.rows, smiles.reasons, strict=True)
    ]
    for n, (kind, discount) in enumerate(zip(sheet.delta_types(now), sheet.discounts, strict=True)):
        if is_spot(kind) and discount is None:
            reasons[n] = f"vol surface of {name}, {sheet.rows[n].expiry}: {sheet.quotes.missing}, and its quotes are spot deltas"
    years = np.array([(cut - now) / _YEAR_MICROS for cut in sheet.cuts], dtype=np.float64)
    return VolSurface(
        name=name,
        expiries=np.array(sheet.cuts, dtype=np.int64),
        years=years,
        smiles=smiles,
        reasons=tuple(reasons),
        gaps=_gaps(sheet, smiles, years, reasons),
        ts=np.array([row.ts for row in sheet.rows], dtype=np.int64),
        reason=sheet.reason,
    )


def _gaps(sheet: _Sheet, smiles: Smiles, years: FloatArray, reasons: Sequence[str]) -> tuple[str, ...]:
    """Why nothing lies between an expiry and the next: total variance falls at some moneyness near what either quotes."""
    count = len(years)
    if count < 2:
        return ("",) * count
    near = np.arange(count - 1)
    share = np.linspace(0.0, 1.0, 33)[:, np.newaxis]
    edges = np.minimum(smiles.least, -_GAP_SIGHT * smiles.width), np.maximum(smiles.most, _GAP_SIGHT * smiles.width)
    least, most = (np.stack((edge[:-1], edge[1:])) for edge in edges)
    distance = (1 - share) * least.min(axis=0) + share * most.max(axis=0)

    def variance(rows: IntArray) -> FloatArray:
        every = np.broadcast_to(rows, distance.shape)
        vols = smile_vols(smiles.coefficients, smiles.width, every.ravel(), distance.ravel())
        return np.asarray(vols.reshape(distance.shape) ** 2 * years[rows])

    rise = (variance(near + 1) - variance(near)).min(axis=0)
    return *(
        f"vol surface of {sheet.quotes.name}: total variance falls from {sheet.rows[n].expiry} to {sheet.rows[n + 1].expiry}"
        if rise[n] < _LEAST_RISE and not reasons[n] and not reasons[n + 1]
        else ""
        for n in range(count - 1)
    ), ""


class Places(NamedTuple):
    """Where n options stand on their surfaces: found once, until surfaces or options change.

    low, high    rows of the expiries around each option's; the same where it has no neighbour on one side
    weight       of the high row's variance; that of the low one is the rest
    codes        why an option has no vol: index into `VolSurfaces.texts`, 0 where it has one
    oldest_ts    of the quotes that its vol comes from
    """

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    weight: FloatArray
    codes: IntArray
    oldest_ts: IntArray


class VolSurfaces:
    """Surfaces packed into arrays, so that one pass serves all options whatever their surface. Immutable; any thread.

    A surface's number is its place in what this was made from. Construction: 0.5 ms for 100 surfaces of 12 expiries.
    """

    def __init__(self, surfaces: Sequence[VolSurface]) -> None:
        self.surfaces = tuple(surfaces)
        self.numbers = {surface.name: number for number, surface in enumerate(surfaces)}
        """The number of each surface by pair or underlying."""
        texts = {"": 0, "no vol surface": 1}
        counts = [len(surface.expiries) for surface in surfaces]
        self._ends = np.cumsum([*counts, 1], dtype=np.int64)
        self._starts = self._ends - [*counts, 1]
        self._own_codes = np.array([_code(texts, surface.reason) for surface in surfaces] + [1])
        self._past_codes = np.array([_code(texts, _past(surface)) for surface in surfaces] + [1])
        self._row_codes = np.array([_code(texts, reason) for surface in surfaces for reason in surface.reasons] + [1])
        self._gap_codes = np.array([_code(texts, gap) for surface in surfaces for gap in surface.gaps] + [1])
        self._expiries = np.concatenate([*(surface.expiries for surface in surfaces), [0]]).astype(np.int64)
        self._years = np.concatenate([*(surface.years for surface in surfaces), [1.0]])
        self._ts = np.concatenate([*(surface.ts for surface in surfaces), [0]]).astype(np.int64)
        self._coefficients = np.concatenate([*(surface.smiles.coefficients for surface in surfaces), np.zeros((1, 5))])
        self._width = np.concatenate([*(surface.smiles.width for surface in surfaces), [1.0]])
        self._keys = (np.repeat(np.arange(len(counts) + 1), [*counts, 1]) << _SURFACE_BITS) + self._expiries // 1000
        self.texts = tuple(texts)
        """The reasons, by code; the first is empty."""

    def locate(self, surfaces: IntArray, expiries: IntArray) -> Places:
        """Where options stand, from the numbers of their surfaces and the moments they expire. 1 ms for 10,000."""
        number = np.where(surfaces < 0, len(self.surfaces), surfaces)
        first, last = self._starts[number], self._ends[number] - 1
        after = np.searchsorted(self._keys, (number << _SURFACE_BITS) + expiries // 1000, side="left")
        is_empty = last < first
        first, last = np.where(is_empty, len(self._keys) - 1, first), np.where(is_empty, len(self._keys) - 1, last)
        low, high = np.clip(after - 1, first, last), np.clip(after, first, last)
        low = np.where(expiries >= self._expiries[high], high, low)
        width = self._expiries[high] - self._expiries[low]
        share = np.divide(expiries - self._expiries[low], width, out=np.zeros(len(low)), where=width > 0)
        late = share * self._years[high]
        codes = np.where(
            low == high, self._row_codes[low], _first(self._row_codes[low], self._row_codes[high], self._gap_codes[low])
        )
        codes = np.where(expiries > self._expiries[last], self._past_codes[number], codes)
        own = self._own_codes[number]
        return Places(
            low=low,
            high=high,
            weight=late / (late + (1 - share) * self._years[low]),
            codes=np.where(own > 0, own, codes),
            oldest_ts=np.minimum(self._ts[low], self._ts[high]),
        )

    def vols(self, places: Places, moneyness: FloatArray) -> FloatArray:
        """The vols of options at K/F `moneyness`, above 0; where a place has a code they mean nothing. 1 ms for 10,000."""
        distance = np.log(moneyness)
        near = smile_vols(self._coefficients, self._width, places.low, distance)
        far = smile_vols(self._coefficients, self._width, places.high, distance)
        near *= near
        far *= far
        far -= near
        far *= places.weight
        far += near
        return np.asarray(np.sqrt(far, out=far))


def _code(texts: dict[str, int], text: str) -> int:
    return texts.setdefault(text, len(texts))


def _first(*codes: IntArray) -> IntArray:
    """The first code of each row that is not 0."""
    found = codes[0]
    for each in codes[1:]:
        found = np.where(found > 0, found, each)
    return found


def _past(surface: VolSurface) -> str:
    return f"past the last expiry of the vol surface of {surface.name}" if len(surface.expiries) else surface.reason
