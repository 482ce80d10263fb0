"""NumPy kernels of `plugrad.ops.shape`, named like the ops."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

Shape = tuple[int, ...]


def broadcast_to(x: Any, shape: Shape) -> Any:
    """`np.broadcast_to` at a fifth of its price; writable where `x` is, since writers look for overlap."""
    if not x.shape:  # one number: the cotangent of a sum, mostly
        return np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape)) if shape else x
    if tuple(x.shape) == tuple(shape):
        return x
    extra = len(shape) - len(x.shape)
    if extra < 0 or not x.flags.c_contiguous or any(n not in (1, m) for n, m in zip(x.shape, shape[extra:])):
        y = np.broadcast_to(x, shape)  # it also says what is wrong
        y.flags.writeable = x.flags.writeable
        return y
    strides = (0,) * extra + tuple(0 if n == 1 else s for n, s in zip(x.shape, x.strides))
    return np.ndarray(shape, x.dtype, x, 0, strides)


def split_sizes(x: Any, sizes: Shape, axis: int) -> list[Any]:
    """Views of the parts of `x`, of the given sizes along `axis`."""
    before = (slice(None),) * axis
    return [x[(*before, slice(end - n, end))] for n, end in zip(sizes, accumulate(sizes))]


def diagonal(x: Any, offset: int, axis1: int, axis2: int) -> Any:
    """`np.diagonal`, writable where `x` is."""
    y = x.diagonal(offset, axis1, axis2)
    y.flags.writeable = x.flags.writeable
    return y


def embed_diagonal(x: Any, shape: Shape, offset: int, axis1: int, axis2: int) -> Any:
    """Zeros of `shape` with `x` on a diagonal."""
    y = np.zeros(shape, x.dtype)
    diagonal(y, offset, axis1, axis2)[...] = x
    return y


def windows(x: Any, axis: int, size: int, step: int) -> Any:
    """A copy of the windows of `size` along `axis`, `step` apart, as the last axis."""
    every = (slice(None),) * axis + (slice(None, None, step),)
    if size:
        return np.lib.stride_tricks.sliding_window_view(x, size, axis)[every].copy()
    n = x.shape[axis]
    return np.empty((*x.shape[:axis], n // step + 1, *x.shape[axis + 1 :], 0), x.dtype)


def overlap_add(x: Any, shape: Shape, axis: int, size: int, step: int) -> Any:
    """The sum of the windows `x`, each at its place in zeros of `shape`."""
    y, n = np.zeros(shape, x.dtype), x.shape[axis]
    for i in range(size):  # the elements of one place in all windows never overlap
        y[(slice(None),) * axis + (slice(i, i + (n - 1) * step + 1, step),)] += x[..., i]
    return y


class ShapeKernels:
    """A family of kernels; the backend inherits them all."""

    # Methods of arrays: NumPy's functions of the same names cost three times as much.
    reshape = staticmethod(lambda x, shape: x.reshape(shape))
    expand_dims = staticmethod(lambda x, axis: x[(slice(None),) * axis + (None,)])
    squeeze = staticmethod(lambda x, axis: x.squeeze(axis))
    broadcast_to = staticmethod(broadcast_to)

    permute_dims = staticmethod(lambda x, axes: x.transpose(axes))
    swapaxes = staticmethod(lambda x, axis1, axis2: x.swapaxes(axis1, axis2))
    reverse_dims = staticmethod(lambda x: x.T)
    flip = staticmethod(lambda x, axis: np.flip(x, axis).copy())
    roll = staticmethod(np.roll)

    concat = staticmethod(np.concatenate)
    stack = staticmethod(np.stack)
    split_sizes = staticmethod(split_sizes)
    unbind = staticmethod(lambda x, axis: [x[(slice(None),) * axis + (i, ...)] for i in range(x.shape[axis])])
    tile = staticmethod(np.tile)

    tril = staticmethod(np.tril)
    triu = staticmethod(np.triu)
    diagonal = staticmethod(diagonal)
    embed_diagonal = staticmethod(embed_diagonal)
    windows = staticmethod(windows)
    overlap_add = staticmethod(overlap_add)

    astype = staticmethod(lambda x, dtype: x.astype(dtype.numpy))
    bitcast = staticmethod(lambda x, dtype: x.view(dtype.numpy))
