"""Convolutions of one group with the channels as the last axis, into which images are copied, and out of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .sliding import Ints, blocks, meetings, steps


def _last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def _first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def _rows(x: np.ndarray, kernel: Ints, stride: Ints, dilation: Ints, count: Ints) -> np.ndarray:
    """A row (*kernel, channels) for each window of the dense `x`."""
    between, apart = steps(x.strides[1:-1], stride, dilation)
    strides = (x.strides[0], *between, *apart, x.strides[-1])
    rows = np.ndarray((x.shape[0], *count, *kernel, x.shape[-1]), x.dtype, x, 0, strides)
    return rows.reshape(-1, math.prod(kernel) * x.shape[-1])


def _matrix(weight: np.ndarray) -> np.ndarray:
    """A row (*kernel, channels) for each output."""
    return np.moveaxis(weight, 1, -1).reshape(weight.shape[0], -1)


def convolution(x: np.ndarray, weight: np.ndarray, count: Ints, stride: Ints, dilation: Ints) -> np.ndarray:
    kernel, outputs = weight.shape[2:], weight.shape[0]
    some, matrix = blocks(x.shape, kernel, count, x.itemsize), _matrix(weight).T
    x = _last(x)
    y = np.empty((x.shape[0], math.prod(count), outputs), np.result_type(x, weight))
    for n in some:
        np.matmul(_rows(x[n], kernel, stride, dilation, count), matrix, out=y[n].reshape(-1, outputs))
    return _first(y.reshape(x.shape[0], *count, outputs))


def convolution_transposed(
    x: np.ndarray, weight: np.ndarray, full: Ints, key: Any, stride: Ints, dilation: Ints
) -> np.ndarray:
    """The image is what stands at the `key` of one of a `full` size."""
    n, outputs, *count = x.shape
    kernel, channels = weight.shape[2:], weight.shape[1]
    y = np.zeros((n, *full, channels), np.result_type(x, weight))
    matrix, x = _matrix(weight), _last(x)
    for some in blocks((n, channels), kernel, tuple(count), y.itemsize):
        part = y[some]
        rows = np.matmul(x[some].reshape(-1, outputs), matrix).reshape(len(part), *count, *kernel, channels)
        for position, place in meetings(kernel, stride, dilation, tuple(count)):
            part[(*place, slice(None))] += rows[(..., *position, slice(None))]
    return _first(y[(*key, slice(None))])


def convolution_weight(x: np.ndarray, z: np.ndarray, size: Ints, stride: Ints, dilation: Ints) -> np.ndarray:
    outputs, count = z.shape[1], z.shape[2:]
    some, channels = blocks(x.shape, size, count, x.itemsize), x.shape[1]
    x, z = _last(x), _last(z)
    y = np.zeros((outputs, math.prod(size) * channels), np.result_type(x, z))
    for n in some:
        y += np.matmul(z[n].reshape(-1, outputs).T, _rows(x[n], size, stride, dilation, count))
    return _first(y.reshape(outputs, *size, channels))
