"""The CuPy backend: memory, and the table of kernels."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import cupy
import cupyx
import numpy as np

from plugrad import dtypes
from plugrad.backend import Backend, for_device
from plugrad.contract import REQUIRED, defines
from plugrad.errors import DeviceError
from plugrad.op import OPS

from . import detect, elementwise, memory, sync
from .devices import array_type, describe, on, on_device
from .elementwise import ElementwiseKernels
from .index import IndexKernels
from .kernels import members
from .linalg import LinalgKernels
from .ranges import Ranges
from .reduce import ReduceKernels
from .runtime import Runtime
from .shape import ShapeKernels
from .sort import SortKernels

#: Members beside the kernels that allocate, or look at a device.
_ON_DEVICE = (
    *REQUIRED, "full", "zeros", "copy", "alias", "lend", "rebase", "check_range", "from_dlpack",
    "from_interface", "receive", "send", "fetch",
)  # fmt: skip


class CuPyBackend(
    ElementwiseKernels, ReduceKernels, ShapeKernels, IndexKernels, SortKernels, LinalgKernels, Backend
):
    """`device("cuda")`: raw arrays are `cupy.ndarray`."""

    device_type = "cuda"
    array_type: type = cupy.ndarray
    #: CuPy, or in tests what stands in for it.
    xp: ClassVar[Any] = cupy
    xpx: ClassVar[Any] = cupyx
    deterministic_index_add = False
    slow_operators = True
    #: The classes of memory that nobody but CuPy's arrays refers to.
    own_memory: ClassVar[frozenset[str]] = frozenset(
        ("PooledMemory", "Memory", "MemoryAsync", "ManagedMemory")
    )

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        for op, name in elementwise.ALIKE.items():
            setattr(self, op, getattr(self.xp, name))
        memory.install(self.xp)
        if self.xp is cupy:
            members.install(self)
        self.ranges = Ranges(self.xp)
        self._in_flight = memory.InFlight()
        #: What `plugrad.cuda` asks.
        self.runtime = Runtime(self.xp)
        if self.runtime.device_count() > 1:
            self._stay_on(index or 0)
        _MADE.append(self)

    @classmethod
    def locate(cls, which: int | str | None) -> int:
        found = detect.count(cls.xp)
        if which is None:
            return int(cls.xp.cuda.runtime.getDevice())
        if isinstance(which, str) or which >= found:
            raise DeviceError(
                f"device 'cuda:{which}' is not there: the driver sees {found} GPU{'s' if found > 1 else ''}, "
                f"'cuda:0'{f' … cuda:{found - 1}' if found > 1 else ''}"
            )
        return which

    @classmethod
    def current_index(cls) -> int | None:
        return int(cls.xp.cuda.runtime.getDevice()) if detect.count(cls.xp) > 1 else None

    def _stay_on(self, index: int) -> None:
        """Let every member compute on this GPU, whichever is the current one, with arrays of a type of their own."""
        base = type(self).array_type
        self.array_type = array_type(self.xp, base, index)
        for name in {*OPS, *_ON_DEVICE, *(name for name in vars(self) if "_vjp_" in name)}:
            if defines(self, name):
                setattr(self, name, on(self.xp, base, index, getattr(self, name)))
        for name in ("fused", "elementwise_kernel"):
            if defines(self, name):
                setattr(self, name, self._made_on(index, getattr(self, name)))
        if defines(self, "stream"):
            stream = self.stream
            self.stream = lambda *asked: on_device(self.xp, base, index, stream(*asked))  # type: ignore[method-assign]

    def _made_on(self, index: int, make: Callable[..., Any]) -> Callable[..., Any]:
        """A function that makes kernels, which then compute on this GPU."""

        def made(*asked: Any) -> Any:
            kernel = make(*asked)
            if kernel is None:
                return None
            there: Any = on(self.xp, type(self).array_type, index, kernel)
            if hasattr(kernel, "many"):
                there.many = on(self.xp, type(self).array_type, index, kernel.many)
            return there

        return made

    def _raw(self, dt: dtypes.dtype) -> Any:
        if dt not in self.dtypes:
            raise DeviceError(
                f"device {self.device_type!r} has no {dt.name}: use float32 or float16, or install 'ml_dtypes'"
            )
        return dt.numpy or _BFLOAT16

    @classmethod
    def devices(cls) -> list[str]:
        return [describe(cls.xp, index) for index in range(detect.count(cls.xp))]

    # --- memory -------------------------------------------------------------------------------------------------------

    def from_numpy(self, array: np.ndarray) -> Any:
        dtypes.of(array.dtype)
        return self.xp.array(array, order="C")  # by way of pinned memory: the host need not wait

    def to_numpy(self, raw: Any) -> np.ndarray:
        sync.note("a copy to the host")
        host = raw.get()
        self._raise_found()
        return host

    def send(self, array: np.ndarray) -> Any:
        if not (self.is_pinned(array) and array.flags.c_contiguous):
            return self.from_numpy(array)
        raw, stream = self.xp.empty(array.shape, array.dtype), self.xp.cuda.get_current_stream()
        raw.set(array, stream=stream)
        self._in_flight.add(stream, array)
        return raw

    def fetch(self, raw: Any) -> np.ndarray:
        if not raw.size:
            return self.to_numpy(raw)
        array, stream = self.xpx.empty_pinned(raw.shape, raw.dtype), self.xp.cuda.get_current_stream()
        raw.get(stream=stream, out=array, blocking=False)
        self._in_flight.add(stream, array)
        return array

    def pinned(self, array: np.ndarray) -> np.ndarray:
        found = self.xpx.empty_pinned(array.shape, array.dtype)
        found[...] = array
        return found

    def is_pinned(self, array: np.ndarray) -> bool:
        return memory.is_pinned(array)

    def empty(self, shape: tuple[int, ...], dtype: dtypes.dtype) -> Any:
        return self.xp.empty(shape, self._raw(dtype))

    def full(self, shape: tuple[int, ...], value: Any, dtype: dtypes.dtype) -> Any:
        raw = self.xp.empty(shape, self._raw(dtype))
        raw.fill(value)
        return raw

    def zeros(self, shape: tuple[int, ...], dtype: dtypes.dtype) -> Any:
        return self.xp.zeros(shape, self._raw(dtype))

    def copy(self, raw: Any) -> Any:
        return raw.copy()

    def alias(self, raw: Any) -> Any:
        return raw.view()

    def lend(self, raw: Any) -> Any:
        return memory.over(self.xp, raw)

    def from_dlpack(self, array: Any) -> Any:
        return self.xp.from_dlpack(array)  # in the order of the current stream: the exporter sees to that

    def from_interface(self, array: Any) -> Any:
        """A raw array over the memory of an array with CUDA's array interface, whose stream CuPy waits for."""
        raw = self.xp.asarray(array)
        for_device(self.device_type, raw.data.device_id)  # of a GPU, maybe, that nobody has used yet
        return raw

    def receive(self, raw: Any, source: Backend) -> Any:
        """From GPU to GPU: each waits for the other's stream, and the host for neither."""
        cuda = self.xp.cuda
        with self.runtime.on(source.index or 0):
            before = cuda.get_current_stream().record()
        cuda.get_current_stream().wait_event(before)
        copied = raw.copy()  # to the current GPU
        after = cuda.get_current_stream().record()
        with self.runtime.on(source.index or 0):
            cuda.get_current_stream().wait_event(after)  # before the memory may be given out anew
        return copied

    def can_view(self, raw: Any, shape: tuple[int, ...]) -> bool:
        return memory.can_view(raw, shape)

    def owned(self, raw: Any, holders: int) -> bool:
        if sys.getrefcount(raw) > holders:
            return False
        return raw.base is None and raw.flags.c_contiguous and self._is_own(raw)

    def _is_own(self, raw: Any) -> bool:
        """Whether nobody but `raw` itself shows its memory, which is CuPy's."""
        return type(raw.data.mem).__name__ in self.own_memory and memory.holders(raw) <= memory.alone(self.xp)

    def rebase(self, raws: list[Any]) -> list[Any]:
        return memory.moved(self.xp, raws)

    def strides(self, raw: Any) -> tuple[int, ...]:
        return tuple(s // raw.itemsize for s in raw.strides)

    def span(self, raw: Any) -> tuple[int, int]:
        return memory.bounds(raw) if raw.size else (0, 0)

    def data_ptr(self, raw: Any) -> int:
        return raw.data.ptr

    def synchronize(self) -> None:
        sync.note("synchronize")
        self.xp.cuda.runtime.deviceSynchronize()
        self._raise_found()

    def writer(self, kernel: Any) -> Any:
        if not isinstance(kernel, self.xp.ufunc):
            return super().writer(kernel)
        return kernel  # a ufunc takes the array to write into as one more argument

    # --- elements out of range ----------------------------------------------------------------------------------------

    def check_range(self, x: Any, low: int, high: int, error: Callable[[Any], Exception]) -> None:
        if x.size and x.dtype.kind in "fV":
            wrong = (x < low) | (x > high)
            self.ranges.check(wrong.astype(np.int64), 0, 0, error)
        elif x.size:
            self.ranges.check(x, low, high, error)

    def _raise_found(self) -> None:
        """Raise what a kernel noted since values were last read."""
        error = self.ranges.told()
        if error is not None:
            raise error


def _bfloat16() -> Any:
    """The dtype of bfloat16 that CuPy knows; None where the package for it is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    found = np.dtype(ml_dtypes.bfloat16)
    dtypes.register(found, dtypes.bfloat16)
    return found


_BFLOAT16 = _bfloat16()
CuPyBackend.dtypes = frozenset(d for d in dtypes.ALL if d.numpy is not None or _BFLOAT16 is not None)


#: Every backend that was made, for `_after_fork`.
_MADE: list[CuPyBackend] = []


def _after_fork() -> None:
    """In a child of a process that has used the driver: say so, where CUDA would answer with a number."""
    for backend in _MADE:
        for name in ("from_numpy", "to_numpy", "empty", "zeros", "full", "copy"):
            setattr(backend, name, _forked)


def _forked(*args: Any) -> Any:
    detect.check_fork()
    raise AssertionError("not reached: this is a child process")


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
