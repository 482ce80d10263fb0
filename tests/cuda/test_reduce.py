"""Reductions, run on the CPU, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad_backends.cupy.kernels import reduce
from plugrad_backends.cupy.kernels.source import FLOATS, NUMBERS

from .arrays import close, random, single, stored
from .host import Memory, at

# One warp, one block and several blocks for a result; results next to each other and not; nothing.
SHAPES = [
    (3, 7, 1),
    (1, 600, 1),
    (2, 9001, 1),
    (1, 40_000, 1),
    (2, 5, 40),
    (1, 300, 3),
    (2, 3000, 33),
    (0, 4, 1),
    (2, 0, 3),
]
LONG = np.longdouble  # NumPy adds row to row, where kernels add in trees
REFERENCE = {
    "sum": lambda x: x.sum(1, LONG), "prod": lambda x: x.prod(1), "mean": lambda x: x.mean(1, LONG),
    "sum_squares": lambda x: (x * x).sum(1, LONG), "max": lambda x: x.max(1), "min": lambda x: x.min(1),
    "argmax": lambda x: x.argmax(1), "argmin": lambda x: x.argmin(1), "any": lambda x: x.any(1), "all": lambda x: x.all(1),
}  # fmt: skip


def reduced(kernels: Any, memory: Memory, op: str, dtype: str, x: np.ndarray, result: Any) -> np.ndarray:
    y = memory.empty((x.shape[0], x.shape[2]), result)
    reduce.reduce(kernels, op, dtype, at(x), at(y), *x.shape, lambda n: at(memory.empty(n, np.uint8)))
    return y


def integers(shape: Any, dtype: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["sum", "mean", "sum_squares"])
def test_sums(kernels: Any, memory: Memory, op: str, dtype: str) -> None:
    for shape in SHAPES:
        if op == "mean" and not shape[1]:
            continue
        x = memory.array(random(shape, dtype))
        y = reduced(kernels, memory, op, dtype, x, x.dtype)
        size = np.abs(single(x)).sum(1) if op != "sum_squares" else (single(x) ** 2).sum(1)
        close(y, REFERENCE[op](single(x)), dtype, scale=size / (shape[1] if op == "mean" else 1), ulps=8)


@pytest.mark.parametrize("dtype", FLOATS)
def test_products(kernels: Any, memory: Memory, dtype: str) -> None:
    for shape in SHAPES:
        x = memory.array(stored(1 + np.random.default_rng(0).choice([-1, 1], shape) / (shape[1] + 1), dtype))
        close(
            reduced(kernels, memory, "prod", dtype, x, x.dtype),
            REFERENCE["prod"](single(x)),
            dtype,
            ulps=8 + shape[1],
        )


@pytest.mark.parametrize("dtype", [d for d in NUMBERS if d not in FLOATS])
@pytest.mark.parametrize("op", ["sum", "prod", "max", "min", "argmax", "argmin"])
def test_integers(kernels: Any, memory: Memory, op: str, dtype: str) -> None:
    for shape in SHAPES:
        if "m" in op[:4] and op != "sum" and not shape[1]:
            continue
        x = integers(shape, dtype)
        x = memory.array(x - x.dtype.type(50) if dtype.startswith("int") else x)
        wide = x.astype(np.int64)
        result = x.dtype if op in ("max", "min") else np.int64
        np.testing.assert_array_equal(
            reduced(kernels, memory, op, dtype, x, result), REFERENCE[op](wide).astype(result)
        )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["max", "min", "argmax", "argmin"])
def test_extrema(kernels: Any, memory: Memory, op: str, dtype: str) -> None:
    for shape in [s for s in SHAPES if s[1]]:
        values = random(shape, "float64").round(1)  # many are equal
        values[:, ::97] = np.inf if "max" not in op else -np.inf
        x = memory.array(stored(values, dtype))
        y = reduced(kernels, memory, op, dtype, x, np.int64 if op.startswith("arg") else x.dtype)
        expected = REFERENCE[op](single(x))
        np.testing.assert_array_equal(y if op.startswith("arg") else single(y), expected)
        values[:, shape[1] // 2 :: 13] = np.nan
        x = memory.array(stored(values, dtype))
        y = reduced(kernels, memory, op, dtype, x, np.int64 if op.startswith("arg") else x.dtype)
        np.testing.assert_array_equal(y if op.startswith("arg") else single(y), REFERENCE[op](single(x)))


@pytest.mark.parametrize("op", ["any", "all"])
def test_truth(kernels: Any, memory: Memory, op: str) -> None:
    for shape in SHAPES:
        for chance in (0.0, 0.001, 0.999, 1.0):
            x = memory.array(np.random.default_rng(0).random(shape) < chance)
            np.testing.assert_array_equal(reduced(kernels, memory, op, "bool", x, bool), REFERENCE[op](x))


def test_an_address_that_vectors_cannot_start_at(kernels: Any, memory: Memory) -> None:
    for offset in (0, 1):
        x = memory.array(random((2, 4096, 1), "float32"), offset)
        close(reduced(kernels, memory, "sum", "float32", x, x.dtype), single(x).sum(1), "float32", scale=200)
