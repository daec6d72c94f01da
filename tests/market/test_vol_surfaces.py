import datetime as dt
import math
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.market.vol_surfaces import (
    EQUITY,
    MARKET,
    NO_SURFACE,
    SMILE,
    Convention,
    SurfaceQuotes,
    VolSurface,
    VolSurfaces,
    cut_ts,
    make_surfaces,
    pair_convention,
)
from riskengine.records.option_inputs import SurfaceRow
from tests.smile_oracle import TRADED, Quoting, at_the_money, misses, ore_expiries

NOW = cut_ts("2025-02-10")
YEAR = 365 * 86_400 * 1_000_000
WINGS: dict[str, Any] = {"rr25": -0.01, "bf25": 0.002, "rr10": -0.018, "bf10": 0.007}


def date(days: int) -> str:
    return (TRADED + dt.timedelta(days=days)).isoformat()


def row(days: int, atm: float = 0.1, ts: int = NOW, **wings: Any) -> SurfaceRow:
    return SurfaceRow("EURUSD", date(days), ts, atm, **wings)


def quotes_of(*rows: SurfaceRow, **more) -> SurfaceQuotes:
    cuts = [cut_ts(each.expiry) for each in rows]
    given = {"convention": pair_convention("EUR", "USD"), "discounts": [1.0] * len(rows)}
    return SurfaceQuotes("EURUSD", rows, cuts, **(given | more))


def made(*rows: SurfaceRow, **more) -> VolSurface:
    return make_surfaces([quotes_of(*rows, **more)], NOW)[0]


def ask(surface: VolSurface, expiry: int, moneyness: float = 1.0) -> tuple[float, str]:
    """The vol of one option and the reason for having none."""
    packed = VolSurfaces([surface])
    places = packed.locate(np.array([0]), np.array([expiry]))
    return float(packed.vols(places, np.array([moneyness]))[0]), packed.texts[places.codes[0]]


def vol(surface: VolSurface, expiry: int, moneyness: float = 1.0) -> float:
    found, reason = ask(surface, expiry, moneyness)
    assert reason == ""
    return found


def why_not(surface: VolSurface, days: int) -> str:
    return ask(surface, cut_ts(date(days)))[1]


# -- conventions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("EURUSD", Convention("spot", "forward")),
        ("XAUUSD", Convention("forward", "forward")),
        ("USDJPY", Convention("spot_pa", "forward_pa")),
        ("EURGBP", Convention("spot_pa", "forward_pa")),
        ("USDSGD", Convention("forward_pa", "forward_pa")),
        ("USDBRL", Convention("forward_pa", "forward_pa", is_atm_forward=True)),
        ("USDMXN", Convention("spot_pa", "forward_pa", is_atm_forward=True)),
    ],
)
def test_the_convention_of_a_pair(pair, expected):
    assert pair_convention(pair[:3], pair[3:]) == expected


@pytest.mark.parametrize(("days", "expected"), [(7, "spot"), (365, "spot"), (368, "spot"), (400, "forward"), (3650, "forward")])
def test_spot_deltas_reach_to_one_year(days, expected):
    assert pair_convention("EUR", "USD").delta_type(date(days), TRADED.toordinal()) == expected


@pytest.mark.parametrize("day", ["2025-03-07", "2025-03-10", "2025-11-03"])
def test_the_cut_is_ten_in_new_york_in_summer_and_winter(day):
    cut = dt.datetime.fromtimestamp(cut_ts(day) / 1e6, ZoneInfo("America/New_York"))
    assert (cut.date().isoformat(), cut.hour, cut.minute) == (day, 10, 0)


def test_a_cut_of_its_own():
    assert cut_ts("2025-02-10", "15:00 Asia/Tokyo") == cut_ts("2025-02-10") - 9 * 3600 * 1_000_000


# -- recorded surfaces -----------------------------------------------------------------------------------------------


def recorded(shared_data, bf_style: str) -> list[tuple[SurfaceQuotes, list[Quoting], list[dict[str, float]]]]:
    """The quotes of each pair, with what the oracle takes their deltas to count with."""
    by_pair: dict[str, list] = {}
    for expiry in ore_expiries(shared_data):
        by_pair.setdefault(expiry.pair, []).append(expiry)
    found = []
    for pair, expiries in by_pair.items():
        rows = [SurfaceRow(pair, each.date.isoformat(), NOW, **each.quotes) for each in expiries]
        cuts = [cut_ts(each.expiry) for each in rows]
        discounts = [math.exp(-0.03 * (cut - NOW) / YEAR) for cut in cuts]
        convention = pair_convention(pair[:3], pair[3:])
        is_near = [(each.date - TRADED).days <= 366 for each in expiries]
        how = [
            Quoting((cut - NOW) / YEAR, discount if near else 1.0, pair[3:] != "USD")
            for cut, discount, near in zip(cuts, discounts, is_near, strict=True)
        ]
        sheet = SurfaceQuotes(pair, rows, cuts, convention, bf_style, discounts)
        found.append((sheet, how, [each.quotes for each in expiries]))
    return found


@pytest.mark.parametrize("bf_style", [MARKET, SMILE])
def test_recorded_surfaces_have_no_faults(shared_data, bf_style):
    surfaces = make_surfaces([sheet for sheet, _, _ in recorded(shared_data, bf_style)], NOW)
    assert len(surfaces) == 10
    assert [fault for surface in surfaces for fault in surface.faults] == []


@pytest.mark.parametrize("bf_style", [MARKET, SMILE])
def test_recorded_surfaces_reprice_their_quotes(shared_data, bf_style):
    sheets = recorded(shared_data, bf_style)
    packed = VolSurfaces(make_surfaces([sheet for sheet, _, _ in sheets], NOW))
    for number, (sheet, how, quotes) in enumerate(sheets):
        for cut, own, quoted in zip(sheet.cuts, how, quotes, strict=True):
            found = misses(vol_of(packed, number, cut), quoted, own, is_market=bf_style == MARKET)
            assert max(map(abs, found.values())) < 1e-8, (sheet.name, own)


def vol_of(packed: VolSurfaces, number: int, expiry: int):
    def vols(moneyness: np.ndarray) -> np.ndarray:
        places = packed.locate(np.full(len(moneyness), number), np.full(len(moneyness), expiry))
        assert not places.codes.any()
        return packed.vols(places, moneyness)

    return vols


def test_recorded_surfaces_have_no_calendar_arbitrage(shared_data):
    sheets = [sheet for sheet, _, _ in recorded(shared_data, MARKET)]
    surfaces = make_surfaces(sheets, NOW)
    packed = VolSurfaces(surfaces)
    for number, surface in enumerate(surfaces):
        assert least_rise(packed, number, surface) > -1e-12, surface.name


def least_rise(packed: VolSurfaces, number: int, surface: VolSurface) -> float:
    """The least change of total variance from one expiry to the next, and to the middle between, where either is quoted."""
    moments = np.sort(np.concatenate((surface.expiries, (surface.expiries[:-1] + surface.expiries[1:]) // 2)))
    least = math.inf
    for near, later in pairwise(moments):
        at = int(np.searchsorted(surface.expiries, near))
        rows = slice(max(at - 1, 0), at + 1)
        moneyness = np.exp(np.linspace(surface.smiles.least[rows].min(), surface.smiles.most[rows].max(), 50))
        before, after = (vol_of(packed, number, t)(moneyness) ** 2 * (t - NOW) / YEAR for t in (near, later))
        least = min(least, float((after - before).min()))
    return least


# -- between expiries ------------------------------------------------------------------------------------------------


def test_total_variance_is_linear_in_time_at_equal_moneyness():
    surface = made(row(30, 0.08, **WINGS), row(90, 0.10, **WINGS))
    near, far = cut_ts(date(30)), cut_ts(date(90))
    between = near + (far - near) // 4
    for moneyness in (0.93, 1.0, 1.04):
        low, mid, high = (vol(surface, t, moneyness) ** 2 * (t - NOW) for t in (near, between, far))
        assert mid == pytest.approx(0.75 * low + 0.25 * high, rel=1e-12)


def test_before_the_first_expiry_the_vol_is_that_of_the_first():
    surface = made(row(30, 0.08, **WINGS), row(90, 0.10))
    assert vol(surface, NOW + 1_000_000, 0.97) == vol(surface, cut_ts(date(30)), 0.97)


def test_the_vol_of_an_expiry_is_that_of_its_own_smile():
    both, single = made(row(30, 0.08, **WINGS), row(90, 0.1, **WINGS)), made(row(90, 0.1, **WINGS))
    assert vol(both, cut_ts(date(90)), 1.02) == pytest.approx(vol(single, cut_ts(date(90)), 1.02), rel=1e-14)


def test_an_expiry_without_wings_has_those_of_its_neighbours():
    surface = made(row(30, 0.1, rr25=-0.01, bf25=0.002), row(60, 0.1), row(90, 0.1, rr25=-0.02, bf25=0.004))
    expected = made(row(60, 0.1, rr25=-0.015, bf25=0.003))
    assert vol(surface, cut_ts(date(60)), 0.96) == pytest.approx(vol(expected, cut_ts(date(60)), 0.96), abs=1e-4)


def test_an_expiry_without_wings_at_the_end_has_those_of_the_nearest():
    surface = made(row(30, 0.1, rr25=-0.01, bf25=0.002), row(60, 0.1))
    expected = made(row(60, 0.1, rr25=-0.01, bf25=0.002))
    assert vol(surface, cut_ts(date(60)), 0.96) == vol(expected, cut_ts(date(60)), 0.96)


def test_a_surface_without_wings_is_flat():
    assert vol(made(row(30), row(60)), cut_ts(date(45)), 0.5) == pytest.approx(0.1, abs=1e-15)


def test_vols_do_not_depend_on_the_other_surfaces():
    sheets = [quotes_of(row(30, 0.08, **WINGS), row(90, 0.10, **WINGS)), quotes_of(row(10, 0.2)), quotes_of(row(40, 0.3))]
    together = VolSurfaces(make_surfaces(sheets, NOW))
    expiry = cut_ts(date(10))
    places = together.locate(np.array([2, 0, 1]), np.full(3, expiry))
    found = together.vols(places, np.full(3, 0.98))
    singles = [vol(make_surfaces([sheets[n]], NOW)[0], expiry, 0.98) for n in (2, 0, 1)]
    assert found == pytest.approx(singles, rel=1e-9)


def test_the_older_of_two_expiries_says_how_old_a_vol_is():
    packed = VolSurfaces([made(row(30, ts=NOW - 5), row(60, ts=NOW - 9))])
    places = packed.locate(np.array([0, 0]), np.array([cut_ts(date(30)), cut_ts(date(45))]))
    assert (places.oldest_ts - NOW).tolist() == [-5, -9]


# -- rows ------------------------------------------------------------------------------------------------------------


def test_rows_may_come_in_any_order():
    rows = row(30, 0.08), row(60, 0.09), row(90, 0.1)
    assert made(*rows).expiries.tolist() == made(*reversed(rows)).expiries.tolist()


def test_of_two_rows_of_an_expiry_the_newest_counts():
    assert vol(made(row(30, 0.2, ts=NOW), row(30, 0.1, ts=NOW - 1)), cut_ts(date(30))) == pytest.approx(0.2)


def test_an_expiry_of_the_past_does_not_count():
    surface = made(row(-3, 0.3), row(0, 0.3), row(30, 0.1))
    assert vol(surface, cut_ts(date(10))) == pytest.approx(0.1)


# -- reasons ---------------------------------------------------------------------------------------------------------


def test_past_the_last_expiry_there_is_no_vol():
    assert why_not(made(row(30)), 31) == "past the last expiry of the vol surface of EURUSD"


def test_a_surface_of_the_past_has_no_vol():
    assert why_not(made(row(-2)), 10) == "every expiry of the vol surface of EURUSD is past"


def test_an_option_without_a_surface_has_no_vol():
    packed = VolSurfaces([made(row(30))])
    assert packed.texts[packed.locate(np.array([NO_SURFACE]), np.array([NOW + YEAR])).codes[0]] == "no vol surface"


def test_without_any_surface_no_option_has_a_vol():
    packed = VolSurfaces([])
    places = packed.locate(np.array([NO_SURFACE]), np.array([NOW + YEAR]))
    assert packed.texts[places.codes[0]] == "no vol surface"
    assert np.isfinite(packed.vols(places, np.array([1.0]))).all()


def test_bad_quotes_of_an_expiry_leave_the_others_alone():
    surface = made(row(30, 0.1), row(60, -0.1), row(90, 0.1), row(120, 0.1))
    bad = f"vol surface of EURUSD, {date(60)}: atm must be above 0 and at most 5 (0.0825 is 8.25 %): -0.1"
    assert [why_not(surface, days) for days in (20, 30, 45, 60, 75, 90, 100)] == ["", "", bad, bad, bad, "", ""]
    assert surface.faults == [bad]


def test_total_variance_that_falls_leaves_no_vol_between():
    surface = made(row(30, 0.3), row(60, 0.1), row(90, 0.1))
    falls = f"vol surface of EURUSD: total variance falls from {date(30)} to {date(60)}"
    assert [why_not(surface, days) for days in (20, 30, 45, 60, 75)] == ["", "", falls, "", ""]


def test_wings_whose_variance_falls_are_seen_although_the_middle_rises():
    surface = made(row(80, 0.1, rr25=0.0, bf25=0.008, rr10=0.0, bf10=0.025), row(90, 0.1, rr25=0.0, bf25=0.0, rr10=0.0, bf10=0.0))
    assert surface.faults == [f"vol surface of EURUSD: total variance falls from {date(80)} to {date(90)}"]


def test_spot_deltas_need_the_base_s_rates():
    surface = made(row(30), row(500), discounts=[None, None], missing="no rates for EUR")
    assert why_not(surface, 30) == f"vol surface of EURUSD, {date(30)}: no rates for EUR, and its quotes are spot deltas"
    assert why_not(surface, 500) == ""


def test_forward_deltas_need_no_rates():
    assert why_not(made(row(30, **WINGS), convention=EQUITY, discounts=()), 30) == ""


def test_cuts_against_the_order_of_their_dates_are_told():
    rows = row(30), row(60)
    bad = SurfaceQuotes("ACME", rows, [cut_ts(date(60)), cut_ts(date(30))], EQUITY)
    assert make_surfaces([bad], NOW)[0].faults == ["the cuts of the vol surface of ACME are not in the order of its expiries"]


# -- any quotes ------------------------------------------------------------------------------------------------------

ROWS = st.dictionaries(
    st.integers(1, 3000),
    st.tuples(st.floats(0.03, 0.5), st.floats(-0.2, 0.2), st.floats(0.0, 0.05), st.booleans()),
    min_size=1,
    max_size=5,
)


def any_wings(rr25: float, bf25: float) -> dict[str, Any]:
    return {"rr25": rr25, "bf25": bf25, "rr10": 1.8 * rr25, "bf10": 3 * bf25}


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from([MARKET, SMILE]))
def test_any_surface_is_free_of_calendar_arbitrage_or_says_where_not(rows, bf_style):
    sheet = [row(days, atm, **(any_wings(rr * atm, bf * atm) if winged else {})) for days, (atm, rr, bf, winged) in rows.items()]
    surface = made(*sheet, bf_style=bf_style)
    packed = VolSurfaces([surface])
    for n in range(len(surface.expiries) - 1):
        if surface.reasons[n] or surface.reasons[n + 1] or surface.gaps[n]:
            continue
        edges = surface.smiles.least[n : n + 2].min(), surface.smiles.most[n : n + 2].max()
        moneyness = np.exp(np.linspace(*edges, 50))
        near, later = (vol_of(packed, 0, t)(moneyness) ** 2 * (t - NOW) / YEAR for t in surface.expiries[n : n + 2])
        assert (later - near).min() > -1e-6 * near.max()


@settings(max_examples=40, deadline=None)
@given(ROWS, st.lists(st.tuples(st.integers(-10, 4000), st.floats(1e-4, 1e4)), min_size=1))
def test_every_option_has_a_vol_or_a_reason(rows, options):
    packed = VolSurfaces([made(*(row(days, atm, rr25=rr, bf25=bf) for days, (atm, rr, bf, _) in rows.items()))])
    expiries = np.array([NOW + days * 86_400_000_000 for days, _ in options])
    places = packed.locate(np.zeros(len(options), dtype=np.int64), expiries)
    vols = packed.vols(places, np.array([moneyness for _, moneyness in options]))
    for found, code, expiry in zip(vols.tolist(), places.codes.tolist(), expiries.tolist(), strict=True):
        assert math.isfinite(found)
        assert bool(packed.texts[code]) or 0 < found <= 10
        assert expiry <= packed.surfaces[0].expiries[-1] or packed.texts[code]


def test_the_at_the_money_vol_of_a_premium_adjusted_pair_is_at_its_own_strike():
    sheet = quotes_of(row(700, 0.2, **WINGS))._replace(convention=pair_convention("USD", "JPY"))
    surface = make_surfaces([sheet], NOW)[0]
    strike = at_the_money(0.2, Quoting((cut_ts(date(700)) - NOW) / YEAR, adjusted=True))
    assert vol(surface, cut_ts(date(700)), strike) == pytest.approx(0.2, abs=1e-12)
