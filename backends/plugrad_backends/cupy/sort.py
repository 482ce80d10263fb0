"""Kernels of `plugrad.ops.sort`, named like the ops."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from . import sync


class SortKernels:
    """A family of kernels; the backend inherits them all."""

    xp: ClassVar[Any]

    def argsort(self, x: Any, axis: int, descending: bool) -> Any:
        """CuPy's sort is stable; backwards from the end is downwards from the start."""
        if not x.ndim:
            return self.xp.zeros((), np.int64)
        if x.dtype.kind in "bV":
            x = x.astype(np.uint8 if x.dtype.kind == "b" else np.float32)
        if not descending:
            return self.xp.argsort(x, axis=axis).astype(np.int64, copy=False)
        backwards = (*(slice(None),) * (axis % x.ndim), slice(None, None, -1))
        order = self.xp.argsort(x[backwards], axis=axis).astype(np.int64, copy=False)[backwards]
        return x.shape[axis] - 1 - order

    def argtopk(self, x: Any, k: int, axis: int, largest: bool) -> Any:
        order = self.argsort(x, axis, largest)
        return order[(slice(None),) * (axis % x.ndim) + (slice(k),)].copy() if x.ndim else order

    def searchsorted(self, x: Any, values: Any, right: bool) -> Any:
        return self.xp.searchsorted(x, values, side="right" if right else "left").astype(np.int64, copy=False)

    def bincount(self, x: Any, weights: Any, minlength: int) -> Any:
        sync.note("bincount, whose result is as long as its values say")
        if weights is not None:
            weights = weights.astype(np.float64)
        return self.xp.bincount(x, weights=weights, minlength=minlength)
