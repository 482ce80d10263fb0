"""Composites of `plugrad.ops.index`: every kind of key is turned into places in the flattened array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes

Shape = tuple[int, ...]


def _flat(backend: Any, x: Any) -> Any:
    return backend.reshape(x, (math.prod(x.shape),))


class IndexComposites:
    """A family of composites."""

    def _arange(self: Any, n: int, step: int = 1) -> Any:
        """0, step, 2 * step … as n int64 indices."""
        return self.from_numpy(np.arange(n, dtype=np.int64) * step)

    def _places(self: Any, key: Any, shape: Shape) -> Any:
        """Where the elements of `x[key]` are in the flattened `x` of a shape; the key holds index arrays or masks."""
        arrays: list[tuple[int, Any]] = []
        axis = 0
        for k in key:
            found: tuple[Any, ...] = ()
            if hasattr(k, "dtype"):
                is_mask = dtypes.of(k.dtype) is dtypes.bool_
                if is_mask and tuple(k.shape) != shape[axis : axis + len(k.shape)]:
                    raise IndexError(
                        f"a mask of shape {tuple(k.shape)} at dimension {axis} of an array of shape {shape}"
                    )
                found = self.nonzero(k) if is_mask else (k,)
            arrays += [(axis + i, a) for i, a in enumerate(found)]
            axis += len(found) or 1
        axes = [i for i, _ in arrays]
        try:
            common = np.broadcast_shapes(*(tuple(a.shape) for _, a in arrays))
        except ValueError as error:
            raise IndexError(str(error)) from None
        # As in NumPy: the index arrays' axes come where they stand, or in front where they stand apart.
        together = axes == list(range(axes[0], axes[-1] + 1))
        rest = [i for i in range(len(shape)) if i not in axes]
        before = [i for i in rest if together and i < axes[0]]
        after = [i for i in rest if i not in before]
        result = (*(shape[i] for i in before), *common, *(shape[i] for i in after))
        places: Any = self._arange(1)
        for i, n in enumerate(shape):
            step = math.prod(shape[i + 1 :])
            if i in axes:
                a = dict(arrays)[i]
                term = self.where(a < 0, a + n, a) * step
                form = (*a.shape, *(1 for _ in after))
            else:
                term = self._arange(n, step)
                position = before.index(i) if i in before else len(before) + len(common) + after.index(i)
                form = (n, *(1,) * (len(result) - position - 1))
            places = places + self.reshape(term, form)
        return self.broadcast_to(places, result)

    def index_get(self: Any, x: Any, key: Any) -> Any:
        places = self._places(key, tuple(x.shape))
        return self.reshape(self.take(_flat(self, x), _flat(self, places), 0), tuple(places.shape))

    def embed_add(self: Any, x: Any, key: Any, shape: Shape) -> Any:
        places = self._places(key, tuple(shape))
        return self._added(self.zeros(tuple(shape), dtypes.of(x.dtype)), x, places)

    def _added(self: Any, x: Any, values: Any, places: Any) -> Any:
        """`x` plus `values` at places of the flattened `x`."""
        values = self.broadcast_to(values, tuple(places.shape))
        y = self.index_add(_flat(self, x), _flat(self, values), _flat(self, places), 0)
        return self.reshape(y, tuple(x.shape))

    # --- an index for each element along one axis -------------------------------------------------------------------

    def _along(self: Any, indices: Any, axis: int, shape: Shape) -> Any:
        """The places in the flattened array of `shape` at these indices along `axis`."""
        places = indices * math.prod(shape[axis + 1 :])
        for i, n in enumerate(indices.shape):
            if i != axis:
                form = tuple(n if j == i else 1 for j in range(len(shape)))
                places = places + self.reshape(self._arange(n, math.prod(shape[i + 1 :])), form)
        return places

    def gather(self: Any, x: Any, indices: Any, axis: int) -> Any:
        places = self._along(indices, axis, tuple(x.shape))
        return self.reshape(self.take(_flat(self, x), _flat(self, places), 0), tuple(places.shape))

    def embed_gathered(self: Any, x: Any, indices: Any, axis: int, shape: Shape) -> Any:
        return self.scatter_add(self.zeros(tuple(shape), dtypes.of(x.dtype)), x, indices, axis)

    def scatter_add(self: Any, x: Any, src: Any, indices: Any, axis: int) -> Any:
        src = self.getitem(src, (*(slice(0, n) for n in indices.shape), ...))
        return self._added(x, src, self._along(indices, axis, tuple(x.shape)))

    def scatter(self: Any, x: Any, src: Any, indices: Any, axis: int) -> Any:
        src = self.getitem(src, (*(slice(0, n) for n in indices.shape), ...))
        places = _flat(self, self._along(indices, axis, tuple(x.shape)))
        return self.reshape(
            self.setitem(self.copy(_flat(self, x)), (places,), _flat(self, src)), tuple(x.shape)
        )

    def scatter_fill(self: Any, x: Any, indices: Any, axis: int, value: Any) -> Any:
        places = _flat(self, self._along(indices, axis, tuple(x.shape)))
        return self.reshape(self.setitem(self.copy(_flat(self, x)), (places,), value), tuple(x.shape))

    # --- where something is: the number of places is all that the host learns -----------------------------------------

    def nonzero(self: Any, x: Any) -> tuple[Any, ...]:
        x = self.reshape(x, tuple(x.shape) or (1,))
        flat = self._true_places(_flat(self, self._truth(x)))
        found = []
        for i, n in enumerate(x.shape):
            step = math.prod(x.shape[i + 1 :])
            found.append(flat // step % n if step and n else flat)
        return tuple(found)

    def _true_places(self: Any, mask: Any) -> Any:
        """Where a 1-d mask is true."""
        n = mask.shape[0]
        if not n:
            return self._arange(0)
        order = self.cumulative_sum(self.astype(mask, dtypes.int64), 0)
        count = int(self.to_numpy(self.getitem(order, (n - 1, ...))))
        to = self.where(mask, order - 1, count)  # all others go one behind the end
        found = self.index_add(
            self.zeros((count + 1,), dtypes.int64), self.where(mask, self._arange(n), 0), to, 0
        )
        return self.getitem(found, (slice(0, count), ...))

    def argwhere(self: Any, x: Any) -> Any:
        if not x.shape:
            return self.zeros((int(self.to_numpy(self._truth(x))), 0), dtypes.int64)
        return self.stack(self.nonzero(x), 1)
