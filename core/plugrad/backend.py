"""The contract of a backend, and which backend serves which device and which type of raw array.

A backend brings an array library to plugrad: one subclass of `Backend`, one instance per device. An op finds
its kernel by name on the backend of the raw array's type, once, and keeps it.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from . import plugins
from .dtypes import ALL, dtype
from .errors import DeviceError


class Backend:
    """What an array library offers to plugrad.

    A member named like a primitive op (`add`, `exp`, `sum`, `take`, …; Python array API names) is that op's
    kernel: it takes raw arrays, then the op's parameters by position, mutates none of them, and returns raw
    arrays. Python numbers are operands in any position, weakly promoted. `setitem` and `index_add` return
    the array that holds the result, and callers use that one: arrays may be immutable. A result of no
    dimension may be of the library's scalar type, if `asarray` makes an array of it.
    """

    #: The device type that users write, e.g. "cpu".
    device_type: ClassVar[str]
    #: The type of this library's arrays; a type belongs to one backend.
    array_type: ClassVar[type]
    #: Further types that kernels meet inside formulas, such as the library's scalars.
    scalar_types: ClassVar[tuple[type, ...]] = ()
    #: The dtypes that the device computes in.
    dtypes: ClassVar[frozenset[dtype]] = frozenset(d for d in ALL if d.numpy is not None)

    #: Whether its arrays hold tensors of a level below (see `levels`): vmap, forward mode.
    is_transform = False

    def __init__(self, index: int | None = None) -> None:
        self.index = index

    # What follows is required; so are the kernels of the primitive ops.

    def from_numpy(self, array: Any) -> Any:
        """A raw array with the values of a NumPy array; shares memory where the library can."""
        raise NotImplementedError

    def to_numpy(self, raw: Any) -> Any:
        """A NumPy array with the values of `raw`; shares memory where the library can."""
        raise NotImplementedError

    def empty(self, shape: tuple[int, ...], dtype: dtype) -> Any:
        """A new writable raw array of unspecified values."""
        raise NotImplementedError

    def asarray(self, value: Any) -> Any:
        """A raw array for a kernel's result: `value` itself, or an array of the library's scalar."""
        return value

    def copy(self, raw: Any) -> Any:
        """A dense, writable copy of `raw` that shares memory with nothing."""
        raise NotImplementedError

    def alias(self, raw: Any) -> Any:
        """Another array object over the same memory; where arrays are immutable, `raw` itself."""
        return raw

    def lend(self, raw: Any) -> Any:
        """Like `alias`, for foreign hands: the views that they make of it must not refer to `raw` itself."""
        return self.alias(raw)

    def writable(self, raw: Any) -> bool:
        """Whether `raw` may be written into."""
        return True

    def can_view(self, raw: Any, shape: tuple[int, ...]) -> bool:
        """Whether `raw` takes that shape without a copy; where arrays are immutable, nobody can tell: always."""
        return True

    def owned(self, raw: Any, holders: int) -> bool:
        """Whether `raw` is dense, writable memory of its own that only `holders` references know."""
        return False

    def rebase(self, raws: list[Any]) -> list[Any]:
        """New arrays over one fresh copy of the memory that `raws` share, each where the old one was."""
        raise NotImplementedError

    def full(self, shape: tuple[int, ...], value: Any, dtype: dtype) -> Any:
        """A new raw array of one value."""
        return self.setitem(self.empty(shape, dtype), ..., value)

    def zeros(self, shape: tuple[int, ...], dtype: dtype) -> Any:
        """A new raw array of zeros."""
        return self.full(shape, 0, dtype)

    def strides(self, raw: Any) -> tuple[int, ...]:
        """How many elements apart neighbours along each dimension are."""
        raise NotImplementedError

    def span(self, raw: Any) -> tuple[int, int]:
        """The address of the first byte of `raw` and that after its last; where nobody can tell, always the same."""
        return 0, 1

    def data_ptr(self, raw: Any) -> int:
        """The address of the first element."""
        raise NotImplementedError

    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        """`raw` with `value`, broadcast and cast, written to `raw[key]`: the same object where arrays are mutable."""
        raise NotImplementedError

    def writer(self, kernel: Any) -> Any:
        """`kernel` with one more argument at the end: the array to write the result into, of its shape and dtype."""
        return lambda *args: self.setitem(args[-1], ..., kernel(*args[:-1]))

    def stream(self, algorithm: str, seed: int) -> Any:
        """A stream of random numbers: "mt19937" (PyTorch's on the CPU) or "philox" (equal bits everywhere)."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait until everything that was asked of the device is done."""


#: From the type of a raw array to the backend that serves it.
BY_ARRAY: dict[type, Backend] = {}
_by_device: dict[tuple[str, int | None], Backend] = {}
_lock = threading.RLock()


def for_device(device_type: str, index: int | None = None) -> Backend:
    """The backend instance of a device, imported on first use; DeviceError says what is missing."""
    try:
        return _by_device[device_type, index]
    except KeyError:
        with _lock:
            if (device_type, index) not in _by_device:
                cls: Any = plugins.load(plugins.find_backend(device_type))
                _by_device[device_type, index] = _enter(cls(index))
        return _by_device[device_type, index]


def _enter(backend: Backend) -> Backend:
    for array_type in (backend.array_type, *backend.scalar_types):
        owner = BY_ARRAY.setdefault(array_type, backend)
        if type(owner) is not type(backend):
            raise DeviceError(
                f"device {backend.device_type!r}: its arrays are of type {array_type.__qualname__}, "
                f"which belongs to device {owner.device_type!r} already"
            )
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
