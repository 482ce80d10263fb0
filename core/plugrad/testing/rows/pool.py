"""Rows of `plugrad.ops.pool`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .row import In, Row, S

NONE, ONE = ((0, 0), (0, 0)), (1, 1)


def windows(
    shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = ONE
) -> Iterator[tuple[Any, list[tuple[int, int, int]]]]:
    """Each window, and its elements inside of the image: their number in the window, row and column."""
    counts = [
        (n + a + b - d * (k - 1) - 1) // s + 1
        for n, k, s, (a, b), d in zip(shape[-2:], kernel, stride, padding, dilation)
    ]
    for i, j in np.ndindex(*counts):
        found = []
        for e, (u, v) in enumerate(np.ndindex(*kernel)):
            r, c = (
                i * stride[0] - padding[0][0] + u * dilation[0],
                j * stride[1] - padding[1][0] + v * dilation[1],
            )
            if 0 <= r < shape[-2] and 0 <= c < shape[-1]:
                found.append((e, r, c))
        yield (..., i, j), found


def result(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = ONE, dtype: Any = None) -> Any:
    last = [place for place, _ in windows(x.shape, kernel, stride, padding, dilation)][-1]
    return np.zeros((*x.shape[:-2], last[1] + 1, last[2] + 1), dtype or x.dtype)


def argmax(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = ONE) -> Any:
    """The number of the first maximum in each window; NumPy's argmax prefers NaN, too."""
    y = result(x, kernel, stride, padding, dilation, np.int64)
    for place, found in windows(x.shape, kernel, stride, padding, dilation):
        numbers = np.array([e for e, _, _ in found])
        y[place] = numbers[np.argmax(np.stack([x[..., r, c] for _, r, c in found]), 0)]
    return y


def take(x: Any, which: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = ONE) -> Any:
    y = np.zeros(which.shape, x.dtype)
    for place, found in windows(x.shape, kernel, stride, padding, dilation):
        for e, r, c in found:
            y[place] = np.where(which[place] == e, x[..., r, c], y[place])
    return y


def maxima(x: Any, **params: Any) -> Any:
    return take(x, argmax(x, **params), **params)


def embed(x: Any, which: Any, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = ONE) -> Any:
    y = np.zeros((*x.shape[:-2], *size), x.dtype)
    for place, found in windows(y.shape, kernel, stride, padding, dilation):
        for e, r, c in found:
            y[..., r, c] += np.where(which[place] == e, x[place], 0)
    return y


def divisor_of(
    place: Any, found: Any, shape: Any, kernel: Any, stride: Any, padding: Any, counted: bool, divisor: Any
) -> Any:
    if divisor is not None:
        return divisor
    if not counted:
        return len(found)
    n = 1
    for axis in range(2):  # padding counts as far at the end as before the start
        start = place[axis + 1] * stride[axis] - padding[axis][0]
        n *= min(start + kernel[axis], shape[axis - 2] + padding[axis][0]) - start
    return n


def means(
    x: Any, kernel: Any, stride: Any, padding: Any, count_include_pad: bool = True, divisor: Any = None
) -> Any:
    y = result(x, kernel, stride, padding)
    for place, found in windows(x.shape, kernel, stride, padding):
        by = divisor_of(place, found, x.shape, kernel, stride, padding, count_include_pad, divisor)
        y[place] = sum(x[..., r, c] for _, r, c in found) / by
    return y


def spread(
    x: Any,
    size: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    count_include_pad: bool = True,
    divisor: Any = None,
) -> Any:
    y = np.zeros((*x.shape[:-2], *size), x.dtype)
    for place, found in windows(y.shape, kernel, stride, padding):
        by = divisor_of(place, found, y.shape, kernel, stride, padding, count_include_pad, divisor)
        for _, r, c in found:
            y[..., r, c] += x[place] / by
    return y


def at(kernel: Any, stride: Any, padding: Any = NONE, **more: Any) -> dict[str, Any]:
    return {"kernel": kernel, "stride": stride, "padding": padding, **more}


#: Shapes of image and result, and the parameters.
MAXIMA: list[tuple[Any, Any, dict[str, Any]]] = [
    ((2, 3, 4, 6), (2, 3, 2, 3), at((2, 2), (2, 2), dilation=ONE)),
    ((2, 5, 5), (2, 3, 3), at((3, 3), (1, 1), dilation=ONE)),
    ((1, 2, 5, 4), (1, 2, 3, 2), at((3, 2), (2, 2), ((1, 1), (0, 0)), dilation=ONE)),
    ((1, 1, 5, 5), (1, 1, 3, 3), at((2, 2), (2, 2), ((0, 1), (0, 1)), dilation=ONE)),
    ((2, 1, 6, 7), (2, 1, 6, 3), at((3, 2), (1, 2), ((2, 2), (1, 1)), dilation=(2, 3))),
    ((4, 1, 7, 5), (4, 1, 3, 2), at((2, 2), (2, 2), dilation=(2, 1))),  # dilated windows overlap
    ((3, 3, 4), (3, 3, 4), at((1, 1), (1, 1), dilation=ONE)),
    ((0, 2, 4, 4), (0, 2, 2, 2), at((2, 2), (2, 2), dilation=ONE)),
]
MEANS: list[tuple[Any, Any, dict[str, Any]]] = [
    ((2, 3, 4, 6), (2, 3, 2, 3), at((2, 2), (2, 2))),
    ((2, 5, 5), (2, 3, 3), at((3, 3), (1, 1))),
    ((1, 2, 5, 4), (1, 2, 3, 3), at((3, 2), (2, 2), ((1, 1), (1, 1)))),
    ((1, 2, 5, 4), (1, 2, 3, 3), at((3, 2), (2, 2), ((1, 1), (1, 1)), count_include_pad=False)),
    ((1, 1, 4, 6), (1, 1, 3, 3), at((3, 3), (2, 2), ((1, 2), (1, 1)))),
    ((1, 1, 4, 6), (1, 1, 3, 3), at((3, 3), (2, 2), ((1, 2), (1, 1)), count_include_pad=False)),
    ((1, 1, 5, 5), (1, 1, 2, 2), at((2, 2), (3, 3), divisor=3)),
    ((0, 2, 4, 4), (0, 2, 2, 2), at((2, 2), (2, 2))),
]
RNG = np.random.default_rng(5)


def which(image: Any, shape: Any, given: dict[str, Any]) -> Any:
    """A random element of each window, inside of the image."""
    y = np.zeros(shape, np.int64)
    for place, found in windows(image, **given):
        y[place] = RNG.choice([e for e, _, _ in found], y[place].shape)
    return y


INF, NAN = np.inf, np.nan
QUAD = ((2, 2), (2, 2), NONE, ONE)
TILE = ((2, 2), (1, 1), ((1, 1), (1, 1)), ONE)
WIDE = ((2, 2), (1, 1), ((1, 1), (1, 1)), (2, 2))
ZEROS, TOGETHER = np.zeros((1, 1), np.int64), "do not belong to windows of shape"
COMPLEX = [(S(In((1, 2, 2), dtype="complex128"), *QUAD), NotImplementedError, "complex")]

ROWS = [
    Row(
        "max_pool2d", maxima, [S(In(x, distinct=True), **p) for x, _, p in MAXIMA], dtypes="f d e l",
        special=[
            (([[[1.0, NAN], [3.0, 2.0]]], *QUAD), [[[NAN]]]),
            (([[[-INF, -INF], [-INF, -INF]]], *TILE), [[[-INF] * 3] * 3]),
        ],
        special_grad=[
            (([[[1.0, 5.0], [5.0, 5.0]]], *QUAD), [[[0.0, 1.0], [0.0, 0.0]]]),
            (([[[-INF, -INF], [-INF, -INF]]], *TILE), [[[4.0, 2.0], [2.0, 1.0]]]),
            (([[[NAN, 7.0], [1.0, NAN]]], *QUAD), [[[0.0, 0.0], [0.0, 1.0]]]),
        ],
        errors=COMPLEX,
    ),
    Row(
        "argmax_pool2d", argmax, [S(In(x, distinct=True), **p) for x, _, p in MAXIMA], dtypes="f d e l", grad=False,
        special=[
            (([[[1.0, 5.0], [5.0, 5.0]]], *QUAD), [[[1]]]),
            (([[[NAN, 7.0], [1.0, NAN]]], *QUAD), [[[3]]]),  # the last NaN, as in PyTorch
            (([[[-INF, -INF], [-INF, -INF]]], *TILE), [[[3, 2, 2], [1, 0, 0], [1, 0, 0]]]),
            (([[[-INF] * 3] * 3], *WIDE), [[[3, 2, 2], [1, 0, 0], [1, 0, 0]]]),
        ],
    ),
    Row(
        "take_pooled", take, [S(In(x), which(x, y, p), **p) for x, y, p in MAXIMA], dtypes="f d e l",
        errors=[(S(In((2, 2, 2)), ZEROS, *QUAD), RuntimeError, TOGETHER)],
    ),
    Row(
        "embed_pooled", embed, [S(In(y), which(x, y, p), size=x[-2:], **p) for x, y, p in MAXIMA], dtypes="f d e",
        errors=[(S(In((2, 1, 1)), ZEROS, (2, 2), *QUAD), RuntimeError, TOGETHER)],
    ),
    Row("avg_pool2d", means, [S(In(x), **p) for x, _, p in MEANS], dtypes="f d e"),
    Row("avg_unpool2d", spread, [S(In(y), size=x[-2:], **p) for x, y, p in MEANS], dtypes="f d e"),
]  # fmt: skip
