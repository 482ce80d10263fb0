"""Functions of elementwise kernels, each as one kernel, where a backend has the member `fused`.

Three kinds of functions are handed to it: what an elementwise op is composed of where the device lacks it, the formulas of
derivatives that take more than one step, and the updates of optimizers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import plugins
from .backend import BY_ARRAY
from .contract import Backend, defines
from .several import SeveralDevices

Kernel = Callable[..., Any]

#: Whether a backend was entered that has a `fused`: formulas are not looked at before.
wanted = False
#: How many steps a formula must have to be handed over: one where a backend says that its arrays' operators are slow.
least = 2
#: From types of raw arrays whose operators are slow to the function that adds two.
adders: dict[type, Kernel] = {}
#: The formulas for which a backend that was entered has a member, such as "softmax_vjp_x".
members: set[str] = set()


def fused(backend: Backend | None, name: str, function: Kernel, inputs: int) -> Kernel | None:
    """What the backend makes of the function; None where it has no `fused`, or cannot make anything of this one.

    Nothing is lost where it fails: op by op, the same values are computed.
    """
    if isinstance(backend, SeveralDevices):
        found = {b: fused(b, name, function, inputs) for b in backend.instances.values()}
        return None if None in found.values() else backend.dispatched(found.__getitem__, name)
    if backend is None or not defines(backend, "fused"):
        return None
    try:
        return backend.fused(name, function, inputs)
    except Exception:
        return None


def composite(backend: Backend, name: str, inputs: int) -> Kernel:
    """The composite of an elementwise op as one kernel, or as it is: of the backend of whatever arrays it is given."""

    def composed(*args: Any) -> Any:
        array = next(a for a in args if hasattr(a, "dtype"))
        return getattr(BY_ARRAY[type(array)], name)(*args)

    composed.__name__ = name
    return fused(backend, name, composed, inputs) or getattr(backend, name)


class Kernels(dict[type, Any]):
    """From the type of a raw array to the kernel of one function; `plain` where nobody fuses it.

    A `simple` function is one that only backends with slow operators are asked for.
    """

    def __init__(
        self, name: str, function: Kernel | None, inputs: int, plain: Kernel | None, simple: bool = False
    ) -> None:
        self._asked, self._plain, self._simple = (name, function, inputs), plain, simple
        plugins.ON_REGISTER.append(self.clear)

    def __missing__(self, array_type: type) -> Kernel | None:
        backend = BY_ARRAY.get(array_type)
        name, function, inputs = self._asked
        made = None
        if function is None:
            made = member(backend, name)
        elif backend is not None and (backend.slow_operators or not self._simple):
            made = fused(backend, name, function, inputs)
        kernel = made or self._plain
        if backend is not None and not backend.is_transform:  # whose type ends with its level
            self[array_type] = kernel
        return kernel


def dispatched(name: str, formula: Kernel, inputs: int, plain: Kernel, simple: bool) -> Kernel:
    """`plain`, the formula on raw arrays, by the kernel for the type of its first argument, the cotangent."""
    kernels = Kernels(name, formula, inputs, plain, simple)
    return lambda g, *args: kernels[type(g)](g, *args)


def member(backend: Backend | None, name: str) -> Kernel | None:
    """The member of that name, where the backend itself defines one."""
    if isinstance(backend, SeveralDevices):
        found = {b: member(b, name) for b in backend.instances.values()}
        return None if None in found.values() else backend.dispatched(found.__getitem__, name)
    return getattr(backend, name) if backend is not None and defines(backend, name) else None


def by_member(name: str, plain: Kernel) -> Kernel:
    """`plain`, a formula on raw arrays, or the member `name` of the backend of its first argument, the cotangent."""
    kernels = Kernels(name, None, 0, plain)
    return lambda g, *args: kernels[type(g)](g, *args)
