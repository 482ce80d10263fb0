"""The device "cuda_kernels": `CuPyBackend` with plugrad's own kernels, on real arrays of CuPy's over the host's memory.

All that `kernels.members` has runs as the CUDA source that a GPU would run; what CuPy itself would compute, NumPy does, on the
same memory. So the whole core, its formulas, fused kernels and optimizers included, drives plugrad's own kernels and launcher.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from plugrad import kernels
from plugrad.backend import Backend, for_device
from plugrad.op import OPS
from plugrad.plugins import BackendSpec, hookimpl
from plugrad_backends.cupy.backend import CuPyBackend
from plugrad_backends.cupy.devices import _OPERATORS
from plugrad_backends.cupy.kernels import members
from plugrad_backends.cupy.kernels.launch import Kernels

from . import cupy_on_host
from .fake_cublas import FakeCublas
from .host import HostDriver


class HostArray(cupy.ndarray):
    """CuPy's array, whose operators are the members of the backend."""

    __slots__ = ()

    def copy(self, order: str = "C") -> Any:
        return on_host(np.array(cupy_on_host.to_numpy(self), order="C"))


def on_host(array: np.ndarray) -> Any:
    raw = cupy_on_host.on_host(array)
    raw.__class__ = HostArray
    return raw


def empty(shape: Any, dtype: Any) -> Any:
    raw = cupy_on_host.empty(shape, dtype)
    raw.__class__ = HostArray
    return raw


class HostCuPy:
    """What the backend asks of CuPy itself and no kernel is needed for."""

    ndarray, ufunc, cuda, empty = HostArray, cupy.ufunc, cupy.cuda, staticmethod(empty)
    broadcast_to = staticmethod(cupy.broadcast_to)


def _folder() -> Path:
    """Where libraries are kept: of this user alone."""
    folder = Path(tempfile.gettempdir()) / f"plugrad-cuda-on-host-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


class HostDevice:
    """Instead of `members.Device`."""

    def __init__(self, folder: Path) -> None:
        found, blas = Kernels(HostDriver(folder)), FakeCublas()
        self.kernels, self.blas, self.empty, self.array_type = lambda: found, lambda: blas, empty, HostArray
        self.cudnn: Any = lambda: None

    def argsort(self, x: Any) -> Any:
        return on_host(np.argsort(cupy_on_host.to_numpy(x), kind="stable"))

    def truth(self, x: Any) -> bool:
        return bool(cupy_on_host.to_numpy(x))


#: Members of `CuPyBackend` that only look at an array.
_VIEWS = frozenset(name for name, op in OPS.items() if getattr(op, "view", False))
CPU: Any = for_device("cpu")


def _there(value: Any) -> Any:
    if isinstance(value, HostArray):
        return cupy_on_host.to_numpy(value)
    return type(value)(map(_there, value)) if type(value) in (tuple, list) else value


def _here(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return on_host(np.array(value, order="C"))
    return type(value)(map(_here, value)) if type(value) in (tuple, list) else value


def _by_numpy(name: str) -> Any:
    def member(*args: Any) -> Any:
        return _here(kernels.find(OPS[name], CPU)[0](*map(_there, args)))

    return member


class KernelsBackend(CuPyBackend):
    """See above."""

    device_type, array_type, xp = "cuda_kernels", HostArray, HostCuPy
    own_memory = frozenset(["UnownedMemory"])
    deterministic_index_add = True

    def __init__(self, index: int | None = None) -> None:
        Backend.__init__(self, index)
        for name in OPS:
            if name not in _VIEWS and inspect.getattr_static(CuPyBackend, name, None) is not None:
                setattr(self, name, _by_numpy(name))
        members.install(self, HostDevice(_folder()))

    locate = classmethod(lambda cls, which: which)  # type: ignore[assignment]
    current_index = classmethod(lambda cls: None)  # type: ignore[assignment]
    devices = classmethod(lambda cls: ["cuda_kernels"])  # type: ignore[assignment]
    check_range = Backend.check_range

    def from_numpy(self, array: np.ndarray) -> Any:
        return on_host(np.array(array, order="C"))

    def to_numpy(self, raw: Any) -> np.ndarray:
        return np.array(cupy_on_host.to_numpy(raw))

    def full(self, shape: Any, value: Any, dtype: Any) -> Any:
        return on_host(np.full(shape, value, self._raw(dtype)))

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return on_host(np.zeros(shape, self._raw(dtype)))

    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        CPU.setitem(cupy_on_host.to_numpy(raw), _there(key), _there(value))
        return raw

    def diagonal(self, x: Any, offset: int, axis1: int, axis2: int) -> Any:
        rows, cols = x.shape[axis1], x.shape[axis2]
        if -rows < offset < cols:
            return x.diagonal(offset, axis1, axis2)
        kept = [n for i, n in enumerate(x.shape) if i not in (axis1 % x.ndim, axis2 % x.ndim)]
        return empty((*kept, 0), x.dtype)  # CuPy allocates

    def synchronize(self) -> None:
        pass


def _operator(name: str, member: str, swapped: bool) -> Any:
    def method(self: Any, other: Any = None) -> Any:
        backend: Any = for_device("cuda_kernels")
        if other is None:
            return getattr(backend, member)(self)
        return getattr(backend, member)(*((other, self) if swapped else (self, other)))

    method.__name__ = name
    return method


_MEMBERS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift", "neg": "negative", "invert": "bitwise_invert", "abs": "abs",
    "pos": "positive", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
for _name in _OPERATORS:
    _plain = _name.strip("_")
    if _plain in _MEMBERS:
        setattr(HostArray, _name, _operator(_name, _MEMBERS[_plain], False))
    elif _plain[0] == "r" and _plain[1:] in _MEMBERS:
        setattr(HostArray, _name, _operator(_name, _MEMBERS[_plain[1:]], True))
HostArray.__hash__ = None  # type: ignore[assignment]


class KernelsPlugin:
    """For the conformance kit, which registers plugins in the process of its checks."""

    @hookimpl
    def plugrad_backends(self) -> list[Any]:
        here = "tests.cuda.kernels_plugin"
        return [BackendSpec("cuda_kernels", f"{here}:KernelsBackend", array_types=(f"{here}:HostArray",))]
