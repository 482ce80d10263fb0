"""Sorting and counting under PyTorch's names. NaN counts as greater than any number."""

from __future__ import annotations

from typing import Any

from .. import dtypes, ops
from ..graph import Variable
from . import results
from .index_arguments import check_place


class Sorting(Variable):
    """Methods that sort, search and count."""

    __slots__ = ()

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
        """The elements in order along a dimension, and where each was; equal ones keep their order.

        >>> import plugrad as torch
        >>> torch.tensor([3, 1, 2]).sort()
        torch.return_types.sort(
        values=tensor([1, 2, 3]),
        indices=tensor([1, 2, 0]))
        """
        indices = self.argsort(dim, descending, stable=stable)
        return results.sort((_ordered(self, ops.take_sorted, indices, dim), indices))

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
        """The indices that sort along a dimension."""
        dim = ops.axes.one(dim, self.ndim, "argsort")
        _check_real(self, "sort")
        return ops.argsort.call(_with_a_dim(self), dim, descending).reshape(self.shape)

    def msort(self) -> Any:
        """The elements in order along the first dimension."""
        return self.sort(0).values

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        """The `k` greatest (or smallest) elements along a dimension, in order, and where they are."""
        dim = ops.axes.one(dim, self.ndim, "topk")
        _check_real(self, "topk")
        x = _with_a_dim(self)
        if not 0 <= k <= x.shape[dim]:
            raise RuntimeError(
                f"topk: selected index k out of range: {k} of {x.shape[dim]} elements along dimension {dim}"
            )
        indices = ops.argtopk.call(x, k, dim, largest)
        if x is not self and k:
            indices = indices.reshape(())
        return results.topk((_ordered(self, ops.take_topk, indices, dim), indices))

    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> Any:
        """The `k`-th smallest element along a dimension, counted from 1, and where it is."""
        dim = ops.axes.one(dim, self.ndim, "kthvalue")
        _check_real(self, "kthvalue")
        x = _with_a_dim(self)
        if not 1 <= k <= x.shape[dim]:
            raise RuntimeError(
                f"kthvalue(): selected number k out of range for dimension {dim}: {k} of {x.shape[dim]}"
            )
        indices = ops.argsort.call(x, dim).narrow(dim, k - 1, 1)
        values = ops.take_kth.call(x, indices._raw, dim)
        if x is not self or not keepdim:
            values, indices = values.squeeze(dim), indices.squeeze(dim)
        return results.kthvalue((values, indices))

    def bincount(self, weights: Any = None, minlength: int = 0) -> Any:
        """How often each of 0, 1, … occurs, or the sum of the weights of its occurrences."""
        if self.ndim != 1 or self.dtype.category > dtypes.INTEGER:
            raise RuntimeError(
                "bincount: only supports 1-d non-negative integral inputs, "
                f"found {self.dtype}{list(self.shape)}"
            )
        if minlength < 0:
            raise RuntimeError(f"bincount: minlength should be >= 0, found {minlength}")
        if weights is not None and weights.shape != self.shape:
            raise RuntimeError(
                "bincount: input and weights should have the same length, "
                f"found {list(self.shape)} and {list(weights.shape)}"
            )
        if self.numel() and self.detach().amin().item() < 0:
            raise RuntimeError(
                "bincount: only supports 1-d non-negative integral inputs, found a negative element"
            )
        if weights is not None:
            check_place(self, weights, "bincount")
        return ops.bincount.call(self, None if weights is None else weights._raw, minlength)

    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
    ) -> Any:
        """The distinct elements in order; on request also which of them each is, and how often each occurs.

        >>> import plugrad as torch
        >>> torch.tensor([3, 1, 3]).unique(return_counts=True)
        (tensor([1, 3]), tensor([1, 2]))
        """
        _check_real(self, "unique")
        axis = None if dim is None else ops.axes.one(dim, self.ndim, "unique")
        values, inverse, counts = ops.unique.call(self.detach(), axis)
        inverse = inverse.reshape(self.shape if dim is None else (-1,))
        wanted = (values, *((inverse,) if return_inverse else ()), *((counts,) if return_counts else ()))
        return wanted if len(wanted) > 1 else values


def _with_a_dim(x: Any) -> Any:
    return x if x._raw.shape else x.reshape(1)


def _ordered(x: Any, op: Any, indices: Any, dim: int) -> Any:
    """The elements of `x` at `indices` along `dim`; a 0-d tensor counts as 1-d."""
    if x._raw.shape:
        return op.call(x, indices._raw, ops.axes.one(dim, x.ndim, op.name))
    return op.call(x.reshape(1), indices.reshape(-1)._raw, 0).reshape(indices.shape)


def _check_real(x: Any, asked: str) -> None:
    if x.dtype.is_complex:
        raise RuntimeError(
            f"{asked}: complex numbers have no order, found {x.dtype}: take .real, .imag or .abs() first"
        )
