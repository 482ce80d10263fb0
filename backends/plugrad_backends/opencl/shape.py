"""Kernels of `plugrad.ops.shape`, named like the ops: views where there can be one, else one kernel or few."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from plugrad.dtypes import dtype

from ..expressions import Functions as f
from ..expressions import expr
from .array import Array, signature
from .kernels import elementwise

Shape = tuple[int, ...]
FULL = slice(None)


class ShapeKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any

    _where_ordered = elementwise(lambda x, low, high: f.where(f.less_equal(low, high), x, 0), free=(1, 2))

    def real(self: Any, x: Array) -> Array:
        return _part(x, 0) if x.dtype.kind == "c" else x

    def imag(self: Any, x: Array) -> Array:
        return _part(x, 1) if x.dtype.kind == "c" else self.zeros_like(x)

    def squeeze(self: Any, x: Array, axis: Shape) -> Array:
        kept = [i for i in range(x.ndim) if i not in axis]
        return x.view(tuple(x.shape[i] for i in kept), tuple(x.strides[i] for i in kept), x.offset)

    def expand_dims(self: Any, x: Array, axis: int) -> Array:
        return x.basic_index((*(FULL,) * axis, None))

    def flip(self: Any, x: Array, axis: Shape) -> Array:
        return self.copy(_flipped(x, axis))

    def roll(self: Any, x: Array, shift: Shape, axis: Shape | None) -> Array:
        if axis is None:
            flat = self.roll(x.reshape((x.size,)), (sum(shift),), (0,))
            return flat.reshape(x.shape)
        by = [0] * x.ndim
        for s, i in zip(shift, axis):
            by[i] = (by[i] + s) % max(x.shape[i], 1)
        y = self.device.empty(x.shape, x.dtype)
        # Along each axis the last elements come in front, and the others behind them.
        pairs = [
            [(slice(0, s), slice(n - s, n)), (slice(s, n), slice(0, n - s))] if s else [(FULL, FULL)]
            for s, n in zip(by, x.shape)
        ]
        for parts in itertools.product(*pairs):
            to, source = y.basic_index(tuple(p[0] for p in parts)), x.basic_index(tuple(p[1] for p in parts))
            self.copy.into((to,), source)
        return y

    def tile(self: Any, x: Array, repetitions: Shape) -> Array:
        shape = (1,) * (len(repetitions) - x.ndim) + x.shape
        repetitions = (1,) * (len(shape) - len(repetitions)) + tuple(repetitions)
        y = self.device.empty(tuple(r * n for r, n in zip(repetitions, shape)), x.dtype)
        apart = tuple(n for pair in zip(repetitions, shape) for n in pair)
        if y.size:
            self.copy.into((y.reshape(apart),), x.reshape(tuple(n for size in shape for n in (1, size))))
        return y

    # --- pieces -------------------------------------------------------------------------------------------------------

    def concat(self: Any, xs: Sequence[Array], axis: int) -> Array:
        first = xs[0].shape
        for x in xs:
            if x.ndim != len(first) or any(
                i != axis and n != m for i, (n, m) in enumerate(zip(x.shape, first))
            ):
                raise ValueError(f"sizes must match except in dimension {axis}: {[x.shape for x in xs]}")
        size = sum(x.shape[axis] for x in xs)
        y, end = self.device.empty((*first[:axis], size, *first[axis + 1 :]), xs[0].dtype), 0
        for x in xs:
            start, end = end, end + x.shape[axis]
            if x.size:
                self.copy.into((y.basic_index((*(FULL,) * axis, slice(start, end))),), x)
        return y

    def stack(self: Any, xs: Sequence[Array], axis: int) -> Array:
        if len({x.shape for x in xs}) > 1:
            raise ValueError(f"stack expects each tensor to be equal size: {[x.shape for x in xs]}")
        return self.concat([self.expand_dims(x, axis) for x in xs], axis)

    # --- triangles and diagonals --------------------------------------------------------------------------------------

    def tril(self: Any, x: Array, k: int) -> Array:
        rows, columns = x.shape[-2:]
        return self._where_ordered(x, self._arange(columns), self._arange(rows, start=k).reshape((rows, 1)))

    def triu(self: Any, x: Array, k: int) -> Array:
        rows, columns = x.shape[-2:]
        return self._where_ordered(x, self._arange(rows, start=k).reshape((rows, 1)), self._arange(columns))

    def diagonal(self: Any, x: Array, offset: int, axis1: int, axis2: int) -> Array:
        rows, columns = x.shape[axis1], x.shape[axis2]
        count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
        row, column = max(-offset, 0), max(offset, 0)
        start = x.offset + (row * x.strides[axis1] + column * x.strides[axis2] if count else 0)
        rest = [i for i in range(x.ndim) if i not in (axis1 % x.ndim, axis2 % x.ndim)]
        shape = (*(x.shape[i] for i in rest), count)
        return x.view(shape, (*(x.strides[i] for i in rest), x.strides[axis1] + x.strides[axis2]), start)

    def embed_diagonal(self: Any, x: Array, shape: Shape, offset: int, axis1: int, axis2: int) -> Array:
        y = self._zeros(shape, x)
        if x.size:
            self.copy.into((self.diagonal(y, offset, axis1, axis2),), x)
        return y

    # --- windows ------------------------------------------------------------------------------------------------------

    def windows(self: Any, x: Array, axis: int, size: int, step: int) -> Array:
        count, stride = (x.shape[axis] - size) // step + 1, x.strides[axis]
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :], size)
        strides = (*x.strides[:axis], stride * step, *x.strides[axis + 1 :], stride)
        return self.copy(x.view(shape, strides, x.offset))

    def overlap_add(self: Any, x: Array, shape: Shape, axis: int, size: int, step: int) -> Array:
        y, n = self._zeros(shape, x), x.shape[axis]
        for i in range(size if x.size else 0):  # the elements of one place in all windows never overlap
            part = y.basic_index((*(FULL,) * axis, slice(i, i + (n - 1) * step + 1, step)))
            self.add.into((part,), part, x.basic_index((..., i)))
        return y

    # --- bytes --------------------------------------------------------------------------------------------------------

    def bitcast(self: Any, x: Array, dtype: dtype) -> Array:
        to = self._numpy(dtype)
        old, new = x.dtype.itemsize, to.itemsize
        shape, strides, offset = x.shape, x.strides, x.offset
        if old != new:
            many = max(old, new) // min(old, new)
            fits = x.ndim and (shape[-1] == 1 or strides[-1] == 1)
            if old > new:
                strides = (*(s * many for s in strides[:-1]), 1)
                shape, offset = (*shape[:-1], shape[-1] * many) if fits else shape, offset * many
            else:
                fits = fits and not any(n % many for n in (shape[-1], offset, *strides[:-1]))
                strides = (*(s // many for s in strides[:-1]), 1)
                shape, offset = (*shape[:-1], shape[-1] // many) if fits else shape, offset // many
            if not fits:
                raise ValueError(
                    f"the bytes of {x.sig} are no array of {to}: its last dimension must be dense and divisible"
                )
        base = x if x.base is None else x.base
        return type(x)(x.buffer, offset, signature(shape, to, strides), base)


def _part(x: Array, which: int) -> Array:
    """The real (0) or imaginary (1) parts of complex numbers: a view, since writes into them are writes into the numbers."""
    sig = signature(x.shape, expr.REAL_PART[x.dtype], tuple(2 * s for s in x.strides))
    return type(x)(x.buffer, 2 * x.offset + which, sig, x if x.base is None else x.base)


def _flipped(x: Array, axis: Shape) -> Array:
    """The view with those axes backwards."""
    turned = {i % x.ndim for i in axis} if x.ndim else set()
    return x.basic_index(tuple(slice(None, None, -1) if i in turned else FULL for i in range(x.ndim)))


__all__ = ["ShapeKernels"]
