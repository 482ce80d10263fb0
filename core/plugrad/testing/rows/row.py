"""What a row of the table of ops holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class In:
    """A random array argument: its shape, and the interval (or the values) that it is drawn from."""

    shape: tuple[int, ...] = (2, 3)
    low: float = -2.0
    high: float = 2.0
    dtype: str = "float64"
    distinct: bool = False  # all elements differ by at least 0.01: for max, sort, …

    def make(self, rng: np.random.Generator, dtype: str | None = None) -> np.ndarray:
        """The array, drawn from `rng`; `dtype` takes the place of float64."""
        dt = np.dtype(self.dtype if dtype is None or self.dtype != "float64" else dtype)
        if dt.kind == "b":
            return np.asarray(rng.random(self.shape) < 0.5)
        if self.distinct:
            size = int(np.prod(self.shape))
            values = np.linspace(self.low, self.high, max(size, 1) + 1)[:size]
            x = rng.permutation(values).reshape(self.shape)
        else:
            x = rng.uniform(self.low, self.high, self.shape)
        if dt.kind == "c":
            x = x + 1j * rng.uniform(self.low, self.high, self.shape)
        return np.asarray(np.round(x) if dt.kind in "iu" else x).astype(dt)


@dataclass(frozen=True)
class Sample:
    """One call: array arguments (`In`, or plain values that are passed as they are), then parameters."""

    args: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)


def S(*args: Any, **params: Any) -> Sample:
    """A `Sample`, written shortly."""
    return Sample(args, params)


@dataclass(frozen=True)
class Row:
    """An op's row."""

    op: str  # its name in plugrad.op.OPS
    reference: Callable[..., Any]  # the same on NumPy arrays
    samples: Sequence[Sample]
    dtypes: str = (
        "f d"  # what forward is tried on: f float32, d float64, e float16, l int64, ? bool, F D complex …
    )
    grad: bool = True  # whether it has derivatives
    complex_grad: bool = False  # whether derivatives are tried on complex128, too
    second: bool = True  # whether second order is tried
    special: Sequence[tuple[Any, Any]] = ()  # (arguments, expected): inf, nan, zeros …
    special_grad: Sequence[tuple[Any, Any]] = ()  # ((argument,), the derivative expected of the first)
    errors: Sequence[tuple[Sample, type[Exception], str]] = ()  # call, class, text (regular expression)
    rtol: float = 1e-6

    @property
    def id(self) -> str:
        """What tests call it."""
        return self.op


def elementwise(
    op: str, reference: Callable[..., Any], *intervals: tuple[float, float], **options: Any
) -> Row:
    """The row of an elementwise op: equal shapes, broadcasting, 0-d and empty arrays from the intervals."""
    shapes = {
        1: [((2, 3),), ((),), ((0, 2),)],
        2: [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((), ()), ((0, 2), (2,))],
        3: [((2, 3), (2, 3), (2, 3)), ((2, 1), (3,), ()), ((0, 2), (2,), (1,))],
    }[len(intervals)]
    samples = [S(*(In(s, *i) for s, i in zip(case, intervals, strict=True))) for case in shapes]
    return Row(op, reference, samples, **options)
