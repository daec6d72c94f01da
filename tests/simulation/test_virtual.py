"""Small limits: a desk of this size reaches what only large ones reach."""

from typing import Any

import pytest

from riskengine.engine import engine as engine_module
from riskengine.intake import delivery as delivery_module
from riskengine.intake import follow
from riskengine.positions import batches
from tests.simulation.knobs import SMALL_LIMITS
from tests.simulation.virtual import small_limits

engine: Any = engine_module
delivery: Any = delivery_module


def test_a_limit_is_changed_wherever_a_module_holds_it_and_comes_back():
    before = batches.COLUMNS_FROM_TRADES
    with small_limits({"COLUMNS_FROM_TRADES": 4}):
        assert engine.COLUMNS_FROM_TRADES == batches.COLUMNS_FROM_TRADES == 4
    assert engine.COLUMNS_FROM_TRADES == batches.COLUMNS_FROM_TRADES == before


def test_a_limit_that_names_its_module_is_changed_there_alone():
    with small_limits({"intake.delivery.CATCH_UP_ROWS": 3}):
        assert delivery.CATCH_UP_ROWS == 3
        assert follow.CATCH_UP_ROWS > 3


def test_every_limit_is_one_of_the_engine():
    with small_limits({name: values[0] for name, values in SMALL_LIMITS.items()}):
        assert engine.COLUMNS_FROM_TRADES == SMALL_LIMITS["COLUMNS_FROM_TRADES"][0]


def test_a_limit_that_no_module_has_is_an_error():
    with pytest.raises(AssertionError, match="no module of the engine has NO_SUCH_LIMIT"), small_limits({"NO_SUCH_LIMIT": 1}):
        pass
