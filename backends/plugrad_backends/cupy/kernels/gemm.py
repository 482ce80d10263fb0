"""Products of matrices by cuBLAS: `cublasGemmStridedBatchedEx`, with a workspace of our own.

Other than CuPy's `matmul`: no operand is copied that cuBLAS can read as it lies, transposed or with gaps between its
rows; float16 and bfloat16 are multiplied as such in batches too, and summed in float32; nothing is allocated at a call, so a
product can be part of a CUDA graph.

`plan` is arithmetic on shapes and strides alone. cuBLAS stores columns one after the other, so it is asked for the
transposed product: yᵀ = bᵀ aᵀ.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from functools import lru_cache
from typing import Any, NamedTuple

from plugrad.errors import DeviceError

__all__ = ["Call", "Cublas", "Plan", "needs_copy", "plan", "run"]

Ints = tuple[int, ...]

#: cudaDataType of a dtype, and the computation that it is multiplied in.
_TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14, "complex64": 4, "complex128": 5}
_COMPUTE_32F, _COMPUTE_32F_FAST_TF32, _COMPUTE_64F = 68, 77, 70
_WIDE = frozenset(["float64", "complex128"])
DTYPES = frozenset(_TYPES)
WORKSPACE = 32 << 20


class Call(NamedTuple):
    """What one call of cuBLAS is told; offsets are in elements of each array."""

    transposed_b: bool
    transposed_a: bool
    n: int
    m: int
    k: int
    ld_b: int
    step_b: int
    ld_a: int
    step_a: int
    ld_y: int
    step_y: int
    times: int
    at_a: int
    at_b: int
    at_y: int


class Plan(NamedTuple):
    """The result's shape, and the calls that compute it: none where it has no elements, or only zeros (k = 0)."""

    shape: Ints
    calls: tuple[Call, ...]
    zeros: bool


def _layout(rows: int, cols: int, step: int, across: int) -> tuple[bool, int] | None:
    """Whether a matrix is stored transposed, column after column, and how far apart; None where it is neither."""
    if (cols == 1 or across == 1) and (rows == 1 or step >= max(cols, 1)):
        return False, step if rows > 1 else max(cols, 1)
    if (rows == 1 or step == 1) and (cols == 1 or across >= max(rows, 1)):
        return True, across if cols > 1 else max(rows, 1)
    return None


def needs_copy(shape: Ints, strides: Ints) -> bool:
    """Whether cuBLAS cannot read a stack of matrices as it lies, its strides counted in elements.

    >>> needs_copy((3, 4), (4, 1)), needs_copy((3, 4), (1, 3)), needs_copy((3, 4), (20, 1)), needs_copy((3, 4), (8, 2))
    (False, False, False, True)
    """
    return _layout(*shape[-2:], *strides[-2:]) is None


@lru_cache(4096)
def plan(a_shape: Ints, a_strides: Ints, b_shape: Ints, b_strides: Ints) -> Plan:
    """How the product of two stacks of matrices, of which neither needs a copy, is computed.

    The result is dense. Stacks are broadcast without a copy: their step is 0. Errors: RuntimeError where shapes do not fit.

    >>> [call] = plan((8, 5, 3), (15, 3, 1), (3, 4), (4, 1)).calls  # one product of 40 rows
    >>> call.m, call.n, call.k, call.times
    (40, 4, 3, 1)
    """
    (m, k), (k_b, n) = a_shape[-2:], b_shape[-2:]
    if k != k_b:
        raise RuntimeError(
            f"matmul: {list(a_shape)} and {list(b_shape)} cannot be multiplied: {k} columns and {k_b} rows"
        )
    outer = _broadcast(a_shape[:-2], b_shape[:-2])
    shape = (*outer, m, n)
    if not math.prod(shape) or not k:
        return Plan(shape, (), not k)
    layouts = _layout(m, k, *a_strides[-2:]), _layout(k, n, *b_strides[-2:])
    if None in layouts:
        raise RuntimeError(
            "matmul: a stack of matrices must be copied first: its columns and rows both have gaps"
        )
    (transposed_a, ld_a), (transposed_b, ld_b) = layouts  # type: ignore[misc]
    steps = [
        _batch_steps(outer, a_shape[:-2], a_strides[:-2]),
        _batch_steps(outer, b_shape[:-2], b_strides[:-2]),
        list(_dense(shape)[:-2]),
    ]
    sizes, (of_a, of_b, of_y) = _collapsed(outer, steps)
    if len(sizes) == 1 and of_b[0] == 0 and not transposed_a and of_a[0] == m * ld_a:
        m, sizes, of_a, of_y = m * sizes[0], [1], [0], [0]  # the rows of all matrices are those of one
    # The largest dimension of the batch is cuBLAS's, the others are calls.
    inner = max(range(len(sizes)), key=lambda i: sizes[i])
    others = [i for i in range(len(sizes)) if i != inner]
    calls = []
    for place in itertools.product(*[range(sizes[i]) for i in others]):
        at = [sum(p * s[i] for p, i in zip(place, others)) for s in (of_a, of_b, of_y)]
        calls.append(
            Call(
                transposed_b, transposed_a, n, m, k, ld_b, of_b[inner], ld_a, of_a[inner], n, of_y[inner], sizes[inner],
                *at,
            )
        )  # fmt: skip
    return Plan(shape, tuple(calls), False)


def _broadcast(a: Ints, b: Ints) -> Ints:
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    if any(x != y and 1 not in (x, y) for x, y in zip(a, b)):
        raise RuntimeError(f"matmul: stacks of shape {list(a)} and {list(b)} do not broadcast")
    return tuple(y if x == 1 else x for x, y in zip(a, b))


def _batch_steps(outer: Ints, sizes: Ints, strides: Ints) -> list[int]:
    repeated = len(outer) - len(sizes)
    return [0] * repeated + [0 if n == 1 else s for n, s in zip(sizes, strides)]


def _dense(shape: Ints) -> Ints:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _collapsed(sizes: Ints, steps: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """The same walk in as few dimensions as possible, one at least."""
    extents: list[int] = []
    kept: list[list[int]] = [[] for _ in steps]
    for i, n in enumerate(sizes):
        if n == 1:
            continue
        if extents and all(k[-1] == s[i] * n for k, s in zip(kept, steps)):
            extents[-1] *= n
            for k, s in zip(kept, steps):
                k[-1] = s[i]
        else:
            extents.append(n)
            for k, s in zip(kept, steps):
                k.append(s[i])
    return (extents, kept) if extents else ([1], [[0] for _ in steps])


def run(blas: Any, plan: Plan, dtype: str, itemsize: int, a: int, b: int, y: int, tf32: bool = False) -> None:
    """Compute a plan on the arrays at three addresses. `tf32`: float32 may be rounded to 10 bits of fraction first."""
    for c in plan.calls:
        blas.gemm(
            dtype, tf32, c.transposed_b, c.transposed_a, c.n, c.m, c.k, b + c.at_b * itemsize, c.ld_b, c.step_b,
            a + c.at_a * itemsize, c.ld_a, c.step_a, y + c.at_y * itemsize, c.ld_y, c.step_y, c.times,
        )  # fmt: skip


class Cublas:
    """cuBLAS on the current device, by ctypes; its handle and workspace are made at the first product."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self._library = _load()
        self._gemm = self._library.cublasGemmStridedBatchedEx
        i, pointer, long = ctypes.c_int, ctypes.c_void_p, ctypes.c_longlong
        self._gemm.argtypes = (
            pointer, i, i, i, i, i, pointer, pointer, i, i, long, pointer, i, i, long, pointer, pointer, i, i, long, i, i, i,
        )  # fmt: skip
        handle = ctypes.c_void_p()
        self._check(self._library.cublasCreate_v2(ctypes.byref(handle)), "cublasCreate")
        self._handle = handle
        self._workspace = cupy.cuda.alloc(WORKSPACE)
        self._stream: int | None = None
        # 1 and 0 in each type that scales: float, double, and their complex numbers
        self._scales = {
            name: ((real * 2)(1, 0), (real * 2)(0, 0))
            for name in _TYPES
            for real in [ctypes.c_double if name in _WIDE else ctypes.c_float]
        }

    def gemm(
        self, dtype: str, tf32: bool, t_first: bool, t_second: bool, m: int, n: int, k: int, first: int, ld_first: int,
        step_first: int, second: int, ld_second: int, step_second: int, y: int, ld_y: int, step_y: int, count: int,
    ) -> None:  # fmt: skip
        """y = first · second, all stored column after column, `count` times."""
        stream = self._cupy.cuda.get_current_stream().ptr
        if stream != self._stream:
            self._check(
                self._library.cublasSetStream_v2(self._handle, ctypes.c_void_p(stream)), "cublasSetStream"
            )
            # Setting a stream takes the workspace away.
            self._check(
                self._library.cublasSetWorkspace_v2(
                    self._handle, ctypes.c_void_p(self._workspace.ptr), ctypes.c_size_t(WORKSPACE)
                ),
                "cublasSetWorkspace",
            )
            self._stream = stream
        type_ = _TYPES[dtype]
        compute = (
            _COMPUTE_64F
            if dtype in _WIDE
            else _COMPUTE_32F_FAST_TF32
            if tf32 and type_ in (0, 4)
            else _COMPUTE_32F
        )
        one, zero = self._scales[dtype]
        status = self._gemm(
            self._handle, t_first, t_second, m, n, k, ctypes.addressof(one), first, type_, ld_first, step_first,
            second, type_, ld_second, step_second, ctypes.addressof(zero), y, type_, ld_y, step_y, count, compute, -1,
        )  # fmt: skip
        self._check(status, f"cublasGemmStridedBatchedEx of {dtype}, {m} × {k} × {n}, {count} times")

    def _check(self, status: int, what: str) -> None:
        if status:
            raise DeviceError(
                f"{what} failed with status {status}: {_STATUS.get(status, 'see cublas_api.h')}"
            )


_STATUS = {
    1: "cuBLAS was not initialized", 3: "an allocation failed: free GPU memory", 7: "an argument is invalid",
    8: "the GPU lacks a feature that this dtype needs", 13: "the kernel failed", 14: "cuBLAS failed internally",
    15: "cuBLAS does not support this dtype on this GPU",
}  # fmt: skip


def _load() -> Any:
    """The library that CuPy itself uses."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        return ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)
    except Exception as error:  # pathfinder has its own class for what is not found
        raise DeviceError(
            f"products of matrices need cuBLAS, which was not found ({error}): pip install nvidia-cublas"
        ) from None
