"""NumPy kernels of `plugrad.ops.reduce`, named like the ops.

NumPy's functions of these names spend more time on their arguments than on small arrays: hence
`ufunc.reduce`. Of float16 everything is accumulated in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Axes = tuple[int, ...]
_HALF = np.dtype(np.float16)
_WIDE = frozenset(map(np.dtype, (np.float32, np.float64)))
#: NumPy sums these in 64 bits of its own accord.
_SMALL = {np.dtype(t): np.dtype(t) for t in ("int8", "int16", "int32", "uint8", "uint16", "uint32")}


def count(x: Any, axis: Axes | None) -> int:
    """How many elements a reduction over `axis` puts together."""
    return x.size if axis is None else math.prod([x.shape[i] for i in axis])


def in_single(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel, on float16 computed in float32."""

    def reduction(x: Any, *args: Any) -> Any:
        if x.dtype is _HALF:
            return kernel(x.astype(np.float32), *args).astype(_HALF)
        return kernel(x, *args)

    return reduction


def total(x: Any, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The sum."""
    if x.dtype is _HALF:
        return np.add.reduce(x, axis, np.float32, None, keepdims).astype(_HALF)
    return np.add.reduce(x, axis, _SMALL.get(x.dtype), None, keepdims)


def total_of_all(x: Any) -> Any:
    """The sum of all elements, as an array: what a loss ends in."""
    return np.add.reduce(x, None, out=...) if x.dtype in _WIDE else total(x)


def mean(x: Any, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The mean; of nothing it is NaN."""
    if x.dtype is _HALF:
        return mean(x.astype(np.float32), axis, keepdims).astype(_HALF)
    return np.add.reduce(x, axis, None, None, keepdims) / count(x, axis)


def var(x: Any, axis: Axes, correction: float, keepdims: bool) -> Any:
    """The sum of squared deviations by n - correction, or by 0 where that is negative."""
    d = x - mean(x, axis, True)
    squares = d.real**2 + d.imag**2 if d.dtype.kind == "c" else d * d
    return np.add.reduce(squares, axis, None, None, keepdims) / max(count(x, axis) - correction, 0)


def std(x: Any, axis: Axes, correction: float, keepdims: bool) -> Any:
    """The square root of `var`."""
    return np.sqrt(var(x, axis, correction, keepdims))


def logsumexp(x: Any, axis: Axes, keepdims: bool) -> Any:
    """log(sum(exp(x))), with the largest element taken out so that nothing overflows."""
    largest = np.maximum.reduce(x.real, axis, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0).astype(largest.dtype)
    y = np.log(np.add.reduce(np.exp(x - largest), axis, keepdims=True)) + largest
    return y if keepdims else np.squeeze(y, axis)


def vector_norm(x: Any, ord: float, axis: Axes, keepdims: bool) -> Any:
    """The norm of the elements over `axis`."""
    if ord == 2 and x.dtype.kind == "f":
        return np.sqrt(np.add.reduce(x * x, axis, None, None, keepdims))
    size = np.abs(x)
    if ord == 0:
        return np.add.reduce(size != 0, axis, size.dtype, None, keepdims)
    if abs(ord) == math.inf:
        return (np.maximum if ord > 0 else np.minimum).reduce(size, axis, None, None, keepdims)
    return np.add.reduce(size**ord, axis, None, None, keepdims) ** (1 / ord)


def median_all(x: Any) -> Any:
    """The lower median of all elements; NaN if one is NaN, or if there are none."""
    if not x.size:
        return np.full((), np.nan, x.dtype)
    return x.reshape(-1)[argmedian(x.reshape(-1), 0)[0]]


def argmedian(x: Any, axis: int) -> Any:
    """The index of the lower median along `axis`, which stays as 1; of a NaN if there is one."""
    order = np.argsort(x, axis, kind="stable")
    middle = np.take(order, [(x.shape[axis] - 1) // 2], axis)
    missing = np.isnan(x)
    return np.where(missing.any(axis, keepdims=True), missing.argmax(axis, keepdims=True), middle)


class ReduceKernels:
    """A family of kernels; the backend inherits them all."""

    sum, sum_all = staticmethod(total), staticmethod(total_of_all)
    mean = mean_all = staticmethod(mean)
    nansum = staticmethod(
        lambda x, axis, keepdims: total(np.where(np.isnan(x), 0, x).astype(x.dtype), axis, keepdims)
    )
    var = staticmethod(in_single(var))
    std = staticmethod(in_single(std))

    prod = staticmethod(
        in_single(lambda x, axis, keepdims: np.multiply.reduce(x, axis, _SMALL.get(x.dtype), None, keepdims))
    )
    prod_all = staticmethod(in_single(lambda x: np.multiply.reduce(x, None, _SMALL.get(x.dtype))))
    cumulative_sum = staticmethod(in_single(lambda x, axis: np.add.accumulate(x, axis, _SMALL.get(x.dtype))))
    cumulative_prod = staticmethod(
        in_single(lambda x, axis: np.multiply.accumulate(x, axis, _SMALL.get(x.dtype)))
    )

    max = staticmethod(lambda x, axis, keepdims: np.maximum.reduce(x, axis, None, None, keepdims))
    min = staticmethod(lambda x, axis, keepdims: np.minimum.reduce(x, axis, None, None, keepdims))
    max_all = staticmethod(lambda x: np.maximum.reduce(x, None))
    min_all = staticmethod(lambda x: np.minimum.reduce(x, None))
    median_all = staticmethod(median_all)
    argmax = staticmethod(lambda x, axis, keepdims: x.argmax(axis, keepdims=keepdims))
    argmin = staticmethod(lambda x, axis, keepdims: x.argmin(axis, keepdims=keepdims))
    argmedian = staticmethod(argmedian)

    any = staticmethod(lambda x, axis, keepdims: np.logical_or.reduce(x, axis, None, None, keepdims))
    all = staticmethod(lambda x, axis, keepdims: np.logical_and.reduce(x, axis, None, None, keepdims))
    count_nonzero = staticmethod(
        lambda x, axis, keepdims: np.add.reduce(x != 0, axis, np.int64, None, keepdims)
    )

    logsumexp = staticmethod(in_single(logsumexp))
    vector_norm = staticmethod(in_single(vector_norm))
