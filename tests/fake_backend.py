"""A backend for tests with two devices: its arrays wrap NumPy's, and NumPy does not understand them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from plugrad.backend import Backend, for_device
from plugrad.plugins import BackendSpec, hookimpl


class Array:
    """Shape, dtype and Python's operators: what a raw array needs, and nothing else."""

    __array_ufunc__ = None  # NumPy's operators refuse

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)
    ndim = property(lambda self: self.values.ndim)


def _operator(f: Any, reflected: bool) -> Any:
    def method(a: Array, *b: Any) -> Any:
        operands = [unwrap(a), *map(unwrap, b)]
        return Array(f(*(operands[::-1] if reflected else operands)))

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


class FakeBackend(Backend):
    """`device("fake")`: every kernel is NumPy's, behind the wrapper."""

    device_type = "fake"
    array_type = Array

    def from_numpy(self, array: np.ndarray) -> Array:
        return Array(array.copy())

    def to_numpy(self, raw: Array) -> np.ndarray:
        return raw.values

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return Array(np.empty(shape, dtype.numpy))

    def copy(self, raw: Array) -> Array:
        return Array(np.array(raw.values, order="C"))

    def alias(self, raw: Array) -> Array:
        return Array(raw.values)

    def strides(self, raw: Array) -> tuple[int, ...]:
        return tuple(s // raw.values.itemsize for s in raw.values.strides)

    def setitem(self, raw: Array, key: Any, value: Any) -> Array:
        raw.values[key] = unwrap(value)
        return raw

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(for_device("cpu"), name)

        def wrapped(*args: Any) -> Any:
            y = kernel(*unwrap(args))
            return [Array(e) for e in y] if isinstance(y, (list, tuple)) else Array(y)

        return wrapped


class FakePlugin:
    """The plugin that offers it."""

    @hookimpl
    def plugrad_backends(self) -> list[BackendSpec]:
        return [
            BackendSpec("fake", "tests.fake_backend:FakeBackend", array_types=("tests.fake_backend:Array",))
        ]
