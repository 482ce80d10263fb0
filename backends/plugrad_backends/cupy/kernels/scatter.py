"""Adding at indices, in one order and so with the same bits each time, for every dtype.

A complex number is added as its two parts, side by side; bools are put together by `or`. Each op says where in a dense array
(outer, n, inner) the elements of its source go; what is sorted are the indices, stably.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import Any

import numpy as np

from plugrad import composites

from ...expressions import Functions as f
from . import index as indexing
from .source import NUMBERS

__all__ = ["Scatter"]


class Scatter:
    """Members named like the ops."""

    def __init__(self, device: Any, others: Any) -> None:
        super().__init__(device, others)  # type: ignore[call-arg]
        #: The place along several axes, of which this is one; counted from the end where it is negative.
        self._place = self._elementwise(  # type: ignore[attr-defined]
            "place", lambda i, n, step, rest: f.where(i < 0, i + n, i) * step + rest
        )

    def embedding_backward(self: Any, x: Any, indices: Any, padding_idx: int | None, count: int) -> Any:
        """The rows of `x` summed where they were read, in the order in which they were, except those of the padding."""
        if not _adds(x):
            return self.others.embedding_backward(x, indices, padding_idx, count)
        width = x.shape[-1]
        flat = self.dense(indices).reshape(-1)
        skip = -1 if padding_idx is None else padding_idx
        return self._added(
            self._zeros((count, width), x.dtype), self.dense(x).reshape(-1, width), flat, 0, skip
        )

    def index_add(self: Any, x: Any, source: Any, indices: Any, axis: int) -> Any:
        """`x` with slices added, duplicates summed, in the order of the indices."""
        if not _adds(x) or not x.ndim:
            return self.others.index_add(x, source, indices, axis)
        return self._added(self.copy(x), source, indices, axis)

    def scatter_add(self: Any, x: Any, src: Any, indices: Any, axis: int) -> Any:
        """`x` with the elements of `src` added at an index along an axis for each."""
        if not _adds(x) or not x.ndim:
            return self.others.scatter_add(x, src, indices, axis)
        y = self.copy(x)
        part = tuple(slice(n) for n in indices.shape)
        src, inside = src[part], (*part[:axis], slice(None), *part[axis + 1 :])
        if y[inside].shape == y.shape:
            return self._along(y, src, indices, axis)
        self.copy(self._along(self.copy(y[inside]), src, indices, axis), out=y[inside])
        return y

    def embed_gathered(self: Any, x: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
        """The same on zeros."""
        if not _adds(x) or not shape:
            return self.others.embed_gathered(x, indices, axis, shape)
        return self.scatter_add(self._zeros(shape, x.dtype), x, indices, axis)

    def embed_add(self: Any, x: Any, key: Any, shape: tuple[int, ...]) -> Any:
        """Zeros with `x` added at a key with index arrays."""
        arrays = [(i, k) for i, k in enumerate(key) if hasattr(k, "dtype")]
        if not _adds(x) or (
            len(arrays) == 1 and arrays[0][1].dtype.kind == "b"
        ):  # a mask names no element twice
            return self.others.embed_add(x, key, shape)
        first, last = arrays[0][0], arrays[-1][0] + 1
        if any(k.dtype.kind == "b" for _, k in arrays) or last - first != len(arrays):
            return MethodType(composites.find("embed_add"), self.others.backend)(x, key, shape)  # type: ignore[arg-type]
        self.others.check_key(key, shape, "embed_add")
        y, step = self._zeros(shape, x.dtype), 1
        places: Any = 0
        for i, k in reversed(arrays):
            places, step = self._place(self._int64(k), shape[i], step, places), step * shape[i]
        found = (*shape[:first], *places.shape, *shape[last:])
        x = x if x.shape == found else self.others.broadcast_to(x, found)
        merged = y.reshape((*shape[:first], step, *shape[last:]))
        self._added(merged, x, places, first)
        return y

    # --- into dense arrays ------------------------------------------------------------------------------------------------

    def _zeros(self: Any, shape: Any, dtype: Any) -> Any:
        y = self.device.empty(shape, dtype)
        return self.zeros_like(y)

    def _along(self: Any, y: Any, source: Any, indices: Any, axis: int) -> Any:
        """Add to `y`, which is dense, where each element of the source has an index of its own."""
        indices = self._int64(self.dense(indices))
        places = self.device.empty(indices.shape, np.int64)
        if not (y.size and places.size):
            return y
        outer, inner = math.prod(y.shape[:axis]), math.prod(y.shape[axis + 1 :])
        indexing.places(
            self.device.kernels(),
            indices.data.ptr,
            places.data.ptr,
            outer,
            y.shape[axis],
            indices.shape[axis],
            inner,
        )
        self._added(y.reshape(-1), self.dense(source).reshape(-1), places.reshape(-1), 0)
        return y

    def _added(self: Any, y: Any, source: Any, indices: Any, axis: int, skip: int = -1) -> Any:
        """Add to `y`, which is dense: each place by one thread, in one order."""
        source, indices = self.dense(source), self._int64(self.dense(indices)).reshape(-1)
        outer, n, inner = math.prod(y.shape[:axis]), y.shape[axis], math.prod(y.shape[axis + 1 :])
        m, name = indices.size, str(y.dtype.name)
        if not (y.size and m):
            return y
        if y.dtype.kind == "c":
            name, inner = str(np.dtype(y.dtype.char.lower()).name), 2 * inner
        kernels, shape = self.device.kernels(), (outer, n, m, inner)
        if indexing.can_own(name, n * inner, m):
            indexing.add_owned(kernels, name, source.data.ptr, indices.data.ptr, y.data.ptr, *shape, skip)
        else:
            order = self.device.argsort(indices)
            by_place = self.take(indices, order, 0)
            indexing.add_sorted(
                kernels, name, source.data.ptr, by_place.data.ptr, order.data.ptr, y.data.ptr, *shape, skip
            )
        return y


def _adds(x: Any) -> bool:
    """Whether there is a kernel that adds elements of the dtype at indices."""
    return x.dtype.kind == "c" or str(x.dtype.name) in NUMBERS
