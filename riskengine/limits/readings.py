"""The numbers of all lines at one snapshot."""

import numpy as np

from riskengine.limits.holdings import Number
from riskengine.records.types import BoolArray, FloatArray


class Readings:
    """The numbers of all lines at one snapshot: `value`, NaN where unknown, `whole`, and what decides some of them, by line."""

    __slots__ = ("subjects", "value", "whole")

    def __init__(self, size: int) -> None:
        self.value: FloatArray = np.full(size, np.nan)
        self.whole: BoolArray = np.zeros(size, dtype=np.bool_)
        self.subjects: dict[int, str] = {}

    def put(self, line: int, number: Number) -> None:
        """Set the number of a line."""
        self.value[line], self.whole[line] = number.value, number.whole
        if number.subject:
            self.subjects[line] = number.subject
