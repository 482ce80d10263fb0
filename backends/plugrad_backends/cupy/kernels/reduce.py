"""Reductions over the middle of dense arrays (outer, n, inner), on addresses.

Where there are too few results to keep a device busy, each is shared by several blocks, in a number of parts that depends
on the shape alone: so the same array always has the same sum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .launch import Kernels
from .source import FLOATS, SIZES, vector

__all__ = ["Plan", "plan", "reduce"]

#: Blocks that keep a large device busy, and elements that are worth a block.
BLOCKS, LEAST = 1024, 4096
MOST_PARTS = 256


class Plan(NamedTuple):
    """In how many parts each result is computed, and the bytes of memory that parts need."""

    parts: int
    scratch: int


@lru_cache(4096)
def plan(op: str, dtype: str, outer: int, n: int, inner: int) -> Plan:
    """How a reduction is done.

    >>> plan("sum", "float32", 65536, 1024, 1), plan("sum", "float32", 1, 1 << 26, 1)
    (Plan(parts=1, scratch=0), Plan(parts=256, scratch=1024))
    """
    blocks = outer * -(-inner // 32)
    elements = n if inner == 1 else n * 32
    parts = min(MOST_PARTS, -(-BLOCKS // max(blocks, 1)), elements // LEAST)
    if parts < 2:
        return Plan(1, 0)
    return Plan(parts, outer * parts * inner * accumulator(op, dtype))


def accumulator(op: str, dtype: str) -> int:
    """The bytes of what a thread accumulates."""
    if op.startswith("arg"):
        return 16
    if op in ("any", "all"):
        return 4
    if op in ("max", "min"):
        return 4 if dtype in FLOATS and dtype != "float64" else SIZES[dtype]
    return 4 if dtype in FLOATS and dtype != "float64" else 8


def reduce(
    kernels: Kernels, op: str, dtype: str, x: int, y: int, outer: int, n: int, inner: int,
    scratch: Callable[[int], int],
) -> None:  # fmt: skip
    """y (outer, inner) of x (outer, n, inner); `scratch` gives the address of so many bytes.

    `op` is sum, prod, mean or sum_squares, max, min, argmax, argmin, any or all: those that `source.every` lists. Sums and
    products of integers are int64, indices too.
    """
    parts, bytes_ = plan(op, dtype, outer, n, inner)
    partial = scratch(bytes_) if bytes_ else 0
    name = f"{op}_{dtype}"
    if inner == 1:
        width = vector(dtype)
        wide = width > 1 and n % width == 0 and x % 16 == 0
        length = -(-n // parts)
        block = (32, 4) if length <= 128 else (min(256, -(-length // 128) * 32), 1)
        grid = -(-outer * parts // block[1])
        kernels(name, "rows")((grid, 1), block, x, y, partial, n, outer, n, parts, wide)
    else:
        grid = -(-inner // 32) * outer * parts
        kernels(name, "columns")((grid, 1), (32, 8), x, y, partial, n, n, inner, parts)
    if parts > 1:
        results = outer * inner
        kernels(name, "finish")((-(-results // 4), 1), (32, 4), partial, y, n, results, inner, parts)
