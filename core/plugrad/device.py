"""`device("cuda:1")`: names a place; whether it is there is asked at the first allocation."""

from __future__ import annotations

from typing import Any

from . import backend as backends


class device:
    """A place for tensors: a device type and, where there are several, an index.

    >>> device("cuda:1"), device("cuda", 1) == device("cuda:1"), device("cpu").type
    (device(type='cuda', index=1), True, 'cpu')
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if not isinstance(type, str):
            raise TypeError(
                f"device: asked for {type!r}; a device is named by a string such as 'cpu' or 'cuda:0'"
            )
        name, colon, number = type.partition(":")
        if not name or (colon and not (number.isdecimal() and number == str(int(number)))):
            raise RuntimeError(
                f"Invalid device string: {type!r}: write a device type, or 'type:index' such as 'cuda:0'"
            )
        if colon:
            if index is not None:
                raise RuntimeError(f"device: {type!r} already has an index, and index={index} was given too")
            index = int(number)
        self = object.__new__(cls)
        self.type, self.index = name, index
        return self

    @property
    def backend(self) -> backends.Backend:
        """The backend of this device; DeviceError says what is missing."""
        return backends.for_device(self.type, self.index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> Any:
        return device, (str(self),)


cpu = device("cpu")
