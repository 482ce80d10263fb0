"""Index tensors and masks as users give them to methods, checked and made raw arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, ops
from ..errors import DeviceError
from ..graph import Variable
from . import keys


def number(value: Any, asked: str) -> Any:
    """`value` as a Python number; RuntimeError for a tensor with dimensions or a graph."""
    if isinstance(value, Variable):
        if value.ndim or value.requires_grad or value._backend.is_transform:
            raise RuntimeError(
                f"{asked}: only supports a number or a 0-dimensional tensor without a graph or a transform as value, "
                f"found shape {list(value.shape)}"
            )
        return value.item()
    return value


def with_a_dim(x: Any) -> Any:
    """A tensor or raw array; one without dimensions as one of a single element."""
    return x if len(x.shape) else x.reshape(1) if isinstance(x, Variable) else ops.reshape_(x, (1,))


def integers(tensor: Any, index: Any, asked: str) -> Any:
    """The raw int64 array of an index tensor."""
    if not isinstance(index, Variable):
        raise TypeError(f"{asked}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index.dtype.category != dtypes.INTEGER:
        raise RuntimeError(
            f"{asked}(): Expected dtype int32/int64 for index, found {index.dtype}: convert it with .long()"
        )
    return keys.index_array(index, tensor._backend)


def in_range(
    indices: Any, dim: int, size: int, asked: str, error: type[Exception], negative: bool = False
) -> None:
    """Raise `error` for an index outside a dimension of `size`; `negative` ones may count from its end."""
    keys.check_range(
        indices,
        -size if negative else 0,
        size - 1,
        lambda bad: error(f"{asked}(): index {bad} is out of bounds for dimension {dim} with size {size}"),
    )


def slices_along(
    tensor: Any, dim: int, index: Any, asked: str, error: type[Exception], negative: bool = False
) -> tuple[int, Any]:
    """`dim` and a 1-d raw array of positions along it."""
    dim = ops.axes.one(dim, tensor.ndim, asked)
    indices = integers(tensor, index, asked)
    if len(indices.shape) > 1:
        raise IndexError(f"{asked}(): Index is supposed to be a vector, found shape {list(indices.shape)}")
    size = tensor._raw.shape[dim] if tensor.ndim else 1
    in_range(indices, dim, size, asked, error, negative)
    return dim, with_a_dim(indices)


def slices_of(
    tensor: Any, dim: int, indices: Any, source: Any, asked: str, error: type[Exception], scalars: bool
) -> tuple[Any, Any]:
    """`tensor` and `source`, with a dimension each; `error` unless `source` has a slice along `dim` for each index.

    The slices must be shaped like those of `tensor`; `scalars`: to a single element any shape of one element will do.
    """
    shape, found, count = list(tensor.shape), list(source.shape), indices.shape[0]
    if not found and count != 1:
        raise IndexError(f"{asked}(): When source is scalar, index should have one element (got {count})")
    if found[dim : dim + 1] not in ([], [count]):
        raise error(
            f"{asked}(): Number of indices ({count}) should be equal to "
            f"source.size(dim): ({found[dim]}), for dim: {dim}"
        )
    if scalars and max(len(shape), len(found)) < 2:
        return with_a_dim(tensor), with_a_dim(source)
    if len(shape) != len(found) or found[:dim] + found[dim + 1 :] != shape[:dim] + shape[dim + 1 :]:
        raise RuntimeError(
            f"{asked}(): source tensor shape must match self tensor shape, excluding the specified "
            f"dimension. Got self.shape = {shape} source.shape = {found}"
        )
    return with_a_dim(tensor), with_a_dim(source)


def elements_along(tensor: Any, dim: int, index: Any, asked: str) -> tuple[int, Any]:
    """`dim` and a raw array that has, for each of its elements, a position along it."""
    dim = ops.axes.one(dim, tensor.ndim, asked)
    indices = integers(tensor, index, asked)
    shape, found = list(tensor.shape), list(indices.shape)
    if max(len(found), 1) != max(len(shape), 1):
        raise RuntimeError(
            f"{asked}(): Index tensor must have the same number of dimensions as input tensor, "
            f"found {found} and {shape}"
        )
    if any(n > m for i, (n, m) in enumerate(zip(found, shape)) if i != dim):
        raise RuntimeError(
            f"{asked}(): Size does not match: expected index {found} to be no larger than self {shape} "
            f"apart from dimension {dim}"
        )
    in_range(indices, dim, shape[dim] if shape else 1, asked, RuntimeError)
    return dim, indices


def cropped(src: Any, index: Any, asked: str) -> Any:
    """The part of `src` that has the shape of `index`."""
    if src.shape == index.shape:
        return src
    if src.ndim != index.ndim or any(n > m for n, m in zip(index.shape, src.shape)):
        raise RuntimeError(
            f"{asked}(): Expected index {list(index.shape)} to be no larger than src {list(src.shape)}"
        )
    return src[tuple(slice(n) for n in index.shape)]


def check_place(tensor: Any, other: Any, asked: str) -> None:
    """Raise DeviceError unless two tensors are on one device."""
    one, two = (b.base if b.is_transform else b for b in (tensor._backend, other._backend))
    if one is not two:
        raise DeviceError(
            f"{asked}: tensors on {one.device_name!r} and {two.device_name!r}: move one with .to(...)"
        )


def masked(tensor: Any, mask: Any, asked: str) -> tuple[Any, Any]:
    """A tensor and its mask, broadcast to one shape."""
    if not isinstance(mask, Variable):
        raise TypeError(f"{asked}(): argument 'mask' must be Tensor, not {type(mask).__name__}")
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"{asked}: expected a bool mask, but got {mask.dtype}: make one by a comparison, or with .bool()"
        )
    check_place(tensor, mask, asked)
    if mask.shape == tensor.shape:
        return tensor, mask
    try:
        shape = np.broadcast_shapes(tuple(tensor.shape), tuple(mask.shape))
    except ValueError:
        raise RuntimeError(
            f"{asked}: the size of the tensor {list(tensor.shape)} must match the size of the mask "
            f"{list(mask.shape)}: they do not broadcast"
        ) from None
    return tensor.expand(shape), mask.expand(shape)


# --- what is written ----------------------------------------------------------------------------------------


def assignable(tensor: Any, value: Any, advanced: Any) -> Any:
    """`value` as a tensor or a number that can be written into `tensor`."""
    if isinstance(value, Variable):
        if value._raw.shape and advanced is not None and value.dtype is not tensor.dtype:
            raise RuntimeError(
                "__setitem__: writing at an index tensor requires that the source and destination dtypes "
                f"match, got {tensor.dtype} for the destination and {value.dtype} for the source: use .to()"
            )
        if value.dtype.is_complex and not tensor.dtype.is_complex:
            raise RuntimeError(
                f"__setitem__: {value.dtype} values do not fit into {tensor.dtype}: take .real first"
            )
        return value if value._backend is tensor._backend else value.to(tensor.device)
    value = value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value
    if not isinstance(value, (bool, int, float, complex)):
        raise TypeError(
            f"can't assign a {type(value).__name__} to a {tensor.dtype} tensor: "
            "make a tensor of it with torch.tensor(...)"
        )
    return castable(value, tensor.dtype, "__setitem__")


def castable(value: Any, dtype: dtypes.dtype, asked: str) -> Any:
    """A number that a tensor of `dtype` can hold."""
    if isinstance(value, complex) and not dtype.is_complex:
        raise RuntimeError(f"{asked}: value {value} cannot be converted to {dtype}")
    return value


def mismatch(asked: str, values: Any, target: Any) -> RuntimeError:
    """The error for values that do not broadcast to where they are to go."""
    return RuntimeError(
        f"{asked}: shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
        f"indexing result of shape {list(target)}"
    )
