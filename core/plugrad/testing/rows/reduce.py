"""Rows of `plugrad.ops.reduce`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .row import In, Row, S

INF, NAN = math.inf, math.nan
AXES = [
    S(In((2, 3)), axis=(0,)),
    S(In((2, 3, 4)), axis=(0, 2)),
    S(In((2, 3)), axis=(1,), keepdims=True),
    S(In(()), axis=()),
    S(In((2, 0)), axis=(0,)),
]
WHOLE = [S(In((2, 3))), S(In(())), S(In((1, 1)))]
EMPTY = S(In((2, 0)), axis=(1,))


def over(f: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy reduction with our parameters."""
    return lambda x, axis=(), keepdims=False, **options: f(x, axis=tuple(axis), keepdims=keepdims, **options)


def distinct(*samples: Any) -> list[Any]:
    """The samples with elements that all differ, so that an extremum has a derivative."""
    return [S(*(replace(a, distinct=True) for a in s.args), **s.params) for s in samples]


def lower_median(x: np.ndarray) -> Any:
    return np.sort(x, None)[(x.size - 1) // 2]


def norm(x: np.ndarray, ord: float = 2, axis: Any = (), keepdims: bool = False) -> Any:
    size = np.abs(x)
    if ord == 0:
        return np.sum(size != 0, axis=tuple(axis), keepdims=keepdims).astype(size.dtype)
    if abs(ord) == INF:
        return (np.max if ord > 0 else np.min)(size, axis=tuple(axis), keepdims=keepdims)
    return np.sum(size**ord, axis=tuple(axis), keepdims=keepdims) ** (1 / ord)


def row(op: str, reference: Any, samples: Any, **options: Any) -> Row:
    return Row(op, reference, samples, **options)


VARIANCES = [
    S(In((4, 3)), axis=(0,)),
    S(In((2, 3, 4)), axis=(0, 2), correction=0),
    S(In((2, 5)), axis=(1,), correction=1.5, keepdims=True),
    S(In((3,)), axis=(0,), correction=2),
]
var = lambda x, axis=(), correction=1, keepdims=False: np.var(
    x, axis=axis, ddof=correction, keepdims=keepdims
)
PRODUCTS = [S(In((n, 2)), axis=0) for n in range(1, 9)] + [
    S(In((2, 3)), axis=1, keepdims=True),
    S(In((0, 2)), axis=0),
    S(In((2, 0)), axis=0),
]
SCANS = [S(In((n,)), axis=0) for n in range(1, 9)] + [
    S(In((2, 3)), axis=1),
    S(In((0, 2)), axis=0),
    S(In((2, 0)), axis=0),
]
NONZERO = [
    S(In((2, 3), 0.5, 2), **p) for p in ({"axis": (0,)}, {"axis": (0, 1)}, {"axis": (1,), "keepdims": True})
]
taken = lambda x, indices, axis=0, keepdims=False: (
    np.take_along_axis(x, indices, axis)
    if keepdims
    else np.squeeze(np.take_along_axis(x, indices, axis), axis)
)
TAKEN = [
    S(In((2, 3)), indices=np.array([[1, 0, 1]]), axis=0),
    S(In((2, 3)), indices=np.array([[2], [0]]), axis=1, keepdims=True),
]

ROWS = [
    row("sum", over(np.sum), [*AXES, EMPTY], dtypes="f d e l F D", complex_grad=True),
    row("sum_all", np.sum, [*WHOLE, S(In((0, 2)))], dtypes="f d e l F D", complex_grad=True),
    row(
        "nansum",
        over(np.nansum),
        [*AXES, EMPTY],
        dtypes="f d e",
        special=[(([1.0, NAN, 2.0], (0,)), 3.0)],
        special_grad=[(([1.0, NAN, 2.0], (0,)), [1.0, 0.0, 1.0])],
    ),
    row("mean", over(np.mean), AXES, dtypes="f d e F D", complex_grad=True, special=[(([], (0,)), NAN)]),
    row("mean_all", np.mean, WHOLE, dtypes="f d e F D", complex_grad=True, special=[(([],), NAN)]),
    row(
        "var",
        var,
        VARIANCES,
        dtypes="f d F D",
        complex_grad=True,
        special=[(([1.0], (0,)), NAN), (([1.0, 2.0], (0,), 5), INF), (([3.0, 3.0], (0,)), 0.0)],
    ),
    row(
        "std",
        lambda *a, **k: np.sqrt(var(*a, **k)),
        VARIANCES,
        dtypes="f d F D",
        complex_grad=True,
        special_grad=[(([2.0, 2.0], (0,)), [0.0, 0.0])],  # a corner: the subgradient 0
    ),
    row(
        "prod",
        lambda x, axis=0, keepdims=False: np.prod(x, axis=axis, keepdims=keepdims),
        PRODUCTS,
        dtypes="f d e l F D",
        complex_grad=True,
        special_grad=[
            (([0.0, 2.0, 3.0],), [6.0, 0.0, 0.0]),
            (([0.0, 0.0, 3.0],), [0.0, 0.0, 0.0]),
            (([2.0],), [1.0]),
        ],
    ),
    row(
        "prod_all",
        np.prod,
        [*WHOLE, S(In((0, 2)))],
        dtypes="f d e l F D",
        complex_grad=True,
        special_grad=[(([0.0, 2.0, 3.0],), [6.0, 0.0, 0.0])],
    ),
    row(
        "cumulative_sum", lambda x, axis=0: np.cumsum(x, axis), SCANS, dtypes="f d e l F D", complex_grad=True
    ),
    row(
        "cumulative_prod",
        lambda x, axis=0: np.cumprod(x, axis),
        SCANS,
        dtypes="f d l F D",
        complex_grad=True,
        special_grad=[
            (([2.0, 0.0, 3.0, 5.0],), [1.0, 38.0, 0.0, 0.0]),
            (([0.0, 0.0, 3.0],), [1.0, 0.0, 0.0]),
        ],
    ),
    row(
        "max",
        over(np.max),
        distinct(*AXES, S(In((2, 3)), axis=(0, 1))),
        dtypes="f d e",
        special=[(([1.0, NAN], (0,)), NAN)],
        special_grad=[(([1.0, 3.0, 3.0], (0,)), [0.0, 0.5, 0.5]), (([1.0, NAN], (0,)), [NAN, NAN])],
        errors=[(S(In((0,)), axis=(0,)), RuntimeError, "max.*no identity")],
    ),
    row(
        "min",
        over(np.min),
        distinct(*AXES, S(In((2, 3)), axis=(0, 1))),
        dtypes="f d e",
        special=[(([1.0, NAN], (0,)), NAN)],
        special_grad=[(([1.0, 1.0, 3.0], (0,)), [0.5, 0.5, 0.0])],
    ),
    row(
        "max_all",
        np.max,
        distinct(*WHOLE),
        dtypes="f d e",
        special_grad=[(([1.0, 3.0, 3.0],), [0.0, 0.5, 0.5]), (([1.0, NAN, 3.0],), [0.0, 1.0, 0.0])],
    ),
    row(
        "min_all",
        np.min,
        distinct(*WHOLE),
        dtypes="f d e",
        special_grad=[(([1.0, 1.0, 3.0],), [0.5, 0.5, 0.0])],
    ),
    row(
        "median_all",
        lower_median,
        distinct(*WHOLE, S(In((5,)))),
        dtypes="f d e",
        special=[(([1.0, NAN, 0.0],), NAN), (([],), NAN)],
        special_grad=[(([2.0, 1.0, 2.0, 2.0],), [1 / 3, 0.0, 1 / 3, 1 / 3])],
    ),
    row("take_max", taken, TAKEN, dtypes="f d l F D", complex_grad=True),
    row("take_min", taken, TAKEN, dtypes="f d l F D", complex_grad=True),
    row("take_median", taken, TAKEN, dtypes="f d l F D", complex_grad=True),
    row(
        "argmax",
        lambda x, axis=None, keepdims=False: np.argmax(x, axis, keepdims=keepdims),
        [S(In((2, 3)), axis=1), S(In((2, 3))), S(In((2, 3)), axis=0, keepdims=True)],
        dtypes="d",
        grad=False,
        special=[(([1.0, NAN, 3.0, NAN],), 1), (([2.0, 5.0, 5.0],), 1)],
    ),
    row(
        "argmin",
        lambda x, axis=None, keepdims=False: np.argmin(x, axis, keepdims=keepdims),
        [S(In((2, 3)), axis=1), S(In((2, 3))), S(In((2, 3)), axis=0, keepdims=True)],
        dtypes="d",
        grad=False,
        special=[(([1.0, NAN, 0.0, NAN],), 1), (([2.0, 2.0, 5.0],), 0)],
    ),
    row(
        "argmedian",
        lambda x, axis=0: np.take(np.argsort(x, axis), [(x.shape[axis] - 1) // 2], axis),
        distinct(S(In((5, 2))), S(In((2, 4)), axis=1)),
        dtypes="d",
        grad=False,
        special=[(([1.0, NAN, 0.0],), [1]), (([2.0, 1.0, 2.0, 2.0],), [0])],
    ),
    row(
        "any",
        over(np.any),
        AXES,
        dtypes="f l ? D",
        grad=False,
        special=[(([0.0, NAN], (0,)), True), (([], (0,)), False)],
    ),
    row(
        "all",
        over(np.all),
        AXES,
        dtypes="f l ? D",
        grad=False,
        special=[(([1.0, 0.0], (0,)), False), (([], (0,)), True)],
    ),
    row("count_nonzero", over(np.count_nonzero), AXES, dtypes="f l ? D", grad=False),
    row(
        "logsumexp",
        lambda x, axis=(), keepdims=False: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
        AXES,
        dtypes="f d e",
        complex_grad=True,
        special=[
            (([1000.0, 1000.0], (0,)), 1000 + math.log(2)),
            (([-INF, -INF], (0,)), -INF),
            (([INF, 1.0], (0,)), INF),
            (([NAN, 1.0], (0,)), NAN),
            (([], (0,)), -INF),
        ],
        special_grad=[(([1000.0, 1000.0], (0,)), [0.5, 0.5]), (([-INF, 0.0], (0,)), [0.0, 1.0])],
    ),
    row(
        "vector_norm",
        norm,
        [S(s.args[0], ord=p, **s.params) for p in (2, 1, 3, 0.5, -1, INF, -INF) for s in distinct(*NONZERO)]
        + [S(In((2, 2), 0.5, 2), ord=0, axis=(0,))],
        dtypes="f d",
        complex_grad=True,
        rtol=1e-5,
        special=[(([], 2, (0,)), 0.0), (([0.0, 3.0, NAN], 0, (0,)), 2.0)],
        special_grad=[(([0.0, 0.0], p, (0,)), [0.0, 0.0]) for p in (2, 1, 3, 0, -1)]
        + [(([0.0, 2.0], 3, (0,)), [0.0, 1.0]), (([0.0, 2.0], -1, (0,)), [0.0, 0.0])],
    ),
]
