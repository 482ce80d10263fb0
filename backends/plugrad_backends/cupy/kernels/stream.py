"""The stream of random numbers that every device has, drawn on the GPU: `PhiloxStream` of the NumPy backend says which."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from ...numpy import random as host
from . import random

__all__ = ["PhiloxStream"]

_REAL_PART = {np.dtype(np.complex64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.float64)}


class PhiloxStream(host.PhiloxStream):
    """Words, units, integers and permutations are those of the CPU, bit for bit; a normal is within radius / 2**20 of the
    exact one in float32, radius / 2**49 in float64.
    """

    def __init__(self, members: Any, seed: int) -> None:
        self._members, self._device = members, members.device
        super().__init__(seed)

    def _taken(self, n: int) -> int:
        """The offset of a call for n words."""
        with host._lock:
            offset, self.offset = self.offset, self.offset - (-n // 4)
        return offset

    def _new(self, shape: tuple[int, ...], dtype: Any) -> tuple[Any, int, int]:
        y = self._device.empty(shape, dtype)
        return y, y.size, self._taken(y.size)

    def uniform(self, shape: Any, dtype: Any = np.float32, low: float = 0.0, high: float = 1.0) -> Any:
        """Numbers in [low, high)."""
        shape, dtype = host._shape(shape), np.dtype(dtype)
        if dtype in _REAL_PART:
            return self.uniform((*shape, 2), _REAL_PART[dtype], low, high).view(dtype).reshape(shape)
        host._check_uniform(dtype, low, high)
        real = host._working(dtype).type
        y, n, offset = self._new(shape, dtype)
        if n:
            start, stop = real(low), real(high)
            random.uniform(
                self._device.kernels(), dtype.name, y.data.ptr, n, self.initial_seed, offset, float(start), float(stop),
                float(stop - start),
            )  # fmt: skip
        return y

    def normal(self, shape: Any, dtype: Any = np.float32, mean: float = 0.0, std: float = 1.0) -> Any:
        """Normal numbers; each part of a complex one has deviation std / √2."""
        shape, dtype = host._shape(shape), np.dtype(dtype)
        if dtype in _REAL_PART:
            parts = self.normal((*shape, 2), _REAL_PART[dtype], mean, std / math.sqrt(2))
            return parts.view(dtype).reshape(shape)
        host._check_float("normal", dtype)
        if not std >= 0:
            raise RuntimeError(f"normal: std is {std}; it must be 0 or more")
        y, n, offset = self._new(shape, dtype)
        if n:
            random.normal(
                self._device.kernels(), dtype.name, y.data.ptr, n, self.initial_seed, offset, mean, std
            )
        return y

    def randint(
        self, low: int, high: int, shape: Any, dtype: Any = np.int64, wide: bool | None = None
    ) -> Any:
        """Integers in [low, high)."""
        shape, dtype, low, high = host._shape(shape), np.dtype(dtype), index(low), index(high)
        host._check_range(dtype, low, high)
        y, n, offset = self._new(shape, np.int64)
        if n:
            random.integers(self._device.kernels(), y.data.ptr, n, self.initial_seed, offset, low, high - low)
        return y if dtype == np.int64 else self._members._cast(y, dtype)

    def bernoulli(self, p: Any, shape: Any) -> Any:
        """Bools that are true with probability p: a number, or an array of the GPU or of NumPy that broadcasts to `shape`."""
        shape = host._shape(shape)
        if isinstance(p, np.ndarray) and p.ndim:
            p = self._members.others.from_numpy(p)
        if not isinstance(p, self._device.array_type):
            chance = float(p)
            if not 0 <= chance <= 1:
                raise RuntimeError(f"bernoulli: p must be in [0, 1], and {p} is not")
            y, n, offset = self._new(shape, bool)
            if n:
                limit = math.ceil(chance * 2**53)
                random.bernoulli(self._device.kernels(), y.data.ptr, n, self.initial_seed, offset, limit)
            return y
        members: Any = self._members
        inside = members.logical_and(members.greater_equal(p, 0), members.less_equal(p, 1))
        if not self._device.truth(members.all(inside, tuple(range(inside.ndim)), False)):
            raise RuntimeError("bernoulli: p must be in [0, 1], and some of the array are not")
        units = self.uniform(shape, host._working(p.dtype))
        return members.less(units, p if p.dtype == units.dtype else members._cast(p, units.dtype))

    def permutation(self, n: int) -> Any:
        """The integers 0 … n - 1 in random order, int64."""
        words, n, offset = self._new((host._shape(n)[0],), np.uint64)
        if n:
            random.words(self._device.kernels(), words.data.ptr, n, self.initial_seed, offset)
        return self._device.argsort(words)
