"""Functions that put tensors together, broadcast them against each other, or lay them out as a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes, ops
from ..graph import Variable
from ..ops import axes
from ..size import Size

Tensors = Sequence[Any]


def _checked(tensors: Any, asked: str) -> list[Any]:
    """The tensors as a list; TypeError for what is none."""
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(
            f"{asked}(): argument 'tensors' must be tuple of Tensors, not "
            f"{type(tensors).__name__}: write {asked}([a, b])"
        )
    for i, t in enumerate(tensors):
        if not isinstance(t, Variable):
            raise TypeError(
                f"{asked}(): expected Tensor as element {i} of argument 'tensors', but got {type(t).__name__}"
            )
    return list(tensors)


def _several(tensors: tuple[Any, ...], asked: str) -> list[Any]:
    """The tensors of `f(a, b)` and `f([a, b])`."""
    return _checked(
        tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors, asked
    )


# --- put together -------------------------------------------------------------------------------------------


def cat(tensors: Tensors, dim: int = 0, *, axis: int | None = None) -> Any:
    """The tensors one after another along `dim`; their other sizes must be equal.

    Dtypes are promoted. A tensor of shape (0,) fits every other. ValueError for no tensors.

    >>> import plugrad as torch
    >>> torch.cat([torch.ones(1, 2), torch.zeros(2, 2)]).shape
    torch.Size([3, 2])
    """
    xs = _checked(tensors, "cat")
    if not xs:
        raise ValueError("cat(): expected a non-empty list of Tensors")
    solid = [t for t in xs if tuple(t._raw.shape) != (0,)] or xs[:1]
    if len(solid) != len(xs):  # those of shape (0,) take part in the dtype alone
        common = dtypes.result_type([t._raw for t in xs])
        solid = [t.to(common) for t in solid]
    first = solid[0]._raw.shape
    dim = axes.one(dim if axis is None else axis, len(first), "cat")
    for i, t in enumerate(solid):
        shape = t._raw.shape
        if not shape:
            raise RuntimeError(
                f"cat: zero-dimensional tensor (at position {i}) cannot be concatenated: use stack"
            )
        if len(shape) != len(first):
            raise RuntimeError(
                f"cat: Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for d, (n, expected) in enumerate(zip(shape, first)):
            if n != expected and d != dim:
                raise RuntimeError(
                    f"cat: Sizes of tensors must match except in dimension {dim}. Expected size "
                    f"{expected} but got size {n} in dimension {d} for tensor number {i} in the list"
                )
    return ops.concat.call(solid, dim)


concat = concatenate = cat


def stack(tensors: Tensors, dim: int = 0) -> Any:
    """The tensors, all of one shape, side by side along a new dimension."""
    xs = _checked(tensors, "stack")
    if not xs:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = xs[0]._raw.shape
    for i, t in enumerate(xs):
        if t._raw.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 "
                f"and {list(t._raw.shape)} at entry {i}"
            )
    return ops.stack_.call(xs, axes.one(dim, len(first) + 1, "stack"))


def hstack(tensors: Tensors) -> Any:
    """The tensors one after another along their second dimension, or the first of 1-d tensors."""
    xs = _nonempty([atleast_1d(t) for t in _checked(tensors, "hstack")], "hstack")
    return cat(xs, 0 if xs[0].ndim == 1 else 1)


def vstack(tensors: Tensors) -> Any:
    """The tensors one below another; a 1-d tensor is a row."""
    return cat(_nonempty([atleast_2d(t) for t in _checked(tensors, "vstack")], "vstack"), 0)


row_stack = vstack


def dstack(tensors: Tensors) -> Any:
    """The tensors one after another along their third dimension."""
    return cat(_nonempty([atleast_3d(t) for t in _checked(tensors, "dstack")], "dstack"), 2)


def column_stack(tensors: Tensors) -> Any:
    """The tensors side by side; a 1-d tensor is a column."""
    xs = _nonempty(_checked(tensors, "column_stack"), "column_stack")
    return hstack([t.reshape(t.numel(), 1) if t.ndim < 2 else t for t in xs])


def _nonempty(xs: list[Any], asked: str) -> list[Any]:
    if not xs:
        raise RuntimeError(f"{asked} expects a non-empty TensorList")
    return xs


# --- at least so many dimensions ----------------------------------------------------------------------------


def atleast_1d(*tensors: Any) -> Any:
    """The tensor with at least one dimension; a tuple for several tensors."""
    return _each(tensors, "atleast_1d", lambda t: t.reshape(1) if t.ndim == 0 else t)


def atleast_2d(*tensors: Any) -> Any:
    """The tensor with at least two dimensions: a 1-d tensor becomes a row."""
    return _each(
        tensors,
        "atleast_2d",
        lambda t: t.reshape(1, 1) if t.ndim == 0 else t.unsqueeze(0) if t.ndim == 1 else t,
    )


def atleast_3d(*tensors: Any) -> Any:
    """The tensor with at least three dimensions: (n,) becomes (1, n, 1), and (m, n) becomes (m, n, 1)."""
    return _each(tensors, "atleast_3d", lambda t: t if t.ndim > 2 else atleast_2d(t).unsqueeze(-1))


def _each(tensors: tuple[Any, ...], asked: str, f: Any) -> Any:
    found = tuple(f(t) for t in _several(tensors, asked))
    return found[0] if len(tensors) == 1 and isinstance(tensors[0], Variable) else found


# --- broadcasting -------------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes broadcast to.

    >>> broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    result = [1] * max(map(len, given), default=0)
    for shape in given:
        for i in range(-len(shape), 0):
            if shape[i] != 1 and result[i] not in (1, shape[i]):
                raise RuntimeError(
                    f"broadcast_shapes: shapes {', '.join(map(str, given))} do not broadcast: "
                    f"sizes {result[i]} and {shape[i]} at dimension {i}"
                )
            result[i] = result[i] if shape[i] == 1 else shape[i]
    return Size(result)


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of the tensors in the shape that they broadcast to; a tensor of that shape is itself."""
    xs = _several(tensors, "broadcast_tensors")
    shape = broadcast_shapes(*(t._raw.shape for t in xs))
    return tuple(t if t._raw.shape == shape else t.expand(shape) for t in xs)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """The coordinates of the grid that 1-d tensors span, one tensor per dimension.

    With `indexing="ij"` the first tensor runs along the first dimension; with "xy" along the second.

    >>> import plugrad as torch
    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="xy")[0]
    tensor([[1, 2],
            [1, 2]])
    """
    xs = _nonempty(_several(tensors, "meshgrid"), "meshgrid")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing!r}')
    for t in xs:
        if t.ndim > 1:
            raise RuntimeError(
                f"meshgrid: Expected 0D or 1D tensor in the tensor list but got shape {tuple(t.shape)}"
            )
    swapped = indexing == "xy" and len(xs) > 1
    if swapped:
        xs[:2] = xs[1::-1]
    shape = tuple(t.numel() for t in xs)
    grid = [t.view(*(-1 if i == j else 1 for j in range(len(xs)))).expand(shape) for i, t in enumerate(xs)]
    if swapped:
        grid[:2] = grid[1::-1]
    return tuple(grid)
