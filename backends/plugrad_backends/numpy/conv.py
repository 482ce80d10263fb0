"""NumPy kernels of `plugrad.ops.conv`, named like the ops.

The windows of an image are a view of it. One copy makes columns of them, and BLAS does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

_HALF = np.dtype(np.float16)
#: How many bytes of columns are made at once: a kernel of k·k makes k·k times the image.
_BLOCK = 1 << 23


def pad(x: np.ndarray, padding: Pads, value: Any = 0) -> np.ndarray:
    """`x` with `value` around its last axes; itself where there is nothing to add."""
    if not any(map(any, padding)):
        return x
    first = x.ndim - len(padding)
    shape = (*x.shape[:first], *(a + n + b for (a, b), n in zip(padding, x.shape[first:])))
    y = np.zeros(shape, x.dtype) if value == 0 else np.full(shape, value, x.dtype)
    y[inside(padding, x.shape[first:])] = x
    return y


def inside(padding: Pads, size: Ints) -> tuple[Any, ...]:
    """The key of what `pad` put padding around."""
    return (..., *(slice(a, a + n) for (a, _), n in zip(padding, size)))


def counts(size: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> Ints:
    """At how many places the kernel stands along each axis."""
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation))


def meetings(
    kernel: Ints, stride: Ints, dilation: Ints, count: Ints
) -> Iterator[tuple[Ints, tuple[Any, ...]]]:
    """Each element of the kernel: its position, and the key of what it meets in the padded image."""
    for position in np.ndindex(*kernel):
        yield (
            position,
            (
                ...,
                *(
                    slice(i * d, i * d + (n - 1) * s + 1, s)
                    for i, d, n, s in zip(position, dilation, count, stride)
                ),
            ),
        )


def windows(x: np.ndarray, kernel: Ints, stride: Ints, dilation: Ints, count: Ints) -> np.ndarray:
    """What each element of the kernel meets: a view of the dense `x`, (N, channels, *kernel, *count)."""
    steps = x.strides[2:]
    strides = (
        *x.strides[:2],
        *(n * d for n, d in zip(steps, dilation)),
        *(n * s for n, s in zip(steps, stride)),
    )
    return np.ndarray((*x.shape[:2], *kernel, *count), x.dtype, x, 0, strides)


def blocks(x: np.ndarray, kernel: Ints, count: Ints) -> Iterator[slice]:
    """The images, as many at a time as make `_BLOCK` bytes of columns."""
    n, channels = x.shape[:2]
    each = channels * math.prod(kernel) * math.prod(count) * x.itemsize
    step = max(_BLOCK // max(each, 1), 1)
    return (slice(i, i + step) for i in range(0, n, step))


def in_single(kernel: Any) -> Any:
    """The kernel of two arrays, on float16 computed in float32: BLAS has no other, and sums are long."""

    def product(x: np.ndarray, y: np.ndarray, *params: Any) -> np.ndarray:
        if x.dtype == _HALF:
            return kernel(x.astype(np.float32), y.astype(np.float32), *params).astype(_HALF)
        return kernel(x, y, *params)

    return product


def convolution(
    x: np.ndarray, weight: np.ndarray, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> np.ndarray:
    x, kernel, outputs = np.ascontiguousarray(pad(x, padding)), weight.shape[2:], weight.shape[0]
    count = counts(x.shape[2:], kernel, stride, dilation)
    y = np.empty((x.shape[0], groups, outputs // groups, math.prod(count)), np.result_type(x, weight))
    if y.size and x.size:
        matrix = weight.reshape(groups, outputs // groups, -1)
        for some in blocks(x, kernel, count):
            columns = windows(x[some], kernel, stride, dilation, count)
            np.matmul(
                matrix, columns.reshape(columns.shape[0], groups, matrix.shape[2], y.shape[3]), out=y[some]
            )
    else:
        y.fill(0)
    return y.reshape(x.shape[0], outputs, *count)


def convolution_transposed(
    x: np.ndarray, weight: np.ndarray, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> np.ndarray:
    n, outputs, *count = x.shape
    kernel, channels = weight.shape[2:], weight.shape[1] * groups
    y = np.zeros((n, channels, *(a + m + b for (a, b), m in zip(padding, size))), np.result_type(x, weight))
    if y.size and x.size:
        matrix = weight.reshape(groups, outputs // groups, -1).mT
        z = x.reshape(n, groups, outputs // groups, -1)
        for some in blocks(y, kernel, tuple(count)):
            columns = np.matmul(matrix, z[some]).reshape(-1, channels, *kernel, *count)
            part = y[some]
            for position, key in meetings(kernel, stride, dilation, tuple(count)):
                part[key] += columns[:, :, *position]
    return np.ascontiguousarray(y[inside(padding, size)]) if any(map(any, padding)) else y


def convolution_weight(
    x: np.ndarray, z: np.ndarray, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> np.ndarray:
    x, (n, outputs, *count) = np.ascontiguousarray(pad(x, padding)), z.shape
    rows = x.shape[1] // groups * math.prod(size)
    y = np.zeros((groups, outputs // groups, rows), np.result_type(x, z))
    if x.size and z.size:
        z = z.reshape(n, groups, outputs // groups, -1)
        for some in blocks(x, size, tuple(count)):
            columns = windows(x[some], size, stride, dilation, tuple(count))
            columns = columns.reshape(columns.shape[0], groups, rows, -1)
            y += np.matmul(z[some], columns.mT).sum(0)
    return y.reshape(outputs, x.shape[1] // groups, *size)


def convolution_biased(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *params: Any) -> np.ndarray:
    y = ConvolutionKernels.convolution(x, weight, *params)
    y += bias.reshape(-1, *(1,) * (x.ndim - 2))
    return y


class ConvolutionKernels:
    """A family of kernels; the backend inherits them all."""

    convolution = staticmethod(in_single(convolution))
    convolution_transposed = staticmethod(in_single(convolution_transposed))
    convolution_weight = staticmethod(in_single(convolution_weight))
    convolution_biased = staticmethod(convolution_biased)
