"""Several GPUs: each has a type of arrays of its own, and computes where its arrays are, whichever GPU is the current one.

CuPy launches a kernel on the *current* GPU, and lets it read the memory of another one over the bus. So where there is more than
one, every member of the backend, and every operator of an array, first makes the GPU of its arrays the current one. The
type is a subclass of `cupy.ndarray` without data of its own, so an array becomes one of it by a change of its class.
A machine with one GPU pays for none of this.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .memory import readable

_BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]
_OPERATORS = [f"__{n}__" for n in ["neg", "invert", "abs", "pos", "lt", "le", "gt", "ge", "eq", "ne"]]
_OPERATORS += [f"__{prefix}{n}__" for n in _BINARY for prefix in ("", "r", "i")]


@cache
def array_type(xp: Any, base: Any, index: int) -> Any:
    """The type of the arrays of one of several GPUs."""

    def on_its_device(name: str) -> Callable[..., Any]:
        return on(xp, base, index, getattr(base, name))

    members: dict[str, Any] = {name: on_its_device(name) for name in _OPERATORS if hasattr(base, name)}
    members |= {"__slots__": (), "__hash__": None, "__module__": base.__module__}
    return type(f"{base.__name__}_{index}", (base,), members)


def on(xp: Any, base: Any, index: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is called with a GPU as the current one, and whose results are arrays of that GPU's type."""
    runtime = xp.cuda.runtime

    def call(*args: Any, **kwargs: Any) -> Any:
        before = runtime.getDevice()
        if before == index:
            return typed(xp, base, function(*args, **kwargs))
        runtime.setDevice(index)
        try:
            return typed(xp, base, function(*args, **kwargs))
        finally:
            runtime.setDevice(before)

    return call


class on_device:
    """An object whose methods are called with a GPU as the current one; for None, None."""

    def __new__(cls, xp: Any, base: Any, index: int, of: Any) -> Any:
        return None if of is None else object.__new__(cls)

    def __init__(self, xp: Any, base: Any, index: int, of: Any) -> None:
        self._xp, self._base, self._index, self._of = xp, base, index, of

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        return on(self._xp, self._base, self._index, found) if callable(found) else found


def typed(xp: Any, base: Any, y: Any) -> Any:
    """`y` with arrays as arrays of the type of their GPU, also in sequences."""
    kind: Any = type(y)
    if kind is base:
        y.__class__ = array_type(xp, base, y.data.device_id)
    elif isinstance(y, (list, tuple)):
        for part in y:
            typed(xp, base, part)
    return y


def describe(xp: Any, index: int) -> str:
    """One GPU in a line."""
    found = xp.cuda.runtime.getDeviceProperties(index)
    name = found["name"]
    return (
        f"cuda:{index} = {name.decode() if isinstance(name, bytes) else name}, compute capability "
        f"{found['major']}.{found['minor']}, {readable(found['totalGlobalMem'])}"
    )
