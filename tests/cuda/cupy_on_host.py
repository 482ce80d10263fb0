"""Real `cupy.ndarray` objects whose memory is the host's: shapes, strides, views and dtypes are CuPy's own, and kernels of
plugrad's run on them on the CPU (`host`). What would launch a kernel of CuPy's raises, since there is no driver.
"""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np


def on_host(array: np.ndarray) -> Any:
    """A `cupy.ndarray` that shows the memory of an array of NumPy's, strides included."""
    base = array = np.asarray(array)
    while isinstance(base.base, np.ndarray):
        base = base.base
    memory = cupy.cuda.UnownedMemory(base.ctypes.data, max(base.nbytes, 1), base, device_id=0)
    pointer = cupy.cuda.MemoryPointer(memory, array.ctypes.data - base.ctypes.data)
    return cupy.ndarray(array.shape, array.dtype, pointer, strides=array.strides)


def empty(shape: Any, dtype: Any) -> Any:
    """A dense array of garbage."""
    n = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    return on_host(np.full(max(n, 1), 0xFF, np.uint8)[:n].view(dtype).reshape(shape))


def to_numpy(raw: Any) -> np.ndarray:
    """An array of NumPy's that shows the memory."""

    class Interface:
        __array_interface__ = {  # noqa: RUF012
            "data": (raw.data.ptr, False), "shape": raw.shape, "strides": raw.strides, "version": 3,
            "typestr": f"<u{raw.dtype.itemsize}" if raw.dtype.kind == "V" else raw.dtype.str,  # bfloat16
        }  # fmt: skip
        kept = raw

    if not raw.size:
        return np.empty(raw.shape, raw.dtype)
    return np.asarray(Interface()).view(raw.dtype)
