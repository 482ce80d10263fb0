"""Convolution's columns and pools, run on the CPU, against the NumPy backend's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad_backends.cupy.kernels import windows
from plugrad_backends.cupy.kernels.source import FLOATS
from plugrad_backends.cupy.kernels.windows import Windows
from plugrad_backends.numpy import pool
from plugrad_backends.numpy.sliding import counts

from .arrays import close, random, single, stored
from .host import Memory, at

# planes, size, kernel, stride, padding (before, after), dilation
CASES = [
    (2, (5, 6), (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    (3, (7, 7), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    (2, (8, 5), (2, 3), (3, 1), ((1, 0), (0, 1)), (2, 1)),
    (1, (9, 9), (2, 2), (2, 2), ((0, 1), (0, 1)), (1, 1)),
    (0, (4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
]


def described(case: Any) -> tuple[int, Windows]:
    planes, (h, w), kernel, stride, padding, dilation = case
    oh, ow = counts((h + sum(padding[0]), w + sum(padding[1])), kernel, stride, dilation)
    return planes, Windows(h, w, *kernel, *stride, padding[0][0], padding[1][0], *dilation, oh, ow)


def columns_of(x: np.ndarray, k: Windows) -> np.ndarray:
    """By index arrays."""
    i, j, p, q = np.ogrid[: k.kh, : k.kw, : k.oh, : k.ow]
    rows, cols = p * k.sh + i * k.dh - k.ph, q * k.sw + j * k.dw - k.pw
    inside = (rows >= 0) & (rows < k.h) & (cols >= 0) & (cols < k.w)
    return np.where(inside, x[:, np.clip(rows, 0, k.h - 1), np.clip(cols, 0, k.w - 1)], 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_columns(kernels: Any, memory: Memory, dtype: str, case: Any) -> None:
    planes, k = described(case)
    x = memory.array(random((planes, k.h, k.w), dtype))
    y = memory.empty((planes, k.kh, k.kw, k.oh, k.ow), x.dtype)
    windows.im2col(kernels, dtype, at(x), at(y), planes, k)
    np.testing.assert_array_equal(single(y), columns_of(single(x), k))
    g, dx = memory.array(random(y.shape, dtype, seed=1)), memory.empty(x.shape, x.dtype)
    windows.col2im(kernels, dtype, at(g), at(dx), planes, k)
    # <im2col(e), g> over unit images e is the transpose
    units = np.eye(k.h * k.w).reshape(-1, k.h, k.w)
    expected = np.einsum("eijpq,nijpq->ne", columns_of(units, k), single(g)).reshape(x.shape)
    close(dx, expected, dtype, scale=4)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_maxima(kernels: Any, memory: Memory, dtype: str, case: Any) -> None:
    planes, k = described(case)
    values = stored(np.random.default_rng(0).integers(-2, 2, (planes, k.h, k.w)), dtype)
    for missing in (False, True):
        x = memory.array(values)
        if missing and planes:
            x[:, 1::3, ::4] = stored(np.nan, dtype)
        y, which = memory.empty((planes, k.oh, k.ow), x.dtype), memory.empty((planes, k.oh, k.ow), np.int64)
        windows.max_pool(kernels, dtype, at(x), at(y), at(which), planes, k)
        where = case[2:]
        np.testing.assert_array_equal(single(y), pool.max_pool2d(single(x), *where))
        np.testing.assert_array_equal(which, pool.argmax_pool2d(single(x), *where))
    x, z = memory.array(random((planes, k.h, k.w), dtype)), memory.empty(y.shape, y.dtype)
    windows.take_pooled(kernels, dtype, at(x), at(which), at(z), planes, k)
    np.testing.assert_array_equal(single(z), pool.take_pooled(single(x), which, *where))
    g, dx = memory.array(random(y.shape, dtype)), memory.empty(x.shape, x.dtype)
    windows.embed_pooled(kernels, dtype, at(g), at(which), at(dx), planes, k)
    close(dx, pool.embed_pooled(single(g), which, (k.h, k.w), *where), dtype, scale=4)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_means(kernels: Any, memory: Memory, dtype: str, case: Any) -> None:
    case = (*case[:5], (1, 1))
    planes, k = described(case)
    x, g = (
        memory.array(random((planes, k.h, k.w), dtype)),
        memory.array(random((planes, k.oh, k.ow), dtype, seed=1)),
    )
    y, dx = memory.empty(g.shape, x.dtype), memory.empty(x.shape, x.dtype)
    for counted, divisor in ((True, None), (False, None), (True, 3)):
        windows.avg_pool(kernels, dtype, at(x), at(y), planes, k, counted, divisor)
        close(y, pool.avg_pool2d(single(x), *case[2:5], counted, divisor), dtype, scale=4)
        windows.avg_unpool(kernels, dtype, at(g), at(dx), planes, k, counted, divisor)
        close(dx, pool.avg_unpool2d(single(g), (k.h, k.w), *case[2:5], counted, divisor), dtype, scale=4)
