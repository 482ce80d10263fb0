"""Manipulation and indexing functions of the array API standard."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from .. import layout
from .devices import axes, functions_of, one_axis
from .dtypes import result_type


def broadcast_shapes(*shapes: Any) -> tuple[Any, ...]:
    """The shape that arrays of these shapes have together."""
    return tuple(np.broadcast_shapes(*shapes))


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """The array repeated along new axes in front and along axes of size 1: a view, not to be written."""
    return x.broadcast_to(tuple(shape))


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """The arrays in their common shape, as views."""
    shape = layout.broadcast([x.shape for x in arrays])
    return tuple(x.broadcast_to(shape) for x in arrays)


def _same_dtype(arrays: Any) -> tuple[Any, list[Any]]:
    functions = functions_of(*arrays)
    dtype = result_type(*arrays)
    return functions, [x if x.dtype == dtype else functions._cast(x, dtype) for x in arrays]


def concat(arrays: Any, /, *, axis: int | None = 0) -> Any:
    """The arrays one behind the other along an axis; of None flattened."""
    functions, found = _same_dtype(arrays)
    if axis is None:
        found, axis = [x.reshape((x.size,)) for x in found], 0
    return functions.concat(found, one_axis(axis, found[0].ndim))


def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    """The arrays, all of one shape, along a new axis."""
    functions, found = _same_dtype(arrays)
    return functions.stack(found, one_axis(axis, found[0].ndim + 1))


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, as views."""
    return tuple(functions_of(x).unbind(x, one_axis(axis, x.ndim)))


def expand_dims(x: Any, /, axis: Any) -> Any:
    """A view with new axes of size 1 where `axis` says, in the result's counting."""
    n = x.ndim + (len(axis) if isinstance(axis, tuple) else 1)
    new = axes(axis, n)
    rest = builtins.iter(x.shape)
    return x.reshape(tuple(1 if i in new else next(rest) for i in range(n)))


def squeeze(x: Any, /, axis: Any) -> Any:
    """A view without axes of size 1."""
    gone = axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in gone):
        raise ValueError(f"squeeze: shape {x.shape} has other sizes than 1 along axis {axis}")
    return x.reshape(tuple(n for i, n in enumerate(x.shape) if i not in gone))


def flip(x: Any, /, *, axis: Any = None) -> Any:
    """The elements in the opposite order along axes."""
    turned = axes(axis, x.ndim)
    return x.basic_index(tuple(slice(None, None, -1 if i in turned else 1) for i in range(x.ndim))).copy()


def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """A view with axes at other places, the rest in order."""
    here, there = axes(source, x.ndim), axes(destination, x.ndim)
    if len(here) != len(there):
        raise ValueError(f"moveaxis: source {source} and destination {destination} must name as many axes")
    order = [i for i in range(x.ndim) if i not in here]
    for to, axis in sorted(zip(there, here)):
        order.insert(to, axis)
    return x.permute(tuple(order))


def permute_dims(x: Any, /, axes: Any) -> Any:
    """A view with axis `axes[i]` as axis `i`."""
    order = tuple(one_axis(a, x.ndim) for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"permute_dims: axes {axes} are not those of shape {x.shape}, each once")
    return x.permute(order)


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """The elements in row-major order in another shape, in which one size may be -1; a view where that is possible."""
    shape = tuple(n.__index__() for n in shape)
    if shape.count(-1) == 1:
        known = -math.prod(shape)
        if not known or x.size % known:
            raise ValueError(f"cannot reshape an array of size {x.size} into shape {shape}")
        shape = tuple(x.size // known if n == -1 else n for n in shape)
    if copy is False and not functions_of(x).can_view(x, shape):
        raise ValueError(f"reshape: shape {shape} needs a copy of an array with {x.sig}")
    return (x.copy() if copy else x).reshape(shape)


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """The elements moved along axes, those that leave at one end entering at the other; without `axis` as if flattened."""
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,)
    if axis is not None:
        given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
        shifts = shifts * len(given) if len(shifts) == 1 else shifts
        axis = tuple(one_axis(a, x.ndim) for a in given)
        if len(shifts) != len(axis):
            raise ValueError(f"roll: shift {shift} and axis {given} must be as many")
    return functions_of(x).roll(x, shifts, axis)


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Each element so many times along an axis, by a number or by an array with one for each; without `axis` flattened."""
    if axis is None:
        x, axis = x.reshape((x.size,)), 0
    axis = one_axis(axis, x.ndim)
    counts = repeats.get() if hasattr(repeats, "sig") else np.asarray(repeats)
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(f"repeat: repeats must be integers from 0 on, found {repeats}")
    functions = functions_of(x)
    places = np.repeat(np.arange(x.shape[axis]), counts.reshape(()) if counts.size == 1 else counts)
    return functions.take(x, functions.from_numpy(places.astype(np.int64)), axis)


def tile(x: Any, repetitions: Any, /) -> Any:
    """The array so many times along each axis."""
    return functions_of(x).tile(x, tuple(repetitions))


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """The slices at indices along an axis, which may be left out for one dimension; IndexError for one out of range."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take: axis must be given for shape {x.shape}")
        axis = 0
    return functions_of(x, indices).take(x, indices, one_axis(axis, x.ndim))


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The elements at indices along an axis, an index each; other dimensions broadcast."""
    functions, axis = functions_of(x, indices), one_axis(axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ValueError(
            f"take_along_axis: shapes {x.shape} and {indices.shape} must have as many dimensions"
        )
    rest = layout.broadcast(
        [tuple(1 if i == axis else n for i, n in enumerate(a.shape)) for a in (x, indices)]
    )
    x, indices = (
        a.broadcast_to(tuple(a.shape[axis] if i == axis else n for i, n in enumerate(rest)))
        for a in (x, indices)
    )
    if indices.dtype != np.int64:
        indices = functions._cast(indices, np.dtype(np.int64))
    return functions.gather(x, indices, axis)
