"""Which columns multiply to which."""

from decimal import Decimal

from riskengine.files.drafts.sums import agreement, find_products


def column(*values: str) -> list[Decimal | None]:
    return [Decimal(value) if value else None for value in values]


def test_the_amount_of_two_factors_is_found_whatever_the_signs():
    [product] = find_products({0: column("10", "-4"), 1: column("268.5", "270.25"), 2: column("-2685.00", "1081.00")})
    assert (product.factors, product.amount, product.rows, product.exact) == ((0, 1), 2, 2, True)


def test_an_amount_is_right_where_it_is_right_to_its_last_place():
    [product] = find_products({0: column("0.00185"), 1: column("54054.0"), 2: column("100.00")})
    assert not product.exact


def test_an_amount_that_is_off_by_more_is_none():
    assert find_products({0: column("3", "5"), 1: column("7", "11"), 2: column("21.00", "54.00")}) == []


def test_factors_that_are_always_one_prove_nothing():
    assert find_products({0: column("1", "1"), 1: column("7", "8"), 2: column("7", "8")}) == []


def test_rows_with_a_gap_count_for_nothing():
    assert find_products({0: column("", ""), 1: column("7", "8"), 2: column("7", "8")}) == []


def test_a_price_in_pence_makes_an_amount_in_pounds():
    [product] = find_products({0: column("10000", "2500"), 1: column("72.45", "265.10"), 2: column("7245.00", "6627.50")})
    assert (product.factors, product.amount, product.scale) == ((0, 1), 2, 100)


def test_the_rows_that_are_no_product_are_told_with_their_factors():
    found = agreement(column("10", "3", "", "2", "5"), column("2", "50", "9", "2", "4"), column("-20", "1.50", "9", "5", "2000"))
    assert (found.fits, found.of) == (1, 4)
    assert found.off == ((1, Decimal(100)), (3, Decimal("0.8")), (4, Decimal("0.01")))
    assert [place for place, _ in found.by_hundred] == [1, 4]
