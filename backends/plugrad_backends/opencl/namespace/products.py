"""Products of matrices and vectors, of the array API standard."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..array import Array
from .devices import checked, functions_of, one_axis


def _common(name: str, x1: Any, x2: Any) -> tuple[Any, Any, Any]:
    functions = checked(name, "biufc", x1, x2)
    for x in (x1, x2):
        if not isinstance(x, Array) or not x.ndim:
            raise ValueError(f"{name}: operands need 1 dimension or more: for numbers there is multiply")
    dtype = np.result_type(x1.dtype, x2.dtype)
    return functions, *(x if x.dtype == dtype else functions._cast(x, dtype) for x in (x1, x2))


def matmul(x1: Any, x2: Any, /) -> Any:
    """The products of stacks of matrices; a vector is a row on the left, a column on the right."""
    if not isinstance(x1, Array) or not isinstance(x2, Array):
        raise TypeError(
            f"matmul: arrays of OpenCL are needed, found {type(x1).__name__} and {type(x2).__name__}"
        )
    functions, a, b = _common("matmul", x1, x2)
    left, right = a.ndim == 1, b.ndim == 1
    a = a.reshape((1, a.size)) if left else a
    b = b.reshape((b.size, 1)) if right else b
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul: shapes {x1.shape} and {x2.shape} do not fit: {a.shape[-1]} columns, {b.shape[-2]} rows"
        )
    y = functions.matmul(a, b)
    shape = y.shape[:-2] + (() if left else y.shape[-2:-1]) + (() if right else y.shape[-1:])
    return y.reshape(shape) if left or right else y


def matrix_transpose(x: Any, /) -> Any:
    """The last two dimensions swapped, a view."""
    functions_of(x)
    return x.mT


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Products summed over axes: so many last ones of `x1` and first ones of `x2`, or those that two sequences name."""
    functions, a, b = checked("tensordot", "biufc", x1, x2), x1, x2
    if isinstance(axes, int):
        axes = range(a.ndim - axes, a.ndim), range(axes)
    one, two = ([one_axis(i, x.ndim) for i in found] for found, x in zip(axes, (a, b)))
    if [a.shape[i] for i in one] != [b.shape[i] for i in two]:
        raise ValueError(f"tensordot: sizes of {a.shape} along {one} and of {b.shape} along {two} do not fit")
    dtype = np.result_type(a.dtype, b.dtype)
    a, b = (x if x.dtype == dtype else functions._cast(x, dtype) for x in (a, b))
    rows = [i for i in range(a.ndim) if i not in one]
    columns = [i for i in range(b.ndim) if i not in two]
    shape = tuple(a.shape[i] for i in rows) + tuple(b.shape[i] for i in columns)
    n = math.prod(a.shape[i] for i in one)
    a = a.permute((*rows, *one)).reshape((math.prod(a.shape[i] for i in rows), n))
    b = b.permute((*two, *columns)).reshape((n, math.prod(b.shape[i] for i in columns)))
    return functions.matmul(a, b).reshape(shape)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The sums of conj(x1) · x2 along an axis; other dimensions broadcast."""
    functions, a, b = _common("vecdot", x1, x2)
    if not -min(a.ndim, b.ndim) <= axis < 0:
        raise IndexError(
            f"vecdot: axis {axis} must count from the end, and be one of shapes {a.shape} and {b.shape}"
        )
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot: sizes of {a.shape} and {b.shape} along axis {axis} differ")
    y = functions.multiply(functions.conj(a) if a.dtype.kind == "c" else a, b)
    total = functions.sum(y, (y.ndim + axis,), False)
    return total if total.dtype == y.dtype else functions._cast(total, y.dtype)
