"""Backends for tests with two devices: their arrays wrap NumPy's, and NumPy does not understand them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from plugrad import plugins
from plugrad.backend import Backend, for_device
from plugrad.contract import REQUIRED, defines
from plugrad.errors import DeviceError
from plugrad.op import OPS
from plugrad.plugins import BackendSpec, hookimpl, registry


class Array:
    """Shape, dtype and Python's operators: what a raw array needs, and nothing else."""

    __array_ufunc__ = None  # NumPy's operators refuse

    def __init__(self, values: Any, base: Any = None) -> None:
        self.values, self.base = np.asarray(values), base

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)
    ndim = property(lambda self: self.values.ndim)


def _refusal(name: str) -> Any:
    def method(self: Array, *args: Any, **named: Any) -> Any:
        raise TypeError(f"{name} of a raw array: the contract has no such thing")

    return method


for _name in (
    "bool",
    "int",
    "float",
    "complex",
    "index",
    "len",
    "iter",
    "contains",
    "getitem",
    "setitem",
    "array",
):
    setattr(Array, f"__{_name}__", _refusal(f"__{_name}__"))


def _operator(f: Any, reflected: bool) -> Any:
    def method(a: Array, *b: Any) -> Any:
        operands = [unwrap(a), *map(unwrap, b)]
        return type(a)(f(*(operands[::-1] if reflected else operands)))

    return method


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "pow",
    "floordiv",
    "mod",
    "neg",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
    "invert",
):
    _f, _bare = getattr(operator, _name), _name.rstrip("_")
    setattr(Array, f"__{_bare}__", _operator(_f, reflected=False))
    if _bare not in ("neg", "invert", "lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Array, f"__r{_bare}__", _operator(_f, reflected=True))
Array.__hash__ = object.__hash__  # type: ignore[method-assign]


def unwrap(x: Any) -> Any:
    """NumPy arrays for Arrays, also inside sequences."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(unwrap, x))
    if isinstance(x, np.ndarray):
        raise TypeError("the fake device got an array of another device")
    return x.values if isinstance(x, Array) else x


def _wrapped(kernel: Any, array: type[Array]) -> Any:
    """A kernel of NumPy's on wrapped arrays."""

    def wrapped(*args: Any) -> Any:
        y = kernel(*unwrap(args))
        return [wrap(e, args) for e in y] if isinstance(y, (list, tuple)) else wrap(y, args)

    def wrap(y: Any, args: Any) -> Array:
        first = args[0] if args else None
        if isinstance(first, Array) and isinstance(y, np.ndarray) and np.may_share_memory(y, first.values):
            return view(array, y, first)
        return array(y)

    return wrapped


def _of_sizes(kernel: Any) -> Any:
    """A kernel that is given sizes, and nothing that stands for one."""

    def sized(x: Any, shape: tuple[int, ...]) -> Any:
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise TypeError(f"a shape is a tuple of int, from 0 on; found {shape!r}")
        return kernel(x, shape)

    return sized


def view(array: type[Array], values: np.ndarray, of: Array) -> Array:
    """An array over a part of the memory of another one, which says whose memory it is."""
    return array(values, of if of.base is None else of.base)


class FakeBackend(Backend):
    """`device("fake")`: every kernel is NumPy's, behind the wrapper."""

    device_type = "fake"
    array_type: type[Array] = Array

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        cpu = for_device("cpu")
        for name in self.kernel_names():
            setattr(self, name, _wrapped(getattr(cpu, name), self.array_type))
        for name in ("reshape", "broadcast_to"):
            setattr(self, name, _of_sizes(getattr(self, name)))

    def kernel_names(self) -> list[str]:
        """What NumPy's backend has kernels for."""
        return [name for name in OPS if defines(for_device("cpu"), name) and name not in vars(type(self))]

    def from_numpy(self, array: np.ndarray) -> Array:
        return self.array_type(array.copy())

    def to_numpy(self, raw: Array) -> np.ndarray:
        return raw.values

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        if dtype not in self.dtypes:
            raise DeviceError(f"device {self.device_type!r} has no {dtype.name}")
        return self.array_type(np.empty(shape, dtype.numpy))

    def can_view(self, raw: Array, shape: tuple[int, ...]) -> bool:
        if not all(type(n) is int and n >= 0 for n in shape):
            raise TypeError(f"a shape is a tuple of int, from 0 on; found {shape!r}")
        return not self.inplace or for_device("cpu").can_view(raw.values, shape)

    def synchronize(self) -> None:
        return None

    def copy(self, raw: Array) -> Array:
        return self.array_type(np.array(raw.values, order="C"))

    def alias(self, raw: Array) -> Array:
        return view(self.array_type, raw.values, raw)

    def rebase(self, raws: list[Array]) -> list[Array]:
        moved = for_device("cpu").rebase([r.values for r in raws])
        owner = self.array_type(moved[0].base)
        return [self.array_type(values, owner) for values in moved]

    def strides(self, raw: Array) -> tuple[int, ...]:
        return tuple(s // raw.values.itemsize for s in raw.values.strides)

    def setitem(self, raw: Array, key: Any, value: Any) -> Array:
        raw.values[unwrap(key) if isinstance(key, tuple) else key] = unwrap(value)
        return raw


class MinimalArray(Array):
    """An array that nobody writes into."""


class MinimalBackend(FakeBackend):
    """`device("minimal")`: the required members and nothing else; arrays are never written."""

    device_type = "minimal"
    array_type = MinimalArray
    inplace = False
    dtypes = frozenset(d for d in FakeBackend.dtypes if not d.is_complex)

    def kernel_names(self) -> list[str]:
        """The required kernels."""
        return [name for name in OPS if name in REQUIRED]

    copy, alias, strides = Backend.copy, Backend.alias, Backend.strides

    def setitem(self, raw: Array, key: Any, value: Any) -> Array:
        return super().setitem(self.array_type(np.array(raw.values)), key, value)


class FakePlugin:
    """The plugin that offers it."""

    @hookimpl
    def plugrad_backends(self) -> list[BackendSpec]:
        here = "tests.fake_backend"
        return [
            BackendSpec("fake", f"{here}:FakeBackend", array_types=(f"{here}:Array",)),
            BackendSpec("minimal", f"{here}:MinimalBackend", array_types=(f"{here}:MinimalArray",)),
            BackendSpec("fusing", "tests.fusing_backend:FusingBackend"),
            BackendSpec("fusing_constant", "tests.fusing_backend:ConstantBackend"),
        ]


def enter(device_type: str) -> Backend:
    """The backend of a device above, ready for use; its plugin does not stay registered, where other tests would see it."""
    record = plugins.register(FakePlugin())
    try:
        return for_device(device_type)
    finally:
        registry.REGISTRY._stages["by hand"].remove(record)
