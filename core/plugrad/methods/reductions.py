"""Sums, means, products, norms and scans under PyTorch's names."""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import dtypes, ops
from ..ops import axes
from .extrema import Dim, Extrema
from .naming import numpy_names


def _summable(x: Any, dtype: dtypes.dtype | None) -> Any:
    """`x` as `dtype`; else integers and booleans as int64."""
    if dtype is not None:
        return x.to(dtype)
    return x if dtypes.of(x._raw.dtype).category >= dtypes.FLOAT else x.to(dtypes.int64)


def _inexact(x: Any, asked: str) -> Any:
    """`x`; RuntimeError where it is not floating-point or complex."""
    if dtypes.of(x._raw.dtype).category < dtypes.FLOAT:
        raise RuntimeError(
            f"{asked}(): expected a floating point or complex dtype. Got: {x.dtype}: convert it with .float()"
        )
    return x


class Reductions(Extrema):
    """Methods that put elements together."""

    __slots__ = ()

    # --- sums and means -----------------------------------------------------------------------------------

    @numpy_names
    def sum(self, dim: Dim = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Any:
        """The sum, of all elements or over dimensions; integers and booleans become int64."""
        if dim is dtype is None and not keepdim and self._raw.dtype in dtypes.REAL:
            return ops.sum_all.call(self)
        x = _summable(self, dtype)
        if dim is None and not keepdim:
            return ops.sum_all.call(x)
        return ops.sum_.call(x, axes.many(dim, self.ndim, "sum"), keepdim)

    @numpy_names
    def nansum(self, dim: Dim = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Any:
        """The sum of the elements that are not NaN."""
        x = _summable(self, dtype)
        if x.is_complex():
            raise RuntimeError("nansum does not support complex inputs")
        if not x.is_floating_point():
            return x.sum(dim, keepdim)
        return ops.nansum.call(x, axes.many(dim, self.ndim, "nansum"), keepdim)

    @numpy_names
    def mean(self, dim: Dim = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Any:
        """The mean, of all elements or over dimensions, of floating-point or complex numbers."""
        x = self if dtype is None else self.to(dtype)
        if dtypes.of(x._raw.dtype).category < dtypes.FLOAT:
            raise RuntimeError(
                "mean(): could not infer output dtype. Input dtype must be either a floating point or "
                f"complex dtype. Got: {x.dtype}: convert it with .float() or pass dtype="
            )
        if dim is None and not keepdim:
            return ops.mean_all.call(x)
        return ops.mean_.call(x, axes.many(dim, self.ndim, "mean"), keepdim)

    @numpy_names
    def nanmean(self, dim: Dim = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Any:
        """The mean of the elements that are not NaN."""
        present = self.isnan().logical_not().sum(dim, keepdim)
        return _inexact(self, "nanmean").nansum(dim, keepdim, dtype=dtype) / present

    # --- spread -------------------------------------------------------------------------------------------

    def _by_var(
        self, op: Any, asked: str, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
    ) -> Any:
        """`var` and `std`; PyTorch has both as f(unbiased) and as f(dim, unbiased, keepdim, correction)."""
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if correction is None:
            correction = 1 if unbiased is None else int(unbiased)
        elif unbiased is not None:
            raise TypeError(
                f"{asked}(): takes unbiased or correction, not both: found {unbiased} and {correction}"
            )
        over = axes.many(dim, self.ndim, asked)
        if math.prod(self._raw.shape[i] for i in over) <= correction:
            warnings.warn(
                f"{asked}(): degrees of freedom is <= 0. Correction should be less than the number of "
                "elements",
                stacklevel=4,
            )
        return op.call(_inexact(self, asked), over, correction, keepdim)

    @numpy_names
    def var(
        self,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Any:
        """The variance: the squared deviations from the mean, summed and divided by n - correction (1)."""
        return self._by_var(ops.var_, "var", dim, unbiased, keepdim, correction)

    @numpy_names
    def std(
        self,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Any:
        """The standard deviation, the square root of `var`."""
        return self._by_var(ops.std_, "std", dim, unbiased, keepdim, correction)

    # --- products and scans -------------------------------------------------------------------------------

    @numpy_names
    def prod(
        self, dim: int | None = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None
    ) -> Any:
        """The product, of all elements or over one dimension; integers and booleans become int64."""
        x = _summable(self, dtype)
        if dim is None:
            return ops.prod_all.call(x)
        dim = axes.one(dim, self.ndim, "prod")
        return ops.prod_.call(x, dim, keepdim) if self.ndim else ops.prod_all.call(x)

    @numpy_names
    def cumsum(self, dim: int, *, dtype: dtypes.dtype | None = None) -> Any:
        """The running sums along `dim`."""
        return _scan(ops.cumsum_, _summable(self, dtype), dim, "cumsum")

    @numpy_names
    def cumprod(self, dim: int, *, dtype: dtypes.dtype | None = None) -> Any:
        """The running products along `dim`."""
        return _scan(ops.cumprod_, _summable(self, dtype), dim, "cumprod")

    def diff(self, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
        """The differences of neighbours along `dim`, `n` times over, with what is to stand at the ends."""
        size, axis = self._size_of(dim, "diff")
        if n < 0:
            raise RuntimeError(f"diff: order must be non-negative but got {n}")
        ends = [t for t in (prepend, self, append) if t is not None]
        x = ops.concat.call(ends, axis) if len(ends) > 1 else self
        for _ in range(n):
            size = x._raw.shape[axis]
            low, high = x.narrow(axis, 0, max(size - 1, 0)), x.narrow(axis, min(1, size), max(size - 1, 0))
            x = high ^ low if x.dtype is dtypes.bool_ else high - low
        return x

    # --- truth --------------------------------------------------------------------------------------------

    @numpy_names
    def any(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """Whether any element is not zero: of all, or over dimensions."""
        return _truth(self, ops.any_, "any", dim, keepdim)

    @numpy_names
    def all(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """Whether all elements are not zero: of all, or over dimensions."""
        return _truth(self, ops.all_, "all", dim, keepdim)

    @numpy_names
    def count_nonzero(self, dim: Dim = None) -> Any:
        """How many elements are not zero: of all, or over dimensions."""
        return ops.count_nonzero.call(self, axes.many(dim, self.ndim, "count_nonzero"), False)

    # --- exponentials and norms ---------------------------------------------------------------------------

    @numpy_names
    def logsumexp(self, dim: int | tuple[int, ...], keepdim: bool = False) -> Any:
        """log(sum(exp(x))) over dimensions, without overflow."""
        x = (
            self
            if dtypes.of(self._raw.dtype).category >= dtypes.FLOAT
            else self.to(dtypes.get_default_dtype())
        )
        return ops.logsumexp.call(x, axes.many(dim, self.ndim, "logsumexp"), keepdim)

    @numpy_names
    def norm(
        self,
        p: float | str | None = "fro",
        dim: Dim = None,
        keepdim: bool = False,
        dtype: dtypes.dtype | None = None,
    ) -> Any:
        """The p-norm of all elements or over dimensions, also for p = 0 and ±inf; "fro" is 2.

        The gradient at 0 is 0.
        """
        if isinstance(p, str) and p != "fro":
            raise RuntimeError(f"norm: Order {p} not supported: the orders are numbers and 'fro'")
        order = 2.0 if p in ("fro", None) else float(p)
        x = _inexact(self, "norm")
        x = x if dtype is None else x.to(dtype)
        over = axes.many(dim, self.ndim, "norm")
        if (order < 0 or order == math.inf) and 0 in [self._raw.shape[i] for i in over]:
            raise RuntimeError(
                f"norm: cannot compute the {p} norm over an empty dimension: found shape {tuple(self.shape)}"
            )
        return ops.vector_norm.call(x, order, over, keepdim)

    def dist(self, other: Any, p: float = 2) -> Any:
        """The p-norm of the difference."""
        return (self - other).norm(p)


def _scan(op: Any, x: Any, dim: int, asked: str) -> Any:
    axis = axes.one(dim, x.ndim, asked)
    return op.call(x, axis) if x.ndim else op.call(x.reshape(1), 0).reshape(())


def _truth(x: Any, op: Any, asked: str, dim: Dim, keepdim: bool) -> Any:
    # Over no dimensions PyTorch tests each element; uint8 stays uint8, as it was before there was bool.
    y = op.call(x, () if dim == () else axes.many(dim, x.ndim, asked), keepdim)
    return y.to(dtypes.uint8) if x.dtype is dtypes.uint8 else y
