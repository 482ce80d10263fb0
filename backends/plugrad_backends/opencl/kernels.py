"""`elementwise`: how a family of kernels declares a function of expressions as a member of the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .elementwise import Elementwise


class elementwise:
    """A member that is the `Elementwise` of a function of expressions, made for each backend at its first use."""

    def __init__(
        self, function: Callable[..., Any], promote: bool = True, free: tuple[int, ...] = ()
    ) -> None:
        self.function, self.promote, self.free = function, promote, free
        self.name = getattr(function, "__name__", "?")

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, backend: Any, owner: Any = None) -> Any:
        if backend is None:
            return self
        made = Elementwise(backend.device, self.name, self.function, self.promote, self.free)
        backend.__dict__[self.name] = made
        return made
