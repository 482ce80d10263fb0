"""Philox on the device is the Philox of the host: bits, uniforms, integers; normals to the stated bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad_backends.cupy.kernels import random
from plugrad_backends.numpy.random import PhiloxStream

from .host import Memory, at

SIZES = (0, 1, 2, 3, 5, 1027)


def stream(seed: int, offset: int) -> PhiloxStream:
    made = PhiloxStream(seed)
    made.offset = offset
    return made


@pytest.mark.parametrize(("seed", "offset"), [(0, 0), (7, 3), (2**64 - 1, 2**63), (1, 2**64 - 2)])
def test_bits_and_integers(kernels: Any, memory: Memory, seed: int, offset: int) -> None:
    for n in SIZES:
        y = memory.empty(n, np.uint64)
        random.words(kernels, at(y), n, seed, offset)
        np.testing.assert_array_equal(y, np.random.Philox(key=seed, counter=offset).random_raw(n))
        for low, high in ((0, 10), (-5, 2**40), (-(2**63), 2**63)):
            z = memory.empty(n, np.int64)
            random.integers(kernels, at(z), n, seed, offset, low, high - low)
            np.testing.assert_array_equal(z, stream(seed, offset).randint(low, high, n))
        b = memory.empty(n, bool)
        random.bernoulli(kernels, at(b), n, seed, offset, int(np.ceil(0.3 * 2**53)))
        np.testing.assert_array_equal(b, stream(seed, offset).bernoulli(0.3, n))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 0.1), (1.0, 1.0009765625), (2.0, 2.0)])
def test_uniforms(kernels: Any, memory: Memory, dtype: str, low: float, high: float) -> None:
    units = np.float64 if dtype == "float64" else np.float32
    for n in SIZES:
        y = memory.empty(n, dtype)
        span = float(units(high) - units(low))
        random.uniform(kernels, dtype, at(y), n, 5, 1, low, high, span)
        np.testing.assert_array_equal(y, stream(5, 1).uniform(n, dtype, low, high))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normals(kernels: Any, memory: Memory, dtype: str) -> None:
    n, real = 4097, np.float64 if dtype == "float64" else np.float32
    y = memory.empty(n, dtype)
    random.normal(kernels, dtype, at(y), n, 5, 1, 0.0, 1.0)
    units = stream(5, 1)._units(n + 1, np.dtype(real)).astype(np.float64)
    radius = np.repeat(np.sqrt(-2 * np.log1p(-units[0::2])), 2)[:n]
    bound = radius * (2.0**-49 if dtype == "float64" else 2.0**-20)
    exact = stream(5, 1).normal(n, np.float64) if dtype == "float64" else _exact(units)[:n]
    rounding = np.abs(exact) * 2.0**-11 + 2.0**-25 if dtype == "float16" else 0
    assert (np.abs(y - exact) <= bound + rounding).all()
    random.normal(kernels, dtype, at(y), n, 5, 1, 3.0, 0.5)
    assert (np.abs(y - (exact * 0.5 + 3)) <= bound + 8 * np.finfo(dtype).eps).all()


def _exact(units: np.ndarray) -> np.ndarray:
    radius, angle = np.sqrt(-2 * np.log1p(-units[0::2])), 2 * np.pi * units[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()
