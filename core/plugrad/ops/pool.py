"""Pools over the last two axes. For the parameters see `sliding`; what `ceil_mode` adds is padding after the end.

The maximum of a window is the first in row-major order, and NaN is greater than any number, as in PyTorch. Which of the
window's elements it is, not where in the image, is what the derivative asks for: then it is a sum over the
elements of the kernel, without index arrays.
"""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..backend import backend_of
from ..op import linear, multilinear, operator
from .compare import equal, maximum, where
from .index import getitem
from .sliding import Ints, Pads, counts, elements, inner, padded, put, zeros

__all__ = ["argmax_pool2d", "avg_pool2d", "avg_unpool2d", "embed_pooled", "max_pool2d", "take_pooled"]

ONES, NO_PADDING = (1, 1), ((0, 0), (0, 0))
_WINDOWS = "kernel=() stride=() padding=() dilation=()"

# --- maxima ---------------------------------------------------------------------------------------------------


def lowest(dtype: dtypes.dtype) -> float:
    """What no number of a dtype is below."""
    return -math.inf if dtype.category == dtypes.FLOAT else dtypes.iinfo(dtype).min


def _max_pool(x: Any, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Any:
    least = lowest(dtypes.of(x.dtype))
    count = counts(x.shape[-2:], kernel, stride, padding, dilation)
    x, y = padded(x, padding, least), None
    for _, key in elements(x, kernel, stride, dilation, count):
        y = maximum(getitem(x, key), least if y is None else y)
    return y


def first_inside(count: int, stride: int, before: int, dilation: int) -> list[int]:
    """For each window the first element that is not in the padding `before`, where that is not 0.

    >>> first_inside(4, 1, 2, 1)
    [2, 1]
    """
    return [-(-(before - i * stride) // dilation) for i in range(count) if i * stride < before]


def first_maximum(x: Any, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Any:
    """`argmax_pool2d` on any library's arrays, and any real dtype."""
    count = counts(x.shape[-2:], kernel, stride, padding, dilation)
    backend: Any = backend_of(x)
    # Nothing is greater than -inf where all else is: then it is the first element that is no padding.
    which = backend.zeros((*x.shape[:-2], *count), dtypes.int64)
    for axis, width in enumerate((kernel[1], 1)):
        shape = (count[0], 1) if axis == 0 else (1, count[1])
        starts = backend.zeros(shape, dtypes.int64)
        for i, first in enumerate(first_inside(count[axis], stride[axis], padding[axis][0], dilation[axis])):
            starts = put(starts, (i, 0, ...) if axis == 0 else (0, i, ...), first * width)
        which = which + starts
    least = lowest(dtypes.of(x.dtype))
    x = padded(x, padding, least)
    best: Any = least
    for i, (_, key) in enumerate(elements(x, kernel, stride, dilation, count)):
        piece = getitem(x, key)
        which = where(piece > best, i, where(equal(piece, piece), which, i))
        best = maximum(piece, best)
    return which


def check_which(shape: Ints, which: Ints) -> None:
    """RuntimeError unless there is one number for each window of each image."""
    if tuple(shape) != tuple(which):
        raise RuntimeError(
            f"numbers of elements of shape {list(which)} do not belong to windows of shape {list(shape)}: they do not "
            "broadcast"
        )


def _take_pooled(x: Any, which: Any, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Any:
    check_which((*x.shape[:-2], *which.shape[-2:]), which.shape)
    x, y = padded(x, padding), None
    for i, (_, key) in enumerate(elements(x, kernel, stride, dilation, which.shape[-2:])):
        y = where(equal(which, i), getitem(x, key), 0 if y is None else y)
    return y


def _embed_pooled(
    x: Any, which: Any, size: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints
) -> Any:
    check_which(x.shape, which.shape)
    y = zeros(x, (*x.shape[:-2], *(n + sum(p) for n, p in zip(size, padding, strict=True))))
    for i, (_, key) in enumerate(elements(y, kernel, stride, dilation, which.shape[-2:])):
        y = put(y, key, getitem(y, key) + where(equal(which, i), x, 0))
    return getitem(y, inner(y, padding, size)) if any(map(any, padding)) else y


# The derivative finds the maxima anew: keeping them would cost every forward what only a backward needs.
max_pool2d = operator(
    "max_pool2d", f"x | {_WINDOWS}", result="same", ordered=True, node="MaxPool2DWithIndicesBackward0",
    default=_max_pool,
    x=lambda g, x, kernel, stride, padding, dilation: embed_pooled(
        g, argmax_pool2d(x, kernel, stride, padding, dilation), x.shape[-2:], kernel, stride, padding, dilation
    ),
)  # fmt: skip
#: For each window the number of its element that is the maximum.
argmax_pool2d = operator("argmax_pool2d", f"x | {_WINDOWS}", default=first_maximum)
#: The element of each window whose number is given.
take_pooled = multilinear(
    "take_pooled", f"x which | {_WINDOWS}", result="own", node="MaxPool2DWithIndicesBackward0", default=_take_pooled,
    x=lambda g, x, which, kernel, stride, padding, dilation: embed_pooled(
        g, which, x.shape[-2:], kernel, stride, padding, dilation
    ),
)  # fmt: skip
#: Zeros of a `size`, to which each window's `x` is added at the element whose number is given.
embed_pooled = multilinear(
    "embed_pooled", f"x which | size=() {_WINDOWS}", result="own", default=_embed_pooled,
    x=lambda g, which, kernel, stride, padding, dilation: take_pooled(
        g, which, kernel, stride, padding, dilation
    ),
)  # fmt: skip

# --- means ----------------------------------------------------------------------------------------------------


def divisors(
    size: int, count: int, kernel: int, stride: int, before: int, counted: bool
) -> tuple[int, dict[int, int]]:
    """How many elements a window has along an axis: the usual number, and of which windows it is another.

    Padding counts if `counted`, but no more at the end than `before` the start: what `ceil_mode` adds never does.

    >>> divisors(5, 3, 2, 2, 0, True), divisors(4, 3, 2, 2, 1, False)
    ((2, {2: 1}), (2, {0: 1, 2: 1}))
    """
    others = {}
    for i in range(count):
        start = i * stride - before
        end = min(start + kernel, size + before)
        n = end - start if counted else min(end, size) - max(start, 0)
        if n != kernel:
            others[i] = n
    return kernel, others


def _each_mean(
    x: Any, size: Ints, kernel: Ints, stride: Ints, padding: Pads, counted: bool, divisor: int | None
) -> Any:
    """A sum for each window, `x`, divided by what it is to be divided by."""
    if divisor is not None:
        return x / divisor
    shape, by = x.shape[-2:], 1
    for axis in range(2):
        usual, others = divisors(
            size[axis], shape[axis], kernel[axis], stride[axis], padding[axis][0], counted
        )
        n: Any = usual
        if others:
            along = (shape[0], 1) if axis == 0 else (1, shape[1])
            n = backend_of(x).full(along, usual, dtypes.of(x.dtype))
            for i, other in others.items():
                n = put(n, (i, 0, ...) if axis == 0 else (0, i, ...), other)
        by = n * by
    return x / by


def one_axis(axis: int, kernel: Ints, stride: Ints) -> tuple[Ints, Ints]:
    """Kernel and stride along one axis: rows summed first, and then columns, take 2k instead of k·k sums."""
    return ((kernel[0], 1), (stride[0], 1)) if axis == 0 else ((1, kernel[1]), (1, stride[1]))


def _avg_pool(
    x: Any, kernel: Ints, stride: Ints, padding: Pads, count_include_pad: bool, divisor: int | None
) -> Any:
    size = x.shape[-2:]
    y = padded(x, padding)
    for axis in range(2):
        k, s = one_axis(axis, kernel, stride)
        count, total = counts(y.shape[-2:], k, s, NO_PADDING, ONES), None
        for _, key in elements(y, k, s, ONES, count):
            total = getitem(y, key) if total is None else total + getitem(y, key)
        y = total
    return _each_mean(y, size, kernel, stride, padding, count_include_pad, divisor)


def _avg_unpool(
    x: Any,
    size: Ints,
    kernel: Ints,
    stride: Ints,
    padding: Pads,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    x = _each_mean(x, size, kernel, stride, padding, count_include_pad, divisor)
    full = [n + sum(p) for n, p in zip(size, padding, strict=True)]
    for axis in range(2):
        count = tuple(x.shape[-2:])
        k, s = one_axis(axis, kernel, stride)
        y = zeros(x, (*x.shape[:-2], *((full[0], count[1]) if axis == 0 else full)))
        for _, key in elements(y, k, s, ONES, count):
            y = put(y, key, getitem(y, key) + x)
        x = y
    return getitem(x, inner(x, padding, size)) if any(map(any, padding)) else x


_MEANS = "kernel=() stride=() padding=() count_include_pad=True divisor=None"

avg_pool2d = linear(
    "avg_pool2d", f"x | {_MEANS}", default=_avg_pool, node="AvgPool2DBackward0",
    x=lambda g, x, kernel, stride, padding, count_include_pad, divisor: avg_unpool2d(
        g, x.shape[-2:], kernel, stride, padding, count_include_pad, divisor
    ),
)  # fmt: skip
#: The means' cotangents spread over the windows of an image of a `size`.
avg_unpool2d = linear(
    "avg_unpool2d", f"x | size=() {_MEANS}", default=_avg_unpool,
    x=lambda g, kernel, stride, padding, count_include_pad, divisor: avg_pool2d(
        g, kernel, stride, padding, count_include_pad, divisor
    ),
)  # fmt: skip
