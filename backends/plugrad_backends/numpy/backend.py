"""The NumPy backend: memory, and the table of kernels."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np

from plugrad.backend import Backend
from plugrad.dtypes import dtype
from plugrad.errors import DeviceError

from . import kernels
from .random import MT19937Stream, PhiloxStream


class NumPyBackend(kernels.Kernels, Backend):
    """`device("cpu")`: raw arrays are `numpy.ndarray`."""

    device_type = "cpu"
    array_type = np.ndarray
    # Formulas meet these: NumPy's operators make scalars of 0-d results.
    scalar_types: ClassVar[tuple[type, ...]] = (
        np.bool_, np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64,
        np.float16, np.float32, np.float64, np.complex64, np.complex128,
    )  # fmt: skip

    def __init__(self, index: int | None = None) -> None:
        if index:
            raise DeviceError(f"device 'cpu:{index}' is not there: NumPy has one CPU device, 'cpu'")
        super().__init__(index)

    def from_numpy(self, array: np.ndarray) -> np.ndarray:
        return self.lend(array)

    def to_numpy(self, raw: np.ndarray) -> np.ndarray:
        return raw.view()

    def empty(self, shape: tuple[int, ...], dtype: dtype) -> np.ndarray:
        return np.empty(shape, _numpy(dtype))

    def full(self, shape: tuple[int, ...], value: Any, dtype: dtype) -> np.ndarray:
        raw = np.empty(shape, _numpy(dtype))
        raw.fill(value)
        return raw

    def zeros(self, shape: tuple[int, ...], dtype: dtype) -> np.ndarray:
        return np.zeros(shape, _numpy(dtype))

    asarray = staticmethod(np.asarray)

    def copy(self, raw: np.ndarray) -> np.ndarray:
        return np.array(raw, order="C", subok=False)

    def alias(self, raw: np.ndarray) -> np.ndarray:
        return raw.view()

    def lend(self, raw: np.ndarray) -> np.ndarray:
        # An array over a buffer is itself the base of its views; the base of `raw.view()[1:]` would be the owner of `raw`.
        return np.asarray(memoryview(raw))

    def writable(self, raw: np.ndarray) -> bool:
        return raw.flags.writeable

    def can_view(self, raw: np.ndarray, shape: tuple[int, ...]) -> bool:
        if raw.flags.c_contiguous:
            return True
        try:
            np.reshape(raw, shape, copy=False)
        except ValueError:
            return False
        return True

    def owned(self, raw: np.ndarray, holders: int) -> bool:
        if sys.getrefcount(raw) > holders:  # asked first, for `raw.flags` refers to `raw`
            return False
        return raw.base is None and raw.flags.carray

    def rebase(self, raws: list[np.ndarray]) -> list[np.ndarray]:
        owner = raws[0]
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        memory = owner.transpose(sorted(range(owner.ndim), key=owner.strides.__getitem__, reverse=True))
        if not memory.flags.c_contiguous:
            raise DeviceError(
                "rebase: the memory that the tensors share has gaps: write to a .clone() instead"
            )
        memory, start = memory.copy(), owner.__array_interface__["data"][0]

        def moved(r: np.ndarray) -> np.ndarray:
            if not r.size:
                return np.ndarray(r.shape, r.dtype, memory)
            strides = tuple(
                r.itemsize if n == 1 else s for n, s in zip(r.shape, r.strides)
            )  # others may lead outside
            return np.ndarray(r.shape, r.dtype, memory, r.__array_interface__["data"][0] - start, strides)

        return [moved(r) for r in raws]

    def synchronize(self) -> None:
        return None  # NumPy computes at once

    def strides(self, raw: np.ndarray) -> tuple[int, ...]:
        return tuple(s // raw.itemsize for s in raw.strides)

    def span(self, raw: np.ndarray) -> tuple[int, int]:
        return np.lib.array_utils.byte_bounds(raw) if raw.size else (0, 0)

    def data_ptr(self, raw: np.ndarray) -> int:
        return raw.__array_interface__["data"][0]

    def setitem(self, raw: np.ndarray, key: Any, value: Any) -> np.ndarray:
        if key is ... and type(value) in (int, float):
            raw.fill(value)
            return raw
        if type(value) is np.ndarray and np.may_share_memory(raw, value):
            value = value.copy()  # `a[1] = a[:, 2]` reads elements that NumPy has overwritten already
        raw[key] = value
        return raw

    def stream(self, algorithm: str, seed: int) -> MT19937Stream | PhiloxStream:
        return MT19937Stream(seed) if algorithm == "mt19937" else PhiloxStream(seed)

    def writer(self, kernel: Any) -> Any:
        return (
            kernel if isinstance(kernel, np.ufunc) else Backend.writer(self, kernel)
        )  # a ufunc needs no temporary array


def _numpy(dt: dtype) -> np.dtype[Any]:
    if dt.numpy is None:
        raise DeviceError(f"device 'cpu' has no {dt.name}: NumPy lacks it; use float32 or float16")
    return dt.numpy
