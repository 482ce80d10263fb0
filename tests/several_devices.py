"""Device types with three devices each, of both kinds: a type of arrays for each device, and one type for all.

Their arrays have what the contract asks for and nothing else. What an array of another device meets raises `Misplaced`, which
is no error of plugrad's: no test must ever see it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from plugrad.backend import for_device
from plugrad.errors import DeviceError
from plugrad.plugins import BackendSpec, hookimpl, register, registry

from . import fake_backend
from .fake_backend import FakeBackend

COUNT = 3


class Misplaced(BaseException):
    """An array came to a device that is not its own; a BaseException, so that nothing takes it for a kernel's error."""


class TypedArray(fake_backend.Array):
    """The base of the array types of `typed:0`, `typed:1` and `typed:2`."""


class SeveralBackend(FakeBackend):
    """What both have in common: an index, and no arrays but of their own device."""

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        for name in self.kernel_names():
            setattr(self, name, self.guarded(name, getattr(self, name)))

    @classmethod
    def locate(cls, which: int | str | None) -> int:
        if which not in (None, *range(COUNT)):
            raise DeviceError(f"device '{cls.device_type}:{which}' is not there: there are {COUNT}")
        return 0 if which is None else which

    def guarded(self, name: str, kernel: Any) -> Any:
        """`kernel`, which meets arrays of this device alone."""

        def call(*args: Any) -> Any:
            self.check(args)
            return kernel(*args)

        return call

    def check(self, args: Any) -> None:
        for a in args:
            if isinstance(a, fake_backend.Array) and not self.owns(a):
                raise Misplaced(f"{self.device_name} was given an array of another device")
            if isinstance(a, (list, tuple)):
                self.check(a)

    def owns(self, raw: Any) -> bool:
        return type(raw) is self.array_type

    def to_numpy(self, raw: Any) -> Any:
        self.check([raw])
        return super().to_numpy(raw)

    def copy(self, raw: Any) -> Any:
        self.check([raw])
        return super().copy(raw)

    def alias(self, raw: Any) -> Any:
        self.check([raw])
        return super().alias(raw)

    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        self.check([raw, key, value])
        return super().setitem(raw, key, value)


class TypedBackend(SeveralBackend):
    """`device("typed:1")`: an array type for each device."""

    device_type = "typed"

    def __init__(self, index: int | None = None) -> None:
        self.array_type = type(f"TypedArray{index}", (TypedArray,), {})
        super().__init__(index)


_place = threading.local()


class SharedArray(fake_backend.Array):
    """An array that knows the index of its device; a result is where its first operand is."""

    def __init__(self, values: Any, base: Any = None) -> None:
        super().__init__(values, base)
        self.index = _place.index


def _on_one_device(name: str) -> Any:
    computed = getattr(fake_backend.Array, name)

    def method(*operands: Any) -> Any:
        before, found = (
            getattr(_place, "index", None),
            {a.index for a in operands if isinstance(a, SharedArray)},
        )
        if len(found) > 1:
            raise Misplaced(f"{name} of arrays on devices {found}")
        _place.index = found.pop()
        try:
            return computed(*operands)
        finally:
            _place.index = before

    return method


for _name in [n for n, f in vars(fake_backend.Array).items() if getattr(f, "__name__", "") == "method"]:
    setattr(SharedArray, _name, _on_one_device(_name))
SharedArray.__hash__ = object.__hash__  # type: ignore[method-assign]


class SharedBackend(SeveralBackend):
    """`device("shared:1")`: one array type for all devices."""

    device_type = "shared"
    array_type = SharedArray

    @staticmethod
    def index_of(raw: SharedArray) -> int:
        return raw.index

    def owns(self, raw: Any) -> bool:
        return raw.index == self.index

    def kernel_names(self) -> list[str]:
        """Not all, so that composites serve as well."""
        return [
            name
            for name in super().kernel_names()
            if name not in ("sort", "var", "softmax", "conv2d", "embed_add")
        ]

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not callable(found) or name.startswith("_") or name in _AT_ONCE:
            return found

        def here(*args: Any, **named: Any) -> Any:
            before, _place.index = getattr(_place, "index", None), self.index
            try:
                return found(*args, **named)
            finally:
                _place.index = before

        return here


_AT_ONCE = ("array_type", "index_of", "owns", "check", "kernel_names", "guarded")


class SeveralPlugin:
    """The plugin that offers both."""

    @hookimpl
    def plugrad_backends(self) -> list[BackendSpec]:
        here = "tests.several_devices"
        return [
            BackendSpec("typed", f"{here}:TypedBackend", array_types=(f"{here}:TypedArray",)),
            BackendSpec("shared", f"{here}:SharedBackend", array_types=(f"{here}:SharedArray",)),
        ]


def enter() -> None:
    """Make all devices, ready for use."""
    record = register(SeveralPlugin())
    try:
        for device_type in ("typed", "shared"):
            for index in (*range(COUNT), None):
                for_device(device_type, index)
    finally:
        registry.REGISTRY._stages["by hand"].remove(record)


def place_of(values: np.ndarray, index: int) -> SharedArray:
    """An array of `shared:index` as a library makes it."""
    _place.index = index
    return SharedArray(values)
