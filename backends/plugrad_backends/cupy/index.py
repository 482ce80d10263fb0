"""Kernels of `plugrad.ops.index` and `lookup`, named like the ops.

CuPy takes an index that is out of range modulo the size of the axis. Core looks at the indices of `take`, `gather` and their
kin by `check_range`, before the kernel is called; those in keys are looked at here. Neither makes the host wait.
"""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import numpy as np

from . import sync

Shape = tuple[int, ...]
#: What CuPy's atomic additions know.
_ATOMIC = frozenset("ilqILQfd")


def _is_mask(k: Any) -> bool:
    return hasattr(k, "dtype") and k.dtype.kind == "b"


class IndexKernels:
    """A family of kernels; the backend inherits them all."""

    xp: ClassVar[Any]
    check_range: ClassVar[Any]

    getitem = select = newaxis = whole = staticmethod(operator.getitem)

    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        if not hasattr(value, "dtype"):
            if key is ...:
                raw.fill(value)
                return raw
            if self._fill_where(raw, key, value):
                return raw
        elif value.data.mem is raw.data.mem:  # `a[1] = a[:, 2]` reads elements that were overwritten already
            value = value.copy()
        self._check_key(key, raw.shape, "setitem")
        raw[key] = value
        return raw

    def _fill_where(self, raw: Any, key: Any, value: Any) -> bool:
        """Write a number where the mask that is the whole key says so, without a list of places."""
        key = tuple(k for k in key if k is not ...) if isinstance(key, tuple) else (key,)
        if len(key) != 1 or not _is_mask(key[0]):
            return False
        mask = key[0].reshape(key[0].shape + (1,) * (raw.ndim - key[0].ndim))
        self.xp.copyto(raw, value, casting="unsafe", where=mask)
        return True

    def _check_key(self, key: Any, shape: Shape, asked: str) -> None:
        """Look at the index arrays of a key; a mask makes the host wait for the number of its places."""
        if not isinstance(key, tuple):
            return
        axis = 0
        for k in key:
            if _is_mask(k):
                sync.note(f"{asked} with a mask, which waits for the number of its places")
                axis += k.ndim
                continue
            if hasattr(k, "dtype"):
                self._check_indices(k, axis, shape[axis])
            axis += k is not None and k is not ...

    def _check_indices(self, indices: Any, axis: int, n: int) -> None:
        self.check_range(
            indices, -n, n - 1,
            lambda bad: IndexError(f"index {bad} is out of bounds for dimension {axis} with size {n}"),
        )  # fmt: skip

    # --- by keys with index arrays ------------------------------------------------------------------------------------

    def index_get(self, x: Any, key: Any) -> Any:
        self._check_key(key, x.shape, "index_get")
        return x[key]

    masked_select = take_flat = index_get

    def embed_add(self, x: Any, key: Any, shape: Shape) -> Any:
        y = self.xp.zeros(shape, x.dtype)
        self._check_key(key, shape, "embed_add")
        arrays = [k for k in key if hasattr(k, "dtype")]
        if len(arrays) == 1 and _is_mask(arrays[0]):  # a mask names no element twice
            y[key] = x
            return y
        return self._add_at(y, key, x)

    def _add_at(self, y: Any, key: Any, values: Any) -> Any:
        """`y`, a new array, with `values` added at a key, duplicates summed."""
        char, add = y.dtype.char, self.xp.add.at
        if y.dtype.kind == "c":
            for part in (operator.attrgetter("real"), operator.attrgetter("imag")):
                add(part(y), key, part(values))
        elif char in _ATOMIC:
            add(y, key, values)
        else:
            wide = y.astype(np.int32 if y.dtype.kind in "biu" else np.float32)
            add(wide, key, values.astype(wide.dtype))
            y = wide != 0 if y.dtype.kind == "b" else wide.astype(y.dtype)
        return y

    def masked_fill(self, x: Any, mask: Any, value: Any) -> Any:
        y = x.copy()
        self.xp.copyto(y, value, casting="unsafe", where=mask)
        return y

    # --- along an axis ------------------------------------------------------------------------------------------------

    def take(self, x: Any, indices: Any, axis: int) -> Any:
        return self.xp.take(x, indices, axis=axis)

    def index_add(self, x: Any, source: Any, indices: Any, axis: int) -> Any:
        return self._add_at(x.copy(), (slice(None),) * axis + (indices,), source)

    def _key_along(self, indices: Any, axis: int) -> tuple[Any, ...]:
        """The key that reads, for each element of `indices`, the element at that index along `axis`."""
        key = [
            self.xp.arange(m).reshape((m,) + (1,) * (indices.ndim - i - 1))
            for i, m in enumerate(indices.shape)
        ]
        key[axis] = indices
        return tuple(key)

    def gather(self, x: Any, indices: Any, axis: int) -> Any:
        if not x.ndim:
            return x.reshape(1)[indices.reshape(-1)].reshape(indices.shape)
        return x[self._key_along(indices, axis)]

    take_sorted = take_topk = take_kth = gather

    def embed_gathered(self, x: Any, indices: Any, axis: int, shape: Shape) -> Any:
        return self.scatter_add(self.xp.zeros(shape, x.dtype), x, indices, axis)

    def scatter_add(self, x: Any, src: Any, indices: Any, axis: int) -> Any:
        if not x.ndim:
            return x + src.reshape(())
        src = src[tuple(slice(n) for n in indices.shape)]
        return self._add_at(x.copy(), self._key_along(indices, axis), src)

    def scatter(self, x: Any, src: Any, indices: Any, axis: int) -> Any:
        src = src[tuple(slice(n) for n in indices.shape)]
        return self._scattered(x, src, indices, axis)

    def scatter_fill(self, x: Any, indices: Any, axis: int, value: Any) -> Any:
        return self._scattered(x, value, indices, axis)

    def _scattered(self, x: Any, values: Any, indices: Any, axis: int) -> Any:
        y = x.copy()
        if not x.ndim:
            y[...] = values
            return y
        y[self._key_along(indices, axis)] = values
        return y

    def embedding(self, x: Any, indices: Any, padding_idx: int | None) -> Any:
        return self.xp.take(x, indices, axis=0)

    def embedding_backward(self, x: Any, indices: Any, padding_idx: int | None, rows: int) -> Any:
        width = x.shape[-1]
        flat, x = indices.reshape(-1), x.reshape(-1, width)
        if padding_idx is not None:
            x = self.where((flat == padding_idx).reshape(-1, 1), 0, x)  # type: ignore[attr-defined]
        return self._add_at(self.xp.zeros((rows, width), x.dtype), (flat,), x)

    # --- where something is: their number is what the host waits for --------------------------------------------------------

    def nonzero(self, x: Any) -> Any:
        sync.note("nonzero, whose result is as long as its values say")
        return self.xp.nonzero(x.reshape(x.shape or (1,)))

    def argwhere(self, x: Any) -> Any:
        sync.note("argwhere, whose result is as long as its values say")
        return self.xp.argwhere(x)
