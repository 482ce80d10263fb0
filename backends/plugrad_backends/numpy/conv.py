"""NumPy kernels of `plugrad.ops.conv`, named like the ops.

The windows of an image are a view of it. One copy makes columns of them, and BLAS does the rest. Images of many channels
and few columns are taken with the channels last (`conv_last`): NumPy copies and adds along the last axis, and the longer
that is, the faster.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import conv_last
from .sliding import Ints, Pads, blocks, counts, inside, meetings, pad, steps

_HALF = np.dtype(np.float16)


def windows(x: np.ndarray, kernel: Ints, stride: Ints, dilation: Ints, count: Ints) -> np.ndarray:
    """What each element of the kernel meets: a view of the dense `x`, (N, channels, *kernel, *count)."""
    between, apart = steps(x.strides[2:], stride, dilation)
    return np.ndarray((*x.shape[:2], *kernel, *count), x.dtype, x, 0, (*x.strides[:2], *apart, *between))


def in_single(kernel: Any) -> Any:
    """The kernel of two arrays, on float16 computed in float32: BLAS has no other, and sums are long."""

    def product(x: np.ndarray, y: np.ndarray, *params: Any) -> np.ndarray:
        if x.dtype == _HALF:
            return kernel(x.astype(np.float32), y.astype(np.float32), *params).astype(_HALF)
        return kernel(x, y, *params)

    return product


def channels_last(channels: int, count: Ints, groups: int) -> bool:
    """Which of the two layouts is faster, as measured on images of 4 to 224 columns and 1 to 256 channels."""
    return groups == 1 and channels >= 2 * count[-1]


def _check(channels: int, expected: int) -> None:
    """Raise where BLAS would, also for no images at all."""
    if channels != expected:
        raise ValueError(f"the weight is for {expected} channels, found {channels}")


def convolution(
    x: np.ndarray, weight: np.ndarray, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> np.ndarray:
    kernel, outputs, channels = weight.shape[2:], weight.shape[0], x.shape[1]
    _check(channels, weight.shape[1] * groups)
    x = pad(x, padding)
    count = counts(x.shape[2:], kernel, stride, dilation)
    if channels_last(channels, count, groups):
        return conv_last.convolution(x, weight, count, stride, dilation)
    x = np.ascontiguousarray(x)
    y = np.zeros((x.shape[0], groups, outputs // groups, math.prod(count)), np.result_type(x, weight))
    if x.size and y.size:
        matrix = weight.reshape(groups, outputs // groups, -1)
        for some in blocks(x.shape, kernel, count, x.itemsize):
            columns = windows(x[some], kernel, stride, dilation, count)
            columns = columns.reshape(columns.shape[0], groups, matrix.shape[2], y.shape[3])
            np.matmul(matrix, columns, out=y[some])
    return y.reshape(x.shape[0], outputs, *count)


def convolution_transposed(
    x: np.ndarray, weight: np.ndarray, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> np.ndarray:
    n, outputs, *count = x.shape
    _check(outputs, weight.shape[0])
    kernel, channels = weight.shape[2:], weight.shape[1] * groups
    full = tuple(a + m + b for (a, b), m in zip(padding, size))
    if channels_last(channels, x.shape[2:], groups):
        return conv_last.convolution_transposed(x, weight, full, inside(padding, size), stride, dilation)
    y = np.zeros((n, channels, *full), np.result_type(x, weight))
    if x.size and y.size:
        matrix = weight.reshape(groups, outputs // groups, -1).mT
        z = x.reshape(n, groups, outputs // groups, -1)
        for some in blocks(y.shape, kernel, x.shape[2:], y.itemsize):
            part = y[some]
            if channels == groups == outputs:  # a product for each element: no sums, so no matrices
                for position, key in meetings(kernel, stride, dilation, x.shape[2:]):
                    part[key] += x[some] * weight[(slice(None), 0, *position)].reshape(-1, *[1] * len(kernel))
                continue
            columns = np.matmul(matrix, z[some]).reshape(-1, channels, *kernel, *count)
            for position, key in meetings(kernel, stride, dilation, x.shape[2:]):
                part[key] += columns[:, :, *position]
    return np.ascontiguousarray(y[inside(padding, size)]) if any(map(any, padding)) else y


def convolution_weight(
    x: np.ndarray, z: np.ndarray, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> np.ndarray:
    n, outputs, *count = z.shape
    if len(x) != n:
        raise ValueError(f"{len(x)} images do not belong to {n} results")
    x = pad(x, padding)
    if channels_last(x.shape[1], z.shape[2:], groups):
        return conv_last.convolution_weight(x, z, size, stride, dilation)
    x = np.ascontiguousarray(x)
    rows = x.shape[1] // groups * math.prod(size)
    y = np.zeros((groups, outputs // groups, rows), np.result_type(x, z))
    if x.size and z.size:
        z = z.reshape(n, groups, outputs // groups, -1)
        for some in blocks(x.shape, size, tuple(count), x.itemsize):
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
