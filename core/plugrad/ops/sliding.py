"""What slides over the last axes of an array: a kernel that stands at equal steps, its elements `dilation` apart.

`kernel`, `stride` and `dilation` hold a number for each axis, `padding` a pair: how much is put before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from .. import dtypes
from ..backend import BY_ARRAY, backend_of

Ints = Sequence[int]
Pads = Sequence[tuple[int, int]]
FULL = slice(None)


def counts(size: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> tuple[int, ...]:
    """At how many places the kernel stands along each axis.

    >>> counts((5, 5), (3, 2), (1, 2), ((1, 1), (0, 0)), (1, 1))
    (5, 2)
    """
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def zeros(like: Any, shape: Ints) -> Any:
    """A raw array of zeros of the dtype and device of another."""
    return backend_of(like).zeros(tuple(shape), dtypes.of(like.dtype))


def put(x: Any, key: Any, value: Any) -> Any:
    """A raw array with `value` written at a key: the same array where arrays are mutable."""
    return BY_ARRAY[type(x)].setitem(x, key, value)


def padded(x: Any, padding: Pads, value: float = 0) -> Any:
    """A raw array with `value` around it; itself where there is nothing to add."""
    if not any(map(any, padding)):
        return x
    shape = list(x.shape)
    for axis, pads in enumerate(padding, len(shape) - len(padding)):
        shape[axis] += sum(pads)
    around = backend_of(x).full(tuple(shape), value, dtypes.of(x.dtype))
    return put(around, inner(x, padding, x.shape[len(shape) - len(padding) :]), x)


def inner(x: Any, padding: Pads, size: Ints) -> tuple[Any, ...]:
    """The key of what `padded` put padding around, of that size."""
    slices = [slice(a, a + n) for (a, _), n in zip(padding, size, strict=True)]
    return (*[FULL] * (len(x.shape) - len(size)), *slices, ...)


def elements(x: Any, kernel: Ints, stride: Ints, dilation: Ints, count: Ints) -> Iterator[tuple[Any, Any]]:
    """Each element of the kernel: its position, and the key of what it meets in the padded `x`."""
    before = [FULL] * (len(x.shape) - len(kernel))
    for position in product(*map(range, kernel)):
        slices = [
            slice(i * d, i * d + (n - 1) * s + 1, s)
            for i, d, n, s in zip(position, dilation, count, stride, strict=True)
        ]
        yield position, (*before, *slices, ...)
