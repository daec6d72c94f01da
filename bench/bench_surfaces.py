"""Measures vol surfaces: the vols of 10,000 options on 100 surfaces in a beat, and the making of a surface.

Targets: vols at most 2 ms; a surface some ms an expiry. Vols are asked in every beat, since moneyness moves with spot; places are
found and surfaces made when quotes, rates or options change.
"""

import datetime as dt

import numpy as np
import pytest
from scipy.special import ndtr

from riskengine.market.vol_surfaces import Places, SurfaceQuotes, VolSurfaces, cut_ts, make_surfaces, pair_convention
from riskengine.records.option_inputs import SurfaceRow

OPTIONS, SURFACES = 10_000, 100
TODAY = dt.date(2026, 3, 2)
NOW = cut_ts(TODAY.isoformat())
TENORS = (1, 7, 14, 30, 61, 91, 182, 273, 365, 547, 730, 1095)


def quotes(number: int, tenors: tuple[int, ...] = TENORS) -> SurfaceQuotes:
    """One pair's quotes, each pair's a little different; every second pair premium-adjusted."""
    level = 0.06 + 0.001 * number
    rows = [
        SurfaceRow(
            f"P{number}",
            (TODAY + dt.timedelta(days=days)).isoformat(),
            NOW,
            level,
            -0.1 * level,
            0.025 * level,
            -0.18 * level,
            0.08 * level,
        )
        for days in tenors
    ]
    convention = pair_convention("EUR", "USD") if number % 2 else pair_convention("USD", "JPY")
    discounts = [0.97 ** (days / 365) for days in tenors]
    return SurfaceQuotes(f"P{number}", rows, [cut_ts(row.expiry) for row in rows], convention, "market", discounts)


@pytest.fixture(scope="module")
def surfaces() -> VolSurfaces:
    made = VolSurfaces(make_surfaces([quotes(number) for number in range(SURFACES)], NOW))
    assert not any(surface.faults for surface in made.surfaces)
    return made


@pytest.fixture(scope="module")
def options() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Surface, expiry and moneyness of each option."""
    seeded = np.random.default_rng(1)
    expiries = NOW + (seeded.uniform(0.1, 1090, OPTIONS) * 86_400_000_000).astype(np.int64)
    return seeded.integers(0, SURFACES, OPTIONS), expiries, np.exp(seeded.normal(0, 0.05, OPTIONS))


@pytest.fixture(scope="module")
def places(surfaces, options) -> Places:
    found = surfaces.locate(*options[:2])
    assert not found.codes.any()
    return found


@pytest.mark.benchmark(group="vols of 10,000 options")
def test_vols_in_a_beat(benchmark, surfaces, options, places):
    vols = benchmark(surfaces.vols, places, options[2])
    assert 0.03 < vols.min() and vols.max() < 0.5


@pytest.mark.benchmark(group="vols of 10,000 options")
def test_yardstick_two_normals_and_two_exponentials(benchmark, options):
    """What any such smile costs at least: two of each for an option between two expiries."""

    def bare(moneyness: np.ndarray) -> np.ndarray:
        distance = np.log(moneyness)
        return np.sqrt(np.exp(ndtr(distance)) + np.exp(ndtr(distance)))

    benchmark(bare, options[2])


@pytest.mark.benchmark(group="vols of 10,000 options")
def test_places_after_a_change(benchmark, surfaces, options):
    benchmark(surfaces.locate, *options[:2])


@pytest.mark.benchmark(group="making surfaces of 12 expiries")
@pytest.mark.parametrize("count", [1, 10, 100])
def test_making(benchmark, count):
    sheets = [quotes(number) for number in range(count)]
    benchmark.pedantic(make_surfaces, args=(sheets, NOW), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="making surfaces of 12 expiries")
def test_packing_a_hundred(benchmark, surfaces):
    benchmark(VolSurfaces, surfaces.surfaces)
