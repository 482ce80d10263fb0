"""Rows of `plugrad.ops.conv`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .row import In, Row, S


def places(
    x: Any, size: Any, count: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Iterator[tuple[Any, int, Any]]:
    """For each place of the kernel and each group: the place, the group, and the window of the padded `x` there."""
    channels = x.shape[1] // groups
    for place in np.ndindex(*count):
        windows = tuple(
            slice(p * s, p * s + d * (k - 1) + 1, d) for p, s, d, k in zip(place, stride, dilation, size)
        )
        for group in range(groups):
            yield place, group, x[(slice(None), slice(group * channels, (group + 1) * channels), *windows)]


def pad(x: Any, padding: Any) -> Any:
    return np.pad(x, ((0, 0), (0, 0), *padding))


def convolution(x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int = 1) -> Any:
    """The definition, one place at a time."""
    x, kernel, outputs = pad(x, padding), weight.shape[2:], weight.shape[0] // groups
    count = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation)]
    y = np.zeros((x.shape[0], outputs * groups, *count), np.result_type(x, weight))
    for place, group, window in places(x, kernel, count, stride, padding, dilation, groups):
        some = slice(group * outputs, (group + 1) * outputs)
        axes = list(range(1, window.ndim))
        y[(slice(None), some, *place)] = np.tensordot(window, weight[some], (axes, axes))
    return y


def transposed(
    x: Any, weight: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int = 1
) -> Any:
    """Each element of the result, times the weight, put where its window is."""
    n, outputs, channels = x.shape[0], weight.shape[0] // groups, weight.shape[1] * groups
    y = pad(np.zeros((n, channels, *size), np.result_type(x, weight)), padding)
    for place, group, window in places(y, weight.shape[2:], x.shape[2:], stride, padding, dilation, groups):
        some = slice(group * outputs, (group + 1) * outputs)
        window += np.tensordot(x[(slice(None), some, *place)], weight[some], 1)
    return y[(..., *(slice(a, a + m) for (a, _), m in zip(padding, size)))]


def of_weight(x: Any, z: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int = 1) -> Any:
    """The products of each window with its result, summed."""
    outputs = z.shape[1] // groups
    y = np.zeros((z.shape[1], x.shape[1] // groups, *size), np.result_type(x, z))
    for place, group, window in places(pad(x, padding), size, z.shape[2:], stride, padding, dilation, groups):
        some = slice(group * outputs, (group + 1) * outputs)
        y[some] += np.tensordot(z[(slice(None), some, *place)], window, (0, 0))
    return y


def biased(x: Any, weight: Any, bias: Any, **params: Any) -> Any:
    return convolution(x, weight, **params) + bias.reshape(-1, *(1,) * (x.ndim - 2))


def at(stride: Any, padding: Any, dilation: Any, groups: int = 1) -> dict[str, Any]:
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


NONE = ((0, 0), (0, 0))
#: Shapes of image, weight and result, and the parameters.
CASES: list[tuple[Any, Any, Any, dict[str, Any]]] = [
    ((2, 3, 5, 6), (4, 3, 3, 2), (2, 4, 3, 5), at((1, 1), NONE, (1, 1))),
    ((2, 2, 5, 6), (3, 2, 3, 3), (2, 3, 3, 3), at((2, 2), ((1, 1), (1, 1)), (1, 1))),
    ((1, 4, 7, 5), (6, 2, 2, 2), (1, 6, 4, 7), at((2, 1), ((2, 0), (1, 2)), (2, 1), 2)),
    ((2, 3, 4, 4), (6, 1, 2, 2), (2, 6, 2, 1), at((1, 2), NONE, (2, 2), 3)),
    ((2, 3, 4, 4), (2, 3, 1, 1), (2, 2, 4, 4), at((1, 1), NONE, (1, 1))),
    ((2, 3, 7), (4, 3, 3), (2, 4, 3), at((3,), ((2, 2),), (2,))),
    ((1, 2, 3, 4, 3), (2, 1, 2, 2, 2), (1, 2, 2, 3, 2), at((1, 1, 1), ((0, 0),) * 3, (1, 1, 1), 2)),
    ((0, 2, 4, 4), (3, 2, 3, 3), (0, 3, 2, 2), at((1, 1), NONE, (1, 1))),
]
ALL = "f d e F D"
DTYPES = "expected operands of the same dtype, but got torch.float64 and torch.float32"


def mixed(case: Any, first: Any, second: Any, *rest: Any, **params: Any) -> Any:
    return (S(In(first), In(second, dtype="float32"), *rest, **params, **case), RuntimeError, DTYPES)


ROWS = [
    Row(
        "convolution", convolution, [S(In(x), In(w), **p) for x, w, _, p in CASES], dtypes=ALL,
        complex_grad=True,
        errors=[
            mixed(CASES[0][3], CASES[0][0], CASES[0][1]),
            (S(In((2, 2, 5, 6)), In((4, 3, 3, 2)), **CASES[0][3]), RuntimeError, "convolution"),
            (S(In((0, 2, 5, 6)), In((4, 3, 3, 2)), **CASES[0][3]), RuntimeError, "convolution"),
        ],
    ),
    Row(
        "convolution_biased", biased, [S(In(x), In(w), In(w[:1]), **p) for x, w, _, p in CASES], dtypes=ALL,
        complex_grad=True, errors=[mixed(CASES[0][3], CASES[0][0], CASES[0][1], In((4,)))],
    ),
    Row(
        "convolution_transposed", transposed, [S(In(z), In(w), size=x[2:], **p) for x, w, z, p in CASES],
        dtypes=ALL, complex_grad=True,
        errors=[
            (S(In((n, 3, 3, 5)), In((4, 3, 3, 2)), size=(5, 6), **CASES[0][3]), RuntimeError, "convolution_tr")
            for n in (0, 2)
        ],
    ),
    Row(
        "convolution_weight", of_weight, [S(In(x), In(z), size=w[2:], **p) for x, w, z, p in CASES],
        dtypes=ALL, complex_grad=True,
    ),
]  # fmt: skip
