"""Puts the strict double in CuPy's place: `device("cuda")` is then `CuPyBackend` over it."""

from __future__ import annotations

from typing import Any

import plugrad_backends.cupy
from plugrad import backend, random
from plugrad.op import OPS
from plugrad.plugins import hookimpl

from . import strict_double


def install() -> None:
    """Let the device type "cuda" be `CuPyBackend` over the double, in this process."""
    from plugrad_backends.cupy.backend import CuPyBackend

    class DoubleBackend(CuPyBackend):
        """`CuPyBackend`, pointed at the double."""

        array_type = strict_double.Array
        xp: Any = strict_double.DOUBLE
        xpx: Any = strict_double.DOUBLEX
        own_memory = frozenset(("PoolMemory",))

    remove()
    vars(plugrad_backends.cupy)["CuPyBackend"] = DoubleBackend


def remove() -> None:
    """Forget the double, and every array that was made with it."""
    strict_double.reset()
    vars(plugrad_backends.cupy).pop("CuPyBackend", None)
    for key in [key for key in backend._by_device if key[0] == "cuda"]:
        del backend._by_device[key]
    backend._by_thread.pop("cuda", None)
    types = [t for t in backend.BY_ARRAY if issubclass(t, strict_double.Array)]
    for array_type in types:
        del backend.BY_ARRAY[array_type]
        for op in OPS.values():
            for table in ("kernels", "writers"):
                getattr(op, table, {}).pop(array_type, None)
    for place in [place for place in random._default if place.type == "cuda"]:
        del random._default[place]


class DoublePlugin:
    """For the conformance kit, which registers plugins in the process of its checks: it offers nothing, and installs."""

    def __init__(self) -> None:
        install()

    @hookimpl
    def plugrad_backends(self) -> list[Any]:
        return []


class SeveralPlugin(DoublePlugin):
    """The same with three GPUs."""

    def __init__(self) -> None:
        super().__init__()
        strict_double.STATE.devices = 3
