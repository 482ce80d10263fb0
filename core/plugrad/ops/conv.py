"""Convolutions (correlations, as networks have them) in any number of dimensions.

The sum Σ x[n, i, s·p + d·k] w[o, i, k] z[n, o, p] is linear in the image x, the weight w and the result's cotangent z. The
three ops here are its derivatives by z, by x and by w, so each one's formulas are the other two, to every order.
Images are (N, channels, *size), weights (outputs, channels / groups, *kernel); for the parameters see `sliding`.
"""

from __future__ import annotations

import math
from typing import Any

from ..op import multilinear, operator
from .index import getitem
from .linalg import matmul
from .reduce import sum_
from .shape import permute_dims, reshape_
from .sliding import FULL, Ints, Pads, counts, elements, inner, padded, put, zeros

__all__ = ["convolution", "convolution_biased", "convolution_transposed", "convolution_weight"]

_WHERE = "stride=() padding=() dilation=() groups=1"

# The kernels for any array library: one product of matrices for each element of the kernel, and no index arrays. A
# library that can show its windows without a copy, as NumPy can, does it in one.


def _at(weight: Any, position: Ints, groups: int) -> Any:
    """The matrices (outputs, channels) at an element of the kernel, one for each group."""
    o, c = weight.shape[:2]
    return reshape_(getitem(weight, (FULL, FULL, *position, ...)), (groups, o // groups, c))


def _grouped(x: Any, groups: int) -> Any:
    """Images as matrices (channels, positions), one for each group of each image."""
    n, c, *size = x.shape
    return reshape_(x, (n, groups, c // groups, math.prod(size)))


def _convolution(x: Any, weight: Any, stride: Ints, padding: Pads, dilation: Ints, groups: int) -> Any:
    kernel = weight.shape[2:]
    count = counts(x.shape[2:], kernel, stride, padding, dilation)
    x, y = padded(x, padding), None
    for position, key in elements(x, kernel, stride, dilation, count):
        part = matmul(_at(weight, position, groups), _grouped(getitem(x, key), groups))
        y = part if y is None else y + part
    return reshape_(y, (x.shape[0], weight.shape[0], *count))


def _transposed(
    x: Any, weight: Any, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> Any:
    n, channels, count = x.shape[0], weight.shape[1] * groups, tuple(x.shape[2:])
    y = zeros(x, (n, channels, *(m + sum(p) for m, p in zip(size, padding, strict=True))))
    x = _grouped(x, groups)
    for position, key in elements(y, weight.shape[2:], stride, dilation, count):
        part = matmul(permute_dims(_at(weight, position, groups), (0, 2, 1)), x)
        y = put(y, key, getitem(y, key) + reshape_(part, (n, channels, *count)))
    return getitem(y, inner(y, padding, size)) if any(map(any, padding)) else y


def _weight(x: Any, z: Any, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int) -> Any:
    c, o = x.shape[1] // groups, z.shape[1] // groups
    count = tuple(z.shape[2:])
    rows = z.shape[0] * math.prod(count)
    y = zeros(z, (o * groups, c, *size))
    x = padded(x, padding)
    z = reshape_(permute_dims(_grouped(z, groups), (1, 2, 0, 3)), (groups, o, rows))
    for position, key in elements(x, size, stride, dilation, count):
        piece = permute_dims(_grouped(getitem(x, key), groups), (1, 0, 3, 2))
        part = matmul(z, reshape_(piece, (groups, rows, c)))
        y = put(y, (FULL, FULL, *position, ...), reshape_(part, (o * groups, c)))
    return y


# --- the three -------------------------------------------------------------------------------------------------

convolution = multilinear(
    "convolution", f"x weight | {_WHERE}", default=_convolution,
    x=lambda g, x, weight, stride, padding, dilation, groups: convolution_transposed(
        g, weight, x.shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda g, x, weight, stride, padding, dilation, groups: convolution_weight(
        x, g, weight.shape[2:], stride, padding, dilation, groups
    ),
)  # fmt: skip
#: The image of a `size` whose elements are summed from those of the result `x` that they went into.
convolution_transposed = multilinear(
    "convolution_transposed", f"x weight | size=() {_WHERE}", node="ConvolutionBackward0", default=_transposed,
    x=lambda g, weight, stride, padding, dilation, groups: convolution(
        g, weight, stride, padding, dilation, groups
    ),
    weight=lambda g, x, weight, stride, padding, dilation, groups: convolution_weight(
        g, x, weight.shape[2:], stride, padding, dilation, groups
    ),
)  # fmt: skip
#: The weight of a kernel's `size` whose elements are summed from the products of image `x` and result `z`.
convolution_weight = multilinear(
    "convolution_weight", f"x z | size=() {_WHERE}", node="ConvolutionBackward0", default=_weight,
    x=lambda g, x, z, stride, padding, dilation, groups: convolution_transposed(
        z, g, x.shape[2:], stride, padding, dilation, groups
    ),
    z=lambda g, x, stride, padding, dilation, groups: convolution(x, g, stride, padding, dilation, groups),
)  # fmt: skip


def _biased(x: Any, weight: Any, bias: Any, *params: Any) -> Any:
    y = convolution(x, weight, *params)
    return y + reshape_(bias, (bias.shape[0], *[1] * (len(x.shape) - 2)))


#: `convolution` plus a number for each channel of the result: one node, as in PyTorch, where it is visible.
convolution_biased = operator(
    "convolution_biased", f"x weight bias | {_WHERE}", result="alike", node="ConvolutionBackward0", default=_biased,
    **convolution.formulas, bias=lambda g: sum_(g, (0, *range(2, len(g.shape))), False),
)  # fmt: skip
