"""The OpenCL backend: memory, and the table of kernels."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from plugrad.backend import Backend
from plugrad.dtypes import COMPLEX_, dtype, float64
from plugrad.errors import DeviceError

from ..expressions.statements import function_of
from . import host, layout, runtimes
from .arithmetic import ElementwiseKernels
from .array import Array
from .device import Device
from .elementwise import Elementwise
from .indexing import IndexKernels
from .losses import LossKernels
from .matmul import MatmulKernels
from .normalizing import RowKernels
from .pooling import PoolKernels
from .random import PhiloxStream
from .reductions import ReduceKernels
from .scan import ScanKernels
from .shape import ShapeKernels
from .sort import SortKernels
from .windows import WindowKernels

#: Arrays of so many bytes are filled by the runtime, with less ado than by a kernel; larger ones it fills more slowly.
SMALL = 1 << 16

#: The devices in use, by their index.
_devices: dict[int, Device] = {}


class OpenCLBackend(
    IndexKernels,
    SortKernels,
    ShapeKernels,
    WindowKernels,
    PoolKernels,
    MatmulKernels,
    LossKernels,
    RowKernels,
    ScanKernels,
    ReduceKernels,
    ElementwiseKernels,
    Backend,
):
    """`device("opencl:0")`: raw arrays are `plugrad_backends.opencl.array.Array`, of a subclass for each device."""

    device_type = "opencl"
    array_type = Array

    def __init__(self, index: int | None = None) -> None:
        found = runtimes.select(index)
        super().__init__(found.index)
        if found.index not in _devices:
            _devices[found.index] = Device(found, runtimes.capabilities(found))
        self.device = _devices[found.index]
        self.device.functions = self
        self.array_type = self.device.array_type
        vars(self).update(host.kernels(self.device))  # on CPUs; elsewhere the members are missing
        if "fp64" not in self.device.capabilities:
            self.dtypes = frozenset(
                d for d in Backend.dtypes if d is not float64 and (d.category != COMPLEX_ or d.itemsize == 8)
            )

    @classmethod
    def locate(cls, which: int | str | None) -> int | None:
        return runtimes.select(which).index

    @classmethod
    def devices(cls) -> list[str]:
        return [str(found) for found in runtimes.devices()]

    # --- memory -----------------------------------------------------------------------------------------------------

    def from_numpy(self, array: np.ndarray) -> Array:
        raw = self.device.empty(array.shape, self._numpy(array.dtype))
        raw.set(array)
        return raw

    def to_numpy(self, raw: Array) -> np.ndarray:
        return raw.get()

    def _numpy(self, dt: Any) -> np.dtype[Any]:
        found = dt.numpy if isinstance(dt, dtype) else np.dtype(dt)
        if found is None:
            raise DeviceError(f"device 'opencl:{self.index}' has no {dt.name}: use float32 or float16")
        if found.char in "dD" and float64 not in self.dtypes:
            raise DeviceError(
                f"device 'opencl:{self.index}' ({self.device.name}) has no {found}, for it lacks double precision: use float32 "
                "(x.float(), or torch.set_default_dtype), or another device"
            )
        return found

    def empty(self, shape: tuple[int, ...], dtype: dtype) -> Array:
        return self.device.empty(tuple(shape), self._numpy(dtype))

    def full(self, shape: tuple[int, ...], value: Any, dtype: dtype) -> Array:
        raw = self.empty(shape, dtype)
        self._filled(raw, value)
        return raw

    def _filled(self, raw: Array, value: Any) -> None:
        if isinstance(value, complex) or type(value) not in (bool, int, float):
            value = raw.dtype.type(value).item()
        if raw.sig.is_dense and raw.sig.nbytes <= SMALL:
            self.device.fill(raw, value)
        elif isinstance(value, complex):
            Elementwise.into(self._fill_complex, (raw,), value.real, value.imag)
        else:
            self._fill.into((raw,), value)

    def synchronize(self) -> None:
        self.device.synchronize()

    def asarray(self, value: Any) -> Any:
        return value

    def alias(self, raw: Array) -> Array:
        return raw.view(raw.shape, raw.strides, raw.offset)

    def can_view(self, raw: Array, shape: tuple[int, ...]) -> bool:
        return layout.reshaped(raw.sig, shape) is not None

    def owned(self, raw: Array, holders: int) -> bool:
        if sys.getrefcount(raw) > holders or not raw.sig.is_dense:
            return False
        if raw.base is None:
            return True
        # All of an array that nobody else knows: one reference is in `raw`, the other that of the call.
        return sys.getrefcount(raw.base) <= 2 and raw.base.base is None and raw.base.sig.size == raw.sig.size

    def rebase(self, raws: list[Array]) -> list[Array]:
        owner = raws[0] if raws[0].base is None else raws[0].base
        memory = owner.copy()  # an owner is dense, from offset 0 on
        return [type(r)(memory.buffer, r.offset, r.sig, memory) for r in raws]

    def strides(self, raw: Array) -> tuple[int, ...]:
        return raw.strides

    def span(self, raw: Array) -> tuple[int, int]:
        size = raw.dtype.itemsize
        low, high = layout.span(raw.sig, raw.offset)
        start = raw.buffer.int_ptr
        return start + low * size, start + high * size

    def data_ptr(self, raw: Array) -> int:
        return raw.buffer.int_ptr + raw.offset * raw.dtype.itemsize

    def setitem(self, raw: Array, key: Any, value: Any) -> Array:
        part = raw if key is ... or key == () else self._part(raw, key)
        if part is None:
            return self.setitem_at(raw, key, value)
        if isinstance(value, Array):
            self._cast_into(part, value)
        else:
            self._filled(part, self._fitting(value, raw.dtype))
        return raw

    def _fitting(self, value: Any, dtype: np.dtype[Any]) -> Any:
        """A number that is written, as `dtype` has it; OverflowError or ValueError, as of NumPy, for integers that have not."""
        return np.array(value, dtype).item() if dtype.kind in "iu" else value

    def _part(self, raw: Array, key: Any) -> Array | None:
        """The view that a key names; None where it has arrays in it."""
        key = key if isinstance(key, tuple) else (key,)
        if any(hasattr(k, "dtype") or isinstance(k, (list, bool)) for k in key):
            return None
        return raw.basic_index(key)

    def _cast_into(self, out: Array, value: Array) -> None:
        while len(value.shape) > len(out.shape) and value.shape[0] == 1:
            value = value.reshape(value.shape[1:])
        self.copy.into((out,), value)

    def writer(self, kernel: Any) -> Any:
        if isinstance(kernel, Elementwise):

            def write(*args: Any) -> Any:
                kernel.into(args[-1:], *args[:-1])
                return args[-1]

            return write
        return Backend.writer(self, kernel)

    def stream(self, algorithm: str, seed: int) -> PhiloxStream | None:
        return PhiloxStream(self, seed) if algorithm == "philox" else None

    # --- shape and dtype --------------------------------------------------------------------------------------------

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        return x.reshape(tuple(shape))

    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.permute(tuple(axes))

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        return x.broadcast_to(tuple(shape))

    def getitem(self, x: Array, key: tuple[Any, ...]) -> Array:
        return x.basic_index(key)

    def astype(self, x: Array, dtype: dtype) -> Array:
        return self._cast(x, self._numpy(dtype))

    # --- one kernel of a function of kernels ------------------------------------------------------------------------

    def fused(self, name: str, function: Any, inputs: int) -> Elementwise:
        return Elementwise(self.device, name, function, op_by_op=True, inputs=inputs)

    def elementwise_kernel(self, name: str, source: str, inputs: Any, params: Any) -> Elementwise:
        """The kernel of an operator that is declared by C statements."""
        return Elementwise(self.device, name, function_of(name, source, (*inputs, *params)))


__all__ = ["OpenCLBackend"]
