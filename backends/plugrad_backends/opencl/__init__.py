"""OpenCL: the device `opencl`, for every GPU that has a driver of it, and for CPUs.

runtimes    which devices there are, and the choice of one
device      context, queue, memory pool, and the kernels that were built
layout      shapes, strides and offsets
array       `Array`, the n-dimensional array
elementwise, reduce, …      a template of kernels each, in two schedules: for CPUs and for GPUs
arithmetic, …               families of kernels, named like the ops
backend     the table of all that
diagnostics memory statistics, and where the time goes
"""

from __future__ import annotations

from .backend import OpenCLBackend
from .diagnostics import empty_cache, memory_stats, profile

__all__ = ["OpenCLBackend", "empty_cache", "memory_stats", "profile"]
