"""Set functions of the array API standard; they sort, and wait for the number of what they find."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..array import Array
from .devices import as_arrays, checked, functions_of
from .dtypes import bool as bool_
from .dtypes import int64


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def _order(functions: Any, flat: Any) -> Any:
    if flat.dtype.kind != "c":
        return functions.argsort(flat, 0, False)
    order = functions.argsort(functions.imag(flat), 0, False)
    return functions.take(
        order, functions.argsort(functions.real(functions.take(flat, order, 0)), 0, False), 0
    )


def _starts(functions: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """The elements in order, where they were, whether each is the first of its kind, and where those are."""
    flat = x.reshape((x.size,))
    order = _order(functions, flat)
    ordered = functions.take(flat, order, 0)
    first = functions.full((flat.size,), True, bool_)
    if flat.size > 1:
        after = ordered.basic_index((slice(1, None),))
        functions.not_equal.into(
            (first.basic_index((slice(1, None),)),), after, ordered.basic_index((slice(None, -1),))
        )
    return ordered, order, first, functions.nonzero(first)[0]


def unique_values(x: Any, /) -> Any:
    """The elements that differ, in order; each NaN differs from all."""
    functions = functions_of(x)
    ordered, _, _, starts = _starts(functions, x)
    return functions.take(ordered, starts, 0)


def unique_counts(x: Any, /) -> UniqueCounts:
    """The elements that differ, and how often each occurs."""
    functions = functions_of(x)
    ordered, _, _, starts = _starts(functions, x)
    return UniqueCounts(functions.take(ordered, starts, 0), _counts(functions, starts, x.size))


def _counts(functions: Any, starts: Any, size: int) -> Any:
    ends = functions.concat([starts, functions.full((1,), size, int64)], 0)
    return functions.subtract(ends.basic_index((slice(1, None),)), ends.basic_index((slice(None, -1),)))


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The elements that differ, and for each element of `x` which one it is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_all(x: Any, /) -> UniqueAll:
    """The elements that differ, where each occurs first, which one each element of `x` is, and how often they occur."""
    functions = functions_of(x)
    ordered, order, first, starts = _starts(functions, x)
    inverse = functions.device.empty((x.size,), int64)
    if x.size:
        group = functions.subtract(functions.cumulative_sum(functions._cast(first, int64), 0), 1)
        inverse = functions.setitem(inverse, (order,), group)
    return UniqueAll(
        functions.take(ordered, starts, 0),
        functions.take(order, starts, 0),
        inverse.reshape(x.shape),
        _counts(functions, starts, x.size),
    )


def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Any:
    """Whether elements of `x1` occur in `x2`; with `invert`, whether they do not."""
    functions = checked("isin", "biufc", x1, x2)
    x1, x2 = as_arrays(x1, x2) if not (isinstance(x1, Array) and isinstance(x2, Array)) else (x1, x2)
    common = np.result_type(x1.dtype, x2.dtype)
    a, b = (x if x.dtype == common else functions._cast(x, common) for x in (x1, x2))
    b = b.reshape((b.size,))
    if not b.size or not a.size:
        return functions.full(a.shape, invert, bool_)
    if common.kind == "c":  # no order
        found = functions.any(functions.equal(a.reshape((*a.shape, 1)), b), (a.ndim,), False)
    else:
        b = functions.take(b, functions.argsort(b, 0, False), 0)
        if common.kind == "b":
            a, b = functions._cast(a, int64), functions._cast(b, int64)
        place = functions.clip(functions.searchsorted(b, a, False), 0, b.size - 1)
        near = functions.take(b, place.reshape((a.size,)), 0).reshape(a.shape)
        found = functions.equal(near, a)
    return functions.logical_not(found) if invert else found
