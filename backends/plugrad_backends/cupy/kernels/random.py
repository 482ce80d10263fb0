"""Philox4x64-10 on addresses: the bits, uniforms and integers of `PhiloxStream`, which defines them; normals to its bound."""

from __future__ import annotations

from .launch import Grid, Kernels

__all__ = ["bernoulli", "integers", "normal", "uniform", "words"]


def _blocks(n: int) -> tuple[Grid, Grid]:
    """A thread for each four elements."""
    return (min(-(-n // 1024), 1 << 16), 1), (256, 1)


def uniform(
    kernels: Kernels, dtype: str, y: int, n: int, seed: int, offset: int, low: float, high: float, span: float
) -> None:
    """n numbers in [low, high); `span` is high - low, rounded to the precision of the units."""
    kernels(f"philox_{dtype}", "uniform")(*_blocks(n), y, seed, offset, low, high, span, n)


def normal(
    kernels: Kernels, dtype: str, y: int, n: int, seed: int, offset: int, mean: float, std: float
) -> None:
    """n normal numbers."""
    kernels(f"philox_{dtype}", "normal")(*_blocks(n), y, seed, offset, mean, std, n)


def words(kernels: Kernels, y: int, n: int, seed: int, offset: int) -> None:
    """n words of 64 bits."""
    kernels("philox_float64", "words")(*_blocks(n), y, seed, offset, n)


def integers(kernels: Kernels, y: int, n: int, seed: int, offset: int, low: int, span: int) -> None:
    """n int64 in [low, low + span)."""
    kernels("philox_float64", "integers")(*_blocks(n), y, seed, offset, low % 2**64, span % 2**64, n)


def bernoulli(kernels: Kernels, y: int, n: int, seed: int, offset: int, threshold: int) -> None:
    """n bools, true with probability threshold / 2**53."""
    kernels("philox_float64", "bernoulli")(*_blocks(n), y, seed, offset, threshold, n)
