"""Published numbers: read-only copies, all lines in their places, and what did not change is shared."""

import numpy as np
import pytest

from riskengine.valuation.number_pages import ADDITIVE, GROSS, LINES, MEASURES, PAGE, PRICED, PRICED_OPTIONS, TOTAL, NumberPages

SIZE = 9 * PAGE + 10
"""More than one chunk, and a last page that is not full."""


@pytest.fixture
def numbers():
    return np.random.default_rng(3).normal(size=(MEASURES, SIZE))


@pytest.fixture
def pages(numbers):
    return NumberPages().with_all(numbers, SIZE, greeks=True)


def test_every_number_stands_in_its_line_under_its_owner(numbers, pages):
    assert np.array_equal(np.concatenate(tuple(pages), axis=1), numbers)
    for owner in (0, PAGE - 1, PAGE, SIZE - 1):
        assert pages.of_owner(owner) == numbers[:, owner].tolist()


def test_the_arrays_of_a_page_have_the_lines_that_are_said_of_them(numbers, pages):
    for lines, found in zip(LINES, pages.of_page(1), strict=True):
        assert np.array_equal(found, numbers[lines, PAGE : 2 * PAGE])
    assert sorted(np.concatenate([np.arange(MEASURES)[lines] for lines in LINES]).tolist()) == [*range(MEASURES)]


def test_a_publication_is_a_copy_that_nobody_can_write(numbers, pages):
    before = [page.copy() for page in pages]
    numbers[:] = 0.0
    assert all(map(np.array_equal, pages, before))
    assert not any(array.flags.writeable for array in pages.arrays())
    with pytest.raises(ValueError, match="read-only"):
        pages[0][TOTAL, 0] = 1.0


@pytest.mark.parametrize("greeks", [False, True])
def test_prices_make_their_own_lines_anew_and_share_the_others(numbers, pages, greeks):
    numbers += 1.0
    after = pages.with_prices(numbers, SIZE, greeks=greeks)
    found, before = np.concatenate(tuple(after), axis=1), np.concatenate(tuple(pages), axis=1)
    moved = [*range(PRICED_OPTIONS if greeks else PRICED), GROSS]
    kept = [line for line in range(MEASURES) if line not in moved]
    assert np.array_equal(found[moved], numbers[moved])
    assert np.array_equal(found[kept], before[kept])
    assert after.others is pages.others
    assert (after.greeks is pages.greeks) is not greeks


def test_changed_pages_are_made_anew_and_others_shared(numbers, pages):
    numbers += 1.0
    after = pages.with_pages(numbers, {2}, greeks=True)
    assert [page for page in range(len(after)) if not after.shares(page, pages)] == [2]
    assert np.array_equal(after[2], numbers[:, 2 * PAGE : 3 * PAGE])


def test_a_page_beyond_the_last_is_added(numbers):
    pages = NumberPages().with_pages(numbers, (0,), greeks=True).with_pages(numbers, (1,), greeks=True)
    assert len(pages) == 2
    assert np.array_equal(pages[1], numbers[:, PAGE : 2 * PAGE])


@pytest.mark.parametrize("line", [TOTAL, PRICED, ADDITIVE - 1, GROSS])
def test_owners_with_another_number_are_found_whichever_line_it_is(numbers, pages, line):
    numbers[line, PAGE + 7] += 1.0
    after = pages.with_pages(numbers, {1}, greeks=True)
    assert np.flatnonzero(after.differs(1, pages)).tolist() == [7]
    assert not after.differs(0, pages).any()


def test_owners_that_came_since_are_not_compared(numbers):
    before = NumberPages().with_pages(numbers[:, :5], (0,), greeks=True)
    after = before.with_pages(numbers[:, :6], (0,), greeks=True)
    assert after.differs(0, before).tolist() == [False] * 5
