"""NumPy kernels of `plugrad.ops.pool`, named like the ops.

One pass for each element of the kernel, in place. Masks are counted rather than branched on: `np.where` and `np.copyto`
take five times as long on random ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from plugrad.ops.pool import NO_PADDING, ONES, check_which, divisors, first_maximum, one_axis

from .sliding import Ints, Pads, counts, inside, meetings, pad

# --- maxima ---------------------------------------------------------------------------------------------------


def max_pool2d(x: np.ndarray, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> np.ndarray:
    """The maxima of the rows' elements, then of those along the columns."""
    x = pad(x, padding, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
    for axis in range(2):
        (k, s), (d, _) = one_axis(axis, kernel, stride), one_axis(axis, dilation, ONES)
        y: Any = None
        for _, key in meetings(k, s, d, counts(x.shape[-2:], k, s, d)):
            y = x[key].copy() if y is None else np.maximum(y, x[key], out=y)
        x = y
    return x


def argmax_pool2d(x: np.ndarray, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> np.ndarray:
    """How many elements of a window come before the first that equals the maximum."""
    if x.dtype.kind != "f":  # these have no NaN to put into the padding
        return first_maximum(x, kernel, stride, padding, dilation)
    y = max_pool2d(x, kernel, stride, padding, dilation)
    x, last = pad(x, padding, np.nan), math.prod(kernel)
    which = np.zeros(y.shape, np.uint8 if last < 256 else np.int64)
    missing = np.ones(y.shape, bool)
    places = [key for _, key in meetings(kernel, stride, dilation, y.shape[-2:])]
    for key in places:
        missing &= x[key] != y
        which += missing
    which = which.astype(np.int64)
    if missing.any():  # the maximum is a NaN, which equals nothing
        x = pad(x[inside(padding, tuple(n - a - b for n, (a, b) in zip(x.shape[-2:], padding)))], padding)
        for i, key in enumerate(places):
            which[np.isnan(x[key])] = i
    return which


def _flat(which: np.ndarray, size: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> np.ndarray:
    """Where in the padded images of a `size`, one after the other, the elements are."""
    rows, columns = np.divmod(np.arange(math.prod(kernel)), kernel[1])
    steps = rows * (dilation[0] * size[1]) + columns * dilation[1]
    index = steps[which]
    index += (np.arange(which.shape[-2]) * (stride[0] * size[1]))[:, None]
    index += np.arange(which.shape[-1]) * stride[1]
    index = index.reshape(-1, which.shape[-2] * which.shape[-1])
    index += (np.arange(len(index)) * math.prod(size))[:, None]
    return index


def take_pooled(
    x: np.ndarray, which: np.ndarray, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints
) -> np.ndarray:
    check_which((*x.shape[:-2], *which.shape[-2:]), which.shape)
    x = pad(x, padding)
    return x.reshape(-1)[_flat(which, x.shape[-2:], kernel, stride, dilation)].reshape(which.shape)


def _summed(index: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """`np.bincount` with weights, complex ones too."""
    if values.dtype.kind == "c":
        return np.bincount(index, values.real, size) + 1j * np.bincount(index, values.imag, size)
    return np.bincount(index, values, size)


def embed_pooled(
    x: np.ndarray, which: np.ndarray, size: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints
) -> np.ndarray:
    """Written where windows do not overlap; else summed, in float64."""
    check_which(x.shape, which.shape)
    full = tuple(n + a + b for n, (a, b) in zip(size, padding))
    index, shape = _flat(which, full, kernel, stride, dilation).reshape(-1), (*x.shape[:-2], *full)
    if all(d * (k - 1) < s for k, s, d in zip(kernel, stride, dilation)):
        y = np.zeros(shape, x.dtype)
        y.reshape(-1)[index] = x.reshape(-1)
    else:
        y = _summed(index, x.reshape(-1), math.prod(shape)).astype(x.dtype).reshape(shape)
    return np.ascontiguousarray(y[inside(padding, size)]) if padding != NO_PADDING else y


# --- means ----------------------------------------------------------------------------------------------------


def _each_mean(
    x: np.ndarray, size: Ints, kernel: Ints, stride: Ints, padding: Pads, counted: bool, divisor: int | None
) -> np.ndarray:
    """Sums, an array of the kernel's own, divided in place."""
    by: Any = divisor
    if divisor is None:
        sides: list[Any] = []
        for axis in range(2):
            n, others = divisors(
                size[axis], x.shape[axis - 2], kernel[axis], stride[axis], padding[axis][0], counted
            )
            sides.append(np.full(x.shape[axis - 2], n, x.dtype) if others else n)
            for i, other in others.items():
                sides[axis][i] = other
        rows, columns = sides
        by = (rows[:, None] if np.ndim(rows) else rows) * columns
    return np.divide(x, by, out=x)


def avg_pool2d(
    x: np.ndarray, kernel: Ints, stride: Ints, padding: Pads, count_include_pad: bool, divisor: int | None
) -> np.ndarray:
    size, x = x.shape[-2:], pad(x, padding)
    for axis in range(2):
        k, s = one_axis(axis, kernel, stride)
        y: Any = None
        for _, key in meetings(k, s, ONES, counts(x.shape[-2:], k, s, ONES)):
            y = x[key].copy() if y is None else np.add(y, x[key], out=y)
        x = y
    return _each_mean(x, size, kernel, stride, padding, count_include_pad, divisor)


def avg_unpool2d(
    x: np.ndarray,
    size: Ints,
    kernel: Ints,
    stride: Ints,
    padding: Pads,
    count_include_pad: bool,
    divisor: Any,
) -> np.ndarray:
    x = _each_mean(x.copy(), size, kernel, stride, padding, count_include_pad, divisor)
    full = tuple(n + a + b for n, (a, b) in zip(size, padding))
    for axis in range(2):
        k, s = one_axis(axis, kernel, stride)
        count = x.shape[-2:]
        y = np.zeros((*x.shape[:-2], *((full[0], count[1]) if axis == 0 else full)), x.dtype)
        for _, key in meetings(k, s, ONES, count):
            y[key] += x
        x = y
    return np.ascontiguousarray(x[inside(padding, size)]) if padding != NO_PADDING else x


class PoolKernels:
    """A family of kernels; the backend inherits them all."""

    max_pool2d = staticmethod(max_pool2d)
    argmax_pool2d = staticmethod(argmax_pool2d)
    take_pooled = staticmethod(take_pooled)
    embed_pooled = staticmethod(embed_pooled)
    avg_pool2d = staticmethod(avg_pool2d)
    avg_unpool2d = staticmethod(avg_unpool2d)
