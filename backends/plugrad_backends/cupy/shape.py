"""Kernels of `plugrad.ops.shape`, named like the ops: views where the op is one."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, ClassVar

from plugrad.dtypes import dtype as Dtype

Shape = tuple[int, ...]


class ShapeKernels:
    """A family of kernels; the backend inherits them all."""

    xp: ClassVar[Any]

    reshape = staticmethod(lambda x, shape: x.reshape(shape))
    permute_dims = staticmethod(lambda x, axes: x.transpose(axes))
    swapaxes = staticmethod(lambda x, axis1, axis2: x.swapaxes(axis1, axis2))
    reverse_dims = staticmethod(lambda x: x.T)
    matrix_transpose = staticmethod(lambda x: x.swapaxes(-1, -2))
    expand_dims = staticmethod(lambda x, axis: x[(slice(None),) * axis + (None,)])
    squeeze = staticmethod(lambda x, axis: x.squeeze(axis))
    diagonal = staticmethod(lambda x, offset, axis1, axis2: x.diagonal(offset, axis1, axis2))
    unbind = staticmethod(lambda x, axis: [x[(slice(None),) * axis + (i, ...)] for i in range(x.shape[axis])])

    def broadcast_to(self, x: Any, shape: Shape) -> Any:
        return x if x.shape == tuple(shape) else self.xp.broadcast_to(x, shape)

    def split_sizes(self, x: Any, sizes: Shape, axis: int) -> list[Any]:
        before = (slice(None),) * axis
        return [x[(*before, slice(end - n, end))] for n, end in zip(sizes, accumulate(sizes))]

    def flip(self, x: Any, axis: Shape) -> Any:
        backwards = {a % x.ndim for a in axis}
        return x[tuple(slice(None, None, -1 if i in backwards else None) for i in range(x.ndim))].copy()

    def roll(self, x: Any, shift: Any, axis: Any) -> Any:
        return self.xp.roll(x, shift, axis=axis)

    def concat(self, xs: Any, axis: int) -> Any:
        return self.xp.concatenate(list(xs), axis=axis)

    def stack(self, xs: Any, axis: int) -> Any:
        return self.xp.stack(list(xs), axis=axis)

    def tile(self, x: Any, repetitions: Shape) -> Any:
        return self.xp.tile(x, repetitions)

    def tril(self, x: Any, k: int) -> Any:
        return self.xp.tril(x, k)

    def triu(self, x: Any, k: int) -> Any:
        return self.xp.triu(x, k)

    def embed_diagonal(self, x: Any, shape: Shape, offset: int, axis1: int, axis2: int) -> Any:
        y = self.xp.zeros(shape, x.dtype)
        y.diagonal(offset, axis1, axis2)[...] = x
        return y

    def overlap_add(self, x: Any, shape: Shape, axis: int, size: int, step: int) -> Any:
        y, n = self.xp.zeros(shape, x.dtype), x.shape[axis]
        for i in range(size if n else 0):  # the elements of one place in all windows never overlap
            part = y[(slice(None),) * axis + (slice(i, i + (n - 1) * step + 1, step),)]
            self.xp.add(part, x[..., i], out=part)
        return y

    def windows(self, x: Any, axis: int, size: int, step: int) -> Any:
        n, outer, inner = (x.shape[axis] - size) // step + 1, x.shape[:axis], x.shape[axis + 1 :]
        strides = (*x.strides[:axis], x.strides[axis] * step, *x.strides[axis + 1 :], x.strides[axis])
        return self.xp.lib.stride_tricks.as_strided(x, (*outer, n, *inner, size), strides).copy()

    def astype(self, x: Any, dtype: Dtype) -> Any:
        return x.astype(self._raw(dtype))  # type: ignore[attr-defined]

    def bitcast(self, x: Any, dtype: Dtype) -> Any:
        return x.view(self._raw(dtype))  # type: ignore[attr-defined]
