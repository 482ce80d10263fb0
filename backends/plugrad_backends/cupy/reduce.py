"""Kernels of `plugrad.ops.reduce`, named like the ops."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

import numpy as np

Axes = tuple[int, ...]


def _kept(x: Any, axis: Axes, keepdims: bool) -> tuple[int, ...]:
    """The shape of a reduction's result."""
    dropped = {a % x.ndim for a in axis}
    return tuple(1 if i in dropped else n for i, n in enumerate(x.shape) if keepdims or i not in dropped)


def _whole(x: Any) -> np.dtype[Any] | None:
    """The dtype in which integers and bools are summed."""
    return np.dtype(np.int64) if x.dtype.kind in "biu" else None


def _in_single(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel, on floats of 16 bits computed in float32."""

    @wraps(kernel)
    def reduction(self: Any, x: Any, *args: Any) -> Any:
        if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
            return kernel(self, x.astype(np.float32), *args).astype(x.dtype)
        return kernel(self, x, *args)

    return reduction


class ReduceKernels:
    """A family of kernels; the backend inherits them all."""

    xp: ClassVar[Any]

    def sum(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        if not axis:
            return x.astype(_whole(x) or x.dtype)
        return self.xp.sum(x, axis=axis, dtype=_whole(x), keepdims=keepdims)  # of float16 in float32

    def sum_all(self, x: Any) -> Any:
        return self.xp.sum(x, dtype=_whole(x))

    def mean(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.xp.mean(x, axis=axis, keepdims=keepdims) if axis else x.copy()

    def mean_all(self, x: Any) -> Any:
        return self.xp.mean(x)

    def prod(self, x: Any, axis: int, keepdims: bool) -> Any:
        if not x.ndim:
            return x.astype(_whole(x) or x.dtype)
        return self.xp.prod(x, axis=axis, dtype=_whole(x), keepdims=keepdims)

    def prod_all(self, x: Any) -> Any:
        return self.xp.prod(x, dtype=_whole(x))

    @_in_single
    def cumulative_sum(self, x: Any, axis: int) -> Any:
        return self.xp.cumsum(x.reshape(x.shape or (1,)), axis=axis, dtype=_whole(x)).reshape(x.shape)

    @_in_single
    def cumulative_prod(self, x: Any, axis: int) -> Any:
        return self.xp.cumprod(x.reshape(x.shape or (1,)), axis=axis, dtype=_whole(x)).reshape(x.shape)

    # Of nothing there is no greatest element; CuPy says so even where the result is empty itself.

    def max(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        if not axis:
            return x.copy()
        if not x.size and 0 not in (x.shape[a] for a in axis):
            return self.xp.empty(_kept(x, axis, keepdims), x.dtype)
        return self.xp.amax(x, axis=axis, keepdims=keepdims)

    def min(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        if not axis:
            return x.copy()
        if not x.size and 0 not in (x.shape[a] for a in axis):
            return self.xp.empty(_kept(x, axis, keepdims), x.dtype)
        return self.xp.amin(x, axis=axis, keepdims=keepdims)

    def max_all(self, x: Any) -> Any:
        return self.xp.amax(x)

    def min_all(self, x: Any) -> Any:
        return self.xp.amin(x)

    def argmax(self, x: Any, axis: int | None, keepdims: bool) -> Any:
        return self._extreme(self.xp.argmax, x, axis, keepdims)

    def argmin(self, x: Any, axis: int | None, keepdims: bool) -> Any:
        return self._extreme(self.xp.argmin, x, axis, keepdims)

    def _extreme(self, function: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else (axis,) if x.ndim else ()
        shape = _kept(x, axes, keepdims)
        if not x.size and 0 not in (x.shape[a] for a in axes):
            return self.xp.empty(shape, np.int64)
        y = function(
            x.reshape(-1) if axis is None or not x.ndim else x, axis=0 if axis is None or not x.ndim else axis
        )
        return y.astype(np.int64, copy=False).reshape(shape)

    def any(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.xp.any(x != 0, axis=axis, keepdims=keepdims) if axis else x != 0

    def all(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.xp.all(x != 0, axis=axis, keepdims=keepdims) if axis else x != 0

    def count_nonzero(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.sum(x != 0, axis, keepdims)
