"""`device("cuda:1")`: names a place; whether it is there is asked at the first allocation."""

from __future__ import annotations

from typing import Any

from . import backend as backends
from . import plugins
from .errors import DeviceError, PluginError


class device:
    """A place for tensors: a device type and, where there are several, an index, or a name where the type has names.

    What a name, or no index, stands for is asked at the first allocation; `tensor.device` has the index.

    >>> device("cuda:1"), device("cuda", 1) == device("cuda:1"), device("cpu").type
    (device(type='cuda', index=1), True, 'cpu')
    >>> device("opencl:gpu:0").name, device("opencl:gpu:0").index
    ('gpu:0', None)
    """

    __slots__ = ("index", "name", "type")

    type: str
    index: int | None
    name: str | None

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if not isinstance(type, str):
            raise TypeError(
                f"device: asked for {type!r}; a device is named by a string such as 'cpu' or 'cuda:0'"
            )
        kind, colon, which = type.partition(":")
        is_index = which.isdecimal() and which == str(int(which))
        if not kind or (colon and not is_index and not _is_name(kind, which)):
            raise RuntimeError(
                f"Invalid device string: {type!r}: write a device type, or 'type:index' such as 'cuda:0'"
            )
        if colon and index is not None:
            what = "an index" if is_index else "a name"
            raise RuntimeError(f"device: {type!r} already has {what}, and index={index} was given too")
        self = object.__new__(cls)
        self.type, self.index, self.name = kind, int(which) if is_index else index, None
        if colon and not is_index:
            self.name = which
        return self

    @property
    def backend(self) -> backends.Backend:
        """The backend of this device; DeviceError says what is missing."""
        return backends.for_device(self.type, self.name or self.index)

    def resolved(self) -> device:
        """The same place as tensors there call it, with the index that a name, or none, stands for.

        >>> device("cpu").resolved()
        device(type='cpu')
        """
        backend = self.backend
        return device(backend.device_type, backend.index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index, self.name) == (
            other.type,
            other.index,
            other.name,
        )

    def __hash__(self) -> int:
        return hash((self.type, self.index, self.name))

    def __repr__(self) -> str:
        if self.name is not None:
            return f"device({str(self)!r})"
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __str__(self) -> str:
        which = self.name or self.index
        return self.type if which is None else f"{self.type}:{which}"

    def __reduce__(self) -> Any:
        return device, (str(self),)


def _is_name(kind: str, which: str) -> bool:
    """Whether `which` may name a device of a type; only its backend knows whether there is one."""
    if not all(part and (not part.isdecimal() or part == str(int(part))) for part in which.split(":")):
        return False
    try:
        return plugins.find_backend(kind).names
    except (DeviceError, PluginError):
        return False


cpu = device("cpu")
