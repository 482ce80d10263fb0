"""Statistics, searching along axes, and truth, of the array API standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from .devices import as_arrays, axes, checked, functions_of, one_axis
from .dtypes import int64, uint64


def _summed(x: Any, dtype: Any) -> tuple[Any, Any]:
    """What sums and products are of, and the dtype of the result: integers have 64 bits unless another is asked for."""
    functions = functions_of(x)
    if dtype is None:
        dtype = {"b": int64, "i": int64, "u": uint64}.get(x.dtype.kind, x.dtype)
    dtype = functions._numpy(dtype)
    # Unsigned integers are summed as signed ones, which have the same bits.
    work = int64 if dtype.kind in "biu" else dtype
    return x if x.dtype == work else x.astype(work), dtype


def _as(x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else x.device.functions._cast(x, dtype)


def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum over axes, all without `axis`; of integers in 64 bits."""
    work, dtype = _summed(x, dtype)
    return _as(functions_of(x).sum(work, axes(axis, x.ndim), keepdims), dtype)


def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over axes, all without `axis`; of integers in 64 bits."""
    work, dtype = _summed(x, dtype)
    for i in sorted(axes(axis, x.ndim), reverse=True):
        work = functions_of(x).prod(work, i, keepdims)
    return _as(work if work is not x else x.copy(), dtype)


def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The sums of all elements up to each, along an axis; with a 0 in front if asked."""
    return _cumulative("cumulative_sum", 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The products of all elements up to each, along an axis; with a 1 in front if asked."""
    return _cumulative("cumulative_prod", 1, x, axis, dtype, include_initial)


def _cumulative(name: str, start: int, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
    if axis is None and x.ndim != 1:
        raise ValueError(f"{name}: axis must be given for shape {x.shape}")
    axis = one_axis(0 if axis is None else axis, x.ndim)
    functions = functions_of(x)
    work, dtype = _summed(x, dtype)
    y = _as(getattr(functions, name)(work, axis), dtype)
    if include_initial:
        first = functions.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), start, dtype)
        y = functions.concat([first, y], axis)
    return y.copy() if y is x else y


def _extreme(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    functions = checked(name, "biuf", x)
    over = axes(axis, x.ndim)
    if 0 in [x.shape[i] for i in over]:
        raise ValueError(f"{name}: of nothing, shape {x.shape} over axis {axis}, there is none")
    return getattr(functions, name)(x, over, keepdims)


def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The greatest element over axes; NaN if there is one."""
    return _extreme("max", x, axis, keepdims)


def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The least element over axes; NaN if there is one."""
    return _extreme("min", x, axis, keepdims)


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over axes of floats or complex numbers."""
    return checked("mean", "fc", x).mean(x, axes(axis, x.ndim), keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The sum of squared deviations, by the number of elements less `correction`."""
    return checked("var", "f", x).var(x, axes(axis, x.ndim), correction, keepdims)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The square root of `var`."""
    return checked("std", "f", x).std(x, axes(axis, x.ndim), correction, keepdims)


# --- truth ------------------------------------------------------------------------------------------------------------


def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether no element over axes is 0."""
    return functions_of(x).all(x, axes(axis, x.ndim), keepdims)


def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether an element over axes is not 0."""
    return functions_of(x).any(x, axes(axis, x.ndim), keepdims)


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements over axes are not 0."""
    return functions_of(x).count_nonzero(x, axes(axis, x.ndim), keepdims)


# --- differences ------------------------------------------------------------------------------------------------------


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along an axis, taken `n` times; with more elements at the ends if asked."""
    functions, axis = functions_of(x), one_axis(axis, x.ndim)
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        common = np.result_type(*[part.dtype for part in parts])
        x = functions.concat([_as(part, common) for part in parts], axis)
    before = (slice(None),) * axis
    for _ in range(n):
        a, b = x.basic_index((*before, slice(1, None))), x.basic_index((*before, slice(None, -1)))
        x = functions.not_equal(a, b) if x.dtype.kind == "b" else functions.subtract(a, b)
    return x if n else x.copy()


# --- places -----------------------------------------------------------------------------------------------------------


def _place(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    functions = checked(name, "biuf", x)
    over = axes(axis, x.ndim)
    if 0 in [x.shape[i] for i in over]:
        raise ValueError(f"{name}: of nothing, shape {x.shape} along axis {axis}, there is none")
    if not x.ndim:
        return functions.full((), 0, int64)
    return getattr(functions, name)(x, None if axis is None else over[0], keepdims)


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the first greatest element along an axis; without `axis` in the flattened array."""
    return _place("argmax", x, axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the first least element along an axis; without `axis` in the flattened array."""
    return _place("argmin", x, axis, keepdims)


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """The indices of elements that are not 0: an array for each dimension; waits for their number."""
    if not x.ndim:
        raise ValueError("nonzero: a 0-d array has no indices: reshape it to (1,)")
    return tuple(functions_of(x).nonzero(x))


# --- order ------------------------------------------------------------------------------------------------------------


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort along an axis; equal elements stay in order, NaN comes last."""
    return checked("argsort", "biuf", x).argsort(x, one_axis(axis, x.ndim), descending)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along an axis, NaN last."""
    functions, axis = checked("sort", "biuf", x), one_axis(axis, x.ndim)
    if not x.ndim:
        return functions.copy(x)
    return functions.gather(x, functions.argsort(x, axis, descending), axis)


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where elements of `x2` would have to be put into the sorted `x1`, before (or "right": after) its equal ones."""
    if side not in ("left", "right"):
        raise ValueError(f'searchsorted: side must be "left" or "right", found {side!r}')
    functions = checked("searchsorted", "iuf", x1, x2)
    x1, x2 = as_arrays(x1, x2)
    if sorter is not None:
        x1 = functions.take(x1, sorter, 0)
    common = np.result_type(x1.dtype, x2.dtype)
    return functions.searchsorted(_as(x1, common), _as(x2, common), side == "right")
