"""Reading and writing by position.

Each way of reading has an adjoint, which puts a cotangent back where its elements came from: `embed` for keys
that name an element once, `embed_add` and `embed_gathered` for index arrays, which may name one again. Index
arrays are parameters: raw int64 arrays or masks, checked before an op sees them. PyTorch has several names
for one reading, and its node names are visible: hence ops that differ in nothing else.
"""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..backend import backend_of
from ..graph import Meta
from ..op import conform, linear, operator, sum_to
from .elementwise import zeros_like
from .shape import alias

# --- by a basic key: integers, slices of positive step and None, then an Ellipsis ---------------------------


getitem = linear(
    "getitem", "x | key=()", view=True, node="SliceBackward0", x=lambda g, x, key: embed(g, key, x.shape)
)
select_ = alias(getitem, "select", "SelectBackward0")
newaxis = alias(getitem, "newaxis", "UnsqueezeBackward0")
whole = alias(getitem, "whole", "AliasBackward0")


def _embed(x: Any, key: Any, shape: tuple[int, ...]) -> Any:
    backend: Any = backend_of(x)
    return backend.setitem(backend.zeros(tuple(shape), dtypes.of(x.dtype)), key, x)


def _written(x: Any, key: Any, value: Any) -> Any:
    """A copy of a raw array with `value` at a key."""
    backend: Any = backend_of(x)
    return backend.setitem(backend.copy(x), key, value)


#: Zeros of a shape, with `x` at the key.
embed = linear("embed", "x | key=() shape=()", default=_embed, x=lambda g, key: getitem(g, key))

# --- by an advanced key: index arrays and full slices -------------------------------------------------------


index_get = linear(
    "index_get", "x | key=()", node="IndexBackward0", x=lambda g, x, key: embed_add(g, key, x.shape)
)
masked_select = alias(index_get, "masked_select", "MaskedSelectBackward0")
take_flat = alias(index_get, "take_flat", "TakeBackward0")

#: Zeros of a shape, to which `x` is added, broadcast, at the key.
embed_add = linear("embed_add", "x | key=() shape=()", x=lambda g, key: index_get(g, key))

index_fill = operator(
    "index_fill", "x | key=() value=0", default=_written, x=lambda g, key: index_fill(g, key, 0)
)
index_put = linear(
    "index_put", "x values | key=() accumulate=False", result="alike",
    default=lambda x, values, key, accumulate: (
        x + embed_add(values, key, x.shape) if accumulate else _written(x, key, values)
    ),
    x=lambda g, key, accumulate: g if accumulate else index_fill(g, key, 0),
    values=lambda g, values, key: sum_to(index_get(g, key), values.shape),
)  # fmt: skip

# --- by an array of indices along one axis ------------------------------------------------------------------


def _along(axis: int, indices: Any) -> tuple[Any, ...]:
    """The key of the slices at `indices` along an axis."""
    return (slice(None),) * axis + (indices,)


take = linear(
    "take", "x | indices=None axis=0", node="IndexSelectBackward0",
    x=lambda g, x, indices, axis: embed_add(g, _along(axis, indices), x.shape),
)  # fmt: skip
index_add = linear(
    "index_add", "x source | indices=None axis=0", result="alike",
    x=lambda g: g, source=lambda g, source, indices, axis: sum_to(take(g, indices, axis), source.shape),
)  # fmt: skip
index_copy = linear(
    "index_copy", "x source | indices=None axis=0", result="alike",
    default=lambda x, source, indices, axis: _written(x, _along(axis, indices), source),
    x=lambda g, indices, axis: index_fill(g, _along(axis, indices), 0),
    source=lambda g, source, indices, axis: sum_to(take(g, indices, axis), source.shape),
)  # fmt: skip

# --- by an array that holds, for each of its own elements, an index along one axis --------------------------


gather = linear(
    "gather", "x | indices=None axis=0",
    x=lambda g, x, indices, axis: embed_gathered(g, indices, axis, x.shape),
)  # fmt: skip
take_sorted = alias(gather, "take_sorted", "SortBackward0")
take_topk = alias(gather, "take_topk", "TopkBackward0")
take_kth = alias(gather, "take_kth", "KthvalueBackward0")

#: Zeros of a shape, to which the elements of `x` are added at their indices.
embed_gathered = linear(
    "embed_gathered", "x | indices=None axis=0 shape=()", x=lambda g, indices, axis: gather(g, indices, axis)
)
scatter_add = linear(
    "scatter_add", "x src | indices=None axis=0", result="alike",
    x=lambda g: g, src=lambda g, indices, axis: gather(g, indices, axis),
)  # fmt: skip
scatter = linear(
    "scatter", "x src | indices=None axis=0", result="alike",
    x=lambda g, indices, axis: scatter_fill(g, indices, axis, 0),
    src=lambda g, indices, axis: gather(g, indices, axis),
)  # fmt: skip
scatter_fill = operator(
    "scatter_fill", "x | indices=None axis=0 value=0", node="ScatterBackward1",
    x=lambda g, indices, axis: scatter_fill(g, indices, axis, 0),
)  # fmt: skip

# --- everywhere: what in-place writes become -------------------------------------------------------------------


def _full_like(x: Any, value: Any) -> Any:
    backend: Any = backend_of(x)
    return backend.full(tuple(x.shape), value, dtypes.of(x.dtype))


def _like(x: Any, src: Any) -> Any:
    """The values of `src`, broadcast and converted, as a new array like `x`."""
    backend: Any = backend_of(x)
    return backend.setitem(backend.empty(tuple(x.shape), dtypes.of(x.dtype)), ..., src)


zero = operator("zero", "x", default=lambda x: _full_like(x, 0), x=lambda g: zeros_like(g))
fill = operator("fill", "x | value=0", node="FillBackward1", default=_full_like, x=lambda g: zeros_like(g))
fill_with = operator(
    "fill_with", "x value", node="FillBackward2", default=_like,
    x=lambda g: zeros_like(g), value=lambda g, value: conform(g, Meta(value.shape, value.dtype)),
)  # fmt: skip
copy_into = operator(
    "copy_into", "x src", node="CopyBackwards", default=_like,
    x=lambda g: zeros_like(g), src=lambda g, src: conform(g, Meta(src.shape, src.dtype)),
)  # fmt: skip

# --- masks and searches -------------------------------------------------------------------------------------

#: `value`, a number, where the mask, an array of the shape of `x`, says so.
masked_fill = operator(
    "masked_fill", "x | mask=None value=0", default=lambda x, mask, value: _written(x, (mask,), value),
    x=lambda g, mask: masked_fill(g, mask, 0),
)  # fmt: skip

nonzero = operator("nonzero", "x", outputs=True)
argwhere = operator("argwhere", "x")
