"""Reductions that give two results."""

from __future__ import annotations

from typing import Any


def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """The variance and the mean, of all elements or over dimensions."""
    return input.var(dim, unbiased, keepdim, correction=correction), _mean(input, dim, keepdim)


def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """The standard deviation and the mean, of all elements or over dimensions."""
    return input.std(dim, unbiased, keepdim, correction=correction), _mean(input, dim, keepdim)


def _mean(x: Any, dim: Any, keepdim: bool) -> Any:
    return x.mean(None if isinstance(dim, bool) else dim, keepdim)
