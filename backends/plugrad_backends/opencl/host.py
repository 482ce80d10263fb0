"""Kernels that NumPy computes in the memory of CPU devices, without a copy of what it reads: sorting and linear systems.

A CPU device and the host are one memory: an OpenCL buffer is mapped, which gives its address, and the NumPy backend's kernel of
the same name reads it there. So these are kernels of the device as good as any, and there only: on a GPU the members
are missing, and plugrad makes the ops of other kernels of the device, since nothing is copied to the host unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyopencl as cl

from plugrad.backend import for_device

from . import layout
from .array import Array

#: The ops, named as they are.
NAMES = (
    "argsort", "argtopk", "searchsorted", "bincount", "unique", "argmedian", "median_all", "inv", "solve", "det",
    "slogdet", "cholesky",
)  # fmt: skip


def kernels(device: Any) -> dict[str, Callable[..., Any]]:
    """The kernels by name, if the device is a CPU."""
    return {name: _kernel(device, name) for name in NAMES} if device.is_cpu else {}


def _kernel(device: Any, name: str) -> Callable[..., Any]:
    def on_host(*args: Any) -> Any:
        return run(device, getattr(for_device("cpu"), name), *args)

    on_host.__name__, on_host.device = name, device
    return on_host


def run(device: Any, function: Callable[..., Any], *args: Any) -> Any:
    """A function of NumPy arrays, called with the memory of arrays of a CPU device; waits until they are computed."""
    maps: list[Any] = []
    given: list[Any] = []
    try:
        given += [mapped(a, maps) if isinstance(a, Array) else a for a in args]
        with np.errstate(all="ignore"):
            found = function(*given)
        if isinstance(found, (tuple, list)):
            return tuple(_uploaded(device, y) for y in found)
        return _uploaded(device, found)
    finally:
        given.clear()  # no view may outlive its mapping
        for one in maps:
            one.release(device.queue)


def mapped(array: Array, maps: list[Any], write: bool = False) -> np.ndarray:
    """The memory of an array of a CPU device as a NumPy array, until what is put into `maps` is released."""
    if not array.size:
        return np.empty(array.shape, array.dtype)
    low, high = layout.span(array.sig, array.offset)
    size = array.dtype.itemsize
    flags = cl.map_flags.WRITE_INVALIDATE_REGION if write else cl.map_flags.READ
    memory, _ = cl.enqueue_map_buffer(
        array.device.queue, array.buffer, flags, low * size, (high - low,), array.dtype
    )
    maps.append(memory.base)
    strides = tuple(s * size for s in array.strides)
    return np.ndarray(array.shape, array.dtype, memory, (array.offset - low) * size, strides)


def _uploaded(device: Any, result: Any) -> Array:
    host = np.asarray(result)
    if host.dtype.char in "dD" and "fp64" not in device.capabilities:  # NumPy counts in double precision
        host = host.astype(host.dtype.char.replace("d", "f").replace("D", "F"))
    y = device.empty(host.shape, host.dtype)
    with _written(y) as memory:
        memory[...] = host
    return y


@contextmanager
def _written(array: Array) -> Iterator[np.ndarray]:
    maps: list[Any] = []
    memory = mapped(array, maps, write=True)
    try:
        yield memory
    finally:
        for one in maps:
            one.release(array.device.queue)


__all__ = ["NAMES", "kernels", "mapped", "run"]
