"""Several devices whose raw arrays are of one type: each member is asked of the device where its arguments are.

A type with one device, which is the common case, is served by its backend itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .contract import Backend
from .errors import DeviceError


class SeveralDevices:
    """What stands in the place of a backend for a type of arrays that its instances, by index, share.

    A member is that of the instance that has its arguments; DeviceError where these are on several devices. What takes no
    array (`zeros`, `from_numpy`) must be asked of an instance: see `plugrad.backend.backend_of`.
    """

    def __init__(self, instances: dict[int | None, Backend], for_device: Callable[..., Backend]) -> None:
        self.instances, self._for_device, self.index = instances, for_device, -1
        self._any = next(iter(instances.values()))
        self._types = frozenset((self._any.array_type, *self._any.scalar_types))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._any, name)
        if not callable(found) or name in ("array_type", "index_of"):
            return found
        return self.dispatched(lambda backend: getattr(backend, name))

    def dispatched(self, member: Callable[[Backend], Callable[..., Any]], asked: str = "") -> Any:
        """A function that is `member` of the instance that has its arguments; `asked` names it in errors."""

        def call(*args: Any, **named: Any) -> Any:
            return member(self._place(args, asked))(*args, **named)

        return call

    def instance_of(self, raw: Any) -> Backend:
        """The instance of the device where `raw` is."""
        index = self._any.index_of(raw)
        found = self.instances.get(index)
        return self._for_device(self._any.device_type, index) if found is None else found

    def _place(self, args: tuple[Any, ...], asked: str) -> Backend:
        found = None
        for raw in self._arrays(args):
            backend = self.instance_of(raw)
            if found is None:
                found = backend
            elif backend is not found:
                raise DeviceError(
                    f"{asked and asked + ': '}tensors on {found.device_name!r} and {backend.device_name!r}: "
                    "move one with .to(...)"
                )
        if found is None:
            raise TypeError(
                f"{asked or 'a member'} of {self._any.device_type!r}: no array says on which device"
            )
        return found

    def _arrays(self, args: Any) -> Any:
        for a in args:
            if type(a) in self._types:
                yield a
            elif isinstance(a, (list, tuple)):
                yield from self._arrays(a)
