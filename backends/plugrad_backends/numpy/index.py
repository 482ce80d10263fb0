"""NumPy kernels of `plugrad.ops.index`, named like the ops."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


def setitem(x: np.ndarray, key: Any, value: Any) -> np.ndarray:
    """Write `value` into `x[key]` and return `x`."""
    x[key] = value
    return x


def written(x: np.ndarray, key: Any, value: Any) -> np.ndarray:
    """A copy of `x` with `value` at `key`."""
    return setitem(np.array(x, order="C"), key, value)


def add_at(x: np.ndarray, key: Any, values: np.ndarray) -> np.ndarray:
    """Add `values` to `x[key]`, duplicates summed, and return `x`, which is dense.

    `np.add.at` is fast for one flat array of indices only, so the key is turned into that.
    """
    places = _places(key, x.shape)
    np.add.at(x.reshape(-1), places.reshape(-1), np.broadcast_to(values, places.shape).reshape(-1))
    return x


def _places(key: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Where the elements of `x[key]` are in the flattened `x`."""
    places: Any = 0
    for axis, size in enumerate(shape):
        steps = np.arange(size) * math.prod(shape[axis + 1 :])
        column = steps.reshape(-1, *(1,) * (len(shape) - axis - 1))
        places = places + np.broadcast_to(column, shape)[key]
    return np.asarray(places, np.intp)


def embed_add(x: np.ndarray, key: Any, shape: tuple[int, ...]) -> np.ndarray:
    zeros = np.zeros(shape, x.dtype)
    arrays = [k for k in key if isinstance(k, np.ndarray)]
    if len(arrays) == 1 and arrays[0].dtype == bool:  # a mask names no element twice
        return setitem(zeros, key, x)
    return add_at(zeros, key, x)


def along(indices: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    """The key that reads, for each element of `indices`, the element at that index along `axis`."""
    key = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    key[axis] = indices
    return tuple(key)


def beside(indices: np.ndarray, axis: int) -> tuple[Any, ...]:
    """The key that reads whole slices along `axis`."""
    return (slice(None),) * axis + (indices,)


def embedding_backward(x: np.ndarray, indices: np.ndarray, padding_idx: int | None, rows: int) -> np.ndarray:
    """The rows of `x` summed where they were read; faster than sorting them, or a product with zeros and ones."""
    y, width = np.zeros((rows, x.shape[-1]), x.dtype), x.shape[-1]
    flat, x = indices.reshape(-1), x.reshape(-1, width)
    if padding_idx is not None:
        kept = flat != padding_idx
        flat, x = flat[kept], x[kept]
    np.add.at(y.reshape(-1), (flat[:, None] * width + np.arange(width)).reshape(-1), x.reshape(-1))
    return y


class IndexKernels:
    """A family of kernels; the backend inherits them all."""

    getitem = select = newaxis = whole = staticmethod(operator.getitem)
    index_get = masked_select = take_flat = staticmethod(operator.getitem)
    setitem = staticmethod(setitem)
    embed_add = staticmethod(embed_add)
    take = staticmethod(lambda x, indices, axis: np.take(x, indices, axis))
    index_add = staticmethod(
        lambda x, source, indices, axis: add_at(np.array(x, order="C"), beside(indices, axis), source)
    )
    gather = take_sorted = take_topk = take_kth = staticmethod(
        lambda x, indices, axis: x[along(indices, axis)]
    )
    embed_gathered = staticmethod(
        lambda x, indices, axis, shape: add_at(np.zeros(shape, x.dtype), along(indices, axis), x)
    )
    scatter_add = staticmethod(
        lambda x, src, indices, axis: add_at(np.array(x, order="C"), along(indices, axis), src)
    )
    scatter = staticmethod(lambda x, src, indices, axis: written(x, along(indices, axis), src))
    scatter_fill = staticmethod(lambda x, indices, axis, value: written(x, along(indices, axis), value))
    embedding = staticmethod(lambda x, indices, padding_idx: np.take(x, indices, 0))
    embedding_backward = staticmethod(embedding_backward)
    nonzero = staticmethod(lambda x: np.nonzero(np.atleast_1d(x)))
    argwhere = staticmethod(np.argwhere)
