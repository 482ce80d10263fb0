"""The arrays, keys and random numbers that checks work on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .bench import Bench

LARGE = 70_001  # more than 16 bits count, and no multiple of a block

Interval = tuple[float, float]
ANY, POSITIVE = (-3.0, 3.0), (0.1, 4.0)
INF, NAN = np.inf, np.nan

KEYS: list[tuple[tuple[int, ...], tuple[Any, ...]]] = [
    ((3, 4), (1, ...)),
    ((3, 4), (-1, ...)),
    ((3, 4), (slice(0, 3, 2), slice(1, 4), ...)),
    ((3, 4), (slice(0, 3), 2, ...)),
    ((3, 4), (None, slice(1, 1), ...)),
    ((3,), (2, ...)),
    ((2, 3, 4), (slice(0, 2), None, 1, slice(0, 4, 3), ...)),
    ((), (None, ...)),
    ((), (...,)),
    ((2, 0), (slice(0, 2), None, ...)),
]
ADVANCED: list[tuple[tuple[int, ...], tuple[Any, ...]]] = [
    ((2, 3), (np.array([1, 0]), np.array([2, 2]))),
    ((2, 3), (np.array([[True, False, True], [False, False, True]]),)),
    ((2, 4, 3), (slice(None), np.array([3, 0]))),
    ((2, 3), (np.array([], np.int64),)),
]


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape)


def random(
    bench: Bench, shape: tuple[int, ...], dt: np.dtype[Any], low: float, high: float, *key: Any
) -> np.ndarray:
    """Random numbers of a dtype; whole ones from a wider interval for integers, so that few are alike."""
    rng = bench.rng("random", shape, dt, *key)
    if dt.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dt.kind in "iu":
        return rng.integers(0 if dt.kind == "u" or low > 0 else -9, 10, shape).astype(dt)
    x = rng.uniform(low, high, shape)
    return np.asarray(x + 1j * rng.uniform(low, high, shape) if dt.kind == "c" else x).astype(dt)


def computed(f: Callable[..., Any], *args: Any) -> Any:
    """`f` in the next wider floats, in the dtype that NumPy gives it on the arguments."""
    wider = {"e": "f", "f": "d", "F": "D"}
    dt = f(*args).dtype
    wide = [a.astype(wider.get(a.dtype.char, a.dtype)) if isinstance(a, np.ndarray) else a for a in args]
    return np.asarray(f(*wide)).astype(dt)


def extremes(dt: np.dtype[Any]) -> np.ndarray:
    """A 2 × 8 array of the values of a dtype that are easily lost."""
    if dt.kind == "b":
        return np.arange(16).reshape(2, 8) % 3 == 0
    if dt.kind in "iu":
        info = np.iinfo(dt)
        top = [info.min, info.max, info.max - 1, info.max // 2 + 1, 0, 1, 2, 3]
        return np.array([top, top[::-1]], dt)
    if dt.kind == "c":
        parts = extremes(np.dtype(dt.type(0).real.dtype))
        return _complex(parts, dt)
    limits = np.finfo(dt)
    row = [NAN, INF, -INF, -0.0, limits.max, limits.tiny, limits.smallest_subnormal, 1 + limits.eps]
    values = np.array([row, row[::-1]], dt)
    unsigned = np.dtype(f"u{dt.itemsize}")
    values.view(unsigned)[0, 0] |= unsigned.type(5)  # a NaN with a payload
    return values


def _complex(parts: np.ndarray, dt: np.dtype[Any]) -> np.ndarray:
    values = np.empty(parts.shape, dt)
    values.real, values.imag = parts, parts[::-1]
    return values


def sources(dt: np.dtype[Any]) -> dict[str, np.ndarray]:
    """NumPy arrays of a dtype in every shape and layout."""
    x = extremes(dt)
    frozen = x.copy()
    frozen.flags.writeable = False
    return {
        "dense": x,
        "Fortran order": np.asfortranarray(x),
        "every second": x[:, ::2],
        "reversed": x[::-1, ::-1],
        "transposed": x.T,
        "broadcast": np.broadcast_to(x[:, :1], (2, 5)),
        "with an offset": x[1:, 3:],
        "read-only": frozen,
        "0-d": x[0, 3].reshape(()),
        "one element": x[:1, :1],
        "empty": x[:0],
        "empty 3-d": np.empty((2, 0, 3), dt),
    }
