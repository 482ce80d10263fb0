"""Kernels of `plugrad.ops.reduce`, named like the ops: functions of a row, by template 2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..expressions import Functions as f
from ..expressions.functions import cast, where
from .folds import single
from .reduce import reduction


def like(result: Any, x: Any) -> Any:
    """Of float16 everything is accumulated in float32, and comes back as float16."""
    return cast(result, x.dtype) if x.dtype == np.float16 else result


def _norm(row: Any, x: Any, ord: float) -> Any:
    size = f.abs(single(x))
    if ord == 0:
        return like(row.sum(cast(size != 0, size.dtype)), x)
    if abs(ord) == math.inf:
        return like(row.max(size) if ord > 0 else row.min(size), x)
    if ord == 1:
        return like(row.sum(size), x)
    if ord == 2:
        squares = x.re * x.re + x.im * x.im if x.dtype.kind == "c" else size * size
        return like(f.sqrt(row.sum(squares)), x)
    return like(f.pow(row.sum(f.pow(size, float(ord))), 1.0 / ord), x)


class ReduceKernels:
    """A family of kernels; the backend inherits them all."""

    sum = sum_all = reduction(lambda row, x: like(row.sum(x), x))
    mean = mean_all = reduction(lambda row, x: like(row.mean(x), x))
    nansum = reduction(lambda row, x: like(row.sum(where(f.isnan(x), 0, x)), x))
    _prod = reduction(lambda row, x: like(row.prod(x), x))
    max = max_all = reduction(lambda row, x: like(row.max(x), x))
    min = min_all = reduction(lambda row, x: like(row.min(x), x))
    any = reduction(lambda row, x: row.any(x))
    all = reduction(lambda row, x: row.all(x))
    count_nonzero = reduction(lambda row, x: row.sum(f.not_equal(x, 0)))
    argmax = reduction(lambda row, x: row.argmax(x))
    argmin = reduction(lambda row, x: row.argmin(x))
    _norm = reduction(_norm)

    def prod(self, x: Any, axis: Any, keepdims: bool) -> Any:
        """The product along an axis, or of all elements."""
        return self._prod(x, axis, keepdims)

    prod_all = _prod

    def vector_norm(self, x: Any, ord: float, axis: tuple[int, ...], keepdims: bool) -> Any:
        """The norm of the elements over axes."""
        return self._norm(x, axis, keepdims, float(ord))
