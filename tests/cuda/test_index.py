"""Reading and adding by index arrays, run on the CPU, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad_backends.cupy.kernels import index
from plugrad_backends.cupy.kernels.source import NUMBERS

from .arrays import close, random, single
from .host import Memory, at

SHAPES = [(1, 5, 7, 1), (3, 5, 40, 6), (2, 300, 20, 16), (1, 4, 0, 3), (1, 70, 600, 4)]  # outer, n, m, inner


def raw(shape: Any, size: int) -> np.ndarray:
    bytes_ = np.random.default_rng(0).integers(0, 256, (*shape, size), np.uint8)
    return bytes_.view(f"V{size}")[..., 0]


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_reading(kernels: Any, memory: Memory, size: int) -> None:
    for outer, n, m, inner in SHAPES:
        for offset in (0, 1):
            x, rng = (
                memory.array(raw((outer, n, inner), size), offset if size < 16 else 0),
                np.random.default_rng(1),
            )
            y = memory.empty((outer, m, inner), x.dtype)
            indices = memory.array(rng.integers(0, n, m))
            index.take(kernels, size, at(x), at(indices), at(y), outer, n, m, inner)
            assert y.tobytes() == x[:, indices].tobytes()
            each = memory.array(rng.integers(0, n, (outer, m, inner)))
            index.gather(kernels, size, at(x), at(each), at(y), outer, n, m, inner)
            o, _, c = np.ogrid[:outer, :m, :inner]
            assert y.tobytes() == x[o, each, c].tobytes()


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_transposing(kernels: Any, memory: Memory, size: int) -> None:
    for shape in [(1, 1, 1), (2, 33, 31), (3, 5, 70), (1, 64, 32), (0, 3, 3)]:
        x = memory.array(raw(shape, size))
        y = memory.empty((shape[0], shape[2], shape[1]), x.dtype)
        index.transpose(kernels, size, at(x), at(y), *shape)
        assert y.tobytes() == np.ascontiguousarray(x.transpose(0, 2, 1)).tobytes()


@pytest.mark.parametrize("way", ["owned", "sorted"])
@pytest.mark.parametrize("dtype", [d for d in NUMBERS if d != "bool"])
def test_adding(kernels: Any, memory: Memory, way: str, dtype: str) -> None:
    for outer, n, m, inner in SHAPES:
        for skip in (-1, 2):
            rng = np.random.default_rng(1)
            if "float" in dtype:
                x, y = random((outer, m, inner), dtype), random((outer, n, inner), dtype, seed=1)
            else:
                x, y = (rng.integers(0, 3, (outer, k, inner)).astype(dtype) for k in (m, n))
            x, y, indices = memory.array(x), memory.array(y), memory.array(rng.integers(0, n, m))
            kept = indices != skip
            expected, size = single(y).copy(), np.abs(single(y))
            for o in range(outer):
                np.add.at(expected[o], indices[kept], single(x)[o][kept])
                np.add.at(size[o], indices[kept], np.abs(single(x))[o][kept])
            shape = outer, n, m, inner
            if way == "sorted":
                order = memory.array(np.argsort(indices, kind="stable"))
                sorted_ = memory.array(indices[order])
                index.add_sorted(kernels, dtype, at(x), at(sorted_), at(order), at(y), *shape, skip)
            else:
                index.add_owned(kernels, dtype, at(x), at(indices), at(y), *shape, skip)
            if "float" not in dtype:
                np.testing.assert_array_equal(y, expected)
            else:
                close(y, expected, dtype, scale=size, ulps=2)


def test_sums_have_one_order(kernels: Any, memory: Memory) -> None:
    x, indices = memory.array(random((1, 900, 3), "float32")), memory.array(np.arange(900) % 7)
    order = memory.array(np.argsort(indices, kind="stable"))
    sorted_, found = memory.array(indices[order]), []
    for way in ("owned", "sorted"):
        y = memory.array(np.zeros((1, 7, 3), np.float32))
        if way == "owned":
            index.add_owned(kernels, "float32", at(x), at(indices), at(y), 1, 7, 900, 3)
        else:
            index.add_sorted(kernels, "float32", at(x), at(sorted_), at(order), at(y), 1, 7, 900, 3)
        found.append(y.tobytes())
    expected = np.zeros((7, 3), np.float32)
    for j in range(900):
        expected[j % 7] += x[0, j]
    assert found == [expected.tobytes()] * 2


def test_an_index_out_of_range_touches_nothing_of_others(kernels: Any, memory: Memory) -> None:
    x = memory.array(np.arange(1.0, 6.0, dtype=np.float32))
    indices = memory.array(np.array([4, 5, -1, -6, 2**40, -(2**40), 0]))
    y = memory.empty(7, np.float32)
    for read in (index.take, index.gather):
        read(kernels, 4, at(x), at(indices), at(y), 1, 5, 7, 1)
        assert y.tolist() == [5, 1, 5, 1, 1, 1, 1]
    order = memory.array(np.argsort(indices, kind="stable"))
    sorted_ = memory.array(indices[order])
    for way in ("owned", "sorted"):
        z, ones = memory.array(np.zeros(5, np.float32)), memory.array(np.ones(7, np.float32))
        if way == "sorted":
            index.add_sorted(kernels, "float32", at(ones), at(sorted_), at(order), at(z), 1, 5, 7, 1)
        else:
            index.add_owned(kernels, "float32", at(ones), at(indices), at(z), 1, 5, 7, 1)
        assert z.tolist() == [1, 0, 0, 0, 1]
