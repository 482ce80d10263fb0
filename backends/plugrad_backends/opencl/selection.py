"""What `x[key]` names, for keys with index arrays and masks as NumPy understands them, and the walks over that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from plugrad.dtypes import int64

from . import layout
from .index import Walk, in_range

FULL = slice(None)
#: So many indices are checked on the host, for to copy them costs no more than to wait.
FEW = 1 << 16
INT64 = np.dtype(np.int64)


class Selection:
    """What `x[key]` names, for a key with index arrays: `x` with the indexed axes together, and the arrays.

    `before` axes precede those, `common` is the shape of the arrays, broadcast. All indices are in range.
    """

    __slots__ = ("arrays", "before", "common", "shape", "x")

    def __init__(self, x: Any, arrays: Sequence[Any], before: int) -> None:
        self.x, self.arrays, self.before = x, list(arrays), before
        self.common = layout.broadcast([a.shape for a in arrays])
        self.shape = (*x.shape[:before], *self.common, *x.shape[before + len(arrays) :])


def select(x: Any, key: Any, functions: Any) -> Selection:
    """The selection of a key of integers, slices, None, `...`, int arrays and masks, by NumPy's rules.

    IndexError for an index out of range, and for a mask that does not fit.
    """
    parts: list[Any] = []
    for k in key if isinstance(key, tuple) else (key,):
        parts += _parts(k, functions)
    missing = x.ndim - sum(1 for k, size in parts if k is not None and k is not ... and size != _NEW)
    if missing < 0:
        raise IndexError(
            f"too many indices for array: array is {x.ndim}-dimensional, but {x.ndim - missing} were indexed"
        )
    if not any(k is ... for k, _ in parts):
        parts.append((..., None))
    basic: list[Any] = []
    arrays: list[Any] = []
    at: list[int] = []  # the axes of the view by the basic parts that arrays index
    stretches, inside = 0, False  # index arrays that stand together are one stretch
    for k, size in parts:
        is_index = hasattr(k, "dtype")
        stretches += is_index and not inside
        inside = is_index
        if is_index:
            axis = sum(1 for b in basic if b is not None)
            if size not in (None, _NEW, 0) and size != x.shape[axis]:  # 0 selects nothing, wherever it is
                raise IndexError(
                    f"boolean index did not match indexed array along axis {axis}; size of axis is {x.shape[axis]} but size "
                    f"of corresponding boolean axis is {size}"
                )
            arrays.append(k)
            at.append(len(basic))
            basic.append(None if size == _NEW else FULL)
        else:
            basic += [FULL] * missing if k is ... else [k]
    view = x.basic_index(tuple(basic))
    try:
        common = layout.broadcast([a.shape for a in arrays])
    except ValueError:
        shapes = " ".join(str(a.shape) for a in arrays)
        raise IndexError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {shapes}"
        ) from None
    if 0 not in common:
        check(arrays, [(view.shape[i], i) for i in at])
    before = at[0] if stretches == 1 else 0
    rest = [i for i in range(view.ndim) if i not in at]
    return Selection(view.permute((*rest[:before], *at, *rest[before:])), arrays, before)


#: Instead of the size of a mask: the part stands for a new axis.
_NEW = -1


def _parts(k: Any, functions: Any) -> list[tuple[Any, int | None]]:
    """One part of a key as basic parts, or index arrays of int64; beside those of a mask its sizes."""
    if k is None or k is ... or isinstance(k, slice):
        return [(k, None)]
    if isinstance(k, (list, np.ndarray, bool, np.bool_)):
        host = np.asarray(k)
        k = functions.from_numpy(host if host.size or host.dtype.kind == "b" else host.astype(np.int64))
    elif not hasattr(k, "sig"):  # among arrays a number is an index array, too
        return [(functions.full((), int(k.__index__()), int64), None)]
    if k.dtype.kind == "b":
        found = functions.nonzero(k)
        return list(zip(found, k.shape)) if k.shape else [(found[0], _NEW)]
    if k.dtype.kind not in "iu":
        raise IndexError(f"arrays used as indices must be of integer (or boolean) type, found {k.dtype}")
    return [(k if k.dtype == INT64 else functions._cast(k, INT64), None)]


def check(arrays: Sequence[Any], sizes: Sequence[tuple[int, int]]) -> None:
    """IndexError unless the indices fit the sizes of the indexed axes, whose numbers are beside those; waits."""
    for a, (n, axis) in zip(arrays, sizes):
        if a.size <= FEW or not in_range(a.reshape((a.size,)), -n, n):
            _check_on_host(a.get(), n, axis)


def _check_on_host(indices: Any, n: int, axis: int) -> None:
    if indices.size and not -n <= indices.min() <= indices.max() < n:
        bad = indices[(indices < -n) | (indices >= n)].flat[0]
        raise IndexError(f"index {bad} is out of bounds for axis {axis} with size {n}")


# --- walks ------------------------------------------------------------------------------------------------------------


def _merged(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[int, list[int]] | None:
    """One extent and the steps of several arrays through it, or None."""
    if 0 in shape:
        return 0, [0] * len(strides)
    extents, steps = layout.collapse(tuple(shape), [tuple(s) for s in strides])
    return None if len(extents) > 1 else (extents[0], [s[0] for s in steps])


def walk(selected: Selection, functions: Any, values: Any = None) -> tuple[Walk, Any, Any, Any]:
    """The walk of a selection, the values, their steps, and the reach of its indices."""
    x, before, k = selected.x, selected.before, len(selected.arrays)
    common = len(selected.common)
    v = None if values is None else values.broadcast_to(selected.shape)
    also = [] if v is None else [v.strides]
    outer = _merged(x.shape[:before], [x.strides[:before], *(s[:before] for s in also)])
    middle = _merged(selected.common, [s[before : before + common] for s in also] or [(0,) * common])
    inner = _merged(x.shape[before + k :], [x.strides[before + k :], *(s[before + common :] for s in also)])
    if v is not None and not v.sig.is_dense and None in (outer, middle, inner):
        return walk(selected, functions, v.copy())
    if outer is None or inner is None:
        if v is None and x.size <= 4 * math.prod(selected.shape):
            return walk(Selection(x.copy(), selected.arrays, before), functions)
        return walk(_everywhere(selected, functions), functions, values)
    assert middle is not None
    if k == 1:
        index = selected.arrays[0]
        n, step, low, high = x.shape[before], x.strides[before], 0, x.shape[before]
    else:
        sizes = list(zip(x.shape[before : before + k], x.strides[before : before + k]))
        index = functions._place(*(part for a, (n, s) in zip(selected.arrays, sizes) for part in (a, n, s)))
        n, step = 0, 1
        low = sum(min((n - 1) * s, 0) for n, s in sizes)
        high = sum(max((n - 1) * s, 0) for n, s in sizes) + 1
        if low < 0:  # places are counted from the first, so that none is negative
            index, x = index - low, x.view(x.shape, x.strides, x.offset + low)
            low, high = 0, high - low
    index = index.reshape((index.size,))
    extents = outer[0], index.size, inner[0]
    made = Walk(x, (outer[1][0], inner[1][0]), index, (0, index.strides[0], 0), n, step, extents)
    if v is None:
        return made, None, None, (low, high)
    return made, v, (outer[1][1], middle[1][0], inner[1][1]), (low, high)


def walk_along(
    x: Any, indices: Any, axis: int, functions: Any, values: Any = None
) -> tuple[Walk, Any, Any, Any]:
    """The walk by an array that has, for each of its elements, an index along an axis."""
    shape = indices.shape
    part = x.basic_index(tuple(FULL if i == axis else slice(0, n) for i, n in enumerate(shape)))
    v = None if values is None else values.basic_index(tuple(slice(0, n) for n in shape))
    operands = [part, indices] if v is None else [part, indices, v]
    outer = _merged(shape[:axis], [o.strides[:axis] for o in operands])
    inner = _merged(shape[axis + 1 :], [o.strides[axis + 1 :] for o in operands])
    if outer is None or inner is None:
        arrays = [
            (indices if i == axis else functions._arange(n).reshape((n, *(1,) * (len(shape) - i - 1))))
            for i, n in enumerate(shape)
        ]
        return walk(Selection(x, arrays, 0), functions, v)
    steps = [(o[0], o_.strides[axis], i) for o, o_, i in zip(zip(outer[1]), operands, inner[1])]
    n = x.shape[axis]
    extents = outer[0], shape[axis], inner[0]
    made = Walk(part, (steps[0][0], steps[0][2]), indices, steps[1], n, steps[0][1], extents)
    return made, v, None if v is None else steps[2], (0, n)


def _everywhere(selected: Selection, functions: Any) -> Selection:
    """The same selection with an index array for each axis."""
    x, before, k = selected.x, selected.before, len(selected.arrays)
    ndim = len(selected.shape)
    arrays = []
    for axis, n in enumerate(x.shape):
        place = axis if axis < before else axis - k + len(selected.common)
        if before <= axis < before + k:
            a, last = selected.arrays[axis - before], before + len(selected.common)
        else:
            a, last = functions._arange(n), place + 1
        arrays.append(a.reshape((*a.shape, *(1,) * (ndim - last))))
    return Selection(x, arrays, 0)


__all__ = ["FULL", "INT64", "Selection", "check", "select", "walk", "walk_along"]
