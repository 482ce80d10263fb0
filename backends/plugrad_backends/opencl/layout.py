"""Where elements lie: shapes, strides and offsets, counted in elements. Pure functions, without OpenCL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Shape = tuple[int, ...]


class Signature:
    """All that a kernel must know of an array but its memory: there is one object for each such triple.

    So the plans of kernels are found by the identities of signatures, which costs no hash of shapes.
    """

    __slots__ = ("dtype", "is_dense", "nbytes", "ndim", "shape", "size", "strides")

    def __init__(self, shape: Shape, strides: Shape, dtype: np.dtype[Any]) -> None:
        self.shape, self.strides, self.dtype = shape, strides, dtype
        self.ndim, self.size = len(shape), math.prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self.is_dense = self.size <= 1 or all(
            n == 1 or s == d for n, s, d in zip(shape, strides, dense_strides(shape))
        )

    def __repr__(self) -> str:
        return f"{self.dtype}{list(self.shape)}, strides {list(self.strides)}"


_signatures: dict[tuple[Shape, Shape, np.dtype[Any]], Signature] = {}


def signature(shape: Shape, dtype: np.dtype[Any], strides: Shape | None = None) -> Signature:
    """The one signature of a shape, strides (dense without) and dtype."""
    if strides is None:
        strides = dense_strides(shape)
    key = shape, strides, dtype
    found = _signatures.get(key)
    if found is None:
        found = _signatures.setdefault(key, Signature(shape, strides, dtype))
    return found


def dense_strides(shape: Shape) -> Shape:
    """Those of an array in row-major order."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that all can be repeated to."""
    if len(shapes) == 1:
        return shapes[0]
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    return np.broadcast_shapes(*shapes)


def broadcast_strides(sig: Signature, shape: Shape) -> Shape:
    """The strides by which an array reads as one of a larger shape: 0 along what is repeated."""
    if sig.shape == shape:
        return tuple(0 if n == 1 else s for n, s in zip(sig.shape, sig.strides))
    extra = len(shape) - sig.ndim
    if extra < 0 or any(n not in (1, m) for n, m in zip(sig.shape, shape[extra:])):
        raise ValueError(f"shape {sig.shape} cannot be broadcast to {shape}")
    return (0,) * extra + tuple(0 if n == 1 else s for n, s in zip(sig.shape, sig.strides))


def collapse(shape: Shape, strides: Sequence[Shape]) -> tuple[Shape, list[Shape]]:
    """The same walk over several arrays with as few dimensions as possible, one at least.

    Dimensions of size 1 go, and neighbours become one where each array steps through both alike.

    >>> collapse((4, 1, 5, 6), [(30, 30, 6, 1), (0, 0, 6, 1)])
    ((4, 30), [(30, 1), (0, 1)])
    """
    extents: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for i, n in enumerate(shape):
        if n == 1:
            continue
        if extents and all(k[-1] == s[i] * n for k, s in zip(steps, strides)):
            extents[-1] *= n
            for k, s in zip(steps, strides):
                k[-1] = s[i]
            continue
        extents.append(n)
        for k, s in zip(steps, strides):
            k.append(s[i])
    if not extents:
        return (1,), [(1,)] * len(strides)  # one element: as of any dense array
    return tuple(extents), [tuple(k) for k in steps]


def rank_class(rank: int) -> int:
    """The number of dimensions that kernels are written for: few, since each costs a build."""
    for known in (1, 2, 4, 8):
        if rank <= known:
            return known
    raise ValueError(f"an array of {rank} dimensions that cannot be merged: 8 are the most")


def padded(values: Sequence[int], rank: int, by: int) -> tuple[int, ...]:
    """`values` with `by` in front, up to `rank` of them."""
    return (by,) * (rank - len(values)) + tuple(values)


def span(sig: Signature, offset: int) -> tuple[int, int]:
    """The first element's place in memory, and that behind the last."""
    if not sig.size:
        return offset, offset
    low = high = offset
    for n, s in zip(sig.shape, sig.strides):
        if s < 0:
            low += (n - 1) * s
        else:
            high += (n - 1) * s
    return low, high + 1


def reshaped(sig: Signature, shape: Shape) -> Shape | None:
    """The strides with which the same memory has another shape of as many elements; None where a copy is needed.

    >>> reshaped(signature((4, 6), np.dtype("f4"), (12, 1)), (4, 2, 3))
    (12, 3, 1)
    >>> reshaped(signature((4, 6), np.dtype("f4"), (1, 4)), (24,))
    """
    if not sig.size or sig.is_dense:
        return dense_strides(shape)
    old = [(n, s) for n, s in zip(sig.shape, sig.strides) if n != 1]
    strides: list[int] = []
    i = 0
    new = list(shape)
    j = 0
    while j < len(new):
        if new[j] == 1:
            strides.append(0)
            j += 1
            continue
        # Gather neighbours of both sides until they hold as many elements.
        a, b = i + 1, j + 1
        have, want = old[i][0], new[j]
        while have != want:
            if have < want:
                if old[a - 1][1] != old[a][0] * old[a][1]:
                    return None
                have *= old[a][0]
                a += 1
            else:
                want *= new[b]
                b += 1
        step = old[a - 1][1]
        part = []
        for n in reversed(new[j:b]):
            part.append(step)
            step *= n
        strides.extend(reversed(part))
        i, j = a, b
    return tuple(strides)


def basic_index(sig: Signature, offset: int, key: Sequence[Any]) -> tuple[Shape, Shape, int]:
    """Shape, strides and offset of `x[key]` for integers, slices, None and `...`; IndexError where it is outside."""
    consumed = sum(1 for k in key if k is not None and k is not ...)
    if consumed > sig.ndim:
        raise IndexError(
            f"too many indices for array: array is {sig.ndim}-dimensional, but {consumed} were indexed"
        )
    if not any(k is ... for k in key):
        key = (*key, ...)
    shape: list[int] = []
    strides: list[int] = []
    axis = 0
    for k in key:
        if k is None:
            shape.append(1)
            strides.append(0)
        elif k is ...:
            rest = sig.ndim - consumed
            shape.extend(sig.shape[axis : axis + rest])
            strides.extend(sig.strides[axis : axis + rest])
            axis += rest
        elif isinstance(k, slice):
            n, s = sig.shape[axis], sig.strides[axis]
            start, stop, step = k.indices(n)
            count = len(range(start, stop, step))
            shape.append(count)
            strides.append(s * step)
            offset += start * s if count else 0
            axis += 1
        else:
            n, i = sig.shape[axis], int(k)
            if not -n <= i < n:
                raise IndexError(f"index {i} is out of bounds for axis {axis} with size {n}")
            offset += (i + n if i < 0 else i) * sig.strides[axis]
            axis += 1
    return tuple(shape), tuple(strides), offset
