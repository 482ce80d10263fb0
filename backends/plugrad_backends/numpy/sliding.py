"""A kernel that slides over images: where it stands, and what it meets. Paddings are pairs, of before and after."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

#: How many bytes of columns are made at once: a kernel of k·k makes k·k times the image.
_BLOCK = 1 << 22


def pad(x: np.ndarray, padding: Pads, value: Any = 0) -> np.ndarray:
    """`x` with `value` around its last axes; itself where there is nothing to add."""
    if not any(map(any, padding)):
        return x
    first = x.ndim - len(padding)
    shape = (*x.shape[:first], *(a + n + b for (a, b), n in zip(padding, x.shape[first:])))
    y = np.zeros(shape, x.dtype) if value == 0 else np.full(shape, value, x.dtype)
    y[inside(padding, x.shape[first:])] = x
    return y


def inside(padding: Pads, size: Ints) -> tuple[Any, ...]:
    """The key of what `pad` put padding around."""
    return (..., *(slice(a, a + n) for (a, _), n in zip(padding, size)))


def counts(size: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> Ints:
    """At how many places the kernel stands along each axis."""
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation))


def meetings(
    kernel: Ints, stride: Ints, dilation: Ints, count: Ints
) -> Iterator[tuple[Ints, tuple[Any, ...]]]:
    """Each element of the kernel: its position, and the key of what it meets in the padded image."""
    for position in np.ndindex(*kernel):
        slices = [
            slice(i * d, i * d + (n - 1) * s + 1, s) for i, d, n, s in zip(position, dilation, count, stride)
        ]
        yield position, (..., *slices)


def steps(strides: Ints, stride: Ints, dilation: Ints) -> tuple[Ints, Ints]:
    """How many bytes are from one window to the next, and from one element of the kernel to the next."""
    return tuple(n * s for n, s in zip(strides, stride)), tuple(n * d for n, d in zip(strides, dilation))


def blocks(shape: Ints, kernel: Ints, count: Ints, itemsize: int) -> Iterator[slice]:
    """The images of a shape, as many at a time as make `_BLOCK` bytes of columns."""
    n, channels = shape[:2]
    each = channels * math.prod(kernel) * math.prod(count) * itemsize
    step = max(_BLOCK // max(each, 1), 1)
    return (slice(i, i + step) for i in range(0, n, step))
