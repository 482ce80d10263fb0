"""Composites of `plugrad.ops.reduce`. As in `sum`, what is float16 is accumulated in float32, and integers in int64."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from .. import dtypes
from .elementwise import category
from .shape import part

Axes = tuple[int, ...]


def _all(x: Any) -> Axes:
    return tuple(range(len(x.shape)))


def _count(x: Any, axis: Axes) -> int:
    return math.prod(x.shape[i] for i in axis)


def _accumulated(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel with narrow numbers taken in a wider dtype; float16 comes back as float16."""

    @wraps(kernel)
    def wide(self: Any, x: Any, *args: Any) -> Any:
        dt = dtypes.of(x.dtype)
        if dt in (dtypes.float16, dtypes.bfloat16):
            return self.astype(kernel(self, self.astype(x, dtypes.float32), *args), dt)
        if dt.category < dtypes.FLOAT and dt is not dtypes.int64:
            x = self.astype(x, dtypes.int64)
        return kernel(self, x, *args)

    return wide


def _scan(self: Any, x: Any, axis: int, combine: Callable[[Any, Any], Any]) -> Any:
    """The running combination along an axis, by doubling."""
    if not x.shape:
        return x
    n, step = x.shape[axis], 1
    while step < n:
        low, high = part(self, x, axis, 0, n - step), part(self, x, axis, step, n)
        x = self.concat([part(self, x, axis, 0, step), combine(high, low)], axis)
        step *= 2
    return x


class ReduceComposites:
    """A family of composites."""

    def sum_all(self: Any, x: Any) -> Any:
        return self.sum(x, _all(x), False)

    @_accumulated
    def mean(self: Any, x: Any, axis: Axes | None = None, keepdims: bool = False) -> Any:
        axis = _all(x) if axis is None else axis
        count = _count(x, axis)
        total = self.sum(x, axis, keepdims)
        return total / count if count else total * math.nan

    mean_all = mean

    def nansum(self: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.sum(self.where(x != x, 0, x), axis, keepdims)

    @_accumulated
    def var(self: Any, x: Any, axis: Axes, correction: float, keepdims: bool) -> Any:
        d = x - self.mean(x, axis, True)
        if category(x) == dtypes.COMPLEX_:
            re, im = self.real(d), self.imag(d)
            squares = re * re + im * im
        else:
            squares = d * d
        total, count = self.sum(squares, axis, keepdims), _count(x, axis) - correction
        return total / count if count > 0 else total / (total * 0)

    def std(self: Any, x: Any, axis: Axes, correction: float, keepdims: bool) -> Any:
        return self.sqrt(self.var(x, axis, correction, keepdims))

    # --- products and scans -----------------------------------------------------------------------------------------

    @_accumulated
    def prod(self: Any, x: Any, axis: int, keepdims: bool) -> Any:
        if not x.shape:
            return x
        n = x.shape[axis]
        if not n:
            shape = tuple(1 if i == axis else m for i, m in enumerate(x.shape))
            x, n = self.full(shape, 1, dtypes.of(x.dtype)), 1
        while n > 1:
            half = n // 2
            y = part(self, x, axis, 0, half) * part(self, x, axis, half, 2 * half)
            x = self.concat([y, part(self, x, axis, 2 * half, n)], axis) if n % 2 else y
            n = half + n % 2
        return x if keepdims else self.reshape(x, tuple(m for i, m in enumerate(x.shape) if i != axis))

    def prod_all(self: Any, x: Any) -> Any:
        return self.prod(self.reshape(x, (math.prod(x.shape),)), 0, False)

    @_accumulated
    def cumulative_sum(self: Any, x: Any, axis: int) -> Any:
        return _scan(self, x, axis, self.add)

    @_accumulated
    def cumulative_prod(self: Any, x: Any, axis: int) -> Any:
        return _scan(self, x, axis, self.multiply)

    # --- extrema ----------------------------------------------------------------------------------------------------

    def min(self: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self._turned(self.max(self._turned(x), axis, keepdims))

    def _turned(self: Any, x: Any) -> Any:
        """`x` in the opposite order: `-x` would overflow for integers."""
        return -x if category(x) == dtypes.FLOAT else ~x

    def max_all(self: Any, x: Any) -> Any:
        return self.max(x, _all(x), False)

    def min_all(self: Any, x: Any) -> Any:
        return self.min(x, _all(x), False)

    def argmin(self: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
        return self.argmax(self._turned(x), axis, keepdims)

    def argmedian(self: Any, x: Any, axis: int) -> Any:
        middle = part(self, self.argsort(x, axis, False), axis, (x.shape[axis] - 1) // 2)
        if category(x) < dtypes.FLOAT:
            return middle
        missing = self.astype(x != x, dtypes.int64)
        return self.where(self.max(missing, (axis,), True) == 1, self.argmax(missing, axis, True), middle)

    def median_all(self: Any, x: Any) -> Any:
        n = math.prod(x.shape)
        if not n:
            return self.full((), math.nan, dtypes.of(x.dtype))
        flat = self.reshape(x, (n,))
        return self.reshape(self.take(flat, self.argmedian(flat, 0), 0), ())

    # --- truth ------------------------------------------------------------------------------------------------------

    def count_nonzero(self: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.sum(self.astype(self._truth(x), dtypes.int64), axis, keepdims)

    def any(self: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.count_nonzero(x, axis, keepdims) > 0

    def all(self: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
        return self.count_nonzero(self.logical_not(x), axis, keepdims) == 0

    # --- exponentials and norms ---------------------------------------------------------------------------------------

    @_accumulated
    def logsumexp(self: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
        if not _count(x, axis):
            return self.log(self.sum(x, axis, keepdims))
        largest = self.max(self.real(x), axis, True)
        largest = self.where(self.abs(largest) < math.inf, largest, 0.0)
        y = self.log(self.sum(self.exp(x - largest), axis, True)) + largest
        return y if keepdims else self.squeeze(y, axis)

    @_accumulated
    def vector_norm(self: Any, x: Any, ord: float, axis: Axes, keepdims: bool) -> Any:
        size = self.abs(x)
        if ord == 0:
            return self.sum(self.astype(size != 0, dtypes.of(size.dtype)), axis, keepdims)
        if abs(ord) == math.inf:
            return self.max(size, axis, keepdims) if ord > 0 else self.min(size, axis, keepdims)
        if ord == 2:
            return self.sqrt(self.sum(size * size, axis, keepdims))
        return self.pow(self.sum(self.pow(size, float(ord)), axis, keepdims), 1.0 / ord)
