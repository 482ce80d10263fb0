"""Products of matrices: what cuBLAS is asked for, computed by a cuBLAS of NumPy on the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugrad_backends.cupy.kernels import gemm

from .arrays import stored
from .fake_cublas import FakeCublas, _wide
from .host import Memory, at

DTYPES = sorted(gemm.DTYPES)


def strides(x: np.ndarray) -> tuple[int, ...]:
    return tuple(s // x.itemsize for s in x.strides)


def product(
    a: np.ndarray, b: np.ndarray, dtype: str, memory: Memory, blas: Any, tf32: bool = False
) -> np.ndarray:
    made = gemm.plan(a.shape, strides(a), b.shape, strides(b))
    y = memory.empty(made.shape, a.dtype)
    if made.zeros:
        y[...] = 0
    gemm.run(blas, made, dtype, a.itemsize, at(a), at(b), at(y), tf32)
    return y


def check(a: np.ndarray, b: np.ndarray, dtype: str, memory: Memory) -> FakeCublas:
    blas = FakeCublas()
    found = _wide(product(a, b, dtype, memory, blas), dtype)
    wide = np.complex128 if dtype.startswith("complex") else np.float64
    expected = _wide(a, dtype).astype(wide) @ _wide(b, dtype).astype(wide)
    assert found.shape == expected.shape
    tolerance = {"bfloat16": 2**-7, "float16": 2**-9}.get(dtype, 1e-4)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 8)
    return blas


def matrices(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape)
    return stored(x, dtype) if not dtype.startswith("complex") else (x + 1j * x[::-1]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_are_read_as_they_lie(memory: Memory, dtype: str) -> None:
    a, b = memory.array(matrices((4, 3, 5), dtype)), memory.array(matrices((4, 5, 6), dtype, 1))
    wide, tall = memory.array(matrices((4, 5, 3), dtype, 2)), memory.array(matrices((4, 6, 5), dtype, 3))
    for x in (a, wide.transpose(0, 2, 1), wide.transpose(0, 2, 1)[:, :2], a[:, :2, :], a[::2], a[1:2]):
        for y in (b, tall.transpose(0, 2, 1), b[:, :, :4], b[::2], b[0], b[2:3], tall[1].T):
            if x.shape[0] in (1, 4) or y.ndim == 2 or y.shape[0] in (1, x.shape[0]):
                if x.shape[0] == 2 and y.ndim == 3 and y.shape[0] == 4:
                    continue
                if x.shape[0] == 4 and y.ndim == 3 and y.shape[0] == 2:
                    continue
                blas = check(x, y, dtype, memory)
                assert len(blas.calls) == 1


def test_vectors_and_single_rows(memory: Memory) -> None:
    for m, k, n in [(1, 1, 1), (1, 5, 1), (5, 1, 5), (1, 7, 3), (3, 7, 1), (7, 1, 1)]:
        a, b = memory.array(matrices((m, k), "float32")), memory.array(matrices((k, n), "float32", 1))
        for x in (a, np.asfortranarray(a)):
            for y in (b, np.asfortranarray(b)):
                check(x, y, "float32", memory)


def test_batches_that_broadcast_need_no_copy(memory: Memory) -> None:
    a, b = memory.array(matrices((2, 1, 3, 4), "float64")), memory.array(matrices((5, 4, 2), "float64", 1))
    assert len(check(a, b, "float64", memory).calls) == 2
    a = memory.array(matrices((2, 5, 3, 4), "float64"))
    assert len(check(a, b, "float64", memory).calls) == 2
    blas = check(a, b[0], "float64", memory)  # the rows of all matrices are those of one
    assert [call[4:] for call in blas.calls] == [(2, 30, 4, 1)]


def test_nothing_to_sum_and_nothing_at_all(memory: Memory) -> None:
    for shapes in [((3, 0), (0, 4)), ((0, 3), (3, 4)), ((0, 3, 4), (4, 1))]:
        a, b = (memory.array(np.ones(shape)) for shape in shapes)
        blas = FakeCublas()
        np.testing.assert_array_equal(product(a, b, "float64", memory, blas), a @ b)
        assert not blas.calls


def test_what_cannot_be_read_is_told(memory: Memory) -> None:
    x = np.ones((6, 8))[::2, ::2]
    assert gemm.needs_copy(x.shape, strides(x))
    with pytest.raises(RuntimeError, match="must be copied first"):
        gemm.plan(x.shape, strides(x), (4, 2), (2, 1))
    assert gemm.needs_copy((3, 4), (-4, 1)) and gemm.needs_copy((3, 4), (0, 1))
    with pytest.raises(
        RuntimeError, match=r"\[3, 4\] and \[5, 2\] cannot be multiplied: 4 columns and 5 rows"
    ):
        gemm.plan((3, 4), (4, 1), (5, 2), (2, 1))
    with pytest.raises(RuntimeError, match="do not broadcast"):
        gemm.plan((2, 3, 4), (12, 4, 1), (3, 4, 2), (8, 2, 1))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_layouts(data: Any) -> None:
    memory = Memory()
    rank = data.draw(st.integers(0, 3))
    outer = [data.draw(st.integers(1, 3)) for _ in range(rank)]
    m, k, n = (data.draw(st.integers(1, 4)) for _ in range(3))

    def operand(rows: int, cols: int) -> np.ndarray:
        batch = [data.draw(st.sampled_from([1, size])) for size in outer[data.draw(st.integers(0, rank)) :]]
        shape = [*batch, rows, cols]
        order = data.draw(st.permutations(range(len(shape))))
        x = memory.array(matrices(tuple(shape[i] + data.draw(st.integers(0, 1)) for i in order), "float64"))
        return x.transpose(np.argsort(order))[tuple(slice(s) for s in shape)]

    a, b = operand(m, k), operand(k, n)
    a = np.ascontiguousarray(a) if gemm.needs_copy(a.shape, strides(a)) else a
    b = np.ascontiguousarray(b) if gemm.needs_copy(b.shape, strides(b)) else b
    check(a, b, "float64", memory)
    memory.check()


def test_tf32_is_asked_for_only_where_it_is_allowed(memory: Memory) -> None:
    a = memory.array(matrices((3, 3), "float32"))
    for tf32 in (False, True):
        blas = FakeCublas()
        product(a, a, "float32", memory, blas, tf32)
        assert blas.calls[0][1] is tf32
