"""Dimensions as users write them, made canonical before an op sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def one(dim: Any, ndim: int, asked: str) -> int:
    """`dim` counted from the front; IndexError where there is no such dimension. 0-d tensors count as 1-d.

    >>> one(-1, 3, "sum")
    2
    """
    if not hasattr(dim, "__index__"):
        raise TypeError(f"{asked}(): argument 'dim' must be int, not {type(dim).__name__}")
    low = max(ndim, 1)
    if not -low <= dim < low:
        raise IndexError(
            f"{asked}: Dimension out of range (expected to be in range of [{-low}, {low - 1}], but got {dim})"
        )
    return int(dim) % low


def many(dim: Any, ndim: int, asked: str) -> tuple[int, ...]:
    """One or several dimensions as a sorted tuple; None and () mean all.

    >>> many(None, 2, "sum"), many((-1, 0), 3, "sum"), many(1, 3, "sum")
    ((0, 1), (0, 2), (1,))
    """
    if dim is None:
        return tuple(range(ndim))
    dims: Sequence[Any] = dim if isinstance(dim, (tuple, list)) else (dim,)
    if not dims:
        return tuple(range(ndim))
    found = tuple(sorted(one(d, ndim, asked) for d in dims))
    if len(set(found)) != len(found):
        raise RuntimeError(f"{asked}: a dim appears multiple times in {tuple(dims)}")
    return found if ndim else ()
