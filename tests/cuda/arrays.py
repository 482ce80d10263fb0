"""Arrays of every dtype that kernels know, bfloat16 included, for which NumPy has no name: it is kept as uint16."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Units in which results may differ from float64's.
EPSILONS = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 2**-23, "float64": 2**-52}


def stored(values: Any, dtype: str) -> np.ndarray:
    """Numbers in a dtype, rounded to nearest, ties to even."""
    if dtype != "bfloat16":
        return np.asarray(values).astype(dtype)
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def single(array: np.ndarray) -> np.ndarray:
    """The numbers of an array of floats, bfloat16 included, in float64."""
    if array.dtype == np.uint16:
        with np.errstate(invalid="ignore"):  # signalling NaN
            return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return array.astype(np.float64)


def random(shape: tuple[int, ...], dtype: str, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """Normal numbers."""
    return stored(np.random.default_rng(seed).standard_normal(shape) + shift, dtype)


def close(found: np.ndarray, expected: np.ndarray, dtype: str, scale: Any = 1.0, ulps: float = 8) -> None:
    """AssertionError unless all agree to some units in the last place of their dtype, of `scale` or larger."""
    found = single(found)
    assert found.shape == expected.shape
    allowed = ulps * EPSILONS[dtype] * np.maximum(np.abs(expected), scale)
    wrong = ~(np.abs(found - expected) <= allowed)
    if wrong.any():
        i = tuple(np.argwhere(wrong)[0])
        raise AssertionError(
            f"{wrong.sum()} of {wrong.size} differ: found {found[i]}, expected {expected[i]} at {list(map(int, i))}"
        )
