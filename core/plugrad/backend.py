"""Which backend serves which device and which type of raw array; the contract itself is in `contract`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from . import plugins
from .contract import REQUIRED, Backend, defines
from .errors import DeviceError
from .several import SeveralDevices

__all__ = ["BY_ARRAY", "UNWRITABLE", "Backend", "as_array", "backend_of", "enter", "for_array", "for_device"]

#: The types of raw arrays that are never written: a write makes a new array, see `rebinding`.
UNWRITABLE: set[type] = set()
#: From the type of a raw array to the backend that serves it; a `SeveralDevices` where devices share the type.
BY_ARRAY: dict[type, Backend] = {}
#: Functions that are told of each backend that is entered.
ON_ENTER: list[Callable[[Backend], None]] = []
_by_device: dict[tuple[str, int | str | None], Backend] = {}
#: Of device types of which each thread has a current one: the class that knows it.
_by_thread: dict[str, type[Backend]] = {}
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
        if index is None and device_type in _by_thread:
            current = _by_thread[device_type].current_index()
            if (device_type, current) in _by_device:
                return _by_device[device_type, current]
        # No lock is held while foreign code runs, which may wait for another thread: two threads may make two, one is kept.
        cls = _class(plugins.load(plugins.find_backend(device_type)), device_type)
        found = cls.locate(index)
        if found == 0 and not _has_several(cls):
            found = None  # the only one, which has no number
        if (device_type, found) not in _by_device:
            made = _made(cls, device_type, found)
            with _lock:
                if (device_type, found) not in _by_device:
                    _by_device[device_type, found] = enter(made)
        if index is None and cls.current_index() is not None:
            _by_thread[device_type] = cls
            return _by_device[device_type, found]
        return _by_device.setdefault((device_type, index), _by_device[device_type, found])


def is_used(device_type: str) -> bool:
    """Whether a device of a type has been used in this process."""
    return any(kind == device_type for kind, _ in _by_device)


def make_current(backend: Backend) -> None:
    """Let the name of its device type alone stand for the device of `backend` from here on."""
    _by_device[backend.device_type, None] = backend


def _has_several(cls: type[Backend]) -> bool:
    """Whether there may be several devices of the type."""
    return getattr(cls.locate, "__func__", None) is not getattr(Backend.locate, "__func__", None)


def _class(cls: Any, device_type: str) -> type[Backend]:
    """What a plugin names; DeviceError where it is no backend."""
    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        raise DeviceError(
            f"device {device_type!r}: its plugin names {cls!r}, which is no subclass of Backend"
        )
    return cls


def _made(cls: type[Backend], device_type: str, index: int | None) -> Backend:
    """A new instance of a backend; DeviceError where it lacks what every backend must have."""
    backend = cls(index)
    missing = [name for name in ("device_type", "array_type") if not hasattr(backend, name)]
    missing += [name for name in REQUIRED if not defines(backend, name)]
    if missing:
        raise DeviceError(
            f"device {device_type!r}: {cls.__qualname__} lacks {', '.join(missing)}, which every backend defines: "
            "see plugrad.sdk.Backend"
        )
    if backend.device_type != device_type:
        raise DeviceError(
            f"device {device_type!r}: {cls.__qualname__}.device_type is {backend.device_type!r}: the two must be the same"
        )
    if index is not None and not _has_several(cls):
        raise DeviceError(
            f"device '{device_type}:{index}' is not there: there is one, {device_type!r}, unless {cls.__qualname__} defines "
            "locate, which says what others there are"
        )
    if backend.index != index:
        raise DeviceError(
            f"device '{device_type}:{index}': {cls.__qualname__}({index}).index is {backend.index}: the two must be the same"
        )
    return backend


def enter(backend: Backend) -> Backend:
    """Let a backend serve its types of arrays; returns it. Raises DeviceError where one belongs to another device."""
    types = (backend.array_type, *backend.scalar_types)
    for array_type in types:
        owner = BY_ARRAY.get(array_type)
        if owner is None:
            continue
        if owner.device_type != backend.device_type:
            raise DeviceError(
                f"device {backend.device_name!r}: its arrays are of type {array_type.__qualname__}, "
                f"which belongs to device {owner.device_type!r} already"
            )
        if backend.index_of is None and owner.index != backend.index:
            raise DeviceError(
                f"device {backend.device_name!r}: its arrays are of type {array_type.__qualname__}, as are those of device "
                f"{owner.device_name!r}: {type(backend).__qualname__} must define index_of, or give each device a type of its own"
            )
    for array_type in types:
        known = BY_ARRAY.setdefault(array_type, backend)
        if known.index != backend.index:
            others = known.instances if isinstance(known, SeveralDevices) else {known.index: known}
            BY_ARRAY[array_type] = SeveralDevices({**others, backend.index: backend}, for_device)  # type: ignore[assignment]
            plugins.forget()  # kernels that were found for one device alone
    if not backend.inplace:
        UNWRITABLE.add(backend.array_type)
    for told in ON_ENTER:
        told(backend)
    return backend


def backend_of(raw: Any) -> Backend:
    """The backend of the device where `raw` is: what makes arrays beside it; KeyError for a type that nobody knows."""
    backend = BY_ARRAY[type(raw)]
    return backend.instance_of(raw) if type(backend) is SeveralDevices else backend


def for_array(raw: Any) -> Backend | None:
    """The backend whose arrays `raw` is one of, or None."""
    backend: Backend | None = BY_ARRAY.get(type(raw))
    if backend is None:
        spec = plugins.find_backend_for_array(type(raw))
        if spec is None:
            return None
        backend = BY_ARRAY.get(type(raw)) or for_device(spec.device_type)
    if backend.index_of is not None:  # of a device, maybe, that nobody has used yet
        return for_device(backend.device_type, backend.index_of(raw))
    return backend


def as_array(raw: Any) -> Any:
    """`raw`, or an array of it where it is a scalar of an array library."""
    return BY_ARRAY[type(raw)].asarray(raw)
