"""Kernels of rows: softmax, log-softmax, cross entropy and layer normalization, on addresses of dense arrays.

A row belongs to a warp where it is short, else to a block; up to 2048 accesses of a thread's width it stays in registers
between the passes, and memory is read once.
"""

from __future__ import annotations

from .launch import Grid, Kernels
from .source import SIZES

__all__ = ["cross_entropy", "cross_entropy_backward", "layer_norm", "layer_norm_backward", "layer_norm_parameters",
           "parts", "plan", "softmax", "softmax_backward"]  # fmt: skip

ITEMS, MOST_THREADS, ROWS_TOGETHER = 4, 512, 4


def plan(dtype: str, rows: int, cols: int, *addresses: int) -> tuple[str, Grid, Grid]:
    """Which variant serves for rows at the addresses, and its grid and block.

    >>> plan("float32", 65536, 1024, 0, 4096)
    ('float32_v4_i4', (65536, 1), (64, 1))
    >>> plan("float32", 10, 1001, 0, 4096), plan("float16", 10, 64, 0), plan("float16", 10, 64, 2)
    (('float32_v1_i4', (10, 1), (256, 1)), ('float16_v8_i4', (3, 1), (32, 4)), ('float16_v1_i4', (3, 1), (32, 4)))
    """
    vector = 1 if dtype == "float64" else 16 // SIZES[dtype]
    if vector > 1 and (cols % vector or any(address % 16 for address in addresses)):
        vector = 1
    accesses = -(-cols // vector)
    if accesses > MOST_THREADS * ITEMS:
        return f"{dtype}_v{vector}_i0", (rows, 1), (MOST_THREADS, 1)
    name = f"{dtype}_v{vector}_i{ITEMS}"
    if accesses <= 32 * ITEMS:
        return name, (-(-rows // ROWS_TOGETHER), 1), (32, ROWS_TOGETHER)
    return name, (rows, 1), (-(-accesses // (32 * ITEMS)) * 32, 1)


def softmax(kernels: Kernels, dtype: str, log: bool, x: int, y: int, rows: int, cols: int) -> None:
    """y = softmax(x), or its logarithm."""
    variant, grid, block = plan(dtype, rows, cols, x, y)
    kernels(f"{'log_' if log else ''}softmax_{variant}", "forward")(grid, block, x, y, rows, cols)


def softmax_backward(
    kernels: Kernels, dtype: str, log: bool, g: int, y: int, dx: int, rows: int, cols: int
) -> None:
    """dx of the result `y` and its cotangent `g`."""
    variant, grid, block = plan(dtype, rows, cols, g, y, dx)
    kernels(f"{'log_' if log else ''}softmax_{variant}", "backward")(grid, block, g, y, dx, rows, cols)


def cross_entropy(
    kernels: Kernels, dtype: str, x: int, targets: int, weight: int, losses: int, weights: int, fault: int,
    ignore: int, rows: int, cols: int,
) -> None:  # fmt: skip
    """The loss of each row of `x`, and the weight of its target, both in float32 (float64 of float64).

    `targets` and `fault` are int64; `fault` becomes the number, from 1, of a row whose target is out of range.
    """
    variant, grid, block = plan(dtype, rows, cols, x)
    kernels(f"cross_entropy_{variant}", "forward")(
        grid, block, x, targets, weight, losses, weights, fault, ignore, rows, cols
    )


def cross_entropy_backward(
    kernels: Kernels, dtype: str, g: int, total: int, x: int, targets: int, weight: int, dx: int,
    ignore: int, each: bool, rows: int, cols: int,
) -> None:  # fmt: skip
    """dx, where `g` is one number, or one a row if `each`; divided by the number at `total` unless that is 0."""
    variant, grid, block = plan(dtype, rows, cols, x, dx)
    kernels(f"cross_entropy_{variant}", "backward")(
        grid, block, g, total, x, targets, weight, dx, ignore, each, rows, cols
    )


def layer_norm(
    kernels: Kernels, dtype: str, x: int, weight: int, bias: int, y: int, eps: float, rows: int, cols: int
) -> None:
    """y; `weight` and `bias` may be 0 for none."""
    variant, grid, block = plan(dtype, rows, cols, x, weight, bias, y)
    kernels(f"layer_norm_{variant}", "forward")(grid, block, x, weight, bias, y, eps, rows, cols)


def layer_norm_backward(
    kernels: Kernels, dtype: str, g: int, x: int, weight: int, dx: int, eps: float, rows: int, cols: int, stats: int = 0
) -> None:  # fmt: skip
    """dx; and mean and scale of each row into `stats` (rows, 2), float32 (float64 of that), where that is given."""
    variant, grid, block = plan(dtype, rows, cols, g, x, weight, dx)
    kernels(f"layer_norm_{variant}", "backward")(grid, block, g, x, weight, dx, stats, eps, rows, cols)


def layer_norm_parameters(
    kernels: Kernels, dtype: str, g: int, x: int, stats: int, partial: int, dweight: int, dbias: int, rows: int, cols: int
) -> None:  # fmt: skip
    """The gradients of weight and bias, of the `stats` that `layer_norm_backward` wrote.

    `partial` (2, `parts(rows)`, cols) is of their dtype.
    """
    source = f"layer_norm_parameters_{dtype}"
    kernels(source, "parameters")((-(-cols // 32), parts(rows)), (32, 8), g, x, stats, partial, rows, cols)
    end = kernels(source, "parameters_end")
    end((-(-cols // 128), 1), (128, 1), partial, dweight, dbias, parts(rows), cols)


def parts(rows: int) -> int:
    """In how many parts `layer_norm_parameters` sums the rows: a choice of the shape alone, so that sums repeat."""
    return max(1, min(64, rows // 64))
