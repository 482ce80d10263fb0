"""Reading and adding by index arrays, and transposing copies, on addresses of dense arrays.

An index that is out of range reads some other element of the array, and adds nowhere; who says so is the backend's check.
"""

from __future__ import annotations

from .launch import Grid, Kernels
from .source import SIZES

__all__ = ["add_owned", "add_sorted", "can_own", "flat", "gather", "places", "take", "transpose"]

THREADS, MOST_BLOCKS = 256, 1 << 16


def flat(n: int) -> tuple[Grid, Grid]:
    """Grid and block for n elements, each thread taking several where there are very many."""
    return (min(-(-n // THREADS), MOST_BLOCKS), 1), (THREADS, 1)


def take(
    kernels: Kernels, size: int, x: int, indices: int, y: int, outer: int, n: int, m: int, inner: int
) -> None:
    """y (outer, m, inner): the slices of x (outer, n, inner) at m indices, int64. `size` is an element's, in bytes."""
    while size < 16 and inner % 2 == 0 and inner and x % (2 * size) == 0 and y % (2 * size) == 0:
        size, inner = 2 * size, inner // 2  # copied in pieces as wide as they can be
    kernels(f"index_{size}", "take")(*flat(outer * m * inner), x, indices, y, outer, n, m, inner)


def gather(
    kernels: Kernels, size: int, x: int, indices: int, y: int, outer: int, n: int, m: int, inner: int
) -> None:
    """y (outer, m, inner): for each of its elements, that of x (outer, n, inner) at the index in its place."""
    kernels(f"index_{size}", "gather")(*flat(outer * m * inner), x, indices, y, outer, n, m, inner)


def places(kernels: Kernels, indices: int, y: int, outer: int, n: int, m: int, inner: int) -> None:
    """y (outer, m, inner): the place in a flat (outer, n, inner) of each index, int64; -1 where it is out of range."""
    kernels("index_8", "places")(*flat(outer * m * inner), indices, y, outer, n, m, inner)


def transpose(kernels: Kernels, size: int, x: int, y: int, batch: int, rows: int, cols: int) -> None:
    """y (batch, cols, rows) of x (batch, rows, cols)."""
    blocks = batch * -(-rows // 32) * -(-cols // 32)
    kernels(f"index_{size}", "transpose")((blocks, 1), (32, 8), x, y, rows, cols)


def add_owned(
    kernels: Kernels, dtype: str, x: int, indices: int, y: int, outer: int, n: int, m: int, inner: int,
    skip: int = -1,
) -> None:  # fmt: skip
    """Add x (outer, m, inner) to y (outer, n, inner) at m indices; each place reads all indices. The same bits each time."""
    kernels(f"scatter_{dtype}", "owned")(*flat(outer * n * inner), x, indices, y, outer, n, m, inner, skip)


def add_sorted(
    kernels: Kernels, dtype: str, x: int, sorted_: int, order: int, y: int, outer: int, n: int, m: int,
    inner: int, skip: int = -1,
) -> None:  # fmt: skip
    """As `add_owned`, of indices sorted stably, and the `order` that sorts them. The same bits each time."""
    kernels(f"scatter_{dtype}", "segments")(
        *flat(outer * m * inner), x, sorted_, order, y, outer, n, m, inner, skip
    )


def can_own(dtype: str, n: int, m: int) -> bool:
    """Whether reading all indices for each place is cheaper than sorting them."""
    return n * m * SIZES[dtype] <= 1 << 20 and m <= 256
