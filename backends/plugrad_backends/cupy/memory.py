"""Memory of a device: CuPy's pool, errors that say how much there is, and arrays over memory of others."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from plugrad.errors import OutOfMemoryError


def readable(count: int) -> str:
    """A number of bytes as people write it, e.g. "2.50 GiB"."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"


@cache
def _error_class(xp: Any) -> type[Exception]:
    """A class for those who catch PyTorch's error and for those who catch CuPy's."""
    plain = {"__init__": RuntimeError.__init__, "__str__": RuntimeError.__str__, "__module__": __name__}
    return type("OutOfMemoryError", (OutOfMemoryError, xp.cuda.memory.OutOfMemoryError), plain)


def out_of_memory(xp: Any, asked: int) -> Exception:
    """The error of an allocation of so many bytes that failed on the current device."""
    pool, device = xp.get_default_memory_pool(), xp.cuda.runtime.getDevice()
    free, total = xp.cuda.runtime.memGetInfo()
    used, reserved, limit = pool.used_bytes(), pool.total_bytes(), pool.get_limit()
    text = (
        f"CUDA out of memory. Tried to allocate {readable(asked)}. GPU {device} has a total capacity of "
        f"{readable(total)} of which {readable(free)} is free. {readable(used)} is in use by arrays, and "
        f"{readable(reserved - used)} is reserved in the pool but unused"
    )
    if limit:
        text += f"; the pool is limited to {readable(limit)}"
    return _error_class(xp)(
        f"{text}. Drop what is no longer needed, use smaller batches, or plugrad.cuda.empty_cache()"
    )


class Counts:
    """The most bytes in use by arrays at one time on each device, from the first question on."""

    def __init__(self) -> None:
        self.peaks: dict[int, int] | None = None


COUNTS = Counts()


@cache
def allocator(xp: Any) -> Callable[[int], Any]:
    """CuPy's pool as an allocator whose failures say how much memory there is."""
    pool = xp.get_default_memory_pool()
    malloc, failure = pool.malloc, xp.cuda.memory.OutOfMemoryError

    def allocate(size: int) -> Any:
        try:
            pointer = malloc(size)
        except failure:
            raise out_of_memory(xp, size) from None
        if COUNTS.peaks is not None:
            device = xp.cuda.runtime.getDevice()
            COUNTS.peaks[device] = max(COUNTS.peaks.get(device, 0), pool.used_bytes())
        return pointer

    return allocate


def install(xp: Any) -> None:
    """Let CuPy allocate by `allocator`, unless the user chose an allocator already."""
    if xp.cuda.get_allocator() == xp.get_default_memory_pool().malloc:
        xp.cuda.set_allocator(allocator(xp))


def bounds(raw: Any) -> tuple[int, int]:
    """The addresses of the first byte of an array and of the one after its last."""
    low = high = raw.data.ptr
    for n, step in zip(raw.shape, raw.strides):
        if step < 0:
            low += (n - 1) * step
        else:
            high += (n - 1) * step
    return low, high + raw.itemsize


def over(xp: Any, raw: Any) -> Any:
    """Another array over the memory of `raw`, of which it is no view."""
    pointer = xp.cuda.MemoryPointer(raw.data.mem, raw.data.ptr - raw.data.mem.ptr)
    return xp.ndarray(raw.shape, raw.dtype, memptr=pointer, strides=raw.strides)


def moved(xp: Any, raws: list[Any]) -> list[Any]:
    """Arrays over one copy of the memory that `raws` share, each where the old one was."""
    spans = [bounds(r) for r in raws if r.size]
    if not spans:
        return [xp.empty(r.shape, r.dtype) for r in raws]
    start, end = min(low for low, _ in spans), max(high for _, high in spans)
    memory = raws[0].data.mem
    pointer = xp.cuda.MemoryPointer(memory, start - memory.ptr)
    copy = xp.ndarray((end - start,), np.uint8, memptr=pointer).copy()

    def at(raw: Any) -> Any:
        offset = raw.data.ptr - start if raw.size else 0
        pointer = xp.cuda.MemoryPointer(copy.data.mem, copy.data.ptr - copy.data.mem.ptr + offset)
        return xp.ndarray(raw.shape, raw.dtype, memptr=pointer, strides=raw.strides)

    return [at(r) for r in raws]


def can_view(raw: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array takes another shape of as many elements without a copy."""
    if raw.flags.c_contiguous:
        return True
    dummy = np.lib.stride_tricks.as_strided(np.empty((), np.uint8), raw.shape, raw.strides)
    try:
        dummy.reshape(shape, copy=False)
    except ValueError:
        return False
    return True


def holders(raw: Any) -> int:
    """How many references there are to the memory of an array."""
    return sys.getrefcount(raw.data) + sys.getrefcount(raw.data.mem)


@cache
def alone(xp: Any) -> int:
    """What `holders` says where nobody else has the memory: measured, interpreters differ."""
    return holders(xp.empty((1,), np.float32))


def is_pinned(array: Any) -> bool:
    """Whether a NumPy array is over page-locked memory that CuPy allocated."""
    owner = array
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return type(owner).__name__ == "PinnedMemoryPointer"


class InFlight:
    """Arrays of the host that a copy is under way to or from: they must not go before it is done."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Any, Any]] = deque()

    def add(self, stream: Any, array: Any) -> None:
        """Keep an array until what is in a stream by now is done; let go of those whose copies are."""
        while self._kept and self._kept[0][0].done:
            self._kept.popleft()
        self._kept.append((stream.record(), array))
