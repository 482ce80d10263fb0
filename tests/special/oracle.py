"""Derivatives by mpmath, with digits to spare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath as mp

from .rows import Row


def derivative(row: Row, point: Sequence[float], i: int, order: int) -> complex:
    """The derivative in argument `i`, once or twice, by central differences."""
    exact = [mp.mpf(v) for v in point]
    size = abs(exact[i]) or mp.mpf(1e-3)
    # Where a function is steep is known by the size of its argument; the smaller the step, the more digits it takes.
    with mp.workdps(60 + 2 * max(0, int(-mp.log10(size)))):
        step = size * mp.mpf(10) ** -15

        def at(shift: Any) -> Any:
            return row.reference(*exact[:i], exact[i] + shift, *exact[i + 1 :], **row.params)

        if order == 0:
            return complex(at(0))
        if order == 1:
            return complex((at(step) - at(-step)) / (2 * step))
        return complex((at(step) - 2 * at(0) + at(-step)) / (step * step))
