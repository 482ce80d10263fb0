"""Extrema and medians, and where they are, under PyTorch's names."""

from __future__ import annotations

from typing import Any

from .. import dtypes, ops
from ..graph import Variable
from ..ops import axes
from . import results
from .naming import numpy_names

Dim = int | tuple[int, ...] | list[int] | None


def _ordered(x: Any, asked: str) -> Any:
    """`x`; NotImplementedError for complex numbers, which have no order."""
    if x.dtype.category > dtypes.FLOAT:
        raise NotImplementedError(f"{asked}(): not implemented for {x.dtype}: complex numbers have no order")
    return x


def _not_empty(x: Any, over: tuple[int, ...], asked: str, dim: Any) -> None:
    """Raise where a reduction over these dimensions would have nothing to choose from."""
    if dim is None and not x.numel():
        raise RuntimeError(
            f"{asked}(): Expected reduction dim to be specified for input.numel() == 0, found "
            f"shape {tuple(x.shape)}. Specify the reduction dim with the 'dim' argument"
        )
    for i in over:
        if x._raw.shape and x._raw.shape[i] == 0:
            raise IndexError(
                f"{asked}(): Expected reduction dim {i} to have non-zero size, found shape {tuple(x.shape)}"
            )


class Extrema(Variable):
    """Methods that choose elements by their order."""

    __slots__ = ()

    @numpy_names
    def max(self, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        """The largest element; with `dim`, (values, indices) along it; of two tensors, the elementwise one.

        Ties: of all elements they share the gradient; along `dim` the first element is found and has it.

        >>> import plugrad as torch
        >>> torch.tensor([[1, 5], [7, 2]]).max(dim=1)
        torch.return_types.max(
        values=tensor([5, 7]),
        indices=tensor([1, 0]))
        """
        return _largest(self, "max", other if dim is None else dim, keepdim)

    @numpy_names
    def min(self, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        """The smallest element; with `dim`, (values, indices) along it; of two tensors, the elementwise one.

        Ties: of all elements they share the gradient; along `dim` the first element is found and has it.
        """
        return _largest(self, "min", other if dim is None else dim, keepdim)

    @numpy_names
    def amax(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """The largest element, of all or over dimensions; ties share the gradient."""
        return _amax(self, ops.max_, "amax", dim, keepdim)

    @numpy_names
    def amin(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """The smallest element, of all or over dimensions; ties share the gradient."""
        return _amax(self, ops.min_, "amin", dim, keepdim)

    @numpy_names
    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> Any:
        """`amin` and `amax`, with the names `min` and `max`."""
        return results.aminmax((self.amin(dim, keepdim), self.amax(dim, keepdim)))

    @numpy_names
    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The index of the first largest element, along `dim` or among all elements in row-major order."""
        return _argmax(self, ops.argmax_, "argmax", dim, keepdim)

    @numpy_names
    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The index of the first smallest element, along `dim` or among all elements in row-major order."""
        return _argmax(self, ops.argmin_, "argmin", dim, keepdim)

    @numpy_names
    def median(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The (lower) median; with `dim`, (values, indices) along it. NaN if one is NaN."""
        x = _ordered(self, "median")
        if dim is None:
            return ops.median_all.call(x)
        dim = axes.one(dim, self.ndim, "median")
        if not self._raw.shape:
            return results.median((self.clone(), self.detach().to(dtypes.int64).zero_()))
        _not_empty(x, (dim,), "median", dim)
        found = ops.argmedian.call(x, dim)
        return _chosen(x, ops.take_median, results.median, found, dim, keepdim)


def _largest(x: Any, name: str, dim: Any, keepdim: bool) -> Any:
    """`max` and `min`."""
    if isinstance(dim, Variable):
        return (ops.maximum if name == "max" else ops.minimum).call(x, dim)
    _ordered(x, name)
    if dim is None:
        _not_empty(x, (), name, None)
        return (ops.max_all if name == "max" else ops.min_all).call(x)
    dim = axes.one(dim, x.ndim, name)
    result = getattr(results, name)
    if not x._raw.shape:
        return result((x.clone(), x.detach().to(dtypes.int64) * 0))
    _not_empty(x, (dim,), name, dim)
    found = (ops.argmax_ if name == "max" else ops.argmin_).call(x, dim, True)
    return _chosen(x, ops.take_max if name == "max" else ops.take_min, result, found, dim, keepdim)


def _chosen(x: Any, take: Any, result: Any, found: Any, dim: int, keepdim: bool) -> Any:
    """The elements of `x` at the indices that were found along `dim`, which they have as 1, and these."""
    values = take.call(x, found._raw, dim, keepdim)
    return result((values, found if keepdim else found.squeeze(dim)))


def _amax(x: Any, op: Any, asked: str, dim: Dim, keepdim: bool) -> Any:
    over = axes.many(dim, x.ndim, asked)
    _not_empty(_ordered(x, asked), over, asked, dim if dim != () else None)
    return op.call(x, over, keepdim)


def _argmax(x: Any, op: Any, asked: str, dim: int | None, keepdim: bool) -> Any:
    if x.dtype.category not in (dtypes.INTEGER, dtypes.FLOAT):
        raise RuntimeError(f"{asked}(): does not support {x.dtype} input: convert it with .to(...) first")
    if dim is None:
        if not x.numel():
            raise IndexError(
                f"{asked}(): Expected reduction dim to be specified for input.numel() == 0, "
                f"found shape {tuple(x.shape)}"
            )
        return op.call(x, None, keepdim)
    dim = axes.one(dim, x.ndim, asked)
    _not_empty(x, (dim,), asked, dim)
    return op.call(x, dim, keepdim) if x._raw.shape else op.call(x, None, keepdim)
