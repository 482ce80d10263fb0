"""NumPy kernels of `plugrad.ops.sort`, named like the ops."""

from __future__ import annotations

import numpy as np


def argsort(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """Stable in both directions: backwards from the end is downwards from the start."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    order = np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    return x.shape[axis] - 1 - order


def argtopk(x: np.ndarray, k: int, axis: int, largest: bool) -> np.ndarray:
    """Partitioned first, so that only `k` are sorted."""
    n = x.shape[axis]
    if not 0 < k < n:
        return np.take(argsort(x, axis, largest), np.arange(k), axis)
    order = np.argpartition(x, n - k if largest else k - 1, axis)
    found = np.take(order, np.arange(n - k, n) if largest else np.arange(k), axis)
    return np.take_along_axis(found, argsort(np.take_along_axis(x, found, axis), axis, largest), axis)


class SortKernels:
    """A family of kernels; the backend inherits them all."""

    argsort = staticmethod(argsort)
    argtopk = staticmethod(argtopk)
    searchsorted = staticmethod(
        lambda x, values, right: np.searchsorted(x, values, "right" if right else "left")
    )
    bincount = staticmethod(lambda x, weights, minlength: np.bincount(x, weights, minlength))
    unique = staticmethod(
        lambda x, axis: np.unique(x, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    )
