"""Composites of `plugrad.ops.shape`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from .. import dtypes

Shape = tuple[int, ...]


def part(backend: Any, x: Any, axis: int, start: int, stop: int | None = None) -> Any:
    """The elements from `start` to `stop` along an axis; without `stop`, the one at `start`, of size 1."""
    stop = start + 1 if stop is None else stop
    return backend.getitem(x, (*(slice(None),) * axis, slice(start, stop), ...))


def _without(values: Sequence[Any], *places: int) -> tuple[Any, ...]:
    return tuple(v for i, v in enumerate(values) if i not in places)


def zero_of(x: Any) -> Any:
    """0 in the category of an array."""
    return False if dtypes.of(x.dtype) is dtypes.bool_ else 0


class ShapeComposites:
    """A family of composites."""

    def expand_dims(self: Any, x: Any, axis: int) -> Any:
        return self.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))

    def squeeze(self: Any, x: Any, axis: Shape) -> Any:
        return self.reshape(x, _without(x.shape, *axis))

    def swapaxes(self: Any, x: Any, axis1: int, axis2: int) -> Any:
        axes = list(range(len(x.shape)))
        axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
        return self.permute_dims(x, tuple(axes))

    def reverse_dims(self: Any, x: Any) -> Any:
        return self.permute_dims(x, tuple(reversed(range(len(x.shape)))))

    def _numbers(self: Any, values: Any) -> Any:
        """An int64 array of indices."""
        return self.from_numpy(np.ascontiguousarray(values, np.int64))

    def flip(self: Any, x: Any, axis: Shape) -> Any:
        for i in axis if x.shape else ():
            x = self.take(x, self._numbers(np.arange(x.shape[i])[::-1]), i)
        return self.copy(x)

    def roll(self: Any, x: Any, shift: Shape, axis: Shape | None) -> Any:
        if axis is None:
            flat = self.roll(self.reshape(x, (int(np.prod(x.shape)),)), (sum(shift),), (0,))
            return self.reshape(flat, tuple(x.shape))
        for by, i in zip(shift, axis) if x.shape else ():
            x = self.take(x, self._numbers(np.roll(np.arange(x.shape[i]), by)), i)
        return self.copy(x)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def concat(self: Any, xs: Sequence[Any], axis: int) -> Any:
        shape = list(xs[0].shape)
        for x in xs:
            if _without(x.shape, axis) != _without(shape, axis) or len(x.shape) != len(shape):
                raise ValueError(
                    f"sizes must match except in dimension {axis}: {[tuple(x.shape) for x in xs]}"
                )
        shape[axis] = sum(x.shape[axis] for x in xs)
        y, end = self.empty(tuple(shape), dtypes.of(xs[0].dtype)), 0
        for x in xs:
            start, end = end, end + x.shape[axis]
            y = self.setitem(y, (*(slice(None),) * axis, slice(start, end), ...), x)
        return y

    def stack(self: Any, xs: Sequence[Any], axis: int) -> Any:
        if len({tuple(x.shape) for x in xs}) > 1:
            raise ValueError(f"stack expects each tensor to be equal size: {[tuple(x.shape) for x in xs]}")
        return self.concat([self.expand_dims(x, axis) for x in xs], axis)

    def split_sizes(self: Any, x: Any, sizes: Shape, axis: int) -> list[Any]:
        return [part(self, x, axis, end - n, end) for n, end in zip(sizes, accumulate(sizes))]

    def unbind(self: Any, x: Any, axis: int) -> list[Any]:
        return [self.getitem(x, (*(slice(None),) * axis, i, ...)) for i in range(x.shape[axis])]

    def tile(self: Any, x: Any, repetitions: Shape) -> Any:
        shape = (1,) * (len(repetitions) - len(x.shape)) + tuple(x.shape)
        repetitions = (1,) * (len(shape) - len(repetitions)) + tuple(repetitions)
        apart = tuple(n for size in shape for n in (1, size))
        spread = tuple(n for pair in zip(repetitions, shape) for n in pair)
        y = self.broadcast_to(self.reshape(x, apart), spread)
        return self.copy(self.reshape(y, tuple(r * n for r, n in zip(repetitions, shape))))

    # --- triangles and diagonals --------------------------------------------------------------------------------------

    def _triangle(self: Any, x: Any, k: int) -> Any:
        return self.from_numpy(np.tri(x.shape[-2], x.shape[-1], k, dtype=bool))

    def tril(self: Any, x: Any, k: int) -> Any:
        return self.where(self._triangle(x, k), x, zero_of(x))

    def triu(self: Any, x: Any, k: int) -> Any:
        return self.where(self._triangle(x, k - 1), zero_of(x), x)

    def _diagonal_last(self: Any, shape: Shape, offset: int, axis1: int, axis2: int) -> tuple[Shape, Any]:
        """The axes with the two at the end, and where the diagonal is in the flattened last two."""
        axes = (*_without(range(len(shape)), axis1, axis2), axis1, axis2)
        rows, columns = shape[axis1], shape[axis2]
        return axes, np.arange(rows * columns).reshape(rows, columns).diagonal(offset)

    def diagonal(self: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
        axes, places = self._diagonal_last(tuple(x.shape), offset, axis1, axis2)
        x = self.permute_dims(x, axes)
        outer = tuple(x.shape[:-2])
        return self.take(
            self.reshape(x, (*outer, x.shape[-2] * x.shape[-1])), self._numbers(places), len(outer)
        )

    def embed_diagonal(self: Any, x: Any, shape: Shape, offset: int, axis1: int, axis2: int) -> Any:
        axes, places = self._diagonal_last(tuple(shape), offset, axis1, axis2)
        moved = tuple(shape[i] for i in axes)
        zeros = self.zeros((*moved[:-2], moved[-2] * moved[-1]), dtypes.of(x.dtype))
        y = self.index_add(zeros, x, self._numbers(places), len(moved) - 2)
        return self.permute_dims(self.reshape(y, moved), tuple(int(i) for i in np.argsort(axes)))

    # --- windows ----------------------------------------------------------------------------------------------------

    def windows(self: Any, x: Any, axis: int, size: int, step: int) -> Any:
        count = (x.shape[axis] - size) // step + 1
        places = np.arange(count)[:, None] * step + np.arange(size)
        y = self.take(x, self._numbers(places.reshape(-1)), axis)
        y = self.reshape(y, (*x.shape[:axis], count, size, *x.shape[axis + 1 :]))
        n = len(y.shape)
        return self.permute_dims(y, (*_without(range(n), axis + 1), axis + 1))

    def overlap_add(self: Any, x: Any, shape: Shape, axis: int, size: int, step: int) -> Any:
        count, n = x.shape[axis], len(x.shape)
        y = self.permute_dims(x, (*range(axis + 1), n - 1, *range(axis + 1, n - 1)))
        y = self.reshape(y, (*x.shape[:axis], count * size, *x.shape[axis + 1 : -1]))
        places = np.arange(count)[:, None] * step + np.arange(size)
        return self.index_add(
            self.zeros(tuple(shape), dtypes.of(x.dtype)), y, self._numbers(places.reshape(-1)), axis
        )
