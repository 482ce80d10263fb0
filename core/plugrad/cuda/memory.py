"""How much memory of a GPU is in use. The pool is CuPy's: what CuPy itself allocates counts, too."""

from __future__ import annotations

from typing import Any

from .devices import index_of, runtime


def memory_allocated(device: Any = None) -> int:
    """The bytes in use by arrays, each rounded up to a multiple of 512."""
    return runtime().allocated(index_of(device))


def memory_reserved(device: Any = None) -> int:
    """The bytes that the pool holds, in use or not."""
    return runtime().reserved(index_of(device))


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that were in use at one time since `reset_peak_memory_stats`, which must have been called.

    Counting costs time at each allocation, so it is not done unless asked for: RuntimeError.
    """
    return runtime().peak(index_of(device))


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to count, or to count anew, the most bytes in use at one time."""
    runtime().reset_peak(index_of(device))


def memory_stats(device: Any = None) -> dict[str, int]:
    """The bytes in use and reserved by PyTorch's keys; the peak is there where it is counted."""
    index = index_of(device)
    found = {
        "allocated_bytes.all.current": runtime().allocated(index),
        "reserved_bytes.all.current": runtime().reserved(index),
    }
    if runtime().counts_peaks:
        found["allocated_bytes.all.peak"] = runtime().peak(index)
    return found


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The free and the total bytes of a GPU, as the driver tells: of all programs together."""
    return runtime().mem_info(index_of(device))


def empty_cache() -> None:
    """Give what the pool holds and nobody uses back to the driver, so that other programs can have it."""
    runtime().empty_cache()
