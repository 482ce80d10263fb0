"""Which backend serves which device and which type of raw array; the contract itself is in `contract`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from . import plugins
from .contract import REQUIRED, Backend, defines
from .errors import DeviceError

__all__ = ["BY_ARRAY", "UNWRITABLE", "Backend", "as_array", "enter", "for_array", "for_device"]

#: The types of raw arrays that are never written: a write makes a new array, see `rebinding`.
UNWRITABLE: set[type] = set()
#: From the type of a raw array to the backend that serves it.
BY_ARRAY: dict[type, Backend] = {}
#: Functions that are told of each backend that is entered.
ON_ENTER: list[Callable[[Backend], None]] = []
_by_device: dict[tuple[str, int | str | None], Backend] = {}
_lock = threading.RLock()


def _after_fork() -> None:
    """In a child process: a thread that held the lock in the parent does not exist here."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def for_device(device_type: str, index: int | str | None = None) -> Backend:
    """The backend instance of a device, imported on first use; DeviceError says what is missing.

    `index` may be a name, where the device type has names: it, and None, stand for what `Backend.locate` says.
    """
    try:
        return _by_device[device_type, index]
    except KeyError:
        # Before the lock is taken: whoever reads plugins holds theirs, and one of them may make a tensor when it is imported.
        spec = plugins.find_backend(device_type)
        with _lock:
            if (device_type, index) not in _by_device:
                _by_device[device_type, index] = _made(plugins.load(spec), device_type, index)
        return _by_device[device_type, index]


def _made(cls: Any, device_type: str, asked: int | str | None) -> Backend:
    """The instance of what a plugin names for the device that `asked` stands for: the one that is there, or a new one."""
    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        raise DeviceError(
            f"device {device_type!r}: its plugin names {cls!r}, which is no subclass of Backend"
        )
    index = cls.locate(asked)
    if (device_type, index) not in _by_device:
        _by_device[device_type, index] = enter(_checked(cls, device_type, index))
    return _by_device[device_type, index]


def _checked(cls: type[Backend], device_type: str, index: int | None) -> Backend:
    """An instance of a backend; DeviceError where it lacks what every backend must have."""
    backend = cls(index)
    missing = [name for name in ("device_type", "array_type") if not hasattr(cls, name)]
    missing += [name for name in REQUIRED if not defines(backend, name)]
    if missing:
        raise DeviceError(
            f"device {device_type!r}: {cls.__qualname__} lacks {', '.join(missing)}, which every backend defines: "
            "see plugrad.sdk.Backend"
        )
    if cls.device_type != device_type:
        raise DeviceError(
            f"device {device_type!r}: {cls.__qualname__}.device_type is {cls.device_type!r}: the two must be the same"
        )
    return backend


def enter(backend: Backend) -> Backend:
    """Let a backend serve its types of arrays; returns it. Raises DeviceError where one belongs to another backend."""
    for array_type in (backend.array_type, *backend.scalar_types):
        owner = BY_ARRAY.setdefault(array_type, backend)
        if type(owner) is not type(backend):
            raise DeviceError(
                f"device {backend.device_type!r}: its arrays are of type {array_type.__qualname__}, "
                f"which belongs to device {owner.device_type!r} already"
            )
    if not backend.inplace:
        UNWRITABLE.add(backend.array_type)
    for told in ON_ENTER:
        told(backend)
    return backend


def for_array(raw: Any) -> Backend | None:
    """The backend whose arrays `raw` is one of, or None."""
    try:
        return BY_ARRAY[type(raw)]
    except KeyError:
        spec = plugins.find_backend_for_array(type(raw))
        return None if spec is None else for_device(spec.device_type)


def as_array(raw: Any) -> Any:
    """`raw`, or an array of it where it is a scalar of an array library."""
    return BY_ARRAY[type(raw)].asarray(raw)
